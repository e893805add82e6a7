package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"daybook/internal/testenv"
)

// fill writes a file that leaves so many megabytes free.
func fill(t *testing.T, dir string, leave uint64) (path string) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, "ballast")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // Nobody reads it.
	chunk := make([]byte, 1<<16)
	for free := fs.Bavail * uint64(fs.Bsize); free > leave<<20; free -= min(free, uint64(len(chunk))) {
		if _, err := file.Write(chunk); err != nil {
			break // Full to the last byte.
		}
	}
	return path
}

// The disk of an embedded node fills up, to the last byte. Commands are refused before anything is lost, with what to do;
// queries go on, and so do commands when there is room again.
func TestAFullDiskRefusesCommandsAndLosesNothing(t *testing.T) {
	disk := testenv.SmallDisk(t, 400)
	n := newNode(t, embeddedBackend())
	n.dir = filepath.Join(disk, "data")
	n.start()
	a, must := newAPI(n.url), mustDo(t)
	must(a.create("alice"))
	done := int64(1)
	for _, leave := range []uint64{200, 0} {
		p := must(a.topUp("alice", "1.00", fmt.Sprint("before ", leave)))
		done = p.Account.Version
		ballast := fill(t, disk, leave)
		p, err := a.topUp("alice", "1.00", fmt.Sprint("while ", leave))
		if codeOf(err) != "UNAVAILABLE" || !strings.Contains(err.Error(), "free some space") {
			t.Fatalf("with %d MB left a command is answered %+v, %v", leave, p, err)
		}
		if got, err := a.account("alice", 0); err != nil || got == nil {
			t.Fatalf("with %d MB left a query is answered %+v, %v", leave, got, err)
		}
		n.awaitPart(t, "disk", "DISK_FULL")
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, func() error {
			p, err := a.topUp("alice", "1.00", fmt.Sprint("while ", leave))
			if err == nil && p.Account.Version != done+1 {
				t.Fatalf("the command that was refused led to %+v", p)
			}
			return err
		})
		testenv.Eventually(t, n.ready)
	}
	if got, err := a.account("alice", done+1); err != nil || got.Balance != "4.00" {
		t.Errorf("four top-ups led to %+v, %v", got, err)
	}
	n.mustVerify()
}
