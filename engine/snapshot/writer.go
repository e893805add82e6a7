package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"time"

	"daybook/engine/store"
	"daybook/eventstore"
)

const (
	// cleanUpTimeout bounds how long a checkpoint that was given up is cleared away.
	cleanUpTimeout = 5 * time.Second
	// retryAfter is how long a partition is left alone after something went wrong.
	retryAfter = time.Minute
)

// errNotOwned ends a checkpoint of a partition that was handed to another node.
var errNotOwned = errors.New("the partition was handed to another node")

// Writer writes checkpoints of the partitions that this node owns, one at a time.
type Writer struct {
	cfg Config
	// due is the offset from which on a partition is worth another look, rested the time before which it is not.
	due      map[int32]int64
	rested   map[int32]time.Time
	catalogs map[int32]*catalog
}

// NewWriter makes a writer; Run starts it.
func NewWriter(cfg Config) *Writer {
	return &Writer{cfg: cfg.withDefaults(), due: map[int32]int64{}, rested: map[int32]time.Time{}, catalogs: map[int32]*catalog{}}
}

// Run writes checkpoints as they come due, until ctx ends. What goes wrong is logged and tried again later: checkpoints
// are a convenience.
func (w *Writer) Run(ctx context.Context) error {
	defer func() {
		for _, c := range w.catalogs {
			c.close()
		}
	}()
	for sleep(ctx, w.cfg.Interval) == nil {
		owned := w.cfg.Owned()
		for p := range w.cfg.Partitions {
			if !slices.Contains(owned, p) {
				w.forget(p)
				continue
			}
			if w.cfg.Clock().Before(w.rested[p]) {
				continue
			}
			if err := w.look(ctx, p); err != nil && ctx.Err() == nil {
				w.forget(p)
				w.rested[p] = w.cfg.Clock().Add(retryAfter)
				w.cfg.Metrics.failed[p].Inc()
				w.cfg.Logger.Warn("a checkpoint could not be written; trying again later", "partition", p, "error", err)
			}
		}
	}
	return nil
}

// forget lets go of what is known of a partition's checkpoints, which others may change.
func (w *Writer) forget(partition int32) {
	if c, ok := w.catalogs[partition]; ok {
		c.close()
		delete(w.catalogs, partition)
		delete(w.due, partition)
	}
}

// look writes a partition's checkpoint if it is due.
func (w *Writer) look(ctx context.Context, partition int32) error {
	position, err := w.cfg.Store.Position(partition)
	if err != nil || position.Next < max(w.due[partition], w.cfg.MinEvents) {
		return err
	}
	c, ok := w.catalogs[partition]
	if !ok {
		if c, err = w.cfg.openCatalog(partition); err != nil {
			return err
		}
		w.catalogs[partition] = c
	}
	if err := c.update(ctx, nil); err != nil {
		return err
	}
	good, _, err := c.usable(ctx)
	if err != nil {
		return err
	}
	if len(good) > 0 {
		if w.due[partition] = w.cfg.dueAfter(good[0].manifest); position.Next < w.due[partition] {
			return nil
		}
	}
	m, err := c.write(ctx)
	if err == nil {
		w.due[partition] = w.cfg.dueAfter(m)
	}
	return err
}

// dueAfter returns the offset at which the next checkpoint is due.
func (c *Config) dueAfter(m *manifest) int64 {
	return m.Position.Next + c.LongestTail(m.Entries)
}

// LongestTail returns how many offsets may follow a checkpoint of a state with so many entries before the next is due: when
// folding them costs much more than taking the state in, and not so soon that writing checkpoints costs more than deciding.
func (c Config) LongestTail(entries int64) int64 {
	c = c.withDefaults()
	return max(c.MinEvents, entries/c.EntriesPerEvent)
}

// Write writes a checkpoint of a partition now.
func Write(ctx context.Context, cfg Config, partition int32) error {
	cfg = cfg.withDefaults()
	if cfg.Owned == nil {
		cfg.Owned = func() []int32 { return []int32{partition} }
	}
	c, err := cfg.openCatalog(partition)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.update(ctx, nil); err != nil {
		return err
	}
	_, err = c.write(ctx)
	return err
}

// write writes a checkpoint, reads it back, and deletes what it makes superfluous. It returns the checkpoint that is the
// last one then, which another writer may have made meanwhile.
func (c *catalog) write(ctx context.Context) (*manifest, error) {
	began := c.Clock()
	appender := c.Log.OpenAppender(topic, c.partition)
	defer appender.Close() //nolint:errcheck // What was written was answered.
	d := &draft{catalog: c, id: c.NewID(), appender: appender, sum: sha256.New()}
	m, err := d.chunks(ctx)
	if err != nil {
		d.giveUp(ctx)
		return nil, err
	}
	heard := newEcho(d.id)
	if err := c.update(ctx, heard); err != nil {
		d.giveUp(ctx)
		return nil, err
	}
	if heard.broken || heard.chunks != m.Chunks || heard.digest() != m.SHA256 {
		d.giveUp(ctx)
		return nil, errors.New("a checkpoint was read back otherwise than it was written")
	}
	m.FirstChunk = heard.first
	if good, _, err := c.usable(ctx); err != nil || len(good) > 0 && good[0].manifest.Position.Next >= m.Position.Next {
		d.giveUp(ctx)
		if err != nil {
			return nil, err
		}
		return good[0].manifest, nil // Another writer's is as good.
	}
	if err := d.manifest(ctx, m); err != nil {
		// It may be in the log, where it is of use; the next one tells.
		return nil, err
	}
	took := c.Clock().Sub(began)
	c.Metrics.written[c.partition].Inc()
	c.Metrics.write.Observe(took.Seconds())
	c.Logger.Info("checkpoint written", "partition", c.partition, "checkpoint", d.id, "offset", m.Position.Next,
		"entries", m.Entries, "bytes", m.bytes(), "took", took)
	return m, c.clear(ctx, appender, d.id)
}

