package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/projector"
)

// Project fills the account topic with events of top-ups and transfers and measures how many a second the projector
// brings into the database, from its start until it has caught up. Beside it stands a bare insert of the very same rows
// in the same batches, prepared in memory, into the other database. Both databases are new.
func Project(ctx context.Context, client *kafka.Client, partitions int32, url, bareURL string, events int) (projected, bare Result, err error) {
	if _, err := fill(ctx, client, partitions, accounts, events); err != nil {
		return Result{}, Result{}, fmt.Errorf("filling the log: %w", err)
	}
	total, took, err := project(ctx, client, partitions, url)
	if err != nil {
		return Result{}, Result{}, fmt.Errorf("projecting: %w", err)
	}
	rows, bareTook, err := projector.BareInsert(ctx, projectorConfig(bareURL), client, partitions)
	if err != nil {
		return Result{}, Result{}, fmt.Errorf("inserting: %w", err)
	}
	return Result{PerSecond: float64(total) / took.Seconds()}, Result{PerSecond: float64(rows) / bareTook.Seconds()}, nil
}

// ProjectTransfers fills the log with all that so many transfers come to, which is two events of accounts and two of a
// transaction for each, and measures how many transfers and how many events a second the projector brings into the new
// database, from its start until it has caught up.
func ProjectTransfers(ctx context.Context, client *kafka.Client, partitions int32, url string, transfers int) (projected, events Result, err error) {
	if err := fillTransfers(ctx, client, partitions, transfers); err != nil {
		return Result{}, Result{}, fmt.Errorf("filling the log: %w", err)
	}
	total, took, err := project(ctx, client, partitions, url)
	if err != nil {
		return Result{}, Result{}, fmt.Errorf("projecting: %w", err)
	}
	return Result{PerSecond: float64(transfers) / took.Seconds()}, Result{PerSecond: float64(total) / took.Seconds()}, nil
}

func projectorConfig(url string) projector.Config {
	return projector.Config{URL: url, LogID: "bench", Clock: time.Now, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

// lane is a partition of one of the topics that are projected.
type lane struct {
	topic     string
	partition int32
}

// project projects all that is in the log and tells how many events that were.
func project(ctx context.Context, client *kafka.Client, partitions int32, url string) (events int64, took time.Duration, err error) {
	ends := map[lane]int64{}
	all := make([]int32, partitions)
	for p := range partitions {
		all[p] = p
		for _, topic := range []string{eventstore.AccountEvents, eventstore.TransactionEvents} {
			end, err := client.EndOffset(topic, p)
			if err != nil {
				return 0, 0, err
			}
			ends[lane{topic, p}] = end
			events += end
		}
	}
	config := projectorConfig(url)
	model, err := projector.Open(ctx, config)
	if err != nil {
		return 0, 0, err
	}
	defer model.Close() //nolint:errcheck // A benchmark's rows are thrown away.
	p := projector.NewProjector(projector.ProjectorConfig{Log: client, Model: model, Partitions: partitions, Logger: config.Logger})
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	began := time.Now()
	p.Assign(all)
	go func() { ended <- p.Run(ctx) }()
	for !caughtUp(p, ends) && ctx.Err() == nil {
		wait(ctx, time.Millisecond)
	}
	took = time.Since(began)
	err = ctx.Err()
	stop()
	if runErr := <-ended; err == nil {
		err = runErr
	}
	return events, took, err
}

func caughtUp(p *projector.Projector, ends map[lane]int64) bool {
	for _, s := range p.Status() {
		if s.Position < ends[lane{s.Topic, s.Partition}] {
			return false
		}
	}
	return true
}
