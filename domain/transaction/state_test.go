package transaction

import (
	"fmt"
	"testing"
	"time"

	"daybook/domain"
	"daybook/domain/account"
)

var start = time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)

func fold(statuses ...Status) State {
	var s State
	for i, status := range statuses {
		e := &Event{Details: rent, Status: status}
		if status == Failed || status == Compensated {
			e.FailureCode = domain.AccountClosed
		}
		s = s.Apply("tx-1", e, start.Add(time.Duration(i)*time.Second))
	}
	return s
}

func TestTransactionTakesItsDetailsFromItsFirstEvent(t *testing.T) {
	got := fold(Pending)
	want := State{ID: "tx-1", Details: rent, Status: Pending, CreatedAt: start, UpdatedAt: start}
	if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
		t.Errorf("folded\n%#v, want\n%#v", got, want)
	}
}

func TestTransactionEndsWhereItsEventsLead(t *testing.T) {
	for _, tc := range []struct {
		events    []Status
		want      Status
		code      domain.Code
		updatedAt int // Index of the event that was the last to change anything.
	}{
		{[]Status{Pending, Completed}, Completed, "", 1},
		{[]Status{Pending, Failed}, Failed, domain.AccountClosed, 1},
		{[]Status{Pending, Failed, Compensated}, Compensated, domain.AccountClosed, 2},
		// Repeats after a crash.
		{[]Status{Pending, Pending}, Pending, "", 0},
		{[]Status{Pending, Completed, Completed}, Completed, "", 1},
		{[]Status{Pending, Failed, Failed, Compensated, Compensated}, Compensated, domain.AccountClosed, 3},
		// Older events among newer ones.
		{[]Status{Pending, Completed, Pending}, Completed, "", 1},
		{[]Status{Pending, Failed, Pending}, Failed, domain.AccountClosed, 1},
		{[]Status{Pending, Failed, Compensated, Failed, Pending}, Compensated, domain.AccountClosed, 2},
		// What is settled is not settled otherwise.
		{[]Status{Pending, Completed, Failed}, Completed, "", 1},
		{[]Status{Pending, Failed, Completed}, Failed, domain.AccountClosed, 1},
	} {
		t.Run(fmt.Sprint(tc.events), func(t *testing.T) {
			s := fold(tc.events...)
			updated := start.Add(time.Duration(tc.updatedAt) * time.Second)
			if s.Status != tc.want || s.FailureCode != tc.code || !s.CreatedAt.Equal(start) || !s.UpdatedAt.Equal(updated) {
				t.Errorf("folded %+v, want %s %s created at %v, updated at %v", s, tc.want, tc.code, start, updated)
			}
		})
	}
}

func TestVersionsAreFixedByStatus(t *testing.T) {
	for status, want := range map[Status]int64{Pending: 1, Completed: 2, Failed: 2, Compensated: 3, "": 0} {
		if got := (&Event{Status: status}).Version(); got != want {
			t.Errorf("%q has version %d, want %d", status, got, want)
		}
		if got := (State{Status: status}).Version(); got != want {
			t.Errorf("a state of %q has version %d, want %d", status, got, want)
		}
	}
}

func TestOnlyCompletedAndCompensatedAreFinal(t *testing.T) {
	for status, want := range map[Status]bool{Pending: false, Completed: true, Failed: false, Compensated: true} {
		if status.Final() != want {
			t.Errorf("%s final: %v, want %v", status, status.Final(), want)
		}
	}
}

func TestNameAndStatusLeadToEachOther(t *testing.T) {
	for _, tc := range []struct {
		kind   account.MovementType
		status Status
		want   string
	}{
		{account.Topup, Pending, "TopupRequested"}, {account.Topup, Completed, "TopupCompleted"},
		{account.Withdrawal, Pending, "WithdrawalRequested"}, {account.Withdrawal, Completed, "WithdrawalCompleted"},
		{account.Transfer, Pending, "TransferRequested"}, {account.Transfer, Completed, "TransferCompleted"},
		{account.Payment, Pending, "PaymentRequested"}, {account.Payment, Completed, "PaymentCompleted"},
		{account.Refund, Pending, "RefundRequested"}, {account.Refund, Completed, "RefundCompleted"},
		{account.Topup, Failed, "TransactionFailed"}, {account.Transfer, Failed, "TransactionFailed"},
		{account.Payment, Failed, "TransactionFailed"}, {account.Refund, Failed, "TransactionFailed"},
		{account.Transfer, Compensated, "TransactionCompensated"}, {account.Payment, Compensated, "TransactionCompensated"},
		{account.Refund, Compensated, "TransactionCompensated"},
	} {
		e := &Event{Details: Details{Type: tc.kind}, Status: tc.status}
		if e.EventType() != tc.want {
			t.Errorf("%s %s is named %s, want %s", tc.kind, tc.status, e.EventType(), tc.want)
		}
		if got, ok := StatusOf(tc.want); !ok || got != tc.status {
			t.Errorf("%s leads to %s, %v; want %s", tc.want, got, ok, tc.status)
		}
	}
}

func TestUnknownNamesHaveNoStatusAndUnknownStatusesNoName(t *testing.T) {
	for _, name := range []string{"", "Requested", "Completed", "BalanceChanged", "TopupFailed", "topuprequested", "TransferRequested ", "HoldPlaced", "CaptureCompleted"} {
		if got, ok := StatusOf(name); ok || got != "" {
			t.Errorf("%q leads to %q", name, got)
		}
	}
	for _, e := range []Event{{}, {Status: Pending}, {Status: Completed, Details: Details{Type: "BARTER"}}, {Status: "LOST", Details: rent}} {
		if name := e.EventType(); name != "" {
			t.Errorf("%s %s is named %q", e.Type, e.Status, name)
		}
	}
}
