package projector

import (
	"context"
	"strings"
	"testing"

	"daybook/eventstore"
	"daybook/internal/testenv"
)

// atVersion makes a database as it is after so many migrations.
func atVersion(t *testing.T, url string, version int) *database {
	t.Helper()
	db, err := openDatabase(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.close() })
	all, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	statements := []string{"CREATE TABLE schema_migrations (number integer PRIMARY KEY, name text NOT NULL, applied_at bigint NOT NULL)"}
	for _, step := range all[:version] {
		statements = append(statements, strings.ReplaceAll(step.text, "{key}", db.keyType))
	}
	statements = append(statements, "INSERT INTO schema_migrations (number, name, applied_at) VALUES (1, '0001_read_model.sql', 0)",
		"INSERT INTO meta (name, value) VALUES ('log_id', 'log-1')")
	for _, statement := range statements {
		if _, err := db.write.DB.ExecContext(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return db
}

func TestAReadModelOfTheFirstVersionIsProjectedAnew(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(3, 500)
		l.write()
		old := atVersion(t, url, 1)
		l.fillAndReopen(old, url, "projector_offsets")
	})
}

// The second migration's tables were the first's for a while.
func TestAReadModelThatWasMadeInBetweenIsProjectedAnew(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(4, 500)
		l.write()
		old := atVersion(t, url, 2)
		for _, statement := range []string{"DROP TABLE projector_positions", "CREATE TABLE projector_offsets (topic " + old.keyType +
			" NOT NULL, partition integer NOT NULL, next bigint NOT NULL, PRIMARY KEY (topic, partition))"} {
			if _, err := old.write.DB.ExecContext(context.Background(), statement); err != nil {
				t.Fatal(err)
			}
		}
		l.fillAndReopen(old, url, "projector_offsets")
	})
}

// fillAndReopen gives an old read model rows of its shape, opens it with this version, and checks that it becomes what
// the log says.
func (l *ledger) fillAndReopen(old *database, url, offsets string) {
	l.t.Helper()
	ctx := context.Background()
	_, err := old.write.NewRaw("INSERT INTO accounts (id, owner_id, type, currency, status, balance, min_balance, version, created_at, updated_at, partition) " +
		"VALUES ('account-1', 'o', 'USER', 'EUR', 'ACTIVE', '1.00', '0.00', 9, 0, 0, 0), ('gone', 'o', 'USER', 'EUR', 'ACTIVE', '1.00', '0.00', 9, 0, 0, 0)").Exec(ctx)
	if err != nil {
		l.t.Fatal(err)
	}
	for p := range partitions {
		for _, topic := range []string{eventstore.AccountEvents, eventstore.TransactionEvents} {
			if _, err := old.write.NewRaw("INSERT INTO "+offsets+" (topic, partition, next) VALUES (?, ?, 100)", topic, p).Exec(ctx); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	m := l.projected(url)
	l.mustEqualFold(m)
	l.mustVerify(m)
	if s, err := m.Account(ctx, "gone", 0); err != nil || s.Exists() {
		l.t.Errorf("an account that the log does not have is %+v, %v", s, err)
	}
	// A node of the version before that still runs must not write into the tables of this one.
	if _, err := old.write.NewRaw("UPDATE " + offsets + " SET next = 0").Exec(ctx); err == nil {
		l.t.Error("the position of the version before is still there")
	}
}
