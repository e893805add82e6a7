package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// holdFrom and goOnBelow are how far the read model may be behind the log before callers hold back, and how near it
	// must have come before they go on.
	holdFrom  = 500 * time.Millisecond
	goOnBelow = holdFrom / 2
	// lagInterval is the time between two looks at how far the read model has come.
	lagInterval = 100 * time.Millisecond
	// quiet is for how long nothing must have come for it to be clear that all there was has come: transactions follow on
	// the events of accounts with some delay.
	quiet = 500 * time.Millisecond
	// settlePatience bounds the wait for the read model once the load has ended.
	settlePatience = 2 * time.Minute
	// transferEvents is how many events a transfer comes to: a debit, a credit, and two of its transaction.
	transferEvents = 4
)

// Node is a whole node under load.
type Node struct {
	// URL is where it serves.
	URL string
	// Partitions is the number of partitions of its topics.
	Partitions int32
	// Progress tells of each partition of the event topics, always in the same order, the offset after its last event and
	// the offset up to which the read model has it.
	Progress func() (written, projected []int64, err error)
}

// SustainedTransfers is HTTPTransfers for long, held back so that the projector keeps up: PerSecond counts transfers from
// a read model that has caught up until it has caught up with the last of them. Tell is called with the time passed.
func SustainedTransfers(ctx context.Context, n Node, callers int, d time.Duration, tell func(passed time.Duration)) (Result, error) {
	return sustained(ctx, n, callers, d, 1, tell, (*clients).transfer)
}

// SustainedBatches is the same of HTTPBatches.
func SustainedBatches(ctx context.Context, n Node, size, callers int, d time.Duration, tell func(passed time.Duration)) (Result, error) {
	return sustained(ctx, n, callers, d, size, tell, func(c *clients, caller, n int) error { return c.batch(caller, n, size) })
}

func sustained(ctx context.Context, n Node, callers int, d time.Duration, size int, tell func(time.Duration), call func(c *clients, caller, n int) error) (Result, error) {
	c, err := openClients(n.URL, callers, newAccountSet(n.Partitions))
	if err != nil {
		return Result{}, err
	}
	defer c.close()
	p := newPacer(n.Progress)
	if err := p.settle(ctx, 0, quiet); err != nil {
		return Result{}, err
	}
	began, before := time.Now(), p.projected
	result, calls, err := p.load(ctx, callers, d, tell, func(caller, n int) error { return call(c, caller, n) })
	if err != nil {
		return Result{}, err
	}
	if err := p.settle(ctx, before+calls*int64(size)*transferEvents, 0); err != nil {
		return Result{}, err
	}
	result.PerSecond = float64(calls*int64(size)) / time.Since(began).Seconds()
	result.Lag = p.worst
	c.accounts.count(&result)
	return result, nil
}

// Settle waits, a bounded time, until the node's read model has all that is in the log and nothing has come for a while.
// It tells how many offsets the read model has.
func Settle(ctx context.Context, n Node) (projected int64, err error) {
	p := newPacer(n.Progress)
	err = p.settle(ctx, 0, quiet)
	return p.projected, err
}

// pacer holds callers back while the read model is too far behind.
type pacer struct {
	progress func() (written, projected []int64, err error)
	// projected is how many offsets the read model has, over all partitions.
	projected int64
	// seen is how far the log had come at what time, of what the read model has not all yet.
	seen []sighting
	// upTo is a time of which the read model has all.
	upTo  time.Time
	worst time.Duration
	// closed is what callers wait for; nil lets them go on.
	closed atomic.Pointer[chan struct{}]
}

type sighting struct {
	at      time.Time
	written []int64
}

func newPacer(progress func() (written, projected []int64, err error)) *pacer {
	return &pacer{progress: progress}
}

// look measures how far the read model is behind: the age of the last moment of which it has all.
func (p *pacer) look() (lag time.Duration, err error) {
	now := time.Now()
	written, projected, err := p.progress()
	if err != nil {
		return 0, fmt.Errorf("looking how far the read model has come: %w", err)
	}
	p.projected = 0
	for _, position := range projected {
		p.projected += position
	}
	p.seen = append(p.seen, sighting{now, written})
	for len(p.seen) > 0 && reached(projected, p.seen[0].written) {
		p.upTo, p.seen = p.seen[0].at, p.seen[1:]
	}
	return now.Sub(p.upTo), nil
}

func reached(projected, written []int64) bool {
	for i := range written {
		if projected[i] < written[i] {
			return false
		}
	}
	return true
}

// settle waits, a bounded time, until the read model has at least so many events and all that is in the log, and
// nothing has come for a while.
func (p *pacer) settle(ctx context.Context, least int64, quiet time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	for since := time.Now(); ctx.Err() == nil; wait(ctx, lagInterval/4) {
		before := p.projected
		if _, err := p.look(); err != nil {
			return err
		}
		if p.projected > before || len(p.seen) > 0 || p.projected < least {
			since = time.Now()
		}
		if len(p.seen) == 0 && p.projected >= least && time.Since(since) >= quiet {
			return nil
		}
	}
	return fmt.Errorf("the read model has %d events of at least %d: %w", p.projected, least, ctx.Err())
}

// load keeps callers busy for a time, except while they are held back, and counts their calls. Latencies are of calls,
// without the time that a caller was held back before.
func (p *pacer) load(ctx context.Context, callers int, d time.Duration, tell func(time.Duration), call func(caller, n int) error) (result Result, calls int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var stop atomic.Bool
	latencies := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for n := 0; ; n++ {
				p.pass(ctx)
				if stop.Load() || ctx.Err() != nil {
					return
				}
				began := time.Now()
				if err := call(caller, n); err != nil {
					cancel(err)
					return
				}
				latencies[caller] = append(latencies[caller], time.Since(began))
			}
		})
	}
	began := time.Now()
	for time.Since(began) < d && ctx.Err() == nil {
		if err := p.hold(); err != nil {
			cancel(err)
		}
		tell(time.Since(began))
		wait(ctx, lagInterval)
	}
	took := time.Since(began)
	stop.Store(true)
	p.open()
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return Result{}, 0, err
	}
	all := slices.Concat(latencies...)
	return summarise(all, took), int64(len(all)), nil
}

// hold looks at the lag and lets callers go on or holds them back.
func (p *pacer) hold() error {
	lag, err := p.look()
	if err != nil {
		return err
	}
	p.worst = max(p.worst, lag)
	switch {
	case lag > holdFrom && p.closed.Load() == nil:
		closed := make(chan struct{})
		p.closed.Store(&closed)
	case lag < goOnBelow:
		p.open()
	}
	return nil
}

func (p *pacer) open() {
	if closed := p.closed.Swap(nil); closed != nil {
		close(*closed)
	}
}

func (p *pacer) pass(ctx context.Context) {
	closed := p.closed.Load()
	if closed == nil {
		return
	}
	select {
	case <-*closed:
	case <-ctx.Done():
	}
}
