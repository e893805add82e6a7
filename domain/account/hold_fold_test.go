package account

import (
	"fmt"
	"testing"
	"time"

	"daybook/domain/money"
)

func TestHoldIsTheFoldOfItsEvents(t *testing.T) {
	for _, tc := range []struct {
		name                        string
		events                      []Event
		captured, released, remains string
		status                      HoldStatus
		updated                     time.Duration
	}{
		{"placed", nil, "0.00", "0.00", "30.00", HoldActive, 2},
		{"captured in part", []Event{captured("100.00", "10.00", "90.00")}, "10.00", "0.00", "20.00", HoldActive, 3},
		{"captured in parts", []Event{captured("100.00", "10.00", "90.00"), captured("90.00", "20.00", "70.00")}, "30.00", "0.00", "0.00", HoldCaptured, 4},
		{"captured at once", []Event{captured("100.00", "30.00", "70.00")}, "30.00", "0.00", "0.00", HoldCaptured, 3},
		{"captured for good", []Event{captured("100.00", "10.00", "90.00"), released("20.00", HoldCaptured)}, "10.00", "20.00", "0.00", HoldCaptured, 4},
		{"voided", []Event{released("30.00", HoldVoided)}, "0.00", "30.00", "0.00", HoldVoided, 3},
		{"expired", []Event{captured("100.00", "10.00", "90.00"), released("20.00", HoldExpired)}, "10.00", "20.00", "0.00", HoldExpired, 4},
		{"of a capture that came back", []Event{captured("100.00", "10.00", "90.00"), captureBack("90.00", "10.00", "100.00")}, "10.00", "0.00", "20.00", HoldActive, 3},
		{"among other events", []Event{holding("1.00"), became(Suspended)}, "0.00", "0.00", "30.00", HoldActive, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := deposit.and(tc.events...).hold()
			want := Hold{
				ID: "h-1", AccountID: "acc", CounterpartyID: "shop", Currency: "EUR", Amount: dec("30.00"), Captured: dec(tc.captured),
				Released: dec(tc.released), Reason: "deposit", Status: tc.status, ExpiresAt: expires,
				CreatedAt: start.Add(2 * time.Second), UpdatedAt: start.Add(tc.updated * time.Second),
			}
			if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
				t.Errorf("folded\n%#v, want\n%#v", got, want)
			}
			if !got.Exists() || !got.Remaining().Equal(dec(tc.remains)) {
				t.Errorf("exists %v, keeps %s; want %s", got.Exists(), got.Remaining(), tc.remains)
			}
		})
	}
}

func TestNothingPlacedMeansNoHold(t *testing.T) {
	if h := given(standard, holding("1.00")).hold(); h.Exists() {
		t.Errorf("the hold exists: %+v", h)
	}
}

func TestHoldStartsAtTheScaleOfItsCurrency(t *testing.T) {
	for _, c := range money.All() {
		h := Hold{}.Apply("acc", &HoldPlaced{HoldID: "h-1", Currency: c}, start)
		if h.Captured.Exponent() != -c.Scale() || h.Released.Exponent() != -c.Scale() || !h.Captured.IsZero() || !h.Released.IsZero() {
			t.Errorf("%s: captured %#v, released %#v", c, h.Captured, h.Released)
		}
	}
}

func TestHoldLeavesAloneWhatIsAboutTheAccount(t *testing.T) {
	before := deposit.hold()
	for _, e := range []Event{standard, became(Suspended), limited(bounded.Limits), refusedCredit} {
		got := before.Apply("acc", e, before.UpdatedAt)
		if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", before) {
			t.Errorf("%T made of it %#v", e, got)
		}
	}
}

func TestEventTellsWhichHoldItIsAbout(t *testing.T) {
	for _, tc := range []struct {
		event Event
		want  string
	}{
		{placed("1.00"), "h-1"},
		{released("1.00", HoldVoided), "h-1"},
		{captured("1.00", "1.00", "0.00"), "h-1"},
		{captureBack("0.00", "1.00", "1.00"), ""},
		{captureReceived("0.00", "1.00", "1.00"), ""},
		{moved(Debit, "1.00", "1.00", "0.00"), ""},
		{standard, ""},
		{became(Closed), ""},
		{limited(bounded.Limits), ""},
		{&CreditRefused{HoldID: "h-1"}, ""},
	} {
		if got := HoldOf(tc.event); got != tc.want {
			t.Errorf("%s is about hold %q, want %q", show(tc.event), got, tc.want)
		}
	}
}
