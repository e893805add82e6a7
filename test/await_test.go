package test

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"daybook/internal/testenv"
)

// A node that is started before Kafka or PostgreSQL answer, be it that something accepts connections and ends them, says
// what it waits for, and goes on once it answers.
func TestANodeThatStartsWaitsForWhatDoesNotAnswer(t *testing.T) {
	database, err := url.Parse(testenv.Postgres(t)) // Without PostgreSQL the test is skipped here.
	if err != nil {
		t.Fatal(err)
	}
	_, brokers := startBroker(t)
	toDatabase, toBroker := startRelay(t, database.Host), startRelay(t, brokers[0])
	database.Host = toDatabase.listener.Addr().String()
	toDatabase.sever(true)
	toBroker.sever(true)
	n := newNode(t, backend{name: "a broker apart", brokers: []string{toBroker.listener.Addr().String()}, database: database.String()})
	n.launch()
	says := func(text string) {
		t.Helper()
		n.wait(startPatience, func() error {
			if !strings.Contains(n.log.String(), text) {
				return errors.New("the node does not say: " + text)
			}
			return nil
		})
	}

	says("Kafka does not answer; waiting for it")
	toBroker.sever(false)
	says("the database does not answer; waiting for it")
	toDatabase.sever(false)

	n.awaitReady()
	mustDo(t)(newAPI(n.url).create("alice"))
}

// Meanwhile it says that it starts, so that nobody takes it for one that hangs, and who asks it to end does not wait.
func TestANodeThatWaitsCanBeStopped(t *testing.T) {
	database := testenv.Postgres(t) // Without PostgreSQL the test is skipped here.
	toBroker := startRelay(t, "127.0.0.1:1")
	n := newNode(t, backend{name: "a broker apart", brokers: []string{toBroker.listener.Addr().String()}, database: database})
	n.listen = freeAddress(t)
	n.launch()
	n.wait(startPatience, func() error {
		if !strings.Contains(n.log.String(), "Kafka does not answer; waiting for it") {
			return errors.New("the node does not say that it waits")
		}
		return nil
	})
	n.url = "http://" + n.listen + "/"
	if res, err := probe.Get(n.url + "healthz"); err != nil || res.Body.Close() != nil || res.StatusCode != http.StatusOK {
		t.Errorf("/healthz answers %v, %v", res, err)
	}
	if r := n.readiness(t); r.status != http.StatusServiceUnavailable || r.Components["server"].Code != "STARTING" {
		t.Errorf("/readyz answers %+v", r)
	}
	if _, err := newAPI(n.url).create("alice"); codeOf(err) != "UNAVAILABLE" {
		t.Errorf("a command is answered %v", err)
	}
	n.stop()
}

// freeAddress is one where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // Nothing was accepted.
	return l.Addr().String()
}
