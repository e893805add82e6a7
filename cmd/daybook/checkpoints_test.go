package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/engine/ledger"
	"daybook/internal/testenv"
)

func TestANodeThatLostItsStateStartsFromTheLastCheckpoint(t *testing.T) {
	cfg := config{
		Listen: "127.0.0.1:0", DataDir: t.TempDir(), Brokers: testenv.Kafka(t), DatabaseURL: testenv.Postgres(t),
		SessionTimeout: minSession, CheckpointEvents: 10,
	}
	var said testenv.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	// given a node on which every partition has a checkpoint
	err := withNode(t.Context(), cfg, log, func(m *Main) error {
		for i := range 60 {
			id := fmt.Sprintf("account-%d", i)
			if err := openFunded(t.Context(), m, id); err != nil {
				return err
			}
		}
		testenv.Eventually(t, func() error {
			if n := strings.Count(said.String(), "checkpoint written"); n < int(m.partitions) {
				return fmt.Errorf("%d checkpoints", n)
			}
			return nil
		})
		if n := count(scrape(t, m), "daybook_checkpoints_written_total"); n < float64(m.partitions) {
			t.Errorf("%v checkpoints are counted as written", n)
		}
		return openFunded(t.Context(), m, "after the checkpoints")
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(cfg.DataDir, "state")); err != nil {
		t.Fatal(err)
	}

	err = withNode(t.Context(), cfg, log, func(m *Main) error {
		if n := strings.Count(said.String(), "partition restored from a checkpoint"); n != int(m.partitions) {
			t.Errorf("%d partitions restored", n)
		}
		if n := count(scrape(t, m), "daybook_checkpoints_restored_total"); n != float64(m.partitions) {
			t.Errorf("%v partitions are counted as restored", n)
		}
		for i := range 60 {
			if a, err := m.engine.Account(fmt.Sprintf("account-%d", i)); err != nil || a.Version != 2 || a.Status != account.Active {
				t.Errorf("account %d is %+v, %v", i, a, err)
			}
		}
		if a, err := m.engine.Account("after the checkpoints"); err != nil || a.Version != 2 {
			t.Errorf("the account opened last is %+v, %v", a, err)
		}
		return openFunded(t.Context(), m, "after the restart")
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoFeedBeginsOnStateThatIsToBeReplaced(t *testing.T) {
	cfg := config{Listen: "127.0.0.1:0", DataDir: filepath.Join(t.TempDir(), "node"), SessionTimeout: minSession}
	quiet := slog.New(slog.DiscardHandler)
	err := withNode(t.Context(), cfg, quiet, func(m *Main) error { return openFunded(t.Context(), m, "account") })
	if err != nil {
		t.Fatal(err)
	}
	m := NewMain(cfg, quiet)
	if err := m.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer m.Close() //nolint:errcheck // It never ran.
	after := int64(1)
	if _, err := m.feed.Changes(t.Context(), "account", &after); domain.CodeOf(err) != domain.Unavailable {
		t.Errorf("before the restore is over: got %v, want %s", err, domain.Unavailable)
	}
	close(m.restored)
	feed, err := m.feed.Changes(t.Context(), "account", &after)
	if err != nil {
		t.Fatal(err)
	}
	feed.Close()
}

// openFunded opens an account and puts money on it.
func openFunded(ctx context.Context, m *Main, id string) error {
	_, err := m.engine.Execute(ctx, &ledger.CreateAccount{
		Meta: ledger.Meta{IdempotencyKey: "open"}, ID: id, OwnerID: "owner", Type: account.User, Currency: "EUR",
	})
	if err != nil {
		return err
	}
	_, err = m.engine.Execute(ctx, &ledger.TopUp{
		Meta: ledger.Meta{IdempotencyKey: "fund"}, AccountID: id, Amount: decimal.New(1000, -2), Currency: "EUR", External: "card",
	})
	return err
}
