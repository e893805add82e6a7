package eventstore

import (
	"context"
	"sync"
)

// Ends finds out where the partitions of a topic end, for many at once: those who ask while a request is on its way share
// the next one. What one is told is never older than the question.
type Ends struct {
	request    func(partition int32) (int64, error)
	partitions []sharedEnd
}

type sharedEnd struct {
	mu sync.Mutex
	// asking tells that a request is on its way, next is the answer to the one after it; nil when nobody waits for that.
	asking bool
	next   *endAnswer
}

type endAnswer struct {
	known chan struct{}
	end   int64
	err   error
}

// NewEnds makes one that asks by request.
func NewEnds(partitions int32, request func(partition int32) (int64, error)) *Ends {
	return &Ends{request: request, partitions: make([]sharedEnd, partitions)}
}

// Of returns the offset that the next record of a partition will have. It gives up when ctx ends, however long the request
// takes.
func (e *Ends) Of(ctx context.Context, partition int32) (int64, error) {
	answer := e.ask(partition)
	select {
	case <-answer.known:
		return answer.end, answer.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// ask returns the answer to a request that has not begun yet.
func (e *Ends) ask(partition int32) *endAnswer {
	s := &e.partitions[partition]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &endAnswer{known: make(chan struct{})}
	}
	if !s.asking {
		s.asking = true
		go e.answer(partition)
	}
	return s.next
}

// answer makes requests until nobody waits for one.
func (e *Ends) answer(partition int32) {
	s := &e.partitions[partition]
	for {
		s.mu.Lock()
		answer := s.next
		s.next, s.asking = nil, answer != nil
		s.mu.Unlock()
		if answer == nil {
			return
		}
		answer.end, answer.err = e.request(partition)
		close(answer.known)
	}
}
