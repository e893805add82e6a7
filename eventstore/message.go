package eventstore

import "time"

// Sizes of one event's value.
const (
	// WarnEventBytes is where an event is large enough to be a mistake; it is written, with a warning in the log.
	WarnEventBytes = 1 << 20
	// MaxEventBytes is where an event is refused.
	MaxEventBytes = 10 << 20
)

// Header is a Kafka record header.
type Header struct {
	Key   string
	Value []byte
}

// Message is a Kafka record with the place it has, or is to have, in a topic.
type Message struct {
	Key     []byte
	Value   []byte
	Headers []Header
	// Time is the record's timestamp, in whole milliseconds.
	Time time.Time
	// Offset is set on messages that were read.
	Offset int64
}

// Header returns the value of the first header with this key, nil when there is none.
func (m *Message) Header(key string) []byte {
	for i := range m.Headers {
		if m.Headers[i].Key == key {
			return m.Headers[i].Value
		}
	}
	return nil
}

// Marker is a control record: the line that a new owner rules in the log.
type Marker struct {
	ProducerID int64
	Epoch      int16
	Offset     int64
}

// Chunk is a run of one partition, as read.
type Chunk struct {
	Messages []Message
	// Markers among the messages, in order of offset.
	Markers []Marker
	// Next is the offset to read from next.
	Next int64
	// HighWater is the offset after the last record that may be read.
	HighWater int64
}
