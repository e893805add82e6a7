// Command cmd keeps the built program busy for long and tells whether anything in it grows; see scripts/soak.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"daybook/internal/soak"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	c := soak.Config{Progress: os.Stderr}
	dirs := ""
	flag.StringVar(&c.Program, "program", "bin/daybook", "the built program")
	flag.StringVar(&c.Dir, "dir", "", "an empty folder for the nodes' data")
	flag.StringVar(&c.Out, "out", "", "a folder for samples.jsonl and the nodes' logs")
	flag.StringVar(&c.Backend.Brokers, "brokers", "", "addresses of Kafka, separated by commas; none for embedded")
	flag.StringVar(&c.Backend.Database, "database", "", "the URL of PostgreSQL")
	flag.StringVar(&dirs, "disks", "", "folders of Kafka and PostgreSQL of which to tell the size, separated by commas")
	flag.IntVar(&c.Nodes, "nodes", 1, "how many nodes")
	flag.DurationVar(&c.Time, "time", time.Hour, "how long, from 10s")
	flag.IntVar(&c.Clients, "clients", 128, "how many connections send operations")
	flag.Float64Var(&c.Rate, "rate", 0, "operations a second; 0 is half of the maximum")
	flag.Parse()
	if dirs != "" {
		c.Backend.Dirs = strings.Split(dirs, ",")
	}
	switch {
	case c.Dir == "" || c.Out == "" || flag.NArg() > 0:
		return errors.New("name an empty folder with -dir and one for what it finds with -out")
	case (c.Backend.Brokers == "") != (c.Backend.Database == "") || c.Nodes < 1 || c.Nodes > 1 && c.Backend.Brokers == "":
		return errors.New("-brokers and -database go together, and only with them there can be several nodes")
	case c.Time < 10*time.Second || c.Clients < 1 || c.Clients > 4096 || c.Rate < 0:
		return errors.New("-time must be 10s or more, -clients from 1 to 4096, -rate not negative")
	}
	report, err := soak.Run(ctx, c)
	if len(report.Samples) > 0 { // Of one that came to a bad end, too.
		fmt.Printf("%s\n%s\n", report.Table(), soak.Rule)
	}
	if err != nil {
		return err
	}
	if problems := report.Problems(); len(problems) > 0 {
		return errors.New(strings.Join(problems, "\n"))
	}
	fmt.Fprintln(os.Stderr, "all is flat")
	return nil
}
