package test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"daybook/eventstore/embedded"
	"daybook/internal/testenv"
)

// brokerVariable makes this program a broker that keeps its log in the directory it names.
const brokerVariable = "DAYBOOK_TEST_BROKER"

// runBroker is a broker in a process of its own, which can be stopped without the node that works with it.
func runBroker(dir string) int {
	b, err := embedded.Open(dir, testenv.Logger())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(strings.Join(b.Addresses(), ","))
	select {} // Until it is killed.
}

// startBroker starts such a broker and returns its process and its addresses.
func startBroker(t *testing.T) (*os.Process, []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), brokerVariable+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the broker did not start: %v", err)
	}
	return cmd.Process, strings.Split(strings.TrimSpace(line), ",")
}

// outage is what clients hear, for as long as they wait, when the log does not answer. It takes half a minute, so it is
// provoked once.
type outage struct {
	mu    sync.Mutex
	heard []complaint
}

const (
	// outageCommands are sent one after the other: the first are on their way to the log when it stops, the last still
	// wait to be decided when their time is over.
	outageCommands = 12
	outagePause    = 300 * time.Millisecond
)

func (o *outage) hear(t *testing.T) []complaint {
	b := backend{name: "a broker apart", database: testenv.Postgres(t)} // Without PostgreSQL the test is skipped here.
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.heard) > 0 {
		return o.heard
	}
	var broker *os.Process
	broker, b.brokers = startBroker(t)
	n := startNode(t, b)
	a := newAPI(n.url)
	mustDo(t)(a.create("alice"))
	_ = broker.Signal(syscall.SIGSTOP)
	answers := make(chan []complaint)
	for i := range outageCommands {
		time.Sleep(outagePause) // See outageCommands.
		go func() {
			answers <- complaints(t, a, topUpMutation, map[string]any{"input": map[string]any{
				"accountId": "alice", "amount": "1.00", "currency": "EUR", "idempotencyKey": fmt.Sprint(i),
			}})
		}()
	}
	for range outageCommands {
		o.heard = append(o.heard, <-answers...)
	}
	_ = broker.Signal(syscall.SIGCONT)
	// What was not known becomes known, and what did nothing can be done.
	for i := range outageCommands {
		testenv.Eventually(t, func() error {
			p, err := a.topUp("alice", "1.00", fmt.Sprint(i))
			if err == nil && len(p.UserErrors) > 0 {
				err = fmt.Errorf("%+v", p.UserErrors)
			}
			return err
		})
	}
	if report := auditAtRest(t, n); report.Accounts["alice"].Balance.StringFixed(2) != fmt.Sprintf("%d.00", outageCommands) {
		t.Errorf("%d top-ups of 1.00 led to %s", outageCommands, report.Accounts["alice"].Balance)
	}
	return o.heard
}
