package soak

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// flatReport is a soak of an hour in which nothing grew; change may plant something at each moment.
func flatReport(change func(passed float64, s *Sample)) *Report {
	r := &Report{RestBefore: []NodeSample{{Node: "node1", Goroutines: 100, FDs: 50}}, RestAfter: []NodeSample{{Node: "node1", Goroutines: 105, FDs: 50}}}
	for i := range 361 {
		s := Sample{
			Seconds: float64(10 * i),
			Load:    LoadSample{Commands: 1000, Queries: 100, CommandP50: 5, CommandP99: 40, QueryP50: 2, QueryP99: 20},
			Nodes: []NodeSample{{
				Node: "node1", RSS: 200 << 20, HeapLive: 20 << 20, Goroutines: int64(300 + i%20), FDs: 200, LagSeconds: 0.1,
			}},
		}
		change(float64(i)/360, &s)
		r.Samples = append(r.Samples, s)
	}
	return r
}

func TestAReportNamesWhatGrows(t *testing.T) {
	for want, change := range map[string]func(passed float64, s *Sample){
		"node1: memory (RSS) is not flat": func(passed float64, s *Sample) { s.Nodes[0].RSS += int64(180 * mb * passed) },
		"node1: live heap is not flat":    func(passed float64, s *Sample) { s.Nodes[0].HeapLive += int64(20 * mb * passed) },
		"node1: goroutines is not flat":   func(passed float64, s *Sample) { s.Nodes[0].Goroutines += int64(60 * passed) },
		"node1: open files is not flat":   func(passed float64, s *Sample) { s.Nodes[0].FDs += int64(40 * passed) },
		"node1: read model's lag is not flat": func(passed float64, s *Sample) {
			s.Nodes[0].LagSeconds += 5 * passed
		},
		"commands: p99 is not flat": func(passed float64, s *Sample) { s.Load.CommandP99 += Value(100 * passed) },
		"queries: p50 is not flat":  func(passed float64, s *Sample) { s.Load.QueryP50 += Value(20 * passed) },
		"commands: p50 is not flat": func(passed float64, s *Sample) {
			if passed >= 0.75 {
				s.Load.CommandP50 = Value(math.NaN()) // Nothing was answered any more.
			}
		},
	} {
		report := flatReport(change)
		if got := report.Problems(); !slices.Equal(got, []string{want}) {
			t.Errorf("%q was planted, and told: %q", want, got)
		}
		if !strings.Contains(report.Table(), "**not flat**") {
			t.Errorf("the table does not show that %s:\n%s", want, report.Table())
		}
	}
}

func TestAReportLeavesOutWhatGrowsByDesign(t *testing.T) {
	report := flatReport(func(passed float64, s *Sample) {
		n := &s.Nodes[0]
		n.StateCache, n.LogBatches, n.Tables, n.Disk = int64(128*mb*passed), int64(1e6*passed), int64(100*passed), int64(5e9*passed)
		n.HeapLive += 80 * n.LogBatches
		n.RSS += n.StateCache + 160*n.LogBatches
		if passed > 0.7 {
			n.RSS += 60 << 20 // Tables in memory, late.
		}
	})
	if got := report.Problems(); len(got) > 0 {
		t.Errorf("told: %q\n%s", got, report.Table())
	}
}

func TestAReportNamesErrorsAndWhatIsLeftWithoutClients(t *testing.T) {
	report := flatReport(func(float64, *Sample) {})
	report.Errors, report.FirstErrors = map[string]int64{"INTERNAL": 3}, map[string]string{"INTERNAL": "why"}
	report.RestAfter[0].Goroutines, report.RestAfter[0].FDs = 140, 61
	want := []string{
		"node1: without clients there were 100 goroutines, and are 140",
		"node1: without clients there were 50 open files, and are 61",
		"3 errors INTERNAL, such as: why",
	}
	if got := report.Problems(); !slices.Equal(got, want) {
		t.Errorf("told: %q", got)
	}
}

func TestASoakEndsEarlyWhenTheDiskWillNotHoldIt(t *testing.T) {
	growing := func(until int) []Sample {
		report := flatReport(func(passed float64, s *Sample) {
			s.Nodes[0].Disk, s.Disks = int64(5e9*passed), []int64{int64(5e9 * passed)}
		})
		return report.Samples[:until]
	}
	const half = 181
	for _, c := range []struct {
		name    string
		samples []Sample
		free    int64
		fits    bool
	}{
		{"there is enough", growing(half), 5e9 + spareBytes + 1e8, true},
		{"there is too little", growing(half), 5e9 + spareBytes - 1e8, false},
		{"it is too early to tell", growing(30), 5e9, true},
		{"it is over", growing(361), 1, true},
	} {
		if err := fits(c.samples, time.Hour, c.free); (err == nil) != c.fits {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestMetricsAreReadFromAPage(t *testing.T) {
	var s NodeSample
	s.metrics([]byte(strings.Join([]string{
		"# HELP go_goroutines many", "go_goroutines 42", "go_memstats_next_gc_bytes 3e+07", "go_gc_gogc_percent 200",
		`daybook_projection_lag_seconds{partition="0",topic="a"} 0.25`, `daybook_projection_lag_seconds{partition="1",topic="a"} 0.5`,
		`daybook_projection_lag_offsets{partition="0",topic="a"} 7`, `daybook_projection_lag_offsets{partition="1",topic="a"} 8`, "broken",
	}, "\n")))
	want := NodeSample{Goroutines: 42, HeapLive: 1e7, LagSeconds: 0.5, LagOffsets: 15}
	if s != want {
		t.Errorf("read %+v, want %+v", s, want)
	}
}
