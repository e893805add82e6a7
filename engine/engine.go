// Package engine is the write side's runtime: it owns partitions, decides commands in groups, writes them behind a
// fence, keeps the folded state, and coordinates what spans accounts.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/engine/ledger"
	"daybook/engine/store"
	"daybook/eventstore"
)

// Config is what an engine works with. All but Admit, Publish, NodeID, the limits, Registerer and Tracer is required.
type Config struct {
	// Partitions is the number of partitions of the account topics.
	Partitions int32
	// Clock tells the time; NewID draws a unique id.
	Clock  func() time.Time
	NewID  func() string
	Logger *slog.Logger
	// NodeID names this node among all of the cluster, which it sends commands on accounts that others own to. Without it,
	// such commands are refused.
	NodeID string
	// Publish receives every account event of every partition, in the order of its partition, once it is recorded
	// and folded. It must not block or keep the slice's order from changing hands.
	Publish func(partition int32, events []eventstore.Recorded)
	// Admit, when set, can refuse commands because of the state of the machine, such as a full disk.
	Admit func() error
	// QueueLength bounds the commands waiting per partition. Default 8192.
	QueueLength int
	// PipelineFrom is how many commands must wait for a batch to be sent while another is on its way. Fewer wait for its
	// answer and make a larger batch: what a batch costs besides its commands is most of what a small one costs. Default
	// 256; 1 lets nothing wait.
	PipelineFrom int
	// CommandTimeout bounds how long a caller waits for an answer. Default 10 s.
	CommandTimeout time.Duration
	// SettleGrace bounds how much longer a caller waits for the definite answer to a command that is on its way to the
	// log when CommandTimeout ends. Default 20 s.
	SettleGrace time.Duration
	// SettleWait bounds how long a transfer waits for its other side before it answers PENDING. Default 2 s.
	SettleWait time.Duration
	// Registerer takes the engine's metrics, Tracer makes its spans. Nil means none.
	Registerer prometheus.Registerer
	Tracer     trace.Tracer
}

// FatalError means that going on would harm the books: an operator has to act.
type FatalError struct{ Err error }

// Error implements error.
func (e *FatalError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *FatalError) Unwrap() error { return e.Err }

// Engine is the write side of one node.
type Engine struct {
	cfg        Config
	log        Log
	store      *store.Store
	partitions []*partition
	waiters    waiters
	// forwarder is nil in a node that has no other beside it.
	forwarder *forwarder
	// ends tells where the account events end.
	ends    *eventstore.Ends
	metrics *metrics
}

// New makes an engine; Run starts it.
func New(cfg Config, log Log, s *store.Store) *Engine {
	if cfg.QueueLength == 0 {
		cfg.QueueLength = 8192
	}
	if cfg.PipelineFrom == 0 {
		cfg.PipelineFrom = 256
	}
	if cfg.CommandTimeout == 0 {
		cfg.CommandTimeout = 10 * time.Second
	}
	if cfg.SettleGrace == 0 {
		cfg.SettleGrace = 20 * time.Second
	}
	if cfg.SettleWait == 0 {
		cfg.SettleWait = 2 * time.Second
	}
	e := &Engine{cfg: cfg, log: log, store: s, partitions: make([]*partition, cfg.Partitions), metrics: newMetrics(cfg.Registerer, cfg.Partitions)}
	for id := range cfg.Partitions {
		e.partitions[id] = &partition{engine: e, id: id, queue: make(chan *request, cfg.QueueLength), handed: make(chan stepBatch, handoverBuffer), freezes: make(chan freeze)}
	}
	e.ends = eventstore.NewEnds(cfg.Partitions, e.askEnd)
	if cfg.NodeID != "" {
		e.forwarder = newForwarder(e)
	}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(newPartitionGauges(e))
	}
	return e
}

