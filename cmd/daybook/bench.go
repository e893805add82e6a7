package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"daybook/internal/bench"
	"daybook/internal/ids"
	"daybook/projector"
)

const (
	flagRuns      = "runs"
	flagDuration  = "duration"
	flagEvents    = "events"
	flagSustained = "sustained"
	flagOnly      = "only"
)

// sustainedFactor is how many times as long as the others the sustained loads take, unless they are told otherwise.
const sustainedFactor = 20

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:  "bench",
		Usage: "measure Daybook beside what it is built on, and beside double entry in plain PostgreSQL",
		Description: "Measures the embedded default and, where named, Apache Kafka and PostgreSQL, in one run on one machine, on\n" +
			"logs and tables of its own that it deletes again. It refuses a cluster that holds Daybook's topics.\n\n" +
			"Parts, for --only:\n" + describeParts() + "\n\n" +
			"Examples:\n" +
			"  daybook bench --kafka-brokers localhost:9092 --database-url postgres://daybook@localhost/daybook\n" +
			"  daybook bench --runs 1 --only transfers,batch\n" +
			"  daybook bench --runs 1 --only sustained --sustained 10s",
		Flags: append([]cli.Flag{
			&cli.IntFlag{Name: flagRuns, Value: 3, Usage: "how many `TIMES` everything but sustained loads is measured; the table has the medians"},
			&cli.DurationFlag{Name: flagDuration, Value: 3 * time.Second, Usage: "how long each load is measured, after a warm-up of a quarter of it"},
			&cli.DurationFlag{Name: flagSustained, Usage: "how long each sustained load takes, measured once; 0 leaves them out",
				DefaultText: fmt.Sprintf("%d times --%s", sustainedFactor, flagDuration)},
			&cli.IntFlag{Name: flagEvents, Value: 100_000, Usage: "how many `EVENTS` the projector is given, and checkpoints are made of"},
			&cli.StringSliceFlag{Name: flagOnly, Usage: "the `PARTS` to measure, separated by commas", DefaultText: "all"},
		}, clusterFlags()...),
		Action: runBench,
	}
}

func describeParts() string {
	lines := make([]string, len(benchParts))
	for i, p := range benchParts {
		lines[i] = fmt.Sprintf("  %-10s %s", p.name, p.what)
	}
	return strings.Join(lines, "\n")
}

func runBench(ctx context.Context, c *cli.Command) error {
	l, err := newLab(c)
	if err != nil {
		return err
	}
	if l.dir, err = os.MkdirTemp("", "daybook-bench-"); err != nil {
		return fmt.Errorf("making a directory for the measurements: %w", err)
	}
	defer os.RemoveAll(l.dir) //nolint:errcheck // Only a temporary directory is left over.
	backends := []*backendBench{{name: "embedded", lab: l}}
	if !l.cfg.embedded() {
		// First, because it can be refused.
		backends = append([]*backendBench{{name: "Apache Kafka and PostgreSQL", lab: l, distributed: true}}, backends...)
	}
	for run := range l.runs {
		for _, b := range backends {
			if err := b.measure(ctx, run+1); err != nil {
				return fmt.Errorf("measuring %s: %w", b.name, err)
			}
		}
	}
	for _, b := range backends {
		fmt.Fprintf(c.Root().Writer, "\n%s, medians of %d runs of %s, sustained loads once for %s:\n\n", b.name, l.runs, l.duration, l.sustained)
		b.table.Write(c.Root().Writer)
	}
	return nil
}

// lab makes fresh logs and databases to measure on.
type lab struct {
	cfg       config
	dir       string
	log       *slog.Logger
	progress  *os.File
	parts     []benchPart
	runs      int
	duration  time.Duration
	sustained time.Duration
	events    int
	made      int
}

