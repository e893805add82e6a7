package live

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/internal/testenv"
	"daybook/projector"
)

// assertEmpty checks that nothing is left of closed feeds.
func assertEmpty(t *testing.T, f *Feed) {
	t.Helper()
	left := f.subscribers.Load() + f.accounts.watching.Load() + int64(len(f.transactions.byID)+f.transactions.subscribers)
	for i := range f.accounts.shards {
		left += f.accounts.shards[i].watching.Load() + int64(len(f.accounts.shards[i].byID))
	}
	if left != 0 {
		t.Errorf("closed feeds left %d things behind", left)
	}
}

func TestASlowSubscriberLosesNothingAndHoldsUpNobody(t *testing.T) {
	w := newWorld()
	w.open("ann")
	cfg := w.config()
	cfg.Buffer = 4
	f := New(cfg)
	slow, quick := f.mustChanges(t, "ann", 1), f.mustChanges(t, "ann", 1)
	const last = 500
	for v := int64(2); v <= last; v++ {
		w.credit(f, "ann")
		if got := next(t, quick); got.Version != v {
			t.Fatalf("the quick one got version %d, want %d", got.Version, v)
		}
	}
	if w.looks != 0 {
		t.Errorf("the quick one looked into the read model %d times", w.looks)
	}
	w.project("ann", last)
	for v := int64(2); v <= last; v++ {
		if got := next(t, slow); got.Version != v {
			t.Fatalf("the slow one got version %d, want %d", got.Version, v)
		}
	}
	w.credit(f, "ann")
	if got := next(t, slow); got.Version != last+1 {
		t.Errorf("live again, the slow one got version %d, want %d", got.Version, last+1)
	}
	slow.Close()
	quick.Close()
	assertEmpty(t, f)
}

func TestWhoeverIsUpToDateNeedsNoHistory(t *testing.T) {
	w := newWorld()
	w.open("ann")
	f := New(w.config())
	c := f.mustChanges(t, "ann", 1)
	defer c.Close()
	f.Publish(0, w.record("ann", &account.LimitsChanged{}))
	w.credit(f, "ann")
	if got := next(t, c); got.Version != 3 || w.looks != 0 {
		t.Errorf("got version %d after %d looks into the history, want 3 after none", got.Version, w.looks)
	}
}

