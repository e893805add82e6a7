package account

import (
	"testing"
	"time"

	"daybook/domain"
)

// expires is when the hold of these tests can be captured no more.
var expires = start.Add(time.Hour)

// hold folds those events that are about the hold of these tests.
func (h history) hold() Hold {
	var hold Hold
	for i, e := range h {
		if HoldOf(e) == "h-1" {
			hold = hold.Apply("acc", e, start.Add(time.Duration(i)*time.Second))
		}
	}
	return hold
}

// whenAt decides about the hold at a time.
func (h history) whenAt(now time.Time, decide func(State, Hold, time.Time) outcome) outcome {
	return decide(h.state(), h.hold(), now)
}

// whenLive decides about the hold before it expires.
func (h history) whenLive(decide func(State, Hold, time.Time) outcome) outcome {
	return h.whenAt(expires.Add(-time.Millisecond), decide)
}

func place(p *HoldPlaced) func(State, Hold, time.Time) outcome {
	return func(s State, _ Hold, now time.Time) outcome { return decided(event(DecideHold(s, *p, now))) }
}

func capture(amount string, final bool) func(State, Hold, time.Time) outcome {
	return func(s State, h Hold, now time.Time) outcome {
		m := euros(amount)
		m.TransactionType, m.CounterpartyID, m.Reason = Payment, "shop", "deposit"
		events, err := DecideCapture(s, h, m, final, now)
		return outcome{events, err}
	}
}

func void(_ State, h Hold, now time.Time) outcome {
	return decided(event(DecideVoid(h, "deposit", now)))
}

func expire(_ State, h Hold, now time.Time) outcome {
	return decided(event(DecideExpiry(h, now), nil))
}

func placed(amount string) *HoldPlaced {
	return &HoldPlaced{HoldID: "h-1", Amount: dec(amount), Currency: "EUR", CounterpartyID: "shop", ExpiresAt: expires, Reason: "deposit"}
}

func captured(from, amount, to string) *BalanceChanged {
	e := moved(Debit, from, amount, to)
	e.TransactionType, e.CounterpartyID, e.HoldID, e.Reason = Payment, "shop", "h-1", "deposit"
	return e
}

// captureBack gives a captured amount back, which the payee refused.
func captureBack(from, amount, to string) *BalanceChanged {
	e := captured(from, amount, to)
	e.ChangeType, e.Reversal, e.RefusalCode = Credit, true, domain.AccountClosed
	return e
}

// captureReceived is the payee's side of a capture.
func captureReceived(from, amount, to string) *BalanceChanged {
	e := captured(from, amount, to)
	e.ChangeType, e.CounterpartyID = Credit, "ann"
	return e
}

func released(amount string, cause HoldStatus) *HoldReleased {
	e := &HoldReleased{HoldID: "h-1", Amount: dec(amount), Currency: "EUR", Cause: cause, Reason: "deposit"}
	switch cause {
	case HoldCaptured:
		e.TransactionID = "tx-1"
	case HoldExpired:
		e.Reason = "expired"
	case HoldActive, HoldVoided:
	}
	return e
}

// deposit is an account of 100.00 with a hold of 30.00.
var deposit = given(standard, holding("100.00"), placed("30.00"))

// and is the history with more events after it.
func (h history) and(events ...Event) history { return append(h[:len(h):len(h)], events...) }

func TestHoldIsPlacedAsAsked(t *testing.T) {
	given(standard, holding("100.00")).whenAt(start, place(placed("30.00"))).then(t, placed("30.00"))
}

func TestHoldMayTakeAllThatIsAvailable(t *testing.T) {
	given(standard, holding("100.00")).whenAt(start, place(placed("100.00"))).then(t, placed("100.00"))
	deposit.whenAt(start, place(placed("70.00"))).then(t, placed("70.00"))
	given(bounded, holding("10.00")).whenAt(start, place(placed("60.00"))).then(t, placed("60.00"))
	given(standard, holding("100.00"), limited(between("40.00", ""))).whenAt(start, place(placed("60.00"))).then(t, placed("60.00"))
}

func TestHoldBeyondWhatIsAvailableIsRefused(t *testing.T) {
	for amount, before := range map[string]history{
		"100.01": given(standard, holding("100.00")),
		"70.01":  deposit,
		"60.01":  given(bounded, holding("10.00")),
		"0.01":   given(standard),
		"60.02":  given(standard, holding("100.01"), limited(between("40.00", ""))),
	} {
		before.whenAt(start, place(placed(amount))).thenRefused(t, domain.InsufficientBalance, "amount")
	}
}

