package projector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/domain/account"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

func TestReadModelEqualsFold(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		l := newLedger(t)
		l.history(seed, 2000)
		m := l.projected(url)
		l.mustEqualFold(m)
		l.mustVerify(m)
	})
}

func TestProjectionContinuesWhereItStopped(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 300)
		m := l.projected(url)
		before := positions(t, m)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}

		l.history(2, 300)
		log := &watchedLog{Log: l.client, first: map[place]int64{}}
		m = openModel(t, url)
		project(t, log, m)
		l.awaitProjected(m)

		l.mustEqualFold(m)
		for where, offset := range before {
			if got := log.first[where]; got != offset {
				t.Errorf("%v is read from %d on, want %d", where, got, offset)
			}
		}
	})
}

func TestRebuildFromEmptyGivesTheSame(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		m := openModel(t, url)
		_, stop := project(t, l.client, m)
		for part := range uint64(5) { // Projected in parts, as it comes.
			l.history(part, 100)
			l.awaitProjected(m)
		}
		stop()
		l.mustEqualFold(m)
		for _, table := range []string{"accounts", "account_events", "holds", "ledger", "transactions", "projector_positions"} {
			execute(t, m, "DELETE FROM "+table)
		}

		_, stop = project(t, l.client, m)
		l.awaitProjected(m)
		stop()

		l.mustEqualFold(m)
		l.mustVerify(m)
	})
}

func TestStaleBatchChangesNothing(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		m := openModel(t, url)
		ctx := context.Background()
		if _, err := m.position(ctx, eventstore.AccountEvents, 0); err != nil {
			t.Fatal(err)
		}
		at := func(from, next int64, id string) *batch {
			s := account.State{}.Apply(id, &account.Created{Type: account.User, Currency: "EUR"}, start)
			e := eventstore.Recorded{Event: eventstore.Event{ID: id, AggregateID: id, Version: 1, Timestamp: start, Data: &account.Created{Currency: "EUR"}}}
			return &batch{
				topic: eventstore.AccountEvents, from: from, next: next,
				events: eventRows{newEventRow(&e, &s)}, accounts: accountRows{newAccountRow(&s, 0)},
			}
		}
		if err := m.write(ctx, at(0, 5, "first")); err != nil {
			t.Fatal(err)
		}

		err := m.write(ctx, at(0, 7, "stale"))

		if !errors.Is(err, errStale) {
			t.Errorf("got %v, want %v", err, errStale)
		}
		if s, err := m.Account(ctx, "stale", 0); err != nil || s.Exists() {
			t.Errorf("the stale batch left %+v, %v", s, err)
		}
		if got := positions(t, m)[place{eventstore.AccountEvents, 0}]; got != 5 {
			t.Errorf("the position is %d, want 5", got)
		}
	})
}

func TestTwoProjectorsAtOnceEndWithACorrectModel(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		m, other := openModel(t, url), openModel(t, url)
		_, stop := project(t, l.client, m)
		_, stopOther := project(t, l.client, other)

		for part := range uint64(10) {
			l.history(part, 100)
		}
		l.awaitProjected(m)
		stop()
		stopOther()

		l.mustEqualFold(m)
		l.mustVerify(m)
	})
}

func TestOnlyAssignedPartitionsAreProjected(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 200)
		m := openModel(t, url)
		p, _ := project(t, l.client, m)
		p.Assign([]int32{1})
		l.awaitProjectedOnly(m, 1)

		l.history(2, 200)
		l.awaitProjectedOnly(m, 1)
		if got := len(p.Status()); got != 2 {
			t.Errorf("the status tells of %d, want the two topics of one partition", got)
		}

		p.Assign([]int32{0, 1, 2})
		l.awaitProjected(m)
		l.mustEqualFold(m)
		testenv.Eventually(t, p.Ready)
	})
}

// awaitProjectedOnly waits until a partition is projected to its end.
func (l *ledger) awaitProjectedOnly(m *ReadModel, partition int32) {
	l.t.Helper()
	testenv.Eventually(l.t, func() error {
		at := positions(l.t, m)
		for where, want := range l.offsets {
			if where.partition == partition && at[where] < want {
				return errors.New("not projected yet")
			}
		}
		return nil
	})
}

func TestRepeatedTransactionEventsChangeNothing(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 300)
		m := openModel(t, url)
		project(t, l.client, m)
		l.awaitProjected(m)

		l.history(2, 50)
		for p := range int32(partitions) { // All again, from the first event on.
			l.repeat(place{eventstore.TransactionEvents, p})
		}
		l.history(3, 50)
		l.awaitProjected(m)

		l.mustEqualFold(m)
		l.mustVerify(m)
	})
}

