package kafka_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/testenv"
)

func TestMissingTopicsAreCreatedWithTheirSettings(t *testing.T) {
	eachBroker(t, func(l *log) {
		_, missing, err := l.CheckTopics(kafka.TopicsConfig{})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{eventstore.AccountEvents, eventstore.TransactionEvents, eventstore.AccountCommands, eventstore.CommandReplies, eventstore.AccountSnapshots}
		if !slices.Equal(missing, want) {
			l.t.Errorf("missing are %v, want %v", missing, want)
		}

		count, err := l.EnsureTopics(kafka.TopicsConfig{})
		if err != nil {
			l.t.Fatal(err)
		}

		if count != kafka.DefaultPartitions {
			l.t.Errorf("%d partitions, want %d", count, kafka.DefaultPartitions)
		}
		for name, retention := range map[string]string{
			eventstore.AccountEvents: "-1", eventstore.TransactionEvents: "-1",
			eventstore.AccountCommands: "2592000000", eventstore.CommandReplies: "3600000",
		} {
			settings := l.settings(name)
			for key, value := range map[string]string{
				"cleanup.policy": "delete", "retention.ms": retention, "retention.bytes": "-1",
				"max.message.bytes": "12582912", "min.insync.replicas": "1",
			} {
				if settings[key] != value {
					l.t.Errorf("%s has %s=%q, want %q", name, key, settings[key], value)
				}
			}
		}
		for key, value := range map[string]string{
			"cleanup.policy": "compact", "retention.ms": "-1", "max.message.bytes": "12582912", "min.insync.replicas": "1",
		} {
			if got := l.settings(eventstore.AccountSnapshots)[key]; got != value {
				l.t.Errorf("%s has %s=%q, want %q", eventstore.AccountSnapshots, key, got, value)
			}
		}
		topics := l.topics()
		for name, want := range map[string]int32{
			eventstore.AccountEvents: 3, eventstore.TransactionEvents: 3, eventstore.AccountCommands: 3, eventstore.CommandReplies: 1,
			eventstore.AccountSnapshots: 3,
		} {
			if got := topics[name].NumPartitions; got != want {
				l.t.Errorf("%s has %d partitions, want %d", name, got, want)
			}
		}
		if count, missing, err := l.CheckTopics(kafka.TopicsConfig{}); err != nil || len(missing) > 0 || count != kafka.DefaultPartitions {
			l.t.Errorf("missing are %v afterwards, with %d partitions: %v", missing, count, err)
		}
	})
}

func TestABrokerWhoseDeletionIsNotTrustedKeepsEverything(t *testing.T) {
	eachBroker(t, func(l *log) {
		if _, err := l.EnsureTopics(kafka.TopicsConfig{ForeverOnly: true}); err != nil {
			l.t.Fatal(err)
		}
		for _, name := range []string{eventstore.AccountCommands, eventstore.CommandReplies} {
			if got := l.settings(name)["retention.ms"]; got != "-1" {
				l.t.Errorf("%s has retention.ms=%s", name, got)
			}
		}
		if _, ok := l.topics()[eventstore.AccountSnapshots]; ok {
			l.t.Error("a topic was created that needs compaction")
		}
	})
}

func TestExistingTopicsDecideTheNumberOfPartitions(t *testing.T) {
	eachBroker(t, func(l *log) {
		if _, err := l.EnsureTopics(kafka.TopicsConfig{Partitions: 5}); err != nil {
			l.t.Fatal(err)
		}

		for _, asked := range []int32{0, 5} {
			if got, err := l.connect().EnsureTopics(kafka.TopicsConfig{Partitions: asked}); err != nil || got != 5 {
				l.t.Errorf("asked for %d: %d partitions, %v", asked, got, err)
			}
		}
		_, err := l.connect().EnsureTopics(kafka.TopicsConfig{Partitions: 6})
		mustBeSetupError(l, err, "has 5 partitions and 6 are asked for")
	})
}

func TestTopicsThatDoNotMatchInPartitionsAreRefused(t *testing.T) {
	eachBroker(t, func(l *log) {
		l.create(eventstore.AccountEvents, 3, map[string]string{"retention.ms": "-1"})
		l.create(eventstore.AccountCommands, 4, nil)

		_, err := l.EnsureTopics(kafka.TopicsConfig{})

		mustBeSetupError(l, err, eventstore.AccountCommands+" has 4 partitions, it must have 3")
	})
}

func TestTopicsThatWouldLoseHistoryAreRefused(t *testing.T) {
	for name, value := range map[string]string{
		"retention.ms": "604800000", "retention.bytes": "1073741824", "cleanup.policy": "compact",
	} {
		t.Run(name, func(t *testing.T) {
			for _, events := range []string{eventstore.AccountEvents, eventstore.TransactionEvents} {
				t.Run(events, func(t *testing.T) {
					eachBroker(t, func(l *log) {
						settings := map[string]string{"retention.ms": "-1", "retention.bytes": "-1"}
						settings[name] = value
						l.create(events, 3, settings)

						_, err := l.EnsureTopics(kafka.TopicsConfig{})

						mustBeSetupError(l, err, events+" has "+name+"="+value)
						if topics := l.topics(); countBilling(topics) != 1 {
							l.t.Errorf("topics were created beside a wrong one: %v", topics)
						}
					})
				})
			}
		})
	}
}