// Run follows every partition, and owns the assigned ones, until ctx ends. A FatalError ends it early.
func (e *Engine) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Owners that stop still answer other nodes: who carries the answers ends after them.
	forwarding, endForwarding := context.WithCancel(context.WithoutCancel(ctx))
	var forwarders, wg sync.WaitGroup
	errs := make([]error, len(e.partitions))
	if e.forwarder != nil {
		forwarders.Go(func() { e.forwarder.run(forwarding) })
	}
	for i, p := range e.partitions {
		wg.Go(func() {
			if errs[i] = p.run(ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	endForwarding()
	forwarders.Wait()
	return errors.Join(errs...)
}

// Assign says which partitions this node should own; the others it follows.
func (e *Engine) Assign(partitions []int32) {
	mine := map[int32]bool{}
	for _, id := range partitions {
		mine[id] = true
	}
	for _, p := range e.partitions {
		p.assign(mine[p.id])
	}
}

// Owned lists the partitions that this node owns at the moment.
func (e *Engine) Owned() []int32 {
	var owned []int32
	for _, p := range e.partitions {
		if p.owned.Load() {
			owned = append(owned, p.id)
		}
	}
	return owned
}

// Ready returns nil when every assigned partition is owned and every other one followed without trouble.
func (e *Engine) Ready() error {
	for _, p := range e.partitions {
		if text := p.lastErr.Load(); text != nil {
			return fmt.Errorf("partition %d: %s", p.id, *text)
		}
		if p.mine() && !p.owned.Load() {
			return fmt.Errorf("partition %d is being taken over", p.id)
		}
	}
	return nil
}

// patience bounds how long a caller waits for the answers to what it asks for at once.
type patience struct {
	// caller is who waits. taken ends when what was not taken is given up, settled when what was is.
	caller, taken, settled context.Context
}

// patience begins to count. What is returned ends it.
func (e *Engine) patience(caller context.Context) (patience, func()) {
	taken, cancel := context.WithTimeout(caller, e.cfg.CommandTimeout)
	settled, cancelSettled := context.WithTimeout(context.WithoutCancel(caller), e.cfg.CommandTimeout+e.cfg.SettleGrace)
	return patience{caller, taken, settled}, func() { cancel(); cancelSettled() }
}

// await waits until the request is answered. One that was not taken in time is given up. One that was is on its way to
// the log: its owner settles it within a bounded time, even if it has to take the partition over or was taken over
// itself, and that definite answer is worth some more waiting, unless the caller is gone.
func (p patience) await(r *request) error {
	select {
	case <-r.done:
		return nil
	case <-p.taken.Done():
	}
	if r.withdraw() {
		return domain.Refuse(domain.Unavailable, "", "this command did nothing: the log did not answer in time; try again with the same idempotency key")
	}
	for gone := p.caller.Done(); ; {
		select {
		case <-r.done:
			return nil
		case <-gone:
			if gone = nil; !errors.Is(p.caller.Err(), context.Canceled) {
				continue
			}
		case <-p.settled.Done():
		}
		break
	}
	select {
	case <-r.done: // The answer came at the same moment.
		return nil
	default:
		r.leave()
		return outcomeUnknown()
	}
}

func publicError(err error) error {
	var r *domain.Refusal
	if errors.As(err, &r) {
		return r
	}
	return domain.Refuse(domain.Internal, "", "%s", err)
}

// Account returns the state of an account as far as this node has followed the log.
func (e *Engine) Account(id string) (account.State, error) {
	return e.store.Account(e.partitionOf(id), id)
}

// follow follows the other side of a movement, and is to be begun before the command is submitted: what is recorded from
// then on is heard of, and nothing has to be looked up. It is nil for what has no other side in another partition.
func (e *Engine) follow(r *request, other string) *following {
	if !e.crosses(r.Command, other) {
		return nil
	}
	news, end := e.waiters.register(r.SubjectID)
	return &following{id: r.SubjectID, news: news, end: end}
}

// following is news of one transaction.
type following struct {
	id   string
	news <-chan recordedLeg
	end  func()
}

func (f *following) close() {
	if f != nil {
		f.end()
	}
}

// awaitSettled waits, a bounded time, for the other side of a movement, and brings the transaction's status up to date.
func (e *Engine) awaitSettled(ctx context.Context, tx *transaction.State, f *following) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.SettleWait)
	defer cancel()
	if f == nil || f.id != tx.ID { // One that was not followed from its beginning, such as that of a repeated command.
		news, end := e.waiters.register(tx.ID)
		f = &following{id: tx.ID, news: news, end: end}
		defer end()
		if err := e.settled(tx); err != nil {
			// The movement stands whatever cannot be read here; its status is told as it was.
			e.cfg.Logger.Error("a transaction's legs cannot be looked up and it is answered as it was; look at the disk of the state directory", "transaction", tx.ID, "error", err)
			return
		}
	}
	for !tx.Status.Final() {
		select {
		case l := <-f.news:
			l.apply(tx)
		case <-ctx.Done():
			return
		}
	}
}

// settled looks up what this node knows of the transfer's legs.
func (e *Engine) settled(tx *transaction.State) error {
	credit, known, err := e.leg(tx.To, tx.ID, ledger.LegCredit)
	if err != nil || !known {
		return err
	}
	if credit.RefusalCode == "" {
		tx.Status = transaction.Completed
		return nil
	}
	tx.Status, tx.FailureCode = transaction.Failed, domain.Code(credit.RefusalCode)
	_, reversed, err := e.leg(tx.From, tx.ID, ledger.LegReversal)
	if reversed {
		tx.Status = transaction.Compensated
	}
	return err
}

func (e *Engine) leg(accountID, transactionID string, kind ledger.LegKind) (ledger.Leg, bool, error) {
	return e.store.Leg(e.partitionOf(accountID), store.LegKey{AccountID: accountID, TransactionID: transactionID, Kind: kind})
}

func (e *Engine) partitionOf(id string) int32 { return eventstore.PartitionOf(id, e.cfg.Partitions) }

// publish tells waiters and subscribers of recorded events.
func (e *Engine) publish(partition int32, events []eventstore.Recorded) {
	e.waiters.notify(events)
	if e.cfg.Publish != nil {
		e.cfg.Publish(partition, events)
	}
}
