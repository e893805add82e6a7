package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// freshSeed is another one in every run; a failure prints the one that repeats it.
func freshSeed(t *testing.T) uint64 {
	seed := rand.Uint64() >> 16
	t.Logf("seed %d", seed)
	return seed
}

func TestAllPromisesHoldWhateverGoesWrong(t *testing.T) {
	end := time.Now().Add(8 * time.Second)
	stats, failure := Run(freshSeed(t), NoBug, func(Stats) bool { return time.Now().Before(end) })
	if failure != nil {
		t.Fatal(failure)
	}
	t.Logf("%d operations, %d events in %d histories: %+v", stats.Operations(), stats.Events, stats.Histories, stats)
	if stats.Successes == 0 || stats.Refusals == 0 || stats.Unknown == 0 || stats.Steps == 0 || stats.Parcels == 0 || stats.NotDone == 0 || stats.Overtaken == 0 {
		t.Errorf("something never happened: %+v", stats)
	}
}

// plantedBound is fewer operations than a minute takes on one core.
const plantedBound = 8_000_000

func TestEveryPlantedBugIsFound(t *testing.T) {
	found := map[int]string{}
	for _, bug := range Bugs() {
		t.Run(bug.String(), func(t *testing.T) {
			stats, failure := Run(freshSeed(t), bug, func(s Stats) bool { return s.Operations() < plantedBound })
			if failure == nil {
				t.Fatalf("not found in %d operations", stats.Operations())
			}
			t.Logf("found after %d operations, %d choices cut to %d: %v", stats.Operations(), failure.Choices, len(failure.History), failure.Violation)
			found[failure.Violation.Promise] = bug.String()
		})
	}
	for promise := 1; promise <= 8; promise++ {
		if found[promise] == "" {
			t.Errorf("no planted bug was seen to break promise %d", promise)
		}
	}
}

// logged lists all that the partitions hold.
func logged(w *world) (lines []string) {
	for p := range w.logs {
		for _, e := range w.logs[p].entries {
			if e.event != nil {
				lines = append(lines, e.event.ID+" "+eventText(e.event))
			}
		}
	}
	return lines
}

func TestASeedRunsTheSameAgain(t *testing.T) {
	seed := freshSeed(t)
	for range 20 {
		seed++
		h, first := draw(seed, NoBug)
		_, second := draw(seed, NoBug)
		replayed := h.replay(nil)
		if first.stats != second.stats || first.stats != replayed.stats {
			t.Fatalf("seed %d ran in three ways:\n%+v\n%+v\n%+v", seed, first.stats, second.stats, replayed.stats)
		}
		want := logged(first)
		if !slices.Equal(want, logged(second)) || !slices.Equal(want, logged(replayed)) {
			t.Fatalf("seed %d wrote another log the second time", seed)
		}
	}
}

func TestAFailureIsCutToAShortHistoryThatFailsAlike(t *testing.T) {
	for _, bug := range []Bug{SettleUnread, SkipAfterCrash, ExpireEarly, SkipFence, ForgetOutcomes, NoOffsetCheck, SubscriberSkips, RefusedDebits} {
		t.Run(bug.String(), func(t *testing.T) {
			_, failure := Run(1, bug, func(s Stats) bool { return s.Operations() < plantedBound })
			if failure == nil {
				t.Fatal("not found")
			}
			if len(failure.History) >= 30 || len(failure.Trace) < len(failure.History) {
				t.Errorf("told in %d lines:\n%v", len(failure.History), failure)
			}
			h := failure.history
			if again := h.replay(nil).failed; again == nil || *again != *failure.Violation {
				t.Errorf("the short history breaks %v, want %v", again, failure.Violation)
			}
			for i := range h.choices {
				shorter := h
				shorter.choices = slices.Delete(slices.Clone(h.choices), i, i+1)
				if w := shorter.replay(nil); w.failed != nil && w.failed.Promise == failure.Violation.Promise && w.failed.Check == failure.Violation.Check {
					t.Errorf("it fails without %q too", h.choices[i].String())
				}
			}
		})
	}
}

func TestAPanicIsAFailureWithAHistory(t *testing.T) {
	w := newWorld(NoBug, false)
	w.guard(func() { panic("on purpose") })
	if w.failed == nil || w.failed.Check != "panic" {
		t.Errorf("a panic is told as %v", w.failed)
	}
}

func TestPlantedBugsHaveNames(t *testing.T) {
	for _, bug := range Bugs() {
		if again, ok := ParseBug(bug.String()); !ok || again != bug || bug.String() == "" {
			t.Errorf("%d is called %q, which is read as %v", bug, bug, again)
		}
	}
	if _, ok := ParseBug("no such bug"); ok {
		t.Error("an unknown name is taken for a bug")
	}
}
