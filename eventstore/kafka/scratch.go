package kafka

import (
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"
)

// WithScratchTopic makes a topic with the settings of an event topic, lets use have it, and deletes it again.
func (c *Client) WithScratchTopic(name string, partitions int32, use func(topic string) error) error {
	admin, err := sarama.NewClusterAdminFromClient(c.sarama)
	if err != nil {
		return fmt.Errorf("asking Kafka for its topics: %w", err)
	}
	replication, err := c.defaultReplication(admin)
	if err != nil {
		return err
	}
	topic := name + "." + strconv.FormatInt(time.Now().UnixNano(), 36)
	if err := createTopic(admin, topicSpec{name: topic, partitions: partitions}, replication); err != nil {
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
