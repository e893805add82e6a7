package live

import (
	"context"
	"errors"
	"testing"
	"time"

	"daybook/domain"
)

func TestChangesAreRefused(t *testing.T) {
	w := newWorld()
	w.open("ann")
	version := func(v int64) *int64 { return &v }
	for _, tc := range []struct {
		name  string
		id    string
		after *int64
		want  domain.Code
	}{
		{"of an unknown account", "nobody", nil, domain.AccountNotFound},
		{"of an unknown account after a version", "nobody", version(3), domain.AccountNotFound},
		{"after a negative version", "ann", version(-1), domain.BadUserInput},
		{"after a version that is not there yet", "ann", version(2), domain.BadUserInput},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := New(w.config())
			if _, err := f.Changes(t.Context(), tc.id, tc.after); domain.CodeOf(err) != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
			assertEmpty(t, f)
		})
	}
}

func TestAFeedBeginsOnACopyThatLagsOnceItHasTheEndOfTheLog(t *testing.T) {
	version := func(v int64) *int64 { return &v }
	for name, tc := range map[string]struct {
		copied int64
		after  *int64
		want   int64
	}{
		"after what the client saw elsewhere": {2, version(4), 5},
		"after the last version":              {2, version(5), 6},
		"with what is to come":                {2, nil, 6},
		"with what is to come, without copy":  {0, nil, 6},
		"from the beginning, without copy":    {0, version(0), 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.open("ann")
			f := New(w.config())
			for range 4 {
				w.credit(f, "ann")
			}
			w.project("ann", 5)
			w.copied["ann"] = tc.copied
			c, err := f.Changes(t.Context(), "ann", tc.after)
			if err != nil {
				t.Fatal(err)
			}
			w.credit(f, "ann")
			if got := next(t, c); got.Version != tc.want {
				t.Errorf("got version %d, want %d", got.Version, tc.want)
			}
			c.Close()
			assertEmpty(t, f)
		})
	}
}

func TestNothingIsRefusedForGoodOnACopyThatDoesNotCatchUp(t *testing.T) {
	version := func(v int64) *int64 { return &v }
	for name, prepare := range map[string]func(*world){
		"stuck":    func(w *world) { w.stuck = true },
		"log away": func(w *world) { w.away = errors.New("no broker answers") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.open("ann")
			cfg := w.config()
			cfg.CatchUpWait = 10 * time.Millisecond
			f := New(cfg)
			w.credit(f, "ann")
			prepare(w)
			for what, tc := range map[string]struct {
				id    string
				after *int64
			}{
				"an account that may only lack here":        {"bob", nil},
				"an account that may only lack here, after": {"bob", version(2)},
				"a version that may only lack here":         {"ann", version(3)},
				"what is to come":                           {"ann", nil},
			} {
				if _, err := f.Changes(t.Context(), tc.id, tc.after); domain.CodeOf(err) != domain.Unavailable {
					t.Errorf("%s: got %v, want %s", what, err, domain.Unavailable)
				}
			}
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := f.Changes(ended, "ann", nil); !errors.Is(err, context.Canceled) {
				t.Errorf("for a client that is gone: got %v", err)
			}
			assertEmpty(t, f)
		})
	}
}

func TestWhoeverResumesAfterWhatTheCopyHasNeedsNoLog(t *testing.T) {
	w := newWorld()
	w.open("ann")
	w.away = errors.New("no broker answers")
	f := New(w.config())
	w.credit(f, "ann")
	c := f.mustChanges(t, "ann", 2)
	defer c.Close()
	w.credit(f, "ann")
	if got := next(t, c); got.Version != 3 || w.caughtUp != 0 {
		t.Errorf("got version %d after catching up %d times, want 3 without", got.Version, w.caughtUp)
	}
}

func TestANodeThatIsNotToFeedSaysSo(t *testing.T) {
	w := newWorld()
	w.open("ann")
	cfg := w.config()
	away := unavailable()
	cfg.Admit = func() error { return away }
	f := New(cfg)
	after := int64(1)
	for _, after := range []*int64{nil, &after} {
		if _, err := f.Changes(t.Context(), "ann", after); !errors.Is(err, away) {
			t.Errorf("got %v, want %v", err, away)
		}
	}
	assertEmpty(t, f)
	away = nil
	f.mustChanges(t, "ann", after).Close()
}
