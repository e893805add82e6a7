package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"daybook/eventstore"
	"daybook/internal/archive"
)

const (
	// cutSocket is where, in its data directory, a running embedded node is asked for a cut of its log.
	cutSocket = "backup.sock"
	// cutPatience bounds the asking, in which commands wait for a part of the time.
	cutPatience = 10 * time.Second
	// maxSocketPath is the length of a path that every system takes for a socket.
	maxSocketPath = 100
	maxCutBytes   = 1 << 20
)

// archivedTopics are those that the log consists of. Replies are of no use to anybody later.
var archivedTopics = []string{eventstore.AccountEvents, eventstore.TransactionEvents, eventstore.AccountCommands}

// cut is where an archive ends: what lies before holds the cause of everything in it.
type cut struct {
	archive.Header
	// Brokers are where the log can be read.
	Brokers []string
	// Pause is how long commands waited at most.
	Pause time.Duration
	// Failure says why there is none.
	Failure string
}

// ends tells where partitions end.
type ends interface {
	EndOffset(topic string, partition int32) (int64, error)
}

// takeCut takes the log's ends. The events must not change meanwhile.
func takeCut(client ends, partitions int32, now time.Time) (cut, error) {
	c := cut{Header: archive.Header{Created: now.UTC(), Program: version(), Partitions: partitions}}
	for _, topic := range archivedTopics {
		for p := range partitions {
			end, err := client.EndOffset(topic, p)
			if err != nil {
				return cut{}, err
			}
			c.Parts = append(c.Parts, archive.Part{Topic: topic, Partition: p, End: end})
		}
	}
	return c, nil
}

// cut takes a cut of the running node's log, while its commands wait.
func (m *Main) cut(ctx context.Context) (taken cut, err error) {
	began := m.clock()
	err = m.engine.Freeze(ctx, func(context.Context) error {
		taken, err = takeCut(m.cluster.client, m.partitions, began)
		return err
	})
	if err != nil {
		return cut{}, err
	}
	taken.Pause = m.clock().Sub(began)
	taken.Brokers = m.cluster.broker.Addresses()
	taken.LogID, err = m.cluster.client.LogID()
	return taken, err
}

// serveCuts answers those who ask for a cut, one after another, until ctx ends. Only an embedded node is asked, and only
// by who may use its data directory.
func (m *Main) serveCuts(ctx context.Context) error {
	if m.cluster.broker == nil {
		return nil
	}
	path := filepath.Join(m.cfg.DataDir, cutSocket)
	listener, err := listenLocally(path)
	if err != nil {
		m.log.Warn("this node can be backed up only while it is stopped", "error", err)
		return nil
	}
	defer os.Remove(path)  //nolint:errcheck // The next node removes it too.
	defer listener.Close() //nolint:errcheck // It is closed below.
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			m.log.Warn("a backup could not reach this node", "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			continue
		}
		m.answerCut(ctx, conn)
	}
}

func (m *Main) answerCut(ctx context.Context, conn net.Conn) {
	defer conn.Close() //nolint:errcheck // Who asked sees what is missing.
	_ = conn.SetDeadline(m.clock().Add(cutPatience))
	taken, err := m.cut(ctx)
	if err != nil {
		m.log.Warn("no cut of the log was taken for a backup", "error", err)
		taken.Failure = err.Error()
	} else {
		m.log.Info("a cut of the log was taken for a backup", "pause", taken.Pause)
	}
	_ = json.NewEncoder(conn).Encode(taken)
}

// askCut asks the node that runs on a data directory for a cut.
func askCut(ctx context.Context, dir string) (c cut, err error) {
	ctx, cancel := context.WithTimeout(ctx, cutPatience)
	defer cancel()
	err = withShortPath(filepath.Join(dir, cutSocket), func(path string) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // Nothing was written.
		deadline, _ := ctx.Deadline()
		_ = conn.SetDeadline(deadline)
		return json.NewDecoder(io.LimitReader(conn, maxCutBytes)).Decode(&c)
	})
	switch {
	case err != nil:
		return cut{}, fmt.Errorf("the process that works on %s gives no cut of its log: try again, or stop it first (%w)", dir, err)
	case c.Failure != "":
		return cut{}, fmt.Errorf("the running node cannot be backed up at the moment: %s", c.Failure)
	}
	return c, nil
}

// listenLocally listens on a socket that only this user can connect to. The data directory is locked by this process, so
// that a socket that is there was left over.
func listenLocally(path string) (listener net.Listener, err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	err = withShortPath(path, func(short string) error {
		listener, err = net.Listen("unix", short)
		return err
	})
	if err != nil {
		return nil, err
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// withShortPath lets use have a path to the same file that is not too long for a socket.
func withShortPath(path string, use func(string) error) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if len(path) <= maxSocketPath {
		return use(path)
	}
	dir, err := os.MkdirTemp("", "daybook-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // A link is left over.
	link := filepath.Join(dir, "d")
	if err := os.Symlink(filepath.Dir(path), link); err != nil {
		return err
	}
	return use(filepath.Join(link, filepath.Base(path)))
}
