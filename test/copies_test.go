package test

import (
	"strings"
	"syscall"
	"testing"

	"daybook/internal/testenv"
)

// Topics that are created while a broker is away are to have their copies all the same, and who asks for more copies than
// there are brokers is told so, of new topics and of those that are there.
func TestTopicsThatAreCreatedWhileABrokerIsAwayHaveAllTheirCopies(t *testing.T) {
	database := testenv.Postgres(t) // Without PostgreSQL the test is skipped here.
	if testing.Short() {
		t.Skip("it starts three brokers")
	}
	dir := t.TempDir()
	c := &cluster{dir: dir}
	c.addresses = strings.Split(script(t, "kafka", "start", "--dir", dir, "--brokers", "3"), ",")
	t.Cleanup(func() { script(t, "kafka", "stop", "--dir", dir) })
	if err := c.kill(3); err != nil {
		t.Fatal(err)
	}

	b := backend{name: "a broker of three away", brokers: c.addresses, database: database}
	n := newNode(t, b, "--replication-factor", "4")
	n.launch()
	err := <-n.exited
	n.cmd = nil
	if log := n.log.String(); exitCode(err) != 1 || !strings.Contains(log, "waiting for the others") || !strings.Contains(log, "is to have 4 copies and the cluster has not so many brokers: start the others, or ask for fewer copies") {
		t.Fatalf("four copies on three brokers: %v\n%s", err, log)
	}

	n = startNode(t, b)
	mustDo(t)(newAPI(n.url).create("alice"))
	n.signal(syscall.SIGTERM)
	n.mustEnd()
	if strings.Contains(n.log.String(), "copies") {
		t.Errorf("three copies are told as few:\n%s", n.log.String())
	}
	out, _ := n.command("doctor")
	for _, want := range []string{
		"ok       topic billing.account.events has replication.factor=3", "ok       topic billing.transaction.events has replication.factor=3",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("doctor does not say %q:\n%s", want, out)
		}
	}

	n = startNode(t, b, "--replication-factor", "4")
	if log := n.log.String(); strings.Count(log, "a topic has fewer copies than are asked for") != 5 {
		t.Errorf("five topics with three copies of four are not told of:\n%s", log)
	}
}
