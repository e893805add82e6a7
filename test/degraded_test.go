package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"daybook/internal/testenv"
)

// noAnswer bounds how long anything may take that cannot succeed: a command that waits for its definite answer takes the
// longest.
const noAnswer = 30 * time.Second

// bounded fails when something takes too long, and returns its error.
func bounded(t *testing.T, what string, do func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(noAnswer):
		t.Fatalf("%s has no answer after %s", what, noAnswer)
		return nil
	}
}

func mustTopUp(t *testing.T, a *api, id string, key any) int64 {
	t.Helper()
	p, err := a.topUp(id, "1.00", fmt.Sprint(key))
	if err != nil || len(p.UserErrors) > 0 {
		t.Fatalf("a top-up of %s: %+v, %v", id, p, err)
	}
	return p.Account.Version
}

// mustSee waits until a subscription has pushed a version.
func mustSee(t *testing.T, w *watcher, version int64) {
	t.Helper()
	testenv.Eventually(t, func() error {
		changes, err := w.seen()
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) == 0 || changes[len(changes)-1].Version < version {
			return fmt.Errorf("%d changes of %s were pushed, and not version %d", len(changes), w.account, version)
		}
		return nil
	})
}

// mustHalt stops a process in its tracks; it goes on for a moment after the signal was sent.
func mustHalt(t *testing.T, p *os.Process) {
	t.Helper()
	_ = p.Signal(syscall.SIGSTOP)
	testenv.Eventually(t, func() error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.Pid))
		for _, thread := range threads {
			stat, err := os.ReadFile(thread)
			if err == nil && !strings.Contains(string(stat), ") T ") {
				return fmt.Errorf("it runs: %s", stat)
			}
		}
		return err
	})
}

func watch(t *testing.T, n *node, account string) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{account: account, transport: overModern}
	var wg sync.WaitGroup
	wg.Go(func() { w.follow(ctx, func() string { return n.url }) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return w
}

// The database is away, then only slow: another transaction holds its tables. Commands and subscriptions go on; queries
// are refused, a bounded time later; and the read model catches up by itself.
func TestWithoutTheDatabaseCommandsAndFeedsGoOn(t *testing.T) {
	database := testenv.Postgres(t)
	r, through := relayed(t, database)
	_, brokers := startBroker(t)
	n := startNode(t, backend{name: "a broker apart", brokers: brokers, database: through})
	a := newAPI(n.url)
	mustDo(t)(a.create("alice"))
	w := watch(t, n, "alice")
	mustSee(t, w, mustTopUp(t, a, "alice", "before"))

	away := map[string]func() (back func()){
		"away": func() func() { r.sever(true); return func() { r.sever(false) } },
		"locked": func() func() {
			conn, err := pgx.Connect(t.Context(), database)
			if err == nil {
				_, err = conn.Exec(t.Context(), "BEGIN; LOCK TABLE accounts, account_events, projector_positions IN ACCESS EXCLUSIVE MODE")
			}
			if err != nil {
				t.Fatal(err)
			}
			return func() { _ = conn.Close(context.WithoutCancel(t.Context())) }
		},
	}
	for name, leave := range away {
		t.Run(name, func(t *testing.T) {
			back := leave()
			var version int64
			for i := range 20 {
				version = mustTopUp(t, a, "alice", fmt.Sprint(name, i))
			}
			mustSee(t, w, version)
			err := bounded(t, "a query", func() error { _, err := a.account("alice", 0); return err })
			if codeOf(err) != "UNAVAILABLE" {
				t.Errorf("a query is answered %v", err)
			}
			mustTopUp(t, a, "alice", name+"-later")
			back()
			testenv.Eventually(t, func() error {
				got, err := a.account("alice", version+1)
				if err == nil && got.Version < version+1 {
					err = fmt.Errorf("the read model shows version %d", got.Version)
				}
				return err
			})
			testenv.Eventually(t, n.ready)
		})
	}
	if w.sessions() != 1 {
		t.Errorf("the subscription was begun %d times", w.sessions())
	}
}

// The log is away from both of two nodes. A command is refused within a bounded time, on the node that owns its account and
// on the one that does not; queries go on. When the log is back everything goes on by itself, subscriptions included.
func TestWithoutTheLogQueriesGoOn(t *testing.T) {
	broker, brokers := startBroker(t)
	b := backend{name: "a broker apart", brokers: brokers, database: testenv.Postgres(t)}
	nodes := []*node{startNode(t, b), startNode(t, b)}
	accounts := []string{"alice", "bob", "carol", "dave"}
	var apis []*api
	for _, n := range nodes {
		apis = append(apis, newAPI(n.url))
	}
	versions := map[string]int64{}
	for _, id := range accounts {
		mustDo(t)(apis[0].create(id))
		versions[id] = mustTopUp(t, apis[1], id, "before")
	}
	w := watch(t, nodes[0], "alice")
	mustSee(t, w, versions["alice"])
	for _, a := range apis {
		for _, id := range accounts {
			if _, err := a.account(id, versions[id]); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustHalt(t, broker)
	defer func() { _ = broker.Signal(syscall.SIGCONT) }()
	refused := make(chan error)
	for i, a := range apis {
		for _, id := range accounts {
			go func() {
				_, err := a.topUp(id, "1.00", fmt.Sprint("while", i))
				refused <- err
			}()
		}
	}
	for range len(apis) * len(accounts) {
		err := bounded(t, "a command", func() error { return <-refused })
		if code := codeOf(err); code != "UNAVAILABLE" && code != "OUTCOME_UNKNOWN" {
			t.Errorf("a command is answered %v", err)
		}
	}
	for _, a := range apis {
		for _, id := range accounts {
			if got, err := a.account(id, 0); err != nil || got.Version != versions[id] {
				t.Errorf("%s is read as %+v, %v", id, got, err)
			}
		}
	}
	_ = broker.Signal(syscall.SIGCONT)
	for i, a := range apis {
		for _, id := range accounts {
			testenv.Eventually(t, func() error {
				p, err := a.topUp(id, "1.00", fmt.Sprint("while", i))
				if err == nil && len(p.UserErrors) > 0 {
					err = errors.New(p.UserErrors[0].Message)
				}
				if err == nil {
					versions[id] = max(versions[id], p.Account.Version)
				}
				return err
			})
		}
	}
	for _, id := range accounts {
		if versions[id] != 4 {
			t.Errorf("four events of %s led to version %d", id, versions[id])
		}
	}
	mustSee(t, w, 4)
	for _, n := range nodes {
		testenv.Eventually(t, n.ready)
	}
	if w.sessions() != 1 {
		t.Errorf("the subscription was begun %d times", w.sessions())
	}
}
