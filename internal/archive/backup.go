package archive

import (
	"context"
	"fmt"
	"io"
	"time"

	"daybook/eventstore"
)

const (
	// pollWait is how long one read waits for records, and stallLimit how long all may together: below a cut, everything
	// is there already.
	pollWait   = 500 * time.Millisecond
	stallLimit = 30 * time.Second
)

// Source is the log that is archived.
type Source interface {
	OpenReader(topic string, partition int32) (eventstore.Reader, error)
}

// Progress is told now and then how far the work has come: offsets done of all, and bytes of the archive.
type Progress func(done, total, bytes int64)

// Write archives the header's parts of a log. The log may grow meanwhile.
func Write(ctx context.Context, from Source, h *Header, to io.Writer, progress Progress) (Totals, error) {
	if err := h.check(); err != nil {
		return Totals{}, err
	}
	w, err := newWriter(to, h)
	if err != nil {
		return Totals{}, err
	}
	total, done := h.Offsets(), int64(0)
	for _, part := range h.Parts {
		err := readPart(ctx, from, part, func(e *Entry) error {
			done++
			progress(done, total, w.written)
			return w.add(e)
		})
		if err == nil {
			err = w.endPart()
		}
		if err != nil {
			return Totals{}, err
		}
	}
	return w.finish()
}

// readPart hands over what every offset of a part holds, each of which must be there.
func readPart(ctx context.Context, from Source, part Part, use func(*Entry) error) error {
	if part.End == 0 {
		return nil
	}
	reader, err := from.OpenReader(part.Topic, part.Partition)
	if err != nil {
		return err
	}
	defer reader.Close() //nolint:errcheck // Nothing was written.
	for next, idle := int64(0), time.Duration(0); next < part.End; {
		chunk, err := reader.Read(ctx, next, pollWait)
		if err != nil {
			return err
		}
		if chunk.Next == next {
			if idle += pollWait; idle > stallLimit {
				return fmt.Errorf("%s gives nothing from offset %d on, and ends at %d: the log lost its end", part, next, part.End)
			}
			continue
		}
		idle = 0
		for end := min(chunk.Next, part.End); next < end; next++ {
			e, ok := take(&chunk, next)
			if !ok {
				return fmt.Errorf("%s lacks offset %d: a part of the log is gone", part, next)
			}
			if err := use(&e); err != nil {
				return err
			}
		}
	}
	return nil
}

// take removes the first record or marker of a chunk, which must have the given offset.
func take(chunk *eventstore.Chunk, offset int64) (Entry, bool) {
	if len(chunk.Messages) > 0 && chunk.Messages[0].Offset == offset {
		e := Entry{Message: chunk.Messages[0]}
		chunk.Messages = chunk.Messages[1:]
		return e, true
	}
	if len(chunk.Markers) > 0 && chunk.Markers[0].Offset == offset {
		chunk.Markers = chunk.Markers[1:]
		return Entry{Message: eventstore.Message{Offset: offset}, Marker: true}, true
	}
	return Entry{}, false
}
