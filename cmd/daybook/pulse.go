package main

import (
	"context"
	"sync"
	"time"
)

const (
	// pingEvery is how often at most the database is asked for a sign of life.
	pingEvery = time.Second
	// pingWait is how long whoever wants to know waits for it: less than the shortest patience of those who probe.
	pingWait = 200 * time.Millisecond
)

// pulse asks the database for a sign of life, one question at a time and apart from those who want to know. A database
// that hangs must not hold them up, and one who hangs up must not keep the answer from the others.
type pulse struct {
	// ask returns after a bounded time.
	ask   func(ctx context.Context) error
	clock func() time.Time

	mu sync.Mutex
	// asking is closed when the question under way is answered; nil when none is.
	asking chan struct{}
	asked  time.Time
	failed error
}

// check tells what became of the last question that was answered, after asking another one if that is a while ago.
func (p *pulse) check(ctx context.Context) error {
	enough := time.NewTimer(pingWait)
	defer enough.Stop()
	select {
	case <-p.answered(ctx):
	case <-enough.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// answered is closed once the answer is as new as it should be.
func (p *pulse) answered(ctx context.Context) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asking != nil {
		return p.asking
	}
	done := make(chan struct{})
	if p.clock().Sub(p.asked) < pingEvery {
		close(done)
		return done
	}
	p.asking = done
	go func() {
		err := p.ask(context.WithoutCancel(ctx))
		p.mu.Lock()
		p.asking, p.asked, p.failed = nil, p.clock(), err
		p.mu.Unlock()
		close(done)
	}()
	return done
}
