package live

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"daybook/domain"
	"daybook/domain/transaction"
	"daybook/eventstore"
	"daybook/internal/ids"
)

// The read model is asked again after pauses that grow between these, in case an event was written before this node
// began to follow. It is rare, so the pauses may grow long.
const (
	firstRecheck   = 100 * time.Millisecond
	longestRecheck = 10 * time.Second
)

// transactions are the watched transactions.
type transactions struct {
	mu          sync.Mutex
	subscribers int
	byID        map[string]*watchedTransaction
	// wanted is closed while there are subscribers: without any the topic need not be followed.
	wanted chan struct{}
}

type watchedTransaction struct {
	subscribers int
	// events by version. A transaction has few, and which is which is fixed.
	events [transaction.VersionCompensated + 1]*happened
	// news is closed when an event has come.
	news chan struct{}
}

type happened struct {
	event *transaction.Event
	at    time.Time
}

func (t *transactions) init() {
	t.byID = map[string]*watchedTransaction{}
	t.wanted = make(chan struct{})
}

func (t *transactions) watch(id string) *watchedTransaction {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.byID[id]
	if w == nil {
		w = &watchedTransaction{news: make(chan struct{})}
		t.byID[id] = w
	}
	w.subscribers++
	if t.subscribers++; t.subscribers == 1 {
		close(t.wanted)
	}
	return w
}

func (t *transactions) unwatch(id string, w *watchedTransaction) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.subscribers--; w.subscribers == 0 {
		delete(t.byID, id)
	}
	if t.subscribers--; t.subscribers == 0 {
		t.wanted = make(chan struct{})
	}
}

// watched tells whether anybody wants to know of the transaction.
func (t *transactions) watched(id []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[string(id)] != nil
}

// watching is closed while there are subscribers.
func (t *transactions) watching() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wanted
}

// add keeps an event for its subscribers. A repeated one is known already.
func (t *transactions) add(id string, e *transaction.Event, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.byID[id]
	version := e.Version()
	if w == nil || w.events[version] != nil {
		return
	}
	w.events[version] = &happened{e, at}
	close(w.news)
	w.news = make(chan struct{})
}

// after returns the first event above a version, nil when none has come, and what tells of the next.
func (t *transactions) after(w *watchedTransaction, version int64) (*happened, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range w.events[version+1:] {
		if h != nil {
			return h, w.news
		}
	}
	return nil, w.news
}

// TransactionFeed gives a transaction's states in order, none twice. It is for one goroutine.
type TransactionFeed struct {
	feed    *Feed
	id      string
	watched *watchedTransaction
	// state is the last one given out, or the first one to give out.
	state   transaction.State
	started bool
}