func TestATopicOfCheckpointsThatIsNotCompactedIsRefused(t *testing.T) {
	eachBroker(t, func(l *log) {
		l.create(eventstore.AccountSnapshots, 3, map[string]string{"cleanup.policy": "delete"})

		_, err := l.EnsureTopics(kafka.TopicsConfig{})

		mustBeSetupError(l, err, eventstore.AccountSnapshots+" has cleanup.policy=delete")
	})
}

func countBilling(topics map[string]sarama.TopicDetail) int {
	count := 0
	for name := range topics {
		if strings.HasPrefix(name, "billing.") {
			count++
		}
	}
	return count
}

func TestCommandsMayBeForgottenWhenTheyAreOld(t *testing.T) {
	for _, retention := range []string{"604800000", "2592000000", "-1"} { // The first is what older versions created it with.
		eachBroker(t, func(l *log) {
			l.create(eventstore.AccountCommands, 3, map[string]string{"retention.ms": retention, "retention.bytes": "-1"})

			if _, err := l.EnsureTopics(kafka.TopicsConfig{}); err != nil {
				l.t.Error(err)
			}
		})
	}
}

func TestACommandTopicThatWouldLoseCommandsIsRefused(t *testing.T) {
	for name, value := range map[string]string{"retention.ms": "604799999", "retention.bytes": "1073741824", "cleanup.policy": "compact"} {
		t.Run(name, func(t *testing.T) {
			eachBroker(t, func(l *log) {
				settings := map[string]string{"retention.ms": "2592000000", "retention.bytes": "-1"}
				settings[name] = value
				l.create(eventstore.AccountCommands, 3, settings)

				_, err := l.EnsureTopics(kafka.TopicsConfig{})

				mustBeSetupError(l, err, eventstore.AccountCommands+" has "+name+"="+value)
			})
		})
	}
}

func TestANewTopicCanBeAskedForItsEndsAtOnce(t *testing.T) {
	eachLog(t, func(l *log) {
		other := l.connect() // It knows of no leader yet.
		for p := range int32(partitions) {
			start, err := other.StartOffset(topic, p)
			if err != nil || start != 0 {
				l.t.Errorf("partition %d starts at %d: %v", p, start, err)
			}
			end, err := other.EndOffset(topic, p)
			if err != nil || end != 0 {
				l.t.Errorf("partition %d ends at %d: %v", p, end, err)
			}
		}
	})
}

func TestALogThatIsNotThereIsAskedForABoundedTime(t *testing.T) {
	eachBroker(t, func(l *log) {
		if !l.real { // The patience is the same, and takes its time.
			return
		}
		if _, err := l.LogID(); !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			l.t.Errorf("got %v", err)
		}
	})
}

func TestTheLogIsKnownByItsIdentity(t *testing.T) {
	eachLog(t, func(l *log) {
		id, err := l.LogID()
		if err != nil {
			l.t.Fatal(err)
		}
		if again, err := l.connect().LogID(); err != nil || again != id {
			l.t.Errorf("identity %q, then %q: %v", id, again, err)
		}

		if err := l.admin().DeleteTopic(eventstore.AccountEvents); err != nil {
			l.t.Fatal(err)
		}
		other := l.connect()
		if _, err := other.EnsureTopics(kafka.TopicsConfig{Partitions: partitions}); err != nil {
			l.t.Fatal(err)
		}

		if again, err := other.LogID(); err != nil || again == id {
			l.t.Errorf("another log has the same identity %q: %v", again, err)
		}
	})
}

func TestAClusterThatDoesNotAnswerIsNamed(t *testing.T) {
	_, err := kafka.Open(kafka.Config{Brokers: []string{"127.0.0.1:1"}, ClientID: "test"})
	if err == nil || !strings.Contains(err.Error(), "cannot reach Kafka at 127.0.0.1:1: start it or correct the address") {
		t.Errorf("got %v", err)
	}
}

func TestAClusterThatDoesNotAnswerIsWaitedForABoundedTime(t *testing.T) {
	cfg := kafka.Config{Brokers: []string{"127.0.0.1:1"}, ClientID: "test", Logger: testenv.Logger()}
	ended, end := context.WithCancel(t.Context())
	end()
	for ctx, wait := range map[context.Context]time.Duration{t.Context(): 300 * time.Millisecond, ended: time.Hour} {
		if _, err := kafka.OpenPatiently(ctx, cfg, wait); err == nil || !strings.Contains(err.Error(), "cannot reach Kafka at 127.0.0.1:1") {
			t.Errorf("got %v", err)
		}
	}
}

func mustBeSetupError(l *log, err error, text string) {
	l.t.Helper()
	var setup *kafka.SetupError
	if !errors.As(err, &setup) || !strings.Contains(setup.Message, text) {
		l.t.Errorf("got %v, want a SetupError with %q", err, text)
	}
}
