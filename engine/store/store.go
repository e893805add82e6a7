// Package store keeps the folded state of the partitions on local disk, so that a restart reads only the tail of the
// log. It is the only package that knows Pebble. Losing it costs a replay, never data.
package store

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"daybook/domain/account"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

// CacheBytes is the most that the cache of what was read takes.
const CacheBytes = 128 << 20

const memtableBytes = 32 << 20

// Store is the state of all partitions. Its methods may be called from any goroutine.
type Store struct {
	db       *pebble.DB
	dir      string
	options  *pebble.Options
	troubles *troubles
	// closing is held to tell of a store that could be closed meanwhile.
	closing sync.Mutex
	closed  bool
}

// Position is how far the state of a partition has come. It is written with the state it belongs to.
type Position struct {
	// Next is the offset of the first event not folded.
	Next int64
	// LastTime is the greatest timestamp folded.
	LastTime time.Time
	// Progress is the owner's position in its inputs, as the log tells it.
	Progress eventstore.Progress
	// Last is the last event folded; its zero value when there is none.
	Last LastEvent
}

// LastEvent is an event and where it stands. A log that lost its end and was written on has another in its place.
type LastEvent struct {
	Offset int64
	SHA256 [sha256.Size]byte
}

// LastEventAt makes the LastEvent of an event's bytes.
func LastEventAt(offset int64, value []byte) LastEvent {
	return LastEvent{Offset: offset, SHA256: sha256.Sum256(value)}
}

// OutcomeKey is an account's idempotency key.
type OutcomeKey struct{ AccountID, Key string }

// LegKey is one leg of a transaction on an account.
type LegKey struct {
	AccountID, TransactionID string
	Kind                     ledger.LegKind
}

// Open opens or creates the store in a directory.
//
// There is no write-ahead log: after a crash the store holds an older but consistent state, and its offset says from
// where to read on.
func Open(dir string, log *slog.Logger) (*Store, error) {
	cache := pebble.NewCache(CacheBytes)
	defer cache.Unref()
	opts := &pebble.Options{
		Cache: cache, MemTableSize: memtableBytes, DisableWAL: true,
		MemTableStopWritesThreshold: 4, L0CompactionThreshold: 4, L0StopWritesThreshold: 20,
		FormatMajorVersion: pebble.FormatNewest,
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	opts.Logger = bridge{log, dir}
	t := &troubles{log: log, dir: dir}
	opts.EventListener = &pebble.EventListener{BackgroundError: t.failed, FlushEnd: t.flushed}
	// What is taken in is part of the store at once, and not only when what is in memory is written: there is no
	// write-ahead log that would tell of it.
	opts.Experimental.DisableIngestAsFlushable = func() bool { return true }
	opts.EnsureDefaults() // For the tables of exports too.
	if isMarked(dir) {
		if err := discard(dir, "reading it failed when it was used last", log); err != nil {
			return nil, err
		}
	}
	db, err := pebble.Open(dir, opts)
	if isDamage(err) {
		if err := discard(dir, err.Error(), log); err != nil {
			return nil, err
		}
		db, err = pebble.Open(dir, opts)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the state store in %s (free disk space or mend its rights; it can be deleted, and is built again from the log): %w", dir, err)
	}
	s := &Store{db: db, dir: dir, options: opts, troubles: t}
	if err := os.RemoveAll(s.incoming()); err != nil { // Of an import that was broken off.
		return nil, errors.Join(fmt.Errorf("clearing %s: %w", s.incoming(), err), db.Close())
	}
	return s, nil
}

// Close writes what is in memory to disk and closes the store. While writing fails, that is left out.
func (s *Store) Close() error {
	s.closing.Lock()
	defer s.closing.Unlock()
	s.closed = true
	if s.Trouble() != nil {
		return s.db.Close()
	}
	return errors.Join(s.db.Flush(), s.db.Close())
}

// Cached is how many bytes the cache takes, at most CacheBytes; 0 of a store that is closed.
func (s *Store) Cached() int64 {
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.closed {
		return 0
	}
	return s.db.Metrics().BlockCache.Size
}

// Account returns the state of an account; its zero value when nothing is known of it.
func (s *Store) Account(partition int32, id string) (account.State, error) {
	var state account.State
	_, err := s.get(key(partition, 'a', id), func(value []byte) (err error) {
		state, err = decodeState(id, value)
		return err
	})
	return state, err
}

// Outcome returns what an account's idempotency key led to.
func (s *Store) Outcome(partition int32, k OutcomeKey) (ledger.Outcome, bool, error) {
	var outcome ledger.Outcome
	found, err := s.get(k.in(partition), func(value []byte) (err error) {
		outcome, err = decodeOutcome(k.AccountID, value)
		return err
	})
	return outcome, found, err
}

// Leg returns what became of a leg of a transaction on an account.
func (s *Store) Leg(partition int32, k LegKey) (ledger.Leg, bool, error) {
	var leg ledger.Leg
	found, err := s.get(k.in(partition), func(value []byte) error {
		leg.RefusalCode = string(value)
		return nil
	})
	return leg, found, err
}

// Hold returns a hold; its zero value when nothing is known of it.
func (s *Store) Hold(partition int32, id string) (account.Hold, error) {
	var h account.Hold
	_, err := s.get(key(partition, 'h', id), func(value []byte) (err error) {
		h, err = decodeHold(id, value)
		return err
	})
	return h, err
}

// DueHolds returns the ids of at most so many active holds whose time is over, the oldest first.
func (s *Store) DueHolds(partition int32, now time.Time, most int) (ids []string, err error) {
	from := key(partition, 'x')
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: appendMoment(key(partition, 'x'), now.Add(time.Millisecond))})
	if err != nil {
		return nil, fmt.Errorf("reading the state store: %w", err)
	}
	for ok := it.First(); ok && len(ids) < most; ok = it.Next() {
		id := it.Key()[len(from)+8:]
		ids = append(ids, string(id[:len(id)-1]))
	}
	if err := it.Close(); err != nil {
		return nil, fmt.Errorf("reading the state store: %w", err)
	}
	return ids, nil
}

