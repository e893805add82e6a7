package live

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/internal/testenv"
	"daybook/projector"
)

type nextFunc func(context.Context) (projector.Change, error)

// bugs are what a test plants to see that the checker finds it.
type bugs struct {
	// delivery comes between a feed and its reader.
	delivery func(r *rand.Rand, next nextFunc) nextFunc
	// forge changes pages of the read model.
	forge func(*projector.ChangesPage)
}

// race runs publishers, a read model that is late and at times gone, and readers that come and go. It returns what
// any reader got that is not exactly what it was to get.
type race struct {
	*world
	feed     *Feed
	seed     uint64
	bugs     bugs
	perTrack int64
	accounts []string
	opened   sync.WaitGroup
}

const readersPerAccount = 6

func (r *race) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	var readers, rest sync.WaitGroup
	for _, id := range r.accounts {
		r.open(id)
	}
	r.opened.Add(readersPerAccount * len(r.accounts))
	for i, id := range r.accounts {
		rest.Go(func() { r.publish(id, newRand(r.seed, i)) })
		rest.Go(func() { r.projectAtRandom(id, newRand(r.seed, 100+i), done) })
		for j := range readersPerAccount {
			readers.Go(func() {
				if err := r.read(ctx, id, newRand(r.seed, 1000+i*readersPerAccount+j)); err != nil {
					cancel(fmt.Errorf("a reader of %s: %w", id, err))
				}
			})
		}
	}
	readers.Wait()
	close(done)
	rest.Wait()
	return context.Cause(ctx)
}

// publish writes the account's events; the last one is a change. In the middle it waits until every reader has come,
// so that also those that want only what is to come get something.
func (r *race) publish(id string, rnd *rand.Rand) {
	for v := r.version(id) + 1; v <= r.perTrack; v++ {
		if v == r.perTrack/2 {
			r.opened.Wait()
		}
		if rnd.IntN(4) == 0 && v < r.perTrack {
			r.feed.Publish(0, r.record(id, &account.StatusChanged{NewStatus: account.Active}))
		} else {
			r.feed.Publish(0, r.record(id, change(v)))
		}
		if rnd.IntN(3) == 0 {
			runtime.Gosched()
		}
	}
}

func (r *race) projectAtRandom(id string, rnd *rand.Rand, done <-chan struct{}) {
	at := int64(0)
	for {
		select {
		case <-done:
			return
		default:
		}
		at = min(at+rnd.Int64N(8), r.version(id))
		if rnd.IntN(16) == 0 { // A database that comes back without its last moments.
			at = max(0, at-rnd.Int64N(30))
			r.goBack(id, at)
		}
		r.project(id, at)
		for range rnd.IntN(20) {
			runtime.Gosched()
		}
	}
}

// read opens one feed after the other until it has met the account's last change. Each resumes where the one before
// ended.
func (r *race) read(ctx context.Context, id string, rnd *rand.Rand) error {
	var after *int64
	if rnd.IntN(2) == 0 {
		at := rnd.Int64N(r.version(id) + 1)
		after = &at
	}
	first := true
	opened := func() {
		if first {
			r.opened.Done()
		}
		first = false
	}
	defer opened()
	for {
		earliest := r.version(id)
		c, err := r.feed.Changes(ctx, id, after)
		latest := r.version(id)
		opened()
		if err != nil {
			return err
		}
		if after != nil {
			earliest, latest = *after, *after
		}
		last, err := r.readSome(ctx, c, rnd, earliest, latest)
		c.Close()
		if err != nil {
			return err
		}
		if last == r.perTrack {
			return nil
		}
		if last > 0 {
			after = &last
		}
	}
}

