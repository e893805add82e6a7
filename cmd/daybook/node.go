package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"daybook/console"
	"daybook/engine"
	"daybook/engine/snapshot"
	"daybook/engine/store"
	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/datadir"
	"daybook/internal/ids"
	"daybook/internal/planted"
	"daybook/projector"
	"daybook/projector/live"
	"daybook/resolvers"
	"daybook/server"
)

const (
	// group hands out the partitions among the nodes of one cluster.
	group = "daybook"
	// openTimeout bounds what start-up waits for the database once it answers.
	openTimeout = 30 * time.Second
	// withoutAny is after how long a member that was given no partitions no longer expects any: others give some up for it
	// within a few heartbeats.
	withoutAny = 3 * time.Second
)

// Main is one node: all parts of Daybook wired together. The program runs one; tests and benchmarks start their own.
type Main struct {
	cfg    config
	log    *slog.Logger
	clock  func() time.Time
	nodeID string
	// logID is the identity of the log, partitions the number of its partitions.
	logID      string
	partitions int32

	cluster   *cluster
	store     *store.Store
	model     *projector.ReadModel
	engine    *engine.Engine
	projector *projector.Projector
	feed      *live.Feed
	server    *server.Server
	front     *server.Front
	address   *net.TCPAddr
	registry  *prometheus.Registry
	tracing   tracing
	// checkpointed counts what is done with checkpoints.
	checkpointed *snapshot.Metrics
	// joined tells that this node was given partitions, or none for so long that it will stay so.
	joined atomic.Bool
	// restored is closed once there is local state to begin with.
	restored chan struct{}
}

// NewMain makes a node; Open prepares it, Run runs it, Close ends it.
func NewMain(cfg config, log *slog.Logger) *Main {
	return &Main{cfg: cfg, log: log, clock: planted.Now, registry: newRegistry(), restored: make(chan struct{})}
}

// Open takes hold of everything the node needs, which may take minutes: meanwhile it answers that it starts. On an error
// what was opened is closed again.
func (m *Main) Open(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	listener, err := net.Listen("tcp", m.cfg.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s; choose another address with --%s or DAYBOOK_LISTEN: %w", m.cfg.Listen, flagListen, err)
	}
	m.address = listener.Addr().(*net.TCPAddr)
	// The parts' metrics are not looked at while they are made.
	m.front = server.Listen(listener, server.DefaultLimits(), newRegistry(), m.log)
	if m.cluster, err = openCluster(ctx, m.cfg, "daybook", m.log); err != nil {
		return err
	}
	if m.nodeID, err = datadir.NodeID(m.cfg.DataDir, ids.New); err != nil {
		return err
	}
	if m.tracing.tracer == nil {
		if m.tracing, err = openTracing(ctx, m.nodeID, m.log); err != nil {
			return err
		}
	}
	if m.partitions, err = m.cluster.topics(m.cfg); err != nil {
		return err
	}
	if m.logID, err = m.cluster.client.LogID(); err != nil {
		return err
	}
	if m.store, err = openState(filepath.Join(m.cfg.DataDir, "state"), m.logID, m.partitions, m.log); err != nil {
		return err
	}
	if m.model, err = openModel(ctx, m.cfg, m.logID, m.cluster.client, m.partitions, m.log); err != nil {
		return err
	}
	m.assemble()
	if m.cluster.broker != nil {
		all := make([]int32, m.partitions)
		for p := range all {
			all[p] = int32(p)
		}
		m.assign(all)
	}
	m.front.HandOver(m.server)
	return nil
}

