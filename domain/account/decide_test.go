package account

import (
	"testing"

	"daybook/domain"
	"daybook/domain/money"
)

var (
	standard = opened(between("0.00", ""))
	bounded  = opened(between("-50.00", "200.00"))
)

func TestAccountOpensAsAsked(t *testing.T) {
	given().when(create(bounded)).then(t, bounded)
}

func TestAccountOpensAfterRefusingCreditsThatCameEarlier(t *testing.T) {
	given(refusedCredit, refusedCredit).when(create(standard)).then(t, standard)
}

func TestAccountOpensOnlyOnce(t *testing.T) {
	given(standard).when(create(standard)).thenRefused(t, domain.AccountExists, "id")
	given(standard, became(Suspended)).when(create(bounded)).thenRefused(t, domain.AccountExists, "id")
	given(standard, became(Closed)).when(create(standard)).thenRefused(t, domain.AccountExists, "id")
	given(refusedCredit, standard).when(create(standard)).thenRefused(t, domain.AccountExists, "id")
}

func TestAccountOpensWithLimitsThatJustAllowZero(t *testing.T) {
	for _, l := range []Limits{between("0.00", "0.00"), between("-0.01", "0.00"), between("0.00", "0.01"), between("-99999999999999.99", "")} {
		given().when(create(opened(l))).then(t, opened(l))
	}
}

func TestAccountCannotOpenOutsideItsLimits(t *testing.T) {
	given().when(create(opened(between("0.01", "")))).thenRefused(t, domain.BalanceLimitExceeded, "limits.minBalance")
	given().when(create(opened(between("-5.00", "-0.01")))).thenRefused(t, domain.BalanceLimitExceeded, "limits.maxBalance")
	given().when(create(opened(between("0.00", "-0.01")))).thenRefused(t, domain.BalanceLimitExceeded, "limits")
	given().when(create(opened(between("0.02", "0.01")))).thenRefused(t, domain.BalanceLimitExceeded, "limits")
}

func TestDebitTakesTheAmountOff(t *testing.T) {
	given(standard, holding("100.00")).when(debit(euros("30.25"))).then(t, moved(Debit, "100.00", "30.25", "69.75"))
}

func TestDebitMayTakeAllThereIs(t *testing.T) {
	given(standard, holding("100.00")).when(debit(euros("100.00"))).then(t, moved(Debit, "100.00", "100.00", "0.00"))
	given(standard, holding("0.01")).when(debit(euros("0.01"))).then(t, moved(Debit, "0.01", "0.01", "0.00"))
}

func TestDebitBeyondTheBalanceIsRefused(t *testing.T) {
	given(standard, holding("100.00")).when(debit(euros("100.01"))).thenRefused(t, domain.InsufficientBalance, "amount")
	given(standard).when(debit(euros("0.01"))).thenRefused(t, domain.InsufficientBalance, "amount")
	given(standard, holding("100.00")).when(debit(euros("99999999999999.99"))).thenRefused(t, domain.InsufficientBalance, "amount")
}

func TestDebitMayUseTheOverdraftToItsEnd(t *testing.T) {
	given(bounded).when(debit(euros("50.00"))).then(t, moved(Debit, "0.00", "50.00", "-50.00"))
	given(bounded, holding("-49.99")).when(debit(euros("0.01"))).then(t, moved(Debit, "-49.99", "0.01", "-50.00"))
}

func TestDebitBeyondTheOverdraftIsRefused(t *testing.T) {
	given(bounded).when(debit(euros("50.01"))).thenRefused(t, domain.InsufficientBalance, "amount")
	given(bounded, holding("-50.00")).when(debit(euros("0.01"))).thenRefused(t, domain.InsufficientBalance, "amount")
}

func TestDebitLeavesTheLowerLimitUntouched(t *testing.T) {
	reserve := given(standard, holding("100.00"), limited(between("40.00", "")))
	reserve.when(debit(euros("60.00"))).then(t, moved(Debit, "100.00", "60.00", "40.00"))
	reserve.when(debit(euros("60.01"))).thenRefused(t, domain.InsufficientBalance, "amount")
}

func TestDebitIsPossibleAboveTheUpperLimit(t *testing.T) {
	given(bounded, holding("250.00")).when(debit(euros("10.00"))).then(t, moved(Debit, "250.00", "10.00", "240.00"))
}

func TestCreditPutsTheAmountOn(t *testing.T) {
	given(standard).when(credit(euros("12.50"))).then(t, moved(Credit, "0.00", "12.50", "12.50"))
	given(bounded, holding("-50.00")).when(credit(euros("0.01"))).then(t, moved(Credit, "-50.00", "0.01", "-49.99"))
}

