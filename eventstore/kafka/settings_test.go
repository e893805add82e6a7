package kafka

import (
	"strings"
	"testing"

	"github.com/IBM/sarama"

	"daybook/eventstore"
)

// threeBrokers answers as a cluster whose topics have three copies would; the others tests run on have one broker.
type threeBrokers struct {
	sarama.ClusterAdmin
	settings map[string]string
}

// DescribeConfigs implements sarama.ClusterAdmin.
func (a threeBrokers) DescribeConfigs(resources []*sarama.ConfigResource, _ sarama.DescribeConfigsOptions) ([]*sarama.ConfigResourceResult, error) {
	result := &sarama.ConfigResourceResult{Name: resources[0].Name}
	for name, value := range a.settings {
		result.Configs = append(result.Configs, sarama.ConfigEntry{Name: name, Value: value})
	}
	return []*sarama.ConfigResourceResult{result}, nil
}

func TestThreeCopiesOfWhichOneMayBeTheOnlyAreRefused(t *testing.T) {
	spec := topicSpec{name: eventstore.AccountEvents, partitions: 3, events: true}
	three, one := sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 3}, sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1}
	check := func(minimum string, existing sarama.TopicDetail) error {
		return (&Client{}).checkTopic(threeBrokers{settings: map[string]string{"min.insync.replicas": minimum}}, spec, existing)
	}

	err := check("1", three)

	if err == nil || !strings.Contains(err.Error(), "billing.account.events has min.insync.replicas=1 at replication factor 3") {
		t.Errorf("got %v", err)
	}
	if err := check("2", three); err != nil {
		t.Error(err)
	}
	if err := check("1", one); err != nil { // There is nothing to be in sync with.
		t.Error(err)
	}
}
