package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/engine/ledger"
	"daybook/eventstore"
	"daybook/eventstore/embedded"
	"daybook/eventstore/kafka"
	"daybook/internal/archive"
	"daybook/internal/audit"
	"daybook/internal/datadir"
	"daybook/internal/testenv"
)

var quiet = slog.New(slog.DiscardHandler)

// slowEnds reads an end only some time after the one before, in which much happens under load.
type slowEnds struct{ *kafka.Client }

func (s slowEnds) EndOffset(topic string, partition int32) (int64, error) {
	time.Sleep(5 * time.Millisecond)
	return s.Client.EndOffset(topic, partition)
}

// transfersOn keeps clients busy with transfers between accounts of all partitions until the returned function is called,
// which tells how many were done.
func transfersOn(t *testing.T, m *Main) func() int64 {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	const accounts = 30
	id := func(i int) string { return fmt.Sprint("account-", i) }
	for i := range accounts {
		key := ledger.Meta{IdempotencyKey: "open"}
		mustExecute(t, m, &ledger.CreateAccount{Meta: key, ID: id(i), OwnerID: "o", Type: account.User, Currency: "EUR"})
		key.IdempotencyKey = "fill"
		mustExecute(t, m, &ledger.TopUp{Meta: key, AccountID: id(i), Amount: decimal.New(100_000, 0), Currency: "EUR", External: "card"})
	}
	var done atomic.Int64
	var wg sync.WaitGroup
	for client := range 24 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				from := rand.IntN(accounts)
				_, err := m.engine.Execute(ctx, &ledger.Transfer{
					Meta: ledger.Meta{IdempotencyKey: fmt.Sprint(client, "-", n)}, Amount: decimal.New(1, -2), Currency: "EUR",
					FromID: id(from), ToID: id((from + 1 + rand.IntN(accounts-1)) % accounts),
				})
				if err == nil {
					done.Add(1)
				} else if ctx.Err() == nil {
					t.Errorf("a transfer was refused: %v", err)
				}
			}
		})
	}
	return func() int64 {
		cancel()
		wg.Wait()
		return done.Load()
	}
}