func TestCreditMayFillTheAccount(t *testing.T) {
	given(bounded).when(credit(euros("200.00"))).then(t, moved(Credit, "0.00", "200.00", "200.00"))
	given(standard, holding("999999999999999999.99")).when(credit(euros("0.01"))).
		then(t, moved(Credit, "999999999999999999.99", "0.01", "1000000000000000000.00"))
}

func TestCreditBeyondTheUpperLimitIsRefused(t *testing.T) {
	given(bounded).when(credit(euros("200.01"))).thenRefused(t, domain.BalanceLimitExceeded, "amount")
	given(bounded, holding("200.00")).when(credit(euros("0.01"))).thenRefused(t, domain.BalanceLimitExceeded, "amount")
	given(bounded, holding("250.00")).when(credit(euros("0.01"))).thenRefused(t, domain.BalanceLimitExceeded, "amount")
	given(standard, holding("1000000000000000000.00")).when(credit(euros("0.01"))).thenRefused(t, domain.BalanceLimitExceeded, "amount")
}

func TestCreditIsKeptWithinMaxBalanceInEveryCurrency(t *testing.T) {
	for _, c := range money.All() {
		account, one := opened(between("0", "")), euros("1")
		account.Currency, one.Currency = c, c
		full := given(account, &BalanceChanged{NewBalance: money.MaxBalance(c)})
		full.when(credit(one)).thenRefused(t, domain.BalanceLimitExceeded, "amount")
		if e, err := DecideCredit(given(account).state(), one); err != nil || !e.NewBalance.Equal(one.Amount) {
			t.Errorf("an empty account in %s takes no %s 1: %v", c, c, err)
		}
	}
}

func TestSuspendedAccountTakesCreditsOnly(t *testing.T) {
	suspended := given(standard, holding("100.00"), became(Suspended))
	suspended.when(credit(euros("1.00"))).then(t, moved(Credit, "100.00", "1.00", "101.00"))
	suspended.when(debit(euros("1.00"))).thenRefused(t, domain.AccountSuspended, "accountId")
}

func TestReactivatedAccountTakesDebitsAgain(t *testing.T) {
	given(standard, holding("100.00"), became(Suspended), became(Active)).when(debit(euros("1.00"))).
		then(t, moved(Debit, "100.00", "1.00", "99.00"))
}

func TestClosedAccountTakesNoMovement(t *testing.T) {
	given(standard, became(Closed)).when(credit(euros("1.00"))).thenRefused(t, domain.AccountClosed, "accountId")
	given(bounded, became(Closed)).when(debit(euros("1.00"))).thenRefused(t, domain.AccountClosed, "accountId")
}

func TestMovementInAnotherCurrencyIsRefused(t *testing.T) {
	dollars := euros("1.00")
	dollars.Currency = "USD"
	given(standard, holding("100.00")).when(credit(dollars)).thenRefused(t, domain.CurrencyMismatch, "currency")
	given(standard, holding("100.00")).when(debit(dollars)).thenRefused(t, domain.CurrencyMismatch, "currency")
}

func TestMovementWithoutAccountIsRefused(t *testing.T) {
	for _, nobody := range []history{given(), given(refusedCredit)} {
		nobody.when(credit(euros("1.00"))).thenRefused(t, domain.AccountNotFound, "accountId")
		nobody.when(debit(euros("1.00"))).thenRefused(t, domain.AccountNotFound, "accountId")
	}
}

func TestReversalGivesTheAmountBackWhateverBecameOfTheAccount(t *testing.T) {
	for name, tc := range map[string]struct {
		before            history
		balance, balance2 string
	}{
		"active":             {given(standard, holding("10.00")), "10.00", "15.00"},
		"suspended":          {given(standard, holding("10.00"), became(Suspended)), "10.00", "15.00"},
		"closed":             {given(standard, became(Closed)), "0.00", "5.00"},
		"full":               {given(bounded, holding("200.00")), "200.00", "205.00"},
		"limit lowered":      {given(standard, holding("10.00"), limited(between("0.00", "10.00"))), "10.00", "15.00"},
		"overdrawn":          {given(bounded, holding("-50.00")), "-50.00", "-45.00"},
		"at the max balance": {given(standard, holding("1000000000000000000.00")), "1000000000000000000.00", "1000000000000000005.00"},
	} {
		t.Run(name, func(t *testing.T) {
			want := moved(Credit, tc.balance, "5.00", tc.balance2)
			want.Reversal, want.RefusalCode = true, domain.AccountClosed
			tc.before.when(reverse(euros("5.00"), domain.AccountClosed)).then(t, want)
		})
	}
}

func TestStatusMovesFreelyUntilClosed(t *testing.T) {
	for _, from := range []Status{Active, Suspended} {
		for _, to := range []Status{Active, Suspended, Closed} {
			given(standard, became(from)).when(moveTo(to)).then(t, &StatusChanged{PreviousStatus: from, NewStatus: to, Reason: "asked"})
		}
	}
}

