package test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"daybook/internal/audit"
	"daybook/internal/testenv"
)

// checkPatience bounds how long one account's history is checked.
const checkPatience = 60 * time.Second

// Clients move money among few accounts at once, while the node is killed and started again. What they were told is
// linearizable on every account:
//
//   - A mutation that was carried out took effect at one moment between its request and its answer, and its answer is
//     the account at that moment: version, status, balance, held, available and limits.
//   - A refusal was the truth at one moment between request and answer: of the account addressed, or of the other side
//     when it is about that one. What an answer says to be COMPLETED, FAILED or COMPENSATED was so by then.
//   - A command whose answer was lost took effect at one moment after its request, or never.
//   - Credits, refused credits and reversals that follow by themselves are taken from the log, with the versions that
//     they have there. Each has its moment between the request that led to it and the answer that told of it or, when
//     none did, the end. A hold expires after its time.
//   - A query shows the account as it was at one moment before its answer came, and not before the version asked for.
//     It need not be the latest: the read model follows the log.
//
// Being linearizable is checked account by account. That both sides of a movement agree is for the audit.
func TestEachAccountIsLinearizable(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		n := startNode(t, b)
		url := n.url // It stays when the node starts again.
		h := newHistory(t, func() string { return url }, testenv.Seed(t), "linear", 16, 80)
		h.run(func() {
			n.kill()
			n.start()
		})
		steps := h.conclude(n)
		h.mustHaveTriedAll(steps)
		h.mustBeLinearizable(steps)
	})
}

// The checker is trusted because it finds every fault that is planted into a sound history of the same kind, and nothing
// in one that ends as near to a fault as can be. Few clients make the history: to find that there is no order at all,
// all are tried.
func TestWhatIsNotLinearizableIsFound(t *testing.T) {
	n := startNode(t, embeddedBackend())
	h := newHistory(t, func() string { return n.url }, testenv.Seed(t), "planted", 4, 60)
	h.run(func() {})
	steps := h.conclude(n)
	h.mustBeLinearizable(steps)
	for _, name := range slices.Sorted(maps.Keys(linearEnds)) {
		h.plant(steps, name, linearEnds[name], porcupine.Ok)
	}
	for _, name := range slices.Sorted(maps.Keys(linearFaults)) {
		h.plant(steps, name, linearFaults[name], porcupine.Illegal)
	}
}

// plant alters the history of the first account that has a place for it.
func (h *history) plant(steps []step, name string, alter func([]step) []step, want porcupine.CheckResult) {
	for _, id := range h.accounts {
		if altered := alter(of(steps, id)); altered != nil {
			if got := porcupine.CheckOperationsTimeout(accountModel, operationsOf(altered), checkPatience); got != want {
				h.t.Errorf("%s, planted into the history of %s: %s", name, id, got)
			}
			return
		}
	}
	h.t.Errorf("no history has a place for %s", name)
}

// conclude waits until nothing is on its way, reads every account once more, and gives all that happened.
func (h *history) conclude(n *node) []step {
	if h.t.Failed() {
		h.t.FailNow()
	}
	report := auditAtRest(h.t, n)
	mustHaveNone(h.t, "answers that the log does not bear out", report.Compare(answersOf(h.commands())))
	h.lookLast(report)
	return h.steps(report)
}

func (h *history) mustBeLinearizable(steps []step) {
	h.t.Helper()
	for _, id := range h.accounts {
		if verdict := linearizable(of(steps, id)); verdict != "" {
			h.t.Errorf("%s: %s", id, verdict)
		}
	}
}

// commands are what was sent, without the reads.
func (h *history) commands() []*operation {
	var all []*operation
	for _, r := range h.records {
		if r.kind != looked {
			all = append(all, &r.operation)
		}
	}
	return all
}

// lookLast reads every account when nothing is on its way any more.
func (h *history) lookLast(report *audit.Report) {
	a := newAPI(h.url())
	h.rest = h.at(time.Now())
	for _, id := range h.accounts {
		call := h.at(time.Now())
		got, err := a.account(id, report.Accounts[id].Version)
		if err != nil {
			h.t.Fatal(err)
		}
		h.records = append(h.records, &record{step: step{
			account: id, kind: lookedLast, call: call, ret: h.at(time.Now()), atLeast: report.Accounts[id].Version, seen: viewOf(got),
		}})
	}
}

// steps splits the records into what happened on each account, and adds what only the log tells.
func (h *history) steps(report *audit.Report) []step {
	var all []step
	byTransaction := map[string]*record{}
	expires := map[string]int64{} // By hold.
	for _, r := range h.records {
		if effect, ok := report.Keys[audit.Key{AccountID: r.operation.account, Key: r.key}]; ok && r.kind != looked {
			r.tx, r.hold = cmp.Or(r.tx, effect.TransactionID), cmp.Or(r.hold, effect.HoldID)
			byTransaction[effect.TransactionID] = r
			if r.lost && !r.acknowledged() { // It was given up on its way, and refused when it was sent again.
				r.unknown, r.code, r.elsewhere, r.ret = true, "", false, forEver
			}
			if r.unknown { // The log tells which version it led to.
				r.atLeast = effect.Version
			}
		}
		if r.kind == authorized {
			expires[r.hold] = r.expires
		}
		if r.unknown && r.atLeast == 0 {
			continue // It is not in the log, at rest: it never happened.
		}
		if r.err != nil && !r.unknown || r.kind == refunded && r.code == "ACCOUNT_CLOSED" {
			continue // It did nothing, or does not say which side is closed.
		}
		s := r.step
		if s.kind == looked {
			s.call = 0 // What it shows may be older than the question.
		}
		all = append(all, s)
		if s.elsewhere {
			s.account, s.kind, s.expected = r.to, denied, 0
			all = append(all, s)
		}
	}
	for _, tx := range report.Transactions {
		if !slices.Contains(h.accounts, tx.From) && !slices.Contains(h.accounts, tx.To) {
			continue // Of somebody else.
		}
		all = append(all, h.legs(tx, byTransaction[tx.ID])...)
	}
	for id, hold := range report.Holds {
		if hold.Status == "EXPIRED" {
			all = append(all, step{account: hold.AccountID, kind: expired, client: h.clients, call: expires[id] - clockSlack, ret: h.rest, hold: id})
		}
	}
	return all
}

