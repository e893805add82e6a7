package projector

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/ids"
	"daybook/internal/testenv"
)

const partitions = 3

// start is when a test's history begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ledger decides events as accounts do, remembers what they lead to, and writes them to a log.
type ledger struct {
	t        testing.TB
	client   *kafka.Client
	now      time.Time
	accounts map[string]account.State
	// transactions as their events tell, and the changes of each account.
	transactions map[string]transaction.State
	changes      map[string][]Change
	events       map[string][]EventRecord
	holds        map[string]account.Hold
	placed       []string // The ids of the holds that history may end.
	receipts     map[string]account.Receipt
	origins      map[string]eventstore.Event
	unwritten    map[place][]eventstore.Message
	offsets      map[place]int64
	// alter, when set, changes an account event before it is written, or drops it by returning false.
	alter func(*eventstore.Event) bool
}

// newLedger begins a history on an embedded broker.
func newLedger(t testing.TB) *ledger {
	t.Helper()
	client, err := kafka.Open(kafka.Config{Brokers: testenv.Embedded(t), ClientID: "test", Logger: testenv.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if _, err := client.EnsureTopics(kafka.TopicsConfig{Partitions: partitions}); err != nil {
		t.Fatal(err)
	}
	return &ledger{
		t: t, client: client, now: start, accounts: map[string]account.State{}, transactions: map[string]transaction.State{},
		changes: map[string][]Change{}, events: map[string][]EventRecord{}, holds: map[string]account.Hold{},
		receipts: map[string]account.Receipt{}, origins: map[string]eventstore.Event{}, unwritten: map[place][]eventstore.Message{}, offsets: map[place]int64{},
	}
}

// record adds an account's next event, and the transaction's that follow from it.
func (l *ledger) record(id string, data account.Event) {
	l.t.Helper()
	before := l.accounts[id]
	e := eventstore.Event{
		ID: ids.New(), AggregateID: id, Version: before.Version + 1, Timestamp: l.now, CausationID: ids.New(),
		CorrelationID: "request-" + transactionOf(data), Metadata: eventstore.Metadata{ActorID: "user_\"1\\", ActorType: "api"}, Data: data,
	}
	l.accounts[id] = before.Apply(id, data, l.now)
	at := eventstore.PartitionOf(id, partitions)
	l.remember(e, at)
	if l.alter == nil || l.alter(&e) {
		l.put(eventstore.AccountEvents, at, &e)
	}
	samePartition := false
	if c, ok := data.(*account.BalanceChanged); ok {
		samePartition = eventstore.PartitionOf(c.CounterpartyID, partitions) == at
	}
	derived, _ := transaction.React(id, data, samePartition)
	for i := range derived {
		l.recordTransaction(transactionOf(data), &derived[i], &e)
	}
}

// remember takes down what the read model has to tell of an event. Its offset is not known to be right when the log
// repeats or lacks events.
func (l *ledger) remember(e eventstore.Event, partition int32) {
	id, data := e.AggregateID, e.Data.(account.Event)
	if c, ok := data.(*account.BalanceChanged); ok {
		l.changes[id] = append(l.changes[id], Change{AccountID: id, Version: e.Version, Timestamp: l.now, BalanceChanged: *c})
	}
	record := EventRecord{Recorded: eventstore.Recorded{Event: e, Partition: partition}}
	at := place{eventstore.AccountEvents, partition}
	record.Offset = l.offsets[at] + int64(len(l.unwritten[at]))
	if s := l.accounts[id]; s.Exists() {
		record.Balance = decimal.NewNullDecimal(s.Balance)
	}
	l.events[id] = append(l.events[id], record)
	if hold := account.HoldOf(data); hold != "" {
		l.holds[hold] = l.holds[hold].Apply(id, data, l.now)
	}
	if payment := account.ReceiptOf(data); payment != "" {
		l.receipts[payment] = l.receipts[payment].Apply(id, data)
	}
}

// recordTransaction adds a transaction's next event, which takes its context from the cause.
func (l *ledger) recordTransaction(id string, data *transaction.Event, cause *eventstore.Event) {
	l.t.Helper()
	e := eventstore.Event{
		ID: ids.New(), AggregateID: id, Version: data.Version(), Timestamp: l.now, CorrelationID: cause.CorrelationID, CausationID: cause.ID,
		Metadata: cause.Metadata, Data: data,
	}
	if _, known := l.transactions[id]; !known {
		l.origins[id] = e
	}
	l.transactions[id] = l.transactions[id].Apply(id, data, l.now)
	l.put(eventstore.TransactionEvents, eventstore.PartitionOf(id, partitions), &e)
}

func transactionOf(data account.Event) string {
	switch d := data.(type) {
	case *account.BalanceChanged:
		return d.TransactionID
	case *account.CreditRefused:
		return d.TransactionID
	case *account.HoldReleased:
		return d.TransactionID
	default:
		return ""
	}
}

func (l *ledger) put(topic string, partition int32, e *eventstore.Event) {
	l.t.Helper()
	m, err := eventstore.Encode(e)
	if err != nil {
		l.t.Fatal(err)
	}
	at := place{topic, partition}
	l.unwritten[at] = append(l.unwritten[at], m)
}

// write brings what was recorded into the log.
func (l *ledger) write() {
	l.t.Helper()
	for at, messages := range l.unwritten {
		appender := l.client.OpenAppender(at.topic, at.partition)
		l.offsets[at] += int64(len(messages))
		for len(messages) > 0 {
			n := min(len(messages), 500)
			if err := appender.Append(context.Background(), messages[:n]); err != nil {
				l.t.Fatal(err)
			}
			messages = messages[n:]
		}
		_ = appender.Close()
	}
	clear(l.unwritten)
}

func (l *ledger) create(id string) {
	l.record(id, &account.Created{OwnerID: "owner-" + id, Type: account.User, Currency: "EUR", Limits: account.Limits{Min: eur("0")}})
}

func (l *ledger) topUp(id, amount string) {
	l.credit(id, movement(amount, account.Topup, "external:card:EUR", ids.New()))
}

func (l *ledger) credit(id string, m account.Movement) {
	l.t.Helper()
	e, err := account.DecideCredit(l.accounts[id], m)
	if err != nil {
		l.t.Fatal(err)
	}
	l.record(id, e)
}

// leave takes a transfer's amount off its source, and tells whether it could.
func (l *ledger) leave(from, to, amount, id string) bool {
	e, err := account.DecideDebit(l.accounts[from], movement(amount, account.Transfer, to, id))
	if err == nil {
		l.record(from, e)
	}
	return err == nil
}

// transfer moves an amount if there is enough.
func (l *ledger) transfer(from, to, amount string) {
	if id := ids.New(); l.leave(from, to, amount, id) {
		l.credit(to, movement(amount, account.Transfer, from, id))
	}
}

// refuse is a transfer that does not arrive and comes back.
func (l *ledger) refuse(from, to, amount string) {
	id := ids.New()
	if !l.leave(from, to, amount, id) {
		return
	}
	l.record(to, &account.CreditRefused{
		Amount: eur(amount), Currency: "EUR", TransactionID: id, TransactionType: account.Transfer, CounterpartyID: from,
		Reason: "Rent", Code: domain.AccountNotFound,
	})
	l.record(from, account.DecideReversal(l.accounts[from], movement(amount, account.Transfer, to, id), domain.AccountNotFound))
}

func eur(s string) decimal.Decimal {
	d, err := money.ParseBound(s, "EUR")
	if err != nil {
		panic(err)
	}
	return d
}

func openModel(t testing.TB, url string) *ReadModel {
	t.Helper()
	m, err := Open(context.Background(), Config{URL: url, LogID: "log-1", Clock: time.Now, Logger: testenv.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// project starts a projector of all partitions; it is stopped by the returned function, or when the test ends.
func project(t testing.TB, log Log, m *ReadModel) (*Projector, func()) {
	t.Helper()
	p := NewProjector(ProjectorConfig{Log: log, Model: m, Partitions: partitions, Logger: testenv.Logger()})
	p.Assign([]int32{0, 1, 2})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.Run(ctx) })
	stop := func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return p, stop
}

// awaitProjected waits until the read model has all that was written.
func (l *ledger) awaitProjected(m *ReadModel) {
	l.t.Helper()
	testenv.Eventually(l.t, func() error {
		at, err := readPositions(m)
		if err != nil {
			return err // A test may cut the connections.
		}
		for where, want := range l.offsets {
			if at[where] < want {
				return fmt.Errorf("%v is projected up to %d of %d", where, at[where], want)
			}
		}
		return nil
	})
}

func positions(t testing.TB, m *ReadModel) map[place]int64 {
	t.Helper()
	at, err := readPositions(m)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func readPositions(m *ReadModel) (map[place]int64, error) {
	s, err := m.snapshot(context.Background())
	if err != nil {
		return nil, err
	}
	defer s.close()
	return s.positions(context.Background())
}

// projected is a read model that holds all of a ledger's history.
func (l *ledger) projected(url string) *ReadModel {
	l.t.Helper()
	m := openModel(l.t, url)
	_, stop := project(l.t, l.client, m)
	l.awaitProjected(m)
	stop()
	return m
}

// mustEqualFold compares all that queries answer with what the ledger remembers.
func (l *ledger) mustEqualFold(m *ReadModel) {
	l.t.Helper()
	ctx := context.Background()
	for id, want := range l.accounts {
		got, err := m.Account(ctx, id, 0)
		if err != nil {
			l.t.Fatal(err)
		}
		if !want.Exists() {
			want = account.State{}
		}
		mustShowAlike(l.t, "account "+id, got, want)
		page, err := m.Changes(ctx, ChangesQuery{AccountID: id, First: maxPage})
		if err != nil {
			l.t.Fatal(err)
		}
		if len(page.Changes) != len(l.changes[id]) {
			l.t.Fatalf("account %s has %d changes, want %d", id, len(page.Changes), len(l.changes[id]))
		}
		for i, want := range l.changes[id] {
			mustShowAlike(l.t, "a change", page.Changes[i], want)
		}
	}
	for id, want := range l.transactions {
		got, err := m.Transaction(ctx, id)
		if err != nil {
			l.t.Fatal(err)
		}
		mustShowAlike(l.t, "transaction "+id, got, want)
		partition := eventstore.PartitionOf(id, partitions)
		got, next, err := m.TransactionProjected(ctx, id, partition)
		if end := l.offsets[place{eventstore.TransactionEvents, partition}]; err != nil || next < end {
			l.t.Fatalf("transactions are told to be projected up to %d, %v, and are to %d", next, err, end)
		}
		mustShowAlike(l.t, "transaction "+id+" and how far it is projected", got, want)
		record, err := m.TransactionRecord(ctx, id)
		if err != nil {
			l.t.Fatal(err)
		}
		mustShowAlike(l.t, "the record of transaction "+id, record, l.recordOf(id))
	}
	for id, want := range l.holds {
		got, err := m.Hold(ctx, id)
		if err != nil {
			l.t.Fatal(err)
		}
		mustShowAlike(l.t, "hold "+id, got, want)
	}
}

func (l *ledger) recordOf(id string) TransactionRecord {
	began := l.origins[id]
	return TransactionRecord{State: l.transactions[id], CorrelationID: began.CorrelationID, CausationID: began.CausationID, Actor: began.Metadata}
}

// mustShowAlike compares what is printed: equal decimals are not always deeply equal.
func mustShowAlike(t testing.TB, what string, got, want any) {
	t.Helper()
	if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); a != b {
		t.Fatalf("%s is\n%s, want\n%s", what, a, b)
	}
}

func (l *ledger) verify(m *ReadModel) Report {
	l.t.Helper()
	r, err := Verify(context.Background(), VerifyConfig{Log: l.client, Model: m, Partitions: partitions})
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

func (l *ledger) mustVerify(m *ReadModel) {
	l.t.Helper()
	if r := l.verify(m); !r.OK() {
		l.t.Fatalf("%d differences: %+v", r.Found, r.Differences)
	}
}
