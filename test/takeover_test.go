package test

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"daybook/eventstore"
	"daybook/internal/testenv"
)

var (
	takeovers        = flag.Int("takeovers", 0, "measure so many takeovers of each kind instead of two")
	takeoverAccounts = flag.Int("takeover-accounts", 3, "how many accounts there are when takeovers are measured")
)

// beat is a client that moves money on one account, again and again, whoever owns it.
type beat struct {
	account string
	api     *api
	count   atomic.Int64
	// armed begins to measure the longest time between two answers, in nanoseconds.
	armed   atomic.Bool
	longest atomic.Int64
}

// run sends commands until stop is closed, each until it is acknowledged.
func (b *beat) run(stop <-chan struct{}, name string) {
	last := time.Now()
	for i := 0; ; i++ {
		for {
			select {
			case <-stop:
				return
			default:
			}
			p, err := b.api.topUp(b.account, "0.01", fmt.Sprintf("%s-%d", name, i))
			if err == nil && len(p.UserErrors) == 0 {
				now := time.Now()
				if b.armed.Load() {
					b.longest.Store(max(b.longest.Load(), now.Sub(last).Nanoseconds()))
				}
				last = now
				b.count.Add(1)
				break
			}
		}
	}
}

// Two nodes share the partitions, and clients ask only one of them. The other is killed, or stopped, and comes back; the
// clients' commands for its accounts wait until they are carried out by their new owner.
func TestCommandsGoOnWhenAnOwnerEnds(t *testing.T) {
	b := kafkaBackend(t)
	nodes := [2]*node{startNode(t, b), startNode(t, b)}
	accounts := openAccounts(t, nodes[0], *takeoverAccounts)
	rounds := max(1, *takeovers)
	for _, end := range []struct {
		name string
		how  func(n *node)
		// kept is how long the group waits for a node that ended.
		kept time.Duration
	}{
		{"SIGKILL", (*node).kill, 6 * time.Second},
		{"SIGTERM", func(n *node) { n.signal(syscall.SIGTERM) }, 0},
	} {
		var gaps []time.Duration
		for round := range rounds {
			victim, other := nodes[round%2], nodes[1-round%2]
			awaitShared(t, nodes)
			gaps = append(gaps, endedBeside(t, victim, other, accounts, fmt.Sprintf("%s-%d", end.name, round), end.how))
			victim.start()
		}
		slices.Sort(gaps)
		t.Logf("%s: the owner's accounts were without it for %s (median of %d; least %s, most %s), of which the group waits %s",
			end.name, gaps[len(gaps)/2], rounds, gaps[0], gaps[len(gaps)-1], end.kept)
	}
	auditAtRest(t, nodes[0])
}

// openAccounts opens accounts, by batches, and returns one of each partition.
func openAccounts(t *testing.T, n *node, count int) []string {
	t.Helper()
	a := newAPI(n.url)
	found := map[int32]string{}
	for from := 0; from < count || len(found) < 3; from += 1000 {
		var commands []any
		for i := from; i < from+1000 && (i < count || len(found) < 3); i++ {
			id := fmt.Sprintf("account-%d", i)
			if p := eventstore.PartitionOf(id, 3); found[p] == "" {
				found[p] = id
			}
			commands = append(commands, map[string]any{"createAccount": map[string]any{
				"id": id, "ownerId": "o", "currency": "EUR", "type": "USER", "idempotencyKey": "create",
			}})
		}
		testenv.Eventually(t, func() error {
			return a.query(batchMutation, map[string]any{"input": map[string]any{"commands": commands, "atomic": false}}, nil)
		})
	}
	return []string{found[0], found[1], found[2]}
}

// awaitShared waits until each node owns something.
func awaitShared(t *testing.T, nodes [2]*node) {
	t.Helper()
	for _, n := range nodes {
		n.wait(startPatience, func() error {
			if !strings.Contains(n.log.String()[n.logged:], "partition taken over") {
				return errors.New("the node owns nothing yet")
			}
			return n.ready()
		})
	}
}

// endedBeside ends one node while clients ask the other, and tells how long commands on its accounts were not answered.
func endedBeside(t *testing.T, victim, other *node, accounts []string, name string, how func(*node)) time.Duration {
	t.Helper()
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var beats []*beat
	for _, id := range accounts {
		b := &beat{account: id, api: newAPI(other.url)}
		beats = append(beats, b)
		clients.Go(func() { b.run(stop, name) })
	}
	defer clients.Wait()
	defer close(stop)
	goOn := func(count int64) {
		t.Helper()
		for _, b := range beats {
			until := b.count.Load() + count
			other.wait(startPatience, func() error {
				if b.count.Load() < until {
					return fmt.Errorf("commands on %s are not carried out", b.account)
				}
				return nil
			})
		}
	}
	goOn(20)
	for _, b := range beats {
		b.armed.Store(true)
	}
	how(victim)
	if victim.cmd != nil {
		victim.mustEnd()
	}
	goOn(2) // One can have been answered before the end.
	longest := time.Duration(0)
	for _, b := range beats {
		longest = max(longest, time.Duration(b.longest.Load()))
	}
	return longest
}
