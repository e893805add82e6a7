package test

import (
	"context"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"daybook/internal/ids"
	"daybook/internal/testenv"
)

// mustRefuse runs the program, which must end by itself with exit code 1 and one line, its last, that says what to do.
func mustRefuse(t *testing.T, says string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	lines := strings.Split(text, "\n")
	last := lines[len(lines)-1]
	if n := strings.Count("\n"+text, "\ndaybook: "); n != 1 {
		t.Fatalf("daybook %s: %d lines say what is wrong, want one:\n%s", strings.Join(args, " "), n, text)
	}
	if exitCode(err) != 1 || ctx.Err() != nil || !strings.HasPrefix(last, "daybook: ") || !strings.Contains(last, says) {
		t.Fatalf("daybook %s: want an exit with «%s», got %v:\n%s", strings.Join(args, " "), says, err, text)
	}
	if strings.Contains(text, "goroutine ") {
		t.Fatalf("it panicked:\n%s", text)
	}
}

func TestAMistypedFlagIsRefused(t *testing.T) {
	dir := t.TempDir()
	mustRefuse(t, "--partitions must be from 1 to", "serve", "--data-dir", dir, "--partitions", "0")
	mustRefuse(t, "--replication-factor must be from 1 to", "serve", "--data-dir", dir, "--replication-factor", "0")
	mustRefuse(t, "host:port", "serve", "--data-dir", dir, "--listen", "nowhere")
	mustRefuse(t, "host:port", "serve", "--data-dir", dir, "--kafka-brokers", "localhost")
	mustRefuse(t, "name a PostgreSQL database with --database-url", "serve", "--data-dir", dir, "--kafka-brokers", "127.0.0.1:1")
	mustRefuse(t, "--session-timeout must be from 6s to 30m", "serve", "--data-dir", dir, "--session-timeout", "1s")
	mustRefuse(t, "must be a URL such as postgres://", "serve", "--data-dir", dir, "--database-url", "mysql://localhost/x")
	mustRefuse(t, "takes no arguments", "serve", "--data-dir", dir, "extra")
	mustRefuse(t, "flag provided but not defined", "serve", "--nonsense")
}

func TestADataDirectoryInUseIsRefused(t *testing.T) {
	n := startNode(t, embeddedBackend())
	mustRefuse(t, "in use by another process", "serve", "--listen", "127.0.0.1:0", "--data-dir", n.dir)
}

func TestAnAddressInUseIsRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // It took no connections.
	mustRefuse(t, "choose another address with --listen", "serve", "--listen", l.Addr().String(), "--data-dir", t.TempDir())
}

func TestABrokerThatCannotBeReachedIsRefused(t *testing.T) {
	mustRefuse(t, "cannot reach Kafka at 127.0.0.1:1", "verify", "--data-dir", t.TempDir(), "--kafka-brokers", "127.0.0.1:1", "--database-url", "postgres://nobody@127.0.0.1:1/nothing")
}

func TestATopicThatDeletesHistoryIsRefused(t *testing.T) {
	brokers := testenv.Kafka(t)
	createTopic(t, brokers, "billing.account.events", map[string]string{"retention.ms": "604800000"})
	mustRefuse(t, "retention.ms=604800000", "serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--kafka-brokers", strings.Join(brokers, ","), "--database-url", "postgres://nobody@127.0.0.1:1/nothing")
}

func TestAnotherNumberOfPartitionsIsRefused(t *testing.T) {
	n := startNode(t, embeddedBackend(), "--partitions", "5")
	n.stop()
	mustRefuse(t, "ask for 5", "serve", "--listen", "127.0.0.1:0", "--data-dir", n.dir, "--partitions", "6")
}

func TestADatabaseThatCannotBeUsedIsRefused(t *testing.T) {
	serve := func(url string) []string {
		return []string{"serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--database-url", url}
	}
	mustRefuse(t, "database", serve("postgres://nobody@127.0.0.1:1/nothing?sslmode=disable&connect_timeout=2")...)

	owner := testenv.Postgres(t)
	mustRefuse(t, "rights", serve(withoutRights(t, owner))...)
}

func TestAReadModelOfAnotherLogIsRefused(t *testing.T) {
	database := testenv.Postgres(t)
	b := embeddedBackend()
	b.database = database
	n := startNode(t, b)
	n.stop()
	mustRefuse(t, "belongs to log", "serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--database-url", database)
}

// withoutRights makes a role that may connect and nothing else, and returns its URL of the same database.
func withoutRights(t *testing.T, owner string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, owner)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // Nothing is left undone.
	role := "guest_" + strings.ReplaceAll(ids.New(), "-", "")
	for _, statement := range []string{
		"REVOKE ALL ON SCHEMA public FROM PUBLIC",
		"CREATE ROLE " + role + " LOGIN PASSWORD 'guest'",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		admin, err := pgx.Connect(context.Background(), owner)
		if err == nil {
			_, err = admin.Exec(context.Background(), "DROP ROLE "+role)
			_ = admin.Close(context.Background())
		}
		if err != nil {
			t.Errorf("dropping a role: %v", err)
		}
	})
	config := conn.Config()
	return "postgres://" + role + ":guest@" + net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))) + "/" + config.Database + "?sslmode=disable"
}

func createTopic(t *testing.T, brokers []string, name string, settings map[string]string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 3, 1
	for key, value := range settings {
		setting := kmsg.NewCreateTopicsRequestTopicConfig()
		setting.Name, setting.Value = key, &value
		topic.Configs = append(topic.Configs, setting)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, topic)
	req.TimeoutMillis = 30_000
	res, err := req.RequestWith(context.Background(), client)
	if err == nil {
		err = kerr.ErrorForCode(res.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("creating topic %s: %v", name, err)
	}
}
