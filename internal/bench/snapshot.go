package bench

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"daybook/engine"
	"daybook/engine/snapshot"
	"daybook/engine/store"
	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/ids"
)

// snapshotAccounts is how many accounts the state to be restored has.
const snapshotAccounts = 100_000

// Restored is what a measurement of checkpoints comes to.
type Restored struct {
	// Write is how long it takes to write the checkpoints and read them back, at no bounded rate.
	Write time.Duration
	// Bytes is what the topic of snapshots holds, Entries what the state has.
	Bytes, Entries int64
	// AtEnd is measured when nothing follows the checkpoints, WithTail when the next ones are about to be due.
	AtEnd, WithTail Caught
}

// Caught is how soon an empty store is at the end of the log.
type Caught struct {
	// Events is how many the log has, Tail how many of them follow the checkpoints.
	Events, Tail int
	// Replay is how long it takes by folding the whole log, Restore from checkpoints.
	Replay, Restore time.Duration
}

// Snapshot fills the account topic with events of top-ups and transfers, and measures how soon a node without local state
// is at the end of the log, by itself and from checkpoints: at the end of the log, and with the longest tail after them.
// States must be the same to the byte.
func Snapshot(ctx context.Context, client *kafka.Client, partitions int32, dir string, events int) (r Restored, err error) {
	f, err := fill(ctx, client, partitions, min(snapshotAccounts, events/10), events)
	if err != nil {
		return r, fmt.Errorf("filling the log: %w", err)
	}
	l := snapshotLab{client: client, partitions: partitions, leastTail: int64(min(100_000, events/50))}
	folded, err := l.open(filepath.Join(dir, "folded"))
	if err != nil {
		return r, err
	}
	defer folded.Close() //nolint:errcheck // It is thrown away.
	r.AtEnd.Events = events
	if r.AtEnd.Replay, err = l.follow(ctx, folded); err != nil {
		return r, fmt.Errorf("folding: %w", err)
	}
	if err := l.write(ctx, folded, &r); err != nil {
		return r, fmt.Errorf("writing checkpoints: %w", err)
	}
	if r.AtEnd.Restore, err = l.restore(ctx, filepath.Join(dir, "restored"), folded); err != nil {
		return r, fmt.Errorf("restoring: %w", err)
	}
	r.WithTail.Tail = int(int64(partitions) * l.config(folded).LongestTail(r.Entries/int64(partitions)))
	r.WithTail.Events = events + r.WithTail.Tail
	if err := f.events(ctx, r.WithTail.Tail); err != nil {
		return r, fmt.Errorf("filling the tail: %w", err)
	}
	tail, err := l.follow(ctx, folded)
	if err != nil {
		return r, fmt.Errorf("folding the tail: %w", err)
	}
	r.WithTail.Replay = r.AtEnd.Replay + tail
	if r.WithTail.Restore, err = l.restore(ctx, filepath.Join(dir, "tail"), folded); err != nil {
		return r, fmt.Errorf("restoring with a tail: %w", err)
	}
	return r, nil
}

type snapshotLab struct {
	client     *kafka.Client
	partitions int32
	// leastTail is the least number of offsets between two checkpoints, less than a node has where the log is short.
	leastTail int64
}

func (l *snapshotLab) config(s *store.Store) snapshot.Config {
	return snapshot.Config{
		Log: l.client, Store: s, LogID: "bench", Partitions: l.partitions, Clock: time.Now, NewID: ids.New, MinEvents: l.leastTail,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), BytesPerSecond: -1,
	}
}

func (l *snapshotLab) open(dir string) (*store.Store, error) {
	return store.Open(dir, slog.New(slog.NewTextHandler(io.Discard, nil)))
}

// write writes checkpoints of all partitions.
func (l *snapshotLab) write(ctx context.Context, s *store.Store, r *Restored) (err error) {
	began := time.Now()
	for p := range l.partitions {
		if err := snapshot.Write(ctx, l.config(s), p); err != nil {
			return err
		}
	}
	r.Write = time.Since(began)
	if r.Bytes, err = l.size(ctx); err != nil {
		return err
	}
	for p := range l.partitions {
		entries, _, err := digest(s, p)
		if err != nil {
			return err
		}
		r.Entries += entries
	}
	return nil
}

// restore brings an empty store to the end of the log from checkpoints, where it must hold what the other one does, and
// returns how long that took.
func (l *snapshotLab) restore(ctx context.Context, dir string, want *store.Store) (took time.Duration, err error) {
	began := time.Now()
	s, err := l.open(dir)
	if err != nil {
		return 0, err
	}
	defer s.Close() //nolint:errcheck // It is thrown away.
	if err := snapshot.Restore(ctx, l.config(s)); err != nil {
		return 0, err
	}
	took = time.Since(began)
	tail, err := l.follow(ctx, s)
	if err != nil {
		return 0, err
	}
	for p := range l.partitions {
		_, wanted, err := digest(want, p)
		if err != nil {
			return 0, err
		}
		if _, got, err := digest(s, p); err != nil || got != wanted {
			return 0, errors.Join(fmt.Errorf("partition %d was not restored as it was", p), err)
		}
	}
	return took + tail, nil
}

// follow folds the log into the store, as a node that owns nothing, and returns how long it took to get to its end.
func (l *snapshotLab) follow(ctx context.Context, s *store.Store) (time.Duration, error) {
	began := time.Now()
	e := engine.New(engine.Config{
		Partitions: l.partitions, Clock: time.Now, NewID: ids.New, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, l.client, s)
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	err := l.awaitEnd(ctx, s)
	took := time.Since(began)
	stop()
	return took, errors.Join(err, <-ended)
}

func (l *snapshotLab) awaitEnd(ctx context.Context, s *store.Store) error {
	for p := range l.partitions {
		end, err := l.client.EndOffset(eventstore.AccountEvents, p)
		if err != nil {
			return err
		}
		for {
			at, err := s.Position(p)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			if at.Next >= end {
				break
			}
			wait(ctx, time.Millisecond)
		}
	}
	return nil
}

// size is how many bytes of values the topic of snapshots holds.
func (l *snapshotLab) size(ctx context.Context) (total int64, err error) {
	for p := range l.partitions {
		end, err := l.client.EndOffset(eventstore.AccountSnapshots, p)
		if err != nil {
			return 0, err
		}
		r, err := l.client.OpenReader(eventstore.AccountSnapshots, p)
		if err != nil {
			return 0, err
		}
		for next := int64(0); next < end; {
			chunk, err := r.Read(ctx, next, time.Second)
			if err != nil {
				return 0, errors.Join(err, r.Close())
			}
			for i := range chunk.Messages {
				total += int64(len(chunk.Messages[i].Value))
			}
			next = chunk.Next
		}
		if err := r.Close(); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// digest sums up all that a store knows of a partition.
func digest(s *store.Store, partition int32) (entries int64, sum [sha256.Size]byte, err error) {
	h := sha256.New()
	err = s.Dump(partition, func(key, value []byte) error {
		entries++
		_, err := fmt.Fprintf(h, "%d %d %s%s", len(key), len(value), key, value)
		return err
	})
	return entries, [sha256.Size]byte(h.Sum(nil)), err
}
