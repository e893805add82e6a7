package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"daybook/domain/money"
	"daybook/projector"
)

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name:  "verify",
		Usage: "compare the read model with the log, account by account",
		Description: "Folds the log anew and compares it with every row of the read model, and checks what the log itself\n" +
			"promises: versions without gap, balances that follow from one another, money that sums to zero.\n" +
			"It changes neither. Exit code 0 when there are no differences. An embedded node must be stopped first; a running node on\n" +
			"Kafka can be verified from another data directory.\n\n" +
			"Example:\n" +
			"  daybook verify --data-dir /tmp/verify --kafka-brokers localhost:9092 --database-url postgres://daybook@localhost/daybook",
		Flags:  storageFlags(),
		Action: runVerify,
	}
}

func runVerify(ctx context.Context, c *cli.Command) error {
	cfg, err := readConfig(c)
	if err != nil {
		return err
	}
	if _, err := os.Stat(cfg.DataDir); cfg.embedded() && errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no data directory %s: name the one that daybook serve works on", cfg.DataDir)
	}
	log := cfg.logger(os.Stderr)
	cl, err := openCluster(ctx, cfg, "daybook-verify", log)
	if err != nil {
		return err
	}
	defer func() { _ = cl.Close() }()
	partitions, missing, err := cl.missingTopics(cfg)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("the log has no topic %s: name the brokers or the data directory that daybook serve works on", missing[0])
	}
	if err != nil {
		return err
	}
	id, err := cl.client.LogID()
	if err != nil {
		return err
	}
	model, err := existingModel(ctx, cfg, id, log)
	if err != nil {
		return err
	}
	progress := newProgress(os.Stderr, "offsets read")
	report, err := projector.Verify(ctx, projector.VerifyConfig{
		Log: cl.client, Model: model, Partitions: partitions, Progress: progress.show,
	})
	progress.end()
	if err := errors.Join(err, model.Close()); err != nil {
		return err
	}
	out := c.Root().Writer
	for _, d := range report.Differences {
		fmt.Fprintf(out, "%s: %s (%s)\n", d.Subject, d.Message, place(d))
	}
	if hidden := report.Found - int64(len(report.Differences)); hidden > 0 {
		fmt.Fprintf(out, "… and %d more\n", hidden)
	}
	if !report.OK() {
		return fmt.Errorf("%d differences between the log and the read model, or within the log", report.Found)
	}
	fmt.Fprintf(out, "%d accounts, %d events, %d transactions: no differences\n", report.Accounts, report.Events, report.Transactions)
	for _, t := range report.InTransit {
		fmt.Fprintf(out, "in transit: %s %s in %d transfers\n", money.Format(t.Amount, t.Currency), t.Currency, t.Transfers)
	}
	return nil
}

// existingModel opens the read model as it is.
func existingModel(ctx context.Context, cfg config, logID string, log *slog.Logger) (*projector.ReadModel, error) {
	url, err := cfg.databaseURL()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return projector.Open(ctx, projector.Config{URL: url, LogID: logID, ReadOnly: true, Clock: time.Now, Logger: log})
}

// place says where a difference shows.
func place(d projector.Difference) string {
	if d.Offset < 0 {
		return fmt.Sprintf("read model, partition %d", d.Partition)
	}
	return fmt.Sprintf("partition %d, offset %d", d.Partition, d.Offset)
}
