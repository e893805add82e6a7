package projector

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/driver/sqliteshim"
)

// Bounds of the connections. Readers and writers have their own, so that neither can use up the other's.
const (
	postgresWriters = 8
	postgresReaders = 16
	sqliteReaders   = 4
	connectPatience = 10 * time.Second
	idlePatience    = 5 * time.Minute
)

// database is one database behind two pools, and what differs between PostgreSQL and SQLite.
type database struct {
	// name is what messages call it: no credentials.
	name        string
	read, write *bun.DB
	// readers is how many connections read has.
	readers int
	sink    sink
	// keyType is text compared byte by byte.
	keyType string
}

// setupError is a sentence for the operator that needs no more context.
type setupError struct{ text string }

func (e setupError) Error() string { return e.text }

// awayError is a setupError that can pass by itself.
type awayError struct{ setupError }

func openDatabase(ctx context.Context, address string) (*database, error) {
	scheme, _, _ := strings.Cut(address, "://")
	var db *database
	var err error
	switch scheme {
	case "postgres", "postgresql":
		db, err = openPostgres(address)
	case "sqlite":
		db, err = openSQLite(address)
	default:
		err = setupError{"the database URL must be postgres://user:password@host:port/name or sqlite:///absolute/path.db: correct it"}
	}
	if err != nil {
		return nil, err
	}
	if err := db.write.PingContext(ctx); err != nil {
		_ = db.close()
		return nil, db.explain(err)
	}
	return db, nil
}

func openPostgres(address string) (*database, error) {
	conf, err := pgx.ParseConfig(address)
	if err != nil { // The cause would repeat the URL, and the password with it.
		return nil, setupError{"the database URL cannot be read: write it as postgres://user:password@host:port/name"}
	}
	// No prepared statements: they do not survive the poolers that stand in front of many servers.
	conf.DefaultQueryExecMode = pgx.QueryExecModeExec
	if conf.ConnectTimeout == 0 {
		conf.ConnectTimeout = connectPatience
	}
	if conf.RuntimeParams["application_name"] == "" {
		conf.RuntimeParams["application_name"] = "daybook"
	}
	pool := func(connections int) *bun.DB {
		return bun.NewDB(bounded(stdlib.OpenDB(*conf), connections), pgdialect.New())
	}
	return &database{
		name: net.JoinHostPort(conf.Host, strconv.Itoa(int(conf.Port))) + "/" + conf.Database,
		read: pool(postgresReaders), readers: postgresReaders, write: pool(postgresWriters), sink: newPostgresSink(goneAfter, lockPatience), keyType: `text COLLATE "C"`,
	}, nil
}

func openSQLite(address string) (*database, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host != "" || !filepath.IsAbs(u.Path) {
		return nil, setupError{"the database URL cannot be read: write it as sqlite:///absolute/path.db"}
	}
	pool := func(connections int, more string) (*bun.DB, error) {
		name := "file:" + u.EscapedPath() + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)" + more
		db, err := sql.Open(sqliteshim.ShimName, name)
		if err != nil {
			return nil, fmt.Errorf("opening SQLite: %w", err)
		}
		return bun.NewDB(bounded(db, connections), sqlitedialect.New()), nil
	}
	write, err := pool(1, "&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	read, err := pool(sqliteReaders, "&_pragma=query_only(1)")
	if err != nil {
		return nil, err
	}
	return &database{name: u.Path, read: read, readers: sqliteReaders, write: write, sink: newSQLiteSink(write.DB), keyType: "text"}, nil
}

func bounded(db *sql.DB, connections int) *sql.DB {
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(idlePatience)
	return db
}

func (d *database) close() error { return errors.Join(d.sink.close(), d.read.Close(), d.write.Close()) }

// explain says what to do about an error that an operator meets when the database is opened.
func (d *database) explain(err error) error {
	var setup setupError
	if errors.As(err, &setup) {
		return setup
	}
	setup = setupError{fmt.Sprintf("the database %s cannot be used: %s (%s)", d.name, advice(err), cause(err))}
	if isAway(err) {
		return awayError{setup}
	}
	return setup
}

// isAway tells whether a server could not be reached, broke the connection off, or takes nobody just then.
func isAway(err error) bool {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		switch server.Code {
		// It stops, crashed, starts, has no connection left, or was tired of waiting for a node that stood still.
		case "57P01", "57P02", "57P03", "53300", "25P03", "57P05":
			return true
		}
		return strings.HasPrefix(server.Code, "08")
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn)
}

const adviceRights = "grant its user CREATE on the schema and all rights on the tables there"

func advice(err error) string {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		switch server.Code {
		case "28P01", "28000":
			return "correct the user and password in its URL"
		case "3D000":
			return "create it, or correct the name in its URL"
		case "42501", "3F000": // The latter is how a schema without any rights shows.
			return adviceRights
		}
		return "see the server's log"
	}
	var file interface{ Code() int }
	if errors.As(err, &file) {
		return "make its directory exist and writable, and let nothing but a database be there"
	}
	return "start the server or correct the address in its URL"
}

// cause is the innermost error's text on one line: the outer ones repeat the address.
func cause(err error) string {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server.Message
	}
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
