package engine

import (
	"context"
	"errors"
	"fmt"

	"daybook/engine/store"
	"daybook/eventstore"
)

// sameLog makes sure that the log is the one that local state was folded from: the last event folded stands in its place, and
// nothing but lines between it and the position. A log that lost its end and was written on has other events there, and who
// read on in it would decide on those that are lost.
func (p *partition) sameLog(ctx context.Context) error {
	last, found := p.position.Last, false
	if last == (store.LastEvent{}) {
		return nil
	}
	for next := last.Offset; next < p.position.Next; {
		chunk, err := p.readAt(ctx, next)
		if err != nil {
			return err
		}
		for i := range chunk.Messages {
			m := &chunk.Messages[i]
			if m.Offset >= p.position.Next {
				break
			}
			if store.LastEventAt(m.Offset, m.Value) != last {
				return p.otherLog(m.Offset)
			}
			found = true
		}
		if chunk.Next == next {
			return p.shortLog(ctx)
		}
		next = chunk.Next
	}
	if !found {
		return p.otherLog(last.Offset)
	}
	return nil
}

func (p *partition) otherLog(offset int64) error {
	return &FatalError{fmt.Errorf("the local state of partition %d is not of this log, which holds something else at offset %d: it lost its end and was written on: "+
		"restore the log, or delete the state directory if this log is to be kept", p.id, offset)}
}

// shortLog is the error of a log that does not reach local state. A leader that was just elected may not know yet how far
// the log goes; of one that ends before, the broker tells whoever reads beyond its end.
func (p *partition) shortLog(ctx context.Context) error {
	if _, err := p.read(ctx); err != nil {
		return err
	}
	return fmt.Errorf("the log does not reach offset %d yet, up to which it was folded", p.position.Next)
}

// readAt reads the partition's events. An offset that is not there is fatal.
func (p *partition) readAt(ctx context.Context, offset int64) (eventstore.Chunk, error) {
	chunk, err := p.engine.readChunk(ctx, &p.reader, eventstore.AccountEvents, p.id, offset)
	if errors.Is(err, eventstore.ErrOffsetGone) {
		return chunk, &FatalError{fmt.Errorf("the local state of partition %d is ahead of the log, or the log lost its beginning: "+
			"restore the log, or delete the state directory if this log was replaced on purpose: %w", p.id, err)}
	}
	return chunk, err
}
