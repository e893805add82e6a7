package soak

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Report is what a soak came to.
type Report struct {
	Backend Backend
	Time    time.Duration
	// Maximum is the load that clients reached who wait for nothing, Rate that which was kept up, both in operations a
	// second.
	Maximum, Rate float64
	Samples       []Sample
	// RestBefore and RestAfter are the nodes without any client.
	RestBefore, RestAfter []NodeSample
	// Errors counts what went wrong by code, FirstErrors has a message of each.
	Errors      map[string]int64
	FirstErrors map[string]string
	// Verified is what the comparison of read model and log said.
	Verified string
}

// Rule says what is called flat.
const Rule = `Flat means that a figure did not grow in the last three quarters of the time; the first is a warm-up. It is not flat when
both the line through its values by least squares rises by more than is allowed, and the median of the last quarter lies
above that of the second by more than two thirds of it, which is what a steady leak would do. Allowed are, of the second
quarter's median:

- memory (RSS, without the state store's cache, which fills up to 128 MB): 10 %, at least 24 MB, and 64 MB once
- live heap: 10 %, at least 8 MB
- goroutines, and open files: 5 %, at least 10
- p50: 25 %, at least 5 ms; p99: 50 %, at least 20 ms; both of commands and of queries
- the read model's lag: 1 s

Without clients, a node must have as many goroutines and open files afterwards as before, within the same bounds.

Accounts and open holds do not become more. What grows by design is the disk, since events and keys are kept for ever; the
open tables of the state store, at most 1,000, which are not counted; the two tables of up to 32 MB each that the state store
fills in memory, which begin small, double with each that is written out, and are in memory whole only once each was filled at
its full size; and of the embedded broker an open file for each 100 MB of its log, which are not counted, and its index in
memory, for which 90 bytes of heap and 180 of RSS are allowed for each batch that the log grows by.`

const (
	megabyte = float64(1 << 20)
	// batchHeap is what the embedded broker's index in memory takes for a batch of the log: 72 bytes, in slices that
	// grow by a quarter.
	batchHeap = 90
	// tables is what the state store's tables in memory come to, in megabytes.
	tables = 64
)

// figure is one of those that are to be flat.
type figure struct {
	name, unit string
	scale      float64 // One of the unit.
	percent    float64 // Allowed, of the second quarter's median.
	least      float64 // Allowed at least, in the unit.
	once       float64 // Allowed besides, in the unit, for what fills and then stays.
	batch      float64 // Allowed for each batch of an embedded log.
	of         func(n *NodeSample) float64
}

var nodeFigures = []figure{
	{"memory (RSS)", "MB", megabyte, 10, 24, tables, 2 * batchHeap, func(n *NodeSample) float64 { return float64(n.RSS - n.StateCache) }},
	{"live heap", "MB", megabyte, 10, 8, 0, batchHeap, func(n *NodeSample) float64 { return float64(n.HeapLive) }},
	{"goroutines", "", 1, 5, 10, 0, 0, func(n *NodeSample) float64 { return float64(n.Goroutines) }},
	{"open files", "", 1, 5, 10, 0, 0, func(n *NodeSample) float64 { return float64(n.FDs) }},
	{"read model's lag", "s", 1, 0, 1, 0, 0, func(n *NodeSample) float64 { return n.LagSeconds }},
}

var loadFigures = []struct {
	figure
	of func(l *LoadSample) Value
}{
	{figure{name: "p50", unit: "ms", scale: 1, percent: 25, least: 5}, func(l *LoadSample) Value { return l.CommandP50 }},
	{figure{name: "p99", unit: "ms", scale: 1, percent: 50, least: 20}, func(l *LoadSample) Value { return l.CommandP99 }},
	{figure{name: "p50", unit: "ms", scale: 1, percent: 25, least: 5}, func(l *LoadSample) Value { return l.QueryP50 }},
	{figure{name: "p99", unit: "ms", scale: 1, percent: 50, least: 20}, func(l *LoadSample) Value { return l.QueryP99 }},
}

// row is one line of the table.
type row struct {
	who, name, unit string
	scale           float64
	trend           Trend
	allowed         float64
}

func (r *row) flat() bool { return r.trend.Flat(r.allowed) }