func mustExecute(t *testing.T, m *Main, c ledger.Command) {
	t.Helper()
	if _, err := m.engine.Execute(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// restored archives a log up to a cut, and makes a directory of that.
func restored(t *testing.T, client *kafka.Client, c cut) string {
	t.Helper()
	dir := t.TempDir()
	path, to := filepath.Join(dir, "archive"), filepath.Join(dir, "restored")
	file, err := archive.Create(path)
	if err == nil {
		_, err = archive.Write(t.Context(), client, &c.Header, file, func(int64, int64, int64) {})
	}
	if err == nil {
		err = file.Commit()
	}
	var building *datadir.Building
	if err == nil {
		building, err = datadir.Build(to)
	}
	if err == nil {
		_, err = restore(t.Context(), path, building.Dir(), quiet)
	}
	if err == nil {
		err = building.Finish()
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// audited audits the log in a directory as it is, without an engine that would go on with it.
func audited(t *testing.T, dir string) *audit.Report {
	t.Helper()
	broker, err := embedded.Open(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.Log(t.Context(), broker.Addresses())
	if err := errors.Join(err, broker.Close()); err != nil {
		t.Fatal(err)
	}
	return report
}

func TestACutUnderLoadHoldsTheCauseOfEverythingInIt(t *testing.T) {
	m := NewMain(config{Listen: "127.0.0.1:0", DataDir: filepath.Join(t.TempDir(), "node"), SessionTimeout: 10 * time.Second}, quiet)
	whileRunning(t, m, func() {
		stop := transfersOn(t, m)
		var cuts []cut
		for range 6 {
			var c cut
			err := m.engine.Freeze(t.Context(), func(context.Context) (err error) {
				c, err = takeCut(slowEnds{m.cluster.client}, m.partitions, time.Now())
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			cuts = append(cuts, c)
			time.Sleep(20 * time.Millisecond) // Load goes on between the cuts.
		}
		asNodesDo, err := m.cut(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// The planted bug: nothing is frozen.
		wrong, err := takeCut(slowEnds{m.cluster.client}, m.partitions, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d transfers were done; commands waited %s", stop(), asNodesDo.Pause)

		pending := 0
		for _, c := range append(cuts, asNodesDo) {
			dir := restored(t, m.cluster.client, c)
			report := audited(t, dir)
			if len(report.Problems) > 0 {
				t.Errorf("%d problems, the first: %s", len(report.Problems), report.Problems[0])
			}
			pending += len(report.Unfinished)
			goesOn(t, dir)
		}
		if pending == 0 {
			t.Error("no cut went through a transfer: nothing is shown")
		}
		if report := audited(t, restored(t, m.cluster.client, wrong)); len(report.Problems) == 0 {
			t.Error("nobody notices a cut that is none")
		} else {
			t.Logf("without the freeze: %d problems, the first: %s", len(report.Problems), report.Problems[0])
		}
	})
}

// goesOn runs a node on a restored directory, which finishes what was on its way.
func goesOn(t *testing.T, dir string) {
	t.Helper()
	m := NewMain(config{Listen: "127.0.0.1:0", DataDir: dir, SessionTimeout: 10 * time.Second}, quiet)
	whileRunning(t, m, func() {
		testenv.Eventually(t, func() error {
			report, err := audit.Log(t.Context(), m.cluster.broker.Addresses())
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Problems) > 0 {
				t.Fatalf("%d problems, the first: %s", len(report.Problems), report.Problems[0])
			}
			if len(report.Unfinished) > 0 {
				return fmt.Errorf("%d unfinished, the first: %s", len(report.Unfinished), report.Unfinished[0])
			}
			return nil
		})
	})
}

func TestOnlyTheDirectorysUserAsksANodeForACutHoweverLongThePath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	socket := filepath.Join(dir, cutSocket)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(socket, nil, 0o666); err != nil { // Left over from before.
		t.Fatal(err)
	}
	m := NewMain(config{Listen: "127.0.0.1:0", DataDir: dir, SessionTimeout: 10 * time.Second}, quiet)
	whileRunning(t, m, func() {
		c, err := askCut(t.Context(), dir)
		if err != nil || len(c.Parts) != 9 || len(c.Brokers) == 0 || c.LogID == "" {
			t.Errorf("it answers %+v, %v", c, err)
		}
		if info, err := os.Stat(socket); err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Errorf("the socket is %v, %v", info.Mode(), err)
		}
	})
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket outlives its node: %v", err)
	}
	if _, err := askCut(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "try again, or stop it first") {
		t.Errorf("where nobody listens the answer is %v", err)
	}
}

// whileRunning runs a node while use works with it.
func whileRunning(t *testing.T, m *Main, use func()) {
	t.Helper()
	if err := runNode(t.Context(), m, func(*Main) error { use(); return nil }); err != nil {
		t.Error(err)
	}
}

func TestOldCommandsThatAreStillToBeCarriedOutAreStampedAnew(t *testing.T) {
	now := time.UnixMilli(1.75e12).UTC()
	c := newCarriedOut(now)
	event := func(partition int32, progress string) {
		e := &archive.Entry{}
		if progress != "" {
			e.Headers = []eventstore.Header{{Key: "progress", Value: []byte(progress)}}
		}
		if err := c.prepare(archive.Part{Topic: archivedTopics[0], Partition: partition}, e); err != nil {
			t.Fatal(err)
		}
	}
	stamped := func(partition int32, offset int64, age time.Duration) bool {
		e := &archive.Entry{}
		e.Offset, e.Time = offset, now.Add(-age)
		if err := c.prepare(archive.Part{Topic: archivedTopics[2], Partition: partition}, e); err != nil {
			t.Fatal(err)
		}
		return e.Time.Equal(now)
	}
	event(0, "3/9/2")
	event(0, "")
	event(1, "0/0/2")
	for _, want := range []struct {
		partition int32
		offset    int64
		age       time.Duration
		stamped   bool
	}{
		{0, 2, 48 * time.Hour, false}, // Carried out.
		{0, 3, 48 * time.Hour, true},
		{0, 4, time.Hour, false}, // Young enough.
		{1, 0, 48 * time.Hour, true},
		{2, 0, 48 * time.Hour, true}, // A partition without events.
	} {
		if got := stamped(want.partition, want.offset, want.age); got != want.stamped {
			t.Errorf("%+v: stamped anew is %t", want, got)
		}
	}
	if err := c.prepare(archive.Part{Topic: archivedTopics[0]}, &archive.Entry{Message: eventstore.Message{Headers: []eventstore.Header{{Key: "progress", Value: []byte("x")}}}}); err == nil || !strings.Contains(err.Error(), "progress") {
		t.Errorf("unreadable progress is answered with %v", err)
	}
}
