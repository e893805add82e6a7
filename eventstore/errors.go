package eventstore

import "errors"

// Errors that a log can answer, wrapped with what was being done.
var (
	// ErrFenced means that another writer has taken the partition over. The one that gets it must stop.
	ErrFenced = errors.New("another writer has taken the partition over")
	// ErrTooLarge means that the broker refuses a batch for its size. It is not in the log.
	ErrTooLarge = errors.New("the broker refuses the batch for its size: raise max.message.bytes of the topic")
	// ErrClock means that the broker refuses a batch for its time. It is not in the log.
	ErrClock = errors.New("the broker refuses the batch for its time, which is far ahead of the broker's clock: " +
		"set this machine's clock and the brokers' (message.timestamp.after.max.ms is how far they may differ)")
	// ErrOffsetGone means that the log does not hold the asked offset: it is another log, or lost a part.
	ErrOffsetGone = errors.New("the log does not hold the asked offset")
)
