package engine_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/engine/store"
	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/audit"
	"daybook/internal/ids"
	"daybook/internal/testenv"
)

const partitions = 3

// node is an engine on a cluster, as one process has it.
type node struct {
	t      testing.TB
	engine *engine.Engine
	client *kafka.Client
	log    engine.Log
	store  *store.Store
	cancel context.CancelFunc
	done   chan error
	closed bool

	mu     sync.Mutex
	events []eventstore.Recorded
}

// option changes how a node is made.
type option func(*node, *engine.Config)

// through puts something between the engine and its log.
func through(wrap func(engine.Log) engine.Log) option {
	return func(n *node, _ *engine.Config) { n.log = wrap(n.client) }
}

// with changes the engine's configuration.
func with(change func(*engine.Config)) option {
	return func(_ *node, cfg *engine.Config) { change(cfg) }
}

var all = []int32{0, 1, 2}

// startNode starts an engine on the cluster that owns the given partitions and waits until it does.
func startNode(t testing.TB, brokers []string, dir string, assigned []int32, options ...option) *node {
	t.Helper()
	n := newNode(t, brokers, dir, options...)
	n.engine.Assign(assigned)
	n.start()
	n.awaitOwned(len(assigned))
	return n
}

// newNode makes an engine that does not run yet.
func newNode(t testing.TB, brokers []string, dir string, options ...option) *node {
	t.Helper()
	client, err := kafka.Open(kafka.Config{Brokers: brokers, ClientID: "test", Logger: testenv.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	count, err := client.EnsureTopics(kafka.TopicsConfig{Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(filepath.Join(dir, "state"), testenv.Logger())
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, client: client, log: client, store: s, done: make(chan error, 1)}
	cfg := engine.Config{
		Partitions: count, Clock: time.Now, NewID: ids.New, Logger: testenv.Logger(),
		// Faults among batches in flight are what many tests are about.
		PipelineFrom: 1,
		Publish: func(_ int32, events []eventstore.Recorded) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.events = append(n.events, events...)
		},
	}
	for _, o := range options {
		o(n, &cfg)
	}
	n.engine = engine.New(cfg, n.log, s)
	t.Cleanup(n.stop)
	return n
}

// start runs the engine until stop.
func (n *node) start() {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	go func() { n.done <- n.engine.Run(ctx) }()
}

func (n *node) awaitOwned(count int) {
	n.t.Helper()
	testenv.Eventually(n.t, func() error {
		if owned := n.engine.Owned(); len(owned) != count {
			return fmt.Errorf("owned %v, want %d partitions: %v", owned, count, n.engine.Ready())
		}
		return nil
	})
}

// stop ends the engine, if it runs, and releases what it worked with.
func (n *node) stop() {
	if n.closed {
		return
	}
	n.closed = true
	if n.cancel != nil {
		n.cancel()
		if err := <-n.done; err != nil {
			n.t.Errorf("engine: %v", err)
		}
	}
	if err := n.store.Close(); err != nil {
		n.t.Errorf("closing the store: %v", err)
	}
	if err := n.client.Close(); err != nil {
		n.t.Errorf("closing the client: %v", err)
	}
}

func eur(s string) decimal.Decimal {
	d, err := money.ParseAmount(s, "EUR")
	if err != nil {
		panic(err)
	}
	return d
}

func create(id string) *ledger.CreateAccount {
	return &ledger.CreateAccount{
		Meta: ledger.Meta{IdempotencyKey: "create"}, ID: id, OwnerID: "owner", Type: account.User, Currency: "EUR",
	}
}

func topUp(id, amount, key string) *ledger.TopUp {
	return &ledger.TopUp{
		Meta: ledger.Meta{IdempotencyKey: key}, AccountID: id, Amount: eur(amount), Currency: "EUR", External: "card",
	}
}

func (n *node) create(id string) ledger.Result {
	n.t.Helper()
	return n.must(create(id))
}

func (n *node) topUp(id, amount, key string) ledger.Result {
	n.t.Helper()
	return n.must(topUp(id, amount, key))
}

func transfer(from, to, amount, key string) *ledger.Transfer {
	return &ledger.Transfer{
		Meta: ledger.Meta{IdempotencyKey: key}, FromID: from, ToID: to, Amount: eur(amount), Currency: "EUR",
	}
}

func (n *node) must(c ledger.Command) ledger.Result {
	n.t.Helper()
	r, err := n.execute(c)
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

// execute carries a command out as a client that waits as long as the engine lets it.
func (n *node) execute(c ledger.Command) (ledger.Result, error) {
	return n.engine.Execute(context.Background(), c)
}

// soundLog audits the log once the engine has come to rest.
func soundLog(t testing.TB, brokers []string) *audit.Report {
	t.Helper()
	var report *audit.Report
	testenv.Eventually(t, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		var err error
		if report, err = audit.Log(ctx, brokers); err != nil {
			t.Fatal(err)
		}
		if len(report.Problems) > 0 {
			t.Fatalf("%d problems:\n%s", len(report.Problems), strings.Join(report.Problems, "\n"))
		}
		if len(report.Unfinished) > 0 {
			return fmt.Errorf("%d unfinished: %s", len(report.Unfinished), report.Unfinished[0])
		}
		return nil
	})
	return report
}

// deleteRecords removes all that a partition holds, as retention does.
func deleteRecords(t testing.TB, brokers []string, topic string, partition int32) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = partition, -1
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{p}}}
	req.TimeoutMillis = 10_000
	res, err := req.RequestWith(context.Background(), client)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(res.Topics[0].Partitions[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}
