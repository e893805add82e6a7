package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v3"

	"daybook/eventstore/embedded"
	"daybook/eventstore/kafka"
	"daybook/internal/archive"
	"daybook/internal/datadir"
)

func restoreCommand() *cli.Command {
	return &cli.Command{
		Name:  "restore",
		Usage: "make a data directory from an archive",
		Description: "Checks the whole archive, writes its log, reads that back and compares it. The directory takes its place when it\n" +
			"is complete; daybook serve then builds local state and the read model from the log.\n\n" +
			"Example:\n" +
			"  daybook restore --from daybook-2026-01-31.archive --data-dir restored",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: flagFrom, Required: true, Usage: "the archive `FILE`"},
		}, localFlags()...),
		Action: runRestore,
	}
}

func runRestore(ctx context.Context, c *cli.Command) error {
	cfg, err := readConfig(c)
	if err != nil {
		return err
	}
	began := time.Now()
	from := c.String(flagFrom)
	building, err := datadir.Build(cfg.DataDir)
	if err != nil {
		return err
	}
	s, err := restore(ctx, from, building.Dir(), cfg.logger(os.Stderr))
	if err != nil {
		return errors.Join(err, building.Abandon())
	}
	if err := building.Finish(); err != nil {
		return err
	}
	s.took = time.Since(began)
	fmt.Fprintf(c.Root().Writer, "%s holds the log as of %s: %s\n", cfg.DataDir, s.Created.Format(time.RFC3339), s)
	return nil
}

// restore writes an archive into a new embedded log, and compares what is on the disk afterwards.
func restore(ctx context.Context, from, dir string, log *slog.Logger) (summary, error) {
	_, s, err := readArchive(ctx, from)
	if err != nil {
		return s, err
	}
	if err := checkSpace(dir, s.Bytes); err != nil {
		return s, err
	}
	var written archive.Digests
	err = onBuilding(dir, log, func(broker *embedded.Broker, client *kafka.Client) error {
		if _, err := client.EnsureTopics(kafka.TopicsConfig{Partitions: s.Partitions, Replication: 1, ForeverOnly: true}); err != nil {
			return err
		}
		written, err = loadArchive(ctx, from, client, nil)
		// Not all that the broker cannot write is answered with an error.
		return errors.Join(err, broker.Healthy())
	})
	if err != nil {
		return s, err
	}
	// Another broker has nothing but what is on the disk.
	return s, onBuilding(dir, log, func(_ *embedded.Broker, client *kafka.Client) error {
		return compareCopy(ctx, client, &s.Header, written)
	})
}

// onBuilding runs a broker on a directory that is being built.
func onBuilding(dir string, log *slog.Logger, use func(*embedded.Broker, *kafka.Client) error) error {
	broker, err := embedded.OpenUnfinished(dir, log)
	if err != nil {
		return err
	}
	client, err := kafka.Open(kafka.Config{Brokers: broker.Addresses(), ClientID: "daybook-restore", Logger: log})
	if err == nil {
		err = errors.Join(use(broker, client), client.Close())
	}
	return errors.Join(err, broker.Close())
}

func loadArchive(ctx context.Context, from string, to archive.Target, prepare func(archive.Part, *archive.Entry) error) (written archive.Digests, err error) {
	progress := newProgress(os.Stderr, "entries written")
	defer progress.end()
	err = archive.Read(from, func(r *archive.Reader) (err error) {
		written, err = archive.Load(ctx, r, to, prepare, progress.showBytes)
		return err
	})
	return written, err
}

func compareCopy(ctx context.Context, from archive.Target, h *archive.Header, written archive.Digests) error {
	progress := newProgress(os.Stderr, "entries compared")
	defer progress.end()
	return archive.Compare(ctx, from, h, written, progress.showBytes)
}

// checkSpace refuses a disk on which a log of about the given size would leave a node no room to work.
func checkSpace(dir string, size int64) error {
	free, err := embedded.FreeBytes(dir)
	if err != nil {
		return err
	}
	if need := uint64(size+size/8) + embedded.MinFreeBytes; free < need {
		return fmt.Errorf("the log and room to work need about %d MB of disk and %d MB are free on %s: free some space or name another directory",
			need/1e6, free/1e6, filepath.Dir(dir))
	}
	return nil
}
