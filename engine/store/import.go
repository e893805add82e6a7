package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
)

// Import takes in the tables of an Export in the place of a partition's state. It is for one goroutine.
type Import struct {
	store     *Store
	partition int32
	dir       string
	paths     []string
	file      *os.File
}

// Import begins to take in a partition's state. Nothing changes until Commit. It must be committed or aborted.
func (s *Store) Import(partition int32) (*Import, error) {
	i := &Import{store: s, partition: partition, dir: filepath.Join(s.incoming(), strconv.Itoa(int(partition)))}
	if err := errors.Join(os.RemoveAll(i.dir), os.MkdirAll(i.dir, 0o700)); err != nil {
		return nil, fmt.Errorf("making room for a partition's state: %w", err)
	}
	return i, nil
}

// incoming is where tables are until they are part of the store: beside it, since it takes them in by name.
func (s *Store) incoming() string { return s.dir + ".incoming" }

// Write adds bytes to the present table, a new one after EndTable.
func (i *Import) Write(p []byte) (int, error) {
	if i.file == nil {
		f, err := os.Create(filepath.Join(i.dir, strconv.Itoa(len(i.paths))+".sst"))
		if err != nil {
			return 0, err
		}
		i.file, i.paths = f, append(i.paths, f.Name())
	}
	return i.file.Write(p)
}

// EndTable ends the present table. It is on disk from then on: the store takes for granted that its tables are.
func (i *Import) EndTable() error {
	if i.file == nil {
		return nil
	}
	f := i.file
	i.file = nil
	return errors.Join(f.Sync(), f.Close())
}

// Commit puts what was written in the place of the partition's state, all at once, and returns the position it is at.
func (i *Import) Commit(ctx context.Context) (Position, error) {
	if err := i.EndTable(); err != nil {
		return Position{}, err
	}
	span := pebble.KeyRange{Start: prefix(i.partition), End: prefix(i.partition + 1)}
	if _, err := i.store.db.IngestAndExcise(ctx, i.paths, nil, nil, span); err != nil {
		return Position{}, fmt.Errorf("taking tables into the state store: %w", err)
	}
	i.Abort()
	return i.store.Position(i.partition)
}

// Abort gives up what was written and not committed.
func (i *Import) Abort() {
	if i.file != nil {
		_ = i.file.Close()
		i.file = nil
	}
	_ = os.RemoveAll(i.dir) // What stays is removed when the store is opened again.
}

// Dump passes on all that is known of a partition, in order; key and value are valid during the call only. Two states
// are the same when their dumps are.
func (s *Store) Dump(partition int32, use func(key, value []byte) error) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix(partition), UpperBound: prefix(partition + 1)})
	if err != nil {
		return fmt.Errorf("reading the state store: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err == nil {
			err = use(it.Key(), value)
		}
		if err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return it.Close()
}
