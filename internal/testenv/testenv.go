// Package testenv hands tests the real services they need: Apache Kafka and PostgreSQL, named by the environment.
// `make test` starts both. Without them a test is skipped, or fails where CI is set: there nothing may be left out.
package testenv

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"daybook/eventstore/embedded"
	"daybook/internal/ids"
)

// The variables that name the services.
const (
	// KafkaVariable holds host:port of a broker whose billing topics tests may delete.
	KafkaVariable = "DAYBOOK_TEST_KAFKA"
	// PostgresVariable holds the URL of a database whose user may create others.
	PostgresVariable = "DAYBOOK_TEST_POSTGRES"
	// LogVariable, when set, sends what a test logs to standard error.
	LogVariable = "DAYBOOK_TEST_LOG"
)

// patience is only waited out by tests that fail, and by slow machines under the race detector.
const patience = 2 * time.Minute

// Logger discards what is logged, unless LogVariable is set.
func Logger() *slog.Logger {
	var to io.Writer = io.Discard
	if os.Getenv(LogVariable) != "" {
		to = os.Stderr
	}
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// EachLog runs a test on a fresh embedded broker and on Apache Kafka, whose billing topics it deletes first.
func EachLog(t *testing.T, test func(t *testing.T, brokers []string)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { test(t, Embedded(t)) })
	t.Run("kafka", func(t *testing.T) { test(t, Kafka(t)) })
}

// Embedded starts an embedded broker on a directory of its own.
func Embedded(t testing.TB) []string {
	t.Helper()
	b, err := embedded.Open(t.TempDir(), Logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing the embedded broker: %v", err)
		}
	})
	return b.Addresses()
}

// Kafka returns the addresses of Apache Kafka, and deletes every billing topic there, now and when the test has ended.
// Tests that use it cannot run beside one another.
func Kafka(t testing.TB) []string {
	t.Helper()
	brokers := strings.Split(required(t, KafkaVariable, "Apache Kafka"), ",")
	clearKafka(t, brokers)
	t.Cleanup(func() { clearKafka(t, brokers) })
	return brokers
}

func clearKafka(t testing.TB, brokers []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := dropBillingTopics(ctx, client); err != nil {
		t.Fatalf("clearing Kafka at %v: %v", brokers, err)
	}
}

func dropBillingTopics(ctx context.Context, client *kgo.Client) error {
	for {
		metadata, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client)
		if err != nil {
			return err
		}
		drop := kmsg.NewPtrDeleteTopicsRequest()
		for _, topic := range metadata.Topics {
			if topic.Topic != nil && strings.HasPrefix(*topic.Topic, "billing.") {
				named := kmsg.NewDeleteTopicsRequestTopic()
				named.Topic = topic.Topic
				drop.Topics = append(drop.Topics, named)
				drop.TopicNames = append(drop.TopicNames, *topic.Topic)
			}
		}
		if len(drop.Topics) == 0 {
			return nil
		}
		drop.TimeoutMillis = int32(patience / time.Millisecond)
		res, err := drop.RequestWith(ctx, client)
		if err != nil {
			return err
		}
		for _, topic := range res.Topics {
			if err := kerr.ErrorForCode(topic.ErrorCode); err != nil && err != kerr.UnknownTopicOrPartition {
				return err
			}
		}
	}
}

// EachDatabase runs a test on SQLite in a directory of its own and on a fresh PostgreSQL database.
func EachDatabase(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// SQLite returns the URL of a database file that does not exist yet.
func SQLite(t testing.TB) string { return "sqlite://" + t.TempDir() + "/read-model.db" }

// Postgres creates a database, drops it when the test has ended, and returns its URL.
func Postgres(t testing.TB) string {
	t.Helper()
	admin := required(t, PostgresVariable, "PostgreSQL")
	config, err := pgx.ParseConfig(admin)
	if err != nil {
		t.Fatalf("%s: %v", PostgresVariable, err)
	}
	name := "test_" + strings.ReplaceAll(ids.New(), "-", "")
	run := func(statement string) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, statement)
		_ = conn.Close(ctx)
		return err
	}
	if err := run("CREATE DATABASE " + name); err != nil {
		t.Fatalf("creating a database: %v", err)
	}
	t.Cleanup(func() {
		if err := run("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("dropping a database: %v", err)
		}
	})
	return fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=disable", config.User, config.Password, config.Host, config.Port, name)
}

// SmallDisk mounts a disk of so many megabytes until the test ends, or skips the test where that takes rights that the user
// has not.
func SmallDisk(t testing.TB, megabytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes)); err != nil {
		t.Skipf("mounting a small disk takes rights that this user has not: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmounting: %v", err)
		}
	})
	return dir
}

// Seed is what a random test draws from: anew, or as DAYBOOK_TEST_SEED says, to repeat what a run has drawn. It is logged.
func Seed(t testing.TB) uint64 {
	t.Helper()
	const variable = "DAYBOOK_TEST_SEED"
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv(variable); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d; repeat with %s=%d", seed, variable, seed)
	return seed
}

// Eventually waits, a bounded time, until the condition holds.
func Eventually(t testing.TB, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func required(t testing.TB, variable, service string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value != "" {
		return value
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not set, and in CI no test may be left out: make test starts %s", variable, service)
	}
	t.Skipf("%s is not set: make test starts %s", variable, service)
	return ""
}
