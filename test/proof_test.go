package test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/internal/audit"
	"daybook/internal/testenv"
)

// defaultPartitions is how many a node creates unless told otherwise.
const defaultPartitions = 3

// auditAtRest audits the log once nothing is on its way any more.
func auditAtRest(t testing.TB, n *node) *audit.Report {
	t.Helper()
	var report *audit.Report
	testenv.Eventually(t, func() error {
		report = mustAudit(t, n)
		if len(report.Unfinished) > 0 {
			return fmt.Errorf("%d unfinished: %s", len(report.Unfinished), report.Unfinished[0])
		}
		for id, h := range report.Holds {
			if h.Status == "ACTIVE" && h.ExpiresAt < time.Now().Add(longestHold).UTC().Format(time.RFC3339) {
				return fmt.Errorf("hold %s is about to expire", id)
			}
		}
		return nil
	})
	return report
}

// mustAudit audits the log as it stands and fails on any broken promise.
func mustAudit(t testing.TB, n *node) *audit.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	report, err := audit.Log(ctx, n.brokers())
	if err != nil {
		t.Fatal(err)
	}
	mustHaveNone(t, "promises broken in the log", report.Problems)
	return report
}

func mustHaveNone(t testing.TB, what string, problems []string) {
	t.Helper()
	if len(problems) > 0 {
		t.Fatalf("%d %s:\n%s", len(problems), what, strings.Join(problems[:min(10, len(problems))], "\n"))
	}
}

// answers are what the clients of a load were told last, the opening of the accounts included. A transfer is
// acknowledged once its debit is recorded, whatever its status: one that the other side refuses comes to COMPENSATED.
func (l *load) answers() map[audit.Key]audit.Answer {
	all := answersOf(l.operations)
	for _, id := range l.accounts {
		all[audit.Key{AccountID: id, Key: "create"}] = audit.Answer{Verdict: audit.Acknowledged, Version: 1}
	}
	return all
}

func answersOf(operations []*operation) map[audit.Key]audit.Answer {
	all := map[audit.Key]audit.Answer{}
	for _, o := range operations {
		a := audit.Answer{Verdict: audit.Refused}
		switch {
		case o.acknowledged():
			a.Verdict = audit.Acknowledged
			a.Version = o.answer.Account.Version
			a.Balance = decimal.RequireFromString(o.answer.Account.Balance)
			if o.answer.Transaction != nil {
				a.TransactionID = o.answer.Transaction.ID
			}
			if o.answer.Hold != nil {
				a.HoldID = o.answer.Hold.ID
			}
		case !o.settled:
			a.Verdict = audit.Unknown
		}
		all[audit.Key{AccountID: o.account, Key: o.key}] = a
	}
	return all
}

// prove checks, at rest, that the log holds what clients were told and nothing else, that the read model agrees with
// it, and that every watcher saw each change of its account once and in order.
func (l *load) prove(n *node, watchers []*watcher) *audit.Report {
	l.t.Helper()
	l.mustBeSound()
	report := auditAtRest(l.t, n)
	mustHaveNone(l.t, "answers that the log does not bear out", report.Compare(l.answers()))
	mustHaveNone(l.t, "statuses that the log does not bear out", l.wrongStatuses(report))
	a := newAPI(l.url())
	for _, id := range l.accounts {
		want := report.Accounts[id]
		got, err := a.account(id, want.Version)
		if err != nil || got.Version != want.Version || got.Balance != want.Balance.StringFixed(2) {
			l.t.Fatalf("the read model has %+v (%v) where the log has %s at version %d", got, err, want.Balance, want.Version)
		}
	}
	for _, w := range watchers {
		want := report.Accounts[w.account]
		testenv.Eventually(l.t, func() error {
			changes, err := w.seen()
			if err != nil {
				l.t.Fatal(err)
			}
			return reaches(changes, want)
		})
	}
	return report
}