func TestClosingIsFinal(t *testing.T) {
	for _, to := range []Status{Active, Suspended, Closed} {
		given(standard, became(Closed)).when(moveTo(to)).thenRefused(t, domain.AccountClosed, "status")
	}
}

func TestAClosedAccountThatMoneyCameBackToCanBeMadeActiveAndNothingElse(t *testing.T) {
	back := moved(Credit, "0.00", "5.00", "5.00")
	back.Reversal, back.RefusalCode = true, domain.AccountClosed
	closed := given(standard, became(Closed), back)
	for _, to := range []Status{Suspended, Closed} {
		closed.when(moveTo(to)).thenRefused(t, domain.AccountClosed, "status")
	}
	closed.when(debit(euros("5.00"))).thenRefused(t, domain.AccountClosed, "accountId")
	again := &StatusChanged{PreviousStatus: Closed, NewStatus: Active, Reason: "asked"}
	closed.when(moveTo(Active)).then(t, again)

	open := closed.and(again)
	open.when(moveTo(Closed)).thenRefused(t, domain.AccountNotEmpty, "status")
	gone := moved(Debit, "5.00", "5.00", "0.00")
	open.when(debit(euros("5.00"))).then(t, gone)
	shut := &StatusChanged{PreviousStatus: Active, NewStatus: Closed, Reason: "asked"}
	open.and(gone).when(moveTo(Closed)).then(t, shut)
	open.and(gone).and(shut).when(moveTo(Active)).thenRefused(t, domain.AccountClosed, "status")
}

func TestAccountWithABalanceCannotBeClosed(t *testing.T) {
	given(standard, holding("0.01")).when(moveTo(Closed)).thenRefused(t, domain.AccountNotEmpty, "status")
	given(bounded, holding("-0.01")).when(moveTo(Closed)).thenRefused(t, domain.AccountNotEmpty, "status")
	given(standard, holding("0.01"), became(Suspended)).when(moveTo(Closed)).thenRefused(t, domain.AccountNotEmpty, "status")
}

func TestEmptiedAccountCanBeClosed(t *testing.T) {
	given(standard, holding("10.00"), holding("0.00")).when(moveTo(Closed)).
		then(t, &StatusChanged{PreviousStatus: Active, NewStatus: Closed, Reason: "asked"})
}

func TestStatusOfNoAccountIsRefused(t *testing.T) {
	given().when(moveTo(Suspended)).thenRefused(t, domain.AccountNotFound, "accountId")
	given(refusedCredit).when(moveTo(Closed)).thenRefused(t, domain.AccountNotFound, "accountId")
}

func TestLimitsMayStandRightAtTheBalance(t *testing.T) {
	for _, l := range []Limits{between("100.00", ""), between("100.00", "100.00"), between("-5.00", "100.00"), between("0.00", "")} {
		given(standard, holding("100.00")).when(limit(l)).
			then(t, &LimitsChanged{Currency: "EUR", PreviousLimits: standard.Limits, NewLimits: l, Reason: "agreed"})
	}
}

func TestLimitsThatExcludeTheBalanceAreRefused(t *testing.T) {
	holder := given(standard, holding("100.00"))
	holder.when(limit(between("100.01", ""))).thenRefused(t, domain.BalanceLimitExceeded, "limits.minBalance")
	holder.when(limit(between("0.00", "99.99"))).thenRefused(t, domain.BalanceLimitExceeded, "limits.maxBalance")
	holder.when(limit(between("100.01", "99.99"))).thenRefused(t, domain.BalanceLimitExceeded, "limits")
	given(bounded, holding("-20.00")).when(limit(between("-19.99", ""))).thenRefused(t, domain.BalanceLimitExceeded, "limits.minBalance")
}

func TestUpperLimitCanBeTakenAway(t *testing.T) {
	given(bounded).when(limit(between("0.00", ""))).
		then(t, &LimitsChanged{Currency: "EUR", PreviousLimits: bounded.Limits, NewLimits: between("0.00", ""), Reason: "agreed"})
}

func TestLimitsOfASuspendedAccountCanChange(t *testing.T) {
	given(standard, became(Suspended)).when(limit(bounded.Limits)).
		then(t, &LimitsChanged{Currency: "EUR", PreviousLimits: standard.Limits, NewLimits: bounded.Limits, Reason: "agreed"})
}

func TestLimitsOfAClosedAccountCannotChange(t *testing.T) {
	given(standard, became(Closed)).when(limit(bounded.Limits)).thenRefused(t, domain.AccountClosed, "accountId")
}

func TestLimitsOfNoAccountAreRefused(t *testing.T) {
	given().when(limit(bounded.Limits)).thenRefused(t, domain.AccountNotFound, "accountId")
	given(refusedCredit).when(limit(bounded.Limits)).thenRefused(t, domain.AccountNotFound, "accountId")
}
