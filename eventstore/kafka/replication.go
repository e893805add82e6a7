package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"
)

const (
	// wantedCopies survive the loss of a broker while another is being restarted.
	wantedCopies = 3
	// brokersPatience bounds the waiting for brokers that are not there yet.
	brokersPatience = 30 * time.Second
)

// minInSync is how many copies must have what is acknowledged, where there are so many.
func minInSync(copies int16) int {
	if copies >= 3 {
		return 2
	}
	return 1
}

// create creates topics with as many copies as are asked for, waiting a bounded time for brokers to hold them, or with as
// many as the cluster has brokers for, up to wantedCopies, when nothing is asked. How many those are is Kafka's to say: it
// knows the brokers that are away too. It returns how many copies they got.
func (c *Client) create(admin sarama.ClusterAdmin, topics []topicSpec, asked int16) (copies int16, err error) {
	copies = cmp.Or(asked, wantedCopies)
	for _, spec := range topics {
		err = createTopic(admin, spec, copies)
		for asked == 0 && copies > 1 && tooFewBrokers(err) {
			copies--
			err = createTopic(admin, spec, copies)
		}
		if asked > 0 && tooFewBrokers(err) {
			c.log.Warn("the cluster has fewer brokers than topics are to have copies; waiting for the others", "copies", asked, "wait", brokersPatience)
			err = repeat(brokersPatience, tooFewBrokers, func() error { return createTopic(admin, spec, copies) })
		}
		if tooFewBrokers(err) {
			err = setupError("topic %s is to have %d copies and the cluster has not so many brokers: start the others, or ask for fewer copies", spec.name, copies)
		}
		if err != nil {
			return copies, err
		}
	}
	return copies, nil
}

func tooFewBrokers(err error) bool { return errors.Is(err, sarama.ErrInvalidReplicationFactor) }

// warnOfFewCopies tells of topics that have fewer copies than are asked for, or let fewer of them suffice.
func (c *Client) warnOfFewCopies(admin sarama.ClusterAdmin, asked int16) error {
	brokers, _, err := admin.DescribeCluster()
	if err != nil {
		return fmt.Errorf("asking Kafka for its brokers: %w", err)
	}
	topics, err := admin.ListTopics()
	if err != nil {
		return fmt.Errorf("asking Kafka for its topics: %w", err)
	}
	wanted := cmp.Or(asked, int16(min(wantedCopies, knownBrokers(brokers, topics))))
	for _, spec := range specs(DefaultPartitions, false) {
		topic, ok := topics[spec.name]
		if !ok {
			continue
		}
		settings, err := settingsOf(admin, sarama.TopicResource, spec.name, minISR)
		if err != nil {
			return fmt.Errorf("asking for the settings of topic %s: %w", spec.name, err)
		}
		copies := leastCopies(topic)
		least, err := strconv.Atoi(settings[minISR])
		if copies >= int(wanted) && (err != nil || least >= minInSync(wanted)) {
			continue
		}
		c.log.Warn("a topic has fewer copies than are asked for, or fewer must have what is acknowledged, and a broker's loss can lose it; "+
			"add copies with kafka-reassign-partitions, then set "+minISR+" with kafka-configs",
			"topic", spec.name, "copies", copies, "asked", wanted, minISR, settings[minISR], "should", minInSync(wanted))
	}
	return nil
}

// knownBrokers counts the brokers that answer, and those that are away and hold copies.
func knownBrokers(alive []*sarama.Broker, topics map[string]sarama.TopicDetail) int {
	known := map[int32]bool{}
	for _, b := range alive {
		known[b.ID()] = true
	}
	for _, topic := range topics {
		for _, replicas := range topic.ReplicaAssignment {
			for _, id := range replicas {
				known[id] = true
			}
		}
	}
	return len(known)
}

// leastCopies is how many copies a topic's least copied partition has.
func leastCopies(topic sarama.TopicDetail) int {
	copies := int(topic.ReplicationFactor)
	for _, replicas := range topic.ReplicaAssignment {
		copies = min(copies, len(replicas))
	}
	return copies
}
