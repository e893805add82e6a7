package kafka

import (
	"errors"
	"fmt"

	"github.com/IBM/sarama"

	"daybook/eventstore"
)

// LogID identifies the log: the cluster and the topic of account events, so that local state of another log is not
// taken for this one's. It is written as Kafka's own tools write the two ids.
func (c *Client) LogID() (string, error) {
	var id string
	err := persevere(func() error {
		return settle(func() (err error) {
			id, err = c.askLogID()
			return err
		})
	})
	if err != nil {
		return "", fmt.Errorf("asking Kafka for its identity: %w", err)
	}
	return id, nil
}

func (c *Client) askLogID() (string, error) {
	broker := c.sarama.LeastLoadedBroker()
	if broker == nil {
		return "", errors.New("no broker is known")
	}
	_ = broker.Open(c.conf) // It may be open already; the request tells.
	topic := eventstore.AccountEvents
	res, err := broker.GetMetadata(&sarama.MetadataRequest{Version: 10, Topics: []string{topic}})
	if err != nil {
		return "", err
	}
	return logID(res, topic)
}

// logID reads the answer. A broker that has not heard of the topic yet answers with an error and an id of zeros, to
// which nothing may be bound.
func logID(res *sarama.MetadataResponse, topic string) (string, error) {
	if res.ClusterID == nil || *res.ClusterID == "" {
		return "", errors.New("the cluster has no id")
	}
	for _, t := range res.Topics {
		switch {
		case t.Name != topic:
		case t.Err != sarama.ErrNoError:
			return "", fmt.Errorf("topic %s: %w", topic, t.Err)
		case t.Uuid == sarama.Uuid{}:
			return "", fmt.Errorf("topic %s has no id: %w", topic, sarama.ErrUnknownTopicOrPartition)
		default:
			return *res.ClusterID + "/" + t.Uuid.String(), nil
		}
	}
	return "", fmt.Errorf("topic %s: %w", topic, sarama.ErrUnknownTopicOrPartition)
}
