package account

import (
	"testing"

	"daybook/domain"
)

func TestDebitLeavesWhatIsHeldUntouched(t *testing.T) {
	deposit.when(debit(euros("70.00"))).then(t, moved(Debit, "100.00", "70.00", "30.00"))
	deposit.when(debit(euros("70.01"))).thenRefused(t, domain.InsufficientBalance, "amount")
}

func TestDebitMayUseTheOverdraftBesideAHold(t *testing.T) {
	before := given(bounded, holding("10.00"), placed("30.00"))
	before.when(debit(euros("30.00"))).then(t, moved(Debit, "10.00", "30.00", "-20.00"))
	before.when(debit(euros("30.01"))).thenRefused(t, domain.InsufficientBalance, "amount")
}

func TestDebitMayUseWhatAHoldReleased(t *testing.T) {
	for _, cause := range []HoldStatus{HoldVoided, HoldExpired} {
		deposit.and(released("30.00", cause)).when(debit(euros("100.00"))).then(t, moved(Debit, "100.00", "100.00", "0.00"))
	}
	before := deposit.and(captured("100.00", "10.00", "90.00"), released("20.00", HoldCaptured))
	before.when(debit(euros("90.00"))).then(t, moved(Debit, "90.00", "90.00", "0.00"))
	before.when(debit(euros("90.01"))).thenRefused(t, domain.InsufficientBalance, "amount")
}

func TestCaptureLeavesAsMuchAvailableAsBefore(t *testing.T) {
	before := deposit.and(captured("100.00", "10.00", "90.00"))
	before.when(debit(euros("70.00"))).then(t, moved(Debit, "90.00", "70.00", "20.00"))
	before.when(debit(euros("70.01"))).thenRefused(t, domain.InsufficientBalance, "amount")
}

func TestUpperLimitIsAboutTheWholeBalanceWhateverIsHeld(t *testing.T) {
	before := given(bounded, holding("190.00"), placed("150.00"))
	before.when(credit(euros("10.00"))).then(t, moved(Credit, "190.00", "10.00", "200.00"))
	before.when(credit(euros("10.01"))).thenRefused(t, domain.BalanceLimitExceeded, "amount")
	before.when(limit(between("0.00", "189.99"))).thenRefused(t, domain.BalanceLimitExceeded, "limits.maxBalance")
}

func TestLowerLimitMayStandRightAtWhatIsAvailable(t *testing.T) {
	for _, l := range []Limits{between("70.00", ""), between("70.00", "100.00"), between("-1.00", "")} {
		deposit.when(limit(l)).then(t, &LimitsChanged{Currency: "EUR", PreviousLimits: standard.Limits, NewLimits: l, Reason: "agreed"})
	}
}

func TestLowerLimitAboveWhatIsAvailableIsRefused(t *testing.T) {
	for _, low := range []string{"70.01", "100.00", "100.01"} {
		deposit.when(limit(between(low, ""))).thenRefused(t, domain.BalanceLimitExceeded, "limits.minBalance")
	}
	given(bounded, placed("30.00")).when(limit(between("-29.99", ""))).thenRefused(t, domain.BalanceLimitExceeded, "limits.minBalance")
}

func TestAccountWithAnActiveHoldCannotBeClosed(t *testing.T) {
	overdrawn := given(bounded, placed("30.00"))
	overdrawn.when(moveTo(Closed)).thenRefused(t, domain.AccountNotEmpty, "status")
	overdrawn.and(became(Suspended)).when(moveTo(Closed)).thenRefused(t, domain.AccountNotEmpty, "status")
	given(bounded, holding("10.00"), placed("30.00"), captured("10.00", "10.00", "0.00")).
		when(moveTo(Closed)).thenRefused(t, domain.AccountNotEmpty, "status")
	overdrawn.when(moveTo(Suspended)).then(t, &StatusChanged{PreviousStatus: Active, NewStatus: Suspended, Reason: "asked"})
}

