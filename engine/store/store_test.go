package store

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shown renders a value with the exact form of its decimals.
func shown(v any) string { return fmt.Sprintf("%#v", v) }

var (
	texts  = rapid.StringN(0, 20, 80)
	ids    = rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,12}`)
	coins  = rapid.SampledFrom([]money.Currency{"EUR", "JPY", "KWD", "CLF"})
	digits = rapid.SampledFrom([]string{"0", "1", "-1", "12345", "-99999999999999", "9223372036854775807", "-9223372036854775808", "1000000000000000000000"})
)

func amounts(c money.Currency) *rapid.Generator[decimal.Decimal] {
	return rapid.Custom(func(t *rapid.T) decimal.Decimal {
		return decimal.RequireFromString(digits.Draw(t, "digits")).Shift(-c.Scale())
	})
}

var moments = rapid.Custom(func(t *rapid.T) time.Time {
	return time.UnixMilli(rapid.Int64Range(1, 1<<42).Draw(t, "milliseconds")).UTC()
})

func drawState(t *rapid.T, id string) account.State {
	c := coins.Draw(t, "currency")
	s := account.State{
		ID: id, OwnerID: texts.Draw(t, "owner"), Type: rapid.SampledFrom(types[:]).Draw(t, "type"), Currency: c,
		Status: rapid.SampledFrom(statuses[:]).Draw(t, "status"), Balance: amounts(c).Draw(t, "balance"), Held: amounts(c).Draw(t, "held"),
		Version: rapid.Int64Min(0).Draw(t, "version"), CreatedAt: moments.Draw(t, "created"), UpdatedAt: moments.Draw(t, "updated"),
	}
	s.Limits.Min = amounts(c).Draw(t, "min")
	if rapid.Bool().Draw(t, "limited") {
		s.Limits.Max = decimal.NewNullDecimal(amounts(c).Draw(t, "max"))
	}
	return s
}

func drawHold(t *rapid.T) account.Hold {
	c := coins.Draw(t, "currency")
	return account.Hold{
		ID: ids.Draw(t, "hold"), AccountID: ids.Draw(t, "account"), CounterpartyID: ids.Draw(t, "payee"), Currency: c,
		Amount: amounts(c).Draw(t, "amount"), Captured: amounts(c).Draw(t, "captured"), Released: amounts(c).Draw(t, "released"),
		Reason: texts.Draw(t, "reason"), Status: rapid.SampledFrom(holdStatuses[1:]).Draw(t, "status"),
		ExpiresAt: moments.Draw(t, "expires"), CreatedAt: moments.Draw(t, "created"), UpdatedAt: moments.Draw(t, "updated"),
	}
}

func TestWhatIsStoredIsReadBackAsItWas(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close() //nolint:errcheck // Nothing is read from it again.
	rapid.Check(t, func(t *rapid.T) {
		partition := rapid.Int32Range(0, 3).Draw(t, "partition")
		state := drawState(t, ids.Draw(t, "id"))
		hold := drawHold(t)
		receipt := account.Receipt{
			ID: ids.Draw(t, "payment"), PayeeID: ids.Draw(t, "payee"), PayerID: ids.Draw(t, "payer"), Currency: hold.Currency,
			Amount: hold.Amount, Refunded: hold.Captured,
		}
		outcome := ledger.Outcome{
			Fingerprint: eventstore.Fingerprint{1, 2, 3}, TransactionID: ids.Draw(t, "transaction"),
			Amount: amounts(state.Currency).Draw(t, "outcome"), State: state,
		}
		if rapid.Bool().Draw(t, "about a hold") {
			outcome.Hold = &hold
		}
		key := OutcomeKey{state.ID, texts.Draw(t, "key")}
		legKey := LegKey{state.ID, outcome.TransactionID, ledger.LegReversal}
		position := Position{
			Next: 7, LastTime: hold.CreatedAt, Progress: eventstore.Progress{Commands: 1, Coordinated: 2, Partitions: 3},
			Last: LastEventAt(5, []byte("an event")),
		}

		b := s.NewBatch(partition)
		b.PutAccount(&state)
		b.PutHold(hold)
		b.PutReceipt(receipt)
		b.PutOutcome(key, &outcome)
		b.PutLeg(legKey, ledger.Leg{RefusalCode: "ACCOUNT_CLOSED"})
		if err := b.Commit(position); err != nil {
			t.Fatal(err)
		}

		same := func(what string, got, want any, err error) {
			if err != nil || shown(got) != shown(want) {
				t.Fatalf("%s was stored as\n%s and read as\n%s (%v)", what, shown(want), shown(got), err)
			}
		}
		gotState, err := s.Account(partition, state.ID)
		same("an account", gotState, state, err)
		gotHold, err := s.Hold(partition, hold.ID)
		same("a hold", gotHold, hold, err)
		gotReceipt, err := s.Receipt(partition, receipt.ID)
		same("a receipt", gotReceipt, receipt, err)
		gotOutcome, known, err := s.Outcome(partition, key)
		if !known || (gotOutcome.Hold == nil) != (outcome.Hold == nil) {
			t.Fatalf("the outcome was read as %+v, %v", gotOutcome, known)
		}
		if outcome.Hold != nil {
			same("an outcome's hold", *gotOutcome.Hold, hold, nil)
		}
		gotOutcome.Hold, outcome.Hold = nil, nil
		same("an outcome", gotOutcome, outcome, err)
		leg, known, err := s.Leg(partition, legKey)
		same("a leg", leg, ledger.Leg{RefusalCode: "ACCOUNT_CLOSED"}, err)
		if !known {
			t.Fatal("the leg is not known")
		}
		gotPosition, err := s.Position(partition)
		same("a position", gotPosition, position, err)
	})
}

func TestTheCacheIsMeasuredWhileTheStoreIsOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	b := s.NewBatch(0)
	b.PutAccount(&account.State{ID: "alice"})
	if err := errors.Join(b.Commit(Position{Next: 1}), s.Close()); err != nil {
		t.Fatal(err)
	}
	if got := s.Cached(); got != 0 {
		t.Errorf("once closed, it takes %d bytes", got)
	}
	s = open(t, dir)
	defer s.Close() //nolint:errcheck // Nothing is read from it again.
	if _, err := s.Account(0, "alice"); err != nil {
		t.Fatal(err)
	}
	if got := s.Cached(); got <= 0 || got > CacheBytes {
		t.Errorf("what was read from disk takes %d bytes", got)
	}
}

func TestDueHoldsAreTheActiveOnesWhoseTimeIsOver(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close() //nolint:errcheck // Nothing is read from it again.
	now := time.UnixMilli(1_800_000_000_000).UTC()
	put := func(partition int32, id string, expires time.Time, status account.HoldStatus) {
		b := s.NewBatch(partition)
		b.PutHold(account.Hold{ID: id, Currency: "EUR", Status: status, ExpiresAt: expires})
		if err := b.Commit(Position{}); err != nil {
			t.Fatal(err)
		}
	}
	put(1, "second", now, account.HoldActive)
	put(1, "first", now.Add(-time.Hour), account.HoldActive)
	put(1, "later", now.Add(time.Millisecond), account.HoldActive)
	put(2, "elsewhere", now.Add(-time.Hour), account.HoldActive)
	put(0, "elsewhere too", now.Add(-time.Hour), account.HoldActive)
	put(1, "ended", now.Add(-time.Hour), account.HoldActive)
	put(1, "ended", now.Add(-time.Hour), account.HoldVoided)

	got, err := s.DueHolds(1, now, 10)
	if err != nil || !slices.Equal(got, []string{"first", "second"}) {
		t.Errorf("due are %q, %v", got, err)
	}
	if got, err := s.DueHolds(1, now, 1); err != nil || !slices.Equal(got, []string{"first"}) {
		t.Errorf("of at most one, due are %q, %v", got, err)
	}
	if err := s.Reset(1); err != nil {
		t.Fatal(err)
	}
	if got, err := s.DueHolds(1, now, 10); err != nil || len(got) > 0 {
		t.Errorf("after a reset, due are %q, %v", got, err)
	}
}

func TestAStoreOfAnotherFormatBelongsToNoKnownLog(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if id, err := s.LogID(); err != nil || id != "" {
		t.Errorf("a new store is of log %q, %v", id, err)
	}
	if err := s.SetLogID("log-1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close() //nolint:errcheck // Nothing is read from it again.
	if id, err := s.LogID(); err != nil || id != "log-1" {
		t.Errorf("the store is of log %q, %v", id, err)
	}
	if err := s.db.Set([]byte("log"), []byte("log-1"), pebble.NoSync); err != nil { // As the first format had it.
		t.Fatal(err)
	}
	if id, err := s.LogID(); err != nil || id == "log-1" || id == "" {
		t.Errorf("a store of another format is of log %q, %v", id, err)
	}
}
