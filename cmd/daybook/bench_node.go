package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"daybook/internal/bench"
)

// readyTimeout bounds the wait until a node has joined its group and taken its partitions over.
const readyTimeout = time.Minute

// node lets use have a whole new node, for the embedded backend with a broker of its own.
func (b *backendBench) node(ctx context.Context, use func(n bench.Node) error) error {
	dir := b.lab.directory()
	defer os.RemoveAll(dir) //nolint:errcheck // Only a temporary directory is left over.
	cfg := config{Listen: "127.0.0.1:0", DataDir: filepath.Join(dir, "node"), Partitions: b.lab.cfg.Partitions, SessionTimeout: 10 * time.Second}
	onNode := func() error {
		return withNode(ctx, cfg, b.lab.log, func(m *Main) error { return use(m.benchNode()) })
	}
	if !b.distributed {
		return onNode()
	}
	cfg.Brokers = b.lab.cfg.Brokers
	return b.fresh(func(*cluster, int32, string) error {
		return b.scratch(ctx, dir, func(url string) error {
			cfg.DatabaseURL = url
			return onNode()
		})
	})
}

// benchNode is the node as a load sees it. It is the only one, so all partitions are its own.
func (m *Main) benchNode() bench.Node {
	return bench.Node{
		URL: m.URL(), Partitions: m.partitions,
		Progress: func() (written, projected []int64, err error) {
			for _, s := range m.projector.Status() {
				end, err := m.cluster.client.EndOffset(s.Topic, s.Partition)
				if err != nil {
					return nil, nil, err
				}
				written, projected = append(written, end), append(projected, s.Position)
			}
			return written, projected, nil
		},
	}
}

// withNode runs a node while use works with it.
func withNode(ctx context.Context, cfg config, log *slog.Logger, use func(m *Main) error) error {
	return runNode(ctx, NewMain(cfg, log), use)
}

// runNode opens a node and runs it while use works with it.
func runNode(ctx context.Context, m *Main, use func(m *Main) error) error {
	if err := m.Open(ctx); err != nil {
		return err
	}
	run, stop := context.WithCancel(ctx)
	defer stop()
	var runErr error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runErr = m.Run(run)
	}()
	err := awaitReady(ctx, m, ended)
	if err == nil {
		err = use(m)
	}
	stop()
	<-ended
	return errors.Join(err, runErr, m.Close())
}

// awaitReady waits, a bounded time, until the node owns its partitions. A node that ended never will.
func awaitReady(ctx context.Context, m *Main, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := m.ready()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ended:
			return errors.New("the node ended before it was ready")
		case <-ctx.Done():
			return fmt.Errorf("the node is not ready: %w", err)
		}
	}
}
