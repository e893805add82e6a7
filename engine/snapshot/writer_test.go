package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"daybook/engine/store"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

// offsets lists the offsets of the complete checkpoints, and tells whether there is anything else in the topic.
func (w *world) offsets() (complete []int64, rest int) {
	w.t.Helper()
	for _, r := range w.live() {
		p, ok := r.manifest["position"].(map[string]any)
		if !ok {
			rest++
			continue
		}
		complete = append(complete, int64(p["next"].(float64)))
	}
	slices.Sort(complete)
	return complete, rest
}

func TestTheLastTwoCheckpointsAreKept(t *testing.T) {
	w := newWorld(t)
	s := w.newStore()
	var written []int64
	for range 4 {
		w.write(100)
		written = append(written, w.checkpoint(w.follow(s)))
		complete, rest := w.offsets()
		if want := written[max(0, len(written)-keep):]; !slices.Equal(complete, want) || rest > 0 {
			t.Errorf("the topic holds checkpoints at %v and %d others, want %v", complete, rest, want)
		}
	}
}

func TestWhatAKilledWriterLeftIsDeletedOnceTwoNewerOnesAreComplete(t *testing.T) {
	w := newWorld(t)
	s := w.newStore()
	w.write(1000)
	id, r := w.at(w.checkpoint(w.follow(s)))
	// given chunks without a manifest, a checkpoint of another log and one of a newer version
	half, foreign, newer := r.clone(t), r.clone(t), r.clone(t)
	half.manifest = nil
	w.put(half)
	set("logId", "another")(foreign)
	w.put(foreign)
	set("format", formatVersion+1)(newer)
	kept := w.put(newer)
	w.remove(id, r)

	w.write(100)
	first := w.checkpoint(w.follow(s))
	if complete, rest := w.offsets(); rest != 1 {
		t.Errorf("after one checkpoint %v and %d others are left; one may be in the making", complete, rest)
	}
	w.write(100)
	second := w.checkpoint(w.follow(s))

	live := w.live()
	_, isKept := live[kept]
	if complete, rest := w.offsets(); len(live) != 3 || !isKept || rest != 0 || !slices.Contains(complete, first) || !slices.Contains(complete, second) {
		t.Errorf("the topic holds %v and %d others, want those at %d, %d and that of the newer version", complete, rest, first, second)
	}
	if _, at := w.restored(); at != second {
		t.Errorf("restored at %d, want %d", at, second)
	}
}

// brokenLog fails to append the chunk of a number.
type brokenLog struct {
	Log
	at int
}

var errInjected = errors.New("injected")

func (l *brokenLog) OpenAppender(topic string, partition int32) eventstore.Appender {
	return &brokenAppender{l.Log.OpenAppender(topic, partition), l}
}

type brokenAppender struct {
	eventstore.Appender
	log *brokenLog
}

// Append loses the answer of one batch.
func (a *brokenAppender) Append(ctx context.Context, messages []eventstore.Message) error {
	err := a.Appender.Append(ctx, messages)
	if a.log.at--; a.log.at == 0 {
		return errInjected
	}
	return err
}

func TestACheckpointThatCannotBeFinishedLeavesTheOneBefore(t *testing.T) {
	w := newWorld(t)
	s := w.newStore()
	w.write(3000)
	older := w.checkpoint(w.follow(s))
	w.write(1000)
	w.follow(s)
	cfg := w.config(s)
	for at := 1; ; at++ {
		cfg.Log = &brokenLog{w.client, at}
		err := Write(t.Context(), cfg, partition)
		if err == nil {
			t.Fatalf("written at try %d, though it was to be broken", at)
		}
		if !errors.Is(err, errInjected) {
			t.Fatal(err)
		}
		complete, rest := w.offsets()
		if len(complete) == 2 { // The manifest was written, and only its answer lost.
			if at < 4 || complete[1] != w.positionOf(s).Next {
				t.Errorf("the topic holds %v after try %d", complete, at)
			}
			break
		}
		if !slices.Equal(complete, []int64{older}) || rest != 0 {
			t.Errorf("the topic holds %v and %d others, want %d alone", complete, rest, older)
		}
	}
	restored, _ := w.restored()
	if err := w.compare(w.follow(restored)); err != nil {
		t.Error(err)
	}
}

func TestChunksWhoseAnswersWereLostAreThereTwice(t *testing.T) {
	w := newWorld(t)
	s := w.newStore()
	w.write(3000)
	cfg := w.config(w.follow(s))
	cfg.Log = repeating{w.client}
	if err := Write(t.Context(), cfg, partition); err != nil {
		t.Fatal(err)
	}
	restored, at := w.restored()
	if at == 0 {
		t.Error("nothing was restored")
	}
	if err := w.compare(w.follow(restored)); err != nil {
		t.Error(err)
	}
}

// repeating writes every batch twice.
type repeating struct{ Log }

func (l repeating) OpenAppender(topic string, partition int32) eventstore.Appender {
	return repeatingAppender{l.Log.OpenAppender(topic, partition)}
}

type repeatingAppender struct{ eventstore.Appender }

func (a repeatingAppender) Append(ctx context.Context, messages []eventstore.Message) error {
	return errors.Join(a.Appender.Append(ctx, messages), a.Appender.Append(ctx, messages))
}

func TestAPartitionThatIsHandedOverIsLeftToItsNewOwner(t *testing.T) {
	w := newWorld(t)
	w.write(1000)
	cfg := w.config(w.follow(w.newStore()))
	cfg.Owned = func() []int32 { return nil }
	if err := Write(t.Context(), cfg, partition); !errors.Is(err, errNotOwned) {
		t.Errorf("got %v", err)
	}
	if live := w.live(); len(live) > 0 {
		t.Errorf("%d checkpoints are there", len(live))
	}
}

func TestAWriterWritesWhatItsNodeOwnsWhenEnoughHasHappened(t *testing.T) {
	w := newWorld(t)
	s := w.newStore()
	var owned atomic.Bool
	cfg := w.config(s)
	cfg.MinEvents, cfg.EntriesPerEvent, cfg.Interval = 100, 2, time.Millisecond
	cfg.Owned = func() []int32 {
		if owned.Load() {
			return []int32{partition}
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- NewWriter(cfg).Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	await := func(want ...int64) {
		t.Helper()
		testenv.Eventually(t, func() error {
			if got, rest := w.offsets(); !slices.Equal(got, want) || rest > 0 {
				return fmt.Errorf("checkpoints at %v and %d others, want %v", got, rest, want)
			}
			return nil
		})
	}
	// given a node that does not own the partition, nothing is written
	w.write(300)
	at := w.positionOf(w.follow(s)).Next
	if got, _ := w.offsets(); len(got) > 0 {
		t.Errorf("checkpoints at %v", got)
	}
	owned.Store(true)
	await(at)
	// the next is due after half as many events as there are entries
	entries := w.entries(s)
	w.write(int(entries/2) - 10)
	w.follow(s)
	w.write(20)
	next := w.positionOf(w.follow(s)).Next
	await(at, next)
}

func (w *world) entries(s *store.Store) (n int64) {
	w.t.Helper()
	if err := s.Dump(partition, func([]byte, []byte) error { n++; return nil }); err != nil {
		w.t.Fatal(err)
	}
	return n
}
