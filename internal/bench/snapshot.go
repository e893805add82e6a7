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
	// Restore and Replay are from an empty store until it is at the end of the log, with checkpoints at its end and
	// without; Write is how long it takes to write the checkpoints and read them back, at no bounded rate.
	Restore, Replay, Write time.Duration
	// Bytes is what the topic of snapshots holds, Entries what the state has.
	Bytes, Entries int64
}

// Snapshot fills the account topic with events of top-ups and transfers, and measures how soon a node without local state
// is at the end of the log, by itself and from checkpoints. Both states must be the same to the byte.
func Snapshot(ctx context.Context, client *kafka.Client, partitions int32, dir string, events int) (Restored, error) {
	if err := fill(ctx, client, partitions, min(snapshotAccounts, events/10), events); err != nil {
		return Restored{}, fmt.Errorf("filling the log: %w", err)
	}
	l := snapshotLab{client: client, partitions: partitions}
	var r Restored
	replayed, err := l.timed(ctx, filepath.Join(dir, "replayed"), &r.Replay, false)
	if err != nil {
		return r, fmt.Errorf("replaying: %w", err)
	}
	defer replayed.Close() //nolint:errcheck // It is thrown away.
	began := time.Now()
	for p := range partitions {
		if err := snapshot.Write(ctx, l.config(replayed), p); err != nil {
			return r, fmt.Errorf("writing checkpoints: %w", err)
		}
	}
	r.Write = time.Since(began)
	restored, err := l.timed(ctx, filepath.Join(dir, "restored"), &r.Restore, true)
	if err != nil {
		return r, fmt.Errorf("restoring: %w", err)
	}
	defer restored.Close() //nolint:errcheck // It is thrown away.
	if r.Bytes, err = l.size(ctx); err != nil {
		return r, err
	}
	for p := range partitions {
		entries, want, err := digest(replayed, p)
		if err != nil {
			return r, err
		}
		r.Entries += entries
		if _, got, err := digest(restored, p); err != nil || got != want {
			return r, errors.Join(fmt.Errorf("partition %d was not restored as it was", p), err)
		}
	}
	return r, nil
}

type snapshotLab struct {
	client     *kafka.Client
	partitions int32
}

func (l *snapshotLab) config(s *store.Store) snapshot.Config {
	return snapshot.Config{
		Log: l.client, Store: s, LogID: "bench", Partitions: l.partitions, Clock: time.Now, NewID: ids.New,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), BytesPerSecond: -1,
	}
}

// timed opens an empty store and brings it to the end of the log.
func (l *snapshotLab) timed(ctx context.Context, dir string, took *time.Duration, restore bool) (*store.Store, error) {
	began := time.Now()
	s, err := store.Open(dir, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		return nil, err
	}
	if restore {
		err = snapshot.Restore(ctx, l.config(s))
	}
	if err == nil {
		err = l.follow(ctx, s, func() { *took = time.Since(began) })
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// follow folds the log into the store, as a node that owns nothing, and calls done at its end.
func (l *snapshotLab) follow(ctx context.Context, s *store.Store, done func()) error {
	e := engine.New(engine.Config{
		Partitions: l.partitions, Clock: time.Now, NewID: ids.New, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, l.client, s)
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	err := l.awaitEnd(ctx, s)
	done()
	stop()
	return errors.Join(err, <-ended)
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
