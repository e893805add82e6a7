package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
)

// config says what a node works on. Every field but Brokers and DatabaseURL has a default.
type config struct {
	Listen  string
	DataDir string
	// Brokers are addresses of an Apache Kafka cluster; none means the embedded broker.
	Brokers []string
	// DatabaseURL is a PostgreSQL database; empty means SQLite in the data directory.
	DatabaseURL string
	// Partitions is the number to create topics with and to insist on; zero takes what exists, or the default.
	Partitions int32
	// Replication is the number of copies to create topics with on Apache Kafka; zero is as many as it has brokers, up to three.
	Replication int16
	LogLevel    slog.Level
	LogJSON     bool
	// SessionTimeout is how long a silent node keeps its partitions.
	SessionTimeout time.Duration
	// Patience is how long to wait at start for Kafka, and then for PostgreSQL, while they do not answer.
	Patience time.Duration
	// Origins are other sites whose pages may use the API.
	Origins []string
	// CheckpointEvents is the least number of events between two checkpoints of a partition; zero is the default, which
	// only tests have a reason to change.
	CheckpointEvents int64
}

const (
	flagListen     = "listen"
	flagOrigins    = "allow-origin"
	flagSession    = "session-timeout"
	flagDataDir    = "data-dir"
	flagBrokers    = "kafka-brokers"
	flagDatabase   = "database-url"
	flagPartitions = "partitions"
	flagCopies     = "replication-factor"
	flagLogLevel   = "log-level"
	flagLogFormat  = "log-format"
)

// What brokers allow a session unless they are told otherwise.
const (
	minSession = 6 * time.Second
	maxSession = 30 * time.Minute
)

// maxPartitions bounds what one node follows: each partition costs connections and memory.
const maxPartitions = 1024

// maxCopies is more than anybody pays for.
const maxCopies = 100

func variable(flag string) cli.ValueSourceChain {
	return cli.EnvVars("DAYBOOK_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_")))
}

// storageFlags are those of every command that works on the log or the read model.
func storageFlags() []cli.Flag { return append(localFlags(), clusterFlags()...) }

// localFlags say where a node's directory is and how to log.
func localFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: flagDataDir, Value: "data", Sources: variable(flagDataDir),
			Usage: "the `DIRECTORY` of local state and, without Kafka and PostgreSQL, of everything"},
		&cli.StringFlag{Name: flagLogLevel, Value: "info", Sources: variable(flagLogLevel),
			Usage: "the least `LEVEL` to log: debug, info, warn or error"},
		&cli.StringFlag{Name: flagLogFormat, Value: "text", Sources: variable(flagLogFormat), Usage: "text or json"},
	}
}

// clusterFlags say which Kafka and PostgreSQL to work on.
func clusterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: flagBrokers, Sources: variable(flagBrokers),
			Usage: "`HOST:PORT` of Apache Kafka brokers, separated by commas; without it a broker is embedded"},
		&cli.StringFlag{Name: flagDatabase, Sources: variable(flagDatabase),
			Usage: "the `URL` of a PostgreSQL database, postgres://user:password@host/name; without it SQLite in the data directory"},
		&cli.Int32Flag{Name: flagPartitions, Sources: variable(flagPartitions),
			Usage: "the `NUMBER` of partitions to create topics with, fixed from then on", DefaultText: "what exists, or 3"},
		copiesFlag(),
	}
}

func copiesFlag() cli.Flag {
	return &cli.Int32Flag{Name: flagCopies, Sources: variable(flagCopies),
		Usage: "the `NUMBER` of copies to create topics with on Apache Kafka", DefaultText: "as many as it has brokers, up to 3"}
}

// readConfig reads a command's flags, and refuses what follows them.
func readConfig(c *cli.Command) (config, error) {
	if err := noArguments(c); err != nil {
		return config{}, err
	}
	cfg := config{
		Listen: c.String(flagListen), DataDir: c.String(flagDataDir), DatabaseURL: c.String(flagDatabase),
		Partitions: c.Int32(flagPartitions), SessionTimeout: c.Duration(flagSession), Origins: c.StringSlice(flagOrigins),
	}
	for _, address := range c.StringSlice(flagBrokers) {
		address = strings.TrimSpace(address)
		if _, _, err := net.SplitHostPort(address); err != nil {
			return cfg, fmt.Errorf("--%s must be host:port, separated by commas", flagBrokers)
		}
		cfg.Brokers = append(cfg.Brokers, address)
	}
	if cfg.DataDir == "" && hasFlag(c, flagDataDir) {
		return cfg, fmt.Errorf("--%s must not be empty", flagDataDir)
	}
	if cfg.DatabaseURL != "" {
		// The URL may hold a password, so it is never repeated.
		if u, err := url.Parse(cfg.DatabaseURL); err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
			return cfg, fmt.Errorf("--%s must be a URL such as postgres://user:password@host:5432/daybook", flagDatabase)
		}
	}
	if cfg.Partitions < 0 || cfg.Partitions > maxPartitions || (cfg.Partitions == 0 && c.IsSet(flagPartitions)) {
		return cfg, fmt.Errorf("--%s must be from 1 to %d", flagPartitions, maxPartitions)
	}
	copies := c.Int32(flagCopies)
	if copies < 0 || copies > maxCopies || (copies == 0 && c.IsSet(flagCopies)) {
		return cfg, fmt.Errorf("--%s must be from 1 to %d", flagCopies, maxCopies)
	}
	cfg.Replication = int16(copies)
	if !hasFlag(c, flagLogLevel) {
		return cfg, nil
	}
	if err := cfg.LogLevel.UnmarshalText([]byte(c.String(flagLogLevel))); err != nil {
		return cfg, fmt.Errorf("--%s must be debug, info, warn or error", flagLogLevel)
	}
	switch c.String(flagLogFormat) {
	case "text":
	case "json":
		cfg.LogJSON = true
	default:
		return cfg, fmt.Errorf("--%s must be text or json", flagLogFormat)
	}
	return cfg, nil
}

// hasFlag tells whether the command knows the flag at all.
func hasFlag(c *cli.Command, name string) bool {
	return slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
}

// checkServing checks what only a serving node has.
func (c config) checkServing() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("--%s must be host:port, for example 127.0.0.1:8080", flagListen)
	}
	if c.SessionTimeout < minSession || c.SessionTimeout > maxSession {
		return fmt.Errorf("--%s must be from %s to %s", flagSession, minSession, maxSession)
	}
	if !c.embedded() && c.DatabaseURL == "" {
		return fmt.Errorf("with --%s the nodes share a read model: name a PostgreSQL database with --%s", flagBrokers, flagDatabase)
	}
	for _, origin := range c.Origins {
		if u, err := url.Parse(origin); err != nil || u.Scheme == "" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
			return fmt.Errorf("--%s must be a scheme and a host, for example https://app.example.com", flagOrigins)
		}
	}
	return nil
}

func (c config) embedded() bool { return len(c.Brokers) == 0 }

// databaseURL is the read model's, in the data directory unless configured.
func (c config) databaseURL() (string, error) {
	if c.DatabaseURL != "" {
		return c.DatabaseURL, nil
	}
	path, err := filepath.Abs(filepath.Join(c.DataDir, "read-model.db"))
	if err != nil {
		return "", errors.New("the data directory's absolute path cannot be found; give one with --data-dir")
	}
	return "sqlite://" + path, nil
}

func (c config) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
