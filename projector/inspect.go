package projector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
)

// ErrEmpty means that a database could hold the read model and does not yet.
var ErrEmpty error = setupError{"the database holds no read model yet: daybook serve creates it"}

// inspect checks, changing nothing, that the tables are those that this program writes, and that they belong to the log.
func (m *ReadModel) inspect(ctx context.Context) error {
	all, err := migrations()
	if err != nil {
		return err
	}
	tx, err := m.db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("beginning to look: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // Nothing was written.
	exists, err := m.db.sink.tableExists(ctx, tx, "schema_migrations")
	if err != nil {
		return fmt.Errorf("looking for the tables: %w", err)
	}
	if !exists {
		if err := m.db.sink.mayCreate(ctx, tx); err != nil {
			return err
		}
		return ErrEmpty
	}
	done, err := lastMigration(ctx, tx)
	switch {
	case err != nil:
		return err
	case done > len(all):
		return m.tooNew(done, len(all))
	case done < len(all):
		return setupError{fmt.Sprintf("the database %s is at version %d and this Daybook works with %d: start daybook serve of this version, which brings it up to date",
			m.db.name, done, len(all))}
	}
	var owner string
	err = tx.NewRaw("SELECT value FROM meta WHERE name = 'log_id'").Scan(ctx, &owner)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrEmpty
	}
	if err != nil {
		return fmt.Errorf("reading the log's id: %w", err)
	}
	if m.cfg.LogID == "" {
		return nil
	}
	return m.checkOwner(owner)
}

// noFile tells whether the address names a file that does not exist.
func noFile(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "sqlite" {
		return false
	}
	_, err = os.Stat(u.Path)
	return errors.Is(err, fs.ErrNotExist)
}
