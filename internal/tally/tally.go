// Package tally keeps what runs of the torture test came to, adds them up and puts them into a table.
package tally

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// Run is what one run came to, or several added up.
type Run struct {
	Backend string    `json:"backend"`
	Seed    uint64    `json:"seed"`
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"`
	// Planted is the bug that the program was given; such a run is never added up.
	Planted string `json:"planted,omitempty"`
	// Faults counts them by kind; Slowest is, by kind, how many seconds passed at most from the beginning of a fault until
	// commands were acknowledged on every partition again.
	Faults  map[string]int     `json:"faults"`
	Slowest map[string]float64 `json:"slowest"`
	// Kills are the processes killed: nodes and brokers.
	Kills int `json:"kills"`
	// Tries counts the requests, Commands the commands, of which each is tried until its answer is definite.
	Tries        int `json:"tries"`
	Commands     int `json:"commands"`
	Acknowledged int `json:"acknowledged"`
	Refused      int `json:"refused"`
	// Elsewhere counts the tries that were answered that another node owns the account.
	Elsewhere int `json:"elsewhere"`
	// Lost were acknowledged and are not in the log as they were answered; Duplicated took effect twice; Resurrected were
	// answered that they did nothing, were not sent again, and are in the log. Late were refused when they were sent again
	// after an answer was lost, and the first try took effect nevertheless: its sender gave it up while it was on its way.
	Lost        int `json:"lost"`
	Duplicated  int `json:"duplicated"`
	Resurrected int `json:"resurrected"`
	Late        int `json:"late"`
	// TakenBack were answered that they did nothing, and not sent again; Repeats are commands that were acknowledged, sent
	// again, and answered the same.
	TakenBack int `json:"takenBack"`
	Repeats   int `json:"repeats"`
	// Served are the seconds in which a partition acknowledged something, of Asked.
	Served int `json:"served"`
	Asked  int `json:"asked"`
	// Events were audited, Histories held against the model of one account, Resumed how often subscriptions were.
	Events    int `json:"events"`
	Histories int `json:"histories"`
	Undecided int `json:"undecided"` // Histories that could not be checked in time.
	Resumed   int `json:"resumed"`
	// Problems are all promises broken, the losses above included.
	Problems []string `json:"problems,omitempty"`
}

// Append adds the run to a file, one line of JSON.
func (r *Run) Append(path string) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("keeping what a run came to: %w", err)
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		_ = f.Close()
		return fmt.Errorf("keeping what a run came to: %w", err)
	}
	return f.Close()
}

// Read reads what Append wrote.
func Read(from io.Reader) ([]Run, error) {
	var all []Run
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var r Run
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("line %d is no run: %w", len(all)+1, err)
		}
		all = append(all, r)
	}
	return all, lines.Err()
}

// Sum adds runs up by backend. Runs with a planted bug are left out.
func Sum(runs []Run) []Run {
	sums := map[string]*Run{}
	for i := range runs {
		r := &runs[i]
		if r.Planted != "" {
			continue
		}
		s, ok := sums[r.Backend]
		if !ok {
			s = &Run{Backend: r.Backend, Faults: map[string]int{}, Slowest: map[string]float64{}}
			sums[r.Backend] = s
		}
		s.add(r)
	}
	var all []Run
	for _, backend := range slices.Sorted(maps.Keys(sums)) {
		all = append(all, *sums[backend])
	}
	return all
}

func (r *Run) add(o *Run) {
	for kind, n := range o.Faults {
		r.Faults[kind] += n
	}
	for kind, s := range o.Slowest {
		r.Slowest[kind] = max(r.Slowest[kind], s)
	}
	r.Seconds += o.Seconds
	for _, pair := range []struct {
		to   *int
		more int
	}{
		{&r.Kills, o.Kills},
		{&r.Tries, o.Tries},
		{&r.Commands, o.Commands},
		{&r.Acknowledged, o.Acknowledged},
		{&r.Refused, o.Refused},
		{&r.Elsewhere, o.Elsewhere},
		{&r.Lost, o.Lost},
		{&r.Duplicated, o.Duplicated},
		{&r.Resurrected, o.Resurrected},
		{&r.Late, o.Late},
		{&r.TakenBack, o.TakenBack},
		{&r.Repeats, o.Repeats},
		{&r.Served, o.Served},
		{&r.Asked, o.Asked},
		{&r.Events, o.Events},
		{&r.Histories, o.Histories},
		{&r.Resumed, o.Resumed},
		{&r.Undecided, o.Undecided},
	} {
		*pair.to += pair.more
	}
	r.Problems = append(r.Problems, o.Problems...)
}

// Table puts runs beside one another, a column each, in Markdown.
func Table(runs []Run) string {
	var b strings.Builder
	row := func(name string, of func(*Run) string) {
		b.WriteString("| " + name + " |")
		for i := range runs {
			b.WriteString(" " + of(&runs[i]) + " |")
		}
		b.WriteByte('\n')
	}
	count := func(of func(*Run) int) func(*Run) string {
		return func(r *Run) string { return fmt.Sprint(of(r)) }
	}
	row("", func(r *Run) string { return r.Backend })
	b.WriteString("|---|" + strings.Repeat("---:|", len(runs)) + "\n")
	row("time", func(r *Run) string { return (time.Duration(r.Seconds) * time.Second).String() })
	row("processes killed", count(func(r *Run) int { return r.Kills }))
	kinds := map[string]bool{}
	for i := range runs {
		for kind := range runs[i].Faults {
			kinds[kind] = true
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		row("fault: "+kind, func(r *Run) string {
			if r.Faults[kind] == 0 {
				return "–"
			}
			return fmt.Sprintf("%d (%.1f s)", r.Faults[kind], r.Slowest[kind])
		})
	}
	row("commands", count(func(r *Run) int { return r.Commands }))
	row("tries", count(func(r *Run) int { return r.Tries }))
	row("commands acknowledged", count(func(r *Run) int { return r.Acknowledged }))
	row("commands refused", count(func(r *Run) int { return r.Refused }))
	row("taken back when nothing was done", count(func(r *Run) int { return r.TakenBack }))
	row("acknowledged, and repeated with the same answer", count(func(r *Run) int { return r.Repeats }))
	row("tries answered that another node owns the account", count(func(r *Run) int { return r.Elsewhere }))
	row("**lost**", count(func(r *Run) int { return r.Lost }))
	row("**duplicated**", count(func(r *Run) int { return r.Duplicated }))
	row("**resurrected**", count(func(r *Run) int { return r.Resurrected }))
	row("given up by the client, and done later", count(func(r *Run) int { return r.Late }))
	row("all broken promises", count(func(r *Run) int { return len(r.Problems) }))
	row("events audited", count(func(r *Run) int { return r.Events }))
	row("accounts checked for linearizability", count(func(r *Run) int { return r.Histories }))
	row("accounts whose check took too long", count(func(r *Run) int { return r.Undecided }))
	row("subscriptions resumed", count(func(r *Run) int { return r.Resumed }))
	row("availability", func(r *Run) string { return fmt.Sprintf("%.1f %%", 100*float64(r.Served)/float64(max(1, r.Asked))) })
	return b.String()
}
