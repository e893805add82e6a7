package kafka

import (
	"context"
	"errors"
)

// JoinGroupUntilKilled is JoinGroup for a process that has no time to leave when ctx ends.
func (c *Client) JoinGroupUntilKilled(ctx context.Context, cfg GroupConfig, assigned func([]int32)) error {
	client, err := c.groupClient(cfg)
	if err != nil {
		return err
	}
	return errors.Join(c.beMember(ctx, client, cfg, assigned), client.Close())
}

// Renumber makes the writer number its next batch as if n more messages had been sent, or fewer.
func (w *Writer) Renumber(n int32) { w.sequence += n }

// Cut breaks the reader's connection.
func (r *Reader) Cut() { _ = r.conn.Close() }

// Cut breaks the appender's connection.
func (a *Appender) Cut() { _ = a.conn.Close() }
