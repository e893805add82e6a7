// Package embedded runs a Kafka-protocol broker inside the process, on a data directory, for development, demos and
// small single-node use. It is the only package that knows kfake.
package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"daybook/eventstore"
	"daybook/internal/datadir"
	"daybook/internal/planted"
)

const (
	// MinFreeBytes is the free space below which commands are refused: a full disk could be acknowledged.
	MinFreeBytes = 256 << 20
	// WarnLogBytes is where the log has grown past what this broker is for: it is read into memory at start.
	WarnLogBytes = 2 << 30
	// logFolder is where the log lies in the data directory.
	logFolder = "log"

	clusterID = "daybook"
	// maxPartitions bounds what is believed of a file.
	maxPartitions = 1 << 16
)

// ErrFull is why a broker is not healthy while the disk has too little space: it is again once some was freed.
var ErrFull = errors.New("the disk is nearly full")

// Broker is a running embedded broker.
type Broker struct {
	cluster *kfake.Cluster
	lock    *datadir.Lock
	dir     string
	damaged atomic.Pointer[string]
}

// Open locks the directory, creating it if needed, and starts the broker on it, listening on a free loopback port. It
// refuses a directory that is being restored, or whose restoring was broken off.
func Open(dir string, log *slog.Logger) (*Broker, error) {
	if err := datadir.CheckFinished(dir); err != nil {
		return nil, err
	}
	return OpenUnfinished(dir, log)
}

// OpenUnfinished is Open for a directory that is being restored.
func OpenUnfinished(dir string, log *slog.Logger) (*Broker, error) {
	lock, err := datadir.Acquire(dir)
	if err != nil {
		return nil, err
	}
	b := &Broker{lock: lock, dir: dir}
	logDir := filepath.Join(dir, logFolder)
	if size := directorySize(logDir); size > WarnLogBytes {
		log.Warn("the embedded log is larger than this broker is meant for, and is read into memory at start; move to a Kafka cluster",
			"bytes", size)
	}
	if err := inspect(logDir, log); err != nil {
		_ = lock.Close()
		return nil, err
	}
	b.cluster, err = kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.DataDir(logDir),
		kfake.SyncWrites(),
		kfake.ClusterID(clusterID),
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
	b.cluster.Fault(b.refusal())
	return b, nil
}

// refusal refuses whatever would be written to the log once a write has failed. The broker counts a failed batch's sequence
// numbers as used, so it would take the batches behind it, which were decided on top of it, in its place. It looks at one
// request at a time and tells of a failed write before it looks at the next.
func (b *Broker) refusal() kfake.Fault {
	return kfake.Fault{
		Keys:  []kmsg.Key{kmsg.Produce, kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.EndTxn},
		Err:   kerr.KafkaStorageError,
		Count: -1,
		When:  func(kmsg.Request) bool { return b.damaged.Load() != nil },
	}
}

// Addresses are where the broker listens.
func (b *Broker) Addresses() []string { return b.cluster.ListenAddrs() }

// Close stops the broker, saves what it keeps beside the log, and releases the directory.
func (b *Broker) Close() error {
	b.cluster.Close()
	return b.lock.Close()
}

// Healthy returns an error when commands must not be acknowledged: ErrFull while there is too little space, another after a
// failed write.
func (b *Broker) Healthy() error {
	if what := b.damaged.Load(); what != nil {
		return fmt.Errorf("the embedded log could not be written (%s): free space or replace the disk, then restart", *what)
	}
	free, err := b.FreeBytes()
	if err != nil {
		return err
	}
	if free < MinFreeBytes || planted.Full() && !planted.Bug("disk ignored") {
		return fmt.Errorf("%w: only %d MB are free, and commands are refused below %d MB: free some space", ErrFull, free>>20, MinFreeBytes>>20)
	}
	return nil
}

// FreeBytes is the space that is left where the log lies.
func (b *Broker) FreeBytes() (uint64, error) { return FreeBytes(b.dir) }

// FreeBytes is the space that is left where a directory lies.
func FreeBytes(dir string) (uint64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}

// LogBytes is the size of the log on disk.
func (b *Broker) LogBytes() int64 { return directorySize(filepath.Join(b.dir, logFolder)) }

func directorySize(dir string) int64 {
	var total int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
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

// bridge passes the broker's log on, and notices failed writes by what it says of them. Of a failed fsync it says nothing, and
// acknowledges what may not survive a power cut.
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
	l.log.Warn("the embedded broker reports trouble; if it could not write, free space or replace the disk, then restart", "message", text)
}
