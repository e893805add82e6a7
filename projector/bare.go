package projector

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"daybook/eventstore"
)

// BareInsert measures what the database takes by itself: it prepares in memory the batches that a projector of all
// account events in the log would write, then writes them, all partitions at once, and tells how many events there
// were and how long the writing took. It is what benchmarks compare the projector with.
func BareInsert(ctx context.Context, cfg Config, log Log, partitions int32) (events int, took time.Duration, err error) {
	m, err := Open(ctx, cfg)
	if err != nil {
		return 0, 0, err
	}
	defer m.Close() //nolint:errcheck // The rows are thrown away.
	prepared := make([][]*batch, partitions)
	for p := range partitions {
		if prepared[p], err = m.prepareBatches(ctx, log, p); err != nil {
			return 0, 0, err
		}
		for _, b := range prepared[p] {
			events += len(b.events)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := cfg.Clock()
	var wg sync.WaitGroup
	for _, batches := range prepared {
		wg.Go(func() {
			for _, b := range batches {
				if err := m.write(ctx, b); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return events, cfg.Clock().Sub(began), context.Cause(ctx)
}

// prepareBatches makes the batches of a partition as full as a projector that has to catch up makes them.
func (m *ReadModel) prepareBatches(ctx context.Context, log Log, partition int32) ([]*batch, error) {
	if _, err := m.position(ctx, eventstore.AccountEvents, partition); err != nil {
		return nil, err
	}
	reader, err := log.OpenReader(eventstore.AccountEvents, partition)
	if err != nil {
		return nil, err
	}
	defer reader.Close() //nolint:errcheck // Nothing was written.
	var batches []*batch
	f := newFold(m, eventstore.AccountEvents, partition)
	a := readAhead{lane: &lane{topic: eventstore.AccountEvents, partition: partition}}
	var r run
	from := int64(0)
	for end := int64(1); r.next < end; {
		chunk, err := reader.Read(ctx, r.next, pollWait)
		if err != nil {
			return nil, err
		}
		if err := a.decode(&r, &chunk); err != nil {
			return nil, err
		}
		if end = chunk.HighWater; end == 0 {
			break
		}
		if len(r.events) < maxRunEvents && r.bytes < maxRunBytes && r.next < end {
			continue
		}
		b, err := f.batch(ctx, r.events, from, r.next)
		if err != nil {
			return nil, err
		}
		batches = append(batches, b)
		from, r = r.next, run{next: r.next}
	}
	return batches, nil
}

// dropPatience bounds how long WithScratch waits to drop its schema.
const dropPatience = 30 * time.Second

// WithScratch lets use have an empty database for a while: a schema of its own in the PostgreSQL database of the URL,
// or a file in the directory when the URL is empty.
func WithScratch(ctx context.Context, address, dir, name string, use func(address string) error) (err error) {
	if address == "" {
		return use("sqlite://" + filepath.Join(dir, name+".db"))
	}
	db, err := openDatabase(ctx, address)
	if err != nil {
		return err
	}
	defer db.close() //nolint:errcheck // Nothing of it is kept.
	if _, err := db.write.ExecContext(ctx, "CREATE SCHEMA ?", bun.Ident(name)); err != nil {
		return db.explain(err)
	}
	defer func() {
		// Also when ctx has ended; connections left open would make it wait for ever.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropPatience)
		defer cancel()
		if _, dropErr := db.write.ExecContext(bounded, "DROP SCHEMA ? CASCADE", bun.Ident(name)); dropErr != nil {
			err = errors.Join(err, fmt.Errorf("dropping schema %s, which must now be dropped by hand: %w", name, dropErr))
		}
	}()
	scoped, err := url.Parse(address)
	if err != nil {
		return setupError{"the database URL cannot be read: write it as postgres://user:password@host:port/name"}
	}
	q := scoped.Query()
	q.Set("search_path", name)
	scoped.RawQuery = q.Encode()
	return use(scoped.String())
}
