package engine

import (
	"context"
	"errors"
	"time"

	"daybook/engine/store"
	"daybook/eventstore"
)

const (
	// handoverBuffer is how many runs of steps wait for an owner of this node.
	handoverBuffer = 16
	// handoverPatience bounds how long a coordinator waits for steps that it handed over. It is far beyond what a commit
	// takes: what is not recorded by then goes the long way, through the command topic.
	handoverPatience = 2 * time.Second
)

// step is one thing to be done that came by the command topic, or would have: a transaction's step, mostly.
type step struct {
	command *eventstore.StepCommand
	// parcel and part are set instead of the command for what another node's clients ask.
	parcel *parcel
	part   []*request
	// offset is where it stands in the command topic, if it does.
	offset int64
	// at is the time of the event that it follows from.
	at time.Time
}

// send gives steps to the accounts' owners. To an owner on this node they are handed over directly; what is not
// recorded soon, and all others, are written to the command topic. An owner that gets a step both ways carries it out
// once, so that nothing depends on what became of the first way.
func (c *coordinator) send(ctx context.Context, steps map[int32][]step) error {
	handed := map[int32]chan struct{}{}
	away := map[int32][]step{}
	for p, all := range steps {
		if recorded := c.engine.partitions[p].handOver(all); recorded != nil {
			handed[p] = recorded
		} else {
			away[p] = all
		}
	}
	if err := c.sendAway(ctx, away); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, handoverPatience)
	defer cancel()
	late := map[int32][]step{}
	for p, recorded := range handed {
		select {
		case <-recorded:
		case <-waiting.Done():
			late[p] = steps[p]
		}
	}
	return c.sendAway(ctx, late)
}

// sendAway writes steps to the command topic.
func (c *coordinator) sendAway(ctx context.Context, steps map[int32][]step) error {
	commands := map[int32][]eventstore.Message{}
	for p, all := range steps {
		for _, s := range all {
			m, err := eventstore.EncodeCommand(s.command, s.at)
			if err != nil {
				return err
			}
			commands[p] = append(commands[p], m)
		}
	}
	return appendAll(ctx, c.commands, commands)
}

// handOver gives steps to this node's owner of the partition; what it returns is closed once they are recorded. Nil
// when there is no such owner, or it has more than enough to do.
func (p *partition) handOver(steps []step) chan struct{} {
	if !p.owned.Load() {
		return nil
	}
	s := stepBatch{steps: steps, recorded: make(chan struct{})}
	select {
	case p.handed <- s:
		return s.recorded
	default:
		return nil
	}
}

// readSteps passes the command topic on to the owner, from the position that it begins with, until ctx ends.
func (e *Engine) readSteps(ctx context.Context, partition int32, position store.Position, to chan<- stepBatch) {
	from := position.Progress.Commands
	var reader eventstore.Reader
	defer func() {
		if reader != nil {
			_ = reader.Close()
		}
	}()
	for ctx.Err() == nil {
		chunk, err := e.readChunk(ctx, &reader, eventstore.AccountCommands, partition, from)
		if errors.Is(err, eventstore.ErrOffsetGone) {
			var start int64
			if start, err = e.log.StartOffset(eventstore.AccountCommands, partition); err == nil {
				e.passOver(partition, from, start, position.LastTime)
				from = start
				select {
				case to <- stepBatch{next: from}:
				case <-ctx.Done():
				}
				sleep(ctx, retryMin)
				continue
			}
		}
		if err != nil {
			if ctx.Err() == nil {
				e.cfg.Logger.Warn("the command topic cannot be read and commands wait; trying again; look whether the brokers run", "partition", partition, "error", err)
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

// passOver tells of commands that are gone when they are to be read. The position is told by events only, so it stays where it
// was in a partition that has none to record; but what was sent to one without an owner is lost, and with it money on its
// way. When an event is younger than what is deleted, there was an owner that had read it.
func (e *Engine) passOver(partition int32, from, start int64, lastEvent time.Time) {
	told := []any{"partition", partition, "from", from, "to", start, "lastEvent", lastEvent}
	if start < from {
		e.cfg.Logger.Error("the command topic lost its end or was made anew, and is read from its beginning; run daybook verify, which lists what stays in transit", told...)
		return
	}
	if e.cfg.Clock().Sub(lastEvent) < eventstore.LeastCommandRetention {
		e.cfg.Logger.Info("old commands were deleted, and are passed over: they were carried out", told...)
		return
	}
	e.cfg.Logger.Error("commands were deleted before it was recorded that they were carried out, and are passed over; if the partition was without an owner for long, run daybook verify, which lists what stays in transit", told...)
}

// readChunk reads from an offset on, and opens the reader where there is none.
func (e *Engine) readChunk(ctx context.Context, reader *eventstore.Reader, topic string, partition int32, from int64) (eventstore.Chunk, error) {
	if *reader == nil {
		opened, err := e.log.OpenReader(topic, partition)
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
		m := &chunk.Messages[i]
		if m.Header(eventstore.HeaderForwarded) != nil {
			parts, err := e.decodeParcel(partition, m)
			if err != nil {
				e.cfg.Logger.Error("commands of another node are unreadable and are passed over; run the same version on all nodes",
					"partition", partition, "offset", m.Offset, "error", err)
			}
			s.steps = append(s.steps, parts...)
			continue
		}
		c, err := eventstore.DecodeCommand(m)
		if err != nil || e.partitionOf(c.AccountID) != partition {
			e.cfg.Logger.Error("a command is unreadable or misplaced and is passed over; find out what else writes to the command topic", "partition", partition,
				"offset", m.Offset, "error", err)
			continue
		}
		s.steps = append(s.steps, step{command: c, offset: m.Offset})
	}
	return s
}
