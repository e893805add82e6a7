package engine_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

func TestATopUpAnswersTheStateJustWritten(t *testing.T) {
	n := startNode(t, testenv.Embedded(t), t.TempDir(), all)
	n.create("alice")
	r := n.topUp("alice", "100.00", "k1")
	if got := r.Account.Balance.StringFixed(2); got != "100.00" || r.Account.Version != 2 {
		t.Fatalf("balance %s version %d, want 100.00 and 2", got, r.Account.Version)
	}
	if r.Transaction.Status != transaction.Completed || r.Transaction.From != "external:card:EUR" {
		t.Fatalf("transaction %+v", r.Transaction)
	}
}

func TestTheSameKeyHasOneEffectAndOneAnswer(t *testing.T) {
	dir, brokers := t.TempDir(), testenv.Embedded(t)
	n := startNode(t, brokers, dir, all)
	n.create("alice")
	first := n.topUp("alice", "5.00", "k1")
	n.topUp("alice", "7.00", "k2")
	n.stop()
	n = startNode(t, brokers, dir, all)
	again := n.topUp("alice", "5.00", "k1")
	if again.Transaction.ID != first.Transaction.ID || again.Account.Version != first.Account.Version || !again.Account.Balance.Equal(first.Account.Balance) {
		t.Fatalf("answered %+v, then %+v", first, again)
	}
	_, err := n.engine.Execute(context.Background(), &ledger.TopUp{
		Meta: ledger.Meta{IdempotencyKey: "k1"}, AccountID: "alice", Amount: eur("6.00"), Currency: "EUR", External: "card",
	})
	if domain.CodeOf(err) != domain.IdempotencyConflict {
		t.Fatalf("another payload under the same key: %v", err)
	}
}

func TestATransferCompletesWithinAndAcrossPartitions(t *testing.T) {
	n := startNode(t, testenv.Embedded(t), t.TempDir(), all)
	source := inPartition(0, "source")
	n.create(source)
	n.topUp(source, "10.00", "k")
	for p := range int32(partitions) {
		destination := inPartition(p, "destination")
		n.create(destination)
		r := n.must(transfer(source, destination, "1.00", "to-"+destination))
		if r.Transaction.Status != transaction.Completed {
			t.Fatalf("to partition %d: %s", p, r.Transaction.Status)
		}
		state, err := n.engine.Account(destination)
		if err != nil || state.Balance.StringFixed(2) != "1.00" {
			t.Fatalf("destination has %s, %v", state.Balance, err)
		}
	}
}

func TestARefusedCreditGoesBackToItsSource(t *testing.T) {
	n := startNode(t, testenv.Embedded(t), t.TempDir(), all)
	source, destination := inPartition(0, "source"), inPartition(1, "destination")
	n.create(source)
	n.topUp(source, "10.00", "k")
	upper := account.Limits{}
	upper.Max.Decimal, upper.Max.Valid = eur("5.00"), true
	n.must(&ledger.CreateAccount{
		Meta: ledger.Meta{IdempotencyKey: "create"}, ID: destination, OwnerID: "owner", Type: account.User, Currency: "EUR", Limits: upper,
	})
	c := transfer(source, destination, "6.00", "t")
	r := n.must(c)
	if r.Transaction.Status != transaction.Failed && r.Transaction.Status != transaction.Compensated {
		t.Fatalf("status %s", r.Transaction.Status)
	}
	r = n.must(c)
	if r.Transaction.Status != transaction.Compensated || r.Transaction.FailureCode != domain.BalanceLimitExceeded {
		t.Fatalf("status %s, %s", r.Transaction.Status, r.Transaction.FailureCode)
	}
	state, _ := n.engine.Account(source)
	if state.Balance.StringFixed(2) != "10.00" {
		t.Fatalf("source has %s", state.Balance)
	}
}

func TestARefusedCommandChangesNothing(t *testing.T) {
	n := startNode(t, testenv.Embedded(t), t.TempDir(), all)
	n.create("alice")
	n.create("bob")
	wrong := int64(7)
	cases := []struct {
		name    string
		command ledger.Command
		code    domain.Code
	}{
		{"too little money", transfer("alice", "bob", "1.00", "a"), domain.InsufficientBalance},
		{"same account", transfer("alice", "alice", "1.00", "b"), domain.SameAccount},
		{"unknown source", transfer("nobody", "bob", "1.00", "c"), domain.AccountNotFound},
		{"unknown account", &ledger.TopUp{Meta: ledger.Meta{IdempotencyKey: "d"}, AccountID: "nobody", Amount: eur("1"), Currency: "EUR"}, domain.AccountNotFound},
		{"other currency", &ledger.TopUp{Meta: ledger.Meta{IdempotencyKey: "e"}, AccountID: "bob", Amount: eur("1"), Currency: "USD"}, domain.CurrencyMismatch},
		{"other version", &ledger.TopUp{Meta: ledger.Meta{IdempotencyKey: "f", ExpectedVersion: &wrong}, AccountID: "bob", Amount: eur("1"), Currency: "EUR"}, domain.VersionConflict},
		{"account exists", &ledger.CreateAccount{Meta: ledger.Meta{IdempotencyKey: "g"}, ID: "bob", OwnerID: "x", Type: account.User, Currency: "EUR"}, domain.AccountExists},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := len(n.recorded())
			_, err := n.engine.Execute(context.Background(), c.command)
			if domain.CodeOf(err) != c.code {
				t.Fatalf("got %v, want %s", err, c.code)
			}
			if after := len(n.recorded()); after != before {
				t.Fatalf("%d events were recorded", after-before)
			}
		})
	}
}

func TestALargeEventIsWrittenWithAWarning(t *testing.T) {
	var logged bytes.Buffer
	var mu sync.Mutex
	log := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return logged.Write(p)
	}), nil))
	n := startNode(t, testenv.Embedded(t), t.TempDir(), all, with(func(c *engine.Config) { c.Logger = log }))
	large := create("alice")
	large.OwnerID = strings.Repeat("x", eventstore.WarnEventBytes)
	n.must(large)
	n.create("bob")
	mu.Lock()
	defer mu.Unlock()
	if text := logged.String(); strings.Count(text, "larger than events should be") != 1 || !strings.Contains(text, "aggregate=alice") {
		t.Fatalf("logged %q", text)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
