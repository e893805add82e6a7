package snapshot

import (
	"context"
	"errors"
	"fmt"

	"daybook/eventstore"
)

// maxLookBack bounds how far back an event is looked for. Only the lines of takeovers and renewals lie between.
const maxLookBack = 1 << 16

// findLastEvent finds the last event of a partition before an offset.
func (c *Config) findLastEvent(ctx context.Context, partition int32, before int64) (lastEvent, error) {
	r, err := c.Log.OpenReader(eventstore.AccountEvents, partition)
	if err != nil {
		return lastEvent{}, err
	}
	defer r.Close() //nolint:errcheck // Nothing was written.
	start, err := c.Log.StartOffset(eventstore.AccountEvents, partition)
	if err != nil {
		return lastEvent{}, err
	}
	for back := int64(1); ; back *= 8 {
		var last *eventstore.Message
		from := max(before-back, start)
		err := scan(ctx, r, from, before, func(m *eventstore.Message) error {
			last = m
			return nil
		})
		if err != nil {
			return lastEvent{}, err
		}
		if last != nil {
			return lastEventOf(last), nil
		}
		if from == start || back >= maxLookBack {
			return lastEvent{}, fmt.Errorf("there is no event in the %d offsets before %d", before-from, before)
		}
	}
}

// checkLog tells whether the log still holds what the checkpoint was folded from: it begins before, ends after, and has
// the very event last folded in its place.
func (c *Config) checkLog(ctx context.Context, partition int32, m *manifest) error {
	end, err := c.Log.EndOffset(eventstore.AccountEvents, partition)
	if err != nil {
		return err
	}
	if m.Position.Next > end {
		return fmt.Errorf("%w: %d, and it ends at %d", errBeyond, m.Position.Next, end)
	}
	r, err := c.Log.OpenReader(eventstore.AccountEvents, partition)
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // Nothing was written.
	found := lastEvent{}
	err = scan(ctx, r, m.LastEvent.Offset, m.LastEvent.Offset+1, func(e *eventstore.Message) error {
		found = lastEventOf(e)
		return nil
	})
	if errors.Is(err, eventstore.ErrOffsetGone) {
		return unusable(reasonDiffers, "the log no longer holds its offset: %s", err)
	}
	if err == nil && found != m.LastEvent {
		return unusable(reasonDiffers, "the log has another event at offset %d: it lost its end since, or was replaced", m.LastEvent.Offset)
	}
	return err
}
