package live

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"daybook/domain"
	"daybook/domain/transaction"
)

// In these tests time passes only while all wait, so that it is known to the nanosecond who waited how long.

const patience = 30 * time.Second

// hindrances are what can keep a subscriber from what it looks for.
var hindrances = map[string]func(*world, *Feed){
	"late":        func(*world, *Feed) {},
	"unreachable": func(w *world, _ *Feed) { w.fault = unavailable },
	// The read model gives a query up after 5 s.
	"hanging":            func(w *world, _ *Feed) { w.takes, w.fault = 5*time.Second, unavailable },
	"hanging for good":   func(w *world, _ *Feed) { w.takes = 24 * time.Hour },
	"taken up by others": func(_ *world, f *Feed) { f.takeTurns() },
}

// takeTurns takes all turns and gives back none.
func (f *Feed) takeTurns() {
	for range cap(f.reading) {
		f.reading <- struct{}{}
	}
}

// anHour ends what would wait for ever.
func anHour(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	t.Cleanup(cancel)
	return ctx
}

func TestAFeedWhoseHistoryDoesNotComeSaysWhereToResume(t *testing.T) {
	for name, most := range map[string]int{
		"late": 150, "unreachable": 150, "hanging": 6, "hanging for good": 1, "taken up by others": 0,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.open("ann")
				cfg := w.config()
				cfg.Patience = patience
				f := New(cfg)
				for range 5 {
					w.credit(f, "ann")
				}
				w.project("ann", 2)
				c := f.mustChanges(t, "ann", 0)
				defer c.Close()
				if got := next(t, c); got.Version != 2 {
					t.Fatalf("got version %d, want 2", got.Version)
				}
				hindrances[name](w, f)
				before, begun := w.looks, time.Now()
				_, err := c.Next(anHour(t))
				if domain.CodeOf(err) != domain.Unavailable || !strings.Contains(err.Error(), "afterVersion 2") {
					t.Errorf("got %v, want UNAVAILABLE and afterVersion 2", err)
				}
				if looks, waited := w.looks-before, time.Since(begun); looks > most || waited != patience {
					t.Errorf("%d looks in %s, want at most %d in %s", looks, waited, most, patience)
				}
			})
		})
	}
}

func TestAPageThatTakesAFeedOnGivesItPatienceAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.open("ann")
		cfg := w.config()
		cfg.PageSize, cfg.Patience = 1, patience
		f := New(cfg)
		for range 5 {
			w.credit(f, "ann")
		}
		w.project("ann", 6)
		w.takes = patience / 2
		c := f.mustChanges(t, "ann", 0)
		defer c.Close()
		for v := int64(2); v <= 6; v++ {
			if got := next(t, c); got.Version != v {
				t.Fatalf("got version %d, want %d", got.Version, v)
			}
		}
	})
}

func TestWhatIsPublishedWhileTheHistoryIsAwayIsTold(t *testing.T) {
	for _, name := range []string{"late", "unreachable", "hanging"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.open("ann")
				w.project("ann", 1)
				f := New(w.config())
				hindrances[name](w, f)
				events := w.record("ann", change(2))
				c := f.mustChanges(t, "ann", 1) // The state has the change already.
				defer c.Close()
				time.AfterFunc(time.Second, func() { f.Publish(0, events) })
				if got := next(t, c); got.Version != 2 {
					t.Errorf("got version %d, want 2", got.Version)
				}
			})
		})
	}
}

func TestATransactionWhoseReadModelDoesNotAnswerIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		looks  int
		waited time.Duration
	}{
		"unreachable":        {20, 2 * time.Second},
		"hanging":            {1, 5 * time.Second},
		"hanging for good":   {1, patience},
		"taken up by others": {0, patience},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				cfg := w.config()
				cfg.Patience, cfg.SettleWait = patience, 2*time.Second
				f := New(cfg)
				hindrances[name](w, f)
				begun := time.Now()
				if _, err := f.Transaction(anHour(t), "tx"); domain.CodeOf(err) != domain.Unavailable {
					t.Errorf("got %v, want %s", err, domain.Unavailable)
				}
				if waited := time.Since(begun); w.looks > tc.looks || waited != tc.waited {
					t.Errorf("%d looks in %s, want at most %d in %s", w.looks, waited, tc.looks, tc.waited)
				}
				assertEmpty(t, f)
			})
		})
	}
}

