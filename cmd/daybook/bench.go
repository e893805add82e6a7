package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v3"

	"daybook/eventstore/kafka"
	"daybook/internal/bench"
	"daybook/internal/ids"
	"daybook/projector"
)

const (
	flagRuns     = "runs"
	flagDuration = "duration"
	flagEvents   = "events"
)

// readyTimeout bounds the wait until a node has joined its group and taken its partitions over.
const readyTimeout = time.Minute

// httpCallers is how many clients send one mutation after another over HTTP; pushes are measured at half of what the
// first of them reach.
var httpCallers = [...]int{64, 256}

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:  "bench",
		Usage: "measure Daybook beside what it is built on",
		Description: "Measures the embedded default and, where named, Apache Kafka and PostgreSQL, in one run on one machine, on\n" +
			"logs and tables of its own that it deletes again. It refuses a cluster that holds Daybook's topics.\n\n" +
			"Example:\n" +
			"  daybook bench --kafka-brokers localhost:9092 --database-url postgres://daybook@localhost/daybook",
		Flags: append([]cli.Flag{
			&cli.IntFlag{Name: flagRuns, Value: 3, Usage: "how many `TIMES` everything is measured; the table has the medians"},
			&cli.DurationFlag{Name: flagDuration, Value: 3 * time.Second, Usage: "how long each load is measured, after a warm-up of a quarter of it"},
			&cli.IntFlag{Name: flagEvents, Value: 100_000, Usage: "how many `EVENTS` the projector is given"},
		}, clusterFlags()...),
		Action: runBench,
	}
}

func runBench(ctx context.Context, c *cli.Command) error {
	cfg, err := readConfig(c)
	if err != nil {
		return err
	}
	if cfg.embedded() != (cfg.DatabaseURL == "") {
		return fmt.Errorf("--%s and --%s go together: name both, or neither to measure the embedded default alone", flagBrokers, flagDatabase)
	}
	l := &lab{
		cfg: cfg, log: slog.New(slog.NewTextHandler(io.Discard, nil)), progress: os.Stderr,
		duration: c.Duration(flagDuration), events: c.Int(flagEvents),
	}
	runs := c.Int(flagRuns)
	if runs < 1 || runs > 100 || l.duration < 100*time.Millisecond || l.duration > 10*time.Minute || l.events < 10_000 || l.events > 10_000_000 {
		return fmt.Errorf("--%s must be from 1 to 100, --%s from 100ms to 10m, --%s from 10000 to 10000000", flagRuns, flagDuration, flagEvents)
	}
	if l.dir, err = os.MkdirTemp("", "daybook-bench-"); err != nil {
		return fmt.Errorf("making a directory for the measurements: %w", err)
	}
	defer os.RemoveAll(l.dir) //nolint:errcheck // Only a temporary directory is left over.
	backends := []*backendBench{{name: "embedded", lab: l}}
	if !cfg.embedded() {
		// First, because it can be refused.
		backends = append([]*backendBench{{name: "Apache Kafka and PostgreSQL", lab: l, distributed: true}}, backends...)
	}
	for run := range runs {
		for _, b := range backends {
			if err := b.measure(ctx, run+1, runs); err != nil {
				return fmt.Errorf("measuring %s: %w", b.name, err)
			}
		}
	}
	for _, b := range backends {
		fmt.Fprintf(c.Root().Writer, "\n%s, medians of %d runs of %s:\n\n", b.name, runs, l.duration)
		b.table.Write(c.Root().Writer)
	}
	return nil
}

// lab makes fresh logs and databases to measure on.
type lab struct {
	cfg      config
	dir      string
	log      *slog.Logger
	progress io.Writer
	duration time.Duration
	events   int
	made     int
}

// backendBench measures on one backend.
type backendBench struct {
	name        string
	lab         *lab
	distributed bool
	table       bench.Table
}

// directory makes one of its own, so that no measurement finds what another left.
func (l *lab) directory() string {
	l.made++
	return filepath.Join(l.dir, fmt.Sprint(l.made))
}

// fresh lets use have a cluster whose topics are new and go away again.
func (b *backendBench) fresh(use func(c *cluster, partitions int32, dir string) error) error {
	cfg := config{DataDir: b.lab.directory()}
	if b.distributed {
		cfg.Brokers = b.lab.cfg.Brokers
	}
	c, err := openCluster(cfg, "daybook-bench", b.lab.log)
	if err != nil {
		return err
	}
	err = c.client.WithAllTopics(kafka.TopicsConfig{Partitions: b.lab.cfg.Partitions}, func(partitions int32) error {
		return use(c, partitions, cfg.DataDir)
	})
	return errors.Join(err, c.Close(), os.RemoveAll(cfg.DataDir))
}

