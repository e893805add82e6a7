package datadir_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"daybook/internal/datadir"
)

func TestADirectoryIsInItsPlaceOnlyWhenItIsFinished(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	killed, err := datadir.Build(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(killed.Dir(), "half"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := datadir.CheckFinished(killed.Dir()); err == nil {
		t.Error("it counts as finished")
	}
	if _, err := datadir.Build(path); err == nil || !strings.Contains(err.Error(), "another process is restoring") {
		t.Errorf("a second one is answered with %v", err)
	}
	killed.LetGo()
	b, err := datadir.Build(path)
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(b.Dir()); len(left) != 1 {
		t.Errorf("what was left over is still there: %v", left)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // An empty one is replaced.
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.Dir(), "whole"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(path); err != nil || len(entries) != 1 || entries[0].Name() != "whole" {
		t.Errorf("it holds %v, %v", entries, err)
	}
	if err := datadir.CheckFinished(path); err != nil {
		t.Error(err)
	}
	if _, err := datadir.Build(path); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("a third one is answered with %v", err)
	}
}

func TestAnAbandonedDirectoryLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	b, err := datadir.Build(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Abandon(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func TestADirectoryWhoseRemovalIsBrokenOffIsStillKnown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	b, err := datadir.Build(path)
	if err != nil {
		t.Fatal(err)
	}
	busy := filepath.Join(b.Dir(), "busy")
	if err := os.Mkdir(busy, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", busy, "tmpfs", 0, ""); err != nil {
		t.Skipf("what cannot be removed takes rights that this user has not: %v", err)
	}
	if err := b.Abandon(); err == nil {
		t.Error("what cannot be removed is removed")
	}
	_, err = datadir.Build(path)
	if err == nil || !strings.Contains(err.Error(), "removing what was left over") {
		t.Errorf("a second one is answered with %v", err)
	}
	if err := datadir.CheckFinished(b.Dir()); err == nil {
		t.Error("it counts as finished")
	}
	if err := syscall.Unmount(busy, 0); err != nil {
		t.Fatal(err)
	}
	if b, err = datadir.Build(path); err != nil {
		t.Fatal(err)
	}
	if err := b.Abandon(); err != nil {
		t.Error(err)
	}
}
