package eventstore

import "fmt"

// ProgressOf returns the progress that a record of the topic of account events carries, nil when it carries none.
func ProgressOf(m *Message) (*Progress, error) {
	value := m.Header(headerProgress)
	if value == nil {
		return nil, nil
	}
	p, err := parseProgress(string(value))
	if err != nil {
		return nil, fmt.Errorf("reading the event at offset %d: %w", m.Offset, err)
	}
	return p, nil
}