// clear deletes what is superfluous, once the manifest just written is read back.
func (c *catalog) clear(ctx context.Context, appender eventstore.Appender, id string) error {
	if err := c.update(ctx, nil); err != nil {
		return err
	}
	if k := c.known[id]; k == nil || !k.hasManifest {
		return errors.New("a checkpoint's manifest was not read back")
	}
	all, err := c.superfluous(ctx)
	if err != nil {
		return err
	}
	for _, k := range all {
		if err := c.delete(ctx, appender, k); err != nil {
			return err
		}
	}
	return nil
}

// delete deletes a checkpoint, its manifest first.
func (c *catalog) delete(ctx context.Context, appender eventstore.Appender, k *checkpoint) error {
	var keys [][]byte
	if k.hasManifest {
		keys = append(keys, keyOf(k.id, manifestRecord))
	}
	for n := range k.chunks {
		keys = append(keys, keyOf(k.id, strconv.Itoa(n)))
	}
	return deleteKeys(ctx, appender, keys, c.Clock())
}

func deleteKeys(ctx context.Context, appender eventstore.Appender, keys [][]byte, now time.Time) error {
	for some := range slices.Chunk(keys, deletionsAtOnce) {
		messages := make([]eventstore.Message, len(some))
		for i, key := range some {
			messages[i] = eventstore.Message{Key: key, Time: now}
		}
		if err := appender.Append(ctx, messages); err != nil {
			return fmt.Errorf("deleting an old checkpoint: %w", err)
		}
	}
	return nil
}

// draft is a checkpoint being written.
type draft struct {
	*catalog
	id       string
	appender eventstore.Appender
	sum      hash.Hash
	// sent is how many chunks were sent; pending waits to be.
	sent    int
	pending []byte
}

// chunks writes the chunks of the state as it is now.
func (d *draft) chunks(ctx context.Context) (*manifest, error) {
	export, err := d.Store.Export(d.partition)
	if err != nil {
		return nil, err
	}
	defer export.Close() //nolint:errcheck // It was only read.
	encoding, position := d.Store.Encoding(), export.Position()
	if position.Last == (store.LastEvent{}) {
		return nil, errors.New("there is no event yet that it could be of")
	}
	// The last event is the one that was folded, not what the log has in its place by now.
	m := &manifest{
		Format: formatVersion, Values: encoding.Values, Tables: encoding.Tables, LogID: d.LogID, Partition: d.partition,
		Position: positionOf(position), LastEvent: lastEventOf(position.Last),
	}
	err = export.Tables(func(table []byte) error {
		if !slices.Contains(d.Owned(), d.partition) {
			return errNotOwned
		}
		m.TableBytes = append(m.TableBytes, int64(len(table)))
		return d.add(ctx, table)
	})
	if err == nil && len(d.pending) > 0 {
		err = d.send(ctx, d.pending)
	}
	m.Entries, m.Chunks, m.SHA256 = export.Entries(), d.sent, hex.EncodeToString(d.sum.Sum(nil))
	return m, err
}

func (d *draft) add(ctx context.Context, table []byte) error {
	for len(table) > 0 {
		n := min(len(table), chunkBytes-len(d.pending))
		d.pending, table = append(d.pending, table[:n]...), table[n:]
		if len(d.pending) < chunkBytes {
			return nil
		}
		if err := d.send(ctx, d.pending); err != nil {
			return err
		}
		d.pending = d.pending[:0]
	}
	return nil
}

func (d *draft) send(ctx context.Context, chunk []byte) error {
	d.sum.Write(chunk) //nolint:errcheck // A hash never fails.
	number := strconv.Itoa(d.sent)
	d.sent++ // It may be there even if there is no answer.
	message := eventstore.Message{Key: keyOf(d.id, number), Value: chunk, Time: d.Clock()}
	if err := d.appender.Append(ctx, []eventstore.Message{message}); err != nil {
		return fmt.Errorf("writing a checkpoint: %w", err)
	}
	return d.pace(ctx, len(chunk))
}

func (d *draft) manifest(ctx context.Context, m *manifest) error {
	value, err := json.Marshal(m)
	if err != nil {
		return err
	}
	message := eventstore.Message{Key: keyOf(d.id, manifestRecord), Value: value, Time: d.Clock()}
	if err := d.appender.Append(ctx, []eventstore.Message{message}); err != nil {
		return fmt.Errorf("writing a checkpoint's manifest: %w", err)
	}
	return nil
}

// giveUp deletes the chunks sent so far, if it can; otherwise they are deleted when two newer checkpoints are complete.
func (d *draft) giveUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	keys := make([][]byte, d.sent)
	for n := range keys {
		keys[n] = keyOf(d.id, strconv.Itoa(n))
	}
	if err := deleteKeys(ctx, d.appender, keys, d.Clock()); err != nil {
		d.Logger.Debug("a checkpoint that was given up is not cleared away yet", "partition", d.partition, "error", err)
	}
}
