// Package live feeds subscriptions: what the log brings is handed to those who watch it, and whoever is slow or resumes
// is brought up to it from the read model. Nothing is lost, nothing is sent twice, and nobody slows another.
package live

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
	"daybook/projector"
)

// Log is what the feed needs of the cluster; package eventstore/kafka provides it.
type Log interface {
	OpenReader(topic string, partition int32) (eventstore.Reader, error)
	// EndOffset is the offset that the next record will have.
	EndOffset(topic string, partition int32) (int64, error)
}

// Accounts is the state of accounts as far as this node has followed the log; the engine provides it.
type Accounts interface {
	// Account returns the zero State for an unknown account. An event is in it before it is published.
	Account(id string) (account.State, error)
	// CatchUp waits until the state holds all that stood in the log of a partition when it was called. UNAVAILABLE when it
	// does not before ctx ends. Many may call it at once.
	CatchUp(ctx context.Context, partition int32) error
}

// History is what the feed needs of the read model. One that cannot be reached is a *domain.Refusal.
type History interface {
	// ChangesAfter returns a page of an account's changes after a version, oldest first, and the version that the account
	// had in the same moment: a page without more lacks no change up to it.
	ChangesAfter(ctx context.Context, accountID string, after int64, first int) (page projector.ChangesPage, version int64, err error)
	// Transaction returns the zero State for an unknown transaction.
	Transaction(ctx context.Context, id string) (transaction.State, error)
	// TransactionProjected returns also the offset up to which a partition of transaction events was projected in the same
	// moment.
	TransactionProjected(ctx context.Context, id string, partition int32) (s transaction.State, next int64, err error)
}

// Config is what a feed works with. Everything down to Clock is required.
type Config struct {
	Log Log
	// Partitions is the number of partitions of the event topics.
	Partitions int32
	Accounts   Accounts
	History    History
	Logger     *slog.Logger
	// Clock tells the time.
	Clock func() time.Time

	// Registerer takes the feed's metrics, Tracer makes its spans. Nil means none.
	Registerer prometheus.Registerer
	Tracer     trace.Tracer

	// Admit, when set, can refuse feeds of changes because of the state of the node.
	Admit func() error
	// MaxSubscribers bounds the open feeds, of both kinds together. Default 20,000.
	MaxSubscribers int
	// Buffer is how many of a watched account's last events are kept for its subscribers. Default 256.
	Buffer int
	// PageSize is how many changes one look into the history brings. Default 100.
	PageSize int
	// HistoryReads bounds the looks into the history at the same time, so that a crowd that comes back after a restart
	// leaves the read model to others. Default 8.
	HistoryReads int
	// Patience bounds how long a subscriber waits for the read model to go on: for its turn to look, in looks that bring nothing
	// and between them. It begins anew with each page that takes a feed on. It must be enough for a crowd that takes turns while
	// the read model is well. Default 30 s.
	Patience time.Duration
	// CatchUpWait bounds how long is waited for what this node has read to come up to the end of the log, where a feed cannot
	// begin or be refused without. Default 5 s.
	CatchUpWait time.Duration
	// SettleWait bounds how long a transaction that the read model does not have yet is waited for. It begins when the
	// subscriber has its first turn, and ends no look: one that takes longer still counts. Default 2 s.
	SettleWait time.Duration
}

// Feed hands events to subscribers. Its methods may be called from any goroutine.
type Feed struct {
	cfg          Config
	subscribers  atomic.Int64
	accounts     accounts
	transactions transactions
	reading      chan struct{}
	metrics      *metrics
	// ends tells where the transaction events end.
	ends *eventstore.Ends
	// trouble is what keeps a partition of transaction events from being followed.
	trouble []atomic.Pointer[string]
}

// New makes a feed. Account events come through Publish, transaction events while Run runs.
func New(cfg Config) *Feed {
	cfg.MaxSubscribers = positiveOr(cfg.MaxSubscribers, 20_000)
	cfg.Buffer = positiveOr(cfg.Buffer, 256)
	cfg.PageSize = positiveOr(cfg.PageSize, 100)
	cfg.HistoryReads = positiveOr(cfg.HistoryReads, 8)
	cfg.Patience = positiveOr(cfg.Patience, 30*time.Second)
	cfg.CatchUpWait = positiveOr(cfg.CatchUpWait, 5*time.Second)
	cfg.SettleWait = positiveOr(cfg.SettleWait, 2*time.Second)
	f := &Feed{cfg: cfg, reading: make(chan struct{}, cfg.HistoryReads), trouble: make([]atomic.Pointer[string], cfg.Partitions)}
	f.metrics = newMetrics(cfg.Registerer, f)
	f.ends = eventstore.NewEnds(cfg.Partitions, func(partition int32) (int64, error) {
		return cfg.Log.EndOffset(eventstore.TransactionEvents, partition)
	})
	f.accounts.init()
	f.transactions.init()
	return f
}

func positiveOr[T int | time.Duration](value, otherwise T) T {
	if value > 0 {
		return value
	}
	return otherwise
}

// Publish takes account events: every one of every partition, in the order of its partition, each after the state that
// Accounts shows has it. It never waits for a subscriber, and costs next to nothing for accounts that nobody watches.
func (f *Feed) Publish(_ int32, events []eventstore.Recorded) {
	if f.accounts.watching.Load() == 0 {
		return
	}
	now := f.cfg.Clock()
	for i := range events {
		f.accounts.publish(&events[i].Event, now, f.cfg.Buffer)
	}
}

// enter counts a subscriber in; leave counts it out.
func (f *Feed) enter() error {
	if f.subscribers.Add(1) > int64(f.cfg.MaxSubscribers) {
		f.leave()
		f.metrics.refused.Inc()
		return domain.Refuse(domain.Overloaded, "", "too many subscriptions are open; try again later or on another node")
	}
	return nil
}

func (f *Feed) leave() { f.subscribers.Add(-1) }

// read looks into the read model, one of a bounded number at a time. The wait for a turn ends with ctx.
func (f *Feed) read(ctx context.Context, look func() error) error {
	select {
	case f.reading <- struct{}{}:
		defer func() { <-f.reading }()
		if ctx.Err() != nil { // It came with the turn.
			return ctx.Err()
		}
		return look()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// passing tells whether a look into the read model may succeed when it is tried again.
func passing(err error) bool {
	var refusal *domain.Refusal
	return errors.As(err, &refusal) && (refusal.Code == domain.Unavailable || refusal.Code == domain.ReadTimeout)
}

// pauses grow from try to try up to a longest one.
type pauses struct {
	next, longest time.Duration
}

// wait pauses; false with ctx ended.
func (p *pauses) wait(ctx context.Context) bool {
	timer := time.NewTimer(p.next)
	defer timer.Stop()
	p.next = min(2*p.next, p.longest)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
