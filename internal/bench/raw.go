// Package bench measures Daybook against what it is built on, in one run on one machine.
package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"daybook/eventstore"
	"daybook/eventstore/kafka"
)

// rawGroup is group commit with nothing around it: fenced idempotent batches of given bytes. It is what the engine is
// measured against.
type rawGroup struct {
	queues []chan chan struct{}
	stop   context.CancelFunc
	wg     sync.WaitGroup
	errs   chan error
}

// newRawGroup fences every partition and starts a writer on each, which answers a caller when a copy of the messages
// that a command comes to is in the log.
func newRawGroup(ctx context.Context, client *kafka.Client, topic string, partitions int32, command []eventstore.Message) (*rawGroup, error) {
	ctx, stop := context.WithCancel(ctx)
	g := &rawGroup{queues: make([]chan chan struct{}, partitions), stop: stop, errs: make(chan error, partitions)}
	for p := range partitions {
		marker, err := client.RuleLine(ctx, topic, p)
		if err != nil {
			stop()
			return nil, fmt.Errorf("fencing partition %d: %w", p, err)
		}
		if err := awaitMarker(ctx, client, topic, p, marker); err != nil {
			stop()
			return nil, err
		}
		writer, err := client.OpenWriter(topic, p, marker)
		if err != nil {
			stop()
			return nil, err
		}
		g.queues[p] = make(chan chan struct{}, 8192)
		g.wg.Go(func() {
			if err := writeRaw(ctx, writer, g.queues[p], command); err != nil {
				g.errs <- err
			}
		})
	}
	return g, nil
}

func awaitMarker(ctx context.Context, client *kafka.Client, topic string, p int32, m eventstore.Marker) error {
	end, err := client.EndOffset(topic, p)
	if err != nil {
		return err
	}
	reader, err := client.OpenReader(topic, p)
	if err != nil {
		return err
	}
	defer reader.Close() //nolint:errcheck // Nothing was written.
	for offset := max(0, end-1); ; {
		chunk, err := reader.Read(ctx, offset, 500*time.Millisecond)
		if err != nil {
			return err
		}
		for _, seen := range chunk.Markers {
			if seen.ProducerID == m.ProducerID && seen.Epoch == m.Epoch {
				return nil
			}
		}
		offset = chunk.Next
	}
}

func writeRaw(ctx context.Context, writer eventstore.Writer, queue chan chan struct{}, command []eventstore.Message) error {
	// The engine's own bounds: three batches on their way, and about as many messages as its 768 KB hold of these.
	const inFlight, batchMessages = 3, 700
	acks := make(chan error, inFlight+1)
	var waiting [][]chan struct{}
	defer writer.Close() //nolint:errcheck // All batches were answered.
	for {
		in := queue
		if len(waiting) >= inFlight {
			in = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-acks:
			if err != nil {
				return err
			}
			for _, done := range waiting[0] {
				close(done)
			}
			waiting = waiting[1:]
		case first := <-in:
			callers := gatherRaw(first, queue, batchMessages/len(command))
			messages := make([]eventstore.Message, 0, len(callers)*len(command))
			for range callers {
				messages = append(messages, command...)
			}
			waiting = append(waiting, callers)
			if err := writer.Append(messages, func(_ int64, err error) { acks <- err }); err != nil {
				return err
			}
		}
	}
}

func gatherRaw(first chan struct{}, queue chan chan struct{}, most int) []chan struct{} {
	callers := []chan struct{}{first}
	for len(callers) < most {
		select {
		case next := <-queue:
			callers = append(callers, next)
		default:
			return callers
		}
	}
	return callers
}

// write asks for one message on a partition and waits until it is in the log.
func (g *rawGroup) write(ctx context.Context, partition int32) error {
	done := make(chan struct{})
	g.queues[partition] <- done
	select {
	case <-done:
		return nil
	case err := <-g.errs:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *rawGroup) close() {
	g.stop()
	g.wg.Wait()
}
