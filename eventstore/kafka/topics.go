package kafka

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"

	"daybook/eventstore"
)

// DefaultPartitions is how many partitions topics are created with when nothing else is asked.
const DefaultPartitions = 3

const (
	// commandRetention bounds how long a partition can be without an owner and lose nothing that was sent to it.
	commandRetention = 30 * 24 * time.Hour
	replyRetention   = time.Hour
	// snapshotSegment is small, so that what was replaced is removed soon: brokers leave the last segment as it is.
	snapshotSegment = 128 << 20
	// topicMessageBytes leaves room for the largest event and its batch.
	topicMessageBytes = eventstore.MaxEventBytes + 2<<20

	minISR = "min.insync.replicas"
)

// TopicsConfig says how missing topics are created.
type TopicsConfig struct {
	// Partitions is the count to create with and to insist on; zero takes what exists, or DefaultPartitions.
	Partitions int32
	// Replication is how many copies missing topics get, which existing ones are measured by; zero is as many as the
	// cluster has brokers, up to three.
	Replication int16
	// ForeverOnly creates command and reply topics without retention too, and no topic of checkpoints, for a broker whose
	// deletion is not trusted.
	ForeverOnly bool
}

// SetupError says in one sentence what is wrong with a topic and what to do.
type SetupError struct{ Message string }

// Error implements error.
func (e *SetupError) Error() string { return e.Message }

func setupError(format string, args ...any) error {
	return &SetupError{Message: fmt.Sprintf(format, args...)}
}

// EnsureTopics creates the missing topics and checks the existing ones. It returns the number of partitions, and a
// SetupError when a topic's settings would lose history or order. While brokers cannot be reached it goes on trying, a
// bounded time: any broker is asked, and one of them may be away. So it does while there are fewer brokers than copies
// asked for. It warns of existing topics that have fewer.
func (c *Client) EnsureTopics(cfg TopicsConfig) (partitions int32, err error) {
	err = persevere(func() error {
		if partitions, err = c.ensureTopics(cfg); unreachable(err) {
			_, _ = c.sarama.RefreshController() // Or else the broker that is gone is asked again and again.
		}
		return err
	})
	return partitions, err
}

func (c *Client) ensureTopics(cfg TopicsConfig) (int32, error) {
	admin, err := c.admin()
	if err != nil {
		return 0, err
	}
	partitions, missing, err := c.survey(admin, cfg)
	if err != nil {
		return 0, err
	}
	if err := c.warnOfFewCopies(admin, cfg.Replication); err != nil {
		return 0, err
	}
	copies, err := c.create(admin, missing, cfg.Replication)
	if err != nil {
		return 0, err
	}
	if len(missing) > 0 && cfg.Replication == 0 && copies < wantedCopies {
		c.log.Warn("topics were created with few copies because the cluster has not more brokers; before you keep money there "+
			"add brokers and copies, or ask for so many if they are meant", "copies", copies)
	}
	counts := map[string]int32{}
	for _, spec := range specs(partitions, cfg.ForeverOnly) {
		counts[spec.name] = spec.partitions
	}
	return partitions, c.awaitLeaders(counts)
}

// CheckTopics checks the existing topics as EnsureTopics does, and creates none: it returns the number of partitions
// and the names of the topics that are missing.
func (c *Client) CheckTopics(cfg TopicsConfig) (partitions int32, missing []string, err error) {
	admin, err := c.admin()
	if err != nil {
		return 0, nil, err
	}
	partitions, absent, err := c.survey(admin, cfg)
	for _, spec := range absent {
		missing = append(missing, spec.name)
	}
	return partitions, missing, err
}

// admin is not to be closed: closing it would close the shared client.
func (c *Client) admin() (sarama.ClusterAdmin, error) {
	admin, err := sarama.NewClusterAdminFromClient(c.sarama)
	if err != nil {
		return nil, fmt.Errorf("asking Kafka for its topics: %w", err)
	}
	return admin, nil
}

