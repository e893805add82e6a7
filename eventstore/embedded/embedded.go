// Package embedded runs a Kafka-protocol broker inside the process, on a data directory, for development, demos and
// small single-node use. It is the only package that knows kfake.
package embedded

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"

	"daybook/eventstore"
)

const (
	// MinFreeBytes is the free space below which commands are refused: a full disk could be acknowledged.
	MinFreeBytes = 256 << 20
	// WarnLogBytes is where the log has grown past what this broker is for: it is read into memory at start.
	WarnLogBytes = 2 << 30
)

// ErrInUse means another process works on the data directory.
var ErrInUse = errors.New("the data directory is in use by another process: stop it or choose another directory")

// Broker is a running embedded broker.
type Broker struct {
	cluster *kfake.Cluster
	lock    *os.File
	dir     string
	damaged atomic.Pointer[string]
}

// Open locks the directory, creating it if needed, and starts the broker on it, listening on a free loopback port.
func Open(dir string, log *slog.Logger) (*Broker, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory cannot be created: %w", err)
	}
	lock, err := acquire(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	b := &Broker{lock: lock, dir: dir}
	logDir := filepath.Join(dir, "log")
	if size := directorySize(logDir); size > WarnLogBytes {
		log.Warn("the embedded log is larger than this broker is meant for, and is read into memory at start; move to a Kafka cluster",
			"bytes", size)
	}
	b.cluster, err = kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.DataDir(logDir),
		kfake.SyncWrites(),
		kfake.ClusterID("daybook"),
		kfake.WithLogger(&bridge{log: log, broker: b}),
		kfake.BrokerConfigs(map[string]string{
			"message.max.bytes":          strconv.Itoa(eventstore.MaxEventBytes + 2<<20),
			"log.retention.ms":           "-1",
			"log.retention.bytes":        "-1",
			"transaction.max.timeout.ms": "900000",
		}),
	)
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("starting the embedded broker on %s: %w", dir, err)
	}
	return b, nil
}

// Addresses are where the broker listens.
func (b *Broker) Addresses() []string { return b.cluster.ListenAddrs() }

// Close stops the broker, saves what it keeps beside the log, and releases the directory.
func (b *Broker) Close() error {
	b.cluster.Close()
	return b.lock.Close()
}

// Healthy returns an error when commands must not be acknowledged: too little space, or a failed write.
func (b *Broker) Healthy() error {
	if what := b.damaged.Load(); what != nil {
		return fmt.Errorf("the embedded log could not be written (%s): free space or replace the disk, then restart", *what)
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(b.dir, &fs); err != nil {
		return fmt.Errorf("asking for the free space of %s: %w", b.dir, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < MinFreeBytes {
		return fmt.Errorf("only %d MB of disk are free, commands are refused below %d MB: free some space", free>>20, MinFreeBytes>>20)
	}
	return nil
}

func acquire(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the data directory cannot be used: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(lock, 20))
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w (process %s holds %s)", ErrInUse, strings.TrimSpace(string(holder)), path)
		}
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	_ = lock.Truncate(0)
	_, _ = fmt.Fprintln(lock, os.Getpid())
	return lock, nil
}

func directorySize(dir string) int64 {
	var total int64
	_ = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // A file that went away does not count.
		}
		if info, err := d.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}

// bridge passes the broker's log on, and notices failed writes, which the broker itself acknowledges.
type bridge struct {
	log    *slog.Logger
	broker *Broker
}

// Logf implements kfake.Logger.
func (l *bridge) Logf(level kfake.LogLevel, format string, args ...any) {
	if level > kfake.LogLevelWarn {
		return
	}
	text := fmt.Sprintf(format, args...)
	if strings.HasPrefix(text, "persist ") {
		l.broker.damaged.CompareAndSwap(nil, &text)
	}
	l.log.Warn("embedded broker", "message", text)
}
