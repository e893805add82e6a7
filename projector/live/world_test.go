package live

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"go.uber.org/goleak"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
	"daybook/internal/testenv"
	"daybook/projector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)

// world is the log as one node has followed it, and a read model of it that can be late, gone, or wrong.
type world struct {
	mu        sync.Mutex
	events    map[string][]eventstore.Recorded
	projected map[string]int64
	looks     int

	// copied are the versions that the node's copy has of accounts of which it lacks something; catching up ends that.
	copied map[string]int64
	// stuck keeps the copy from catching up; away is why the end of the log cannot be found.
	stuck bool
	away  error
	// caughtUp counts how often the copy was to catch up.
	caughtUp int

	transactions map[string]transaction.State
	// end is where every partition of transaction events ends, and transactionsAt up to where the read model holds it.
	end, transactionsAt int64
	// fault, when set, may fail a look into the read model.
	fault func() error
	// takes is how long a look takes, unless its context ends.
	takes time.Duration
	// forge, when set, may change a page of it.
	forge func(*projector.ChangesPage)
	// onward, when set, tells whether the read model comes up to the log as soon as a page was read.
	onward func() bool
	// meanwhile, when set, happens after the node's state was looked up and before it is used.
	meanwhile func()
}

func newWorld() *world {
	return &world{
		events: map[string][]eventstore.Recorded{}, projected: map[string]int64{}, copied: map[string]int64{},
		transactions: map[string]transaction.State{},
	}
}

func (w *world) config() Config {
	return Config{Log: w, Partitions: 3, Accounts: w, History: model{w}, Logger: testenv.Logger(), Clock: time.Now, Patience: 10 * time.Second}
}

// CatchUp implements Accounts.
func (w *world) CatchUp(ctx context.Context, _ int32) error {
	w.mu.Lock()
	stuck, err := w.stuck, w.away
	if w.caughtUp++; !stuck && err == nil {
		clear(w.copied)
	}
	w.mu.Unlock()
	if stuck {
		<-ctx.Done()
	}
	if stuck || err != nil {
		return domain.Refuse(domain.Unavailable, "", "the log was not read to its end yet")
	}
	return nil
}

// EndOffset implements Log.
func (w *world) EndOffset(string, int32) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.end, w.away
}

// OpenReader implements Log.
func (w *world) OpenReader(string, int32) (eventstore.Reader, error) {
	return nil, errors.New("this log cannot be read")
}

// record writes an account's next event into the log and the node's state, without publishing it.
func (w *world) record(id string, data eventstore.Data) []eventstore.Recorded {
	w.mu.Lock()
	defer w.mu.Unlock()
	version := int64(len(w.events[id])) + 1
	e := eventstore.Recorded{Event: eventstore.Event{
		AggregateID: id, Version: version, Timestamp: start.Add(time.Duration(version) * time.Millisecond), Data: data,
	}}
	w.events[id] = append(w.events[id], e)
	return []eventstore.Recorded{e}
}

func change(n int64) *account.BalanceChanged {
	return &account.BalanceChanged{
		NewBalance: decimal.New(n, -2), ChangeAmount: decimal.New(1, -2), ChangeType: account.Credit, Currency: "EUR",
		TransactionID: fmt.Sprint("tx-", n), TransactionType: account.Topup,
	}
}

// open records the account's first event.
func (w *world) open(id string) { w.record(id, &account.Created{Currency: "EUR"}) }

// credit records and publishes a change.
func (w *world) credit(f *Feed, id string) {
	f.Publish(0, w.record(id, change(w.version(id)+1)))
}

func (w *world) version(id string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(len(w.events[id]))
}

// project lets the read model come up to a version.
func (w *world) project(id string, version int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.projected[id] = max(w.projected[id], min(version, int64(len(w.events[id]))))
}

// goBack lets the read model lose what it had after a version.
func (w *world) goBack(id string, version int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.projected[id] = min(w.projected[id], version)
}

// nextChange is the version of the first change after a version; zero when there is none.
func (w *world) nextChange(id string, after int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events[id][min(after, int64(len(w.events[id]))):] {
		if _, ok := e.Data.(*account.BalanceChanged); ok {
			return e.Version
		}
	}
	return 0
}

// Account implements Accounts.
func (w *world) Account(id string) (account.State, error) {
	version := w.version(id)
	w.mu.Lock()
	if copied, lacks := w.copied[id]; lacks {
		version = copied
	}
	w.mu.Unlock()
	state := stateAt(id, version)
	if w.meanwhile != nil {
		w.meanwhile()
	}
	return state, nil
}

func stateAt(id string, version int64) account.State {
	if version == 0 {
		return account.State{}
	}
	return account.State{ID: id, Status: account.Active, Version: version}
}

// model is the read model of a world.
type model struct{ *world }

func (m model) look(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks++
	if takes := m.takes; takes > 0 {
		m.mu.Unlock()
		select {
		case <-time.After(takes):
		case <-ctx.Done():
		}
		m.mu.Lock()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if m.fault != nil {
		return m.fault()
	}
	return nil
}

// ChangesAfter implements History.
func (m model) ChangesAfter(ctx context.Context, id string, after int64, first int) (page projector.ChangesPage, version int64, err error) {
	if err := m.look(ctx); err != nil {
		return page, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	version = m.projected[id]
	for i := after; i < version; i++ {
		c := changeOf(&m.events[id][i].Event, time.Time{})
		if c == nil {
			continue
		}
		if page.More = len(page.Changes) == first; page.More {
			break
		}
		page.Changes = append(page.Changes, c.Change)
	}
	if m.forge != nil {
		m.forge(&page)
	}
	if m.onward != nil && m.onward() {
		m.projected[id] = int64(len(m.events[id]))
	}
	return page, version, nil
}

// Transaction implements History.
func (m model) Transaction(ctx context.Context, id string) (transaction.State, error) {
	if err := m.look(ctx); err != nil {
		return transaction.State{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.transactions[id], nil
}

// TransactionProjected implements History.
func (m model) TransactionProjected(ctx context.Context, id string, _ int32) (transaction.State, int64, error) {
	state, err := m.Transaction(ctx, id)
	m.mu.Lock()
	defer m.mu.Unlock()
	return state, m.transactionsAt, err
}

func unavailable() error {
	return domain.Refuse(domain.Unavailable, "", "the database cannot be reached")
}

// next asks for the next change and fails the test when there is none in time.
func next(t *testing.T, c *ChangeFeed) projector.Change {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got, err := c.Next(ctx)
	if err != nil {
		t.Fatalf("next change: %v", err)
	}
	return got
}

func (f *Feed) mustChanges(t *testing.T, id string, after int64) *ChangeFeed {
	t.Helper()
	c, err := f.Changes(t.Context(), id, &after)
	if err != nil {
		t.Fatalf("watching %s after %d: %v", id, after, err)
	}
	return c
}

func newRand(seed uint64, stream int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(stream))) }