func TestAccountCanBeClosedAfterItsHoldsEnded(t *testing.T) {
	closing := &StatusChanged{PreviousStatus: Active, NewStatus: Closed, Reason: "asked"}
	given(bounded, placed("30.00"), released("30.00", HoldVoided)).when(moveTo(Closed)).then(t, closing)
	given(bounded, placed("30.00"), released("30.00", HoldExpired)).when(moveTo(Closed)).then(t, closing)
	given(standard, holding("30.00"), placed("30.00"), captured("30.00", "30.00", "0.00")).when(moveTo(Closed)).then(t, closing)
	given(standard, holding("30.00"), placed("30.00"), captured("30.00", "10.00", "20.00"), released("20.00", HoldCaptured), holding("0.00")).
		when(moveTo(Closed)).then(t, closing)
}

func TestLimitsAreBroughtToTheScaleOfTheAccount(t *testing.T) {
	given(standard).when(limit(between("-5", "7.5"))).
		then(t, &LimitsChanged{Currency: "EUR", PreviousLimits: standard.Limits, NewLimits: between("-5.00", "7.50"), Reason: "agreed"})
	given(standard).when(limit(between("-5.0000", "7.5000"))).
		then(t, &LimitsChanged{Currency: "EUR", PreviousLimits: standard.Limits, NewLimits: between("-5.00", "7.50"), Reason: "agreed"})
}

func TestLimitsWithMoreDecimalsThanTheCurrencyAreRefused(t *testing.T) {
	given(standard).when(limit(between("-5.001", ""))).thenRefused(t, domain.InvalidAmount, "limits.minBalance")
	given(standard).when(limit(between("-5.00", "5.001"))).thenRefused(t, domain.InvalidAmount, "limits.maxBalance")
	yen := opened(between("0", ""))
	yen.Currency = "JPY"
	given(yen).when(limit(between("-0.5", ""))).thenRefused(t, domain.InvalidAmount, "limits.minBalance")
}

func TestPayeeIsWhoeverCouldTakeACredit(t *testing.T) {
	for _, payee := range []history{given(standard), given(bounded, holding("200.00")), given(standard, became(Suspended))} {
		if err := DecidePayee(payee.state(), "EUR"); err != nil {
			t.Errorf("refused: %v", err)
		}
	}
	for _, tc := range []struct {
		payee history
		code  domain.Code
		field string
	}{
		{given(), domain.AccountNotFound, "accountId"},
		{given(refusedCredit), domain.AccountNotFound, "accountId"},
		{given(standard, became(Closed)), domain.AccountClosed, "accountId"},
	} {
		outcome{err: DecidePayee(tc.payee.state(), "EUR")}.thenRefused(t, tc.code, tc.field)
	}
	outcome{err: DecidePayee(given(standard).state(), "USD")}.thenRefused(t, domain.CurrencyMismatch, "currency")
}

func TestMovementIsRecordedWithItsKindItsHoldAndItsPayment(t *testing.T) {
	before := given(standard, holding("100.00"))
	for _, kind := range []MovementType{Topup, Withdrawal, Transfer, Payment, Refund} {
		m := euros("5.00")
		m.TransactionType, m.HoldID, m.RefundOf = kind, "h-9", "tx-9"
		marked := func(e *BalanceChanged) *BalanceChanged {
			e.TransactionType, e.HoldID, e.RefundOf = kind, "h-9", "tx-9"
			return e
		}
		before.when(debit(m)).then(t, marked(moved(Debit, "100.00", "5.00", "95.00")))
		before.when(credit(m)).then(t, marked(moved(Credit, "100.00", "5.00", "105.00")))
		back := marked(moved(Credit, "100.00", "5.00", "105.00"))
		back.Reversal, back.RefusalCode = true, domain.AccountClosed
		before.when(reverse(m, domain.AccountClosed)).then(t, back)
		outcome{events: []Event{Refused(m, domain.AccountClosed)}}.then(t, &CreditRefused{
			Amount: dec("5.00"), Currency: "EUR", TransactionID: "tx-1", TransactionType: kind, CounterpartyID: "other", Reason: "rent",
			Code: domain.AccountClosed, HoldID: "h-9", RefundOf: "tx-9",
		})
	}
}
