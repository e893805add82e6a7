package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v3"

	"daybook/eventstore/kafka"
	"daybook/internal/archive"
	"daybook/internal/datadir"
)

const flagCheck = "check"

func backupCommand() *cli.Command {
	return &cli.Command{
		Name:    "backup",
		Aliases: []string{"export"},
		Usage:   "write an embedded log to an archive, also while its node runs; or check one",
		Description: "The archive is one file with every event, for daybook restore and, to move to a Kafka cluster, daybook import.\n" +
			"A running node goes on: its commands wait for some milliseconds while the end of the log is fixed. The file takes\n" +
			"its place when it is complete. backup and export are the same.\n\n" +
			"Examples:\n" +
			"  daybook backup --data-dir data --to daybook-2026-01-31.archive\n" +
			"  daybook backup --check daybook-2026-01-31.archive",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: flagTo, Usage: "the `FILE` to write, which must not exist"},
			&cli.StringFlag{Name: flagCheck, Usage: "check the archive `FILE` and write nothing"},
		}, localFlags()...),
		Action: runBackup,
	}
}

func runBackup(ctx context.Context, c *cli.Command) error {
	cfg, err := readConfig(c)
	if err != nil {
		return err
	}
	to, check := c.String(flagTo), c.String(flagCheck)
	switch {
	case (to == "") == (check == ""):
		return fmt.Errorf("name either the file to write with --%s or the archive to check with --%s", flagTo, flagCheck)
	case check != "":
		return checkArchive(ctx, check, c.Root().Writer)
	}
	// Who names a wrong file hears of it before the log is opened, which can take long.
	file, err := archive.Create(to)
	if err != nil {
		return err
	}
	s, err := backUp(ctx, cfg, file)
	if err != nil {
		return errors.Join(err, file.Abort())
	}
	if err := file.Commit(); err != nil {
		return err
	}
	fmt.Fprintf(c.Root().Writer, "%s: %s\n", to, s)
	if s.Pause > 0 {
		fmt.Fprintf(c.Root().Writer, "commands of the running node waited %s\n", s.Pause.Round(10*time.Microsecond))
	}
	return nil
}

// backUp archives the log of a data directory, be a node running on it or not.
func backUp(ctx context.Context, cfg config, to *archive.File) (s summary, err error) {
	if _, err := os.Stat(filepath.Join(cfg.DataDir, "log")); err != nil {
		return s, fmt.Errorf("there is no embedded log in %s: name the --%s of daybook serve; a log on Kafka is not archived (%w)", cfg.DataDir, flagDataDir, err)
	}
	began := time.Now()
	log := cfg.logger(os.Stderr)
	cl, err := openCluster(ctx, cfg, "daybook-backup", log)
	var taken cut
	var client *kafka.Client
	switch {
	case errors.Is(err, datadir.ErrInUse):
		if taken, err = askCut(ctx, cfg.DataDir); err != nil {
			return s, err
		}
		client, err = kafka.Open(kafka.Config{Brokers: taken.Brokers, ClientID: "daybook-backup", Logger: log})
		if err == nil {
			defer client.Close() //nolint:errcheck // Nothing was written.
		}
	case err == nil:
		defer cl.Close() //nolint:errcheck // Nothing was written.
		client = cl.client
		taken, err = cutAtRest(cl, cfg)
	}
	if err != nil {
		return s, err
	}
	progress := newProgress(os.Stderr, "entries archived")
	s.Totals, err = archive.Write(ctx, client, &taken.Header, to, progress.showBytes)
	progress.end()
	s.Header, s.Pause, s.archive, s.took = taken.Header, taken.Pause, to.Size(), time.Since(began)
	return s, err
}

// cutAtRest takes in the whole log of a node that does not run.
func cutAtRest(cl *cluster, cfg config) (cut, error) {
	partitions, missing, err := cl.missingTopics(cfg)
	if err != nil {
		return cut{}, err
	}
	if len(missing) > 0 {
		return cut{}, fmt.Errorf("the log in %s has no topic %s: name the --%s of daybook serve", cfg.DataDir, missing[0], flagDataDir)
	}
	taken, err := takeCut(cl.client, partitions, time.Now())
	if err == nil {
		taken.LogID, err = cl.client.LogID()
	}
	return taken, err
}

// checkArchive checks a whole archive.
func checkArchive(ctx context.Context, path string, out io.Writer) error {
	began := time.Now()
	_, s, err := readArchive(ctx, path)
	if err != nil {
		return err
	}
	s.took = time.Since(began)
	fmt.Fprintf(out, "%s is whole: %s\nits log is %s, as of %s\n", path, s, s.Header.LogID, s.Header.Created.Format(time.RFC3339))
	return nil
}

// readArchive checks a whole archive and returns what its parts come to.
func readArchive(ctx context.Context, path string) (digests archive.Digests, s summary, err error) {
	if info, err := os.Stat(path); err == nil {
		s.archive = info.Size()
	}
	progress := newProgress(os.Stderr, "entries checked")
	defer progress.end()
	err = archive.Read(path, func(r *archive.Reader) (err error) {
		digests, err = archive.Check(ctx, r, progress.showBytes)
		s.Header, s.Totals = *r.Header(), r.Totals()
		return err
	})
	return digests, s, err
}

// summary tells what a command did.
type summary struct {
	archive.Header
	archive.Totals
	// Pause is how long commands waited, zero where there were none.
	Pause time.Duration
	// archive is the size of the file in bytes.
	archive int64
	took    time.Duration
}

func (s summary) String() string {
	return fmt.Sprintf("%d records and %d lines of takeovers in %d partitions of each topic, %.1f MB, in the archive %.1f MB; took %s",
		s.Records, s.Markers, s.Partitions, megabytes(s.Bytes), megabytes(s.archive), s.took.Round(time.Millisecond))
}

func megabytes(n int64) float64 { return float64(n) / 1e6 }
