package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

const (
	// maxHeartbeat is how long members may take to notice that one left: the larger part of a planned hand-over.
	maxHeartbeat = 100 * time.Millisecond
	// joinPause is the pause before a member asks again to join a group that is being changed once more, or whose
	// coordinator is moving, and joinTries how often it asks before it says so in the log.
	joinPause = 100 * time.Millisecond
	joinTries = 20
	// askAgain is the pause before a member that could not join, or was put out, tries again.
	askAgain = time.Second
)

// JoinGroup is a member of the group until ctx ends, and calls assigned with the partitions handed to it each time
// they change. Then it leaves, so that the others get its partitions at once. The assignment is a hint about who should
// own a partition; the fence is what keeps it safe.
func (c *Client) JoinGroup(ctx context.Context, cfg GroupConfig, assigned func([]int32)) error {
	client, err := c.reachGroup(ctx, cfg)
	if err != nil {
		return fmt.Errorf("joining group %s: %w", cfg.Group, err)
	}
	if client == nil {
		return nil
	}
	err = c.beMember(ctx, client, cfg, assigned)
	if cfg.InstanceID != "" {
		if leaveErr := leave(client, cfg); leaveErr != nil {
			c.log.Warn("the group was not told that this member leaves; its partitions are handed over after the session timeout",
				"group", cfg.Group, "error", leaveErr)
		}
	}
	return errors.Join(err, client.Close())
}

// reachGroup connects a member, trying again while no broker can be reached: a node that comes back while they are away
// waits for them. It is nil when ctx has ended first.
func (c *Client) reachGroup(ctx context.Context, cfg GroupConfig) (sarama.Client, error) {
	for {
		client, err := c.reachOnce(ctx, cfg)
		if err == nil || !unreachable(err) {
			return client, err
		}
		c.gotNothing(cfg, err)
		if pause(ctx, askAgain) != nil {
			return nil, nil
		}
	}
}

// reachOnce gives the try up when ctx ends: sarama goes on until every broker that hangs has had its time, some of them several
// times. It is nil then, and a client that comes late is closed.
func (c *Client) reachOnce(ctx context.Context, cfg GroupConfig) (sarama.Client, error) {
	type answer struct {
		client sarama.Client
		err    error
	}
	answers := make(chan answer)
	go func() {
		client, err := c.groupClient(cfg)
		select {
		case answers <- answer{client, err}:
		case <-ctx.Done():
			if err == nil {
				_ = client.Close()
			}
		}
	}()
	select {
	case a := <-answers:
		return a.client, a.err
	case <-ctx.Done():
		return nil, nil
	}
}

func (c *Client) gotNothing(cfg GroupConfig, err error) {
	c.log.Warn("the group gives no partitions; trying again; look whether the brokers run and allow the session timeout", "group", cfg.Group, "error", err)
}

func (c *Client) groupClient(cfg GroupConfig) (sarama.Client, error) {
	conf := *c.conf
	conf.Consumer.Group.InstanceId = cfg.InstanceID
	conf.Consumer.Group.Session.Timeout = cfg.SessionTimeout
	conf.Consumer.Group.Heartbeat.Interval = min(cfg.SessionTimeout/4, maxHeartbeat)
	conf.Consumer.Group.Rebalance.Timeout = cfg.SessionTimeout
	conf.Consumer.Group.Rebalance.Retry.Backoff = joinPause
	conf.Consumer.Group.Rebalance.Retry.Max = joinTries
	// A client forgets brokers that do not answer.
	known := append(addresses(c.sarama.Brokers()), c.seeds...)
	slices.Sort(known)
	return sarama.NewClient(slices.Compact(known), &conf)
}

// beMember returns when ctx has ended. A static member stays one in the brokers' eyes.
func (c *Client) beMember(ctx context.Context, client sarama.Client, cfg GroupConfig, assigned func([]int32)) error {
	strategy, err := newStrategy(cfg.Topic, assigned)
	if err != nil {
		return fmt.Errorf("joining group %s: %w", cfg.Group, err)
	}
	client.Config().Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
	group, err := sarama.NewConsumerGroupFromClient(cfg.Group, withoutRecords{client})
	if err != nil {
		return fmt.Errorf("joining group %s: %w", cfg.Group, err)
	}
	for ctx.Err() == nil {
		strategy.begin()
		if err := group.Consume(ctx, []string{cfg.Topic}, member{}); err != nil && ctx.Err() == nil {
			c.gotNothing(cfg, err)
			_ = pause(ctx, askAgain)
		}
	}
	return group.Close()
}

// leave tells the coordinator that a static member goes for good, which sarama does only for the others.
func leave(client sarama.Client, cfg GroupConfig) error {
	ask := func() error {
		coordinator, err := client.Coordinator(cfg.Group)
		if err != nil {
			return err
		}
		res, err := coordinator.LeaveGroup(&sarama.LeaveGroupRequest{
			Version: 4, GroupId: cfg.Group, Members: []sarama.MemberIdentity{{GroupInstanceId: &cfg.InstanceID}},
		})
		if err != nil {
			return err
		}
		err = asError(res.Err)
		for _, member := range res.Members {
			if member.Err != sarama.ErrUnknownMemberId { // It never became one, or is gone already.
				err = errors.Join(err, asError(member.Err))
			}
		}
		return err
	}
	err := ask()
	if err == nil {
		return nil
	}
	// The group may have another coordinator by now.
	if refreshErr := client.RefreshCoordinator(cfg.Group); refreshErr != nil {
		return errors.Join(err, refreshErr)
	}
	return ask()
}

func addresses(brokers []*sarama.Broker) []string {
	all := make([]string, len(brokers))
	for i, b := range brokers {
		all[i] = b.Addr()
	}
	return all
}

// withoutRecords makes a member that only wants to know its partitions: the owner reads commands by offset itself. A
// member that also read them would notice changes of the group, and give partitions back, only between two long polls.
type withoutRecords struct{ sarama.Client }

// PartitionNotReadable implements sarama.Client. While it is true, members wait and do not read.
func (withoutRecords) PartitionNotReadable(string, int32) bool { return true }

// member is told of its partitions by its strategy, and keeps them after a session until the next assignment says
// otherwise.
type member struct{}

// Setup implements sarama.ConsumerGroupHandler.
func (member) Setup(sarama.ConsumerGroupSession) error { return nil }

// Cleanup implements sarama.ConsumerGroupHandler.
func (member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim implements sarama.ConsumerGroupHandler. See withoutRecords: it is never called.
func (member) ConsumeClaim(s sarama.ConsumerGroupSession, _ sarama.ConsumerGroupClaim) error {
	<-s.Context().Done()
	return nil
}
