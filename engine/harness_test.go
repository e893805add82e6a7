package engine_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/engine"
	"daybook/engine/store"
	"daybook/eventstore"
	"daybook/eventstore/embedded"
	"daybook/eventstore/kafka"
	"daybook/internal/ids"
)

const partitions = 3

// node is an engine on a cluster, as one process has it.
type node struct {
	t      testing.TB
	engine *engine.Engine
	client *kafka.Client
	store  *store.Store
	cancel context.CancelFunc
	done   chan error

	mu     sync.Mutex
	events []eventstore.Recorded
}

func logger() *slog.Logger {
	if os.Getenv("DAYBOOK_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

func startEmbedded(t testing.TB) []string {
	t.Helper()
	b, err := embedded.Open(t.TempDir(), logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b.Addresses()
}

// startNode starts an engine on the cluster that owns the given partitions and waits until it does.
func startNode(t testing.TB, brokers []string, dir string, assigned ...int32) *node {
	t.Helper()
	client, err := kafka.Open(kafka.Config{Brokers: brokers, ClientID: "test", Logger: logger()})
	if err != nil {
		t.Fatal(err)
	}
	count, err := client.EnsureTopics(kafka.TopicsConfig{Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(filepath.Join(dir, "state"), nil)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, client: client, store: s, done: make(chan error, 1)}
	n.engine = engine.New(engine.Config{
		Partitions: count, Clock: time.Now, NewID: ids.New, Logger: logger(),
		Publish: func(_ int32, events []eventstore.Recorded) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.events = append(n.events, events...)
		},
	}, client, s)
	n.engine.Assign(assigned)
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	go func() { n.done <- n.engine.Run(ctx) }()
	t.Cleanup(n.stop)
	n.awaitOwned(len(assigned))
	return n
}

func (n *node) awaitOwned(count int) {
	n.t.Helper()
	eventually(n.t, func() error {
		if owned := n.engine.Owned(); len(owned) != count {
			return fmt.Errorf("owned %v, want %d partitions: %v", owned, count, n.engine.Ready())
		}
		return nil
	})
}

func (n *node) stop() {
	if n.cancel == nil {
		return
	}
	n.cancel()
	if err := <-n.done; err != nil {
		n.t.Errorf("engine: %v", err)
	}
	if err := n.store.Close(); err != nil {
		n.t.Errorf("closing the store: %v", err)
	}
	if err := n.client.Close(); err != nil {
		n.t.Errorf("closing the client: %v", err)
	}
	n.cancel = nil
}

// eventually waits, a bounded time, until the condition holds.
func eventually(t testing.TB, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func eur(s string) decimal.Decimal {
	d, err := money.ParseAmount(s, "EUR")
	if err != nil {
		panic(err)
	}
	return d
}

func (n *node) create(id string) engine.Result {
	n.t.Helper()
	return n.must(&engine.CreateAccount{
		Meta: engine.Meta{IdempotencyKey: "create"}, ID: id, OwnerID: "owner", Type: account.User, Currency: "EUR",
	})
}

func (n *node) topUp(id, amount, key string) engine.Result {
	n.t.Helper()
	return n.must(&engine.TopUp{
		Meta: engine.Meta{IdempotencyKey: key}, AccountID: id, Amount: eur(amount), Currency: "EUR", External: "card",
	})
}

func transfer(from, to, amount, key string) *engine.Transfer {
	return &engine.Transfer{
		Meta: engine.Meta{IdempotencyKey: key}, FromID: from, ToID: to, Amount: eur(amount), Currency: "EUR",
	}
}

func (n *node) must(c engine.Command) engine.Result {
	n.t.Helper()
	r, err := n.engine.Execute(context.Background(), c)
	if err != nil {
		n.t.Fatalf("%T: %v", c, err)
	}
	return r
}

// inPartition returns an id of the partition.
func inPartition(p int32, name string) string {
	for i := 0; ; i++ {
		if id := fmt.Sprintf("%s-%d", name, i); eventstore.PartitionOf(id, partitions) == p {
			return id
		}
	}
}

func (n *node) recorded() []eventstore.Recorded {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]eventstore.Recorded(nil), n.events...)
}
