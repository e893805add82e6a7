package engine

import (
	"context"

	"daybook/eventstore"
)

// Log is what the engine needs of the cluster; package eventstore/kafka provides it. Errors wrap those of eventstore.
type Log interface {
	// RuleLine makes the caller the partition's only writer once the marker has been read back.
	RuleLine(ctx context.Context, topic string, partition int32) (eventstore.Marker, error)
	OpenWriter(topic string, partition int32, m eventstore.Marker) (eventstore.Writer, error)
	OpenReader(topic string, partition int32) (eventstore.Reader, error)
	OpenAppender(topic string, partition int32) eventstore.Appender
	// StartOffset and EndOffset are the first offset still held and the one the next record will have.
	StartOffset(topic string, partition int32) (int64, error)
	EndOffset(topic string, partition int32) (int64, error)
}