// legs are the steps of a transaction on accounts that were not addressed.
func (h *history) legs(tx *audit.Transaction, r *record) []step {
	if r == nil {
		h.t.Fatalf("transaction %s is in the log, and no operation led to it", tx.ID)
	}
	var all []step
	add := func(kind, account string, leg *audit.Leg, told bool) {
		s := step{
			account: account, kind: kind, client: h.clients, call: r.call, ret: h.rest, atLeast: leg.Version,
			amount: tx.Amount.Shift(2).IntPart(), tx: tx.ID, transactionType: tx.Type,
		}
		if told && !r.unknown {
			s.ret = r.ret
		}
		if kind == reversed {
			s.payment = tx.RefundOf
		}
		all = append(all, s)
	}
	status := ""
	if r.answer.Transaction != nil {
		status = r.answer.Transaction.Status
	}
	if tx.Credit != nil && tx.Debit != nil {
		add(credited, tx.To, tx.Credit, status == "COMPLETED")
	}
	if tx.Refusal != nil {
		add(creditRefused, tx.To, tx.Refusal, status == "FAILED" || status == "COMPENSATED")
	}
	if tx.Reversal != nil {
		add(reversed, tx.From, tx.Reversal, status == "COMPENSATED")
	}
	return all
}

func of(steps []step, account string) []step {
	return slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return s.account != account })
}

// linearizable returns what is wrong with the history of one account; empty when nothing is.
func linearizable(steps []step) string {
	operations := operationsOf(steps)
	result := porcupine.CheckOperationsTimeout(accountModel, operations, checkPatience)
	if result == porcupine.Ok {
		return ""
	}
	if result == porcupine.Unknown {
		return fmt.Sprintf("%s after %s", result, checkPatience)
	}
	_, info := porcupine.CheckOperationsVerbose(accountModel, operations, checkPatience)
	return string(result) + "\n" + explain(steps, info.PartialLinearizationsOperations()[0])
}

func operationsOf(steps []step) []porcupine.Operation {
	operations := make([]porcupine.Operation, len(steps))
	for i := range steps {
		s := &steps[i]
		operations[i] = porcupine.Operation{ClientId: s.client, Input: s, Call: s.call, Return: s.ret}
	}
	return operations
}

// explain shows where the longest order that could be found ends, and what should have come next.
func explain(steps []step, partial [][]porcupine.Operation) string {
	var longest []porcupine.Operation
	for _, p := range partial {
		if len(p) > len(longest) {
			longest = p
		}
	}
	b, placed := accountModel.Init(), map[*step]bool{}
	for _, o := range longest {
		_, b = accountModel.Step(b, o.Input, nil)
		placed[o.Input.(*step)] = true
	}
	var left []*step
	for i := range steps {
		if !placed[&steps[i]] {
			left = append(left, &steps[i])
		}
	}
	slices.SortFunc(left, func(a, b *step) int { return cmp.Compare(a.ret, b.ret) })
	text := fmt.Sprintf("%d of %d steps can be put in an order, which leads to %+v; of the others, these end first:", len(longest), len(steps), b.(*book).view)
	for _, s := range left[:min(6, len(left))] {
		text += fmt.Sprintf("\n  %+v", *s)
		if h, ok := b.(*book).holds[s.hold]; ok {
			text += fmt.Sprintf("\n    where the hold is %+v", h)
		}
	}
	return text
}

// mustHaveTriedAll fails the test when the history left something out that it is there for.
func (h *history) mustHaveTriedAll(steps []step) {
	h.t.Helper()
	tried := map[string]int{}
	for _, s := range steps {
		what := s.kind
		if s.code != "" && s.kind != denied {
			what = s.code
		}
		tried[what]++
	}
	h.t.Logf("%d steps: %v; %d answers were lost", len(steps), tried, h.lost)
	for _, what := range []string{
		toppedUp, withdrawn, transferred, paid, refunded, authorized, captured, voided, statusChanged, limitsChanged, credited,
		expired, looked, "INSUFFICIENT_BALANCE", "BALANCE_LIMIT_EXCEEDED", "VERSION_CONFLICT", "ACCOUNT_SUSPENDED",
	} {
		if tried[what] == 0 {
			h.t.Errorf("the history has no %s", what)
		}
	}
	if h.lost == 0 {
		h.t.Error("no answer was lost when the node was killed")
	}
}
