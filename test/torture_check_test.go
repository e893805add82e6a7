package test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/shopspring/decimal"

	"daybook/internal/audit"
	"daybook/internal/tally"
)

const (
	healPatience = 2 * time.Minute
	// impatience is for the rest, once something did not come about in time.
	impatience = 2 * time.Second
	// sampledRepeats of all that was acknowledged are sent again in the end.
	sampledRepeats = 300
	slice          = time.Second
)

// answered is the last that clients were told, of every key. What was refused is held against the log only where no try
// is open: its sender had given it up, and cannot know.
func (l *torment) answered() map[audit.Key]audit.Answer {
	all := map[audit.Key]audit.Answer{}
	for _, c := range l.commands {
		all[audit.Key{AccountID: c.account, Key: c.key}] = answerOf(c.operation, c.open())
	}
	for _, h := range l.histories {
		for _, r := range h.records {
			if r.kind != looked && r.kind != lookedLast {
				all[audit.Key{AccountID: r.operation.account, Key: r.key}] = answerOf(&r.operation, r.lost)
			}
		}
	}
	return all
}

func answerOf(o *operation, open bool) audit.Answer {
	switch {
	case o.acknowledged():
		a := audit.Answer{
			Verdict: audit.Acknowledged, Version: o.answer.Account.Version, Balance: decimal.RequireFromString(o.answer.Account.Balance),
		}
		if o.answer.Transaction != nil {
			a.TransactionID = o.answer.Transaction.ID
		}
		if o.answer.Hold != nil {
			a.HoldID = o.answer.Hold.ID
		}
		return a
	case o.settled && !open:
		return audit.Answer{Verdict: audit.Refused}
	}
	return audit.Answer{Verdict: audit.Unknown}
}

// count counts what was lost, done twice, or done though it was said not to be.
func count(run *tally.Run, report *audit.Report, answers map[audit.Key]audit.Answer) {
	for _, problem := range report.Compare(answers) {
		switch {
		case strings.Contains(problem, "was acknowledged"):
			run.Lost++
		case strings.Contains(problem, "was refused"):
			run.Resurrected++
		}
	}
	for _, problem := range report.Problems {
		if twice.MatchString(problem) {
			run.Duplicated++
		}
	}
}

// twice is how an audit tells of an effect that is in the log twice.
var twice = regexp.MustCompile(`has the idempotency key of version|has an event id that was used before|is the second|was credited and refused|is there twice`)

// lateOnes are the commands that were refused when they were sent again, and had taken effect or did later, at an open
// try. One that a node had answered, that it does not know, must not take effect after a later try was refused.
func (l *torment) lateOnes(report *audit.Report) (late int, wrong []string) {
	for _, c := range l.commands {
		effect, there := report.Keys[audit.Key{AccountID: c.account, Key: c.key}]
		if !there || c.acknowledged() || !c.settled {
			continue
		}
		lost := slices.ContainsFunc(c.attempts, func(a attempt) bool { return a.Heard == heardLost })
		tooLate := c.attempts[len(c.attempts)-1].Code == "BAD_USER_INPUT" // It was not looked up whether it had happened.
		if !lost && c.open() && !tooLate {
			wrong = append(wrong, fmt.Sprintf("%s on %s was refused after an unknown outcome, and the log has %+v: %+v", c.key, c.account, effect, c.attempts))
		}
		late++
	}
	return late, wrong
}

// takenBack counts the commands whose senders believed that nothing was done, and left it at that.
func (l *torment) takenBack() (n int) {
	for _, c := range l.commands {
		if c.settled && !c.open() && c.attempts[len(c.attempts)-1].Heard == heardNothing {
			n++
		}
	}
	return n
}

// halves are the atomic batches of which a part is in the log, and a part is not.
func (l *torment) halves(report *audit.Report) []string {
	there := map[*bundle]int{}
	for _, c := range l.commands {
		if _, ok := report.Keys[audit.Key{AccountID: c.account, Key: c.key}]; ok && c.group != nil {
			there[c.group]++
		}
	}
	var wrong []string
	for group, n := range there {
		if n < len(group.commands) {
			wrong = append(wrong, fmt.Sprintf("of the %d commands of the atomic batch of %s on %s, %d are in the log",
				len(group.commands), group.commands[0].key, group.commands[0].account, n))
		}
	}
	return wrong
}

// onFullDisk are the commands that were begun and acknowledged while a disk was full.
func (l *torment) onFullDisk(faults []*fault) []string {
	var wrong []string
	for _, f := range faults {
		for _, c := range l.commands {
			if f.kind != diskFull || !c.acknowledged() {
				continue
			}
			last := c.attempts[len(c.attempts)-1]
			if last.At > f.begin+fullLongEnough && last.At+last.Took < f.end {
				wrong = append(wrong, fmt.Sprintf("%s on %s was acknowledged at %s, the disk was full since %s", c.key, c.account, last.At, f.begin))
			}
		}
	}
	return wrong
}

// repeatAll sends a sample of all that was acknowledged again, when every node has been killed since: the answers must
// be as they were, each within the patience.
func (l *torment) repeatAll(patience time.Duration) {
	random := rand.New(rand.NewPCG(l.seed, 4))
	a := newAPI("")
	for range min(sampledRepeats, len(l.acknowledged)) {
		c := l.acknowledged[random.IntN(len(l.acknowledged))]
		again := &order{operation: &operation{key: c.key, account: c.account, document: c.document, input: c.input}}
		for deadline := time.Now().Add(patience); !again.settled; {
			m := l.aim(a, random, partitionOf(c.account))
			at := time.Now()
			again.answer, again.err = a.mutate(c.document, c.input)
			heard, _ := sortAnswer(again.operation)
			again.settled = heard == heardAck || heard == heardRefused
			l.note(again, &attempt{Heard: heardNothing, Error: fmt.Sprint(again.err)}, at.Sub(l.begun), slices.Index(l.g.nodes, m))
			if !again.settled && time.Now().After(deadline) {
				l.fault(fmt.Errorf("%s on %s, sent again in the end, has no answer: %w", c.key, c.account, again.err))
				return
			}
		}
		if !again.acknowledged() || !sameAnswer(c.answer, again.answer) {
			l.fault(fmt.Errorf("%s on %s was acknowledged with %+v and, sent again in the end, answered %+v", c.key, c.account, c.answer, again.answer))
		}
		l.repeats++
	}
}

