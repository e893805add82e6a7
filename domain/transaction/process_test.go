package transaction

import (
	"fmt"
	"testing"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
)

var dec = decimal.RequireFromString

// derived is what React derives from an account's event.
type derived struct {
	events []Event
	step   *Step
}

func when(accountID string, e account.Event, samePartition bool) derived {
	events, step := React(accountID, e, samePartition)
	return derived{events, step}
}

func (d derived) then(t *testing.T, step *Step, events ...Event) {
	t.Helper()
	if fmt.Sprintf("%#v", d.events) != fmt.Sprintf("%#v", events) {
		t.Errorf("events\n%#v, want\n%#v", d.events, events)
	}
	if (d.step == nil) != (step == nil) || (step != nil && fmt.Sprintf("%#v", *d.step) != fmt.Sprintf("%#v", *step)) {
		t.Errorf("step\n%#v, want\n%#v", d.step, step)
	}
}

// rent is 12.50 from ann to bob.
var rent = Details{Type: account.Transfer, Amount: dec("12.50"), Currency: "EUR", From: "ann", To: "bob", Reason: "rent"}

func leg(direction account.ChangeType, counterparty string) *account.BalanceChanged {
	return &account.BalanceChanged{
		PreviousBalance: dec("100.00"), NewBalance: dec("87.50"), ChangeAmount: dec("12.50"), ChangeType: direction,
		Reason: "rent", TransactionID: "tx-1", Currency: "EUR", TransactionType: account.Transfer, CounterpartyID: counterparty,
	}
}

func rentTo(counterparty string) account.Movement {
	return account.Movement{
		Amount: dec("12.50"), Currency: "EUR", TransactionID: "tx-1", TransactionType: account.Transfer, CounterpartyID: counterparty, Reason: "rent",
	}
}

func TestTopUpIsRequestedAndCompletedAtOnce(t *testing.T) {
	topUp := leg(account.Credit, "external:bank:EUR")
	topUp.TransactionType = account.Topup
	d := rent
	d.Type, d.From, d.To = account.Topup, "external:bank:EUR", "ann"
	for _, same := range []bool{false, true} {
		when("ann", topUp, same).then(t, nil, Event{Details: d, Status: Pending}, Event{Details: d, Status: Completed})
	}
}

func TestDebitAsksTheDestinationElsewhereToTakeTheAmount(t *testing.T) {
	when("ann", leg(account.Debit, "bob"), false).
		then(t, &Step{Kind: StepCredit, AccountID: "bob", Movement: rentTo("ann")}, Event{Details: rent, Status: Pending})
}

func TestDebitOfATransferWithinAPartitionNeedsNoStep(t *testing.T) {
	when("ann", leg(account.Debit, "bob"), true).then(t, nil, Event{Details: rent, Status: Pending})
}

func TestCreditCompletesTheTransfer(t *testing.T) {
	for _, same := range []bool{false, true} {
		when("bob", leg(account.Credit, "ann"), same).then(t, nil, Event{Details: rent, Status: Completed})
	}
}

func TestRefusedCreditFailsTheTransferAndSendsTheAmountBack(t *testing.T) {
	refused := &account.CreditRefused{
		Amount: dec("12.50"), Currency: "EUR", TransactionID: "tx-1", TransactionType: account.Transfer, CounterpartyID: "ann",
		Reason: "rent", Code: domain.AccountClosed,
	}
	for _, same := range []bool{false, true} {
		when("bob", refused, same).then(t,
			&Step{Kind: StepReverse, AccountID: "ann", Movement: rentTo("bob"), Code: domain.AccountClosed},
			Event{Details: rent, Status: Failed, FailureCode: domain.AccountClosed})
	}
}

func TestReversalCompensatesTheTransferAndKeepsItsDirection(t *testing.T) {
	back := leg(account.Credit, "bob")
	back.Reversal, back.RefusalCode = true, domain.AccountClosed
	for _, same := range []bool{false, true} {
		when("ann", back, same).then(t, nil, Event{Details: rent, Status: Compensated, FailureCode: domain.AccountClosed})
	}
}

func TestMoneyThatLeavesTheBooksIsAskedOfNobody(t *testing.T) {
	d := rent
	d.To = "external:unknown:USD"
	for _, same := range []bool{false, true} {
		when("ann", leg(account.Debit, "external:unknown:USD"), same).
			then(t, nil, Event{Details: d, Status: Pending}, Event{Details: d, Status: Completed})
	}
}

func TestMoneyThatEntersTheBooksIsRequestedAndCompletedAtOnce(t *testing.T) {
	d := rent
	d.From, d.To = "external:unknown:USD", "ann"
	for _, same := range []bool{false, true} {
		when("ann", leg(account.Credit, "external:unknown:USD"), same).
			then(t, nil, Event{Details: d, Status: Pending}, Event{Details: d, Status: Completed})
	}
}

func TestChangeOfNoTransactionMakesNone(t *testing.T) {
	for _, direction := range []account.ChangeType{account.Debit, account.Credit} {
		e := leg(direction, "external:unknown:USD")
		e.TransactionID = ""
		when("ann", e, false).then(t, nil)
	}
}

func TestWhatMovesNoMoneyMakesNoTransaction(t *testing.T) {
	for _, e := range []account.Event{
		&account.Created{Currency: "EUR"}, &account.StatusChanged{NewStatus: account.Closed}, &account.LimitsChanged{Currency: "EUR"},
		&account.HoldPlaced{HoldID: "h-1", Amount: dec("1.00"), Currency: "EUR", CounterpartyID: "bob"},
		&account.HoldReleased{HoldID: "h-1", Amount: dec("1.00"), Currency: "EUR", Cause: account.HoldCaptured, TransactionID: "tx-1"},
	} {
		for _, same := range []bool{false, true} {
			when("ann", e, same).then(t, nil)
		}
	}
}

func TestExternalCounterpartiesAreNamedByTheirCurrency(t *testing.T) {
	name := External("bank", "EUR")
	if name != "external:bank:EUR" || !IsExternal(name) {
		t.Errorf("the bank is named %q, external: %v", name, IsExternal(name))
	}
	for _, id := range []string{"", "ann", "external", "external-bank", "my-external:bank:EUR"} {
		if IsExternal(id) {
			t.Errorf("%q is taken for an external counterparty", id)
		}
	}
}
