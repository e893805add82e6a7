package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Row is one line of the table: what was measured and, in the same run, what it is held against.
type Row struct {
	Name   string
	Beside string
	// Measured and Baseline have one result for each run; Baseline is empty where there is none.
	Measured, Baseline []Result
}

// Table collects rows, which differ in their name or in what stands beside, in the order in which they first appear.
type Table struct{ rows []*Row }

// Add takes a run's results; baseline is nil where nothing stands beside.
func (t *Table) Add(name string, measured Result, beside string, baseline *Result) {
	if baseline == nil {
		beside = ""
	}
	i := slices.IndexFunc(t.rows, func(r *Row) bool { return r.Name == name && r.Beside == beside })
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
// Columns that no row has anything in are left out.
func (t *Table) Write(w io.Writer) {
	if len(t.rows) == 0 {
		fmt.Fprintln(w, "nothing of what was asked for is measured here")
		return
	}
	columns := []column{
		{"measured", func(r *Row) string { return r.Name }},
		{"a second", func(r *Row) string { return rate(medians(r.Measured).PerSecond) }},
		{"p50", func(r *Row) string { return latency(medians(r.Measured).P50) }},
		{"p99", func(r *Row) string { return latency(medians(r.Measured).P99) }},
		{"beside", func(r *Row) string { return r.Beside }},
		{"a second", func(r *Row) string { return rate(medians(r.Baseline).PerSecond) }},
		{"p50", func(r *Row) string { return latency(medians(r.Baseline).P50) }},
		{"p99", func(r *Row) string { return latency(medians(r.Baseline).P99) }},
		{"ratio", func(r *Row) string { return r.ratio(func(x Result) float64 { return x.PerSecond }) }},
		{"ratio of p50", func(r *Row) string { return r.ratio(func(x Result) float64 { return float64(x.P50) }) }},
		{"ratio of p99", func(r *Row) string { return r.ratio(func(x Result) float64 { return float64(x.P99) }) }},
		{"crossing", func(r *Row) string { return percent(medians(r.Measured).Crossing) }},
		{"lag", func(r *Row) string { return latency(medians(r.Measured).Lag) }},
	}
	columns = slices.DeleteFunc(columns, func(c column) bool {
		return !slices.ContainsFunc(t.rows, func(r *Row) bool { return c.of(r) != "" })
	})
	line := func(cell func(c column) string) {
		for _, c := range columns {
			fmt.Fprintf(w, "| %s ", cell(c))
		}
		fmt.Fprintln(w, "|")
	}
	line(func(c column) string { return c.title })
	fmt.Fprintln(w, strings.Repeat("|---", len(columns))+"|")
	for _, r := range t.rows {
		line(func(c column) string { return c.of(r) })
	}
}

type column struct {
	title string
	of    func(r *Row) string
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
		Crossing:  pick(func(r Result) float64 { return r.Crossing }),
		Lag:       time.Duration(pick(func(r Result) float64 { return float64(r.Lag) })),
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

func percent(share float64) string {
	if share == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

func latency(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}
