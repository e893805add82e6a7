package projector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"daybook/eventstore"
	"daybook/internal/testenv"
)

// silentAfter is how long the server waits for a node that a test silences.
const silentAfter = time.Second

// silence passes connections on to PostgreSQL, each until the server answers a statement that holds a text. From then on
// neither side hears anything of the other.
type silence struct {
	listener *net.TCPListener
	to, text string
	// vanish has the connection to the server forgotten, as by a machine that lost its power. Otherwise it stays, as one
	// of a machine that stands still.
	vanish bool
	fell   atomic.Int64  // On so many connections.
	ended  chan struct{} // From then on all is passed on, what was kept back first.

	mu   sync.Mutex
	open []net.Conn
}

// silenced opens the read model through a silence, for a node that is given up soon.
func silenced(t *testing.T, database, text string, vanish bool) (*silence, *ReadModel) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	s := &silence{listener: l, to: u.Host, text: text, vanish: vanish, ended: make(chan struct{})}
	var passing sync.WaitGroup
	passing.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			passing.Go(func() { s.pass(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, c := range s.open {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.end()
		passing.Wait()
	})
	u.Host = l.Addr().String()
	m := openModel(t, u.String())
	m.db.sink = newPostgresSink(silentAfter, lockPatience)
	return s, m
}

// end ends the silence.
func (s *silence) end() {
	select {
	case <-s.ended:
	default:
		close(s.ended)
	}
}

func (s *silence) pass(client net.Conn) {
	defer client.Close() //nolint:errcheck // Nothing is left to say.
	server, err := net.Dial("tcp", s.to)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.open = append(s.open, client, server)
	s.mu.Unlock()
	var asked, fallen atomic.Bool
	var up sync.WaitGroup
	up.Go(func() {
		carry(server, client, func(b []byte) bool {
			if bytes.Contains(b, []byte(s.text)) {
				asked.Store(true)
			}
			return true
		})
		if fallen.Load() {
			<-s.ended // The server does not hear that the client has given up either.
		}
		_ = server.Close()
	})
	carry(client, server, func([]byte) bool {
		if !asked.Load() || s.isOver() {
			return true
		}
		fallen.Store(true)
		if s.vanish {
			forget(server)
		}
		s.fell.Add(1)
		<-s.ended
		return !s.vanish
	})
	_ = client.Close()
	up.Wait()
}

func (s *silence) isOver() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// carry copies what comes until either side ends or look says no.
func carry(to, from net.Conn, look func([]byte) bool) {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if n > 0 && !look(b[:n]) {
			return
		}
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// forget ends a connection without a word to the other side.
func forget(c net.Conn) {
	if raw, err := c.(*net.TCPConn).SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = repair(int(fd)) })
	}
	_ = c.Close()
}

// repair makes the kernel close a socket silently. It takes the right to administer the network.
func repair(socket int) error {
	const tcpRepair = 19
	return syscall.SetsockoptInt(socket, syscall.IPPROTO_TCP, tcpRepair, 1)
}

// await waits until it fell on so many connections.
func (s *silence) await(t *testing.T, connections int64) {
	t.Helper()
	testenv.Eventually(t, func() error {
		if fell := s.fell.Load(); fell < connections {
			return fmt.Errorf("%d of %d connections are silent", fell, connections)
		}
		return nil
	})
}

func TestANodeThatFallsSilentInMidTransactionDoesNotKeepItsPartitions(t *testing.T) {
	database := testenv.Postgres(t)
	l := newLedger(t)
	l.history(1, 300)
	s, lost := silenced(t, database, "UPDATE projector_positions", false)
	p, _ := project(t, l.client, lost)
	s.await(t, int64(len(l.offsets)))

	m := openModel(t, database)
	project(t, l.client, m)
	l.awaitProjected(m)

	s.end() // It wakes, and finds its transactions ended.
	l.history(2, 300)
	l.awaitProjected(m)
	l.awaitLanes(p)
	testenv.Eventually(t, p.Ready)
	l.mustEqualFold(m)
	l.mustVerify(m)
}

func TestANodeThatIsLostWhileItCopiesDoesNotKeepItsPartitions(t *testing.T) {
	database := testenv.Postgres(t)
	mustRepair(t)
	l := newLedger(t)
	l.history(1, 300)
	s, lost := silenced(t, database, "COPY account_events", true)
	project(t, l.client, lost)
	s.await(t, partitions)

	m := openModel(t, database)
	project(t, l.client, m)

	l.awaitProjected(m)
	l.mustEqualFold(m)
	l.mustVerify(m)
}

// mustRepair skips a test where a connection cannot be forgotten.
func mustRepair(t *testing.T) {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(socket) //nolint:errcheck // It was not used.
	if err := repair(socket); err != nil {
		t.Skipf("forgetting a connection takes rights that this user has not: %v", err)
	}
}

func TestALockedPositionIsReadAndABatchGivesUpWaitingForIt(t *testing.T) {
	m := openModel(t, testenv.Postgres(t))
	m.db.sink = newPostgresSink(goneAfter, time.Millisecond)
	ctx := context.Background()
	b := &batch{topic: eventstore.TransactionEvents, partition: 1, from: 0, next: 5}
	if _, err := m.position(ctx, b.topic, b.partition); err != nil {
		t.Fatal(err)
	}
	other, err := m.db.read.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Rollback() //nolint:errcheck // Of no effect when it has ended.
	if _, err := other.ExecContext(ctx, "UPDATE projector_positions SET next = 3"); err != nil {
		t.Fatal(err)
	}

	if at, err := m.position(ctx, b.topic, b.partition); at != 0 || err != nil {
		t.Errorf("the locked position is %d, %v", at, err)
	}
	const lockNotAvailable = "55P03"
	var refused *pgconn.PgError
	if err := m.write(ctx, b); !errors.As(err, &refused) || refused.Code != lockNotAvailable {
		t.Errorf("a batch for it ended with %v, want %s", err, lockNotAvailable)
	}

	if err := other.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := m.write(ctx, b); err != nil {
		t.Errorf("once it is free, a batch ends with %v", err)
	}
}
