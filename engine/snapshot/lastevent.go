package snapshot

import (
	"context"
	"errors"
	"fmt"

	"daybook/engine/store"
	"daybook/eventstore"
)

// checkLog tells whether the log still holds what the checkpoint was folded from: it begins before, ends after, has the very
// event last folded in its place, and no other between it and the checkpoint's offset.
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
	found := false
	err = scan(ctx, r, m.LastEvent.Offset, m.Position.Next, func(e *eventstore.Message) error {
		if lastEventOf(store.LastEventAt(e.Offset, e.Value)) != m.LastEvent {
			return differs(e.Offset)
		}
		found = true
		return nil
	})
	if errors.Is(err, eventstore.ErrOffsetGone) {
		return unusable(reasonDiffers, "the log no longer holds its offset: %s", err)
	}
	if err == nil && !found {
		return differs(m.LastEvent.Offset)
	}
	return err
}

func differs(offset int64) error {
	return unusable(reasonDiffers, "the log has another event at offset %d: it lost its end since, or was replaced", offset)
}
