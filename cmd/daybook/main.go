// Command daybook is a billing engine: accounts and movements of money, every change an event in Kafka.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/urfave/cli/v3"
)

// gcPercent lets the heap grow to five times what lives in it: that is little, because state is kept on disk, and most
// of what a command costs in memory is garbage at once. GOGC and GOMEMLIMIT say otherwise where they are set.
const gcPercent = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once, as it does by default.
	context.AfterFunc(ctx, stop)
	if err := newCLI().Run(ctx, os.Args); err != nil {
		fmt.Fprintf(os.Stderr, "daybook: %s\n", err)
		os.Exit(1)
	}
}

func newCLI() *cli.Command {
	return &cli.Command{
		Name:  "daybook",
		Usage: "a billing engine whose every change is an event in Kafka",
		Description: "Without configuration everything runs in one process on a data directory. With --kafka-brokers and\n" +
			"--database-url the same program works on Apache Kafka and PostgreSQL.",
		HideVersion:           true,
		EnableShellCompletion: true,
		Commands:              []*cli.Command{serveCommand(), doctorCommand(), verifyCommand(), benchCommand()},
		// Errors are printed once, in main.
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
	}
}

// noArguments refuses what follows the flags: a mistyped flag must not be passed over.
func noArguments(c *cli.Command) error {
	if c.Args().Present() {
		return fmt.Errorf("%s takes no arguments, only flags: see daybook %s --help", c.Name, c.Name)
	}
	return nil
}
