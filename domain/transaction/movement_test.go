package transaction

import (
	"fmt"
	"testing"

	"daybook/domain"
	"daybook/domain/account"
)

// kind is a kind of movement between two accounts of the books, with the ids that it carries.
type kind struct {
	kind             account.MovementType
	holdID, refundOf string
}

// kinds are tested with 12.50 from ann to bob.
var kinds = map[string]kind{
	"transfer": {kind: account.Transfer},
	"payment":  {kind: account.Payment},
	"capture":  {kind: account.Payment, holdID: "h-1"},
	"refund":   {kind: account.Refund, refundOf: "tx-0"},
}

func eachKind(t *testing.T, test func(*testing.T, kind)) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) { test(t, k) })
	}
}

func (k kind) details() Details {
	d := rent
	d.Type, d.HoldID, d.RefundOf = k.kind, k.holdID, k.refundOf
	return d
}

func (k kind) leg(direction account.ChangeType, counterparty string) *account.BalanceChanged {
	e := leg(direction, counterparty)
	e.TransactionType, e.HoldID, e.RefundOf = k.kind, k.holdID, k.refundOf
	return e
}

func (k kind) movement(counterparty string) account.Movement {
	m := rentTo(counterparty)
	m.TransactionType, m.HoldID, m.RefundOf = k.kind, k.holdID, k.refundOf
	return m
}

func TestEveryMovementIsRequestedByItsDebit(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		requested := Event{Details: k.details(), Status: Pending}
		when("ann", k.leg(account.Debit, "bob"), true).then(t, nil, requested)
		when("ann", k.leg(account.Debit, "bob"), false).
			then(t, &Step{Kind: StepCredit, AccountID: "bob", Movement: k.movement("ann")}, requested)
	})
}

func TestEveryMovementIsCompletedByItsCredit(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, same := range []bool{false, true} {
			when("bob", k.leg(account.Credit, "ann"), same).then(t, nil, Event{Details: k.details(), Status: Completed})
		}
	})
}

func TestEveryMovementGoesBackWhenItsCreditIsRefused(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for _, same := range []bool{false, true} {
			when("bob", account.Refused(k.movement("ann"), domain.BalanceLimitExceeded), same).then(t,
				&Step{Kind: StepReverse, AccountID: "ann", Movement: k.movement("bob"), Code: domain.BalanceLimitExceeded},
				Event{Details: k.details(), Status: Failed, FailureCode: domain.BalanceLimitExceeded})
			back := k.leg(account.Credit, "bob")
			back.Reversal, back.RefusalCode = true, domain.BalanceLimitExceeded
			when("ann", back, same).
				then(t, nil, Event{Details: k.details(), Status: Compensated, FailureCode: domain.BalanceLimitExceeded})
		}
	})
}

func TestWithdrawalIsRequestedAndCompletedAtOnce(t *testing.T) {
	withdrawal := kind{kind: account.Withdrawal}
	d := withdrawal.details()
	d.To = "external:bank:EUR"
	for _, same := range []bool{false, true} {
		when("ann", withdrawal.leg(account.Debit, "external:bank:EUR"), same).
			then(t, nil, Event{Details: d, Status: Pending}, Event{Details: d, Status: Completed})
	}
}

// books are the accounts by id. Each lives in a partition of its own.
type books map[string]account.State

func (b books) record(id string, events ...account.Event) (derived []Event, step *Step) {
	for _, e := range events {
		b[id] = b[id].Apply(id, e, start)
		derived, step = React(id, e, false)
	}
	return derived, step
}

func TestStepsCarryAMovementToItsEnd(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		for bobs, want := range map[account.Status]Status{account.Active: Completed, account.Closed: Compensated} {
			b, tx := books{}, State{}
			b.record("ann", &account.Created{Currency: "EUR", Limits: account.Limits{Min: dec("-100.00")}})
			b.record("bob", &account.Created{Currency: "EUR"}, &account.StatusChanged{NewStatus: bobs})
			events, step := b.record("ann", k.leg(account.Debit, "bob"))
			for range 3 {
				for _, e := range events {
					tx = tx.Apply("tx-1", &e, start)
				}
				if events = nil; step != nil {
					events, step = b.record(step.AccountID, answer(b[step.AccountID], step))
				}
			}
			if step != nil || tx.Status != want || fmt.Sprint(tx.Details) != fmt.Sprint(k.details()) {
				t.Errorf("ends %+v with step %+v, want %s", tx, step, want)
			}
			ann, bob := "100.00", "0.00" // The leg says that she had so much.
			if want == Completed {
				ann, bob = "87.50", "12.50"
			}
			if !b["ann"].Balance.Equal(dec(ann)) || !b["bob"].Balance.Equal(dec(bob)) {
				t.Errorf("%s leaves ann %s and bob %s, want %s and %s", want, b["ann"].Balance, b["bob"].Balance, ann, bob)
			}
		}
	})
}

// answer is what an account records of a step.
func answer(s account.State, step *Step) account.Event {
	if step.Kind == StepReverse {
		return account.DecideReversal(s, step.Movement, step.Code)
	}
	e, err := account.DecideCredit(s, step.Movement)
	if err != nil {
		return account.Refused(step.Movement, domain.CodeOf(err))
	}
	return e
}
