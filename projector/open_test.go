package projector

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"daybook/internal/testenv"
)

func open(url, logID string) (*ReadModel, error) {
	return Open(context.Background(), Config{URL: url, LogID: logID, Clock: time.Now, Logger: testenv.Logger()})
}

func TestNodesMayStartAtOnce(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				m, err := open(url, "log-1")
				if err != nil {
					t.Errorf("opening beside others: %v", err)
					return
				}
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestDatabaseOfAnotherLogIsRefused(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		openModel(t, url)
		m, err := open(url, "log-2")
		if err == nil {
			_ = m.Close()
			t.Fatal("it was opened")
		}
		mustSay(t, err, "belongs to log log-1 and not to log log-2: name an empty database")
	})
}

func openReadOnly(url, logID string) (*ReadModel, error) {
	return Open(context.Background(), Config{URL: url, LogID: logID, ReadOnly: true, Clock: time.Now, Logger: testenv.Logger()})
}

func TestReadingOnlyCreatesNothing(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		for range 2 { // What the first made, the second would find.
			if _, err := openReadOnly(url, "log-1"); !errors.Is(err, ErrEmpty) {
				t.Fatalf("got %v, want ErrEmpty", err)
			}
		}
		if path, ok := strings.CutPrefix(url, "sqlite://"); ok {
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a file was made: %v", err)
			}
		}
	})
}

func TestReadingOnlyTakesTheReadModelOfItsLogAlone(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		m := openModel(t, url)

		same, err := openReadOnly(url, "log-1")
		if err != nil {
			t.Fatal(err)
		}
		if err := same.Close(); err != nil {
			t.Error(err)
		}
		_, err = openReadOnly(url, "log-2")
		mustSay(t, err, "belongs to log log-1 and not to log log-2: name an empty database")
		execute(t, m, "DELETE FROM schema_migrations")
		_, err = openReadOnly(url, "log-1")
		mustSay(t, err, "start daybook serve of this version, which brings it up to date")
		execute(t, m, "INSERT INTO schema_migrations (number, name, applied_at) VALUES (99, 'x', 0)")
		_, err = openReadOnly(url, "log-1")
		mustSay(t, err, "start the newer one")
	})
}

func TestDatabaseOfANewerVersionIsRefused(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		m := openModel(t, url)
		execute(t, m, "INSERT INTO schema_migrations (number, name, applied_at) VALUES (99, 'x', 0)")
		_, err := open(url, "log-1")
		mustSay(t, err, "start the newer one")
	})
}

func TestUnusableDatabaseSaysWhatToDo(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing", "x.db")
	noDatabase := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(noDatabase, []byte(strings.Repeat("this is no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"mysql://host/name":      "must be postgres://",
		"":                       "must be postgres://",
		"sqlite://relative.db":   "write it as sqlite:///absolute/path.db",
		"postgres://a:secret@:x": "write it as postgres://",
		"postgres://a:secret@127.0.0.1:1/x?connect_timeout=2": "start the server or correct the address",
		"sqlite://" + missing:    "make its directory exist and writable",
		"sqlite://" + noDatabase: "let nothing but a database be there",
	} {
		m, err := open(url, "log-1")
		if err == nil {
			_ = m.Close()
			t.Errorf("%s was opened", url)
			continue
		}
		mustSay(t, err, want)
	}
}

// What listens there ends every connection, as a proxy does whose server is away.
func TestAServerThatBreaksOffIsWaitedForABoundedTimeAndAWrongOneIsNot(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var tries atomic.Int64
	var listening sync.WaitGroup
	listening.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			tries.Add(1)
			_ = c.Close()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		listening.Wait()
	})
	away := fmt.Sprintf("postgres://a@%s/x?sslmode=disable", l.Addr())

	_, err = Open(t.Context(), Config{URL: away, LogID: "log-1", Clock: time.Now, Logger: testenv.Logger(), Wait: 2 * awayPause})
	mustSay(t, err, "start the server or correct the address")
	if tries.Load() < 2 {
		t.Errorf("%d tries were made", tries.Load())
	}

	for code, want := range map[string]bool{"57P03": true, "57P01": true, "53300": true, "25P03": true, "57P05": true, "08006": true, "28P01": false, "3D000": false, "42501": false} {
		if got := isAway(fmt.Errorf("connecting: %w", &pgconn.PgError{Code: code})); got != want {
			t.Errorf("%s passes: %v", code, got)
		}
	}
}

func TestDatabaseWithoutRightsSaysWhatToDo(t *testing.T) {
	url := testenv.Postgres(t)
	admin := openModel(t, url) // Any connection will do.
	user := "user_" + strings.ToLower(filepath.Base(t.TempDir())) + strings.ReplaceAll(time.Now().Format("150405.000000"), ".", "")
	for _, statement := range []string{"CREATE SCHEMA locked", "CREATE ROLE " + user + " LOGIN PASSWORD 'x'", "GRANT USAGE ON SCHEMA locked TO " + user} {
		if _, err := admin.db.write.ExecContext(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if _, err := admin.db.write.ExecContext(context.Background(), "DROP OWNED BY "+user+"; DROP ROLE "+user); err != nil {
			t.Error(err)
		}
	})
	begin, end := strings.Index(url, "//")+2, strings.Index(url, "@")
	for schema, want := range map[string]string{"locked": "grant its user CREATE on the schema", "public": "grant its user CREATE on the schema"} {
		_, err := open(url[:begin]+user+":x"+url[end:]+"&search_path="+schema, "log-1")
		mustSay(t, err, want)
		_, err = openReadOnly(url[:begin]+user+":x"+url[end:]+"&search_path="+schema, "log-1")
		mustSay(t, err, "grant its user CREATE on the schema")
	}
}

// mustSay checks an operator's error: one line that says what to do and keeps the password to itself.
func mustSay(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one that says %q", want)
		return
	}
	if text := err.Error(); !strings.Contains(text, want) || strings.Contains(text, "secret") || strings.Contains(text, "\n") {
		t.Errorf("it says %q, want %q on one line", text, want)
	}
}
