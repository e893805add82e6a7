// Package ids draws unique ids: version 7 UUIDs, which begin with the time and so keep indexes compact.
package ids

import "github.com/google/uuid"

func init() {
	// One system call for many ids instead of one for each.
	uuid.EnableRandPool()
}

// New draws an id. It panics when the system has no randomness, without which nothing here can be trusted.
func New() string { return uuid.Must(uuid.NewV7()).String() }
