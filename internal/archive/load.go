package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"daybook/eventstore"
)

// Target is the log that an archive is written into. Its topics exist and have never held anything.
type Target interface {
	Source
	OpenAppender(topic string, partition int32) eventstore.Appender
	// RuleLine writes a marker, as an owner does that takes the partition over.
	RuleLine(ctx context.Context, topic string, partition int32) (eventstore.Marker, error)
	EndOffset(topic string, partition int32) (int64, error)
}

const (
	// markerPatience bounds the wait for a marker, which brokers write after they have answered.
	markerPatience = 30 * time.Second
	markerPause    = 2 * time.Millisecond
)

// Check reads a whole archive and returns the digests of its parts.
func Check(ctx context.Context, r *Reader, progress Progress) (Digests, error) {
	return each(ctx, r, progress, func(int, []Entry) error { return nil })
}

// Load writes an archive into a log in which nobody else writes, each entry at its own offset: where a marker was,
// another one is. It returns the digests of what was written, for Compare. Prepare, when set, may change an entry first.
func Load(ctx context.Context, r *Reader, to Target, prepare func(Part, *Entry) error, progress Progress) (Digests, error) {
	l := loader{to: to}
	defer l.close()
	return each(ctx, r, progress, func(i int, entries []Entry) error {
		part := r.header.Parts[i]
		if prepare != nil {
			for j := range entries {
				if err := prepare(part, &entries[j]); err != nil {
					return err
				}
			}
		}
		return l.load(ctx, part, entries)
	})
}

func each(ctx context.Context, r *Reader, progress Progress, use func(int, []Entry) error) (Digests, error) {
	digests := newDigests(len(r.header.Parts))
	total, done := r.header.Offsets(), int64(0)
	err := r.Each(func(i int, entries []Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := use(i, entries); err != nil {
			return err
		}
		for j := range entries {
			digests[i].add(&entries[j])
		}
		done += int64(len(entries))
		progress(done, total, r.at)
		return nil
	})
	return sums(digests), err
}

// CheckEmpty refuses a log of which one of the parts holds anything, or ever did: nothing could have its own offset.
func CheckEmpty(to Target, parts []Part) error {
	for _, p := range parts {
		end, err := to.EndOffset(p.Topic, p.Partition)
		if err != nil {
			return err
		}
		if end != 0 {
			return fmt.Errorf("topic %s holds events already, or did: name a cluster without Daybook's topics, or delete all of them first", p.Topic)
		}
	}
	return nil
}

// loader writes one part after the other.
type loader struct {
	to       Target
	part     Part
	appender eventstore.Appender
	batch    []eventstore.Message
}

func (l *loader) load(ctx context.Context, part Part, entries []Entry) error {
	if l.appender == nil || part != l.part {
		l.close()
		l.part, l.appender = part, l.to.OpenAppender(part.Topic, part.Partition)
	}
	for i := range entries {
		e := &entries[i]
		if !e.Marker {
			l.batch = append(l.batch, e.Message)
			continue
		}
		if err := l.flush(ctx); err != nil {
			return err
		}
		if _, err := l.to.RuleLine(ctx, part.Topic, part.Partition); err != nil {
			return err
		}
		if err := l.awaitEnd(ctx, e.Offset+1); err != nil {
			return err
		}
	}
	return l.flush(ctx)
}

// flush writes the batch. An answer that was lost can have made the log hold it twice, which the end shows.
func (l *loader) flush(ctx context.Context) error {
	if len(l.batch) == 0 {
		return nil
	}
	end := l.batch[len(l.batch)-1].Offset + 1
	if err := l.appender.Append(ctx, l.batch); err != nil {
		return fmt.Errorf("writing %s: %w", l.part, err)
	}
	l.batch = l.batch[:0]
	return l.awaitEnd(ctx, end)
}

// awaitEnd waits until the partition ends where it must after what was written.
func (l *loader) awaitEnd(ctx context.Context, want int64) error {
	ctx, cancel := context.WithTimeout(ctx, markerPatience)
	defer cancel()
	for {
		end, err := l.to.EndOffset(l.part.Topic, l.part.Partition)
		switch {
		case err != nil:
			return err
		case end == want:
			return nil
		case end > want:
			return fmt.Errorf("%s has come to offset %d and should be at %d: something else writes there, or a batch was written twice; stop all nodes, delete the topics and begin again",
				l.part, end, want)
		}
		timer := time.NewTimer(markerPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("waiting for offset %d of %s: %w", want, l.part, ctx.Err())
		}
	}
}

func (l *loader) close() {
	if l.appender != nil {
		_ = l.appender.Close()
	}
}

// Compare reads the parts back from a log and compares them with digests.
func Compare(ctx context.Context, from Target, h *Header, want Digests, progress Progress) error {
	total, done, bytes := h.Offsets(), int64(0), int64(0)
	for i, part := range h.Parts {
		end, err := from.EndOffset(part.Topic, part.Partition)
		if err != nil {
			return err
		}
		if end != part.End {
			return fmt.Errorf("%s ends at offset %d in the copy and not at %d: the copy cannot be used", part, end, part.End)
		}
		d := newDigest()
		err = readPart(ctx, from, part, func(e *Entry) error {
			d.add(e)
			done++
			bytes += int64(len(d.scratch))
			progress(done, total, bytes)
			return nil
		})
		if err != nil {
			return err
		}
		if sums([]*digest{d})[0] != want[i] {
			return fmt.Errorf("%s is not the same in the copy: the copy cannot be used", part)
		}
	}
	if len(want) != len(h.Parts) {
		return errors.New("the archive and the copy have different parts")
	}
	return nil
}
