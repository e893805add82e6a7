package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/datadir"
	"daybook/projector"
)

// doctorTimeout bounds the proof of the fence.
const doctorTimeout = 60 * time.Second

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "check that the log and the database are fit to keep money in",
		Description: "Checks the topics and the brokers' settings, proves on a scratch topic that the cluster refuses a stale\n" +
			"writer, and looks at the database. It creates none of Daybook's topics and tables. Exit code 0 when all is well.\n" +
			"On Kafka it may run beside the nodes; on a data directory the node must be stopped meanwhile.\n\n" +
			"Example:\n" +
			"  daybook doctor --kafka-brokers localhost:9092 --database-url postgres://daybook@localhost/daybook",
		Flags:  storageFlags(),
		Action: runDoctor,
	}
}

func runDoctor(ctx context.Context, c *cli.Command) error {
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
	name := "the log answers at " + strings.Join(d.cfg.Brokers, ",")
	if d.cfg.embedded() {
		if !holdsLog(d.cfg.DataDir) {
			d.report("nothing is in "+d.cfg.DataDir+" yet; daybook serve creates it", nil)
			if d.cfg.DatabaseURL != "" {
				d.database(ctx, nil, []string{eventstore.AccountEvents})
			}
			return
		}
		name = "the embedded log in " + d.cfg.DataDir + " opens"
	}
	c, err := lookAtCluster(ctx, d.cfg, "daybook-doctor", d.cfg.logger(os.Stderr))
	if errors.Is(err, datadir.ErrInUse) {
		err = fmt.Errorf("a node is running on it; stop it, then run doctor again (its process id is in %s)",
			filepath.Join(d.cfg.DataDir, "lock"))
	}
	if !d.report(name, err) {
		return
	}
	defer func() { _ = c.Close() }()
	missing := d.topics(c)
	// First the proof: it makes the brokers create their topic of transactions, whose copies are counted then.
	d.report("a stale writer is refused", c.client.ProveFence(ctx))
	if c.broker != nil {
		d.report("the disk has room and takes writes", c.broker.Healthy())
	} else {
		d.settings(c.client)
	}
	d.database(ctx, c.client, missing)
}

// holdsLog tells whether an embedded log was ever written there; what cannot be looked at counts as one, for the log's
// own error tells more.
func holdsLog(dataDir string) bool {
	entries, err := os.ReadDir(filepath.Join(dataDir, "log"))
	return !errors.Is(err, os.ErrNotExist) && (err != nil || len(entries) > 0)
}

func (d *doctor) topics(c *cluster) (missing []string) {
	_, missing, err := c.missingTopics(d.cfg)
	what := "the topics keep every event, in order"
	if len(missing) > 0 {
		what += " (still to be created by daybook serve: " + strings.Join(missing, ", ") + ")"
	}
	d.report(what, err)
	return missing
}

func (d *doctor) settings(client *kafka.Client) {
	settings, err := client.CheckSettings(d.cfg.Replication)
	if err != nil {
		d.report("the brokers tell their settings", err)
		return
	}
	for _, s := range settings {
		var problem error
		if s.Problem != "" {
			problem = errors.New(s.Problem)
		}
		d.report(fmt.Sprintf("%s has %s=%s", s.Of, s.Name, s.Value), problem)
	}
}

// database looks whether serve could use the read model, without creating anything. The client is not needed where the
// topic of account events is missing.
func (d *doctor) database(ctx context.Context, client *kafka.Client, missing []string) {
	what := "the database takes the read model"
	if !d.cfg.embedded() && d.cfg.DatabaseURL == "" {
		d.report(what, fmt.Errorf("the nodes share a read model: name a PostgreSQL database with --%s", flagDatabase))
		return
	}
	id := "(still to be created)"
	var err error
	if !slices.Contains(missing, eventstore.AccountEvents) {
		if id, err = client.LogID(); err != nil {
			d.report(what, err)
			return
		}
	}
	model, err := existingModel(ctx, d.cfg, id, d.cfg.logger(io.Discard))
	switch {
	case errors.Is(err, projector.ErrEmpty):
		what, err = what+" (still to be created by daybook serve)", nil
	case err == nil:
		err = model.Close()
	}
	d.report(what, err)
}
