package engine

import (
	"context"
	"errors"

	"daybook/eventstore"
)

// readSteps passes the command topic on to the owner until ctx ends.
func (e *Engine) readSteps(ctx context.Context, partition int32, from int64, to chan<- stepBatch) {
	var reader eventstore.Reader
	defer func() {
		if reader != nil {
			_ = reader.Close()
		}
	}()
	for ctx.Err() == nil {
		chunk, err := e.readChunk(ctx, &reader, partition, from)
		if errors.Is(err, eventstore.ErrOffsetGone) {
			// Commands are kept a week; the owner's position is older. What is gone was carried out long ago.
			if from, err = e.log.StartOffset(eventstore.AccountCommands, partition); err == nil {
				sleep(ctx, retryMin)
				continue
			}
		}
		if err != nil {
			if ctx.Err() == nil {
				e.cfg.Logger.Warn("commands wait; trying again", "partition", partition, "error", err)
				sleep(ctx, retryMax/4)
			}
			continue
		}
		if chunk.Next == from {
			continue
		}
		from = chunk.Next
		select {
		case to <- e.decodeSteps(partition, chunk):
		case <-ctx.Done():
		}
	}
}

func (e *Engine) readChunk(ctx context.Context, reader *eventstore.Reader, partition int32, from int64) (eventstore.Chunk, error) {
	if *reader == nil {
		opened, err := e.log.OpenReader(eventstore.AccountCommands, partition)
		if err != nil {
			return eventstore.Chunk{}, err
		}
		*reader = opened
	}
	return (*reader).Read(ctx, from, pollWait)
}

func (e *Engine) decodeSteps(partition int32, chunk eventstore.Chunk) stepBatch {
	s := stepBatch{next: chunk.Next, steps: make([]step, 0, len(chunk.Messages))}
	for i := range chunk.Messages {
		c, err := eventstore.DecodeCommand(&chunk.Messages[i])
		if err != nil || e.partitionOf(c.AccountID) != partition {
			e.cfg.Logger.Error("a command is unreadable or misplaced and is passed over", "partition", partition,
				"offset", chunk.Messages[i].Offset, "error", err)
			continue
		}
		s.steps = append(s.steps, step{c, chunk.Messages[i].Offset})
	}
	return s
}