// wrongStatuses compares the statuses that clients were told with what the transactions came to. PENDING and FAILED
// are what was known at the time; how these went on is in the log.
func (l *load) wrongStatuses(report *audit.Report) []string {
	var wrong []string
	for _, o := range l.operations {
		if !o.acknowledged() || o.answer.Transaction == nil {
			continue
		}
		tx := report.Transactions[o.answer.Transaction.ID]
		if tx == nil {
			wrong = append(wrong, fmt.Sprintf("%s was answered with transaction %s, which is not in the log", o.key, o.answer.Transaction.ID))
			continue
		}
		status := o.answer.Transaction.Status
		right := map[string]bool{
			"PENDING": true, "COMPLETED": tx.Credit != nil || isExternal(tx.To), "FAILED": tx.Refusal != nil, "COMPENSATED": tx.Reversal != nil,
		}[status]
		if !right || (tx.Refusal != nil && status != "PENDING") != (o.answer.Transaction.FailureCode != "") {
			wrong = append(wrong, fmt.Sprintf("%s was answered %+v, the log has %+v", o.key, o.answer.Transaction, tx))
		}
	}
	return wrong
}

// mustHaveTriedAll fails the test when the load left out a way that money can go, or a partition.
func (l *load) mustHaveTriedAll(report *audit.Report) {
	l.t.Helper()
	partitions, tried := map[int32]bool{}, map[string]int{
		"top-ups": 0, "withdrawals": 0, "movements within a partition": 0, "movements across partitions": 0, "refused credits": 0, "reversals": 0,
		"payments": 0, "refunds": 0, "captures": 0, "holds captured": 0, "holds voided": 0, "holds expired": 0, "refused refunds": 0, "refused captures": 0,
		"refused for too little money": 0, "refused for too much money": 0, "answered COMPENSATED": 0,
	}
	for _, tx := range report.Transactions {
		for _, leg := range []*audit.Leg{tx.Debit, tx.Credit, tx.Refusal, tx.Reversal} {
			if leg != nil {
				partitions[leg.Partition] = true
			}
		}
		switch {
		case tx.HoldID != "":
			tried["captures"]++
		case tx.Type == "PAYMENT":
			tried["payments"]++
		case tx.Type == "REFUND":
			tried["refunds"]++
		}
		switch {
		case tx.Debit == nil:
			tried["top-ups"]++
		case isExternal(tx.To):
			tried["withdrawals"]++
		case tx.Credit == nil:
			tried["refused credits"]++
			if tx.Reversal != nil {
				tried["reversals"]++
			}
		case tx.Credit.Partition == tx.Debit.Partition:
			tried["movements within a partition"]++
		default:
			tried["movements across partitions"]++
		}
	}
	for _, o := range l.operations {
		switch {
		case o.acknowledged() && o.answer.Transaction != nil && o.answer.Transaction.Status == "COMPENSATED":
			tried["answered COMPENSATED"]++
		case o.refusedFor("INSUFFICIENT_BALANCE"):
			tried["refused for too little money"]++
		case o.refusedFor("BALANCE_LIMIT_EXCEEDED"):
			tried["refused for too much money"]++
		case o.refusedFor("REFUND_EXCEEDS_PAYMENT"):
			tried["refused refunds"]++
		case o.refusedFor("CAPTURE_EXCEEDS_HOLD"), o.refusedFor("HOLD_NOT_ACTIVE"), o.refusedFor("HOLD_EXPIRED"):
			tried["refused captures"]++
		}
	}
	for _, h := range report.Holds {
		tried["holds "+strings.ToLower(h.Status)]++
	}
	l.t.Logf("partitions %v; %v", partitions, tried)
	for what, times := range tried {
		if times == 0 {
			l.t.Errorf("the load tried no %s", what)
		}
	}
	if len(partitions) != defaultPartitions {
		l.t.Errorf("events stand in the partitions %v, there are %d", partitions, defaultPartitions)
	}
}

func isExternal(id string) bool { return strings.HasPrefix(id, "external:") }

// reaches tells whether a watcher's changes lead to the account's present state. Only refused credits, which move
// nothing, can come after the last change.
func reaches(changes []change, want *audit.Account) error {
	balance, version := "0.00", int64(0)
	if len(changes) > 0 {
		balance, version = changes[len(changes)-1].NewBalance, changes[len(changes)-1].Version
	}
	if balance != want.Balance.StringFixed(2) || int64(len(changes)) != want.Changes {
		return fmt.Errorf("%s: %d changes up to version %d and %s, the log has %d up to version %d and %s",
			want.ID, len(changes), version, balance, want.Changes, want.Version, want.Balance)
	}
	return nil
}
