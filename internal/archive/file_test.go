package archive_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"daybook/internal/archive"
)

func TestAnArchiveIsInItsPlaceOnlyWhenItIsFinished(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	// As a killed backup leaves it.
	if err := os.WriteFile(path+".partial", []byte("left over from before, and longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := archive.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("it is there before it is finished: %v", err)
	}
	if _, err := archive.Create(path); err == nil || !strings.Contains(err.Error(), "another backup writes") {
		t.Errorf("a second one is answered with %v", err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "content" {
		t.Errorf("it holds %q, %v", content, err)
	}
	if _, err := os.Stat(path + ".partial"); !os.IsNotExist(err) {
		t.Errorf("something is left beside it: %v", err)
	}
	if _, err := archive.Create(path); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("one at the same place is answered with %v", err)
	}
}

func TestAnAbandonedArchiveLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	f, err := archive.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Abort(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
