package snapshot

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"daybook/domain/account"
	"daybook/engine"
	"daybook/engine/store"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

// twoCheckpoints writes a log with two checkpoints and returns their offsets.
func twoCheckpoints(t *testing.T) (w *world, older, newer int64) {
	t.Helper()
	w = newWorld(t)
	s := w.newStore()
	w.write(3000)
	older = w.checkpoint(w.follow(s))
	w.write(3000)
	newer = w.checkpoint(w.follow(s))
	w.write(500)
	if _, r := w.at(newer); len(r.chunks) < 3 {
		t.Fatalf("the checkpoint has %d chunks, too few to damage one in the middle", len(r.chunks))
	}
	return w, older, newer
}

func TestARestoreAndTheTailAreTheFoldOfTheWholeLog(t *testing.T) {
	w, _, newer := twoCheckpoints(t)
	s, at := w.restored()
	if at != newer {
		t.Errorf("restored at %d, want %d", at, newer)
	}
	if err := w.compare(w.follow(s)); err != nil {
		t.Error(err)
	}
}

// inPosition changes the position that a manifest tells.
func inPosition(name string, change func(float64) float64) func(*raw) {
	return func(r *raw) {
		p := r.manifest["position"].(map[string]any)
		p[name] = change(p[name].(float64))
	}
}

func set(name string, value any) func(*raw) { return func(r *raw) { r.manifest[name] = value } }