func TestATransactionIsFoundHoweverLongALookOrATurnTakes(t *testing.T) {
	for name, prepare := range map[string]func(*world, *Feed){
		"a look": func(w *world, _ *Feed) {
			w.transactions["tx"] = stateOf("tx", transaction.Completed)
			w.takes = 3 * time.Second
		},
		"a turn, when it comes a moment later": func(w *world, f *Feed) {
			f.takeTurns()
			time.AfterFunc(10*time.Second, func() { <-f.reading })
			w.fault = func() error {
				if w.looks == 2 {
					w.transactions["tx"] = stateOf("tx", transaction.Completed)
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.away = errors.New("no broker answers") // Whoever is not found in a moment is refused.
				cfg := w.config()
				cfg.Patience, cfg.SettleWait = patience, 2*time.Second
				f := New(cfg)
				prepare(w, f)
				f.mustFindCompleted(t, "tx")
			})
		})
	}
}

// A crowd comes back after a restart: all have to be brought up to date, by a read model that is well.
func TestACrowdTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.open("ann")
		cfg := w.config()
		cfg.Patience, cfg.SettleWait, cfg.HistoryReads = patience, 2*time.Second, 1
		f := New(cfg)
		w.credit(f, "ann")
		w.project("ann", 2)
		w.setTransaction(stateOf("tx", transaction.Completed))
		w.takes = 5 * time.Millisecond
		for err := range f.crowd(t, 2500) {
			t.Fatalf("one of the crowd was refused: %v", err)
		}
		assertEmpty(t, f)
	})
}

func TestACrowdDoesNotWaitForAReadModelThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.open("ann")
		cfg := w.config()
		cfg.Patience, cfg.HistoryReads = patience, 8
		f := New(cfg)
		w.credit(f, "ann")
		hindrances["hanging"](w, f)
		begun := time.Now()
		refused := 0
		for err := range f.crowd(t, 400) {
			if refused++; domain.CodeOf(err) != domain.Unavailable {
				t.Errorf("got %v, want %s", err, domain.Unavailable)
			}
		}
		if waited := time.Since(begun); refused != 400 || waited != patience {
			t.Errorf("%d of 400 were refused within %s, want all within %s", refused, waited, patience)
		}
		assertEmpty(t, f)
	})
}

// crowd lets so many watch at once, half of them an account from its beginning, the others a transaction. It returns what
// went wrong until each had what there is.
func (f *Feed) crowd(t *testing.T, size int) <-chan error {
	ctx := anHour(t)
	errs := make(chan error, size)
	after := int64(0)
	var all sync.WaitGroup
	for range size / 2 {
		all.Go(func() {
			c, err := f.Changes(ctx, "ann", &after)
			if err == nil {
				_, err = c.Next(ctx)
				c.Close()
			}
			if err != nil {
				errs <- err
			}
		})
		all.Go(func() {
			feed, err := f.Transaction(ctx, "tx")
			if err != nil {
				errs <- err
				return
			}
			feed.Close()
		})
	}
	all.Wait()
	close(errs)
	return errs
}

func TestNewsOfATransactionDoesNotWaitForTheReadModel(t *testing.T) {
	for _, name := range []string{"late", "unreachable", "hanging", "hanging for good", "taken up by others"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				f := New(w.config())
				w.setTransaction(stateOf("tx", transaction.Pending))
				feed, err := f.Transaction(t.Context(), "tx")
				if err != nil {
					t.Fatal(err)
				}
				defer feed.Close()
				hindrances[name](w, f)
				begun := time.Now()
				time.AfterFunc(time.Second, func() {
					f.transactions.add("tx", &transaction.Event{Details: rent, Status: transaction.Completed}, start)
				})
				got, err := statuses(anHour(t), feed)
				if waited := time.Since(begun); err != nil || len(got) != 2 || got[1] != transaction.Completed || waited != time.Second {
					t.Errorf("got %v, %v after %s, want it completed after a second", got, err, waited)
				}
			})
		})
	}
}
