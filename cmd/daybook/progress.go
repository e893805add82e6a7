package main

import (
	"fmt"
	"os"
	"time"
)

// progressInterval keeps what is printed readable.
const progressInterval = 500 * time.Millisecond

// progress shows on a terminal how far long work has come; elsewhere it stays silent.
type progress struct {
	to    *os.File
	unit  string
	shown time.Time
	any   bool
}

func newProgress(to *os.File, unit string) *progress {
	if info, err := to.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		to = nil
	}
	return &progress{to: to, unit: unit}
}

// unknown is a total that could not be told.
const unknown = -1

// shows tells whether anybody looks, for what is worked out for progress alone.
func (p *progress) shows() bool { return p.to != nil }

func (p *progress) show(done, total int64) {
	if total == unknown {
		p.print("%d %s", done, p.unit)
		return
	}
	p.print("%d of %d %s", done, total, p.unit)
}

// showBytes shows offsets and bytes.
func (p *progress) showBytes(done, total, bytes int64) {
	p.print("%d of %d %s, %.1f MB, %d %%", done, total, p.unit, megabytes(bytes), 100*done/max(total, 1))
}

func (p *progress) print(format string, args ...any) {
	if p.to == nil || time.Since(p.shown) < progressInterval {
		return
	}
	p.shown, p.any = time.Now(), true
	fmt.Fprintf(p.to, "\r"+format+" ", args...)
}

// end leaves the line of progress.
func (p *progress) end() {
	if p.any {
		fmt.Fprintln(p.to)
	}
}
