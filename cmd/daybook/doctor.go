package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"daybook/eventstore"
	"daybook/eventstore/kafka"
)

// doctorTimeout bounds the proof of the fence.
const doctorTimeout = 60 * time.Second

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "check that the log and the database are fit to keep money in",
		Description: "Checks the topics and the brokers' settings, proves on a scratch topic that the cluster refuses a stale\n" +
			"writer, and opens the database. It creates none of Daybook's topics. Exit code 0 when all is well.\n\n" +
			"Example:\n" +
			"  daybook doctor --kafka-brokers localhost:9092 --database-url postgres://daybook@localhost/daybook",
		Flags:  storageFlags(),
		Action: runDoctor,
	}
}

func runDoctor(ctx context.Context, c *cli.Command) error {
	if err := noArguments(c); err != nil {
		return err
	}
	cfg, err := readConfig(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	d := &doctor{cfg: cfg, out: c.Root().Writer}
	d.examine(ctx)
	if d.problems > 0 {
		return fmt.Errorf("%d of %d checks found a problem", d.problems, d.checks)
	}
	return nil
}

// doctor prints a line for each check.
type doctor struct {
	cfg              config
	out              io.Writer
	checks, problems int
}

// report prints how a check ended, and returns whether it ended well.
func (d *doctor) report(what string, err error) bool {
	d.checks++
	if err != nil {
		d.problems++
		fmt.Fprintf(d.out, "PROBLEM  %s: %s\n", what, err)
		return false
	}
	fmt.Fprintf(d.out, "ok       %s\n", what)
	return true
}

func (d *doctor) examine(ctx context.Context) {
	log := d.cfg.logger(os.Stderr)
	name := "the log answers at " + strings.Join(d.cfg.Brokers, ",")
	if d.cfg.embedded() {
		name = "the embedded log in " + d.cfg.DataDir + " opens"
	}
	c, err := openCluster(d.cfg, "daybook-doctor", log)
	if !d.report(name, err) {
		return
	}
	defer func() { _ = c.Close() }()
	d.topics(c)
	d.brokers(c.client)
	if c.broker != nil {
		d.report("the disk has room and takes writes", c.broker.Healthy())
	}
	d.report("a stale writer is refused", c.client.ProveFence(ctx))
	d.database(ctx, c)
}

func (d *doctor) topics(c *cluster) {
	missing, err := c.client.CheckTopics(kafka.TopicsConfig{Partitions: d.cfg.Partitions, ForeverOnly: c.broker != nil})
	what := "the topics keep every event, in order"
	if len(missing) > 0 {
		what += " (still to be created by daybook serve: " + strings.Join(missing, ", ") + ")"
	}
	d.report(what, err)
}

func (d *doctor) brokers(client *kafka.Client) {
	settings, err := client.CheckBrokers()
	if err != nil {
		d.report("the brokers tell their settings", err)
		return
	}
	for _, s := range settings {
		var problem error
		if s.Problem != "" {
			problem = errors.New(s.Problem)
		}
		d.report(fmt.Sprintf("broker %s has %s=%s", s.Broker, s.Name, s.Value), problem)
	}
}

// database opens the read model as serve does, which also brings its tables up to date.
func (d *doctor) database(ctx context.Context, c *cluster) {
	what := "the database takes the read model"
	missing, err := c.client.CheckTopics(kafka.TopicsConfig{ForeverOnly: c.broker != nil})
	if err == nil && len(missing) > 0 {
		d.report(what, fmt.Errorf("it is not known yet which log it belongs to; run daybook serve once, which creates %s", eventstore.AccountEvents))
		return
	}
	id, err := c.client.LogID()
	if err == nil {
		model, openErr := openModel(ctx, d.cfg, id, d.cfg.logger(io.Discard))
		if err = openErr; err == nil {
			err = model.Close()
		}
	}
	d.report(what, err)
}
