// Package datadir looks after a node's data directory: one process works on it at a time, and it has an identity.
package datadir

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrInUse means another process works on the data directory.
var ErrInUse = errors.New("the data directory is in use by another process: stop it or choose another directory")

// Lock holds a data directory for this process until it is closed. The kernel lets go of it when the process ends,
// however it ends.
type Lock struct{ file *os.File }

// Acquire creates the directory if needed and locks it. ErrInUse when another process has it.
func Acquire(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory cannot be created; choose another with --data-dir: %w", err)
	}
	path := filepath.Join(dir, "lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the data directory cannot be used; choose another with --data-dir: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(file, 20))
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w (process %s holds %s)", ErrInUse, strings.TrimSpace(string(holder)), path)
		}
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	_ = file.Truncate(0)
	_, _ = fmt.Fprintln(file, os.Getpid())
	return &Lock{file}, nil
}

// Close lets go of the directory.
func (l *Lock) Close() error { return l.file.Close() }

// NodeID returns the identity of the node that works on the directory, drawing one the first time.
func NodeID(dir string, newID func() string) (string, error) {
	path := filepath.Join(dir, "node-id")
	content, err := os.ReadFile(path)
	if id := strings.TrimSpace(string(content)); err == nil && id != "" {
		return id, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("reading the node's id: %w", err)
	}
	id := newID()
	if err := os.WriteFile(path, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("writing the node's id: %w", err)
	}
	return id, nil
}
