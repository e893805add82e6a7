package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"daybook/domain/account"
	"daybook/internal/testenv"
)

// The disk is full when the state is to be written out. The store says so, and goes on when there is room.
func TestAStoreOnAFullDiskSaysSoUntilThereIsRoom(t *testing.T) {
	disk := testenv.SmallDisk(t, 64)
	s, err := Open(filepath.Join(disk, "state"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// To the last byte.
	_ = os.WriteFile(ballast, make([]byte, 64<<20), 0o600)
	b := s.NewBatch(1)
	for i := range 1000 {
		b.PutAccount(&account.State{ID: fmt.Sprint("account-", i), OwnerID: strings.Repeat("o", 1000)})
	}
	if err := b.Commit(Position{Next: 7}); err != nil {
		t.Fatal(err)
	}
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, func() error {
		if s.Trouble() == nil {
			return errors.New("it does not say so")
		}
		return nil
	})
	if got, err := s.Account(1, "account-5"); err != nil || got.ID != "account-5" {
		t.Errorf("meanwhile it knows %+v, %v", got, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	<-flushed
	testenv.Eventually(t, s.Trouble)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
