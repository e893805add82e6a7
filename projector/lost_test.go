package projector

import (
	"context"
	"fmt"
	"testing"

	"daybook/internal/testenv"
)

func TestWhatTheDatabaseLosesIsProjectedAgainThoughNothingNewComes(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 300)
		m := openModel(t, url)
		p, _ := project(t, l.client, m)
		l.awaitProjected(m)
		tables := []string{"accounts", "account_events", "holds", "ledger", "transactions", "projector_positions"}
		l.atomically(m, func(change func(string)) {
			for _, table := range tables {
				change("CREATE TABLE earlier_" + table + " AS SELECT * FROM " + table)
			}
		})
		l.history(2, 300)
		l.awaitProjected(m)
		l.awaitLanes(p)

		l.atomically(m, func(change func(string)) { // As a crash does that loses the last transactions.
			for _, table := range tables {
				change("DELETE FROM " + table)
				change("INSERT INTO " + table + " SELECT * FROM earlier_" + table)
			}
		})

		l.awaitProjected(m)
		l.mustEqualFold(m)
		l.mustVerify(m)
		testenv.Eventually(t, p.Ready)
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