// rows are all figures with what is allowed of each.
func (r *Report) rows() []row {
	var at []float64
	for i := range r.Samples {
		at = append(at, r.Samples[i].Seconds)
	}
	trend := func(of func(s *Sample) float64) Trend {
		var values []float64
		for i := range r.Samples {
			values = append(values, of(&r.Samples[i]))
		}
		return TrendOf(at, values)
	}
	var rows []row
	add := func(who string, f *figure, t Trend, batches float64) {
		allowed := max(f.percent/100*t.Second, f.least*f.scale) + f.once*f.scale + f.batch*batches
		rows = append(rows, row{who, f.name, f.unit, f.scale, t, allowed})
	}
	for i, n := range r.RestBefore {
		batches := max(0, trend(func(s *Sample) float64 { return float64(s.Nodes[i].LogBatches) }).Grown)
		for j := range nodeFigures {
			f := &nodeFigures[j]
			add(n.Node, f, trend(func(s *Sample) float64 { return f.of(&s.Nodes[i]) }), batches)
		}
	}
	for i := range loadFigures {
		f := &loadFigures[i]
		who := "commands"
		if i >= 2 {
			who = "queries"
		}
		add(who, &f.figure, trend(func(s *Sample) float64 { return float64(f.of(&s.Load)) }), 0)
	}
	return rows
}

// Problems tells all that is not flat, and what went wrong; none when all is well.
func (r *Report) Problems() []string {
	var problems []string
	for _, row := range r.rows() {
		if !row.flat() {
			problems = append(problems, fmt.Sprintf("%s: %s is not flat", row.who, row.name))
		}
	}
	for i, before := range r.RestBefore {
		if i >= len(r.RestAfter) {
			break
		}
		after := r.RestAfter[i]
		if bound := before.Goroutines + max(10, before.Goroutines/20); after.Goroutines > bound {
			problems = append(problems, fmt.Sprintf("%s: without clients there were %d goroutines, and are %d", before.Node, before.Goroutines, after.Goroutines))
		}
		if bound := before.FDs + max(10, before.FDs/20); after.FDs > bound {
			problems = append(problems, fmt.Sprintf("%s: without clients there were %d open files, and are %d", before.Node, before.FDs, after.FDs))
		}
	}
	for _, code := range slices.Sorted(maps.Keys(r.Errors)) {
		problems = append(problems, fmt.Sprintf("%d errors %s, such as: %s", r.Errors[code], code, r.FirstErrors[code]))
	}
	return problems
}

// Table is all of it, in Markdown.
func (r *Report) Table() string {
	var b strings.Builder
	commands, queries, pushed := int64(0), int64(0), int64(0)
	for i := range r.Samples {
		l := &r.Samples[i].Load
		commands, queries, pushed = commands+l.Commands, queries+l.Queries, pushed+l.Pushed
	}
	fmt.Fprintf(&b, "%s at %.0f operations/s, of a maximum of %.0f/s: %d commands, %d queries, %d changes pushed, %d errors.\n\n",
		r.Time, r.Rate, r.Maximum, commands, queries, pushed, total(r.Errors))
	b.WriteString("| | first quarter | second | last | slope an hour | grown | allowed | |\n|---|---:|---:|---:|---:|---:|---:|---|\n")
	for _, row := range r.rows() {
		verdict := "flat"
		if !row.flat() {
			verdict = "**not flat**"
		}
		name := strings.TrimSpace(fmt.Sprintf("%s, %s, %s", row.who, row.name, row.unit))
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", strings.TrimSuffix(name, ","), row.show(row.trend.First),
			row.show(row.trend.Second), row.show(row.trend.Last), row.show(row.trend.PerHour), row.show(row.trend.Grown), row.show(row.allowed), verdict)
	}
	b.WriteString("\n| without clients | goroutines before | after | open files before | after | disk before, MB | after |\n|---|---:|---:|---:|---:|---:|---:|\n")
	for i, before := range r.RestBefore {
		if i < len(r.RestAfter) {
			after := r.RestAfter[i]
			fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d |\n", before.Node, before.Goroutines, after.Goroutines,
				before.FDs, after.FDs, before.Disk>>20, after.Disk>>20)
		}
	}
	if n := len(r.Samples); n > 0 && len(r.Samples[0].Disks) > 0 {
		for i, dir := range r.Backend.Dirs {
			fmt.Fprintf(&b, "\n%s grew from %d to %d MB.", dir, r.Samples[0].Disks[i]>>20, r.Samples[n-1].Disks[i]>>20)
		}
		b.WriteString("\n")
	}
	if r.Verified != "" {
		fmt.Fprintf(&b, "\nverify: %s\n", r.Verified)
	}
	return b.String()
}

func (r *row) show(value float64) string {
	value /= r.scale
	switch {
	case math.IsNaN(value):
		return "–"
	case r.scale == megabyte || math.Abs(value) >= 100:
		return fmt.Sprintf("%.1f", value)
	default:
		return fmt.Sprintf("%.2f", value)
	}
}

func total(counts map[string]int64) int64 {
	sum := int64(0)
	for _, n := range counts {
		sum += n
	}
	return sum
}
