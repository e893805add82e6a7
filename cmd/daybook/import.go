package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/archive"
)

// maxCommandAge is the age from which a command that is still to be carried out gets a new timestamp: its topic deletes
// what is old.
const maxCommandAge = 24 * time.Hour

func importCommand() *cli.Command {
	return &cli.Command{
		Name:  "import",
		Usage: "write an archive into a Kafka cluster",
		Description: "Makes the topics, which must never have held anything, writes every event with its key, headers, timestamp and\n" +
			"offset, reads all back and compares it. No node may run on the cluster meanwhile.\n\n" +
			"Example:\n" +
			"  daybook import --from daybook-2026-01-31.archive --kafka-brokers kafka-1:9092,kafka-2:9092",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: flagFrom, Required: true, Usage: "the archive `FILE`"},
			&cli.StringSliceFlag{Name: flagBrokers, Sources: variable(flagBrokers), Required: true,
				Usage: "`HOST:PORT` of Apache Kafka brokers, separated by commas"},
			copiesFlag(),
		},
		Action: runImport,
	}
}

func runImport(ctx context.Context, c *cli.Command) error {
	cfg, err := readConfig(c)
	if err != nil {
		return err
	}
	began := time.Now()
	from := c.String(flagFrom)
	_, s, err := readArchive(ctx, from)
	if err != nil {
		return err
	}
	client, err := kafka.Open(kafka.Config{Brokers: cfg.Brokers, ClientID: "daybook-import", Logger: cfg.logger(os.Stderr)})
	if err != nil {
		return err
	}
	stamped, err := importArchive(ctx, from, &s.Header, client, cfg.Replication)
	if err := errors.Join(err, client.Close()); err != nil {
		return err
	}
	s.took = time.Since(began)
	fmt.Fprintf(c.Root().Writer, "the cluster holds the log as of %s: %s\n", s.Created.Format(time.RFC3339), s)
	if stamped > 0 {
		fmt.Fprintf(c.Root().Writer, "%d commands that are still to be carried out were given the present time, because their topic deletes what is old\n", stamped)
	}
	return nil
}

// importArchive writes a checked archive into a cluster, and returns how many commands it gave a new timestamp.
func importArchive(ctx context.Context, from string, h *archive.Header, to *kafka.Client, copies int16) (stamped int64, err error) {
	if err := prepareTopics(h, to, copies); err != nil {
		return 0, err
	}
	// Else brokers could delete old commands before all is compared.
	if err := to.KeepCommands(true); err != nil {
		return 0, err
	}
	carried := newCarriedOut(time.Now())
	written, err := loadArchive(ctx, from, to, carried.prepare)
	if err == nil {
		err = compareCopy(ctx, to, h, written)
	}
	if err != nil {
		return 0, fmt.Errorf("the topics hold a part only, delete them before you try again: %w", err)
	}
	return carried.stamped, to.KeepCommands(false)
}

// prepareTopics creates the topics, and refuses those in which the archive has no place.
func prepareTopics(h *archive.Header, to *kafka.Client, copies int16) error {
	partitions, missing, err := to.CheckTopics(kafka.TopicsConfig{})
	if err != nil {
		return err
	}
	if !slices.Contains(missing, eventstore.AccountEvents) && partitions != h.Partitions {
		return fmt.Errorf("the cluster's topics have %d partitions and the archive's %d: delete them if they hold nothing, or name another cluster", partitions, h.Partitions)
	}
	for _, part := range h.Parts {
		if !slices.Contains(archivedTopics, part.Topic) {
			return fmt.Errorf("the archive holds topic %s, which this version does not know: use the version that wrote it", part.Topic)
		}
	}
	if _, err := to.EnsureTopics(kafka.TopicsConfig{Partitions: h.Partitions, Replication: copies}); err != nil {
		return err
	}
	return archive.CheckEmpty(to, h.Parts)
}

// carriedOut tells which commands were carried out: events tell it, which come before the commands.
type carriedOut struct {
	now time.Time
	// next is the position in the command topic by partition: what stands below was carried out.
	next    map[int32]int64
	stamped int64
}

func newCarriedOut(now time.Time) *carriedOut {
	return &carriedOut{now: now.UTC().Truncate(time.Millisecond), next: map[int32]int64{}}
}

// prepare gives old commands that are still to be carried out a new timestamp, so that the cluster keeps them until they
// are. It means nothing else.
func (c *carriedOut) prepare(part archive.Part, e *archive.Entry) error {
	switch {
	case e.Marker:
	case part.Topic == eventstore.AccountEvents:
		p, err := eventstore.ProgressOf(&e.Message)
		if err != nil {
			return err
		}
		if p != nil {
			c.next[part.Partition] = max(c.next[part.Partition], p.Commands)
		}
	case part.Topic == eventstore.AccountCommands:
		if e.Offset >= c.next[part.Partition] && c.now.Sub(e.Time) > maxCommandAge {
			e.Time = c.now
			c.stamped++
		}
	}
	return nil
}
