package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/ids"
	"daybook/internal/testenv"
)

const (
	// sessionTimeout is the shortest that brokers allow by default.
	sessionTimeout = 6 * time.Second
	// longSession lasts longer than tests wait for anything.
	longSession = 5 * time.Minute
)

// member is one of a group, with the assignments it got.
type member struct {
	l   *log
	end func()

	mu     sync.Mutex
	latest []int32
	count  int
}

// join adds a member to the group; its own client, as it would be another node's.
func (l *log) join(group, instance string, session time.Duration) *member {
	l.t.Helper()
	return l.member((*kafka.Client).JoinGroup, group, instance, session)
}

// joinUntilKilled adds one that ends without a word.
func (l *log) joinUntilKilled(group, instance string) *member {
	l.t.Helper()
	return l.member((*kafka.Client).JoinGroupUntilKilled, group, instance, sessionTimeout)
}

type joiner func(*kafka.Client, context.Context, kafka.GroupConfig, func([]int32)) error

func (l *log) member(join joiner, group, instance string, session time.Duration) *member {
	l.t.Helper()
	return l.memberBy(l.connect(), join, group, instance, session)
}

// memberBy adds a member that speaks through a client.
func (l *log) memberBy(client *kafka.Client, join joiner, group, instance string, session time.Duration) *member {
	l.t.Helper()
	m := &member{l: l}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		cfg := kafka.GroupConfig{Group: group, Topic: eventstore.AccountCommands, InstanceID: instance, SessionTimeout: session}
		if err := join(client, ctx, cfg, m.assign); err != nil {
			l.t.Errorf("a member of the group ended: %v", err)
		}
	}()
	m.end = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	l.t.Cleanup(m.end)
	return m
}

func (m *member) assign(partitions []int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latest = slices.Sorted(slices.Values(partitions))
	m.count++
}

func (m *member) has() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.latest
}

func (m *member) assignments() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count
}

// awaitShares waits until the members have all partitions between them, each so many.
func (l *log) awaitShares(want []int, members ...*member) {
	l.t.Helper()
	testenv.Eventually(l.t, func() error {
		var all []int32
		var got []int
		for _, m := range members {
			all, got = append(all, m.has()...), append(got, len(m.has()))
		}
		slices.Sort(all)
		slices.Sort(got)
		if !slices.Equal(all, []int32{0, 1, 2}) || !slices.Equal(got, want) {
			return fmt.Errorf("the members have %v partitions, together %v", got, all)
		}
		return nil
	})
}

func TestMembersOfTheGroupShareThePartitions(t *testing.T) {
	eachLog(t, func(l *log) {
		group := "test-" + ids.New()

		first := l.join(group, "", sessionTimeout)
		l.awaitShares([]int{3}, first)

		second := l.join(group, "", sessionTimeout)
		l.awaitShares([]int{1, 2}, first, second)

		first.end()
		l.awaitShares([]int{3}, second)
	})
}

func TestTheGroupIsCooperativeAndItsMembersStatic(t *testing.T) {
	eachLog(t, func(l *log) {
		group := "test-" + ids.New()
		first, second := l.join(group, "node-1", longSession), l.join(group, "node-2", longSession)
		l.awaitShares([]int{1, 2}, first, second)

		described, err := l.admin().DescribeConsumerGroups([]string{group})
		if err != nil {
			l.t.Fatal(err)
		}
		var instances []string
		for _, m := range described[0].Members {
			if m.GroupInstanceId != nil {
				instances = append(instances, *m.GroupInstanceId)
			}
		}
		slices.Sort(instances)
		if g := described[0]; g.Protocol != "cooperative-sticky" || !slices.Equal(instances, []string{"node-1", "node-2"}) {
			l.t.Errorf("the group shares by %q between %q", g.Protocol, instances)
		}
	})
}

