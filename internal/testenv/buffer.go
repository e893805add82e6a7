package testenv

import (
	"bytes"
	"sync"
)

// Buffer is a buffer that one goroutine writes and another reads.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (s *Buffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// String returns what was written so far.
func (s *Buffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// Len is how many bytes were written.
func (s *Buffer) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Len()
}

// Tail returns the last n bytes, or what there is.
func (s *Buffer) Tail(n int) string {
	text := s.String()
	return text[max(0, len(text)-n):]
}
