package store

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// mostFailures is how often in a row writing out may fail, which is tried again about ten times a second. Memory for what
// is not written is bounded, so that the partitions would stand still soon; another node can do better.
const mostFailures = 100

// troubles keeps account of failures to write.
type troubles struct {
	log    *slog.Logger
	dir    string
	inARow atomic.Int64
	last   atomic.Pointer[string]
}

// Trouble returns an error while the state cannot be written to disk.
func (s *Store) Trouble() error {
	if text := s.troubles.last.Load(); text != nil {
		return fmt.Errorf("the local state in %s cannot be written; free disk space: %s", s.troubles.dir, *text)
	}
	return nil
}

func (t *troubles) failed(err error) {
	text := err.Error()
	if t.last.Swap(&text) == nil {
		t.log.Error("the local state cannot be written; free disk space, or this node ends in a few seconds", "directory", t.dir, "error", err)
	}
	if t.inARow.Add(1) >= mostFailures {
		panic("the local state in " + t.dir + " could not be written for a while: free disk space, then start again: " + text)
	}
}

func (t *troubles) flushed(info pebble.FlushInfo) {
	if info.Err != nil {
		return
	}
	t.inARow.Store(0)
	if t.last.Swap(nil) != nil {
		t.log.Info("the local state is written again", "directory", t.dir)
	}
}
