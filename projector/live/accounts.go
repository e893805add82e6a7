package live

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"daybook/domain/account"
	"daybook/eventstore"
	"daybook/projector"
)

// shardCount is in how many parts the watched accounts are kept, each with its own lock. A power of two.
const shardCount = 64

// accounts are the watched accounts.
type accounts struct {
	// watching counts subscribers, so that publishing finds out cheaply that there are none.
	watching atomic.Int64
	seed     maphash.Seed
	shards   [shardCount]shard
}

type shard struct {
	watching atomic.Int64
	mu       sync.Mutex
	byID     map[string]*watched
}

// watched is an account with subscribers, which all share what it keeps.
type watched struct {
	shard *shard
	id    string
	// now is replaced with every event, under the shard's lock. Subscribers look at it without one: thousands that
	// wake at the same time do not stand in the publisher's way.
	now atomic.Pointer[moment]
	// subscribers is changed under the shard's lock.
	subscribers atomic.Int64
}

// moment is what there is to see of an account until its next event. Only arrived changes.
type moment struct {
	// last is the version of the last event published since the account is watched; zero before the first.
	last int64
	// recent are the last events, ending with version last, without gap. Those that changed no balance are nil: they
	// only count.
	recent []*pushed
	// over is closed when the next event has come.
	over chan struct{}
	// arrived counts the subscribers that have seen it all.
	arrived atomic.Int64
}

func (a *accounts) init() {
	a.seed = maphash.MakeSeed()
	for i := range a.shards {
		a.shards[i].byID = map[string]*watched{}
	}
}

func (a *accounts) shardOf(id string) *shard {
	return &a.shards[maphash.String(a.seed, id)%shardCount]
}

// watch begins to keep the account's events. Whoever looks at the account's state after it can be sure that every
// event which is not in that state will be seen here.
func (a *accounts) watch(id string) *watched {
	a.watching.Add(1)
	s := a.shardOf(id)
	s.watching.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.byID[id]
	if w == nil {
		w = &watched{shard: s, id: strings.Clone(id)}
		w.now.Store(&moment{over: make(chan struct{})})
		s.byID[w.id] = w
	}
	w.subscribers.Add(1)
	return w
}

// unwatch ends one subscriber's interest; at is the last moment it arrived at.
func (a *accounts) unwatch(w *watched, at *moment) {
	w.shard.mu.Lock()
	if w.now.Load() == at {
		at.arrived.Add(-1)
	}
	if w.subscribers.Add(-1) == 0 {
		delete(w.shard.byID, w.id)
	}
	w.shard.mu.Unlock()
	w.shard.watching.Add(-1)
	a.watching.Add(-1)
}

func (a *accounts) publish(e *eventstore.Event, now time.Time, keep int) {
	s := a.shardOf(e.AggregateID)
	if s.watching.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.byID[e.AggregateID]; w != nil {
		w.add(e, now, keep)
	}
}

// add makes the event the account's last. The oldest makes room for it: a subscriber that had not seen that one yet
// finds the gap by the versions, and fills it from the history.
func (w *watched) add(e *eventstore.Event, now time.Time, keep int) {
	old := w.now.Load()
	if e.Version <= old.last {
		return
	}
	m := &moment{last: e.Version, over: make(chan struct{})}
	if e.Version == old.last+1 {
		m.recent = old.recent
	}
	if len(m.recent) == keep {
		m.recent = m.recent[1:]
	}
	// Older moments share the array but not what is appended to it, which lies behind their end.
	m.recent = append(m.recent, changeOf(e, now))
	w.now.Store(m)
	close(old.over)
}

// arrive notes that a subscriber has seen all of a moment. When everybody has, the events are let go of.
func (w *watched) arrive(m *moment) {
	if m.arrived.Add(1) < w.subscribers.Load() || len(m.recent) == 0 {
		return
	}
	w.shard.mu.Lock()
	defer w.shard.mu.Unlock()
	if w.now.Load() == m && m.arrived.Load() >= w.subscribers.Load() {
		w.now.Store(&moment{last: m.last, over: m.over})
	}
}

// after returns the event that follows on a version; not found when it was let go of or has not come yet. A change of
// nil is an event that changed no balance.
func (m *moment) after(version int64) (change *pushed, found bool) {
	i := version - m.last + int64(len(m.recent))
	if i < 0 || i >= int64(len(m.recent)) {
		return nil, false
	}
	return m.recent[i], true
}

func changeOf(e *eventstore.Event, now time.Time) *pushed {
	d, ok := e.Data.(*account.BalanceChanged)
	if !ok {
		return nil
	}
	return &pushed{
		Change:   projector.Change{AccountID: e.AggregateID, Version: e.Version, Timestamp: e.Timestamp, BalanceChanged: *d},
		recorded: now, traceparent: e.Traceparent,
	}
}
