package soak

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// NodeSample is what one node came to at one moment, as seen from outside.
type NodeSample struct {
	Node string `json:"node"`
	// RSS and PSS are the process's memory in bytes: resident, and with what it shares divided among those who share it.
	RSS int64 `json:"rss"`
	PSS int64 `json:"pss"`
	// StateCache is what the cache of the state store takes of it.
	StateCache int64 `json:"stateCache"`
	// HeapLive is about what the last collection found in use, HeapInUse what the heap's spans take, both in bytes.
	HeapLive  int64 `json:"heapLive"`
	HeapInUse int64 `json:"heapInUse"`
	// Goroutines and FDs are how many there are, FDs of open files and sockets without Tables, those of the state store's
	// tables, of which it keeps up to 1,000 open, and Segments, those of the embedded broker's log, one for each 100 MB.
	Goroutines int64 `json:"goroutines"`
	FDs        int64 `json:"fds"`
	Tables     int64 `json:"tables"`
	Segments   int64 `json:"segments"`
	// LagSeconds is how old the state is that queries show, LagOffsets how many offsets it lacks; both over the node's
	// partitions, the furthest behind and the sum.
	LagSeconds float64 `json:"lagSeconds"`
	LagOffsets int64   `json:"lagOffsets"`
	// CPUSeconds is how much the process has used since it began.
	CPUSeconds float64 `json:"cpuSeconds"`
	// Disk is the size of its data folder in bytes, LogBatches how many batches the embedded log holds.
	Disk       int64 `json:"disk"`
	LogBatches int64 `json:"logBatches"`
}

// LoadSample is what clients saw since the sample before: how many answers, and latencies in milliseconds, null of none.
type LoadSample struct {
	Commands   int64 `json:"commands"`
	Queries    int64 `json:"queries"`
	Pushed     int64 `json:"pushed"`
	CommandP50 Value `json:"commandP50"`
	CommandP99 Value `json:"commandP99"`
	QueryP50   Value `json:"queryP50"`
	QueryP99   Value `json:"queryP99"`
}

// Sample is one moment of a soak.
type Sample struct {
	// Seconds is how long the steady load has gone on.
	Seconds float64 `json:"seconds"`
	// Load is what clients saw.
	Load LoadSample `json:"load"`
	// Errors counts by code what has gone wrong so far.
	Errors map[string]int64 `json:"errors"`
	Nodes  []NodeSample     `json:"nodes"`
	// Disks are the sizes of the backend's folders in bytes.
	Disks []int64 `json:"disks,omitempty"`
}

// disk is all that nodes and backend keep, in bytes.
func (s *Sample) disk() int64 {
	sum := int64(0)
	for i := range s.Nodes {
		sum += s.Nodes[i].Disk
	}
	for _, size := range s.Disks {
		sum += size
	}
	return sum
}

// freeBytes is how much the disk that a folder lies on has left.
func freeBytes(dir string) (int64, error) {
	var about syscall.Statfs_t
	if err := syscall.Statfs(dir, &about); err != nil {
		return 0, fmt.Errorf("asking how much space is left in %s: %w", dir, err)
	}
	return int64(about.Bavail) * about.Bsize, nil
}

// Value is a number that can be missing, as NaN, which JSON has not.
type Value float64

// MarshalJSON writes null for NaN.
func (v Value) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(v)) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(v), 'f', 3, 64), nil
}

// look measures a node.
func (n *node) look(ctx context.Context) (NodeSample, error) {
	s := NodeSample{Node: n.name}
	page, err := get(ctx, "http://"+n.host+"/metrics")
	if err != nil {
		return s, fmt.Errorf("reading the metrics of %s: %w", n.name, err)
	}
	s.metrics(page)
	process := filepath.Join("/proc", strconv.Itoa(n.cmd.Process.Pid))
	memory, err := os.ReadFile(filepath.Join(process, "smaps_rollup"))
	if err != nil {
		return s, fmt.Errorf("reading the memory of %s: %w", n.name, err)
	}
	s.RSS, s.PSS = kilobytes(memory, "Rss:"), kilobytes(memory, "Pss:")
	if err := s.handles(filepath.Join(process, "fd")); err != nil {
		return s, fmt.Errorf("counting the open files of %s: %w", n.name, err)
	}
	s.Disk, s.LogBatches = folder(n.dir)
	return s, nil
}

func (s *NodeSample) handles(dir string) error {
	all, err := os.ReadDir(dir)
	for _, entry := range all {
		switch target, err := os.Readlink(filepath.Join(dir, entry.Name())); {
		case err != nil: // Closed meanwhile.
		case strings.HasSuffix(target, ".sst"):
			s.Tables++
		case strings.HasSuffix(target, ".dat"):
			s.Segments++
		default:
			s.FDs++
		}
	}
	return err
}

// metrics takes what a node tells of itself.
func (s *NodeSample) metrics(page []byte) {
	percent, next := 100.0, 0.0
	lines := bufio.NewScanner(bytes.NewReader(page))
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		at := strings.LastIndexByte(lines.Text(), ' ')
		if at < 0 {
			continue
		}
		value, err := strconv.ParseFloat(lines.Text()[at+1:], 64)
		if err != nil {
			continue
		}
		switch name, _, _ := strings.Cut(lines.Text()[:at], "{"); name {
		case "go_goroutines":
			s.Goroutines = int64(value)
		case "daybook_state_cache_bytes":
			s.StateCache = int64(value)
		case "go_memstats_heap_inuse_bytes":
			s.HeapInUse = int64(value)
		case "go_memstats_next_gc_bytes":
			next = value
		case "go_gc_gogc_percent":
			percent = value
		case "process_cpu_seconds_total":
			s.CPUSeconds = value
		case "daybook_projection_lag_seconds":
			s.LagSeconds = max(s.LagSeconds, value)
		case "daybook_projection_lag_offsets":
			s.LagOffsets += int64(value)
		}
	}
	// The heap at which the next collection begins is that which the last one left, and so many percent more.
	s.HeapLive = int64(next / (1 + percent/100))
}

func kilobytes(text []byte, name string) int64 {
	for line := range bytes.Lines(text) {
		if fields := bytes.Fields(line); len(fields) > 1 && string(fields[0]) == name {
			n, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			return n << 10
		}
	}
	return 0
}

// indexEntry is how many bytes the embedded log's index on disk has for each batch.
const indexEntry = 15

// folder adds up the files below a folder, and the batches of an embedded log there. Files that go meanwhile count nothing.
func folder(dir string) (bytes, batches int64) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return nil
		}
		bytes += info.Size()
		if filepath.Ext(path) == ".idx" {
			batches += info.Size() / indexEntry
		}
		return nil
	})
	return bytes, batches
}
