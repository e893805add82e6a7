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

// Raw measures group commit with nothing around it: fenced idempotent batches of what a command comes to.
func Raw(ctx context.Context, client *kafka.Client, partitions int32, command Sample, callers int, d time.Duration) (Result, error) {
	return raw(ctx, client, partitions, command, func(g *rawGroup) (Result, error) {
		return Load(ctx, callers, d, func(ctx context.Context, caller, n int) error {
			return g.write(ctx, int32(caller+n)%partitions, 1)
		})
	})
}

// RawBatches measures the same of requests of many commands each, spread over all partitions. PerSecond counts commands,
// the latencies are of requests.
func RawBatches(ctx context.Context, client *kafka.Client, partitions int32, command Sample, size, callers int, d time.Duration) (Result, error) {
	result, err := raw(ctx, client, partitions, command, func(g *rawGroup) (Result, error) {
		return Load(ctx, callers, d, func(ctx context.Context, _, _ int) error { return g.spread(ctx, size) })
	})
	result.PerSecond *= float64(size)
	return result, err
}

func raw(ctx context.Context, client *kafka.Client, partitions int32, command Sample, use func(g *rawGroup) (Result, error)) (result Result, err error) {
	err = client.WithScratchTopic("daybook.bench", partitions, func(topic string) error {
		g, err := newRawGroup(ctx, client, topic, partitions, command)
		if err != nil {
			return err
		}
		defer g.close()
		result, err = use(g)
		return err
	})
	return result, err
}

// rawBatchMessages is about how many messages of these sizes the engine's own bound of 768 KB to a batch holds.
const rawBatchMessages = 700

// rawGroup writes copies of what a command comes to.
type rawGroup struct {
	topic  string
	queues []chan rawRequest
	// most is how many copies a batch holds.
	most int
	stop context.CancelFunc
	wg   sync.WaitGroup
	errs chan error
}

type rawRequest struct {
	copies int
	done   chan struct{}
}

// newRawGroup fences every partition and starts a writer on each, which answers a caller when a copy of the messages
// that a command comes to is in the log.
func newRawGroup(ctx context.Context, client *kafka.Client, topic string, partitions int32, command Sample) (*rawGroup, error) {
	ctx, stop := context.WithCancel(ctx)
	g := &rawGroup{topic: topic, queues: make([]chan rawRequest, partitions), most: rawBatchMessages / len(command), stop: stop, errs: make(chan error, partitions)}
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
		g.queues[p] = make(chan rawRequest, 8192)
		g.wg.Go(func() {
			if err := g.run(ctx, writer, g.queues[p], command); err != nil {
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

func (g *rawGroup) run(ctx context.Context, writer eventstore.Writer, queue chan rawRequest, command Sample) error {
	const inFlight = 3 // As the engine has.
	acks := make(chan error, inFlight+1)
	var waiting [][]rawRequest
	var held *rawRequest
	defer writer.Close() //nolint:errcheck // All batches were answered.
	for {
		var requests []rawRequest
		in := queue
		if len(waiting) >= inFlight {
			in = nil
		} else if held != nil {
			requests, held = g.gather(*held, queue)
		}
		if requests == nil {
			select {
			case <-ctx.Done():
				return nil
			case err := <-acks:
				if err != nil {
					return err
				}
				for _, r := range waiting[0] {
					close(r.done)
				}
				waiting = waiting[1:]
				continue
			case first := <-in:
				requests, held = g.gather(first, queue)
			}
		}
		var messages []eventstore.Message
		for _, r := range requests {
			for range r.copies {
				messages = append(messages, command...)
			}
		}
		waiting = append(waiting, requests)
		if err := writer.Append(messages, func(_ int64, err error) { acks <- err }); err != nil {
			return err
		}
	}
}

// gather takes what waits, as much as a batch holds, and gives back the request that would not fit.
func (g *rawGroup) gather(first rawRequest, queue chan rawRequest) (fit []rawRequest, held *rawRequest) {
	fit, copies := []rawRequest{first}, first.copies
	for copies < g.most {
		select {
		case next := <-queue:
			if copies += next.copies; copies > g.most {
				return fit, &next
			}
			fit = append(fit, next)
		default:
			return fit, nil
		}
	}
	return fit, nil
}

// write asks for copies on a partition, at most as many as a batch holds, and waits until they are in the log.
func (g *rawGroup) write(ctx context.Context, partition int32, copies int) error {
	return g.await(ctx, g.ask(partition, copies))
}

func (g *rawGroup) ask(partition int32, copies int) chan struct{} {
	done := make(chan struct{})
	g.queues[partition] <- rawRequest{copies: copies, done: done}
	return done
}

func (g *rawGroup) await(ctx context.Context, done chan struct{}) error {
	select {
	case <-done:
		return nil
	case err := <-g.errs:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// spread asks for copies on all partitions alike and waits until all of them are in the log.
func (g *rawGroup) spread(ctx context.Context, copies int) error {
	var asked []chan struct{}
	for p := range len(g.queues) {
		// What a division leaves over goes to the first.
		share := copies / len(g.queues)
		if p < copies%len(g.queues) {
			share++
		}
		for share > 0 {
			n := min(share, g.most)
			asked = append(asked, g.ask(int32(p), n))
			share -= n
		}
	}
	for _, done := range asked {
		if err := g.await(ctx, done); err != nil {
			return err
		}
	}
	return nil
}

func (g *rawGroup) close() {
	g.stop()
	g.wg.Wait()
}