// Transaction begins a feed of a transaction's states: the present one, then each new one.
// Refusals: TRANSACTION_NOT_FOUND, OVERLOADED, UNAVAILABLE. Close the feed when it is of no more use.
func (f *Feed) Transaction(ctx context.Context, id string) (*TransactionFeed, error) {
	if err := f.enter(); err != nil {
		return nil, err
	}
	t := &TransactionFeed{feed: f, id: id, watched: f.transactions.watch(id)}
	if err := t.begin(ctx); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// begin finds the present state. The read model can be a moment behind the answer that gave the client the id.
func (t *TransactionFeed) begin(ctx context.Context) error {
	patient, cancel := context.WithTimeout(ctx, t.feed.cfg.Patience)
	defer cancel()
	settling, settled := context.WithCancel(patient)
	defer settled()
	settle := sync.OnceFunc(func() { time.AfterFunc(t.feed.cfg.SettleWait, settled) })
	var err error
	waits := pauses{firstPause, longestPause}
	for again := true; again; again = waits.wait(settling) {
		var state transaction.State
		err = t.read(patient, func() (err error) {
			settle()
			state, err = t.feed.cfg.History.Transaction(patient, t.id)
			return err
		})
		switch {
		case err == nil && state.Status != "":
			t.state = state
			return nil
		case err != nil && patient.Err() == nil && !passing(err):
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case patient.Err() != nil:
		return domain.Refuse(domain.Unavailable, "", "the read model does not answer in time; subscribe again later")
	case err != nil:
		return err
	}
	return t.beginLate(ctx)
}

// recordedWithin is how soon a transaction is recorded after its id was drawn, with clocks that differ: it is acknowledged as
// part of an account's event, and recorded by the coordinator, which may have ended right then, or wait for a broker.
const recordedWithin = 5 * time.Minute

// mayComeYet tells whether an id is so young that there may be a transaction which is not recorded yet.
func (f *Feed) mayComeYet(id string) bool {
	drawn, ok := ids.Time(id)
	return ok && f.cfg.Clock().Sub(drawn).Abs() < recordedWithin
}

// beginLate is begin for what did not come in a moment. That it is not there is told only by a read model that holds all that
// stands in the log by now, and not of an id that is young.
func (t *TransactionFeed) beginLate(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, t.feed.cfg.CatchUpWait)
	defer cancel()
	partition := eventstore.PartitionOf(t.id, t.feed.cfg.Partitions)
	end, err := t.feed.ends.Of(bounded, partition)
	waits := pauses{firstPause, longestPause}
	for again := err == nil; again; again = waits.wait(bounded) {
		var state transaction.State
		var projected int64
		err := t.read(bounded, func() (err error) {
			state, projected, err = t.feed.cfg.History.TransactionProjected(bounded, t.id, partition)
			return err
		})
		switch {
		case bounded.Err() != nil || (err != nil && passing(err)):
			continue
		case err != nil:
			return err
		case state.Status != "":
			t.state = state
			return nil
		case projected >= end && t.feed.mayComeYet(t.id):
			return domain.Refuse(domain.Unavailable, "", "this transaction, if there is one, is not recorded yet; subscribe again later")
		case projected >= end:
			return domain.Refuse(domain.TransactionNotFound, "id", "no transaction has this id; correct it")
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return domain.Refuse(domain.Unavailable, "", "the read model does not show the log to its end yet, nor this transaction; subscribe again later")
}

func (t *TransactionFeed) read(ctx context.Context, look func() error) error {
	err := t.feed.read(ctx, look)
	if err != nil && !passing(err) && ctx.Err() == nil {
		return fmt.Errorf("reading a transaction to watch: %w", err)
	}
	return err
}

// Next waits for the next state. After a final one it ends with io.EOF, else with the context's error.
func (t *TransactionFeed) Next(ctx context.Context) (transaction.State, error) {
	if !t.started {
		t.started = true
		return t.state, nil
	}
	if t.state.Status.Final() {
		return transaction.State{}, io.EOF
	}
	pause := firstRecheck
	for {
		h, news := t.feed.transactions.after(t.watched, t.state.Version())
		if h != nil {
			t.state = t.state.Apply(t.id, h.event, h.at)
			return t.state, nil
		}
		select {
		case <-ctx.Done():
			return transaction.State{}, ctx.Err()
		case <-news:
			continue
		case <-time.After(pause):
		}
		pause = min(2*pause, longestRecheck)
		state, err := t.recheck(ctx, news)
		if err != nil && !passing(err) {
			return transaction.State{}, err
		}
		if err == nil && state.Version() > t.state.Version() {
			t.state = state
			return state, nil
		}
	}
}

// recheck looks into the read model until there is news, which must not wait for a read model that is busy or hangs. Given
// up, it returns the zero State.
func (t *TransactionFeed) recheck(ctx context.Context, news <-chan struct{}) (state transaction.State, err error) {
	looking, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-news:
			stop()
		case <-looking.Done():
		}
	}()
	err = t.read(looking, func() (err error) {
		state, err = t.feed.cfg.History.Transaction(looking, t.id)
		return err
	})
	if err != nil && looking.Err() != nil {
		return transaction.State{}, nil
	}
	return state, err
}

// Close lets go of what the feed holds. It is for once, and after Next has returned.
func (t *TransactionFeed) Close() {
	t.feed.transactions.unwatch(t.id, t.watched)
	t.feed.leave()
}

// A follower that could not read pauses between these.
const (
	firstRetry   = 50 * time.Millisecond
	longestRetry = 5 * time.Second
	// pollWait bounds one long poll of the topic.
	pollWait = 500 * time.Millisecond
)

// Run follows the transaction topic for those who watch transactions, until ctx ends. Its error is always nil: what
// cannot be read is logged and tried again, and subscribers have the read model meanwhile.
func (f *Feed) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for partition := range f.cfg.Partitions {
		wg.Go(func() { f.follow(ctx, partition) })
	}
	wg.Wait()
	return nil
}

// follow reads a partition from its end whenever there are subscribers.
func (f *Feed) follow(ctx context.Context, partition int32) {
	retries := pauses{firstRetry, longestRetry}
	for {
		select {
		case <-f.transactions.watching():
		case <-ctx.Done():
			return
		}
		reads, err := f.followWatched(ctx, partition)
		if reads > 0 {
			retries = pauses{firstRetry, longestRetry}
		}
		if err != nil && ctx.Err() == nil {
			text := err.Error()
			f.trouble[partition].Store(&text)
			f.cfg.Logger.Warn("transaction events cannot be followed and updates come late; trying again; look whether the brokers run", "partition", partition, "error", err)
			retries.wait(ctx)
		}
	}
}

// followWatched reads a partition from its end until nobody watches, ctx ends, or it fails. It returns how often it read.
func (f *Feed) followWatched(ctx context.Context, partition int32) (reads int, err error) {
	reader, err := f.cfg.Log.OpenReader(eventstore.TransactionEvents, partition)
	if err != nil {
		return 0, err
	}
	defer reader.Close() //nolint:errcheck // Nothing was written.
	next, err := f.cfg.Log.EndOffset(eventstore.TransactionEvents, partition)
	if err != nil {
		return 0, err
	}
	for ; ctx.Err() == nil; reads++ {
		select {
		case <-f.transactions.watching():
		default:
			return reads, nil
		}
		chunk, err := reader.Read(ctx, next, pollWait)
		if err != nil {
			return reads, err
		}
		f.trouble[partition].Store(nil)
		next = chunk.Next
		for i := range chunk.Messages {
			f.take(&chunk.Messages[i])
		}
	}
	return reads, nil
}

// take hands a record to its subscribers. Only what is watched is decoded.
func (f *Feed) take(m *eventstore.Message) {
	if !f.transactions.watched(m.Key) {
		return
	}
	e, err := eventstore.Decode(m)
	data, ok := e.Data.(*transaction.Event)
	if err != nil || !ok {
		f.cfg.Logger.Error("a transaction event is unreadable and is passed over; run daybook verify", "offset", m.Offset, "error", err)
		return
	}
	f.transactions.add(e.AggregateID, data, e.Timestamp)
}
