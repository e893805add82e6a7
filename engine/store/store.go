// Package store keeps the folded state of the partitions on local disk, so that a restart reads only the tail of the
// log. It is the only package that knows Pebble. Losing it costs a replay, never data.
package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"daybook/domain/account"
	"daybook/eventstore"
)

const (
	cacheBytes    = 128 << 20
	memtableBytes = 32 << 20
)

// Store is the state of all partitions. Its methods may be called from any goroutine.
type Store struct {
	db *pebble.DB
}

// Position is how far the state of a partition has come. It is written with the state it belongs to.
type Position struct {
	// Next is the offset of the first event not folded.
	Next int64
	// LastTime is the greatest timestamp folded.
	LastTime time.Time
	// Progress is the owner's position in its inputs, as the log tells it.
	Progress eventstore.Progress
}

// Outcome is what an idempotency key is remembered by: enough to give the same answer again.
type Outcome struct {
	Fingerprint   eventstore.Fingerprint
	TransactionID string
	// State is the account right after the command.
	State account.State
}

// Leg is what became of one leg of a transaction on one account.
type Leg struct {
	// RefusalCode is set when the credit was refused.
	RefusalCode string
}

// LegKind distinguishes the legs an account can have in one transaction.
type LegKind byte

// The kinds of leg that arrive as commands, and may arrive again.
const (
	LegCredit   LegKind = 'c'
	LegReversal LegKind = 'r'
)

// Open opens or creates the store in a directory.
//
// There is no write-ahead log: after a crash the store holds an older but consistent state, and its offset says from
// where to read on.
func Open(dir string, log *slog.Logger) (*Store, error) {
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	opts := &pebble.Options{
		Cache: cache, MemTableSize: memtableBytes, DisableWAL: true, Logger: bridge{log},
		MemTableStopWritesThreshold: 4, L0CompactionThreshold: 4, L0StopWritesThreshold: 20,
		FormatMajorVersion: pebble.FormatNewest,
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("opening the state store in %s (it can be deleted; it is rebuilt from the log): %w", dir, err)
	}
	return &Store{db: db}, nil
}

// bridge passes Pebble's log on. What it says in the course of its work is of interest to nobody but its authors.
type bridge struct{ log *slog.Logger }

// Infof implements pebble.Logger.
func (b bridge) Infof(format string, args ...any) {
	b.log.Debug("state store", "message", fmt.Sprintf(format, args...))
}

// Errorf implements pebble.Logger.
func (b bridge) Errorf(format string, args ...any) {
	b.log.Error("state store", "message", fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger, which does not return from it.
func (b bridge) Fatalf(format string, args ...any) {
	panic("the state store is damaged; delete its directory, and it is built again: " + fmt.Sprintf(format, args...))
}

// Close writes what is in memory to disk and closes the store.
func (s *Store) Close() error {
	return errors.Join(s.db.Flush(), s.db.Close())
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
func (s *Store) Outcome(partition int32, accountID, idempotencyKey string) (Outcome, bool, error) {
	var outcome Outcome
	found, err := s.get(key(partition, 'i', accountID, idempotencyKey), func(value []byte) (err error) {
		outcome, err = decodeOutcome(accountID, value)
		return err
	})
	return outcome, found, err
}

// Leg returns what became of a leg of a transaction on an account.
func (s *Store) Leg(partition int32, accountID, transactionID string, kind LegKind) (Leg, bool, error) {
	var leg Leg
	found, err := s.get(key(partition, 't', accountID, transactionID, string(rune(kind))), func(value []byte) error {
		leg.RefusalCode = string(value)
		return nil
	})
	return leg, found, err
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

// LogID returns the identity of the log that the store belongs to, empty when the store is new.
func (s *Store) LogID() (string, error) {
	var id string
	_, err := s.get([]byte("log"), func(value []byte) error {
		id = string(value)
		return nil
	})
	return id, err
}

// SetLogID records the identity that LogID returns.
func (s *Store) SetLogID(id string) error {
	return s.db.Set([]byte("log"), []byte(id), pebble.NoSync)
}

// Reset forgets all there is about a partition.
func (s *Store) Reset(partition int32) error {
	return s.db.DeleteRange(prefix(partition), prefix(partition+1), pebble.NoSync)
}

func (s *Store) get(k []byte, use func([]byte) error) (bool, error) {
	value, closer, err := s.db.Get(k)
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
func (b *Batch) PutOutcome(accountID, idempotencyKey string, o *Outcome) {
	b.put(key(b.partition, 'i', accountID, idempotencyKey), appendOutcome(nil, o))
}

// PutLeg records what became of a leg.
func (b *Batch) PutLeg(accountID, transactionID string, kind LegKind, leg Leg) {
	b.put(key(b.partition, 't', accountID, transactionID, string(rune(kind))), []byte(leg.RefusalCode))
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