// survey settles the number of partitions, checks the topics that exist and returns those that do not.
func (c *Client) survey(admin sarama.ClusterAdmin, cfg TopicsConfig) (partitions int32, missing []topicSpec, err error) {
	topics, err := admin.ListTopics()
	if err != nil {
		return 0, nil, fmt.Errorf("asking Kafka for its topics: %w", err)
	}
	if partitions, err = chosenPartitions(cfg.Partitions, topics); err != nil {
		return 0, nil, err
	}
	for _, spec := range specs(partitions, cfg.ForeverOnly) {
		existing, ok := topics[spec.name]
		if !ok {
			missing = append(missing, spec)
			continue
		}
		if err := c.checkTopic(admin, spec, existing); err != nil {
			return 0, nil, err
		}
	}
	return partitions, missing, nil
}

type topicSpec struct {
	name       string
	partitions int32
	retention  time.Duration // zero keeps for ever
	least      time.Duration // the shortest retention that is not refused
	events     bool
	compacted  bool
}

func specs(partitions int32, foreverOnly bool) []topicSpec {
	all := []topicSpec{
		{name: eventstore.AccountEvents, partitions: partitions, events: true},
		{name: eventstore.TransactionEvents, partitions: partitions, events: true},
		{name: eventstore.AccountCommands, partitions: partitions, retention: commandRetention, least: eventstore.LeastCommandRetention},
		{name: eventstore.CommandReplies, partitions: 1, retention: replyRetention},
	}
	if !foreverOnly {
		return append(all, topicSpec{name: eventstore.AccountSnapshots, partitions: partitions, compacted: true})
	}
	for i := range all {
		all[i].retention = 0
	}
	return all
}

// retentionMillis is the setting retention.ms.
func (s topicSpec) retentionMillis() string {
	if s.retention == 0 {
		return "-1"
	}
	return strconv.FormatInt(s.retention.Milliseconds(), 10)
}

// chosenPartitions settles the count: an existing event topic decides, and must not be contradicted.
func chosenPartitions(asked int32, topics map[string]sarama.TopicDetail) (int32, error) {
	existing, ok := topics[eventstore.AccountEvents]
	switch {
	case !ok && asked == 0:
		return DefaultPartitions, nil
	case !ok:
		return asked, nil
	case asked != 0 && asked != existing.NumPartitions:
		return 0, setupError("topic %s has %d partitions and %d are asked for: the number is fixed when the topic is created, because another one would send accounts' later events elsewhere; ask for %d",
			eventstore.AccountEvents, existing.NumPartitions, asked, existing.NumPartitions)
	}
	return existing.NumPartitions, nil
}

func createTopic(admin sarama.ClusterAdmin, spec topicSpec, replication int16) error {
	retention, inSync := spec.retentionMillis(), strconv.Itoa(minInSync(replication))
	size := strconv.Itoa(topicMessageBytes)
	forever, remove := "-1", "delete"
	settings := map[string]*string{
		"cleanup.policy": &remove, "retention.ms": &retention, "retention.bytes": &forever,
		minISR: &inSync, "max.message.bytes": &size,
	}
	if spec.compacted {
		compact, segment, dirty := "compact", strconv.Itoa(snapshotSegment), "0.2"
		settings["cleanup.policy"], settings["segment.bytes"], settings["min.cleanable.dirty.ratio"] = &compact, &segment, &dirty
	}
	err := admin.CreateTopic(spec.name, &sarama.TopicDetail{
		NumPartitions: spec.partitions, ReplicationFactor: replication, ConfigEntries: settings,
	}, false)
	if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		return fmt.Errorf("creating topic %s: %w", spec.name, err)
	}
	return nil
}

