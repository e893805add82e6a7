package tally_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"daybook/internal/tally"
)

func TestRunsThatWereKeptAddUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runs.jsonl")
	for _, r := range []tally.Run{
		{Backend: "kafka", Kills: 3, Acknowledged: 10, Served: 9, Asked: 10, Faults: map[string]int{"kill": 3}, Slowest: map[string]float64{"kill": 1.5}},
		{Backend: "embedded", Kills: 1, Faults: map[string]int{"kill": 1}, Slowest: map[string]float64{"kill": 0.5}},
		{Backend: "kafka", Kills: 4, Acknowledged: 5, Lost: 1, Served: 0, Asked: 10, Problems: []string{"one is lost"},
			Faults: map[string]int{"kill": 2, "cut": 1}, Slowest: map[string]float64{"kill": 2.5, "cut": 1}},
		{Backend: "kafka", Kills: 100, Planted: "a bug"},
	} {
		if err := r.Append(path); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // It was read.

	runs, err := tally.Read(f)
	if err != nil || len(runs) != 4 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	table := tally.Table(tally.Sum(runs))

	for _, row := range []string{
		"|  | embedded | kafka |",
		"| processes killed | 1 | 7 |",
		"| fault: kill | 1 (0.5 s) | 5 (2.5 s) |",
		"| fault: cut | – | 1 (1.0 s) |",
		"| **lost** | 0 | 1 |",
		"| all broken promises | 0 | 1 |",
		"| availability | 0.0 % | 45.0 % |",
	} {
		if !strings.Contains(table, row+"\n") {
			t.Errorf("there is no row %q in\n%s", row, table)
		}
	}
}

func TestWhatIsNoRunIsRefused(t *testing.T) {
	if _, err := tally.Read(strings.NewReader("{}\nno run\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("it was read: %v", err)
	}
}
