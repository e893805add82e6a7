package kafka

import (
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"

	"daybook/eventstore"
)

// MinProducerExpiry is the shortest time brokers may remember a silent producer, so that an owner's hourly renewal
// keeps its fence standing even when some are missed.
const MinProducerExpiry = 4 * time.Hour

const (
	transactionTopic  = "__transaction_state"
	producerExpiry    = "producer.id.expiration.ms"
	transactionCopies = "transaction.state.log.replication.factor"
	uncleanElection   = "unclean.leader.election.enable"
)

// Setting is one setting that a promise rests on, and what is wrong with it.
type Setting struct {
	// Of is whose it is: "broker 127.0.0.1:9092" or "topic billing.account.events".
	Of      string
	Name    string
	Value   string
	Problem string
}

// CheckSettings reads what is not refused at start, because the program works with it, but decides what the cluster
// survives: copies, elections, and how long brokers remember who may write. It is for Apache Kafka; the embedded broker
// has no such settings. The replication is that of TopicsConfig.
func (c *Client) CheckSettings(replication int16) ([]Setting, error) {
	admin, err := c.admin()
	if err != nil {
		return nil, err
	}
	settings, err := checkSettings(admin, replication)
	if err != nil {
		return nil, fmt.Errorf("asking Kafka for its settings: %w", err)
	}
	return settings, nil
}

func checkSettings(admin sarama.ClusterAdmin, replication int16) ([]Setting, error) {
	brokers, _, err := admin.DescribeCluster()
	if err != nil {
		return nil, err
	}
	topics, err := admin.ListTopics()
	if err != nil {
		return nil, err
	}
	known, wanted := knownBrokers(brokers, topics), int(replication)
	if replication == 0 && known >= wantedCopies {
		wanted = wantedCopies
	}
	var all []Setting
	for _, name := range []string{eventstore.AccountEvents, eventstore.TransactionEvents} {
		topic, ok := topics[name]
		if !ok {
			continue
		}
		all = append(all, copiesOf(name, topic, wanted, "one broker's loss can lose events for ever"))
		elections, err := checkElections(admin, name)
		if err != nil {
			return nil, err
		}
		all = append(all, elections)
	}
	topic, created := topics[transactionTopic]
	if created {
		all = append(all, copiesOf(transactionTopic, topic, min(wanted, wantedCopies), "the fence rests on it"))
	}
	for _, broker := range brokers {
		settings, err := checkBroker(admin, broker, min(wanted, wantedCopies), created)
		if err != nil {
			return nil, fmt.Errorf("broker %s: %w", broker.Addr(), err)
		}
		all = append(all, settings...)
	}
	return all, nil
}

// copiesOf tells how many copies a topic's least copied partition has.
func copiesOf(name string, topic sarama.TopicDetail, wanted int, why string) Setting {
	copies := leastCopies(topic)
	s := Setting{Of: "topic " + name, Name: "replication.factor", Value: strconv.Itoa(copies)}
	if copies < wanted {
		s.Problem = fmt.Sprintf("%s: give it %d with kafka-reassign-partitions", why, wanted)
	}
	return s
}

func checkElections(admin sarama.ClusterAdmin, topic string) (Setting, error) {
	settings, err := settingsOf(admin, sarama.TopicResource, topic, uncleanElection)
	if err != nil {
		return Setting{}, fmt.Errorf("topic %s: %w", topic, err)
	}
	s := Setting{Of: "topic " + topic, Name: uncleanElection, Value: settings[uncleanElection]}
	if s.Value != "false" {
		s.Problem = "a broker that lacks acknowledged events could become leader: set it to false"
	}
	return s, nil
}

// checkBroker looks at the copies that the transaction log would be created with only while there is none: afterwards
// the topic itself tells.
func checkBroker(admin sarama.ClusterAdmin, broker *sarama.Broker, wanted int, created bool) ([]Setting, error) {
	values, err := settingsOf(admin, sarama.BrokerResource, strconv.Itoa(int(broker.ID())))
	if err != nil {
		return nil, err
	}
	of := "broker " + broker.Addr()
	expiry := Setting{Of: of, Name: producerExpiry, Value: values[producerExpiry]}
	ms, err := strconv.ParseInt(expiry.Value, 10, 64)
	if err != nil || ms < MinProducerExpiry.Milliseconds() {
		expiry.Problem = fmt.Sprintf("a silent owner's fence could be forgotten: set it to at least %d", MinProducerExpiry.Milliseconds())
	}
	all := []Setting{expiry}
	if created {
		return all, nil
	}
	copies := Setting{Of: of, Name: transactionCopies, Value: values[transactionCopies]}
	n, err := strconv.Atoi(copies.Value)
	if wanted > 0 && (err != nil || n < wanted) {
		copies.Problem = fmt.Sprintf("the fence rests on that topic: set it to %d", wanted)
	}
	return append(all, copies), nil
}
