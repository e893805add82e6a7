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

func (p *progress) show(done, total int64) {
	if p.to == nil || time.Since(p.shown) < progressInterval {
		return
	}
	p.shown, p.any = time.Now(), true
	fmt.Fprintf(p.to, "\r%d of %d %s ", done, total, p.unit)
}

// end leaves the line of progress.
func (p *progress) end() {
	if p.any {
		fmt.Fprintln(p.to)
	}
}
