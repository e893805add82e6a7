package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// GroupConfig describes a member of the group that hands out partitions.
type GroupConfig struct {
	Group string
	Topic string
	// InstanceID makes membership static: a member that comes back soon keeps its partitions without a rebalance.
	InstanceID string
	// SessionTimeout is how long a silent member keeps its partitions.
	SessionTimeout time.Duration
}

// JoinGroup is a member of the group until ctx ends, and calls assigned with the partitions handed to it each time
// they change. The assignment is a hint about who should own a partition; the fence is what keeps it safe.
func (c *Client) JoinGroup(ctx context.Context, cfg GroupConfig, assigned func([]int32)) error {
	conf := *c.conf
	conf.Consumer.Group.InstanceId = cfg.InstanceID
	conf.Consumer.Group.Session.Timeout = cfg.SessionTimeout
	conf.Consumer.Group.Heartbeat.Interval = cfg.SessionTimeout / 4
	conf.Consumer.Group.Rebalance.Timeout = cfg.SessionTimeout
	conf.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategySticky()}
	client, err := sarama.NewClient(addresses(c.sarama.Brokers()), &conf)
	if err != nil {
		return fmt.Errorf("joining group %s: %w", cfg.Group, err)
	}
	group, err := sarama.NewConsumerGroupFromClient(cfg.Group, client)
	if err != nil {
		return fmt.Errorf("joining group %s: %w", cfg.Group, errors.Join(err, client.Close()))
	}
	// Only membership is wanted: the owner reads commands by offset itself.
	group.PauseAll()
	handler := &groupHandler{topic: cfg.Topic, assigned: assigned}
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{cfg.Topic}, handler); err != nil && ctx.Err() == nil {
			c.log.Warn("the group gives no partitions; trying again", "group", cfg.Group, "error", err)
			_ = pause(ctx, time.Second)
		}
	}
	err = group.Close()
	return errors.Join(err, client.Close())
}

func addresses(brokers []*sarama.Broker) []string {
	all := make([]string, len(brokers))
	for i, b := range brokers {
		all[i] = b.Addr()
	}
	return all
}

type groupHandler struct {
	topic    string
	assigned func([]int32)
}

// Setup implements sarama.ConsumerGroupHandler.
func (h *groupHandler) Setup(s sarama.ConsumerGroupSession) error {
	h.assigned(s.Claims()[h.topic])
	return nil
}

// Cleanup implements sarama.ConsumerGroupHandler. Partitions are kept until the next assignment says otherwise.
func (h *groupHandler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim implements sarama.ConsumerGroupHandler.
func (h *groupHandler) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case <-s.Context().Done():
			return nil
		case _, ok := <-claim.Messages():
			if !ok {
				return nil
			}
		}
	}
}
