// Package kafka speaks to a Kafka cluster: topics, the fenced writer, readers by offset, and the group that hands out
// partitions. It is the only package that knows sarama.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/IBM/sarama"
	gometrics "github.com/rcrowley/go-metrics"
)

func init() {
	// sarama keeps histograms per request and topic, whose locks cost more than the work they count.
	gometrics.UseNilMetrics = true
}

// Config says which cluster to speak to.
type Config struct {
	// Brokers are host:port addresses to begin with.
	Brokers []string
	// ClientID names this process in the brokers' logs.
	ClientID string
	Logger   *slog.Logger
	// RequestTimeout bounds one answer of a broker. Default 10 s.
	RequestTimeout time.Duration
}

// Client holds the connections to one cluster. Its methods may be called from any goroutine.
type Client struct {
	conf   *sarama.Config
	sarama sarama.Client
	log    *slog.Logger
	// seeds are the addresses to begin with.
	seeds     []string
	lastEpoch int16
	// doubt is how long it is doubted that an offset is gone, where several brokers could lead.
	doubt time.Duration
}

// Open connects to the cluster. The error names the addresses and says what to do.
func Open(cfg Config) (*Client, error) {
	conf := sarama.NewConfig()
	conf.ClientID = cfg.ClientID
	conf.Version = sarama.V3_7_0_0
	timeout := cfg.RequestTimeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	conf.Net.DialTimeout, conf.Net.ReadTimeout, conf.Net.WriteTimeout = timeout, timeout, timeout
	conf.Net.MaxOpenRequests = maxInFlight
	conf.Metadata.Retry.Max = 2
	conf.Metadata.Retry.Backoff = 100 * time.Millisecond
	conf.Metadata.AllowAutoTopicCreation = false
	conf.Consumer.Return.Errors = false
	conf.Consumer.Offsets.Initial = sarama.OffsetNewest
	conf.Consumer.Offsets.AutoCommit.Enable = false
	client, err := sarama.NewClient(cfg.Brokers, conf)
	if err != nil {
		return nil, fmt.Errorf("cannot reach Kafka at %s: start it or correct the address (%w)", strings.Join(cfg.Brokers, ","), err)
	}
	return &Client{conf: conf, sarama: client, log: cfg.Logger, seeds: cfg.Brokers, lastEpoch: lastEpoch}, nil
}

// OpenPatiently is Open, going on for so long while no broker answers. It says in the log what it waits for.
func OpenPatiently(ctx context.Context, cfg Config, wait time.Duration) (*Client, error) {
	enough := time.After(wait)
	for told := false; ; told = true {
		c, err := Open(cfg)
		if err == nil || wait == 0 || !unreachable(err) {
			return c, err
		}
		if !told {
			cfg.Logger.Warn("Kafka does not answer; waiting for it", "brokers", cfg.Brokers, "wait", wait, "error", err)
		}
		select {
		case <-time.After(openPause):
		case <-enough:
			return nil, err
		case <-ctx.Done():
			return nil, err
		}
	}
}

// openPause is the pause between two tries to reach a cluster.
const openPause = 250 * time.Millisecond

// Close ends all shared connections. Readers and writers have their own and are closed by themselves.
func (c *Client) Close() error { return c.sarama.Close() }

// EndOffset returns the offset that the next record of a partition will have.
func (c *Client) EndOffset(topic string, partition int32) (int64, error) {
	return c.offset(topic, partition, sarama.OffsetNewest, "end")
}

// StartOffset returns the offset of the first record a partition still holds.
func (c *Client) StartOffset(topic string, partition int32) (int64, error) {
	return c.offset(topic, partition, sarama.OffsetOldest, "start")
}

func (c *Client) offset(topic string, partition int32, moment int64, name string) (offset int64, err error) {
	err = settle(func() error {
		offset, err = c.sarama.GetOffset(topic, partition, moment) // It refreshes its metadata when it fails.
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("asking for the %s of %s/%d: %w", name, topic, partition, err)
	}
	return offset, nil
}

const (
	settlePatience = 5 * time.Second
	settlePause    = 50 * time.Millisecond
)

// settle repeats a request, a bounded time, while brokers have not yet heard of a new topic or of who leads it.
func settle(request func() error) error { return repeat(settlePatience, unsettled, request) }

// persevere repeats a request, a bounded time, while the broker that it goes to cannot be reached; the next may go to
// another one.
func persevere(request func() error) error { return repeat(2*settlePatience, unreachable, request) }

// repeat makes a request again, a bounded time, while it fails for what can pass.
func repeat(patience time.Duration, passes func(error) bool, request func() error) error {
	enough := time.After(patience)
	for {
		err := request()
		if !passes(err) {
			return err
		}
		select {
		case <-enough:
			return err
		case <-time.After(settlePause):
		}
	}
}

func unreachable(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, sarama.ErrOutOfBrokers) || errors.Is(err, sarama.ErrNotConnected) ||
		errors.Is(err, sarama.ErrNotController) || errors.Is(err, sarama.ErrBrokerNotAvailable)
}

func unsettled(err error) bool {
	for _, code := range []sarama.KError{
		sarama.ErrUnknownTopicOrPartition, sarama.ErrLeaderNotAvailable, sarama.ErrNotLeaderForPartition,
		sarama.ErrReplicaNotAvailable, sarama.ErrFencedLeaderEpoch, sarama.ErrUnknownLeaderEpoch, sarama.ErrOffsetNotAvailable,
	} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// dialLeader opens a connection of its own to a partition's leader: a broker answers the requests of one connection
// one after another, so a long poll on a shared one would hold up a write. With via it is opened by that.
func (c *Client) dialLeader(topic string, partition int32, via *dialer) (*sarama.Broker, error) {
	leader, err := c.sarama.Leader(topic, partition)
	if err != nil {
		if refreshErr := c.sarama.RefreshMetadata(topic); refreshErr != nil {
			return nil, fmt.Errorf("finding the leader of %s/%d: %w", topic, partition, errors.Join(err, refreshErr))
		}
		if leader, err = c.sarama.Leader(topic, partition); err != nil {
			return nil, fmt.Errorf("finding the leader of %s/%d: %w", topic, partition, err)
		}
	}
	conf := *c.conf
	if via != nil {
		conf.Net.Proxy.Enable, conf.Net.Proxy.Dialer = true, via
	}
	conn := sarama.NewBroker(leader.Addr())
	if err := conn.Open(&conf); err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", leader.Addr(), err)
	}
	if ok, err := conn.Connected(); !ok || err != nil {
		_ = conn.Close()
		_ = c.sarama.RefreshMetadata(topic)
		return nil, fmt.Errorf("connecting to %s: %w", leader.Addr(), err)
	}
	return conn, nil
}

// dialer keeps the connection that it opened last.
type dialer struct {
	net.Dialer
	last net.Conn
}

// Dial opens a connection.
func (d *dialer) Dial(network, address string) (conn net.Conn, err error) {
	conn, err = d.Dialer.Dial(network, address)
	d.last = conn
	return conn, err
}