func (b *backendBench) scratch(ctx context.Context, dir string, use func(url string) error) error {
	address := ""
	if b.distributed {
		address = b.lab.cfg.DatabaseURL
	}
	b.lab.made++
	return projector.WithScratch(ctx, address, dir, fmt.Sprintf("bench_%s_%d", ids.New()[24:], b.lab.made), use)
}

func (b *backendBench) measure(ctx context.Context, run, runs int) error {
	say := func(what string) { fmt.Fprintf(b.lab.progress, "run %d of %d, %s: %s\n", run, runs, b.name, what) }
	for _, callers := range []int{64, 512} {
		say(fmt.Sprintf("engine, %d callers", callers))
		if err := b.engine(ctx, callers); err != nil {
			return err
		}
	}
	say("top-ups over HTTP, and pushes")
	if err := b.http(ctx); err != nil {
		return err
	}
	say("projector")
	return b.project(ctx)
}

func (b *backendBench) engine(ctx context.Context, callers int) error {
	return b.fresh(func(c *cluster, partitions int32, dir string) error {
		raw := func(transactions bool) (bench.Result, error) {
			return bench.Raw(ctx, c.client, partitions, transactions, callers, b.lab.duration)
		}
		all, err := raw(true)
		if err != nil {
			return err
		}
		measured, err := bench.Engine(ctx, c.client, partitions, filepath.Join(dir, "state"), callers, b.lab.duration)
		if err != nil {
			return err
		}
		accountEvents, err := raw(false)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("(a) commands, %d callers", callers)
		b.table.Add(name, measured, "raw, the same bytes", &all)
		b.table.Add(name+", account events only", measured, "raw, without transaction events", &accountEvents)
		return nil
	})
}

// http runs a whole node, for the embedded backend with a broker of its own.
func (b *backendBench) http(ctx context.Context) error {
	dir := b.lab.directory()
	defer os.RemoveAll(dir) //nolint:errcheck // Only a temporary directory is left over.
	onNode := func(cfg config) error {
		return withNode(ctx, cfg, b.lab.log, func(url string) error { return b.load(ctx, url) })
	}
	cfg := config{Listen: "127.0.0.1:0", DataDir: filepath.Join(dir, "node"), Partitions: b.lab.cfg.Partitions, SessionTimeout: 10 * time.Second}
	if !b.distributed {
		return onNode(cfg)
	}
	cfg.Brokers = b.lab.cfg.Brokers
	return b.fresh(func(*cluster, int32, string) error {
		return b.scratch(ctx, dir, func(url string) error {
			cfg.DatabaseURL = url
			return onNode(cfg)
		})
	})
}

func (b *backendBench) load(ctx context.Context, url string) error {
	for i, callers := range httpCallers {
		empty, err := bench.EmptyHTTP(ctx, callers, b.lab.duration)
		if err != nil {
			return err
		}
		measured, err := bench.HTTP(ctx, url, callers, b.lab.duration)
		if err != nil {
			return err
		}
		b.table.Add(fmt.Sprintf("(b) top-ups over HTTP, %d clients", callers), measured, "gqlgen, empty mutation", &empty)
		if i > 0 {
			continue
		}
		pushed, err := bench.Push(ctx, url, measured.PerSecond/2, b.lab.duration)
		if err != nil {
			return err
		}
		b.table.Add("(c) decision to push, half load", pushed, "", nil)
	}
	return nil
}

func (b *backendBench) project(ctx context.Context) error {
	return b.fresh(func(c *cluster, partitions int32, dir string) error {
		return b.scratch(ctx, dir, func(url string) error {
			return b.scratch(ctx, dir, func(bareURL string) error {
				projected, bare, err := bench.Project(ctx, c.client, partitions, url, bareURL, b.lab.events)
				if err != nil {
					return err
				}
				b.table.Add("(d) events projected", bench.Result{PerSecond: projected}, "bare bulk insert", &bench.Result{PerSecond: bare})
				return nil
			})
		})
	})
}

// withNode runs a node while use works with it.
func withNode(ctx context.Context, cfg config, log *slog.Logger, use func(url string) error) error {
	m := NewMain(cfg, log)
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
		err = use(m.URL())
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
