package projector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"daybook/domain"
)

// Config says which database holds the read model. URL, LogID, Clock and Logger are required.
type Config struct {
	// URL is postgres://user:password@host:port/name or sqlite:///absolute/path.db.
	URL string
	// ReadOnly opens the read model as it is: nothing is created, brought up to date or bound to the log.
	ReadOnly bool
	// LogID identifies the log that is projected. A database that belongs to another log is refused. With ReadOnly it may
	// be empty: whose log it is does not matter then.
	LogID string
	// Clock tells the time, for the record of migrations.
	Clock  func() time.Time
	Logger *slog.Logger
	// ReadWait bounds how long a query may take, waiting for a version included. Default 5 s.
	ReadWait time.Duration
	// Wait bounds how long Open goes on trying while the server does not answer, or says that it takes nobody just then.
	// Zero tries once.
	Wait time.Duration
}

const (
	// openPatience bounds how long Open may take, waiting for another node's migrations included.
	openPatience = time.Minute
	pingPatience = 2 * time.Second
	// busyTries and busyPause bound the waiting for another one that is opening the same file.
	busyTries = 100
	busyPause = 50 * time.Millisecond
	// awayPause is the pause between two tries to reach a server.
	awayPause = 250 * time.Millisecond
)

// ReadModel is the SQL read model. Its methods may be called from any goroutine.
type ReadModel struct {
	cfg     Config
	db      *database
	waiters waiters
	// scans has a place for each costly read that goes on.
	scans chan struct{}
	// readTrouble is the text of the last failed read, so that trouble that lasts is logged once.
	readTrouble atomic.Pointer[string]
	// seal names the file for the checksum of a SQLite file that this process may rely on; see Recover.
	seal string
}

// Open connects to the database, brings its tables up to date and makes sure that they belong to the log. The error is
// one sentence that says what to do. With ReadOnly it changes nothing, and fails with ErrEmpty when there are no tables.
func Open(ctx context.Context, cfg Config) (*ReadModel, error) {
	if cfg.ReadWait == 0 {
		cfg.ReadWait = 5 * time.Second
	}
	if cfg.ReadOnly && noFile(cfg.URL) {
		return nil, ErrEmpty // Opening it would make one.
	}
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	for tries := busyTries; ; tries-- {
		m, err := openAnswering(ctx, cfg)
		if err == nil || tries == 0 || !isBusy(err) {
			return m, err
		}
		select {
		case <-time.After(busyPause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// openAnswering opens the read model once its server answers, for which it waits as long as is configured.
func openAnswering(ctx context.Context, cfg Config) (*ReadModel, error) {
	enough := time.After(cfg.Wait)
	for told := false; ; told = true {
		m, err := openOnce(ctx, cfg)
		var away awayError
		if cfg.Wait == 0 || !errors.As(err, &away) {
			return m, err
		}
		if !told {
			cfg.Logger.Warn("the database does not answer; waiting for it", "wait", cfg.Wait, "error", err)
		}
		select {
		case <-time.After(awayPause):
		case <-enough:
			return nil, err
		case <-ctx.Done():
			return nil, err
		}
	}
}

// isBusy tells whether SQLite refused because another one was just opening the file: turning its write-ahead log on is
// the one thing for which it does not wait.
func isBusy(err error) bool { return strings.Contains(err.Error(), "SQLITE_BUSY") }

func openOnce(ctx context.Context, cfg Config) (*ReadModel, error) {
	db, err := openDatabase(ctx, cfg.URL)
	if err != nil {
		return nil, err
	}
	m := &ReadModel{
		cfg: cfg, db: db, waiters: waiters{byAccount: map[string]map[chan struct{}]struct{}{}},
		scans: make(chan struct{}, max(2, db.readers/4)),
	}
	if err := m.prepare(ctx); err != nil {
		_ = db.close()
		return nil, db.explain(err)
	}
	return m, nil
}

func (m *ReadModel) prepare(ctx context.Context) error {
	if m.cfg.ReadOnly {
		return m.inspect(ctx)
	}
	if err := m.migrate(ctx); err != nil {
		return err
	}
	return m.claim(ctx)
}

// claim binds an unused database to the log, and refuses one that is bound to another.
func (m *ReadModel) claim(ctx context.Context) error {
	_, err := m.db.write.NewRaw("INSERT INTO meta (name, value) VALUES ('log_id', ?) ON CONFLICT (name) DO NOTHING", m.cfg.LogID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("recording the log's id: %w", err)
	}
	var owner string
	if err := m.db.write.NewRaw("SELECT value FROM meta WHERE name = 'log_id'").Scan(ctx, &owner); err != nil {
		return fmt.Errorf("reading the log's id: %w", err)
	}
	return m.checkOwner(owner)
}

func (m *ReadModel) checkOwner(owner string) error {
	if owner != m.cfg.LogID {
		return setupError{fmt.Sprintf("the database %s belongs to log %s and not to log %s: name an empty database, or the log it belongs to",
			m.db.name, owner, m.cfg.LogID)}
	}
	return nil
}

// Close ends all connections. Queries still running fail.
func (m *ReadModel) Close() error {
	if err := m.db.close(); err != nil || m.seal == "" {
		return err
	}
	return sealFile(m.seal)
}

// Ping asks the database for a sign of life, a bounded time. It refuses with UNAVAILABLE.
func (m *ReadModel) Ping(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	return m.readError(ctx, m.db.read.PingContext(bounded))
}

// readError turns a failed read into what clients may see, and logs the cause once per change. A refusal stays as it is;
// what is damaged is an error without a code, which whoever answers logs as a fault inside.
func (m *ReadModel) readError(ctx context.Context, err error) error {
	if err == nil {
		if m.readTrouble.Load() != nil && m.readTrouble.Swap(nil) != nil {
			m.cfg.Logger.Info("the read model answers again")
		}
		return nil
	}
	if ctx.Err() != nil { // The caller's own end, not the read model's fault.
		return ctx.Err()
	}
	var refusal *domain.Refusal
	if errors.As(err, &refusal) {
		return err
	}
	if isDamage(err) || isMalformed(err) {
		return fmt.Errorf("the read model is damaged, run daybook verify to learn where: %w", err)
	}
	text := err.Error()
	if last := m.readTrouble.Swap(&text); last == nil || *last != text {
		m.cfg.Logger.Error("the read model cannot be read and queries are refused; look whether the database runs and can be reached", "error", err)
	}
	return domain.Refuse(domain.Unavailable, "", "the read model cannot be reached at the moment; try again")
}

// isDamage tells whether a read failed for what it found. Sums of amounts are PostgreSQL's own to read.
func isDamage(err error) bool {
	var row damaged
	var server *pgconn.PgError
	const dataException = "22"
	return errors.As(err, &row) || (errors.As(err, &server) && strings.HasPrefix(server.Code, dataException))
}
