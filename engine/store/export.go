package store

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage"
	"github.com/cockroachdb/pebble/v2/sstable"

	"daybook/internal/planted"
)

// tableBytes is about how large a table of an export is; one at a time is in memory.
const tableBytes = 16 << 20

// Encoding is how a partition's state is written in an export. Another program can take it in when it has the same
// Values and at least these Tables.
type Encoding struct {
	// Values is the format of the values, Tables that of the tables they are in.
	Values, Tables int
}

// Encoding returns how this store writes.
func (s *Store) Encoding() Encoding {
	return Encoding{Values: format, Tables: int(s.db.FormatMajorVersion().MaxTableFormat())}
}

// Reads tells whether this store can take in what was written in an encoding.
func (s *Store) Reads(e Encoding) bool {
	mine := s.Encoding()
	return e.Values == mine.Values && e.Tables > 0 && e.Tables <= mine.Tables
}

// Export is a partition's state as it was at one position, whatever is written meanwhile. It is for one goroutine.
type Export struct {
	store     *Store
	partition int32
	snapshot  *pebble.Snapshot
	position  Position
	entries   int64
}

// Export begins to export a partition. It must be closed. While it is open, the store keeps what was overwritten since,
// which is little: most of a state is written once.
func (s *Store) Export(partition int32) (*Export, error) {
	e := &Export{store: s, partition: partition, snapshot: s.db.NewSnapshot()}
	_, err := read(e.snapshot, key(partition, 'p'), func(value []byte) (err error) {
		e.position, err = decodePosition(value)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if planted.Bug("snapshot one event short") {
		e.position, err = s.later(partition, e.position)
	}
	return e, err
}

// later is for the planted bug: it waits, a bounded time, for the next batch and tells the position after it.
func (s *Store) later(partition int32, before Position) (after Position, err error) {
	for range 100 {
		if after, err = s.Position(partition); err != nil || after.Last != before.Last {
			return after, err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return after, nil
}

// Position is that of the exported state.
func (e *Export) Position() Position { return e.position }

// Entries is how many entries Tables has passed on.
func (e *Export) Entries() int64 { return e.entries }

// Tables passes the state on in sorted tables, of about 16 MB, each of which is valid during the call only. What this
// node knows and the log does not tell (see Coordinated) is left out.
func (e *Export) Tables(use func(table []byte) error) error {
	from, end, local := prefix(e.partition), prefix(e.partition+1), key(e.partition, 'o')
	for from != nil {
		table := &memoryTable{}
		w := sstable.NewWriter(table, e.store.tableOptions())
		next, entries, err := e.fill(w, from, end, local)
		if err = errors.Join(err, w.Close()); err != nil {
			return fmt.Errorf("exporting the state store: %w", err)
		}
		if entries > 0 {
			if err := use(table.Bytes()); err != nil {
				return err
			}
			e.entries += entries
		}
		from = next
	}
	return nil
}

// fill writes one table, and returns where the next one begins, nil when there is none. An iterator of its own for each
// table lets go of memory and files between them.
func (e *Export) fill(w *sstable.Writer, from, end, local []byte) (next []byte, entries int64, err error) {
	it, err := e.snapshot.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: end})
	if err != nil {
		return nil, 0, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if bytes.Equal(it.Key(), local) {
			continue
		}
		if w.Raw().EstimatedSize() >= tableBytes {
			next = bytes.Clone(it.Key())
			break
		}
		value, err := it.ValueAndErr()
		if planted.Bug("snapshot one event short") && bytes.Equal(it.Key(), key(e.partition, 'p')) {
			value = appendPosition(nil, &e.position)
		}
		if err == nil {
			err = w.Set(it.Key(), value)
		}
		if err != nil {
			return nil, 0, errors.Join(err, it.Close())
		}
		entries++
	}
	return next, entries, it.Close()
}

// Close lets go of the state.
func (e *Export) Close() error { return e.snapshot.Close() }

// tableOptions are those of the store's own lowest level, so that tables are taken in as they are.
func (s *Store) tableOptions() sstable.WriterOptions {
	return s.options.MakeWriterOptions(len(s.options.Levels)-1, s.db.FormatMajorVersion().MaxTableFormat())
}

// memoryTable is a table being written to memory.
type memoryTable struct{ bytes.Buffer }

var _ objstorage.Writable = (*memoryTable)(nil)

// Write implements objstorage.Writable.
func (t *memoryTable) Write(p []byte) error {
	_, err := t.Buffer.Write(p)
	return err
}

// Finish implements objstorage.Writable.
func (t *memoryTable) Finish() error { return nil }

// Abort implements objstorage.Writable.
func (t *memoryTable) Abort() {}
