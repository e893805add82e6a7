package kafka

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/IBM/sarama"

	"daybook/eventstore"
)

// cluster answers as one of several brokers would; tests run on one.
type cluster struct {
	sarama.ClusterAdmin
	brokers  int
	topics   map[string]sarama.TopicDetail
	settings map[string]string
}

// DescribeCluster implements sarama.ClusterAdmin.
func (c cluster) DescribeCluster() ([]*sarama.Broker, int32, error) {
	all := make([]*sarama.Broker, c.brokers)
	for i := range all {
		all[i] = sarama.NewBroker("broker:9092")
	}
	return all, 0, nil
}

// ListTopics implements sarama.ClusterAdmin.
func (c cluster) ListTopics() (map[string]sarama.TopicDetail, error) { return c.topics, nil }

// DescribeConfigs implements sarama.ClusterAdmin.
func (c cluster) DescribeConfigs(resources []*sarama.ConfigResource, _ sarama.DescribeConfigsOptions) ([]*sarama.ConfigResourceResult, error) {
	result := &sarama.ConfigResourceResult{Name: resources[0].Name}
	for name, value := range c.settings {
		result.Configs = append(result.Configs, sarama.ConfigEntry{Name: name, Value: value})
	}
	return []*sarama.ConfigResourceResult{result}, nil
}

// copies is a topic of two partitions.
func copies(first, second int) sarama.TopicDetail {
	on := []int32{1, 2, 3}
	return sarama.TopicDetail{
		NumPartitions: 2, ReplicationFactor: int16(first), ReplicaAssignment: map[int32][]int32{0: on[:first], 1: on[:second]},
	}
}

func TestThreeCopiesOfWhichOneMayBeTheOnlyAreRefused(t *testing.T) {
	spec := topicSpec{name: eventstore.AccountEvents, partitions: 3, events: true}
	three, one := sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 3}, sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1}
	check := func(minimum string, existing sarama.TopicDetail) error {
		return (&Client{}).checkTopic(cluster{settings: map[string]string{"min.insync.replicas": minimum}}, spec, existing)
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

func TestWhatAClusterWouldNotSurviveIsFound(t *testing.T) {
	healthy := func() cluster {
		return cluster{
			brokers: 3,
			topics: map[string]sarama.TopicDetail{
				eventstore.AccountEvents: copies(3, 3), eventstore.TransactionEvents: copies(3, 3), transactionTopic: copies(3, 3),
			},
			settings: map[string]string{uncleanElection: "false", producerExpiry: "86400000", transactionCopies: "3"},
		}
	}
	onOne := func(c *cluster) {
		c.brokers = 1
		for name := range c.topics {
			c.topics[name] = copies(1, 1)
		}
	}
	for name, c := range map[string]struct {
		change func(*cluster)
		want   string
		asked  int16
	}{
		"nothing":                          {func(*cluster) {}, "", 0},
		"one copy on one broker":           {onOne, "", 0},
		"no topics yet":                    {func(c *cluster) { c.topics = nil }, "", 0},
		"a partition with two copies":      {func(c *cluster) { c.topics[eventstore.AccountEvents] = copies(3, 2) }, "replication.factor=2", 0},
		"one copy of transactions' events": {func(c *cluster) { c.topics[eventstore.TransactionEvents] = copies(1, 1) }, "replication.factor=1", 0},
		"one copy of the fence":            {func(c *cluster) { c.topics[transactionTopic] = copies(1, 1) }, "replication.factor=1", 0},
		"one copy of the fence to come": {func(c *cluster) {
			delete(c.topics, transactionTopic)
			c.settings[transactionCopies] = "1"
		}, transactionCopies + "=1", 0},
		"unclean elections":                          {func(c *cluster) { c.settings[uncleanElection] = "true" }, uncleanElection + "=true", 0},
		"a short memory":                             {func(c *cluster) { c.settings[producerExpiry] = "14399999" }, producerExpiry + "=14399999", 0},
		"no memory told":                             {func(c *cluster) { delete(c.settings, producerExpiry) }, producerExpiry + "=", 0},
		"memory as no number":                        {func(c *cluster) { c.settings[producerExpiry] = "a day" }, producerExpiry + "=a day", 0},
		"memory just sufficing":                      {func(c *cluster) { c.settings[producerExpiry] = "14400000" }, "", 0},
		"one copy on one broker, three asked for":    {onOne, "replication.factor=1", 3},
		"two copies on three brokers, two asked for": {func(c *cluster) { c.topics[eventstore.AccountEvents] = copies(2, 2) }, "", 2},
		"two copies while a broker of three is away": {func(c *cluster) { c.brokers, c.topics[eventstore.AccountEvents] = 2, copies(2, 2) }, "replication.factor=2", 0},
	} {
		t.Run(name, func(t *testing.T) {
			examined := healthy()
			c.change(&examined)

			settings, err := checkSettings(examined, c.asked)
			if err != nil {
				t.Fatal(err)
			}

			problems := map[string]bool{}
			for _, s := range settings {
				if s.Problem != "" {
					problems[s.Name+"="+s.Value] = true
				}
			}
			if got := strings.Join(slices.Sorted(maps.Keys(problems)), ", "); got != c.want {
				t.Errorf("it finds %q, want %q", got, c.want)
			}
		})
	}
}