// Three members share three partitions; that of the one who goes is all that changes hands.
func TestWhatStaysWhereItIsIsNotDisturbedByWhatMoves(t *testing.T) {
	eachLog(t, func(l *log) {
		group := "test-" + ids.New()
		members := []*member{l.join(group, "", longSession), l.join(group, "", longSession), l.join(group, "", longSession)}
		l.awaitShares([]int{1, 1, 1}, members...)
		had := [][]int32{members[0].has(), members[1].has()}

		members[2].end()

		l.awaitShares([]int{1, 2}, members[:2]...)
		for i, m := range members[:2] {
			if !slices.Contains(m.has(), had[i][0]) {
				l.t.Errorf("member %d has %v, and had %v", i, m.has(), had[i])
			}
		}
	})
}

func TestAMemberThatWasKilledAndComesBackSoonKeepsItsPartitions(t *testing.T) {
	eachLog(t, func(l *log) {
		group := "test-" + ids.New()
		first, second := l.joinUntilKilled(group, "node-1"), l.join(group, "node-2", sessionTimeout)
		l.awaitShares([]int{1, 2}, first, second)
		had, kept, assignments := first.has(), second.has(), second.assignments()

		first.end()
		back := l.join(group, "node-1", sessionTimeout)

		testenv.Eventually(l.t, func() error {
			if got := back.has(); !slices.Equal(got, had) {
				return fmt.Errorf("it has %v, had %v", got, had)
			}
			return nil
		})
		if got := second.has(); !slices.Equal(got, kept) {
			l.t.Errorf("the other member has %v, had %v", got, kept)
		}
		// The embedded broker, which has one node to serve, shares anew and comes to the same.
		if l.real && second.assignments() != assignments {
			l.t.Error("the other member was disturbed")
		}
	})
}

func TestThePartitionsOfAMemberThatWasKilledAreHandedOverInTime(t *testing.T) {
	eachLog(t, func(l *log) {
		group := "test-" + ids.New()
		first, second := l.joinUntilKilled(group, "node-1"), l.join(group, "node-2", sessionTimeout)
		l.awaitShares([]int{1, 2}, first, second)

		first.end()

		l.awaitShares([]int{3}, second)
	})
}

func TestThePartitionsOfAMemberThatStopsAreHandedOverWithoutWaitingForItsSession(t *testing.T) {
	eachLog(t, func(l *log) {
		group := "test-" + ids.New()
		first, second := l.join(group, "node-1", longSession), l.join(group, "node-2", longSession)
		l.awaitShares([]int{1, 2}, first, second)

		first.end()

		l.awaitShares([]int{3}, second)
	})
}

func TestAMemberThatFindsNoBrokerWaitsForOne(t *testing.T) {
	eachLog(t, func(l *log) {
		client := l.connect()
		client.Miss(8) // More than one attempt makes.
		m := l.memberBy(client, (*kafka.Client).JoinGroup, "test-"+ids.New(), "node-1", longSession)
		l.awaitShares([]int{3}, m)
	})
}

func TestAMemberThatNeverHadAPlaceStopsWithoutTrouble(t *testing.T) {
	eachLog(t, func(l *log) {
		l.join("test-"+ids.New(), "node-1", longSession).end()
	})
}

func TestAMemberStopsThoughTheBrokersHang(t *testing.T) {
	eachLog(t, func(l *log) {
		client := l.connect()
		hung := client.Hang()
		m := l.memberBy(client, (*kafka.Client).JoinGroup, "test-"+ids.New(), "node-1", longSession)
		l.t.Cleanup(hung.LetGo)
		hung.Await()

		ended := make(chan struct{})
		go func() {
			m.end()
			close(ended)
		}()

		testenv.Eventually(l.t, func() error {
			select {
			case <-ended:
				return nil
			default:
				return errors.New("it waits for the brokers")
			}
		})
		hung.LetGo()
		testenv.Eventually(l.t, func() error {
			if opened, open := hung.Connections(); opened == 0 || open > 0 {
				return fmt.Errorf("%d of %d connections are left open", open, opened)
			}
			return nil
		})
	})
}
