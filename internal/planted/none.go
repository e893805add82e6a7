//go:build !planted

// Package planted lets the torture test break the program on purpose, to see that its checkers find it, and shift the
// clock and fill the disk of a node. Only a program built with the tag planted can be broken: without it nothing is
// read from the environment, and no bug is ever there.
package planted

import "time"

// Bug tells whether the program has the bug of this name: never.
func Bug(string) bool { return false }

// Now is the time.
func Now() time.Time { return time.Now() }

// CheckpointEvents is after how few events a partition's next checkpoint is due; zero is the program's own number.
func CheckpointEvents() int64 { return 0 }

// Full tells whether the disk is to count as full: never.
func Full() bool { return false }