// atRest audits the log once nothing is on its way any more.
func (l *torment) atRest(brokers []string) (report *audit.Report) {
	l.eventually("coming to rest", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), healPatience)
		defer cancel()
		var err error
		if report, err = audit.Log(ctx, brokers); err != nil {
			return err
		}
		if len(report.Unfinished) > 0 {
			return fmt.Errorf("%d are unfinished: %s", len(report.Unfinished), report.Unfinished[0])
		}
		for id, h := range report.Holds {
			if h.Status == "ACTIVE" {
				return fmt.Errorf("the hold %s, which expires at %s, is active", id, h.ExpiresAt)
			}
		}
		return nil
	})
	return report
}

// eventually waits until the condition holds; when it does not, the run fails and goes on.
func (l *torment) eventually(what string, condition func() error) {
	patience := healPatience
	if l.impatient {
		patience = impatience
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			l.t.Errorf("%s was not done within %s: %v", what, patience, err)
			l.impatient = true
			return
		}
	}
}

// mustRead compares the read model, as every node tells of it, with the log.
func (l *torment) mustRead(report *audit.Report) {
	for _, m := range l.g.nodes {
		a := newAPI(m.url)
		for _, id := range l.accounts {
			want := report.Accounts[id]
			if want == nil {
				continue // It is told elsewhere.
			}
			var got *accountAnswer
			l.eventually("reading "+id+" on "+m.name, func() (err error) {
				got, err = a.account(id, want.Version)
				return err
			})
			if got == nil || got.Version != want.Version || got.Balance != want.Balance.StringFixed(2) {
				l.t.Errorf("%s reads %+v where the log has %s at version %d", m.name, got, want.Balance, want.Version)
			}
		}
	}
}

// mustHaveWatched checks that every watcher saw each change of its account once and in order.
func (l *torment) mustHaveWatched(report *audit.Report, watchers []*watcher) (resumed int) {
	for _, w := range watchers {
		w.mu.Lock()
		resumed += w.resumed
		w.mu.Unlock()
		want := report.Accounts[w.account]
		if want == nil {
			continue
		}
		l.eventually("watching "+w.account, func() error {
			changes, err := w.seen()
			if broken := (*brokenChain)(nil); errors.As(err, &broken) {
				l.t.Errorf("the subscription to %s: %v", w.account, err)
				return nil
			}
			return reaches(changes, want)
		})
	}
	return resumed
}

// mustBeLinearizable checks every history, account by account.
func (c *trial) mustBeLinearizable(report *audit.Report) (checked, undecided int) {
	for _, h := range c.l.histories {
		c.try(func() {
			h.lookLast(report)
			steps := h.steps(report)
			for _, id := range h.accounts {
				checked++
				if verdict := linearizable(of(steps, id)); strings.HasPrefix(verdict, string(porcupine.Unknown)) {
					c.Logf("%s could not be checked in time: %s", id, verdict)
					undecided++
				} else if verdict != "" {
					c.Errorf("%s: %s", id, verdict)
				}
			}
		})
	}
	return checked, undecided
}

// serve counts the slices of time in which each partition acknowledged something, up to the end.
func (l *torment) serve(run *tally.Run, from, end time.Duration) {
	for _, acks := range l.acks {
		served := map[time.Duration]bool{}
		for _, at := range acks {
			if at >= from && at < end {
				served[(at-from)/slice] = true
			}
		}
		run.Served += len(served)
		run.Asked += int((end - from) / slice)
	}
}

// recovered is how long it took at most, by kind of fault, from its beginning until every partition acknowledged
// something again.
func (l *torment) recovered(faults []*fault) map[string]float64 {
	slowest := map[string]float64{}
	for p := range l.acks {
		slices.Sort(l.acks[p])
	}
	for _, f := range faults {
		for _, acks := range l.acks {
			if i, _ := slices.BinarySearch(acks, f.begin); i < len(acks) {
				slowest[f.kind] = max(slowest[f.kind], (acks[i] - f.begin).Seconds())
			}
		}
	}
	return slowest
}

// mustHaveTried fails a run that left out what it is there for.
func (l *torment) mustHaveTried(report *audit.Report) {
	tried := map[string]int{}
	for _, c := range l.commands {
		if c.acknowledged() {
			tried[c.document]++
		}
		if c.group != nil && c.acknowledged() {
			tried["a command of an atomic batch"]++
		}
	}
	for _, tx := range report.Transactions {
		switch {
		case tx.Reversal != nil:
			tried["a reversal"]++
		case tx.Debit != nil && tx.Credit != nil && tx.Debit.Partition != tx.Credit.Partition:
			tried["a movement across partitions"]++
		}
	}
	tried["a repeat"], tried["a conflict"] = l.repeats, l.conflicts
	wanted := append(slices.Collect(maps.Keys(batchFields)), "a command of an atomic batch", "a reversal", "a movement across partitions", "a repeat", "a conflict")
	for _, what := range wanted {
		if tried[what] == 0 {
			l.t.Errorf("the run has not tried %s", what)
		}
	}
}
