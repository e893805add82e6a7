package engine_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/domain"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/eventstore"
	"daybook/internal/audit"
	"daybook/internal/testenv"
)

// farNode is a node that sends its commands for the account to another. That one answers nothing between hold and release,
// and the first one's clock can be put forward meanwhile.
type farNode struct {
	*node
	owner *node
	id    string
	// sent receives as often as something was sent.
	sent          chan struct{}
	hold, release func()
	forward       func(time.Duration)
}

func newFarNode(t *testing.T, brokers []string) *farNode {
	var answers sync.Mutex
	var ahead atomic.Int64
	n := &farNode{
		id: inPartition(2, "a"), sent: make(chan struct{}, 100),
		hold: answers.Lock, release: answers.Unlock, forward: func(d time.Duration) { ahead.Add(int64(d)) },
	}
	n.node = startNode(t, brokers, t.TempDir(), []int32{0, 1}, named("first"), with(func(c *engine.Config) {
		c.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}), faulty(&faultyLog{onSend: func(topic string, partition int32) fault {
		if topic == eventstore.AccountCommands && partition == 2 {
			n.sent <- struct{}{}
		}
		return none
	}}))
	n.owner = startNode(t, brokers, t.TempDir(), []int32{2}, named("second"), faulty(&faultyLog{gate: func() {
		answers.Lock()
		defer answers.Unlock()
	}}))
	n.owner.create(n.id)
	n.topUp(n.id, "1.00", "first") // It knows the owner now.
	for len(n.sent) > 0 {
		<-n.sent
	}
	return n
}

// send sends so many commands together, and returns when they are on their way. What it returns waits for their answers.
func (n *farNode) send(name string, count int) (answered func()) {
	commands := make([]ledger.Command, count)
	for i := range commands {
		commands[i] = topUp(n.id, "1.00", fmt.Sprint(name, i))
	}
	answers := make(chan []engine.Answer, 1)
	go func() { answers <- n.batch(false, commands...) }()
	<-n.sent
	return func() {
		n.t.Helper()
		for i, a := range <-answers {
			if a.Err != nil {
				n.t.Errorf("command %d of %q: %v", i, name, a.Err)
			}
		}
	}
}

func (n *farNode) refusing() bool { return n.engine.Status()[2].Refusing }

func TestACommandThatWouldBeOnItsWayForLongIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	n := newFarNode(t, brokers)

	// The owner takes ten seconds for six hundred, which nobody knows before.
	n.hold()
	first, second := n.send("many", 600), n.send("one more", 1)
	n.forward(10 * time.Second)
	n.release()
	first()
	second()
	if n.refusing() {
		t.Error("it refuses, and nothing waits")
	}

	n.hold()
	third := n.send("many again", 600)
	if !n.refusing() {
		t.Error("it does not tell that it refuses")
	}
	_, err := n.execute(topUp(n.id, "1.00", "refused"))
	if domain.CodeOf(err) != domain.Overloaded {
		t.Errorf("told %v", err)
	}
	mustHaveCodes(t, n.batch(false, topUp(n.id, "1.00", "refused too"), topUp(n.id, "1.00", "this too")), domain.Overloaded, domain.Overloaded)
	n.release()
	third()

	n.topUp(n.id, "1.00", "last")
	report := soundLog(t, brokers)
	if got := report.Accounts[n.id].Balance.StringFixed(2); got != "1203.00" {
		t.Errorf("the account has %s", got)
	}
	for _, key := range []string{"refused", "refused too", "this too"} {
		if _, done := report.Keys[audit.Key{AccountID: n.id, Key: key}]; done {
			t.Errorf("%q was done", key)
		}
	}
}