// checkTopic refuses settings that would lose history or order.
func (c *Client) checkTopic(admin sarama.ClusterAdmin, spec topicSpec, existing sarama.TopicDetail) error {
	if existing.NumPartitions != spec.partitions {
		return setupError("topic %s has %d partitions, it must have %d like %s: create it anew with that number",
			spec.name, existing.NumPartitions, spec.partitions, eventstore.AccountEvents)
	}
	if !spec.events && !spec.compacted && spec.least == 0 {
		return nil
	}
	settings, err := settingsOf(admin, sarama.TopicResource, spec.name)
	if err != nil {
		return fmt.Errorf("asking for the settings of topic %s: %w", spec.name, err)
	}
	if spec.compacted {
		if v := settings["cleanup.policy"]; v != "" && v != "compact" {
			return setupError("topic %s has cleanup.policy=%s, so checkpoints would vanish or never go: set it to compact", spec.name, v)
		}
		return nil
	}
	if v := settings["cleanup.policy"]; v != "" && v != "delete" {
		return setupError("topic %s has cleanup.policy=%s, which would remove what is still needed: set it to delete", spec.name, v)
	}
	if spec.least > 0 {
		return c.checkRetention(spec, settings)
	}
	for _, name := range []string{"retention.ms", "retention.bytes"} {
		if v := settings[name]; v != "" && v != "-1" {
			return setupError("topic %s has %s=%s, which would delete history: set it to -1", spec.name, name, v)
		}
	}
	if v, err := strconv.Atoi(settings[minISR]); err == nil && existing.ReplicationFactor >= 3 && v < 2 {
		return setupError("topic %s has min.insync.replicas=%d at replication factor %d, so one broker's loss could lose acknowledged events: set it to 2",
			spec.name, v, existing.ReplicationFactor)
	}
	return nil
}

// checkRetention refuses settings that would delete commands before they are carried out, and with them money on its way.
// It warns of those with which older versions created the topic.
func (c *Client) checkRetention(spec topicSpec, settings map[string]string) error {
	if v := settings["retention.bytes"]; v != "" && v != "-1" {
		return setupError("topic %s has retention.bytes=%s, which would delete commands that are still to be carried out: set it to -1", spec.name, v)
	}
	ms, err := strconv.ParseInt(settings["retention.ms"], 10, 64)
	if err != nil || ms < 0 { // Not told, or kept for ever.
		return nil
	}
	kept := time.Duration(ms) * time.Millisecond
	switch {
	case kept < spec.least:
		return setupError("topic %s has retention.ms=%d, which would delete commands that are still to be carried out: set it to %s",
			spec.name, ms, spec.retentionMillis())
	case kept < spec.retention:
		c.log.Warn("commands are deleted earlier than this version would have it, and with them money on its way if a partition is without an owner for so long; set the topic's retention.ms",
			"topic", spec.name, "retention.ms", ms, "set", spec.retentionMillis())
	}
	return nil
}

// settingsOf returns the settings of a topic or a broker by name, or those of the given names.
func settingsOf(admin sarama.ClusterAdmin, kind sarama.ConfigResourceType, name string, names ...string) (map[string]string, error) {
	resource := &sarama.ConfigResource{Type: kind, Name: name, ConfigNames: names}
	results, err := admin.DescribeConfigs([]*sarama.ConfigResource{resource}, sarama.DescribeConfigsOptions{})
	if err != nil {
		return nil, err
	}
	settings := map[string]string{}
	for _, result := range results {
		if result.ErrorCode != sarama.ErrNoError {
			return nil, fmt.Errorf("%w %s", result.ErrorCode, result.ErrorMsg)
		}
		for _, entry := range result.Configs {
			settings[entry.Name] = entry.Value
		}
	}
	return settings, nil
}

// awaitLeaders waits, a bounded time, until every partition of the given topics has a leader.
func (c *Client) awaitLeaders(topics map[string]int32) error {
	if err := settle(func() error { return c.leadersOf(topics) }); err != nil {
		return fmt.Errorf("waiting for the leaders of new topics: %w", err)
	}
	return nil
}

func (c *Client) leadersOf(topics map[string]int32) error {
	for topic, partitions := range topics {
		if err := c.sarama.RefreshMetadata(topic); err != nil {
			return fmt.Errorf("%s: %w", topic, err)
		}
		for p := range partitions {
			if _, err := c.sarama.Leader(topic, p); err != nil {
				return fmt.Errorf("%s/%d: %w", topic, p, err)
			}
		}
	}
	return nil
}
