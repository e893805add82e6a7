package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"daybook/engine/store"
	"daybook/eventstore"
)

const (
	// firstWindow is how many offsets are looked at first for a manifest; behind it lie only deletions of an older one.
	firstWindow = 16
	// entriesPerOffset is about how many entries are taken in while one event is folded.
	entriesPerOffset = 32
	// tries bounds how often a restore is begun while the cluster does not answer, firstPause the pause before the second.
	tries      = 5
	firstPause = time.Second
	// progressEvery is how often the log says how far a restore is.
	progressEvery = 5 * time.Second
)

// Restore brings partitions that have no local state, or are far behind, to their last checkpoint. What is wrong with a
// checkpoint is logged, and the one before is tried; a partition that has none is left as it is, to be folded from the
// log. It is for before the engine runs. The error is that of the context or of the local store.
func Restore(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	errs := make([]error, cfg.Partitions)
	var wg sync.WaitGroup
	for p := range cfg.Partitions {
		wg.Go(func() { errs[p] = (&restoring{Config: &cfg, partition: p}).run(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// stateError is one of local state, which another try at the cluster does not mend.
type stateError struct{ cause error }

// Error implements error.
func (e *stateError) Error() string {
	return "a checkpoint cannot be taken into the local state; free disk space or mend its rights, then start again: " + e.cause.Error()
}

// Unwrap gives the cause.
func (e *stateError) Unwrap() error { return e.cause }

// restoring is one partition's restore.
type restoring struct {
	*Config
	partition int32
	local     store.Position
	// unchecked takes chunks as they come, to show in a test that it would be noticed.
	unchecked bool
}

func (r *restoring) run(ctx context.Context) (err error) {
	if r.local, err = r.Store.Position(r.partition); err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := r.once(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if own := (*stateError)(nil); errors.As(err, &own) {
			return fmt.Errorf("partition %d: %w", r.partition, err)
		}
		if try == tries {
			r.Logger.Warn("checkpoints cannot be read; the partition is folded from the log", "partition", r.partition, "error", err)
			return nil
		}
		r.Logger.Warn("checkpoints cannot be read; trying again", "partition", r.partition, "error", err)
		if err := sleep(ctx, firstPause<<(try-1)); err != nil {
			return err
		}
	}
}

// once looks for a checkpoint and takes it in. The error is that of a cluster or a store that does not do its work.
func (r *restoring) once(ctx context.Context) error {
	reader, err := r.Log.OpenReader(topic, r.partition)
	if err != nil {
		return err
	}
	defer reader.Close() //nolint:errcheck // Nothing was written.
	s, err := r.newSearch(reader)
	if err != nil {
		return err
	}
	for end, wrong := s.to, false; ; wrong = true {
		candidates, err := s.next(ctx)
		if err == nil && candidates == nil && wrong {
			// What was wrong may be that its time was over.
			if now, endErr := r.Log.EndOffset(topic, r.partition); endErr != nil || now > end {
				err = cmp.Or(endErr, errChanged)
			}
		}
		if err != nil || candidates == nil {
			return err
		}
		for _, c := range candidates {
			err := r.try(ctx, reader, c)
			if !isWrong(err) {
				return err
			}
			r.Metrics.refused.WithLabelValues(reasonOf(err)).Inc()
			r.Logger.Warn("a checkpoint cannot be used; trying the one before, or folding from the log",
				"partition", r.partition, "checkpoint", c.id, "reason", err)
		}
	}
}

// try takes a checkpoint in, unless local state is as good.
func (r *restoring) try(ctx context.Context, reader eventstore.Reader, c candidate) error {
	if c.err != nil {
		return c.err
	}
	if err := r.check(r.partition, c.manifest); err != nil {
		return err
	}
	if !r.worthwhile(c.manifest) {
		return nil
	}
	if err := r.checkLog(ctx, r.partition, c.manifest); err != nil {
		return err
	}
	return r.load(ctx, reader, c)
}

// worthwhile tells whether a checkpoint is quicker than folding from where local state is.
func (r *restoring) worthwhile(m *manifest) bool {
	behind := m.Position.Next - r.local.Next
	return behind > 0 && (r.local.Next == 0 || behind > max(r.Behind, m.Entries/entriesPerOffset))
}

// candidate is a manifest, or what is wrong with it.
type candidate struct {
	id       string
	offset   int64
	manifest *manifest
	err      error
}

// search looks for manifests from the end of a partition to its beginning, because the last one is the best and what lies
// before it is large.
type search struct {
	reader            eventstore.Reader
	start, to, window int64
	deleted           map[string]bool
}

func (r *restoring) newSearch(reader eventstore.Reader) (*search, error) {
	start, err := r.Log.StartOffset(topic, r.partition)
	if err != nil {
		return nil, err
	}
	end, err := r.Log.EndOffset(topic, r.partition)
	return &search{reader: reader, start: start, to: end, window: firstWindow, deleted: map[string]bool{}}, err
}

// next returns the next manifests, those of the highest offset first; none when there are no more.
func (s *search) next(ctx context.Context) ([]candidate, error) {
	for s.to > s.start {
		from := max(s.start, s.to-s.window)
		found := map[string]candidate{}
		err := scan(ctx, s.reader, from, s.to, func(m *eventstore.Message) error {
			id, record := splitKey(m.Key)
			if record != manifestRecord {
				return nil
			}
			if m.Value == nil {
				s.deleted[id] = true
				return nil
			}
			c := candidate{id: id, offset: m.Offset}
			c.manifest, c.err = parseManifest(m.Value)
			found[id] = c
			return nil
		})
		if err != nil {
			return nil, err
		}
		s.to, s.window = from, 2*s.window
		var all []candidate
		for id, c := range found {
			if !s.deleted[id] {
				all = append(all, c)
			}
		}
		if len(all) > 0 {
			slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(b.next(), a.next()) })
			return all, nil
		}
	}
	return nil, nil
}

func (c candidate) next() int64 {
	if c.manifest == nil {
		return -1
	}
	return c.manifest.Position.Next
}
