package projector

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
)

// migrationLock is the key of the advisory lock that nodes take turns by.
const migrationLock = 0x646179626f6f6b

// postgresSink writes by COPY what is new, and by unnest what may exist.
type postgresSink struct{}

func (postgresSink) close() error { return nil }

func (postgresSink) lockMigrations(ctx context.Context, tx bun.Tx) error {
	_, err := tx.NewRaw("SELECT pg_advisory_xact_lock(?)", int64(migrationLock)).Exec(ctx)
	return err
}

func (postgresSink) tableExists(ctx context.Context, tx bun.Tx, name string) (exists bool, err error) {
	err = tx.NewRaw("SELECT to_regclass(?) IS NOT NULL", name).Scan(ctx, &exists)
	return exists, err
}

func (postgresSink) mayCreate(ctx context.Context, tx bun.Tx) error {
	var may bool
	// Of a schema that the user may not even look into there is no name.
	err := tx.NewRaw("SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)").Scan(ctx, &may)
	if err == nil && !may {
		err = setupError{"the database cannot be used: " + adviceRights}
	}
	return err
}

// turn lets everybody write at once: partitions do not touch one another's rows.
func (postgresSink) turn(context.Context) (func(), error) { return func() {}, nil }

// begin gives up waiting for the disk. What a crash of the server could lose are the last transactions whole, position
// included, and they are projected again: see watch.
func (postgresSink) begin(ctx context.Context, tx bun.Tx) error {
	_, err := tx.Tx.ExecContext(ctx, "SET LOCAL synchronous_commit = off")
	return err
}

func (s postgresSink) insert(ctx context.Context, conn bun.Conn, tx bun.Tx, t *table, rows rowSource) error {
	if t.conflict == "" {
		return s.copy(ctx, conn, t, rows)
	}
	return s.upsert(ctx, tx, t, rows)
}

// copy sends the rows in COPY's text form, which costs both sides less than parameters do.
func (postgresSink) copy(ctx context.Context, conn bun.Conn, t *table, rows rowSource) error {
	b := make([]byte, 0, rows.len()*512)
	for row := range rows.len() {
		for column := range t.columns {
			if column > 0 {
				b = append(b, '\t')
			}
			switch v := rows.value(row, column); {
			case v.isNumber:
				b = strconv.AppendInt(b, v.number, 10)
			case v.text == "":
				b = append(b, `\N`...)
			default:
				b = appendCopyText(b, v.text)
			}
		}
		b = append(b, '\n')
	}
	statement := "COPY " + t.name + " (" + columnNames(t) + ") FROM STDIN"
	return conn.Raw(func(driver any) error {
		pg, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("the driver is %T and not pgx", driver)
		}
		_, err := pg.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(b), statement)
		return err
	})
}

func appendCopyText(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; c {
		case '\\':
			b = append(b, `\\`...)
		case '\t':
			b = append(b, `\t`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		default:
			b = append(b, c)
		}
	}
	return b
}

// upsert sends each column as one array.
func (postgresSink) upsert(ctx context.Context, tx bun.Tx, t *table, rows rowSource) error {
	var statement strings.Builder
	statement.WriteString("INSERT INTO " + t.name + " (" + columnNames(t) + ") SELECT * FROM unnest(")
	args := make([]any, len(t.columns))
	for column := range t.columns {
		if column > 0 {
			statement.WriteString(", ")
		}
		fmt.Fprintf(&statement, "$%d::text::%s[]", column+1, t.columns[column].kind)
		args[column] = array(rows, column)
	}
	statement.WriteString(") " + t.conflict)
	_, err := tx.Tx.ExecContext(ctx, statement.String(), args...)
	return err
}

// array renders a column as PostgreSQL's array literal.
func array(rows rowSource, column int) string {
	b := make([]byte, 0, rows.len()*24)
	b = append(b, '{')
	for row := range rows.len() {
		if row > 0 {
			b = append(b, ',')
		}
		switch v := rows.value(row, column); {
		case v.isNumber:
			b = strconv.AppendInt(b, v.number, 10)
		case v.text == "":
			b = append(b, "NULL"...)
		default:
			b = append(b, '"')
			for i := range len(v.text) {
				if c := v.text[i]; c == '"' || c == '\\' {
					b = append(b, '\\')
				}
				b = append(b, v.text[i])
			}
			b = append(b, '"')
		}
	}
	return string(append(b, '}'))
}

func columnNames(t *table) string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}
