package account

import (
	"fmt"
	"testing"
	"time"

	"daybook/domain/money"
)

func TestNothingHappenedMeansNoAccount(t *testing.T) {
	if s := given().state(); s.Exists() || s.Version != 0 {
		t.Errorf("without events the account exists: %+v", s)
	}
}

func TestCreatedAccountIsActiveAndEmpty(t *testing.T) {
	got := given(bounded).state()
	want := State{
		ID: "acc", OwnerID: "ann", Type: User, Currency: "EUR", Status: Active, Balance: dec("0.00"), Held: dec("0.00"),
		Limits: bounded.Limits, Version: 1, CreatedAt: start, UpdatedAt: start,
	}
	if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
		t.Errorf("folded\n%#v, want\n%#v", got, want)
	}
}

func TestEveryEventCountsAndOnlyChangesWhatItSays(t *testing.T) {
	before := given(standard, placed("1.00")).state()
	later := start.Add(time.Hour)
	for _, tc := range []struct {
		event  Event
		change func(*State)
	}{
		{holding("12.50"), func(s *State) { s.Balance = dec("12.50") }},
		{became(Suspended), func(s *State) { s.Status = Suspended }},
		{limited(bounded.Limits), func(s *State) { s.Limits = bounded.Limits }},
		{refusedCredit, func(*State) {}},
		{placed("7.00"), func(s *State) { s.Held = dec("8.00") }},
		{released("0.40", HoldVoided), func(s *State) { s.Held = dec("0.60") }},
		{captured("10.00", "0.25", "9.75"), func(s *State) { s.Balance, s.Held = dec("9.75"), dec("0.75") }},
		{captureBack("9.75", "0.25", "10.00"), func(s *State) { s.Balance = dec("10.00") }},
		{captureReceived("10.00", "0.25", "10.25"), func(s *State) { s.Balance = dec("10.25") }},
	} {
		t.Run(tc.event.EventType(), func(t *testing.T) {
			want := before
			want.Version, want.UpdatedAt = 3, later
			tc.change(&want)
			if got := before.Apply("acc", tc.event, later); fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
				t.Errorf("folded\n%#v, want\n%#v", got, want)
			}
			if before.Version != 2 || before.Status != Active || !before.Held.Equal(dec("1.00")) {
				t.Error("folding changed the state it began with")
			}
		})
	}
}

func TestCreditsRefusedBeforeCreationLeaveVersionsBehind(t *testing.T) {
	ghost := given(refusedCredit, refusedCredit).state()
	if ghost.Exists() || ghost.Version != 2 || ghost.ID != "acc" || !ghost.CreatedAt.IsZero() {
		t.Errorf("two refused credits lead to %+v, want version 2 of no account", ghost)
	}
	s := given(refusedCredit, refusedCredit, standard).state()
	if !s.Exists() || s.Version != 3 || !s.CreatedAt.Equal(start.Add(2*time.Second)) {
		t.Errorf("created after two refused credits: %+v, want version 3, created at its own time", s)
	}
}

func TestAvailableIsTheBalanceWithoutWhatIsHeld(t *testing.T) {
	for want, before := range map[string]history{
		"100.00": given(standard, holding("100.00")),
		"69.50":  given(standard, holding("100.00"), placed("30.50")),
		"-10.00": given(bounded, placed("10.00")),
		"75.00":  given(standard, holding("100.00"), placed("25.00"), captured("100.00", "5.00", "95.00")),
		"95.00":  given(standard, holding("100.00"), placed("25.00"), captured("100.00", "5.00", "95.00"), released("20.00", HoldCaptured)),
	} {
		if got := before.state().Available(); !got.Equal(dec(want)) {
			t.Errorf("%s is available, want %s", got, want)
		}
	}
}

func TestFoldTakesTheBalanceFromTheEventWithoutChecking(t *testing.T) {
	s := given(standard, holding("-1000.00"), became(Closed), holding("7.00")).state()
	if !s.Balance.Equal(dec("7.00")) || s.Status != Closed || s.Version != 4 {
		t.Errorf("folded %+v: what is in the log happened", s)
	}
}

func TestBalanceStartsAtTheScaleOfTheCurrency(t *testing.T) {
	for _, c := range money.All() {
		s := State{}.Apply("acc", &Created{Currency: c}, start)
		if !s.Balance.IsZero() || s.Balance.Exponent() != -c.Scale() || !s.Held.IsZero() || s.Held.Exponent() != -c.Scale() {
			t.Errorf("%s starts at %#v with %#v held", c, s.Balance, s.Held)
		}
	}
}

func TestEventNamesAreThoseOnTheWire(t *testing.T) {
	for want, e := range map[string]Event{
		"AccountCreated": &Created{}, "BalanceChanged": &BalanceChanged{}, "AccountStatusChanged": &StatusChanged{},
		"AccountLimitsChanged": &LimitsChanged{}, "CreditRefused": &CreditRefused{}, "HoldPlaced": &HoldPlaced{}, "HoldReleased": &HoldReleased{},
	} {
		if e.EventType() != want {
			t.Errorf("%T is named %s, want %s", e, e.EventType(), want)
		}
	}
}

func TestSignedAmountHasTheSignOfItsDirection(t *testing.T) {
	in, out := moved(Credit, "0.00", "5.00", "5.00"), moved(Debit, "5.00", "5.00", "0.00")
	if !in.SignedAmount().Equal(dec("5.00")) || !out.SignedAmount().Equal(dec("-5.00")) {
		t.Errorf("credit %s, debit %s; want 5.00 and -5.00", in.SignedAmount(), out.SignedAmount())
	}
}

func TestUpperLimitIsMaxBalanceUnlessSet(t *testing.T) {
	if got := between("0", "").Upper("EUR"); !got.Equal(money.MaxBalance("EUR")) {
		t.Errorf("without a limit the upper bound is %s", got)
	}
	if got := between("0", "0.00").Upper("EUR"); !got.IsZero() {
		t.Errorf("limited to zero the upper bound is %s", got)
	}
}
