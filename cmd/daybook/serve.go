package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"daybook/console"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run a node: the API, the playground, and the engine behind them",
		Description: "Examples:\n" +
			"  daybook serve\n" +
			"  daybook serve --kafka-brokers localhost:9092 --database-url postgres://daybook@localhost/daybook\n\n" +
			"Every flag can also be set as an environment variable, for example DAYBOOK_LISTEN.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: flagListen, Value: "127.0.0.1:8080", Sources: variable(flagListen),
				Usage: "the `HOST:PORT` to serve on; there is no sign-in yet, so keep it to networks you trust"},
			&cli.StringSliceFlag{Name: flagOrigins, Sources: variable(flagOrigins),
				Usage: "the `ORIGIN` of another site whose pages may use the API, such as https://app.example.com; may be repeated"},
			&cli.DurationFlag{Name: flagSession, Value: 10 * time.Second, Sources: variable(flagSession),
				Usage: "how long a silent node keeps its partitions, a `DURATION` that the brokers allow, usually 6s to 30m"},
		}, storageFlags()...),
		Action: serve,
	}
}

// startPatience is how long a node that starts waits for Kafka, and then for PostgreSQL: all may have been started at once.
const startPatience = 30 * time.Second

func serve(ctx context.Context, c *cli.Command) error {
	cfg, err := readConfig(c)
	if err != nil {
		return err
	}
	if err := cfg.checkServing(); err != nil {
		return err
	}
	cfg.Patience = startPatience
	log := cfg.logger(os.Stderr)
	m := NewMain(cfg, log)
	if err := m.Open(ctx); err != nil {
		if ctx.Err() != nil {
			log.Info("stopped before it was ready", "waited for", err)
			return nil
		}
		return err
	}
	announce(c, m, log)
	asked := make(chan time.Time, 1)
	defer context.AfterFunc(ctx, func() {
		log.Info("stopping")
		asked <- m.clock()
	})()
	err = m.Run(ctx)
	err = errors.Join(err, m.Close())
	if ctx.Err() != nil {
		log.Info("stopped", "took", m.clock().Sub(<-asked).Round(time.Millisecond))
	}
	return err
}

// announce tells where the node answers. Requests sent from now on are served.
func announce(c *cli.Command, m *Main, log *slog.Logger) {
	if m.cfg.embedded() {
		log.Info("the broker is embedded: for development, demos and small single-node use; with --kafka-brokers the same program works on Apache Kafka",
			"directory", m.cfg.DataDir, "address", m.cluster.broker.Addresses()[0])
	}
	if !console.Built() {
		log.Warn("this program was built without the playground: run make console and make build to have it")
	}
	fmt.Fprintf(c.Root().Writer, "Daybook's playground is at %s and its API at %sgraphql\n", m.URL(), m.URL())
}