// Receipt returns what is remembered of a received payment; its zero value when nothing is.
func (s *Store) Receipt(partition int32, paymentID string) (account.Receipt, error) {
	var r account.Receipt
	_, err := s.get(key(partition, 'r', paymentID), func(value []byte) (err error) {
		r, err = decodeReceipt(paymentID, value)
		return err
	})
	return r, err
}

// Position returns how far a partition's state has come; the zero Position when nothing is stored.
func (s *Store) Position(partition int32) (Position, error) {
	var p Position
	_, err := s.get(key(partition, 'p'), func(value []byte) (err error) {
		p, err = decodePosition(value)
		return err
	})
	return p, err
}

// Coordinated returns the offset up to which this node itself recorded consequences, which can be ahead of what the
// log tells.
func (s *Store) Coordinated(partition int32) (int64, error) {
	var offset int64
	_, err := s.get(key(partition, 'o'), func(value []byte) error {
		v, n := binary.Varint(value)
		if n <= 0 {
			return errCorrupt
		}
		offset = v
		return nil
	})
	return offset, err
}

// SetCoordinated records the offset that Coordinated returns.
func (s *Store) SetCoordinated(partition int32, offset int64) error {
	return s.db.Set(key(partition, 'o'), binary.AppendVarint(nil, offset), pebble.NoSync)
}

// LogID returns the identity of the log that the store was folded from, empty when the store is new. One that another
// version of the program wrote is of no known log.
func (s *Store) LogID() (string, error) {
	var id string
	_, err := s.get([]byte("log"), func(value []byte) error {
		id = "unknown"
		if len(value) > 0 && value[0] == format {
			id = string(value[1:])
		}
		return nil
	})
	return id, err
}

// SetLogID records the identity that LogID returns.
func (s *Store) SetLogID(id string) error {
	return s.db.Set([]byte("log"), append([]byte{format}, id...), pebble.NoSync)
}

