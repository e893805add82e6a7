package projector

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
)

// migrationLock is the key of the advisory lock that nodes take turns by.
const migrationLock = 0x646179626f6f6b

const (
	// goneAfter is how long the server lets a transaction that changes something wait for a word of its node.
	goneAfter = 15 * time.Second
	// lockPatience is how long a batch waits for a lock, with one of the connections for writing in its hands.
	lockPatience = 5 * time.Second
)

// postgresSink writes by COPY what is new, and by unnest what may exist.
type postgresSink struct {
	// beginning is what a transaction that writes a batch sets.
	beginning string
}

// newPostgresSink makes one that gives up waiting for the disk. What a crash of the server could lose are the last
// transactions whole, position included, and they are projected again: see watch.
func newPostgresSink(gone, lock time.Duration) postgresSink {
	return postgresSink{"SET LOCAL synchronous_commit = off; " + endIfGone(gone) + fmt.Sprintf("SET LOCAL lock_timeout = %d", lock.Milliseconds())}
}

// endIfGone makes the server end a transaction, and with it what is locked for it, some time after it last heard of the
// node: TCP alone misses a machine that lost its power or its network only after hours. The first setting is for a node
// that should say what comes next, the others for one that has begun a COPY, and take up to twice as long; where the
// connection is none of TCP the server passes over them. They end with the transaction, because behind a pooler the
// session may be another's then.
func endIfGone(after time.Duration) string {
	seconds := max(1, int(after/time.Second))
	return fmt.Sprintf("SET LOCAL idle_in_transaction_session_timeout = %d; SET LOCAL tcp_keepalives_idle = %d; "+
		"SET LOCAL tcp_keepalives_interval = %d; SET LOCAL tcp_keepalives_count = 3; SET LOCAL tcp_user_timeout = %d; ",
		after.Milliseconds(), seconds, max(1, seconds/3), 2*after.Milliseconds())
}

func (postgresSink) close() error { return nil }

func (postgresSink) lockMigrations(ctx context.Context, tx bun.Tx) error {
	_, err := tx.Tx.ExecContext(ctx, endIfGone(goneAfter)+fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", int64(migrationLock)))
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

func (s postgresSink) begin(ctx context.Context, tx bun.Tx) error {
	_, err := tx.Tx.ExecContext(ctx, s.beginning)
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
