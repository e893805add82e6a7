package sim

import "slices"

// shrinkRuns bounds how many runs cutting a history down may take.
const shrinkRuns = 10_000

// shrink leaves out of a history whatever it fails without, in the same check of the same promise: large parts first,
// then smaller ones (delta debugging), then commands out of groups and faults out of choices.
func shrink(h history, v *Violation) history {
	runs := 0
	fails := func(choices []choice) bool {
		runs++
		cut := history{bug: h.bug, codec: h.codec, choices: choices}
		w := cut.replay(nil)
		return w.failed != nil && w.failed.Promise == v.Promise && w.failed.Check == v.Check
	}
	if !fails(h.choices) {
		return h
	}
	choices := withoutKinds(h.choices, fails)
	for {
		before := len(choices)
		choices = simpler(pooled(without(choices, fails, &runs), fails), fails)
		if len(choices) == before || runs > shrinkRuns {
			h.choices = choices
			return h
		}
	}
}

// withoutKinds leaves out all choices of a kind at once, and all commands of a verb.
func withoutKinds(choices []choice, fails func([]choice) bool) []choice {
	try := func(out func(choice) bool) {
		if rest := slices.DeleteFunc(slices.Clone(choices), out); len(rest) < len(choices) && fails(rest) {
			choices = rest
		}
	}
	for k := range kind(kinds) {
		if k != kSubmit {
			try(func(c choice) bool { return c.kind == k })
		}
	}
	for v := range verb(len(verbNames)) {
		try(func(c choice) bool { return c.kind == kSubmit && c.specs[0].verb == v })
	}
	return choices
}

// without removes ever smaller parts of the choices while they still fail.
func without(choices []choice, fails func([]choice) bool, runs *int) []choice {
	for size := max(1, len(choices)/2); ; size /= 2 {
		for start := 0; start < len(choices) && *runs <= shrinkRuns; {
			end := min(start+size, len(choices))
			if rest := slices.Delete(slices.Clone(choices), start, end); fails(rest) {
				choices = rest
			} else {
				start = end
			}
		}
		if size <= 1 {
			return choices
		}
	}
}

// pooled makes one pause of several in a row.
func pooled(choices []choice, fails func([]choice) bool) []choice {
	for i := 0; i+1 < len(choices); {
		if choices[i].kind == kClock && choices[i+1].kind == kClock {
			other := slices.Delete(slices.Clone(choices), i, i+1)
			other[i].n += choices[i].n
			if fails(other) {
				choices = other
				continue
			}
		}
		i++
	}
	return choices
}

// simpler makes single choices plainer.
func simpler(choices []choice, fails func([]choice) bool) []choice {
	try := func(i int, plainer choice) bool {
		other := slices.Clone(choices)
		other[i] = plainer
		if !fails(other) {
			return false
		}
		choices = other
		return true
	}
	for i := range choices {
		if c := choices[i]; c.mode != well {
			c.mode = well
			try(i, c)
		}
		for j := len(choices[i].specs) - 1; j >= 0 && len(choices[i].specs) > 1; j-- {
			c := choices[i]
			c.specs = slices.Delete(slices.Clone(c.specs), j, j+1)
			try(i, c)
		}
	}
	return choices
}
