package test

import (
	"errors"
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

// Who asks it to end meanwhile does not wait.
func TestANodeThatWaitsCanBeStopped(t *testing.T) {
	database := testenv.Postgres(t) // Without PostgreSQL the test is skipped here.
	toBroker := startRelay(t, "127.0.0.1:1")
	n := newNode(t, backend{name: "a broker apart", brokers: []string{toBroker.listener.Addr().String()}, database: database})
	n.launch()
	n.wait(startPatience, func() error {
		if !strings.Contains(n.log.String(), "Kafka does not answer; waiting for it") {
			return errors.New("the node does not say that it waits")
		}
		return nil
	})
	n.stop()
}
