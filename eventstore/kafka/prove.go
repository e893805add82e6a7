package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"daybook/eventstore"
)

// ProveFence shows on a scratch topic that this cluster refuses a stale writer, before and after the new writer's
// first batch. The error says what was let through.
func (c *Client) ProveFence(ctx context.Context) error {
	return c.WithScratchTopic("daybook.doctor", 1, func(topic string) error {
		old, err := c.fencedWriter(ctx, topic)
		if err != nil {
			return err
		}
		defer old.Close() //nolint:errcheck // It is meant to fail.
		if err := appendOne(ctx, old); err != nil {
			return fmt.Errorf("the first writer was refused: %w", err)
		}
		fresh, err := c.fencedWriter(ctx, topic)
		if err != nil {
			return err
		}
		defer fresh.Close() //nolint:errcheck // Its batch was answered.
		if err := mustBeFenced(ctx, old, "before the new writer's first batch"); err != nil {
			return err
		}
		if err := appendOne(ctx, fresh); err != nil {
			return fmt.Errorf("the new writer was refused: %w", err)
		}
		stale, err := c.OpenWriter(topic, 0, old.(*Writer).marker)
		if err != nil {
			return err
		}
		defer stale.Close() //nolint:errcheck // It is meant to fail.
		return mustBeFenced(ctx, stale, "after the new writer's first batch")
	})
}

func (c *Client) fencedWriter(ctx context.Context, topic string) (eventstore.Writer, error) {
	marker, err := c.RuleLine(ctx, topic, 0)
	if err != nil {
		return nil, err
	}
	reader, err := c.OpenReader(topic, 0)
	if err != nil {
		return nil, err
	}
	defer reader.Close() //nolint:errcheck // Nothing was written.
	for offset := int64(0); ; {
		chunk, err := reader.Read(ctx, offset, maxPoll)
		if err != nil {
			return nil, err
		}
		for _, m := range chunk.Markers {
			if m.ProducerID == marker.ProducerID && m.Epoch == marker.Epoch {
				return c.OpenWriter(topic, 0, m)
			}
		}
		offset = chunk.Next
	}
}

func appendOne(ctx context.Context, w eventstore.Writer) error {
	done := make(chan error, 1)
	message := eventstore.Message{Key: []byte("doctor"), Value: []byte(`{}`), Time: time.UnixMilli(0)}
	if err := w.Append([]eventstore.Message{message}, func(_ int64, err error) { done <- err }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func mustBeFenced(ctx context.Context, w eventstore.Writer, when string) error {
	err := appendOne(ctx, w)
	switch {
	case err == nil:
		return fmt.Errorf("a stale writer was let in %s: this cluster must not be used", when)
	case errors.Is(err, eventstore.ErrFenced):
		return nil
	}
	return fmt.Errorf("a stale writer was refused %s, but not as one: %w", when, err)
}
