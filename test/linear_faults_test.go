package test

import "slices"

// linearFaults alter the history of one account by one fault each. They return nil when the history has no place for it.
var linearFaults = map[string]func(steps []step) []step{
	"a read older than asked for": func(steps []step) []step {
		return pair(steps, func(read, write *step) bool {
			found := read.kind == looked && write.answered() && write.seen.version < read.atLeast
			if found {
				read.seen = write.seen
			}
			return found
		})
	},
	"a read of what is not written yet": func(steps []step) []step {
		return pair(steps, func(read, write *step) bool {
			found := read.kind == looked && write.answered() && read.ret < write.call
			if found {
				read.seen = write.seen
			}
			return found
		})
	},
	"a read of a balance that never was": func(steps []step) []step {
		return pair(steps, func(read, _ *step) bool {
			read.seen.balance++
			return read.kind == looked
		})
	},
	"an answer from before": func(steps []step) []step {
		return pair(steps, func(late, early *step) bool {
			found := late.answered() && early.answered() && early.seen.version < late.seen.version
			if found {
				late.seen = early.seen
			}
			return found
		})
	},
	"two operations of one version": func(steps []step) []step {
		return pair(steps, func(late, early *step) bool {
			found := late.answered() && early.answered() && early.seen.version == late.seen.version-1
			if found {
				late.seen.version--
			}
			return found
		})
	},
	"an order against time": func(steps []step) []step {
		return pair(steps, func(early, late *step) bool {
			found := early.answered() && late.answered() && early.ret < late.call && early.seen.version < late.seen.version
			if found {
				early.call, early.ret, late.call, late.ret = late.call, late.ret, early.call, early.ret
			}
			return found
		})
	},
	"a credit that comes after an answer that knows of it": func(steps []step) []step {
		return pair(steps, func(credit, write *step) bool {
			found := credit.kind == credited && write.answered() && write.seen.version > credit.atLeast
			if found {
				credit.call, credit.ret = write.ret+1, forEver
			}
			return found
		})
	},
	"a lost update": func(steps []step) []step {
		i := slices.IndexFunc(steps, func(s step) bool { return s.answered() && s.kind == toppedUp && s.expected == 0 })
		if i < 0 {
			return nil
		}
		lost := steps[i]
		lost.seen.version++
		lost.seen.balance += lost.amount
		lost.seen.available += lost.amount
		lost.tx = "of another top-up"
		return append(steps, lost)
	},
	"the lower limit passed":           atTheEnd(func(e *ending) { e.debit(e.available - e.min + 1) }),
	"the upper limit passed":           atTheEnd(func(e *ending) { e.limit(e.balance + 10); e.credit(11) }),
	"a debit of a suspended account":   atTheEnd(func(e *ending) { e.become("SUSPENDED"); e.debit(1) }),
	"an account closed with a balance": atTheEnd(func(e *ending) { e.credit(1); e.become("CLOSED") }),
	"an account closed for good and opened again": atTheEnd(func(e *ending) {
		e.debit(e.available)
		e.become("CLOSED")
		e.become("ACTIVE")
	}),
	"a refusal for nothing": atTheEnd(func(e *ending) {
		e.credit(1)
		e.add(step{kind: withdrawn, amount: 1, code: "INSUFFICIENT_BALANCE"})
	}),
	"a refusal for what is over": atTheEnd(func(e *ending) {
		e.become("SUSPENDED")
		e.become("ACTIVE")
		e.add(step{kind: withdrawn, amount: 1, code: "ACCOUNT_SUSPENDED"})
	}),
	"more captured than held": atTheEnd(func(e *ending) { e.credit(10); e.hold(10); e.capture(11) }),
	"more refunded than paid": atTheEnd(func(e *ending) { e.paid(10); e.refund(6); e.refund(5) }),
	"a key that takes effect twice": atTheEnd(func(e *ending) {
		e.credit(5)
		e.steps = append(e.steps, e.steps[len(e.steps)-1])
	}),
}

// linearEnds are endings without fault, as near to it as can be: what the faults above are told from.
var linearEnds = map[string]func(steps []step) []step{
	"down to the lower limit":         atTheEnd(func(e *ending) { e.debit(e.available - e.min) }),
	"up to the upper limit":           atTheEnd(func(e *ending) { e.limit(e.balance + 10); e.credit(10) }),
	"a credit of a suspended account": atTheEnd(func(e *ending) { e.become("SUSPENDED"); e.credit(1) }),
	"all that is held captured":       atTheEnd(func(e *ending) { e.credit(10); e.hold(10); e.capture(10) }),
	"all that was paid refunded":      atTheEnd(func(e *ending) { e.paid(10); e.refund(6); e.refund(4) }),
}

// answered tells whether the step changed the account and was answered at once with a version of its own.
func (s *step) answered() bool { return s.seen.version > 0 && s.kind != looked && s.kind != lookedLast }

// pair alters the first pair of steps that the fault fits.
func pair(steps []step, fault func(a, b *step) bool) []step {
	for i := range steps {
		for j := range steps {
			a, b := steps[i], steps[j]
			if i != j && fault(&a, &b) {
				steps[i], steps[j] = a, b
				return steps
			}
		}
	}
	return nil
}

// ending goes on where a history ends, one step after the other.
type ending struct {
	view
	steps []step
	now   int64
	// left is what the hold keeps.
	left int64
}

// atTheEnd adds what an ending does to the history of an account that is not closed, which it sets to rights first.
func atTheEnd(do func(e *ending)) func(steps []step) []step {
	return func(steps []step) []step {
		last := steps[slices.IndexFunc(steps, func(s step) bool { return s.kind == lookedLast })]
		if last.seen.status == "CLOSED" {
			return nil
		}
		e := &ending{view: last.seen, steps: steps, now: last.ret}
		e.become("ACTIVE")
		e.limit(noLimit)
		do(e)
		return e.steps
	}
}

func (e *ending) add(s step) {
	s.account, s.call, s.ret = e.steps[0].account, e.now+1, e.now+2
	e.now += 2
	if s.code == "" {
		e.version++
		e.available = e.balance - e.held
		if s.kind == credited {
			s.atLeast = e.version
		} else {
			s.seen, s.moved, s.left = e.view, s.amount, e.left
		}
	}
	e.steps = append(e.steps, s)
}

func (e *ending) become(status string) {
	e.status = status
	e.add(step{kind: statusChanged, newStatus: status})
}

func (e *ending) limit(most int64) {
	e.max = most
	e.add(step{kind: limitsChanged, min: e.min, max: most})
}

func (e *ending) credit(amount int64) {
	e.balance += amount
	e.add(step{kind: toppedUp, amount: amount})
}

func (e *ending) debit(amount int64) {
	e.balance -= amount
	e.add(step{kind: withdrawn, amount: amount})
}

func (e *ending) hold(amount int64) {
	e.held, e.left = e.held+amount, amount
	e.add(step{kind: authorized, hold: "planted", amount: amount, expires: forEver / 2, ended: "ACTIVE"})
}

func (e *ending) capture(amount int64) {
	e.balance, e.held, e.left = e.balance-amount, e.held-amount, e.left-amount
	e.add(step{kind: captured, hold: "planted", amount: amount, ended: "CAPTURED"})
}

func (e *ending) paid(amount int64) {
	e.balance += amount
	e.add(step{kind: credited, tx: "planted", amount: amount, transactionType: "PAYMENT"})
}

func (e *ending) refund(amount int64) {
	e.balance -= amount
	e.add(step{kind: refunded, payment: "planted", amount: amount})
}
