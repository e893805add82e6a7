package projector

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"daybook/eventstore"
	"daybook/internal/testenv"
)

func TestWhatTheDatabaseLosesIsProjectedAgainThoughNothingNewComes(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 300)
		m := openModel(t, url)
		p, _ := project(t, l.client, m)
		l.awaitProjected(m)
		l.keep(m)
		l.history(2, 300)
		l.awaitProjected(m)
		l.awaitLanes(p)

		l.lose(m)

		l.awaitProjected(m)
		l.mustEqualFold(m)
		l.mustVerify(m)
		testenv.Eventually(t, p.Ready)
	})
}

func TestWhatTheDatabaseLosesIsNotToldToBeShown(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 300)
		m := openModel(t, url)
		log := &endlessLog{Log: l.client, ends: l.offsets}
		p, _ := project(t, log, m)
		l.awaitProjected(m)
		l.keep(m)
		l.history(2, 300)
		l.awaitProjected(m)
		l.awaitDelay(p, "an old state", func(delay time.Duration) bool { return delay < time.Hour })

		log.broken.Store(true) // No lane learns that what it has projected is all there is.
		l.lose(m)

		l.awaitDelay(p, "more than its last event", func(delay time.Duration) bool { return delay > time.Hour })
		log.broken.Store(false)
		l.awaitDelay(p, "an old state", func(delay time.Duration) bool { return delay < time.Hour })
	})
}

// readModelTables are all that the projector writes.
var readModelTables = []string{"accounts", "account_events", "holds", "ledger", "transactions", "projector_positions"}

// keep takes down what the database has.
func (l *ledger) keep(m *ReadModel) {
	l.t.Helper()
	l.atomically(m, func(change func(string)) {
		for _, table := range readModelTables {
			change("CREATE TABLE earlier_" + table + " AS SELECT * FROM " + table)
		}
	})
}

// lose sets the database back to what was kept, as a crash does that loses the last transactions.
func (l *ledger) lose(m *ReadModel) {
	l.t.Helper()
	l.atomically(m, func(change func(string)) {
		for _, table := range readModelTables {
			change("DELETE FROM " + table)
			change("INSERT INTO " + table + " SELECT * FROM earlier_" + table)
		}
	})
}

// endlessLog is a log of which, while it is broken, nobody learns where it ends.
type endlessLog struct {
	Log
	ends   map[place]int64 // Not to be changed while it is broken.
	broken atomic.Bool
}

func (e *endlessLog) OpenReader(topic string, partition int32) (eventstore.Reader, error) {
	r, err := e.Log.OpenReader(topic, partition)
	return &spyReader{r, func(offset int64) error {
		if e.broken.Load() && offset >= e.ends[place{topic, partition}] {
			return errors.New("injected")
		}
		return nil
	}}, err
}

// awaitDelay waits until all lanes tell of a delay that is right. The events of a ledger are old.
func (l *ledger) awaitDelay(p *Projector, wrong string, right func(time.Duration) bool) {
	l.t.Helper()
	testenv.Eventually(l.t, func() error {
		for _, s := range p.Status() {
			if !right(s.Delay) {
				return fmt.Errorf("%s/%d is told to show %s: %v", s.Topic, s.Partition, wrong, s.Delay)
			}
		}
		return nil
	})
}

// atomically runs statements in one transaction.
func (l *ledger) atomically(m *ReadModel, run func(change func(string))) {
	l.t.Helper()
	tx, err := m.db.write.BeginTx(context.Background(), nil)
	if err != nil {
		l.t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // Of no effect after Commit.
	run(func(statement string) {
		if _, err := tx.NewRaw(statement).Exec(context.Background()); err != nil {
			l.t.Fatal(err)
		}
	})
	if err := tx.Commit(); err != nil {
		l.t.Fatal(err)
	}
}

// awaitLanes waits until the lanes themselves know that all is projected, a moment after it is.
func (l *ledger) awaitLanes(p *Projector) {
	l.t.Helper()
	testenv.Eventually(l.t, func() error {
		for _, s := range p.Status() {
			if s.Position < l.offsets[place{s.Topic, s.Partition}] {
				return fmt.Errorf("%+v is behind", s)
			}
		}
		return nil
	})
}
