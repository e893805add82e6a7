package eventstore

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestThoseWhoAskForAnEndAtOnceShareARequestAndGetNothingOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const later = 100
		var end, requests atomic.Int64
		goOn := make(chan struct{})
		ends := NewEnds(2, func(int32) (int64, error) {
			requests.Add(1)
			found := end.Load()
			<-goOn
			return found, nil
		})
		answers := make(chan int64, 1+later)
		ask := func() {
			got, err := ends.Of(t.Context(), 1)
			if err != nil {
				t.Error(err)
			}
			answers <- got
		}
		go ask()
		synctest.Wait()
		end.Store(7) // The first request has found its answer, which is too old for those who ask now.
		for range later {
			go ask()
		}
		synctest.Wait()
		goOn <- struct{}{}
		if got := <-answers; got != 0 {
			t.Errorf("the first was told %d, want 0", got)
		}
		close(goOn)
		for range later {
			if got := <-answers; got != 7 {
				t.Errorf("a later one was told %d, want 7", got)
			}
		}
		if n := requests.Load(); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

func TestNobodyWaitsForAnEndLongerThanHeWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("no broker answers")
		goOn := make(chan struct{})
		ends := NewEnds(1, func(int32) (int64, error) { <-goOn; return 0, away })
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() { _, err := ends.Of(ctx, 0); gaveUp <- err }()
		synctest.Wait()
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that the context ended", err)
		}
		close(goOn)
		if _, err := ends.Of(t.Context(), 0); !errors.Is(err, away) {
			t.Errorf("got %v, want %v", err, away)
		}
	})
}
