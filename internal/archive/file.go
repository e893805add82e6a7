package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"daybook/internal/datadir"
)

// partialSuffix marks a file that is not finished.
const partialSuffix = ".partial"

// File is an archive being written, beside the place that it takes when it is finished.
type File struct {
	file *os.File
	path string
	size int64
}

// Create begins an archive at a path where nothing is. What a killed backup left beside it is overwritten.
func Create(path string) (*File, error) {
	if err := absent(path); err != nil {
		return nil, err
	}
	partial := path + partialSuffix
	file, err := os.OpenFile(partial, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the archive cannot be written there: %w", err)
	}
	err = lock(file, partial)
	if err == nil {
		err = file.Truncate(0)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &File{file: file, path: path}, nil
}

// lock makes sure that two backups do not write one file, nor one what the other has just finished.
func lock(file *os.File, path string) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return fmt.Errorf("another backup writes %s: wait for it, or name another file (%w)", path, err)
	}
	opened, err := file.Stat()
	if err != nil {
		return err
	}
	if named, err := os.Stat(path); err != nil || !os.SameFile(opened, named) {
		return fmt.Errorf("another backup has just finished %s: name another file", path)
	}
	return nil
}

func absent(path string) error {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return fmt.Errorf("%s is there already: name a file that is not", path)
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("the archive cannot be written there: %w", err)
	}
	return nil
}

// Write implements io.Writer.
func (f *File) Write(b []byte) (int, error) {
	n, err := f.file.Write(b)
	f.size += int64(n)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		err = fmt.Errorf("the disk is full: free some space or name a file elsewhere (%w)", err)
	}
	return n, err
}

// Size is how many bytes were written.
func (f *File) Size() int64 { return f.size }

// Commit puts the finished archive in its place, where it survives a crash from then on.
func (f *File) Commit() error {
	err := f.file.Sync()
	if err == nil {
		err = absent(f.path)
	}
	if err == nil {
		err = os.Rename(f.file.Name(), f.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("finishing the archive: %w", err), f.Abort())
	}
	return errors.Join(f.file.Close(), datadir.Sync(filepath.Dir(f.path)))
}

// Abort removes what was written.
func (f *File) Abort() error {
	return errors.Join(os.Remove(f.file.Name()), f.file.Close())
}

// Read opens the archive at a path and lets use read it. Errors name the file.
func Read(path string, use func(*Reader) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("the archive cannot be read: %w", err)
	}
	defer file.Close() //nolint:errcheck // Nothing was written.
	err = read(file, use)
	var damage *DamageError
	if errors.As(err, &damage) {
		return fmt.Errorf("%s %w", path, damage)
	}
	return err
}

func read(file io.Reader, use func(*Reader) error) error {
	r, err := NewReader(file)
	if err != nil {
		return err
	}
	defer r.decoder.Close()
	return use(r)
}
