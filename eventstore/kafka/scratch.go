package kafka

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// WithScratchTopic makes a topic with the settings of an event topic, lets use have it, and deletes it again.
func (c *Client) WithScratchTopic(name string, partitions int32, use func(topic string) error) error {
	admin, err := c.admin()
	if err != nil {
		return err
	}
	topic := name + "." + strconv.FormatInt(time.Now().UnixNano(), 36)
	if _, err := c.create(admin, []topicSpec{{name: topic, partitions: partitions}}, 0); err != nil {
		return err
	}
	defer func() {
		if err := admin.DeleteTopic(topic); err != nil {
			c.log.Warn("a scratch topic could not be deleted; delete it by hand", "topic", topic, "error", err)
		}
	}()
	if err := c.awaitLeaders(map[string]int32{topic: partitions}); err != nil {
		return err
	}
	return use(topic)
}

// WithAllTopics creates Daybook's topics, lets use have them, and deletes them with all that is in them: for benchmarks
// on a cluster that holds nothing else. A SetupError when one of the topics exists.
func (c *Client) WithAllTopics(cfg TopicsConfig, use func(partitions int32) error) error {
	_, missing, err := c.CheckTopics(cfg)
	if err != nil {
		return err
	}
	all := specs(DefaultPartitions, cfg.ForeverOnly)
	if len(missing) < len(all) {
		return setupError("this cluster holds Daybook's topics already, and benchmarks delete what they made: name a cluster of its own")
	}
	admin, err := c.admin()
	if err != nil {
		return err
	}
	partitions, err := c.EnsureTopics(cfg)
	if err == nil {
		err = use(partitions)
	}
	for _, spec := range all {
		if dropErr := admin.DeleteTopic(spec.name); dropErr != nil {
			err = errors.Join(err, fmt.Errorf("deleting topic %s: %w", spec.name, dropErr))
		}
	}
	return errors.Join(err, c.awaitGone(cfg, len(all)))
}

// awaitGone waits, a bounded time, until brokers have forgotten deleted topics.
func (c *Client) awaitGone(cfg TopicsConfig, topics int) error {
	for range 100 {
		if _, missing, err := c.CheckTopics(cfg); err == nil && len(missing) == topics {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("the deleted topics are still there: delete them by hand")
}