func TestHoldLastsAMillisecondAtTheLeastAnd366DaysAtTheMost(t *testing.T) {
	before := given(standard, holding("100.00"))
	p := placed("30.00")
	for _, life := range []time.Duration{time.Millisecond, DefaultHoldLife, 366 * 24 * time.Hour} {
		p.ExpiresAt = start.Add(life)
		before.whenAt(start, place(p)).then(t, p)
	}
	for _, life := range []time.Duration{-time.Hour, -time.Millisecond, 0, 366*24*time.Hour + time.Millisecond, 100 * MaxHoldLife} {
		p.ExpiresAt = start.Add(life)
		before.whenAt(start, place(p)).thenRefused(t, domain.BadUserInput, "expiresAt")
	}
	p.ExpiresAt = time.Time{}
	before.whenAt(start, place(p)).thenRefused(t, domain.BadUserInput, "expiresAt")
}

func TestHoldExpiresAtAWholeMillisecond(t *testing.T) {
	before := given(standard, holding("100.00"))
	asked, want := placed("30.00"), placed("30.00")
	asked.ExpiresAt, want.ExpiresAt = start.Add(1999*time.Microsecond), start.Add(time.Millisecond)
	before.whenAt(start, place(asked)).then(t, want)
	asked.ExpiresAt = start.Add(999 * time.Microsecond)
	before.whenAt(start, place(asked)).thenRefused(t, domain.BadUserInput, "expiresAt")
}

func TestOnlyAnAccountThatTakesDebitsTakesAHold(t *testing.T) {
	given(standard, holding("100.00"), became(Suspended)).whenAt(start, place(placed("1.00"))).thenRefused(t, domain.AccountSuspended, "accountId")
	given(bounded, became(Closed)).whenAt(start, place(placed("1.00"))).thenRefused(t, domain.AccountClosed, "accountId")
	given(refusedCredit).whenAt(start, place(placed("1.00"))).thenRefused(t, domain.AccountNotFound, "accountId")
	dollars := placed("1.00")
	dollars.Currency = "USD"
	given(standard, holding("100.00")).whenAt(start, place(dollars)).thenRefused(t, domain.CurrencyMismatch, "currency")
}

func TestHoldIsCapturedAsAWhole(t *testing.T) {
	for _, final := range []bool{false, true} {
		deposit.whenLive(capture("30.00", final)).then(t, captured("100.00", "30.00", "70.00"))
	}
}

func TestHoldIsCapturedInParts(t *testing.T) {
	deposit.whenLive(capture("10.00", false)).then(t, captured("100.00", "10.00", "90.00"))
	twice := deposit.and(captured("100.00", "10.00", "90.00"), captured("90.00", "19.99", "70.01"))
	twice.whenLive(capture("0.01", false)).then(t, captured("70.01", "0.01", "70.00"))
	twice.whenLive(capture("0.02", false)).thenRefused(t, domain.CaptureExceedsHold, "amount")
}

func TestFinalCaptureReleasesTheRest(t *testing.T) {
	deposit.whenLive(capture("10.00", true)).then(t, captured("100.00", "10.00", "90.00"), released("20.00", HoldCaptured))
	deposit.and(captured("100.00", "10.00", "90.00")).whenLive(capture("19.99", true)).
		then(t, captured("90.00", "19.99", "70.01"), released("0.01", HoldCaptured))
}

func TestCaptureBeyondTheHoldIsRefused(t *testing.T) {
	for _, final := range []bool{false, true} {
		deposit.whenLive(capture("30.01", final)).thenRefused(t, domain.CaptureExceedsHold, "amount")
		deposit.and(captured("100.00", "10.00", "90.00")).whenLive(capture("20.01", final)).thenRefused(t, domain.CaptureExceedsHold, "amount")
	}
}

func TestCaptureTakesWhatWasSetAsideThoughNothingElseIsAvailable(t *testing.T) {
	given(standard, holding("30.00"), placed("30.00")).whenLive(capture("30.00", false)).then(t, captured("30.00", "30.00", "0.00"))
	given(bounded, holding("-20.00"), placed("30.00")).whenLive(capture("30.00", false)).then(t, captured("-20.00", "30.00", "-50.00"))
	deposit.and(limited(between("70.00", ""))).whenLive(capture("30.00", false)).then(t, captured("100.00", "30.00", "70.00"))
}

