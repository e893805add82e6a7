// Command daybook is a billing engine: accounts and movements of money, every change an event in Kafka.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once, as it does by default.
	context.AfterFunc(ctx, stop)
	go paceCollector(ctx)
	if err := newCLI().Run(ctx, os.Args); err != nil {
		fmt.Fprintf(os.Stderr, "daybook: %s\n", err)
		os.Exit(1)
	}
}

func newCLI() *cli.Command {
	root := &cli.Command{
		Name:  "daybook",
		Usage: "a billing engine whose every change is an event in Kafka",
		Description: "Without configuration everything runs in one process on a data directory. With --kafka-brokers and\n" +
			"--database-url the same program works on Apache Kafka and PostgreSQL.",
		Version:               version(),
		EnableShellCompletion: true,
		Commands: []*cli.Command{serveCommand(), doctorCommand(), verifyCommand(), statementCommand(), backupCommand(), restoreCommand(),
			importCommand(), benchCommand()},
		Action: helpOrRefuse,
		// Errors are printed once, in main.
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
	}
	root.OnUsageError = usageError
	for _, command := range root.Commands {
		command.OnUsageError = usageError
	}
	return root
}

// release names what make built: a tag, or a commit, and whether files were changed since. It is empty where git does not
// tell, and in a program that was built otherwise.
var release string

// version names what this program was built from: a release, else a commit, else "unknown".
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return "unknown"
}

// helpOrRefuse is what the program does when no command was found among its arguments.
func helpOrRefuse(_ context.Context, c *cli.Command) error {
	if c.Args().Present() {
		return noCommand(c)
	}
	return cli.ShowRootCommandHelp(c)
}

func noCommand(c *cli.Command) error {
	return fmt.Errorf("there is no command %s; see daybook --help", c.Args().First())
}

// How the library tells of a flag that it does not know, and of a value that it cannot read.
var (
	unknownFlag = regexp.MustCompile(`^flag provided but not defined: -(.+)$`)
	wrongValue  = regexp.MustCompile(`^invalid value (".*") for flag -(.+?): `)
)

// usageError replaces pages of help by one line that names the flag as it was typed.
func usageError(_ context.Context, c *cli.Command, err error, _ bool) error {
	if c == c.Root() && c.Args().Present() {
		return noCommand(c) // Its flags cannot be judged.
	}
	what := err.Error()
	if m := unknownFlag.FindStringSubmatch(what); m != nil {
		what = "flag provided but not defined: " + typed(m[1])
	} else if m := wrongValue.FindStringSubmatch(what); m != nil {
		what = typed(m[2]) + " cannot be " + m[1]
	}
	return fmt.Errorf("%s; see %s --help", what, c.FullName())
}

// typed is the flag as it stands in the arguments, with one dash or two.
func typed(name string) string {
	for _, argument := range os.Args[1:] {
		flag, _, _ := strings.Cut(argument, "=")
		if strings.HasPrefix(flag, "-") && strings.TrimLeft(flag, "-") == name {
			return flag
		}
	}
	return "--" + name
}

// noArguments refuses what follows the flags: a mistyped flag must not be passed over.
func noArguments(c *cli.Command) error {
	if c.Args().Present() {
		return fmt.Errorf("%s takes no arguments, only flags: see daybook %s --help", c.Name, c.Name)
	}
	return nil
}
