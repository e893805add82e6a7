package test

import (
	bigendian "encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A file of the data directory is gone or empty. The node answers as before, or says what is damaged.
func TestNoMissingFileChangesAnAnswer(t *testing.T) {
	specimens := []*specimen{takeSpecimen(t, true), takeSpecimen(t, false)}
	outcomes := map[string]int{}
	for i, path := range files(t, specimens[0].dir) {
		for j, damage := range []string{"deleted", "emptied"} {
			t.Run(path+" "+damage, func(t *testing.T) {
				s := specimens[(i+j)%2]
				dir := s.copied(t)
				err := os.Truncate(filepath.Join(dir, path), 0)
				if damage == "deleted" {
					err = os.Remove(filepath.Join(dir, path))
				}
				if errors.Is(err, fs.ErrNotExist) {
					t.Skip("this specimen has no such file: a killed node leaves others than a stopped one")
				}
				if err != nil {
					t.Fatal(err)
				}
				outcomes[s.tryDamaged(t, dir, path+" "+damage)]++
			})
		}
	}
	t.Logf("outcomes: %v", outcomes)
}

// Parts of the data directory are replaced by those of an earlier copy. What is folded from the log catches up, and a log
// that lost its end is noticed by what was folded from it.
func TestAnOlderCopyOfAPartIsNoticedOrCatchesUp(t *testing.T) {
	specimens := map[string]*specimen{"stopped": takeSpecimen(t, true), "killed": takeSpecimen(t, false)}
	parts := map[string]string{
		"the read model": "read-model.db*", "the local state": "state", "the log": "log",
		"one segment": "log/partitions/billing.account.events-1/0.dat", "one index": "log/partitions/billing.account.events-1/0.idx",
		"one partition of accounts":     "log/partitions/billing.account.events-1",
		"one partition of transactions": "log/partitions/billing.transaction.events-1",
		"the broker's producers":        "log/pids.log",
	}
	for name, s := range specimens {
		for _, part := range slices.Sorted(maps.Keys(parts)) {
			t.Run(part+" of a "+name+" node", func(t *testing.T) {
				dir := s.copied(t)
				now, _ := filepath.Glob(filepath.Join(dir, parts[part]))
				for _, path := range now {
					if err := os.RemoveAll(path); err != nil {
						t.Fatal(err)
					}
				}
				old, _ := filepath.Glob(filepath.Join(s.earlier, parts[part]))
				if len(old) == 0 {
					t.Fatal("the earlier copy has no such part")
				}
				for _, path := range old {
					relative, _ := filepath.Rel(s.earlier, path)
					replace(t, filepath.Join(dir, relative), path)
				}
				outcome := s.tryDamaged(t, dir, "an earlier "+part)
				lost := strings.Contains(part, "log") || strings.Contains(part, "partition") || strings.Contains(part, "segment")
				if want := map[bool]string{true: "refused", false: "as before"}[lost]; outcome != want {
					t.Errorf("the outcome is %q, want %q", outcome, want)
				}
			})
		}
	}
}

func replace(t *testing.T, to, from string) {
	t.Helper()
	if info, err := os.Stat(from); err != nil || info.IsDir() {
		mustCopy(t, to, from)
		return
	}
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The power fails: nothing is left of what was not written through, and a write was under way, of which a part arrived.
// Nothing acknowledged was in it.
func TestAfterAPowerCutAllIsThere(t *testing.T) {
	s := takeSpecimen(t, false)
	const segment = "log/partitions/billing.account.events-0/0.dat"
	for name, left := range map[string]func(batch []byte) []byte{
		"nothing of the write":             func([]byte) []byte { return nil },
		"a part of its header":             func(batch []byte) []byte { return batch[:20] },
		"its beginning":                    func(batch []byte) []byte { return batch[:len(batch)-1] },
		"its length":                       func(batch []byte) []byte { return make([]byte, len(batch)) },
		"its first sectors and its length": func(batch []byte) []byte { clear(batch[len(batch)/3:]); return batch },
	} {
		t.Run(name, func(t *testing.T) {
			dir := s.copied(t)
			for _, unsynced := range []string{"read-model.db-wal", "read-model.db-shm"} {
				if err := os.Remove(filepath.Join(dir, unsynced)); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, segment)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, append(content, left(nextBatch(content))...), 0o600); err != nil {
				t.Fatal(err)
			}
			if outcome := s.tryDamaged(t, dir, name); outcome != "as before" {
				t.Errorf("the outcome is %q", outcome)
			}
		})
	}
}

// nextBatch is a batch that could follow the last one of a segment.
func nextBatch(segment []byte) []byte {
	var last []byte
	for at := 0; at < len(segment); at += len(last) {
		last = segment[at : at+12+int(bigendian.BigEndian.Uint32(segment[at+8:]))]
	}
	next := slices.Clone(last)
	bigendian.BigEndian.PutUint64(next, bigendian.BigEndian.Uint64(last)+1)
	return next
}