// openState opens the local state, which is thrown away when it was folded from another log or by another version.
func openState(dir, logID string, partitions int32, log *slog.Logger) (*store.Store, error) {
	s, err := store.Open(dir, log)
	if err != nil {
		return nil, err
	}
	known, err := s.LogID()
	if err == nil && known != logID {
		if known != "" {
			log.Warn("the local state belongs to another log, or another version wrote it, and is folded anew", "directory", dir)
		}
		for p := range partitions {
			err = errors.Join(err, s.Reset(p))
		}
		if err == nil {
			err = s.SetLogID(logID)
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openModel opens the read model. One in the data directory may have to be compared with the log, which takes as long as
// the log is.
func openModel(ctx context.Context, cfg config, logID string, events projector.LogWithEnd, partitions int32, log *slog.Logger) (*projector.ReadModel, error) {
	url, err := cfg.databaseURL()
	if err != nil {
		return nil, err
	}
	settings := projector.Config{URL: url, LogID: logID, Clock: time.Now, Logger: log, Wait: cfg.Patience}
	if cfg.DatabaseURL == "" {
		return projector.Recover(ctx, settings, events, partitions)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Patience+openTimeout)
	defer cancel()
	return projector.Open(ctx, settings)
}

// assemble wires the parts together.
func (m *Main) assemble() {
	client := m.cluster.client
	cfg := engine.Config{
		Partitions: m.partitions, Clock: m.clock, NewID: ids.New, Logger: m.log,
		Publish:    func(partition int32, events []eventstore.Recorded) { m.feed.Publish(partition, events) },
		Registerer: m.registry, Tracer: m.tracing.tracer,
	}
	if m.cluster.broker != nil {
		cfg.Admit = m.cluster.broker.Healthy
		watchDisk(m.registry, m.cluster.broker)
	} else {
		cfg.NodeID = m.nodeID
	}
	watchState(m.registry, m.store)
	m.engine = engine.New(cfg, client, m.store)
	m.checkpointed = snapshot.NewMetrics(m.registry, m.partitions)
	m.feed = live.New(live.Config{
		Log: client, Partitions: m.partitions, Accounts: m.engine, History: m.model, Logger: m.log, Clock: m.clock, Admit: m.mayFeed,
		Registerer: m.registry, Tracer: m.tracing.tracer,
	})
	m.projector = projector.NewProjector(projector.ProjectorConfig{
		Log: client, Model: m.model, Partitions: m.partitions, Logger: m.log,
		Registerer: m.registry, Tracer: m.tracing.tracer,
	})
	checks := newHealth(m)
	m.server = server.New(server.Config{
		Resolver: &resolvers.Resolver{
			Commands: m.engine, Reads: m.model, Live: m.feed, Now: m.clock, NewID: ids.New, Logger: m.log,
		},
		Console: console.Handler(), Health: checks.Check, Logger: m.log, Origins: m.cfg.Origins,
		Registerer: m.registry, Gatherer: m.registry, Tracer: m.tracing.tracer,
	})
}

// ready returns nil when the node owns what it should and all its parts go on.
func (m *Main) ready() error {
	if !m.isRestored() {
		return errors.New("local state is being restored from checkpoints")
	}
	if !m.joined.Load() {
		return errors.New("the group has not handed out the partitions yet")
	}
	return errors.Join(m.engine.Ready(), m.projector.Ready())
}

// URL is where the playground is.
func (m *Main) URL() string {
	host := m.address.IP.String()
	if m.address.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return fmt.Sprintf("http://%s/", net.JoinHostPort(host, fmt.Sprint(m.address.Port)))
}

// Run serves until ctx ends or a part fails. Requests end first, then the engine, which writes out what it decided.
func (m *Main) Run(ctx context.Context) error {
	parts, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	running, failed := errgroup.WithContext(parts)
	running.Go(func() error { return m.runEngine(failed) })
	running.Go(func() error { return m.writeCheckpoints(failed) })
	running.Go(func() error { return m.projector.Run(failed) })
	running.Go(func() error { return m.feed.Run(failed) })
	running.Go(func() error { return m.followAssignment(failed) })
	running.Go(func() error { return m.serveCuts(failed) })

	serving, endServing := context.WithCancel(ctx)
	defer endServing()
	// A failed part ends the service too.
	defer context.AfterFunc(failed, endServing)()
	err := m.server.Serve(serving, m.front)
	stop()
	if partErr := running.Wait(); !errors.Is(partErr, context.Canceled) {
		err = errors.Join(err, partErr)
	}
	return err
}

// followAssignment hands the engine and the projector the partitions that the group gives to this node.
func (m *Main) followAssignment(ctx context.Context) error {
	if m.cluster.broker != nil {
		return nil // The directory's lock makes this the only node; it was assigned everything at once.
	}
	if !m.awaitRestored(ctx) {
		return nil // Partitions would be without an owner meanwhile.
	}
	return m.cluster.client.JoinGroup(ctx, kafka.GroupConfig{
		Group: group, Topic: eventstore.AccountCommands, InstanceID: m.nodeID, SessionTimeout: m.cfg.SessionTimeout,
	}, m.assign)
}

func (m *Main) assign(partitions []int32) {
	m.log.Info("partitions assigned", "partitions", partitions)
	m.engine.Assign(partitions)
	m.projector.Assign(partitions)
	if len(partitions) > 0 {
		m.joined.Store(true)
		return
	}
	// What the others give up for a new member comes with the next assignment, a moment later.
	time.AfterFunc(withoutAny, func() { m.joined.Store(true) })
}

// Close lets go of everything. It is for after Run, or for a node that never ran.
func (m *Main) Close() error {
	var errs []error
	if m.front != nil {
		errs = append(errs, m.front.Close())
	}
	if m.tracing.close != nil {
		errs = append(errs, m.tracing.close())
	}
	if m.model != nil {
		errs = append(errs, m.model.Close())
	}
	if m.store != nil {
		errs = append(errs, m.store.Close())
	}
	if m.cluster != nil {
		errs = append(errs, m.cluster.Close())
	}
	return errors.Join(errs...)
}
