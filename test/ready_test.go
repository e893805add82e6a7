package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"testing"

	"daybook/internal/testenv"
)

// relay passes connections on to a place until it is cut.
type relay struct {
	listener net.Listener
	to       string

	mu   sync.Mutex
	cut  bool
	open map[net.Conn]bool
}

func startRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l, to: to, open: map[net.Conn]bool{}}
	var passing sync.WaitGroup
	passing.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			passing.Go(func() { r.pass(from) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.sever(true)
		passing.Wait()
	})
	return r
}

// relayed starts a relay to a database, and returns the URL that leads through it.
func relayed(t *testing.T, database string) (*relay, string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	r := startRelay(t, u.Host)
	u.Host = r.listener.Addr().String()
	return r, u.String()
}

// pass carries bytes both ways until either side ends.
func (r *relay) pass(from net.Conn) {
	defer from.Close() //nolint:errcheck // Nothing is left to say.
	to, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer to.Close() //nolint:errcheck // Nothing is left to say.
	r.mu.Lock()
	cut := r.cut
	r.open[from] = true
	r.mu.Unlock()
	if cut {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
	_ = from.Close()
	<-done
	r.mu.Lock()
	delete(r.open, from)
	r.mu.Unlock()
}

// sever ends all connections, and lets new ones through only when it is mended.
func (r *relay) sever(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = cut
	for c := range r.open {
		_ = c.Close()
	}
}

// readiness is what /readyz answers.
type readiness struct {
	status     int
	State      string
	Components map[string]struct{ State, Code, Message, Cause string }
}

func (n *node) readiness(t *testing.T) readiness {
	t.Helper()
	res, err := probe.Get(n.url + "readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was read.
	r := readiness{status: res.StatusCode}
	if err := json.NewDecoder(res.Body).Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

// awaitPart waits until a part of the node tells a code, empty for none, while the node stays in service.
func (n *node) awaitPart(t *testing.T, name, code string) {
	t.Helper()
	n.wait(startPatience, func() error {
		r := n.readiness(t)
		if r.status != http.StatusOK {
			t.Fatalf("the node is out of service: %+v", r)
		}
		part := r.Components[name]
		if part.Code != code || (code != "" && (r.State != "degraded" || part.Message == "")) {
			return fmt.Errorf("%s is told as %+v, want %q", name, r, code)
		}
		return nil
	})
}

func TestReadinessTellsWhatIsAwayAndTheRestGoesOn(t *testing.T) {
	r, database := relayed(t, testenv.Postgres(t))
	b := backend{name: "a broker apart", database: database}
	broker, brokers := startBroker(t)
	b.brokers = brokers
	n := startNode(t, b)
	a := newAPI(n.url)
	mustDo(t)(a.create("alice"))
	n.awaitPart(t, "readModel", "")

	// Without the database, commands go on.
	r.sever(true)
	n.awaitPart(t, "readModel", "READ_MODEL_UNAVAILABLE")
	mustDo(t)(a.topUp("alice", "1.00", "1"))
	if err := a.query(accountQuery, map[string]any{"id": "alice"}, nil); codeOf(err) != "UNAVAILABLE" {
		t.Errorf("without a database a query is answered %v", err)
	}
	r.sever(false)
	n.awaitPart(t, "readModel", "")

	// Without the log, queries do.
	_ = broker.Signal(syscall.SIGSTOP)
	n.awaitPart(t, "log", "LOG_UNAVAILABLE")
	if err := a.query(accountQuery, map[string]any{"id": "alice", "version": 2}, nil); err != nil {
		t.Errorf("without a log a query is answered %v", err)
	}
	_ = broker.Signal(syscall.SIGCONT)
	n.awaitPart(t, "log", "")
	testenv.Eventually(t, func() error {
		p, err := a.topUp("alice", "1.00", "2")
		if err == nil && len(p.UserErrors) > 0 {
			err = fmt.Errorf("%+v", p.UserErrors)
		}
		return err
	})
}
