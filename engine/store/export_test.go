package store

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

// fillPartition puts so many holds into a partition, and returns the position they are at.
func fillPartition(t *testing.T, s *Store, partition int32, from, to int) Position {
	t.Helper()
	position := Position{Next: int64(to), LastTime: time.UnixMilli(int64(to)).UTC(), Progress: eventstore.Progress{Commands: 3, Partitions: 4}}
	b := s.NewBatch(partition)
	for i := from; i < to; i++ {
		b.PutHold(account.Hold{
			ID: fmt.Sprintf("hold-%d-%06d", partition, i), Currency: "EUR", Status: account.HoldActive,
			Reason: fmt.Sprintf("%x", i*7919), ExpiresAt: time.UnixMilli(int64(1000 + i)),
		})
	}
	if err := b.Commit(position); err != nil {
		t.Fatal(err)
	}
	return position
}

func dump(t *testing.T, s *Store, partition int32) string {
	t.Helper()
	var all bytes.Buffer
	err := s.Dump(partition, func(key, value []byte) error {
		fmt.Fprintf(&all, "%q=%q\n", key, value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// tables collects what an export passes on.
func tables(t *testing.T, e *Export) [][]byte {
	t.Helper()
	var all [][]byte
	err := e.Tables(func(table []byte) error {
		all = append(all, bytes.Clone(table))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func takeIn(t *testing.T, s *Store, partition int32, tables [][]byte) Position {
	t.Helper()
	i, err := s.Import(partition)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Abort()
	for _, table := range tables {
		for len(table) > 0 {
			n := min(len(table), 1000)
			if _, err := i.Write(table[:n]); err != nil {
				t.Fatal(err)
			}
			table = table[n:]
		}
		if err := i.EndTable(); err != nil {
			t.Fatal(err)
		}
	}
	p, err := i.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAnExportTakenInElsewhereIsTheStateAsItWasThen(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close() //nolint:errcheck // Nothing is read from it again.
	neighbours := [...]int32{1, 3}
	for _, p := range neighbours {
		fillPartition(t, s, p, 0, 10)
	}
	position := fillPartition(t, s, 2, 0, 20_000)
	want := dump(t, s, 2)
	if err := s.SetCoordinated(2, 7); err != nil {
		t.Fatal(err)
	}
	e, err := s.Export(2)
	if err != nil {
		t.Fatal(err)
	}
	fillPartition(t, s, 2, 10_000, 30_000) // Too late for the export.
	all := tables(t, e)
	if e.Position() != position || e.Entries() != 40_001 {
		t.Errorf("exported %d entries at %+v", e.Entries(), e.Position())
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir() + "/state"
	other := open(t, dir)
	fillPartition(t, other, 2, 50, 70) // An older state, which is replaced.
	for _, p := range neighbours {
		fillPartition(t, other, p, 100, 110)
	}
	before := [...]string{dump(t, other, 1), dump(t, other, 3)}
	if got := takeIn(t, other, 2, all); got != position {
		t.Errorf("taken in at %+v, want %+v", got, position)
	}
	if err := other.db.Close(); err != nil { // As in a crash: nothing is flushed.
		t.Fatal(err)
	}
	other = open(t, dir)
	defer other.Close() //nolint:errcheck // Nothing is read from it again.
	if dump(t, other, 2) != want {
		t.Error("the state taken in is not the one exported")
	}
	if o, err := other.Coordinated(2); o != 0 || err != nil {
		t.Errorf("what only the exporting node knew was taken in: %d, %v", o, err)
	}
	// What was not flushed is lost with the crash; nothing else may have come to the neighbours.
	for i, p := range neighbours {
		if got := dump(t, other, p); got != "" && got != before[i] {
			t.Errorf("partition %d changed to %s", p, got)
		}
	}
}

func TestAnImportThatIsBrokenOffChangesNothing(t *testing.T) {
	dir := t.TempDir() + "/state"
	s := open(t, dir)
	fillPartition(t, s, 0, 0, 100)
	e, err := s.Export(0)
	if err != nil {
		t.Fatal(err)
	}
	all := tables(t, e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	fillPartition(t, s, 0, 100, 200)
	want := dump(t, s, 0)
	for _, part := range [][]byte{all[0][:len(all[0])/2], []byte("no table at all")} {
		i, err := s.Import(0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := i.Write(part); err != nil {
			t.Fatal(err)
		}
		if p, err := i.Commit(t.Context()); err == nil {
			t.Errorf("%d bytes were taken in at %+v", len(part), p)
		}
		i.Abort()
		if dump(t, s, 0) != want {
			t.Error("the state has changed")
		}
	}
	i, err := s.Import(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Write(all[0]); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // The process ends in the middle.
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close() //nolint:errcheck // Nothing is read from it again.
	if dump(t, s, 0) != want {
		t.Error("the state has changed")
	}
}

func TestAmountsAreStoredAlikeHoweverTheyWereWritten(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close() //nolint:errcheck // Nothing is read from it again.
	for partition, amount := range []string{"1200", "1200.0", "1200.00", "12e2"} {
		d := decimal.RequireFromString(amount)
		b := s.NewBatch(int32(partition))
		state := account.State{ID: "account", Currency: "EUR", Balance: d, Limits: account.Limits{Min: d.Neg(), Max: decimal.NewNullDecimal(d)}}
		b.PutAccount(&state)
		b.PutHold(account.Hold{ID: "hold", Currency: "EUR", Amount: d, Status: account.HoldActive})
		b.PutReceipt(account.Receipt{ID: "payment", Currency: "EUR", Amount: d})
		b.PutOutcome(OutcomeKey{"account", "key"}, &ledger.Outcome{Amount: d, State: state})
		if err := b.Commit(Position{}); err != nil {
			t.Fatal(err)
		}
		got, err := s.Account(int32(partition), "account")
		if err != nil || !got.Balance.Equal(d) || got.Balance.Exponent() != -2 {
			t.Errorf("%s was stored as %s (%d), %v", amount, got.Balance, got.Balance.Exponent(), err)
		}
		values := func(partition int32) (all []string) {
			if err := s.Dump(partition, func(_, value []byte) error { all = append(all, string(value)); return nil }); err != nil {
				t.Fatal(err)
			}
			return all
		}
		if !slices.Equal(values(int32(partition)), values(0)) {
			t.Errorf("%s is stored otherwise than 1200", amount)
		}
	}
}