func TestCaptureGivenBackDoesNotRefillTheHold(t *testing.T) {
	before := deposit.and(captured("100.00", "10.00", "90.00"), captureBack("90.00", "10.00", "100.00"))
	before.whenLive(capture("20.00", false)).then(t, captured("100.00", "20.00", "80.00"))
	before.whenLive(capture("20.01", false)).thenRefused(t, domain.CaptureExceedsHold, "amount")
	before.when(debit(euros("80.00"))).then(t, moved(Debit, "100.00", "80.00", "20.00"))
	before.when(debit(euros("80.01"))).thenRefused(t, domain.InsufficientBalance, "amount")
}

func TestVoidReleasesWhatIsLeft(t *testing.T) {
	deposit.whenLive(void).then(t, released("30.00", HoldVoided))
	deposit.and(captured("100.00", "10.00", "90.00")).whenLive(void).then(t, released("20.00", HoldVoided))
}

func TestHoldOfASuspendedAccountCanBeReleasedButNotCaptured(t *testing.T) {
	suspended := deposit.and(became(Suspended))
	suspended.whenLive(capture("1.00", true)).thenRefused(t, domain.AccountSuspended, "accountId")
	suspended.whenLive(void).then(t, released("30.00", HoldVoided))
	suspended.whenAt(expires, expire).then(t, released("30.00", HoldExpired))
	suspended.and(became(Active)).whenLive(capture("30.00", false)).then(t, captured("100.00", "30.00", "70.00"))
}

func TestHoldExpiresAtItsMomentAndNotBefore(t *testing.T) {
	last := expires.Add(-time.Nanosecond)
	deposit.whenAt(last, expire).then(t)
	deposit.whenAt(last, capture("30.00", false)).then(t, captured("100.00", "30.00", "70.00"))
	deposit.whenAt(last, void).then(t, released("30.00", HoldVoided))
	for _, over := range []time.Time{expires, expires.Add(time.Nanosecond), expires.Add(MaxHoldLife)} {
		deposit.whenAt(over, expire).then(t, released("30.00", HoldExpired))
		deposit.whenAt(over, capture("1.00", false)).thenRefused(t, domain.HoldExpired, "holdId")
		deposit.whenAt(over, void).thenRefused(t, domain.HoldExpired, "holdId")
	}
}

func TestExpiryReleasesWhatWasNotCaptured(t *testing.T) {
	deposit.and(captured("100.00", "29.99", "70.01")).whenAt(expires, expire).then(t, released("0.01", HoldExpired))
}

func TestHoldThatEndedStaysEnded(t *testing.T) {
	for name, tc := range map[string]struct {
		before history
		code   domain.Code
	}{
		"captured":           {deposit.and(captured("100.00", "30.00", "70.00")), domain.HoldNotActive},
		"captured in part":   {deposit.and(captured("100.00", "10.00", "90.00"), released("20.00", HoldCaptured)), domain.HoldNotActive},
		"voided":             {deposit.and(released("30.00", HoldVoided)), domain.HoldNotActive},
		"expired":            {deposit.and(released("30.00", HoldExpired)), domain.HoldExpired},
		"captured, expired":  {deposit.and(captured("100.00", "10.00", "90.00"), released("20.00", HoldExpired)), domain.HoldExpired},
		"captured, voided":   {deposit.and(captured("100.00", "10.00", "90.00"), released("20.00", HoldVoided)), domain.HoldNotActive},
		"captured, reversed": {deposit.and(captured("100.00", "30.00", "70.00"), captureBack("70.00", "30.00", "100.00")), domain.HoldNotActive},
	} {
		t.Run(name, func(t *testing.T) {
			for _, now := range []time.Time{start, expires, expires.Add(time.Hour)} {
				tc.before.whenAt(now, capture("0.01", false)).thenRefused(t, tc.code, "holdId")
				tc.before.whenAt(now, void).thenRefused(t, tc.code, "holdId")
				tc.before.whenAt(now, expire).then(t)
			}
		})
	}
}

func TestUnknownHoldIsRefused(t *testing.T) {
	before := given(standard, holding("100.00"))
	before.whenLive(capture("1.00", false)).thenRefused(t, domain.HoldNotFound, "holdId")
	before.whenLive(void).thenRefused(t, domain.HoldNotFound, "holdId")
	before.whenAt(expires, expire).then(t)
}
