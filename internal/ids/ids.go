// Package ids draws unique ids: version 7 UUIDs, which begin with the time and so keep indexes compact.
package ids

import (
	"time"

	"github.com/google/uuid"
)

func init() {
	// One system call for many ids instead of one for each.
	uuid.EnableRandPool()
}

// New draws an id. It panics when the system has no randomness, without which nothing here can be trusted.
func New() string { return uuid.Must(uuid.NewV7()).String() }

// Time is when an id was drawn, by the clock of who drew it, to the millisecond; false for an id that does not tell.
func Time(id string) (time.Time, bool) {
	u, err := uuid.Parse(id)
	if err != nil || u.Version() != 7 {
		return time.Time{}, false
	}
	return time.Unix(u.Time().UnixTime()), true
}
