package main

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"daybook/internal/bench"
)

// TestTransfersOverHTTPAreDone measures each load for a moment on a node, whose read model must come to have all that
// was asked for.
func TestTransfersOverHTTPAreDone(t *testing.T) {
	const d = 300 * time.Millisecond
	passed := time.Duration(0)
	tell := func(p time.Duration) { passed = p }
	l := &lab{dir: t.TempDir(), log: slog.New(slog.DiscardHandler), progress: os.Stderr, runs: 1, duration: d}
	b := &backendBench{name: "embedded", lab: l}
	err := b.node(t.Context(), func(n bench.Node) error {
		for name, load := range map[string]func() (bench.Result, error){
			"transfers": func() (bench.Result, error) { return bench.HTTPTransfers(t.Context(), n.URL, n.Partitions, 8, d) },
			"batches":   func() (bench.Result, error) { return bench.HTTPBatches(t.Context(), n.URL, n.Partitions, 100, 2, d) },
			"sustained transfers": func() (bench.Result, error) {
				return bench.SustainedTransfers(t.Context(), n, 8, d, tell)
			},
			"sustained batches": func() (bench.Result, error) {
				return bench.SustainedBatches(t.Context(), n, 100, 2, d, tell)
			},
		} {
			before := settledEvents(t, n)
			result, err := load()
			if err != nil {
				return err
			}
			if result.PerSecond <= 0 || result.Transfers == 0 || result.Crossing <= 0 {
				t.Errorf("%s: %+v", name, result)
			}
			// Accounts are opened, and topped up with a transaction of two events; a transfer comes to four.
			want := before + 1000*(1+1+2) + 4*result.Transfers
			if after := settledEvents(t, n); after != want {
				t.Errorf("%s: the read model has %d events, not %d", name, after, want)
			}
		}
		accepted, refused, err := bench.Overload(t.Context(), n.URL, n.Partitions, 8, d)
		if accepted.PerSecond <= 0 || refused.PerSecond != 0 {
			t.Errorf("of what a node can take it accepts %+v and refuses %+v", accepted, refused)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if passed <= 0 {
		t.Error("no progress was told")
	}
}

// settledEvents waits until the read model has all that is in the log and nothing has come for a while.
func settledEvents(t *testing.T, n bench.Node) (events int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	projected, err := bench.Settle(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	return projected
}

func TestOnlyNamedPartsAreMeasured(t *testing.T) {
	all, err := chooseParts(nil)
	if err != nil || len(all) != len(benchParts) {
		t.Errorf("without names %d of %d parts are chosen, %v", len(all), len(benchParts), err)
	}
	some, err := chooseParts([]string{"sustained", "batch"})
	if err != nil || len(some) != 2 || some[0].name != "batch" {
		t.Errorf("two names choose %v, %v", some, err)
	}
	if _, err := chooseParts([]string{"batch", "speed"}); err == nil || !strings.Contains(err.Error(), `no part "speed"`) {
		t.Errorf("an unknown name is answered with %v", err)
	}
}
