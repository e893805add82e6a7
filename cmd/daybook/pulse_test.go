package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/internal/testenv"
)

func TestADatabaseThatHangsHoldsNobodyUpAndIsNoticedThoughEverybodyHangsUp(t *testing.T) {
	var now, asked atomic.Int64
	now.Store(time.Now().UnixMilli())
	answers := make(chan error)
	p := &pulse{clock: func() time.Time { return time.UnixMilli(now.Load()) }, ask: func(ctx context.Context) error {
		asked.Add(1)
		select {
		case err := <-answers:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	var probes sync.WaitGroup
	for range 20 {
		for _, ctx := range []context.Context{t.Context(), gone} {
			probes.Go(func() {
				if err := p.check(ctx); err != nil {
					t.Errorf("before anything was answered: %v", err)
				}
			})
		}
	}
	probes.Wait() // Nobody answers meanwhile.

	away := errors.New("away")
	answers <- away
	testenv.Eventually(t, func() error {
		if err := p.check(gone); !errors.Is(err, away) {
			return errors.New("the answer is not noted")
		}
		return nil
	})
	if err := p.check(t.Context()); !errors.Is(err, away) || asked.Load() != 1 {
		t.Errorf("a moment later: %v, asked %d times", err, asked.Load())
	}

	now.Add(pingEvery.Milliseconds())
	if err := p.check(t.Context()); !errors.Is(err, away) {
		t.Errorf("while it hangs again: %v, want what was known last", err)
	}
	answers <- nil
	testenv.Eventually(t, func() error { return p.check(gone) })
	if asked.Load() != 2 {
		t.Errorf("it was asked %d times, want 2", asked.Load())
	}
}
