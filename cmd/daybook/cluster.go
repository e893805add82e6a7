package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"daybook/eventstore/embedded"
	"daybook/eventstore/kafka"
	"daybook/internal/datadir"
)

// cluster is the log that a command works on: an embedded broker or Apache Kafka, reached in the same way.
type cluster struct {
	client *kafka.Client
	// broker is nil on Apache Kafka.
	broker *embedded.Broker
	// directory is the data directory: the broker's own lock, or one of ours. It is nil where only Kafka is looked at.
	directory io.Closer
}

// openCluster locks the data directory and connects to the log, waiting for Kafka as long as is configured.
func openCluster(ctx context.Context, cfg config, clientID string, log *slog.Logger) (*cluster, error) {
	c := &cluster{}
	brokers := cfg.Brokers
	if cfg.embedded() {
		broker, err := embedded.Open(cfg.DataDir, log)
		if err != nil {
			return nil, err
		}
		c.broker, c.directory, brokers = broker, broker, broker.Addresses()
	} else {
		lock, err := datadir.Acquire(cfg.DataDir)
		if err != nil {
			return nil, err
		}
		c.directory = lock
	}
	var err error
	if c.client, err = kafka.OpenPatiently(ctx, kafka.Config{Brokers: brokers, ClientID: clientID, Logger: log}, cfg.Patience); err != nil {
		return nil, errors.Join(err, c.directory.Close())
	}
	return c, nil
}

// lookAtCluster connects to the log and leaves the data directory alone where the log is not in it.
func lookAtCluster(ctx context.Context, cfg config, clientID string, log *slog.Logger) (*cluster, error) {
	if cfg.embedded() {
		return openCluster(ctx, cfg, clientID, log)
	}
	client, err := kafka.Open(kafka.Config{Brokers: cfg.Brokers, ClientID: clientID, Logger: log})
	if err != nil {
		return nil, err
	}
	return &cluster{client: client}, nil
}

// topics creates the topics that are missing and refuses those that would lose history.
func (c *cluster) topics(cfg config) (int32, error) {
	return c.client.EnsureTopics(c.topicsConfig(cfg))
}

// missingTopics checks the topics that exist, and returns the number of partitions and the topics still to be created.
func (c *cluster) missingTopics(cfg config) (int32, []string, error) {
	return c.client.CheckTopics(c.topicsConfig(cfg))
}

func (c *cluster) topicsConfig(cfg config) kafka.TopicsConfig {
	if c.broker != nil {
		return kafka.TopicsConfig{Partitions: cfg.Partitions, Replication: 1, ForeverOnly: true}
	}
	return kafka.TopicsConfig{Partitions: cfg.Partitions, Replication: cfg.Replication}
}

func (c *cluster) Close() error {
	err := c.client.Close()
	if c.directory != nil {
		err = errors.Join(err, c.directory.Close())
	}
	return err
}
