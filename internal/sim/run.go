package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"daybook/domain/account"
	"daybook/eventstore"
)

// Stats count what was simulated.
type Stats struct {
	// Histories are independent runs, each with its own seed.
	Histories int64
	// Choices are what the schedulers chose.
	Choices int64
	// Commands were decided by owners, repeats included, and Steps of transactions likewise.
	Commands, Steps int64
	// Attempts are commands sent, Successes, Refusals and Unknown their answers.
	Attempts, Successes, Refusals, Unknown int64
	// Parcels were evaluated by the owner that they were sent to; NotDone are commands sent to a former one.
	Parcels, NotDone int64
	// Overtaken are attempts that were given up and carried out after a later one was refused, none of which the owner knew of then.
	Overtaken int64
	// Events reached the log.
	Events int64
}

func (s *Stats) add(o *Stats) {
	s.Histories++
	s.Choices += o.Choices
	s.Commands += o.Commands
	s.Steps += o.Steps
	s.Attempts += o.Attempts
	s.Successes += o.Successes
	s.Refusals += o.Refusals
	s.Unknown += o.Unknown
	s.Parcels += o.Parcels
	s.NotDone += o.NotDone
	s.Overtaken += o.Overtaken
	s.Events += o.Events
}

// Operations are the decisions: commands and steps.
func (s *Stats) Operations() int64 { return s.Commands + s.Steps }

// history is a run that can be repeated: its choices, and what is planted.
type history struct {
	bug     Bug
	codec   bool
	choices []choice
}

// codecEvery is how many histories share one that passes everything through the codec.
const codecEvery = 64

// draw makes a history of its seed while it runs it.
func draw(seed uint64, bug Bug) (history, *world) {
	length := rand.New(rand.NewPCG(seed, 1))
	h := history{bug: bug, codec: seed%codecEvery == 0}
	w := newWorld(h.bug, h.codec)
	d := newDrawer(seed, w)
	n := 200 + length.IntN(2200)
	h.choices = make([]choice, 0, n)
	w.guard(func() {
		for range n {
			h.choices = append(h.choices, d.next())
			w.do(&h.choices[len(h.choices)-1])
			if w.failed != nil {
				return
			}
		}
		w.rest()
	})
	return h, w
}

// replay runs the choices again, without any chance.
func (h *history) replay(trace func(string)) *world {
	w := newWorld(h.bug, h.codec)
	w.trace = trace
	w.guard(func() {
		for i := range h.choices {
			if trace != nil {
				trace(h.choices[i].String())
			}
			w.do(&h.choices[i])
			if w.failed != nil {
				return
			}
		}
		if trace != nil {
			trace("all faults end, and everything comes to rest")
		}
		w.rest()
	})
	return w
}

// guard makes a panic a violation like others.
func (w *world) guard(run func()) {
	defer func() {
		if p := recover(); p != nil {
			w.failed = nil
			w.fail(0, "panic", "%v\n%s", p, debug.Stack())
		}
	}()
	run()
}

// Failure is a history that broke a promise.
type Failure struct {
	Seed      uint64
	Violation *Violation
	// History is the shortest found that breaks the same promise, one line for each choice, and Trace the same with
	// all that came of them.
	History []string
	Trace   []string
	// Choices is how many the history had before it was cut.
	Choices int
	history history
}

// String tells how to repeat the failure, and shows its history.
func (f *Failure) String() string {
	planted := ""
	if f.history.bug != NoBug {
		planted = " BUG=" + f.history.bug.String()
	}
	return fmt.Sprintf("%v\nto repeat it: make sim SEED=%d HISTORIES=1%s\n%d choices, cut to %d:\n  %s\nwhat came of them:\n  %s\n",
		f.Violation, f.Seed, planted, f.Choices, len(f.History), strings.Join(f.History, "\n  "), strings.Join(f.Trace, "\n  "))
}

// Run simulates histories of consecutive seeds until more says no, and stops at the first that breaks a promise.
func Run(seed uint64, bug Bug, more func(Stats) bool) (Stats, *Failure) {
	var total Stats
	for ; more(total); seed++ {
		h, w := draw(seed, bug)
		total.add(&w.stats)
		if w.failed != nil {
			return total, explain(seed, h, w.failed)
		}
	}
	return total, nil
}

// explain cuts a failed history down and tells it.
func explain(seed uint64, h history, v *Violation) *Failure {
	f := &Failure{Seed: seed, Choices: len(h.choices)}
	f.history = shrink(h, v)
	w := f.history.replay(func(line string) { f.Trace = append(f.Trace, line) })
	f.Violation = w.failed
	if f.Violation == nil { // It does not repeat: the run depends on more than its seed.
		f.Violation = &Violation{Check: "repeatable", Text: "the history does not fail again: " + v.Error()}
	}
	for i := range f.history.choices {
		f.History = append(f.History, f.history.choices[i].String())
	}
	return f
}

// eventText tells an event in a line.
func eventText(e *eventstore.Event) string {
	text := fmt.Sprintf("%s %s version %d at %d ms", e.Data.EventType(), e.AggregateID, e.Version, e.Timestamp.Sub(epoch)/time.Millisecond)
	switch d := e.Data.(type) {
	case *account.BalanceChanged:
		text += fmt.Sprintf(", %s %s to %s, %s", d.ChangeType, d.ChangeAmount, d.NewBalance, d.TransactionID)
	case *account.CreditRefused:
		text += fmt.Sprintf(", %s %s", d.Amount, d.Code)
	case *account.HoldPlaced:
		text += fmt.Sprintf(", %s until %d ms, %s", d.Amount, d.ExpiresAt.Sub(epoch)/time.Millisecond, d.HoldID)
	case *account.HoldReleased:
		text += fmt.Sprintf(", %s %s, %s", d.Amount, d.Cause, d.HoldID)
	default:
	}
	return text
}
