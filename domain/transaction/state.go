package transaction

import (
	"time"

	"daybook/domain"
)

// State is the fold of a transaction's events.
type State struct {
	ID string
	Details
	Status      Status
	FailureCode domain.Code
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Apply folds one event, recorded at the given time, into the state. A repeated or older event changes nothing.
func (s State) Apply(id string, e *Event, at time.Time) State {
	if s.ID != "" && e.Version() <= s.Version() {
		return s
	}
	if s.ID == "" {
		s.ID, s.CreatedAt = id, at
	}
	s.Details, s.Status, s.FailureCode, s.UpdatedAt = e.Details, e.Status, e.FailureCode, at
	return s
}

// Version is the aggregate version that the status stands for.
func (s State) Version() int64 { return (&Event{Status: s.Status}).Version() }