// Reset forgets all there is about a partition.
func (s *Store) Reset(partition int32) error {
	return s.db.DeleteRange(prefix(partition), prefix(partition+1), pebble.NoSync)
}

func (s *Store) get(k []byte, use func([]byte) error) (bool, error) { return read(s.db, k, use) }

func read(from pebble.Reader, k []byte, use func([]byte) error) (bool, error) {
	value, closer, err := from.Get(k)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the state store: %w", err)
	}
	defer closer.Close() //nolint:errcheck // It only returns a buffer.
	if err := use(value); err != nil {
		return false, fmt.Errorf("reading the state store (delete it to rebuild it from the log): %w", err)
	}
	return true, nil
}

// Batch collects changes of one partition's state, to be written together with its position.
type Batch struct {
	partition int32
	batch     *pebble.Batch
}

// NewBatch begins a batch. It must be committed or closed.
func (s *Store) NewBatch(partition int32) *Batch {
	return &Batch{partition: partition, batch: s.db.NewBatch()}
}

// PutAccount records an account's state.
func (b *Batch) PutAccount(state *account.State) {
	b.put(key(b.partition, 'a', state.ID), appendState(nil, state))
}

// PutOutcome records what an idempotency key led to.
func (b *Batch) PutOutcome(k OutcomeKey, o *ledger.Outcome) {
	b.put(k.in(b.partition), appendOutcome(nil, o))
}

// PutLeg records what became of a leg.
func (b *Batch) PutLeg(k LegKey, leg ledger.Leg) {
	b.put(k.in(b.partition), []byte(leg.RefusalCode))
}

// PutHold records a hold and, while it is active, when its time is over.
func (b *Batch) PutHold(h account.Hold) {
	b.put(key(b.partition, 'h', h.ID), appendHold(nil, &h))
	due := append(append(appendMoment(key(b.partition, 'x'), h.ExpiresAt), h.ID...), 0)
	if h.Status == account.HoldActive {
		b.put(due, nil)
		return
	}
	// Only a closed batch fails here, which is a mistake in this program.
	if err := b.batch.Delete(due, nil); err != nil {
		panic(err)
	}
}

// PutReceipt records what is remembered of a received payment.
func (b *Batch) PutReceipt(r account.Receipt) {
	b.put(key(b.partition, 'r', r.ID), appendReceipt(nil, &r))
}

// Commit writes the batch and the position it leads to, together.
func (b *Batch) Commit(p Position) error {
	b.put(key(b.partition, 'p'), appendPosition(nil, &p))
	if err := b.batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("writing the state store: %w", err)
	}
	return b.batch.Close()
}

// Close gives the batch up.
func (b *Batch) Close() { _ = b.batch.Close() }

func (b *Batch) put(k, value []byte) {
	// Only a closed batch fails here, which is a mistake in this program.
	if err := b.batch.Set(k, value, nil); err != nil {
		panic(err)
	}
}

func (k OutcomeKey) in(partition int32) []byte { return key(partition, 'i', k.AccountID, k.Key) }

func (k LegKey) in(partition int32) []byte {
	return key(partition, 't', k.AccountID, k.TransactionID, string(rune(k.Kind)))
}

// appendMoment appends a moment so that keys are in the order of time.
func appendMoment(k []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(k, uint64(t.UnixMilli()))
}

func prefix(partition int32) []byte {
	return binary.BigEndian.AppendUint32([]byte{'/'}, uint32(partition))
}

// key builds partition, kind and parts, each part ended by a zero byte, which no id or key contains.
func key(partition int32, kind byte, parts ...string) []byte {
	size := 6
	for _, part := range parts {
		size += len(part) + 1
	}
	k := make([]byte, 0, size)
	k = append(k, '/')
	k = binary.BigEndian.AppendUint32(k, uint32(partition))
	k = append(k, kind)
	for _, part := range parts {
		k = append(append(k, part...), 0)
	}
	return k
}