// readSome reads a few changes and checks them. The feed began after some version from earliest to latest.
func (r *race) readSome(ctx context.Context, c *ChangeFeed, rnd *rand.Rand, earliest, latest int64) (last int64, err error) {
	next := c.Next
	if r.bugs.delivery != nil {
		next = r.bugs.delivery(rnd, next)
	}
	for range 1 + rnd.IntN(60) {
		got, err := next(ctx)
		if err != nil {
			return last, fmt.Errorf("after version %d: %w", last, err)
		}
		least, most := r.nextChange(c.id, earliest), r.nextChange(c.id, latest)
		if got.Version < least || (most > 0 && got.Version > most) {
			return last, fmt.Errorf("got version %d, want %d to %d", got.Version, least, most)
		}
		if got.AccountID != c.id || got.TransactionID != fmt.Sprint("tx-", got.Version) {
			return last, fmt.Errorf("version %d is of account %s, %s", got.Version, got.AccountID, got.TransactionID)
		}
		last, earliest, latest = got.Version, got.Version, got.Version
		if last == r.perTrack {
			return last, nil
		}
		if rnd.IntN(15) == 0 { // A slow one: the account moves on meanwhile.
			for target := min(last+rnd.Int64N(30), r.perTrack/2-1); r.version(c.id) < target && ctx.Err() == nil; {
				runtime.Gosched()
			}
		}
	}
	return last, nil
}

func newRace(n uint64, b bugs) *race {
	rnd := newRand(n, 0)
	w := newWorld()
	faults := newRand(n, 1)
	w.fault = func() error {
		if faults.IntN(12) == 0 {
			return unavailable()
		}
		return nil
	}
	w.onward = func() bool { return faults.IntN(4) == 0 }
	w.forge = b.forge
	cfg := w.config()
	cfg.Buffer, cfg.PageSize, cfg.HistoryReads = 1+rnd.IntN(6), 1+rnd.IntN(5), 1+rnd.IntN(3)
	cfg.Patience = time.Minute // Under the race detector a slow machine takes long to come to a page.
	return &race{world: w, feed: New(cfg), seed: n, bugs: b, perTrack: 300, accounts: []string{"ann", "bob", "cyd"}}
}

func TestEveryReaderGetsEveryChangeOnceAndInOrder(t *testing.T) {
	base := testenv.Seed(t)
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	for i := range rounds {
		r := newRace(base+uint64(i), bugs{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := r.run(ctx)
		cancel()
		if err != nil {
			t.Fatalf("seed %d, buffer %d, page %d: %v", r.seed, r.feed.cfg.Buffer, r.feed.cfg.PageSize, err)
		}
		assertEmpty(t, r.feed)
	}
}

func TestTheCheckerFindsPlantedBugs(t *testing.T) {
	for name, b := range map[string]bugs{
		"a repeated event": {delivery: func(r *rand.Rand, next nextFunc) nextFunc {
			var last *projector.Change
			return func(ctx context.Context) (projector.Change, error) {
				if last != nil && r.IntN(20) == 0 {
					return *last, nil
				}
				c, err := next(ctx)
				last = &c
				return c, err
			}
		}},
		"a dropped event": {delivery: func(r *rand.Rand, next nextFunc) nextFunc {
			return func(ctx context.Context) (projector.Change, error) {
				c, err := next(ctx)
				if err == nil && r.IntN(20) == 0 && c.Version < 290 {
					return next(ctx)
				}
				return c, err
			}
		}},
		"two events in the wrong order": {delivery: func(r *rand.Rand, next nextFunc) nextFunc {
			var held *projector.Change
			return func(ctx context.Context) (projector.Change, error) {
				if held != nil {
					c := *held
					held = nil
					return c, nil
				}
				c, err := next(ctx)
				if err == nil && r.IntN(20) == 0 && c.Version < 290 {
					held = &c
					return next(ctx)
				}
				return c, err
			}
		}},
		"an event missing in the history": {forge: func(p *projector.ChangesPage) {
			for i := range len(p.Changes) - 1 { // Without the last one the feed would wait rather than go wrong.
				if p.Changes[i].Version%7 == 0 {
					p.Changes = append(p.Changes[:i:i], p.Changes[i+1:]...)
					return
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r := newRace(testenv.Seed(t), b)
			r.feed.cfg.PageSize = 5
			err := r.run(ctx)
			if err == nil || errors.Is(err, context.DeadlineExceeded) || domain.CodeOf(err) == domain.Unavailable {
				t.Fatalf("the checker found nothing: %v", err)
			}
			t.Log(err)
		})
	}
}
