//go:build planted

// Package planted lets the torture test break the program on purpose, to see that its checkers find it, and shift the
// clock and fill the disk of a node. Only a program built with the tag planted can be broken: without it nothing is
// read from the environment, and no bug is ever there.
package planted

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// The variables that a program built with the tag reads.
const (
	// BugVariable holds the name of the bug to have.
	BugVariable = "DAYBOOK_PLANTED_BUG"
	// ClockVariable holds the name of a file with a duration: how far the clock is ahead. It may change at any time.
	ClockVariable = "DAYBOOK_PLANTED_CLOCK"
	// FullVariable holds the name of a file: as long as it is there, the disk counts as full.
	FullVariable = "DAYBOOK_PLANTED_FULL"
	// CheckpointsVariable holds a number: after how few events a partition's next checkpoint is due.
	CheckpointsVariable = "DAYBOOK_PLANTED_CHECKPOINTS"
)

// lookAgain is how long what was read of the clock's file is believed.
const lookAgain = 20 * time.Millisecond

var (
	bug   = os.Getenv(BugVariable)
	clock = os.Getenv(ClockVariable)
	full  = os.Getenv(FullVariable)

	// Zero when it is not set, or no number.
	checkpoints, _ = strconv.ParseInt(os.Getenv(CheckpointsVariable), 10, 64)

	ahead, looked atomic.Int64
)

// Bug tells whether the program has the bug of this name.
func Bug(name string) bool { return bug == name }

// Now is the time by the node's own clock.
func Now() time.Time {
	now := time.Now()
	if clock == "" {
		return now
	}
	if now.UnixNano()-looked.Load() > int64(lookAgain) {
		looked.Store(now.UnixNano())
		if text, err := os.ReadFile(clock); err == nil {
			if d, err := time.ParseDuration(strings.TrimSpace(string(text))); err == nil {
				ahead.Store(int64(d))
			}
		}
	}
	if d := time.Duration(ahead.Load()); d != 0 {
		return now.Round(0).Add(d) // A clock that was set has no monotonic past.
	}
	return now
}

// CheckpointEvents is after how few events a partition's next checkpoint is due; zero is the program's own number.
func CheckpointEvents() int64 { return checkpoints }

// Full tells whether the disk is to count as full.
func Full() bool {
	if full == "" {
		return false
	}
	_, err := os.Stat(full)
	return err == nil
}
