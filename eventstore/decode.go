package eventstore

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// envelope is the wire form of an event around its data.
type envelope struct {
	EventID          string          `json:"eventId"`
	EventType        string          `json:"eventType"`
	AggregateID      string          `json:"aggregateId"`
	AggregateType    string          `json:"aggregateType"`
	AggregateVersion int64           `json:"aggregateVersion"`
	Timestamp        time.Time       `json:"timestamp"`
	CorrelationID    string          `json:"correlationId"`
	CausationID      string          `json:"causationId"`
	Metadata         wireMetadata    `json:"metadata"`
	SchemaVersion    int             `json:"schemaVersion"`
	Data             json.RawMessage `json:"data"`
}

type wireMetadata struct {
	ActorID   string `json:"actorId"`
	ActorType string `json:"actorType"`
}

// Decode reads an event back, lifting an old shape to the present one. The strings of an event share memory: clone one
// that is kept for long by itself.
func Decode(m *Message) (Event, error) {
	e, ok := scanEvent(m.Value)
	if !ok {
		var err error
		if e, err = parseEvent(m.Value); err != nil {
			return Event{}, fmt.Errorf("decoding the event at offset %d: %w", m.Offset, err)
		}
	}
	if err := decodeHeaders(&e, m); err != nil {
		return Event{}, fmt.Errorf("decoding the headers at offset %d: %w", m.Offset, err)
	}
	return e, nil
}

// parseEvent reads any valid form of an event: other order, other spacing, unknown fields, old shapes.
func parseEvent(value []byte) (Event, error) {
	var w envelope
	if err := json.Unmarshal(value, &w); err != nil {
		return Event{}, err
	}
	data, err := decodeData(w.EventType, max(w.SchemaVersion, 1), w.Data)
	if err != nil {
		return Event{}, err
	}
	return Event{
		ID: w.EventID, AggregateID: w.AggregateID, Version: w.AggregateVersion, Timestamp: w.Timestamp.UTC(),
		CorrelationID: w.CorrelationID, CausationID: w.CausationID, Metadata: Metadata(w.Metadata), Data: data,
	}, nil
}

func decodeHeaders(e *Event, m *Message) error {
	for i := range m.Headers {
		value := m.Headers[i].Value
		switch m.Headers[i].Key {
		case headerTraceparent:
			e.Traceparent = string(value)
		case headerIdempotencyKey:
			e.IdempotencyKey = string(value)
		case headerFingerprint:
			if want := hex.EncodedLen(len(e.Fingerprint)); len(value) != want {
				return fmt.Errorf("fingerprint: want %d digits, got %d", want, len(value))
			}
			if _, err := hex.Decode(e.Fingerprint[:], value); err != nil {
				return fmt.Errorf("fingerprint: %w", err)
			}
		case headerProgress:
			p, err := parseProgress(string(value))
			if err != nil {
				return err
			}
			e.Progress = p
		}
	}
	return nil
}

func parseProgress(s string) (p *Progress, err error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return nil, fmt.Errorf("progress: want three numbers, got %d", len(parts))
	}
	var n [3]int64
	for i, bits := range []int{64, 64, 32} {
		if n[i], err = strconv.ParseInt(parts[i], 10, bits); err != nil {
			return nil, fmt.Errorf("progress: %w", err)
		}
	}
	return &Progress{Commands: n[0], Coordinated: n[1], Partitions: int32(n[2])}, nil
}
