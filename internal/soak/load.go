package soak

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"daybook/internal/bench"
)

// longestBacklog bounds how late an operation may be sent; what is due for longer is left out and counted.
const longestBacklog = 10 * time.Second

// load is clients of all nodes, and what they hear.
type load struct {
	mix     *mix
	clients []*client
	errors  *errors
	next    atomic.Int64
	// commands and queries are latencies since they were last taken.
	commands, queries histogram
}

// newLoad makes clients, spread over the nodes, and opens the accounts.
func newLoad(hosts []string, clients int) (*load, error) {
	l := &load{mix: newMix(), errors: newErrors()}
	for i := range clients {
		l.clients = append(l.clients, &client{host: hosts[i%len(hosts)]})
	}
	for _, r := range l.mix.opening() {
		l.clients[0].send(r, l.errors)
	}
	if counts, first := l.errors.all(); len(counts) > 0 {
		return nil, fmt.Errorf("opening accounts: %v, such as %v", counts, first)
	}
	return l, nil
}

func (l *load) close() {
	for _, c := range l.clients {
		c.close()
	}
}

// one sends the next operation, which was due at a time, and counts its latency from then on.
func (l *load) one(c *client, due time.Time) {
	r := l.mix.draw(l.next.Add(1))
	c.send(r, l.errors)
	took := time.Since(due)
	if r.read {
		l.queries.add(took)
	} else {
		l.commands.add(took)
	}
}

// most tells how many operations are answered in a second when every client sends its next as soon as it has an answer.
func (l *load) most(ctx context.Context, d time.Duration) (bench.Result, error) {
	result, err := bench.Load(ctx, len(l.clients), d, func(_ context.Context, caller, _ int) error {
		l.one(l.clients[caller], time.Now())
		return nil
	})
	l.commands.take()
	l.queries.take()
	return result, err
}

// keepUp sends so many operations a second until ctx ends, whatever the answers take: latencies count from the moment
// when an operation was due.
func (l *load) keepUp(ctx context.Context, perSecond float64) {
	began := time.Now()
	interval := float64(time.Second) / perSecond
	var tickets atomic.Int64
	var wg sync.WaitGroup
	for _, c := range l.clients {
		wg.Go(func() {
			for {
				due := began.Add(time.Duration(float64(tickets.Add(1)-1) * interval))
				if !pause(ctx, time.Until(due)) {
					return
				}
				if time.Since(due) > longestBacklog {
					l.errors.add(codeLate, fmt.Sprintf("an operation was due more than %s ago", longestBacklog))
					continue
				}
				l.one(c, due)
			}
		})
	}
	wg.Wait()
}

// pause waits, and tells whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// taken is what was answered since it was last called.
func (l *load) taken() LoadSample {
	var s LoadSample
	var p50, p99 float64
	s.Commands, p50, p99 = l.commands.take()
	s.CommandP50, s.CommandP99 = Value(p50), Value(p99)
	s.Queries, p50, p99 = l.queries.take()
	s.QueryP50, s.QueryP99 = Value(p50), Value(p99)
	return s
}
