package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// unfinished is the file that a data directory has while it is being built. It is locked by who builds it.
const unfinished = "restore-unfinished"

// CheckFinished refuses a directory that is being built, or whose building was broken off: it may lack anything.
func CheckFinished(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, unfinished)); err == nil {
		return fmt.Errorf("%s is being restored, or restoring it was broken off, and may lack anything: delete it and run daybook restore again", dir)
	}
	return nil
}

// Building is a data directory that is being built, beside the place that it takes when it is finished.
type Building struct {
	path, dir string
	mark      *os.File
}

// Build begins a directory for a path where nothing is, or an empty directory. What a killed process left beside it is
// removed.
func Build(path string) (*Building, error) {
	path, err := filepath.Abs(path)
	if err == nil {
		err = vacant(path)
	}
	if err != nil {
		return nil, err
	}
	b := &Building{path: path, dir: path + ".partial"}
	if err := b.clear(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, fmt.Errorf("the directory cannot be made: %w", err)
	}
	b.mark, err = os.OpenFile(filepath.Join(b.dir, unfinished), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = b.lock()
	}
	if err != nil {
		return nil, fmt.Errorf("the directory cannot be made: %w", err)
	}
	return b, nil
}

// vacant refuses a place that cannot be taken when all is done.
func vacant(path string) error {
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%s must be an empty directory, or absent: %w", path, err)
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty: name a directory that is, or one that is not there", path)
	}
	var own, parent syscall.Stat_t
	if err := errors.Join(syscall.Stat(path, &own), syscall.Stat(filepath.Dir(path), &parent)); err != nil {
		return fmt.Errorf("looking at %s: %w", path, err)
	}
	if own.Dev != parent.Dev {
		return fmt.Errorf("%s is where a disk is mounted, and a finished directory cannot be put in its place: name a directory in it", path)
	}
	return nil
}

// clear removes what a killed process left, and nothing else.
func (b *Building) clear() error {
	entries, err := os.ReadDir(b.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for what was left over: %w", err)
	}
	if len(entries) > 0 {
		if b.mark, err = os.OpenFile(filepath.Join(b.dir, unfinished), os.O_RDWR, 0); err != nil {
			return fmt.Errorf("%s is there and was not left by an unfinished restore: move it away or name another directory", b.dir)
		}
		defer b.mark.Close() //nolint:errcheck // Nothing was written.
		if err := b.lock(); err != nil {
			return err
		}
	}
	if err := b.remove(); err != nil {
		return fmt.Errorf("removing what was left over: %w", err)
	}
	return nil
}

// remove removes the directory, the mark last: what is left when it is broken off is still known for what it is.
func (b *Building) remove() error {
	entries, err := os.ReadDir(b.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == unfinished {
			continue
		}
		if err := os.RemoveAll(filepath.Join(b.dir, entry.Name())); err != nil {
			return err
		}
	}
	return os.RemoveAll(b.dir)
}

func (b *Building) lock() error {
	if err := syscall.Flock(int(b.mark.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another process is restoring to %s: wait for it or name another directory (%w)", b.path, err)
	}
	return nil
}

// Dir is where to build.
func (b *Building) Dir() string { return b.dir }

// Finish puts the directory in its place, where it survives a crash from then on. Nothing must work in it any more.
func (b *Building) Finish() error {
	err := syncTree(b.dir)
	if err == nil {
		err = os.Remove(b.mark.Name())
	}
	if err != nil {
		return fmt.Errorf("finishing %s: %w", b.dir, err)
	}
	if err = Sync(b.dir); err == nil {
		err = syscall.Rename(b.dir, b.path) // Unlike os.Rename it replaces an empty directory.
	}
	if err != nil {
		return fmt.Errorf("%s is complete and could not be moved to %s: move it there, or delete it: %w", b.dir, b.path, err)
	}
	if err := Sync(filepath.Dir(b.path)); err != nil {
		return fmt.Errorf("%s is complete, and may be called %s again after a power cut: %w", b.path, b.dir, err)
	}
	return b.mark.Close()
}

// Abandon removes what was built.
func (b *Building) Abandon() error {
	return errors.Join(b.remove(), b.mark.Close())
}

func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return Sync(path)
	})
}

// Sync makes sure that a file's content, or a directory's entries, survive a crash.
func Sync(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