// newLab reads the command's flags.
func newLab(c *cli.Command) (*lab, error) {
	cfg, err := readConfig(c)
	if err != nil {
		return nil, err
	}
	if cfg.embedded() != (cfg.DatabaseURL == "") {
		return nil, fmt.Errorf("--%s and --%s go together: name both, or neither to measure the embedded default alone", flagBrokers, flagDatabase)
	}
	l := &lab{
		cfg: cfg, log: slog.New(slog.NewTextHandler(io.Discard, nil)), progress: os.Stderr,
		runs: c.Int(flagRuns), duration: c.Duration(flagDuration), sustained: c.Duration(flagSustained), events: c.Int(flagEvents),
	}
	if !c.IsSet(flagSustained) {
		l.sustained = sustainedFactor * l.duration
	}
	const shortest, longest = 100 * time.Millisecond, 10 * time.Minute
	if l.runs < 1 || l.runs > 100 || l.duration < shortest || l.duration > longest || l.events < 10_000 || l.events > 10_000_000 {
		return nil, fmt.Errorf("--%s must be from 1 to 100, --%s from 100ms to 10m, --%s from 10000 to 10000000", flagRuns, flagDuration, flagEvents)
	}
	if l.sustained != 0 && (l.sustained < shortest || l.sustained > 24*time.Hour) {
		return nil, fmt.Errorf("--%s must be 0, or from 100ms to 24h", flagSustained)
	}
	l.parts, err = chooseParts(c.StringSlice(flagOnly))
	return l, err
}

func chooseParts(names []string) ([]benchPart, error) {
	var chosen []benchPart
	for _, p := range benchParts {
		if len(names) == 0 || slices.Contains(names, p.name) {
			chosen = append(chosen, p)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(benchParts, func(p benchPart) bool { return p.name == name }) {
			return nil, fmt.Errorf("--%s knows no part %q; see daybook bench --help", flagOnly, name)
		}
	}
	return chosen, nil
}

// directory makes one of its own, so that no measurement finds what another left.
func (l *lab) directory() string {
	l.made++
	return filepath.Join(l.dir, fmt.Sprint(l.made))
}

// backendBench measures on one backend.
type backendBench struct {
	name        string
	lab         *lab
	distributed bool
	table       bench.Table
	// run is the number of the present one, from 1.
	run int
	// baselines are those measured in the present run.
	baselines map[string]bench.Result
}

func (b *backendBench) measure(ctx context.Context, run int) error {
	b.run, b.baselines = run, map[string]bench.Result{}
	for _, p := range b.lab.parts {
		if err := p.measure(b, ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *backendBench) say(format string, args ...any) {
	fmt.Fprintf(b.lab.progress, "run %d of %d, %s: %s\n", b.run, b.lab.runs, b.name, fmt.Sprintf(format, args...))
}

// fresh lets use have a cluster whose topics are new and go away again.
func (b *backendBench) fresh(use func(c *cluster, partitions int32, dir string) error) error {
	cfg := config{DataDir: b.lab.directory()}
	if b.distributed {
		cfg.Brokers = b.lab.cfg.Brokers
	}
	c, err := openCluster(context.Background(), cfg, "daybook-bench", b.lab.log)
	if err != nil {
		return err
	}
	err = c.client.WithAllTopics(c.topicsConfig(b.lab.cfg), func(partitions int32) error {
		return use(c, partitions, cfg.DataDir)
	})
	return errors.Join(err, c.Close(), os.RemoveAll(cfg.DataDir))
}

// scratch lets use have an empty database.
func (b *backendBench) scratch(ctx context.Context, dir string, use func(url string) error) error {
	address := ""
	if b.distributed {
		address = b.lab.cfg.DatabaseURL
	}
	b.lab.made++
	return projector.WithScratch(ctx, address, dir, fmt.Sprintf("bench_%s_%d", ids.New()[24:], b.lab.made), use)
}

// baseline measures double entry in plain PostgreSQL, once a run for a name. It is nil without PostgreSQL.
func (b *backendBench) baseline(ctx context.Context, name string, measure func(url string) (bench.Result, error)) (*bench.Result, error) {
	if !b.distributed {
		return nil, nil
	}
	if known, ok := b.baselines[name]; ok {
		return &known, nil
	}
	b.say("%s", name)
	var result bench.Result
	err := b.scratch(ctx, "", func(url string) error {
		var err error
		result, err = measure(url)
		return err
	})
	b.baselines[name] = result
	return &result, err
}
