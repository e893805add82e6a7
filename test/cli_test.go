package test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"daybook/internal/testenv"
)

func TestTheEnvironmentConfiguresANode(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		n := newNode(t, b)
		n.environment = []string{
			"DAYBOOK_LISTEN=127.0.0.1:0", "DAYBOOK_DATA_DIR=" + n.dir, "DAYBOOK_KAFKA_BROKERS=" + strings.Join(b.brokers, ","),
			"DAYBOOK_DATABASE_URL=" + b.database, "DAYBOOK_PARTITIONS=5", "DAYBOOK_LOG_FORMAT=json", "DAYBOOK_LOG_LEVEL=debug",
		}
		n.start()
		if p, err := newAPI(n.url).create("alice"); err != nil || len(p.UserErrors) > 0 {
			t.Fatalf("creating an account: %+v, %v", p, err)
		}
		if _, err := newAPI(n.url).account("alice", 1); err != nil {
			t.Fatal(err)
		}
		n.stop()
		for line := range strings.Lines(n.log.String()) {
			if !strings.HasPrefix(line, `{"time":`) {
				t.Fatalf("a line of the log is not JSON: %s", line)
			}
		}
		if stopping, stopped, _ := strings.Cut(n.log.String(), `"msg":"stopped"`); !strings.Contains(stopping, `"msg":"stopping"`) || !strings.Contains(stopped, `"took":`) {
			t.Fatalf("the log does not tell of the stop:\n%s", n.log.Tail(3000))
		}
		// The flags say the same, so the commands find what the node left.
		if out, err := n.command("verify", "--partitions", "5"); err != nil || !strings.Contains(out, "1 accounts, 1 events") {
			t.Fatalf("verify: %v\n%s", err, out)
		}
		mustRefuse(t, "ask for 5", append(n.arguments("serve"), "--listen", "127.0.0.1:0", "--partitions", "6")...)
	})
}

func TestTheDoctorNamesATopicThatDeletesHistory(t *testing.T) {
	n := newNode(t, kafkaBackend(t))
	createTopic(t, n.backend.brokers, "billing.account.events", map[string]string{"retention.ms": "604800000"})
	out, err := n.command("doctor")
	if exitCode(err) != 1 || !strings.Contains(out, "PROBLEM") || !strings.Contains(out, "topic billing.account.events has retention.ms=604800000") {
		t.Fatalf("doctor: %v\n%s", err, out)
	}
}

func TestTheDoctorWorksBesideANodeOnKafkaAndCreatesNothing(t *testing.T) {
	n := startNode(t, kafkaBackend(t))
	if out, err := n.command("doctor"); exitCode(err) != 0 || strings.Contains(out, "PROBLEM") {
		t.Fatalf("doctor on the node's directory: %v\n%s", err, out)
	}
	n.dir = filepath.Join(n.dir, "missing")
	if out, err := n.command("doctor"); exitCode(err) != 0 {
		t.Fatalf("doctor without a directory: %v\n%s", err, out)
	}
	mustBeMissing(t, n.dir)
}

func TestTheDoctorSaysThatANodeRunsOnTheDirectory(t *testing.T) {
	n := startNode(t, embeddedBackend())
	out, err := n.command("doctor")
	if exitCode(err) != 1 || !strings.Contains(out, "PROBLEM  the embedded log in "+n.dir+" opens: a node is running on it; stop it") {
		t.Fatalf("doctor: %v\n%s", err, out)
	}
	n.stop()
	if out, err := n.command("doctor"); exitCode(err) != 0 {
		t.Fatalf("doctor after the stop: %v\n%s", err, out)
	}
}

func TestTheDoctorCreatesNothingWhereNothingIs(t *testing.T) {
	n := newNode(t, embeddedBackend())
	for _, dir := range []string{n.dir, filepath.Join(n.dir, "missing")} {
		n.dir = dir
		out, err := n.command("doctor")
		if exitCode(err) != 0 || !strings.Contains(out, "nothing is in "+dir+" yet; daybook serve creates it") {
			t.Fatalf("doctor: %v\n%s", err, out)
		}
	}
	mustBeMissing(t, n.dir)
	if left, err := os.ReadDir(filepath.Dir(n.dir)); err != nil || len(left) > 0 {
		t.Fatalf("doctor left %v, %v", left, err)
	}
}

func mustBeMissing(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%s is there (%v)", path, err)
	}
}