func TestWithoutAVersionAFeedBeginsWithTheNextChange(t *testing.T) {
	w := newWorld()
	w.open("ann")
	f := New(w.config())
	w.credit(f, "ann")
	c, err := f.Changes(t.Context(), "ann", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w.credit(f, "ann")
	if got := next(t, c); got.Version != 3 {
		t.Errorf("got version %d, want 3", got.Version)
	}
}

func TestAnEventThatComesWhileAFeedBeginsIsNotMissed(t *testing.T) {
	w := newWorld()
	w.open("ann")
	f := New(w.config())
	w.meanwhile = func() { w.credit(f, "ann") }
	c, err := f.Changes(t.Context(), "ann", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := next(t, c); got.Version != 2 {
		t.Errorf("got version %d, want 2", got.Version)
	}
}

func TestRepeatedAndMissingEventsOfThePublisherDoNoHarm(t *testing.T) {
	w := newWorld()
	w.open("ann")
	f := New(w.config())
	c, behind := f.mustChanges(t, "ann", 1), f.mustChanges(t, "ann", 1)
	defer c.Close()
	defer behind.Close() // Keeps the events from being let go of.
	second := w.record("ann", change(2))
	third := w.record("ann", change(3))
	expect := func(c *ChangeFeed, versions ...int64) {
		t.Helper()
		for _, v := range versions {
			if got := next(t, c); got.Version != v || got.TransactionID != fmt.Sprint("tx-", v) {
				t.Fatalf("got version %d of %s, want %d", got.Version, got.TransactionID, v)
			}
		}
	}
	f.Publish(0, append(second, third...))
	f.Publish(0, second)
	f.Publish(0, third)
	expect(c, 2, 3)
	w.record("ann", change(4))
	w.credit(f, "ann")
	w.project("ann", 4)
	expect(c, 4, 5)
	expect(behind, 2, 3, 4, 5)
}

func TestAHistoryThatRepeatsItselfDoesNoHarm(t *testing.T) {
	w := newWorld()
	w.open("ann")
	cfg := w.config()
	cfg.PageSize = 2
	f := New(cfg)
	for range 6 {
		w.credit(f, "ann")
	}
	w.project("ann", 7)
	var first projector.ChangesPage
	w.forge = func(p *projector.ChangesPage) {
		if first.Changes == nil {
			first = *p
		}
		p.Changes = append(append([]projector.Change(nil), first.Changes...), p.Changes...)
	}
	c := f.mustChanges(t, "ann", 0)
	defer c.Close()
	for v := int64(2); v <= 7; v++ {
		if got := next(t, c); got.Version != v {
			t.Fatalf("got version %d, want %d", got.Version, v)
		}
	}
}

func TestAReadModelThatGoesBackLosesNothing(t *testing.T) {
	w := newWorld()
	w.open("ann")
	cfg := w.config()
	cfg.PageSize = 2
	f := New(cfg)
	for range 7 {
		w.credit(f, "ann")
	}
	c := f.mustChanges(t, "ann", 0)
	defer c.Close()
	w.project("ann", 8)
	for v := int64(2); v <= 8; v++ {
		switch v {
		case 4: // It told of 8 versions, and now has one change after the page given out.
			w.goBack("ann", 4)
		case 5: // It was emptied, and comes up again when it is asked.
			w.goBack("ann", 0)
			w.onward = func() bool { return true }
		}
		if got := next(t, c); got.Version != v {
			t.Fatalf("got version %d, want %d", got.Version, v)
		}
	}
}

func TestThousandsWatchOneAccount(t *testing.T) {
	w := newWorld()
	w.open("ann")
	f := New(w.config())
	const subscribers, last = 5000, 40
	var wg sync.WaitGroup
	wrong := make(chan error, subscribers)
	for range subscribers {
		c := f.mustChanges(t, "ann", 1)
		wg.Go(func() {
			defer c.Close()
			for v := int64(2); v <= last; v++ {
				got, err := c.Next(t.Context())
				if err != nil || got.Version != v {
					wrong <- errors.Join(err, errors.New("a wrong version"))
					return
				}
			}
		})
	}
	for v := 2; v <= last; v++ {
		w.credit(f, "ann")
	}
	wg.Wait()
	select {
	case err := <-wrong:
		t.Error(err)
	default:
	}
	assertEmpty(t, f)
}

func TestWhatEverybodyHasSeenIsLetGoOf(t *testing.T) {
	w := newWorld()
	w.open("ann")
	f := New(w.config())
	a, b := f.mustChanges(t, "ann", 1), f.mustChanges(t, "ann", 1)
	for range 10 {
		w.credit(f, "ann")
	}
	kept := func() int { return len(a.watched.now.Load().recent) }
	// drain reads all there is and waits for more until the condition holds.
	drain := func(c *ChangeFeed, until func() bool) {
		for range 10 {
			next(t, c)
		}
		ended, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _, _ = c.Next(ended) }()
		testenv.Eventually(t, func() error {
			if !until() {
				return fmt.Errorf("%d events are kept", kept())
			}
			return nil
		})
		cancel()
		<-done
	}
	drain(a, func() bool { return a.watched.now.Load().arrived.Load() == 1 })
	if kept() != 10 {
		t.Errorf("%d events are kept for the second subscriber, want 10", kept())
	}
	drain(b, func() bool { return kept() == 0 })
	w.credit(f, "ann")
	if got := next(t, a); got.Version != 12 {
		t.Errorf("got version %d, want 12", got.Version)
	}
	a.Close()
	b.Close()
}

func TestAFaultInsideTheReadModelEndsTheFeedAtOnce(t *testing.T) {
	w := newWorld()
	w.open("ann")
	broken := errors.New("no such table")
	w.fault = func() error { return broken }
	f := New(w.config())
	c := f.mustChanges(t, "ann", 0)
	defer c.Close()
	if _, err := c.Next(t.Context()); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func TestAFeedEndsWithItsContext(t *testing.T) {
	w := newWorld()
	w.open("ann")
	f := New(w.config())
	for name, after := range map[string]int64{"live": 1, "waiting for history": 0} {
		t.Run(name, func(t *testing.T) {
			c := f.mustChanges(t, "ann", after)
			defer c.Close()
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { _, err := c.Next(ctx); ended <- err }()
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSubscribersBeyondTheBoundAreRefusedUntilOthersLeave(t *testing.T) {
	w := newWorld()
	w.open("ann")
	cfg := w.config()
	cfg.MaxSubscribers = 2
	f := New(cfg)
	a, b := f.mustChanges(t, "ann", 1), f.mustChanges(t, "ann", 0)
	if _, err := f.Changes(t.Context(), "ann", nil); domain.CodeOf(err) != domain.Overloaded {
		t.Errorf("a third one: %v, want OVERLOADED", err)
	}
	if _, err := f.Transaction(t.Context(), "tx"); domain.CodeOf(err) != domain.Overloaded {
		t.Errorf("a third one, of a transaction: %v, want OVERLOADED", err)
	}
	a.Close()
	f.mustChanges(t, "ann", 0).Close()
	b.Close()
	assertEmpty(t, f)
}

func TestPublishingAllocatesNothingForWhatNobodyWatches(t *testing.T) {
	w := newWorld()
	w.open("ann")
	w.open("bob")
	f := New(w.config())
	events := w.record("bob", change(2))
	if n := testing.AllocsPerRun(100, func() { f.Publish(0, events) }); n != 0 {
		t.Errorf("%v allocations with no subscriber at all", n)
	}
	c := f.mustChanges(t, "ann", 1)
	defer c.Close()
	if n := testing.AllocsPerRun(100, func() { f.Publish(0, events) }); n != 0 {
		t.Errorf("%v allocations with a subscriber of another account", n)
	}
}

func BenchmarkPublish(b *testing.B) {
	w := newWorld()
	w.open("ann")
	f := New(w.config())
	events := w.record("bob", change(1))
	b.Run("nobody subscribes", func(b *testing.B) {
		for b.Loop() {
			f.Publish(0, events)
		}
	})
	after := int64(1)
	c, err := f.Changes(b.Context(), "ann", &after)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.Run("others subscribe", func(b *testing.B) {
		for b.Loop() {
			f.Publish(0, events)
		}
	})
}
