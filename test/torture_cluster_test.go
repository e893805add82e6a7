package test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const tortureBrokers = 3

// cluster is Apache Kafka on several brokers, each in a process of its own.
type cluster struct {
	dir string
	// addresses lead past the proxies.
	addresses []string
	// routes are, by listener, the proxies' addresses of all brokers; between are those among the brokers.
	routes  map[string][]string
	between []*link
	client  *kgo.Client
}

func startCluster(g *ground, dir string) *cluster {
	c := &cluster{dir: dir, routes: map[string][]string{}}
	c.addresses = strings.Split(script(g.t, "kafka", "start", "--dir", dir, "--brokers", fmt.Sprint(tortureBrokers), "--proxies", fmt.Sprint(tortureNodes)), ",")
	f, err := os.Open(filepath.Join(dir, "routes"))
	if err != nil {
		g.t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // It was read.
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var listener, broker, from, to string
		if _, err := fmt.Sscan(lines.Text(), &listener, &broker, &from, &to); err != nil {
			g.t.Fatal(err)
		}
		name := strings.ToLower(listener) + " – broker" + broker
		l := g.link(name, "127.0.0.1:"+from, "127.0.0.1:"+to)
		if listener == "BROKERS" {
			c.between = append(c.between, l)
		}
		c.routes[listener] = append(c.routes[listener], l.proxy.Listen)
	}
	if c.client, err = kgo.NewClient(kgo.SeedBrokers(c.addresses...)); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(c.client.Close)
	return c
}

// whole returns an error while a broker knows of a replica of any partition that is not in sync, or what Daybook needs is
// not there yet. The metadata lists topics of Kafka's own too. All are asked: one that was just woken tells what it knew.
func (c *cluster) whole() error {
	for _, broker := range c.client.SeedBrokers() {
		metadata, err := c.metadata(broker)
		if err != nil {
			return err
		}
		if len(metadata.Brokers) < tortureBrokers {
			return fmt.Errorf("%d brokers are there", len(metadata.Brokers))
		}
		for _, topic := range metadata.Topics {
			for _, p := range topic.Partitions {
				if len(p.ISR) < tortureBrokers || p.Leader < 0 {
					return fmt.Errorf("%s/%d has the leader %d and in sync %v", *topic.Topic, p.Partition, p.Leader, p.ISR)
				}
			}
		}
	}
	return nil
}

// deposed returns an error while another broker takes this one for the leader of any partition.
func (c *cluster) deposed(broker int) error {
	// Their numbers begin with 1, so that this is the next one.
	metadata, err := c.metadata(c.client.SeedBrokers()[broker%tortureBrokers])
	if err != nil {
		return err
	}
	for _, topic := range metadata.Topics {
		for _, p := range topic.Partitions {
			if int(p.Leader) == broker {
				return fmt.Errorf("%s/%d is led by it", *topic.Topic, p.Partition)
			}
		}
	}
	return nil
}

// leaders are the brokers that lead a partition of account events.
func (c *cluster) leaders() ([]int, error) {
	metadata, err := c.metadata(c.client)
	if err != nil {
		return nil, err
	}
	for _, topic := range metadata.Topics {
		if *topic.Topic == "billing.account.events" {
			var all []int
			for _, p := range topic.Partitions {
				all = append(all, int(p.Leader))
			}
			return all, nil
		}
	}
	return nil, errors.New("there are no account events")
}

// metadata is what a broker tells of all topics.
func (c *cluster) metadata(of kmsg.Requestor) (*kmsg.MetadataResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return kmsg.NewPtrMetadataRequest().RequestWith(ctx, of)
}

// kill ends a broker as a crash does.
func (c *cluster) kill(broker int) error { return c.signal(broker, syscall.SIGKILL) }

func (c *cluster) signal(broker int, s syscall.Signal) error {
	text, err := os.ReadFile(filepath.Join(c.dir, fmt.Sprintf("node-%d", broker), "pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	return syscall.Kill(pid, s)
}

// revive starts the brokers that do not run.
func (c *cluster) revive() error {
	_, err := tryScript("kafka", "revive", "--dir", c.dir)
	return err
}