func TestAWrongCheckpointLeadsToTheOneBefore(t *testing.T) {
	w, older, newer := twoCheckpoints(t)
	id, sound := w.at(newer)
	w.remove(id, sound)
	for name, c := range map[string]struct {
		wrong  func(*raw)
		reason string
	}{
		"damaged chunk": {func(r *raw) {
			r.chunks[1] = bytes.Clone(r.chunks[1])
			r.chunks[1][1000] ^= 1
		}, "a chunk is damaged"},
		"chunks of one length exchanged":      {func(r *raw) { r.chunks[0], r.chunks[1] = r.chunks[1], r.chunks[0] }, "a chunk is damaged"},
		"first chunk missing":                 {func(r *raw) { r.chunks[0] = nil }, "chunk 0 of"},
		"middle chunk missing":                {func(r *raw) { r.chunks[1] = nil }, "chunk 1 of"},
		"last chunk missing":                  {func(r *raw) { r.chunks[len(r.chunks)-1] = nil }, "is missing"},
		"chunks before the topic's beginning": {func(r *raw) { r.firstChunk = -5 }, "chunk 0 of"},
		"chunks after their manifest":         {func(r *raw) { r.firstChunk = 1 << 40 }, "chunk 0 of"},
		"short chunk":                         {func(r *raw) { r.chunks[1] = r.chunks[1][:100] }, "is missing"},
		"long chunk":                          {func(r *raw) { r.chunks[1] = bytes.Repeat(r.chunks[1], 9) }, "is larger than"},
		"manifest missing":                    {func(r *raw) { r.manifest = nil }, ""},
		"empty manifest":                      {func(r *raw) { clear(r.manifest) }, "an older version of Daybook"},
		"another log":                         {set("logId", "cluster/other"), "it is of another log, cluster/other"},
		"another partition":                   {set("partition", 1), "it is of partition 1"},
		"another number of partitions":        {inPosition("partitions", func(n float64) float64 { return n + 1 }), "with 2 partitions"},
		"newer format":                        {set("format", formatVersion+1), "another version of Daybook"},
		"newer values":                        {set("values", 99), "another version of Daybook"},
		"newer tables":                        {set("tables", 99), "another version of Daybook"},
		"older values":                        {set("values", 1), "an older version of Daybook"},
		"offset that the log lacks":           {inPosition("next", func(n float64) float64 { return n + 1e6 }), "the log does not reach"},
		"one offset less than its state":      {inPosition("next", func(n float64) float64 { return n - 1 }), "contradicts itself"},
		"an event more than its state":        {inPosition("next", func(n float64) float64 { return n + 1 }), "the log has another event"},
		"another position than its state":     {inPosition("commands", func(n float64) float64 { return n + 1 }), "its manifest says"},
		"another event in its place": {func(r *raw) {
			r.manifest["lastEvent"].(map[string]any)["sha256"] = "00"
		}, "the log has another event"},
		"no tables":         {set("tableBytes", []int{}), "contradicts itself"},
		"tables of nothing": {set("tableBytes", []int{0, 5}), "contradicts itself"},
		"tables below zero": {set("tableBytes", []int{-5, 1 << 20}), "contradicts itself"},
		"boundless tables":  {set("tableBytes", []int{1 << 62, 1 << 62}), "contradicts itself"},
		"no chunks":         {set("chunks", 0), "contradicts itself"},
		"more chunks":       {set("chunks", 1<<40), "contradicts itself"},
		"no checksum":       {set("sha256", ""), "a chunk is damaged"},
		"wrong type":        {set("chunks", "many"), "manifest is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			w.t, w.said = t, testenv.Buffer{}
			r := sound.clone(t)
			c.wrong(r)
			id := w.put(r)
			defer w.remove(id, r)

			s, at := w.restored()

			if at != older {
				t.Errorf("restored at %d, want %d", at, older)
			}
			if !strings.Contains(w.said.String(), c.reason) {
				t.Errorf("nobody was told %q:\n%s", c.reason, w.said.String())
			}
			if err := w.compare(w.follow(s)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWithoutAnyRightCheckpointTheLogIsFolded(t *testing.T) {
	w, older, newer := twoCheckpoints(t)
	for _, offset := range []int64{older, newer} {
		id, r := w.at(offset)
		w.remove(id, r)
		r.chunks[0] = nil
		w.put(r)
	}
	w.append(topic, eventstore.Message{Key: keyOf("other", manifestRecord), Value: []byte("no manifest"), Time: time.Now()})

	s, at := w.restored()

	if at != 0 || !strings.Contains(w.said.String(), "manifest is damaged") {
		t.Errorf("restored at %d, want 0", at)
	}
	if damaged, others := w.refused(reasonDamaged), w.refused(reasonDiffers); damaged != 3 || others != 0 {
		t.Errorf("%v checkpoints are counted as damaged and %v as of another log, want 3 and none", damaged, others)
	}
	if err := w.compare(w.follow(s)); err != nil {
		t.Error(err)
	}
}

func TestACheckpointOfEventsThatTheLogLostIsNotUsed(t *testing.T) {
	w, older, newer := twoCheckpoints(t)
	want := w.folded()
	w.trimLog((older + newer) / 2)
	s, at := w.restored()
	if got, err := dump(w.follow(s)); at != newer || err != nil || got != want {
		t.Errorf("restored at %d, want %d, and a state as before; %v", at, newer, err)
	}

	w.trimLog(newer + 10)
	s, at = w.restored()

	if at != 0 || !strings.Contains(w.said.String(), "the log no longer holds its offset") {
		t.Errorf("restored at %d, want 0", at)
	}
	var fatal *engine.FatalError
	if err := w.tryFollow(s); !errors.As(err, &fatal) {
		t.Errorf("a log without its beginning is followed: %v", err)
	}
}

func TestACheckpointOfAStateThatIsNotOfThisLogIsNotUsed(t *testing.T) {
	w := newWorld(t)
	w.write(100)
	s := w.follow(w.newStore())
	p := w.positionOf(s)
	p.Last.SHA256[0] ^= 1 // As if the log had held another event when it was folded.
	commit(t, s, p)
	w.checkpoint(s)
	w.write(10)

	if _, at := w.restored(); at != 0 || !strings.Contains(w.said.String(), "the log has another event") {
		t.Errorf("restored at %d, want 0; said was\n%s", at, w.said.String())
	}
}

func TestAFullDiskEndsARestoreWithWhatToDo(t *testing.T) {
	w, _, newer := twoCheckpoints(t)
	disk := testenv.SmallDisk(t, 64)
	s, err := store.Open(filepath.Join(disk, "state"), testenv.Logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ballast := filepath.Join(disk, "ballast")
	_ = os.WriteFile(ballast, make([]byte, 64<<20), 0o600) // To the last byte.

	err = Restore(t.Context(), w.config(s))

	if err == nil || !strings.Contains(err.Error(), "free disk space") || strings.Contains(w.said.String(), "cannot be read") {
		t.Errorf("the restore ended with %v and said\n%s", err, w.said.String())
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), w.config(s)); err != nil {
		t.Fatal(err)
	}
	if at := w.positionOf(s).Next; at != newer {
		t.Errorf("with room it is restored at %d, want %d", at, newer)
	}
}

func TestACheckpointThatIsDeletedWhileItIsReadLeadsToTheNewerOne(t *testing.T) {
	w, older, newer := twoCheckpoints(t)
	id, sound := w.at(newer)
	first, other := w.at(older)
	w.remove(first, other)
	broken := sound.clone(t)
	broken.chunks[1] = nil
	w.remove(id, sound)
	w.put(broken)
	s := w.newStore()
	cfg := w.config(s)
	cfg.Log = &interrupted{Log: w.client, by: func() { w.put(sound) }}

	if err := Restore(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if at := w.positionOf(s).Next; at != newer {
		t.Errorf("restored at %d, want %d", at, newer)
	}
	if err := w.compare(w.follow(s)); err != nil {
		t.Error(err)
	}
}

// interrupted has something happen after the topic's end was first asked for.
type interrupted struct {
	Log
	by   func()
	once sync.Once
}

func (l *interrupted) EndOffset(name string, partition int32) (int64, error) {
	end, err := l.Log.EndOffset(name, partition)
	if name == topic {
		l.once.Do(l.by)
	}
	return end, err
}

func TestLocalStateThatIsNewerWins(t *testing.T) {
	w, older, newer := twoCheckpoints(t)
	// given a node that has come further than the last checkpoint
	ahead := w.follow(w.newStore())
	before, err := dump(ahead)
	if err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), w.config(ahead)); err != nil {
		t.Fatal(err)
	}
	if after, err := dump(ahead); err != nil || after != before {
		t.Errorf("the newer state was replaced; %v", err)
	}

	// and one that is a little or far behind it
	id, r := w.at(newer)
	w.remove(id, r)
	behind, at := w.restored()
	if at != older {
		t.Fatalf("restored at %d, want %d", at, older)
	}
	w.put(r)
	cfg := w.config(behind)
	for cfg.Behind, at = newer-older, older; cfg.Behind >= newer-older-1; cfg.Behind-- {
		if err := Restore(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		if got := w.positionOf(behind).Next; got != at {
			t.Errorf("at %d, want %d, with %d allowed to be behind", got, at, cfg.Behind)
		}
		at = newer
	}
	if err := w.compare(w.follow(behind)); err != nil {
		t.Error(err)
	}
}

func TestOfTwoOwnersTheOneThatCameFurtherIsRestored(t *testing.T) {
	w := newWorld(t)
	stale, owner := w.newStore(), w.newStore()
	w.write(1000)
	older := w.checkpoint(w.follow(stale))
	w.write(1000)
	newer := w.checkpoint(w.follow(owner))
	w.write(100)

	// when the stale owner writes after the other, and when it does not know of the other
	w.checkpoint(stale)
	if n := len(w.live()); n != 2 {
		t.Errorf("%d checkpoints, want the two", n)
	}
	_, r := w.at(older)
	w.put(r)

	s, at := w.restored()
	if at != newer {
		t.Errorf("restored at %d, want %d", at, newer)
	}
	if err := w.compare(w.follow(s)); err != nil {
		t.Error(err)
	}
}

func TestWhatIsWrongWithACheckpointIsCaught(t *testing.T) {
	for name, plant := range map[string]func(w *world, doctored *store.Store){
		"a state one event short": func(w *world, doctored *store.Store) {
			w.write(1)
			commit(w.t, doctored, w.positionOf(w.follow(w.newStore())))
			w.checkpoint(doctored)
		},
		"a state of which one event is folded again": func(w *world, doctored *store.Store) {
			p := w.positionOf(doctored)
			w.write(1)
			commit(w.t, w.follow(doctored), p)
			w.checkpoint(doctored)
		},
		"a checkpoint that is taken without a look at its checksum": func(w *world, doctored *store.Store) {
			offset := w.checkpoint(w.follow(w.newStore()))
			id, r := w.at(offset)
			w.remove(id, r)
			// Tables that are sound by themselves, of a state that is not this one.
			b := doctored.NewBatch(partition)
			b.PutAccount(&account.State{ID: "account", OwnerID: "somebody else"})
			if err := b.Commit(w.positionOf(doctored)); err != nil {
				w.t.Fatal(err)
			}
			w.checkpoint(doctored)
			other, wrong := w.at(offset)
			w.remove(other, wrong)
			wrong.manifest["sha256"] = r.manifest["sha256"]
			w.put(wrong)
			if _, at := w.restored(); at != 0 {
				w.t.Error("a checkpoint with a wrong checksum was restored")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write(100)
			plant(w, w.follow(w.newStore()))
			w.write(100)

			s := w.newStore()
			cfg := w.config(s).withDefaults()
			r := restoring{Config: &cfg, unchecked: true}
			if err := r.run(t.Context()); err != nil || w.positionOf(s).Next == 0 {
				t.Fatalf("nothing was restored: %v", err)
			}
			err := w.compare(w.follow(s))
			if err == nil {
				t.Fatal("it was not noticed")
			}
			t.Logf("caught: %v", err)
		})
	}
}

// commit changes nothing but the position.
func commit(t *testing.T, s *store.Store, p store.Position) {
	t.Helper()
	if err := s.NewBatch(partition).Commit(p); err != nil {
		t.Fatal(err)
	}
}
