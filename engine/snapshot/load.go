package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"syscall"
	"time"

	"daybook/engine/store"
	"daybook/eventstore"
)

// load takes a checkpoint's chunks into the store. What is wrong with them is found before anything of them counts.
func (r *restoring) load(ctx context.Context, reader eventstore.Reader, c candidate) error {
	began := r.Clock()
	in, err := r.Store.Import(r.partition)
	if err != nil {
		return &stateError{err}
	}
	defer in.Abort()
	l := loading{restoring: r, c: c, in: in, sum: sha256.New(), told: began, total: c.manifest.bytes()}
	err = scan(ctx, reader, c.manifest.FirstChunk, c.offset, l.take)
	if errors.Is(err, eventstore.ErrOffsetGone) {
		err = l.missing()
	}
	if err == nil {
		err = l.complete()
	}
	if err != nil {
		return err
	}
	position, err := in.Commit(ctx)
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return &stateError{err}
	}
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", c.id, err)
	}
	if positionOf(position) != c.manifest.Position || lastEventOf(position.Last) != c.manifest.LastEvent {
		if err := r.Store.Reset(r.partition); err != nil {
			return &stateError{err}
		}
		return unusable(reasonDamaged, "its state is at offset %d and its manifest says %d", position.Next, c.manifest.Position.Next)
	}
	took := r.Clock().Sub(began)
	r.Metrics.restored[r.partition].Inc()
	r.Metrics.restore.Observe(took.Seconds())
	r.Logger.Info("partition restored from a checkpoint", "partition", r.partition, "checkpoint", c.id, "offset", position.Next,
		"entries", c.manifest.Entries, "bytes", l.total, "took", took)
	return nil
}

// loading is a checkpoint on its way into the store.
type loading struct {
	*restoring
	c   candidate
	in  *store.Import
	sum hash.Hash
	// chunks and bytes were taken, tables were completed, and filled of the present one.
	chunks, tables int
	bytes, filled  int64
	total          int64
	told           time.Time
}

// take takes a record that may be one of the chunks.
func (l *loading) take(m *eventstore.Message) error {
	id, record := splitKey(m.Key)
	if id != l.c.id || m.Value == nil {
		return nil
	}
	n, err := strconv.Atoi(record)
	switch {
	case err != nil || n < l.chunks: // A chunk whose answer was lost is there twice.
		return nil
	case n > l.chunks || n >= l.c.manifest.Chunks:
		return l.missing()
	}
	if l.bytes+int64(len(m.Value)) > l.total {
		return unusable(reasonDamaged, "chunk %d is larger than its manifest says", n)
	}
	l.chunks++
	l.sum.Write(m.Value) //nolint:errcheck // A hash never fails.
	l.bytes += int64(len(m.Value))
	if now := l.Clock(); now.Sub(l.told) >= progressEvery {
		l.told = now
		l.Logger.Info("restoring a partition from a checkpoint", "partition", l.partition, "bytes", l.bytes, "of", l.total)
	}
	return l.write(m.Value)
}

// write parts the bytes into tables.
func (l *loading) write(value []byte) error {
	for len(value) > 0 {
		size := l.c.manifest.TableBytes[l.tables]
		n := min(int64(len(value)), size-l.filled)
		if _, err := l.in.Write(value[:n]); err != nil {
			return &stateError{err}
		}
		value = value[n:]
		if l.filled += n; l.filled < size {
			continue
		}
		if err := l.in.EndTable(); err != nil {
			return &stateError{err}
		}
		l.tables, l.filled = l.tables+1, 0
	}
	return nil
}

func (l *loading) missing() error {
	return unusable(reasonDamaged, "chunk %d of %d is missing", l.chunks, l.c.manifest.Chunks)
}

// complete tells whether all chunks were taken as they were written.
func (l *loading) complete() error {
	if l.chunks < l.c.manifest.Chunks || l.bytes < l.total {
		return l.missing()
	}
	if hex.EncodeToString(l.sum.Sum(nil)) != l.c.manifest.SHA256 && !l.unchecked {
		return unusable(reasonDamaged, "its checksum does not match: a chunk is damaged")
	}
	return nil
}
