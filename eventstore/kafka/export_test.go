package kafka

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
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

// Doubt makes the client doubt for so long that an offset is gone, as if there were several brokers.
func (c *Client) Doubt(d time.Duration) { c.doubt = d }

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

// Hang makes connections wait that are opened from now on, until they are let go.
func (c *Client) Hang() *Hung {
	release := make(chan struct{})
	conf, d := *c.conf, &Hung{waiting: make(chan struct{}, 1), release: release, LetGo: sync.OnceFunc(func() { close(release) })}
	conf.Net.Proxy.Enable, conf.Net.Proxy.Dialer = true, d
	c.conf = &conf
	return d
}

// Hung opens connections when it is let go.
type Hung struct {
	net.Dialer
	// LetGo opens the connections that wait.
	LetGo            func()
	waiting, release chan struct{}
	opened, open     atomic.Int64
}

// Await returns when the first connection waits.
func (d *Hung) Await() { <-d.waiting }

// Connections is how many were opened, and how many still are.
func (d *Hung) Connections() (opened, open int64) { return d.opened.Load(), d.open.Load() }

// Dial opens a connection.
func (d *Hung) Dial(network, address string) (net.Conn, error) {
	select {
	case d.waiting <- struct{}{}:
	default:
	}
	<-d.release
	conn, err := d.Dialer.Dial(network, address)
	if err != nil {
		return nil, err
	}
	d.opened.Add(1)
	d.open.Add(1)
	return &counted{Conn: conn, end: sync.OnceFunc(func() { d.open.Add(-1) })}, nil
}

type counted struct {
	net.Conn
	end func()
}

func (c *counted) Close() error {
	c.end()
	return c.Conn.Close()
}

// Renumber makes the writer number its next batch as if n more messages had been sent, or fewer.
func (w *Writer) Renumber(n int32) { w.sequence += n }

// Cut breaks the reader's connection.
func (r *Reader) Cut() { _ = r.conn.Close() }

// Cut breaks the appender's connection.
func (a *Appender) Cut() { _ = a.conn.Close() }
