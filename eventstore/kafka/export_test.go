package kafka

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
)

// JoinGroupUntilKilled is JoinGroup for a process that has no time to leave when ctx ends.
func (c *Client) JoinGroupUntilKilled(ctx context.Context, cfg GroupConfig, assigned func([]int32)) error {
	client, err := c.groupClient(cfg)
	if err != nil {
		return err
	}
	return errors.Join(c.beMember(ctx, client, cfg, assigned), client.Close())
}

// UseUp makes the client take producer ids for used up after an epoch.
func (c *Client) UseUp(last int16) { c.lastEpoch = last }

// Miss makes so many of the connections fail that are opened from now on.
func (c *Client) Miss(times int64) {
	conf, d := *c.conf, &absent{}
	d.left.Store(times)
	conf.Net.Proxy.Enable, conf.Net.Proxy.Dialer = true, d
	c.conf = &conf
}

type absent struct {
	net.Dialer
	left atomic.Int64
}

func (d *absent) Dial(network, address string) (net.Conn, error) {
	if d.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("refused")}
	}
	return d.Dialer.Dial(network, address)
}

// Renumber makes the writer number its next batch as if n more messages had been sent, or fewer.
func (w *Writer) Renumber(n int32) { w.sequence += n }

// Cut breaks the reader's connection.
func (r *Reader) Cut() { _ = r.conn.Close() }

// Cut breaks the appender's connection.
func (a *Appender) Cut() { _ = a.conn.Close() }