func TestWhatIsMistypedIsNamedInOneLine(t *testing.T) {
	for typed, says := range map[string]string{
		"foo":                   "there is no command foo; see daybook --help",
		"foo --bogus":           "there is no command foo; see daybook --help",
		"--bogus":               "--bogus; see daybook --help",
		"serve --bogus=1":       "not defined: --bogus; see daybook serve --help",
		"serve -bogus":          "not defined: -bogus; see daybook serve --help",
		"serve --partitions x":  "--partitions cannot be \"x\"; see daybook serve --help",
		"doctor --partitions":   "needs an argument: --partitions; see daybook doctor --help",
		"bench --duration soon": "--duration cannot be \"soon\"; see daybook bench --help",
	} {
		out, err := exec.Command(binary, strings.Fields(typed)...).CombinedOutput()
		if exitCode(err) != 1 || !strings.HasPrefix(string(out), "daybook: ") || !strings.HasSuffix(string(out), says+"\n") || strings.Count(string(out), "\n") != 1 {
			t.Errorf("daybook %s: want «%s», got %v:\n%s", typed, says, err, out)
		}
	}
}

func TestTheProgramTellsItsVersion(t *testing.T) {
	out, err := exec.Command(binary, "--version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "daybook version ") || len(strings.Fields(string(out))) != 3 {
		t.Fatalf("%v\n%s", err, out)
	}
	if git := exec.Command("git", "-c", "safe.directory=*", "rev-parse", "HEAD").Run(); git == nil && strings.Contains(string(out), "unknown") {
		t.Errorf("make built what does not know its version: %s", out)
	}
}

func TestVerifyNamesTheAccountsThatDiffer(t *testing.T) {
	b := embeddedBackend()
	b.database = testenv.Postgres(t)
	n := startNode(t, b)
	a := newAPI(n.url)
	for _, id := range []string{"alice", "bob", "carol"} {
		p, err := a.create(id)
		if err == nil {
			p, err = a.topUp(id, "10.00", "paid")
		}
		if err != nil || len(p.UserErrors) > 0 {
			t.Fatalf("preparing %s: %+v, %v", id, p, err)
		}
		if _, err := a.account(id, p.Account.Version); err != nil { // Until it is projected.
			t.Fatal(err)
		}
	}
	n.mustVerify()
	mustChangeOneRow(t, b.database, "UPDATE accounts SET balance = '10.01' WHERE id = 'alice'")
	mustChangeOneRow(t, b.database, "DELETE FROM account_events WHERE account_id = 'bob' AND version = 2")
	out, err := n.command("verify")
	if exitCode(err) != 1 || !strings.Contains(out, "differences between the log and the read model") {
		t.Fatalf("verify: %v\n%s", err, out)
	}
	if !strings.Contains(out, "alice") || !strings.Contains(out, "bob") || strings.Contains(out, "carol") {
		t.Fatalf("verify must name alice and bob and nobody else:\n%s", out)
	}
}

// mustChangeOneRow tampers with the read model behind Daybook's back.
func mustChangeOneRow(t *testing.T, database, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // What was changed is committed.
	done, err := conn.Exec(ctx, statement)
	if err != nil || done.RowsAffected() != 1 {
		t.Fatalf("%s changed %d rows (%v), want one", statement, done.RowsAffected(), err)
	}
}

// briefBench measures as little as the program allows.
var briefBench = []string{"bench", "--runs", "1", "--duration", "100ms", "--events", "10000"}

func TestTheBenchmarkPrintsATable(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, briefBench...).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, row := range []string{"| measured |", "| (a) ", "| (b) ", "| (c) ", "| (d) "} {
		if !strings.Contains(string(out), row) {
			t.Errorf("the table has no row that begins with %q:\n%s", row, out)
		}
	}
}

func TestTheBenchmarkLeavesAClusterInUseAlone(t *testing.T) {
	brokers := testenv.Kafka(t)
	createTopic(t, brokers, "billing.account.events", map[string]string{"retention.ms": "-1"})
	before := endsOfLog(t, brokers)
	mustRefuse(t, "holds Daybook's topics already",
		append(briefBench[:len(briefBench):len(briefBench)], "--kafka-brokers", strings.Join(brokers, ","), "--database-url", testenv.Postgres(t))...)
	if after := endsOfLog(t, brokers); len(after) != len(before) {
		t.Errorf("the cluster held %v and holds %v", before, after)
	}
}
