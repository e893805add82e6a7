package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// mark is the file that tells the next start that the store was found damaged, and is not to be used any more.
const mark = "DAYBOOK-DAMAGED"

func isMarked(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, mark))
	return err == nil
}

// isDamage tells whether the store could not be opened for what is in its files. One that is missing is damage too.
func isDamage(err error) bool {
	return err != nil && (pebble.IsCorruptionError(err) || errors.Is(err, fs.ErrNotExist))
}

func discard(dir, why string, log *slog.Logger) error {
	log.Warn("the local state is damaged, and is built again from the log; look after the disk", "directory", dir, "cause", why)
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("the local state in %s is damaged: delete the directory, it is built again from the log: %w", dir, err)
	}
	return nil
}

// bridge passes Pebble's log on. What it says in the course of its work is of interest to nobody but its authors.
type bridge struct {
	log *slog.Logger
	dir string
}

// Infof implements pebble.Logger.
func (b bridge) Infof(format string, args ...any) {
	b.log.Debug("state store", "message", fmt.Sprintf(format, args...))
}

// Errorf implements pebble.Logger.
func (b bridge) Errorf(format string, args ...any) {
	b.log.Error("the state store reports an error; free disk or mend rights, or stop the node and delete the state directory", "message", fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger, which does not return from it. What was read wrong must not be decided upon, so the
// process ends at once; started again it does without the store, unless it only could not be written.
func (b bridge) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if strings.HasPrefix(text, "MANIFEST ") {
		panic("the state store in " + b.dir + " cannot be written: free disk space, then start again: " + text)
	}
	_ = os.WriteFile(filepath.Join(b.dir, mark), []byte(text+"\n"), 0o600)
	panic("the state store in " + b.dir + " is damaged: start again, and it is built anew from the log: " + text)
}
