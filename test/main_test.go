// Package test runs the built program as its users do, in processes of their own, on both backends.
package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"daybook/internal/testenv"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	if dir := os.Getenv(brokerVariable); dir != "" {
		os.Exit(runBroker(dir))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "daybook-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // Only a temporary directory is left over.
	binary = filepath.Join(dir, "daybook")
	build := exec.Command("make", "--no-print-directory", "-s", "-C", "..", "program", "PROGRAM="+binary)
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the program:", err)
		return 1
	}
	if code := m.Run(); code != 0 {
		return code
	}
	// Connections that are kept for the next request are no leak.
	probe.CloseIdleConnections()
	streamClient.CloseIdleConnections()
	// Toxiproxy forgets what goes through a link that is cut while it carries something.
	const toxiproxy = "github.com/Shopify/toxiproxy/v2"
	err = goleak.Find(goleak.IgnoreAnyFunction(toxiproxy+"/toxics.(*ToxicStub).Run"),
		goleak.IgnoreAnyFunction(toxiproxy+".(*ToxicLink).read"), goleak.IgnoreAnyFunction(toxiproxy+".(*ToxicLink).write"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "the tests left behind:", err)
		return 1
	}
	return 0
}

// backend is where a node keeps its log and its read model.
type backend struct {
	name string
	// brokers are Apache Kafka's addresses; none means embedded.
	brokers []string
	// database is a PostgreSQL URL; empty means SQLite in the data directory.
	database string
}

func embeddedBackend() backend { return backend{name: "embedded"} }

// kafkaBackend has a log without topics and a fresh database.
func kafkaBackend(t *testing.T) backend {
	return backend{name: "kafka", brokers: testenv.Kafka(t), database: testenv.Postgres(t)}
}

// eachBackend runs a test on both, one after the other.
func eachBackend(t *testing.T, test func(t *testing.T, b backend)) {
	t.Run("embedded", func(t *testing.T) { test(t, embeddedBackend()) })
	t.Run("kafka", func(t *testing.T) { test(t, kafkaBackend(t)) })
}
