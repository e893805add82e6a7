package snapshot

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"slices"
	"strconv"

	"daybook/eventstore"
)

// keep is how many checkpoints of a partition are kept: the last one, and one to fall back to.
const keep = 2

// catalog is what a writer knows of a partition's checkpoints. It follows the topic of snapshots.
type catalog struct {
	*Config
	partition int32
	reader    eventstore.Reader
	next      int64
	known     map[string]*checkpoint
}

// checkpoint is what the topic holds of one.
type checkpoint struct {
	id string
	// manifest is nil while none is there, or when it is damaged. manifestAt is its offset.
	manifest    *manifest
	hasManifest bool
	manifestAt  int64
	// chunks are the numbers of those that are there, last the offset of the last record.
	chunks map[int]bool
	last   int64
	// verdict, once asked for, tells whether it can be used.
	verdict error
	judged  bool
}

// echo is a run of chunks as it is read back.
type echo struct {
	id     string
	chunks int
	first  int64
	sum    hash.Hash
	broken bool
}

func newEcho(id string) *echo { return &echo{id: id, sum: sha256.New()} }

func (e *echo) hear(n int, m *eventstore.Message) {
	switch {
	case m.Value == nil || n > e.chunks:
		e.broken = true
	case n == e.chunks: // One whose answer was lost is there twice.
		if n == 0 {
			e.first = m.Offset
		}
		e.chunks++
		e.sum.Write(m.Value) //nolint:errcheck // A hash never fails.
	}
}

func (e *echo) digest() string { return hex.EncodeToString(e.sum.Sum(nil)) }

func (c *Config) openCatalog(partition int32) (*catalog, error) {
	start, err := c.Log.StartOffset(topic, partition)
	if err != nil {
		return nil, err
	}
	reader, err := c.Log.OpenReader(topic, partition)
	if err != nil {
		return nil, err
	}
	return &catalog{Config: c, partition: partition, reader: reader, next: start, known: map[string]*checkpoint{}}, nil
}

func (c *catalog) close() { _ = c.reader.Close() }

// update reads what came since; listen, when set, hears one checkpoint's chunks.
func (c *catalog) update(ctx context.Context, listen *echo) error {
	end, err := c.Log.EndOffset(topic, c.partition)
	if err != nil {
		return err
	}
	err = scan(ctx, c.reader, c.next, end, func(m *eventstore.Message) error {
		c.note(m, listen)
		c.next = m.Offset + 1
		return c.pace(ctx, len(m.Value))
	})
	if err == nil {
		c.next = max(c.next, end)
	}
	return err
}

func (c *catalog) note(m *eventstore.Message, listen *echo) {
	id, record := splitKey(m.Key)
	k := c.known[id]
	if k == nil {
		k = &checkpoint{id: id, chunks: map[int]bool{}}
		c.known[id] = k
	}
	k.last = m.Offset
	if record == manifestRecord {
		k.hasManifest, k.manifest, k.judged = m.Value != nil, nil, false
		if m.Value != nil {
			k.manifestAt = m.Offset
			k.manifest, _ = parseManifest(m.Value)
		}
	} else if n, err := strconv.Atoi(record); err == nil {
		if m.Value != nil {
			k.chunks[n] = true
		} else {
			delete(k.chunks, n)
		}
		if listen != nil && listen.id == id {
			listen.hear(n, m)
		}
	}
	if !k.hasManifest && len(k.chunks) == 0 {
		delete(c.known, id)
	}
}

// judge tells whether a checkpoint with a manifest can be used. Only what will not change is remembered.
func (c *catalog) judge(ctx context.Context, k *checkpoint) error {
	if k.judged {
		return k.verdict
	}
	err := error(unusable(reasonDamaged, "its manifest is damaged"))
	if k.manifest != nil {
		if err = c.check(c.partition, k.manifest); err == nil {
			err = c.checkLog(ctx, c.partition, k.manifest)
		}
	}
	k.verdict = err
	k.judged = err == nil || isWrong(err) && !errors.Is(err, errBeyond)
	return err
}

// usable returns the checkpoints that can be used, that of the highest offset first, and those that never can. The error
// is that of the cluster.
func (c *catalog) usable(ctx context.Context) (good, bad []*checkpoint, err error) {
	for _, k := range c.known {
		if !k.hasManifest {
			continue
		}
		var never *unusableError
		switch err := c.judge(ctx, k); {
		case err == nil:
			good = append(good, k)
		case errors.As(err, &never):
			bad = append(bad, k)
		case !isWrong(err):
			return nil, nil, err
		}
	}
	slices.SortFunc(good, func(a, b *checkpoint) int {
		return cmp.Or(cmp.Compare(b.manifest.Position.Next, a.manifest.Position.Next), cmp.Compare(b.manifestAt, a.manifestAt))
	})
	return good, bad, nil
}

// superfluous returns what can be deleted, once there are as many checkpoints as are kept: older ones, those that never
// can be used, and chunks without a manifest that came before the second newest was complete. Chunks that came later may
// belong to a checkpoint that another writer is still busy with.
func (c *catalog) superfluous(ctx context.Context) ([]*checkpoint, error) {
	good, bad, err := c.usable(ctx)
	if err != nil || len(good) < keep {
		return nil, err
	}
	all := append(bad, good[keep:]...)
	complete := min(good[0].manifestAt, good[1].manifestAt)
	for _, k := range c.known {
		if !k.hasManifest && k.last < complete {
			all = append(all, k)
		}
	}
	return all, nil
}
