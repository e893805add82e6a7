package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"daybook/eventstore"
)

// transactionTimeout bounds the empty transaction of a fence; the coordinator aborts one that takes longer.
const transactionTimeout = 30 * time.Second

// lastEpoch is the greatest epoch that an owner writes with. After 32766 brokers go on with another producer id, whose
// epochs fence nobody who writes with the one before. The epochs in between are for that: see leaveProducerID.
const lastEpoch = 32_000

// fenceRetries bounds the tries while a coordinator is busy, loading or moving; the pauses add up to about 20 s.
const fenceRetries = 40

// TransactionalID names the writer of a partition. Whoever uses it last is the only one who can write.
func TransactionalID(topic string, partition int32) string {
	return fmt.Sprintf("daybook-%s-%d", topic, partition)
}

// RuleLine makes the caller the partition's only writer: it raises the epoch and plants it in the partition by an
// empty transaction. The fence stands once the returned marker has been read back from the log: every older writer's
// batch lies before it, and none can follow.
func (c *Client) RuleLine(ctx context.Context, topic string, partition int32) (eventstore.Marker, error) {
	marker, err := c.raiseEpoch(ctx, topic, partition)
	if err == nil && marker.Epoch > c.lastEpoch {
		marker, err = c.leaveProducerID(ctx, topic, partition, marker)
	}
	if err != nil {
		return marker, err
	}
	return marker, c.plant(ctx, topic, partition, marker)
}

// leaveProducerID fences all owners that write with a producer id whose epochs run out, then asks until the brokers give
// another. One marker does: its epoch is above all owners', and no epoch is raised again before it is in the partition.
func (c *Client) leaveProducerID(ctx context.Context, topic string, partition int32, last eventstore.Marker) (eventstore.Marker, error) {
	if err := c.plant(ctx, topic, partition, last); err != nil {
		return last, err
	}
	for {
		marker, err := c.raiseEpoch(ctx, topic, partition)
		if err != nil || marker.Epoch <= c.lastEpoch {
			return marker, err
		}
	}
}

// raiseEpoch gets the partition's producer id with an epoch that nobody had before.
func (c *Client) raiseEpoch(ctx context.Context, topic string, partition int32) (eventstore.Marker, error) {
	id := TransactionalID(topic, partition)
	var marker eventstore.Marker
	err := c.withCoordinator(ctx, id, func(b *sarama.Broker) error {
		res, err := b.InitProducerID(&sarama.InitProducerIDRequest{
			Version: 4, TransactionalID: &id, TransactionTimeout: transactionTimeout, ProducerID: -1, ProducerEpoch: -1,
		})
		if err != nil {
			return err
		}
		marker = eventstore.Marker{ProducerID: res.ProducerID, Epoch: res.ProducerEpoch}
		return asError(res.Err)
	})
	if err != nil {
		return marker, fmt.Errorf("raising the epoch of %s: %w", id, err)
	}
	return marker, nil
}

// plant writes the marker of an empty transaction into the partition.
func (c *Client) plant(ctx context.Context, topic string, partition int32, m eventstore.Marker) error {
	id := TransactionalID(topic, partition)
	err := c.withCoordinator(ctx, id, func(b *sarama.Broker) error {
		res, err := b.AddPartitionsToTxn(&sarama.AddPartitionsToTxnRequest{
			Version: 3, TransactionalID: id, ProducerID: m.ProducerID, ProducerEpoch: m.Epoch,
			TopicPartitions: map[string][]int32{topic: {partition}},
		})
		if err != nil {
			return err
		}
		for _, failed := range res.Errors[topic] {
			if err := asError(failed.Err); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("adding %s/%d to the fence's transaction: %w", topic, partition, err)
	}
	err = c.withCoordinator(ctx, id, func(b *sarama.Broker) error {
		res, err := b.EndTxn(&sarama.EndTxnRequest{
			Version: 3, TransactionalID: id, ProducerID: m.ProducerID, ProducerEpoch: m.Epoch,
		})
		if err != nil {
			return err
		}
		return asError(res.Err)
	})
	if err != nil {
		return fmt.Errorf("ending the fence's transaction on %s/%d: %w", topic, partition, err)
	}
	return nil
}

// withCoordinator repeats a request to the transaction coordinator while it is busy, loading or moving.
func (c *Client) withCoordinator(ctx context.Context, id string, request func(*sarama.Broker) error) error {
	var last error
	for attempt := range fenceRetries {
		if attempt > 0 {
			if err := pause(ctx, min(5*time.Millisecond<<min(attempt, 10), 500*time.Millisecond)); err != nil {
				return errors.Join(err, last)
			}
		}
		broker, err := c.sarama.TransactionCoordinator(id)
		if err == nil {
			err = request(broker)
		}
		switch {
		case err == nil:
			return nil
		case isFenced(err):
			return fmt.Errorf("%w (%w)", eventstore.ErrFenced, err)
		case errors.Is(err, sarama.ErrConcurrentTransactions):
			// An earlier marker is being written; the same coordinator will answer in a moment.
		case errors.Is(err, sarama.ErrInvalidProducerIDMapping):
			// It has another producer id by now, or was forgotten, which is no sign of another owner. No try changes that.
			return err
		case errors.Is(err, sarama.ErrTransactionalIDAuthorizationFailed), errors.Is(err, sarama.ErrTopicAuthorizationFailed),
			errors.Is(err, sarama.ErrClusterAuthorizationFailed):
			return err
		default:
			_ = c.sarama.RefreshTransactionCoordinator(id)
		}
		last = err
	}
	return last
}

func isFenced(err error) bool {
	return errors.Is(err, sarama.ErrInvalidProducerEpoch) || errors.Is(err, sarama.ErrProducerFenced)
}

func asError(code sarama.KError) error {
	if code == sarama.ErrNoError {
		return nil
	}
	return code
}