// repeat writes all that a partition holds again.
func (l *ledger) repeat(at place) {
	l.t.Helper()
	reader, err := l.client.OpenReader(at.topic, at.partition)
	if err != nil {
		l.t.Fatal(err)
	}
	defer reader.Close() //nolint:errcheck // Nothing was written.
	for next, end := int64(0), l.offsets[at]; next < end; {
		chunk, err := reader.Read(context.Background(), next, time.Second)
		if err != nil {
			l.t.Fatal(err)
		}
		l.unwritten[at] = append(l.unwritten[at], chunk.Messages...)
		next = chunk.Next
	}
	l.write()
}

func TestUnreadableEventStopsItsPartitionOnly(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 100)
		blocked := place{eventstore.AccountEvents, 1}
		bad := l.offsets[blocked]
		l.unwritten[blocked] = []eventstore.Message{{Key: []byte("x"), Value: []byte(`{"eventType":"Nonsense"}`), Time: start}}
		l.write()
		l.history(2, 100)
		m := openModel(t, url)
		p, _ := project(t, l.client, m)

		testenv.Eventually(t, func() error {
			at := positions(t, m)
			for where, want := range l.offsets {
				if where == blocked {
					want = bad
				}
				if at[where] != want {
					return errors.New("not projected yet")
				}
			}
			if p.Ready() == nil {
				return errors.New("it says that it is ready")
			}
			return nil
		})

		testenv.Eventually(t, func() error { // A lane tells of a run a moment after it is written.
			for _, s := range p.Status() {
				isBlocked := s.Topic == blocked.topic && s.Partition == blocked.partition
				if isBlocked != (s.Error != "") || isBlocked != (s.Lag > 0) {
					return fmt.Errorf("status %+v, blocked %v", s, isBlocked)
				}
				if isBlocked && !strings.Contains(s.Error, "decoding the event at offset") {
					return fmt.Errorf("the error does not name the event: %s", s.Error)
				}
			}
			return nil
		})
	})
}

func TestProjectionSurvivesAFailingLog(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 500)
		m := openModel(t, url)
		log := &failingLog{Log: l.client}
		log.left.Store(10)
		p, _ := project(t, log, m)
		l.awaitProjected(m)
		l.mustEqualFold(m)
		testenv.Eventually(t, p.Ready)
	})
}

// watchedLog remembers the first offset asked for.
type watchedLog struct {
	Log
	mu    sync.Mutex
	first map[place]int64
}

func (w *watchedLog) OpenReader(topic string, partition int32) (eventstore.Reader, error) {
	r, err := w.Log.OpenReader(topic, partition)
	return &spyReader{r, func(offset int64) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if _, known := w.first[place{topic, partition}]; !known {
			w.first[place{topic, partition}] = offset
		}
		return nil
	}}, err
}

// failingLog fails the second read of a reader, so many times.
type failingLog struct {
	Log
	left atomic.Int64
}

func (f *failingLog) OpenReader(topic string, partition int32) (eventstore.Reader, error) {
	r, err := f.Log.OpenReader(topic, partition)
	reads := 0
	return &spyReader{r, func(int64) error {
		if reads++; reads == 2 && f.left.Add(-1) >= 0 {
			return errors.New("injected")
		}
		return nil
	}}, err
}

type spyReader struct {
	eventstore.Reader
	before func(offset int64) error
}

func (s *spyReader) Read(ctx context.Context, offset int64, maxWait time.Duration) (eventstore.Chunk, error) {
	if err := s.before(offset); err != nil {
		return eventstore.Chunk{}, err
	}
	return s.Reader.Read(ctx, offset, maxWait)
}

func execute(t testing.TB, m *ReadModel, statement string, args ...any) {
	t.Helper()
	res, err := m.db.write.NewRaw(statement, args...).Exec(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%s changed %d rows, %v", statement, n, err)
	}
}

func TestProjectionSurvivesLostConnections(t *testing.T) {
	l := newLedger(t)
	m := openModel(t, testenv.Postgres(t))
	p, _ := project(t, l.client, m)
	for part := range uint64(5) {
		l.history(part, 200)
		_, err := m.db.read.ExecContext(context.Background(),
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		if err != nil {
			t.Logf("cutting the connections: %v", err) // It may have been given a connection that was cut.
		}
	}
	l.awaitProjected(m)
	l.mustEqualFold(m)
	l.mustVerify(m)
	testenv.Eventually(t, p.Ready)
}
