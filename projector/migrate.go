package projector

import (
	"context"
	"embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one numbered file. Published ones never change.
type migration struct {
	number int
	name   string
	text   string
}

// migrations lists the files in order; their names begin with their number.
func migrations() ([]migration, error) {
	entries, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		return nil, err
	}
	all := make([]migration, 0, len(entries))
	for i, entry := range entries {
		digits, _, _ := strings.Cut(entry.Name(), "_")
		number, err := strconv.Atoi(digits)
		if err != nil || number != i+1 {
			return nil, fmt.Errorf("migration %s must have the number %d", entry.Name(), i+1)
		}
		text, err := migrationFiles.ReadFile("migrations/" + entry.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, migration{number, entry.Name(), string(text)})
	}
	return all, nil
}

// migrate brings the tables up to date in one transaction. Nodes that start at once take turns.
func (m *ReadModel) migrate(ctx context.Context) error {
	all, err := migrations()
	if err != nil {
		return err
	}
	tx, err := m.db.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning migrations: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // Of no effect after Commit.
	if err := m.db.sink.lockMigrations(ctx, tx); err != nil {
		return fmt.Errorf("waiting for another node's migrations: %w", err)
	}
	done, err := m.migrated(ctx, tx)
	if err != nil {
		return err
	}
	if done > len(all) {
		return m.tooNew(done, len(all))
	}
	for _, step := range all[done:] {
		// Not through bun, which would look for arguments.
		if _, err := tx.Tx.ExecContext(ctx, strings.ReplaceAll(step.text, "{key}", m.db.keyType)); err != nil {
			return fmt.Errorf("migration %s: %w", step.name, err)
		}
		_, err := tx.NewRaw("INSERT INTO schema_migrations (number, name, applied_at) VALUES (?, ?, ?)", step.number, step.name, m.cfg.Clock().UnixMilli()).Exec(ctx)
		if err != nil {
			return fmt.Errorf("recording migration %s: %w", step.name, err)
		}
	}
	return tx.Commit()
}

// migrated returns the number of the last migration carried out, zero for none. It creates nothing that exists: a user
// without the right to create tables can still start on a database that is up to date.
func (m *ReadModel) migrated(ctx context.Context, tx bun.Tx) (int, error) {
	exists, err := m.db.sink.tableExists(ctx, tx, "schema_migrations")
	if err != nil {
		return 0, fmt.Errorf("looking for earlier migrations: %w", err)
	}
	if !exists {
		_, err := tx.Tx.ExecContext(ctx, "CREATE TABLE schema_migrations (number integer PRIMARY KEY, name text NOT NULL, applied_at bigint NOT NULL)")
		if err != nil {
			return 0, fmt.Errorf("creating the table of migrations: %w", err)
		}
	}
	return lastMigration(ctx, tx)
}

func (m *ReadModel) tooNew(done, known int) error {
	return setupError{fmt.Sprintf("the database %s was brought to version %d by a newer Daybook, this one knows %d: start the newer one", m.db.name, done, known)}
}

func lastMigration(ctx context.Context, tx bun.Tx) (int, error) {
	var last int
	if err := tx.NewRaw("SELECT coalesce(max(number), 0) FROM schema_migrations").Scan(ctx, &last); err != nil {
		return 0, fmt.Errorf("reading the table of migrations: %w", err)
	}
	return last, nil
}
