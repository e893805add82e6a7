package bench

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// Row is one line of the table: what was measured and, in the same run, what it is held against.
type Row struct {
	Name   string
	Beside string
	// Measured and Baseline have one result for each run; Baseline is empty where there is none.
	Measured, Baseline []Result
}

// Table collects rows in the order in which they first appear.
type Table struct{ rows []*Row }

// Add takes a run's results; baseline is nil where nothing stands beside.
func (t *Table) Add(name string, measured Result, beside string, baseline *Result) {
	i := slices.IndexFunc(t.rows, func(r *Row) bool { return r.Name == name })
	if i < 0 {
		i = len(t.rows)
		t.rows = append(t.rows, &Row{Name: name, Beside: beside})
	}
	r := t.rows[i]
	r.Measured = append(r.Measured, measured)
	if baseline != nil {
		r.Baseline = append(r.Baseline, *baseline)
	}
}

// Write renders the medians. Ratios are medians of the runs' own ratios: machines drift from one run to the next.
func (t *Table) Write(w io.Writer) {
	fmt.Fprintln(w, "| measured | a second | p50 | p99 | beside | a second | p50 | p99 | ratio | ratio of p50 |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|---|")
	for _, r := range t.rows {
		m, b := medians(r.Measured), medians(r.Baseline)
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", r.Name,
			rate(m.PerSecond), latency(m.P50), latency(m.P99), r.Beside, rate(b.PerSecond), latency(b.P50), latency(b.P99),
			r.ratio(func(x Result) float64 { return x.PerSecond }), r.ratio(func(x Result) float64 { return float64(x.P50) }))
	}
}

func (r *Row) ratio(of func(Result) float64) string {
	var all []float64
	for i, b := range r.Baseline {
		if of(b) > 0 {
			all = append(all, of(r.Measured[i])/of(b))
		}
	}
	if len(all) == 0 || median(all) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", median(all))
}

func medians(results []Result) Result {
	pick := func(of func(Result) float64) float64 {
		var all []float64
		for _, r := range results {
			all = append(all, of(r))
		}
		return median(all)
	}
	return Result{
		PerSecond: pick(func(r Result) float64 { return r.PerSecond }),
		P50:       time.Duration(pick(func(r Result) float64 { return float64(r.P50) })),
		P99:       time.Duration(pick(func(r Result) float64 { return float64(r.P99) })),
	}
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	middle := len(all) / 2
	if len(all)%2 == 0 {
		return (all[middle-1] + all[middle]) / 2
	}
	return all[middle]
}

func rate(perSecond float64) string {
	if perSecond == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f", perSecond)
}

func latency(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}
