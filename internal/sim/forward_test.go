package sim

import (
	"testing"

	"daybook/domain"
)

// askTwice is a history of a withdrawal that is asked for at a node that does not own the account, and given up there; then at
// the owner, when it is not covered. It is covered afterwards. The first attempt's parcel reaches the command topic before the
// owner first decides the second, or only at the end.
func askTwice(inTime bool) *world {
	const acct = 4
	part := homes[acct]
	owner := int8(part)
	other := (owner + 1) % nodes
	asked := func(op int32, v verb, amount int64) []spec {
		return []spec{{op: op, key: op, verb: v, acct: acct, amount: amount, max: none, version: none}}
	}
	tick, mail := choice{kind: kTick, part: part}, choice{kind: kMail, part: part}
	h := history{choices: []choice{
		{kind: kSubmit, node: owner, specs: asked(1, vCreate, 0)}, tick,
		{kind: kSubmit, node: other, specs: asked(2, vWithdraw, 100)},
		{kind: kPost, node: other, part: part, mode: crashed},
	}}
	if inTime {
		h.choices = append(h.choices, mail)
	}
	h.choices = append(h.choices,
		choice{kind: kRetry, op: 2, node: owner},
		choice{kind: kDecide, node: owner, part: part, n: 1, mode: late}, tick,
		choice{kind: kSubmit, node: owner, specs: asked(3, vTopUp, 400)}, tick, mail, tick)
	return h.replay(nil)
}

func TestAnAttemptThatStoodInTheTopicIsNotCarriedOutAfterALaterOneWasRefused(t *testing.T) {
	w := askTwice(true)
	if w.failed != nil {
		t.Fatal(w.failed)
	}
	first, second := w.ops[2].attempts[0], w.ops[2].attempts[1]
	if first.events != 0 || domain.CodeOf(second.err) != domain.InsufficientBalance {
		t.Errorf("the first attempt led to %d events, the second was told %v", first.events, second.err)
	}
}

// What the documentation says remains possible is seen here to be possible.
func TestAnAttemptThatReachesTheTopicLateIsCarriedOutAfterALaterOneWasRefused(t *testing.T) {
	w := askTwice(false)
	if w.failed != nil {
		t.Fatal(w.failed)
	}
	first, second := w.ops[2].attempts[0], w.ops[2].attempts[1]
	if first.events != 1 || domain.CodeOf(second.err) != domain.InsufficientBalance || w.stats.Overtaken != 1 {
		t.Errorf("the first attempt led to %d events, the second was told %v, %d were counted", first.events, second.err, w.stats.Overtaken)
	}
}
