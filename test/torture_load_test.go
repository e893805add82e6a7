package test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	tortureAccounts = 24
	tortureSingles  = 18
	tortureBatchers = 3
	// longestThought is how long a client rests at most between two commands: the machine is to have time for recovery.
	longestThought = 100 * time.Millisecond
	// tryPatience bounds one try, more than a node takes to answer; every fifth is given up sooner.
	tryPatience = 13 * time.Second
	// tortureSettle bounds how long a command is tried.
	tortureSettle  = 150 * time.Second
	tortureHold    = 8 * time.Second
	historyClients = 4
	historyLength  = 60
	largestBatch   = 12
)

// What a client can hear in answer to one try.
const (
	heardAck     = "acknowledged"
	heardRefused = "refused"
	// heardNothing is that the command did nothing; heardUnknown that the node does not know; lost is no answer.
	heardNothing, heardUnknown, heardLost = "nothing done", "outcome unknown", "lost"
)

// attempt is one try of a command.
type attempt struct {
	At, Took time.Duration
	Node     string
	Heard    string
	// Code and Error are what was answered in place of a result.
	Code, Error string `json:",omitempty"`
}

// order is an operation with all that was tried and heard.
type order struct {
	*operation
	attempts []attempt
	// group is set for what was sent as part of an atomic batch.
	group *bundle
	// fleeting is taken back at the first answer that nothing was done.
	fleeting bool
}

// bundle is an atomic batch.
type bundle struct{ commands []*order }

// open tells whether a try may still take effect, or have taken effect, that its sender knows nothing of.
func (c *order) open() bool {
	return slices.ContainsFunc(c.attempts, func(a attempt) bool { return a.Heard == heardUnknown || a.Heard == heardLost })
}

// torment is a load on several nodes that are tortured meanwhile.
type torment struct {
	*load
	g     *ground
	begun time.Time

	// owners are the nodes that took a partition's last command.
	owners [defaultPartitions]atomic.Int32

	tmu       sync.Mutex
	commands  []*order
	histories []*history
	// acknowledged are the commands that were: they do not change any more.
	acknowledged []*order
	// acks are when, since begun, each partition acknowledged a command.
	acks [defaultPartitions][]time.Duration
	// repeats counts the commands that were acknowledged, sent again, and answered the same.
	repeats, conflicts int
	tries, elsewhere   int
	heard              map[string]int
	// impatient is set when something did not come about in the end.
	impatient bool
}

func newTorment(g *ground, seed uint64) *torment {
	l := &load{t: g.t, most: loadLimit, recent: 20, seed: seed, told: map[string]int{}}
	for i := range tortureAccounts {
		l.accounts = append(l.accounts, fmt.Sprintf("account-%d", i))
	}
	l.url = func() string { return g.nodes[rand.IntN(len(g.nodes))].public }
	return &torment{load: l, g: g, begun: time.Now(), heard: map[string]int{}}
}

// begin sets all clients to work until stop.
func (l *torment) begin() {
	for c := range tortureSingles {
		l.wg.Go(func() { l.single(c) })
	}
	for c := range tortureBatchers {
		l.wg.Go(func() { l.batcher(tortureSingles + c) })
	}
	l.wg.Go(func() {
		for n := 0; !l.stopped.Load(); n++ {
			h := newHistory(l.t, l.url, l.seed+uint64(n), fmt.Sprintf("history-%d", n), historyClients, historyLength)
			h.stopped, h.timeout, h.patience, h.longest = l.stopped.Load, tryPatience, tortureSettle, tortureHold
			h.thought = longestThought
			l.tmu.Lock()
			l.histories = append(l.histories, h)
			l.tmu.Unlock()
			h.run(func() {})
		}
	})
}

// openAll opens the accounts, which takes more than one try where nodes share the partitions.
func (l *torment) openAll() {
	random := rand.New(rand.NewPCG(l.seed, 3))
	for i, id := range l.accounts {
		input := map[string]any{"id": id, "ownerId": "owner-of-" + id, "currency": "EUR", "idempotencyKey": "create"}
		if i%2 == 1 {
			input["limits"] = map[string]any{"maxBalance": l.most}
		}
		c := &order{operation: &operation{key: "create", account: id, document: createMutation, input: input}}
		l.settleOne(newAPI(""), random, c)
		if !c.acknowledged() {
			l.t.Fatalf("%s cannot be opened: %+v", id, c.attempts)
		}
	}
}

// single is a client that sends one command after the other.
func (l *torment) single(client int) {
	random := rand.New(rand.NewPCG(l.seed, 100+uint64(client)))
	a := newAPI("")
	for n := 0; !l.stopped.Load(); n++ {
		time.Sleep(between(random, 0, longestThought)) // The client thinks.
		if random.IntN(20) == 0 {
			l.repeat(a, random)
			continue
		}
		o := l.drawAny(random, fmt.Sprintf("%d-%d", client, n))
		// Most clients keep to a partition, so that one that is away does not keep all of them.
		for home := client % (defaultPartitions + 1); home < defaultPartitions && partitionOf(o.account) != int32(home); {
			o = l.drawAny(random, o.key)
		}
		c := &order{operation: o, fleeting: random.IntN(8) == 0}
		l.settleOne(a, random, c)
	}
}

// drawAny chooses an operation of any kind.
func (l *torment) drawAny(random *rand.Rand, key string) *operation {
	n := random.IntN(100)
	if n >= 6 {
		o := l.draw(random, key)
		if o.document == holdMutation {
			o.input["expiresAt"] = time.Now().Add(between(random, time.Second, tortureHold)).Format(time.RFC3339Nano)
		}
		return o
	}
	id := l.accounts[random.IntN(len(l.accounts))]
	o := &operation{key: key, account: id, input: map[string]any{"idempotencyKey": key, "accountId": id, "reason": "torture"}}
	if n < 4 {
		o.document, o.input["status"] = statusMutation, [...]string{"ACTIVE", "ACTIVE", "ACTIVE", "SUSPENDED"}[random.IntN(4)]
		return o
	}
	o.document = limitsMutation
	o.input["limits"] = map[string]any{"minBalance": fmt.Sprint(-random.IntN(10)), "maxBalance": fmt.Sprint(20 + random.IntN(80))}
	return o
}

// settleOne tries a command until its answer is definite.
func (l *torment) settleOne(a *api, random *rand.Rand, c *order) {
	l.keep(c)
	for deadline := time.Now().Add(tortureSettle); !c.settled; {
		m := l.aim(a, random, partitionOf(c.account))
		at := time.Now()
		c.answer, c.err = a.mutate(c.document, c.input)
		l.hear(c, m, at)
		if !c.settled && l.late(c, deadline) {
			return
		}
	}
}

// late waits before another try; true when there is to be none.
func (l *torment) late(c *order, deadline time.Time) bool {
	if time.Now().Before(deadline) {
		time.Sleep(clientPause << min(len(c.attempts), 5))
		return false
	}
	last := c.attempts[max(0, len(c.attempts)-3):]
	l.fault(fmt.Errorf("%s on %s has no definite answer after %s and %d tries: %+v", c.key, c.account, tortureSettle, len(c.attempts), last))
	return true
}

// keep remembers a command for the checks.
func (l *torment) keep(c *order) {
	l.mu.Lock()
	l.operations = append(l.operations, c.operation)
	l.mu.Unlock()
	l.tmu.Lock()
	l.commands = append(l.commands, c)
	l.tmu.Unlock()
}

// aim chooses the node for the next try, mostly the one that took the partition's last command, and how long to wait.
// Some clients find it directly: where nobody listens, they know that nothing was done.
func (l *torment) aim(a *api, random *rand.Rand, partition int32) *machine {
	i := int(l.owners[partition].Load())
	if random.IntN(4) == 0 {
		i = random.IntN(len(l.g.nodes))
	}
	m := l.g.nodes[i]
	a.url = m.public + "graphql"
	if random.IntN(2) == 0 {
		a.url = m.url + "graphql"
	}
	a.client.Timeout = tryPatience
	if random.IntN(5) == 0 {
		a.client.Timeout = between(random, 200*time.Millisecond, 4*time.Second)
	}
	return m
}

// hear sorts an answer, notes it, and settles the command when it is definite.
func (l *torment) hear(c *order, m *machine, at time.Time) {
	now := time.Now()
	heard := attempt{At: at.Sub(l.begun), Took: now.Sub(at), Node: m.name}
	heard.Heard, heard.Code = sortAnswer(c.operation)
	if c.err != nil {
		heard.Error = c.err.Error()
	}
	c.attempts = append(c.attempts, heard)
	switch heard.Heard {
	case heardAck, heardRefused:
		c.settled = true
	case heardNothing:
		c.settled = c.fleeting && !c.open()
	case "":
		c.err = cmp.Or(c.err, error(errNoAccount))
		l.fault(fmt.Errorf("%s on %s was answered %w", c.key, c.account, c.err))
		c.settled = true
	}
	if heard.Heard == heardAck && !c.answersItself() {
		l.fault(fmt.Errorf("%s on %s was acknowledged with what answers another command: %+v", c.key, c.account, c.answer))
	} else if heard.Heard == heardAck {
		l.done.Add(1)
		l.remember(c.operation)
	}
	l.note(c, &heard, now.Sub(l.begun), slices.Index(l.g.nodes, m))
}

// answersItself tells whether an acknowledgement has what later commands are about.
func (o *operation) answersItself() bool {
	switch o.document {
	case payMutation:
		return o.answer.Transaction != nil
	case holdMutation:
		return o.answer.Hold != nil
	}
	return true
}

// errNoAccount is an answer that has neither errors nor an account.
var errNoAccount = errors.New("without an account")

// note counts what was heard.
func (l *torment) note(c *order, heard *attempt, at time.Duration, node int) {
	elsewhere := strings.Contains(heard.Error, "another node owns")
	for _, e := range c.answer.UserErrors { // As results of batches tell it.
		elsewhere = elsewhere || strings.Contains(e.Message, "another node owns")
	}
	l.tmu.Lock()
	defer l.tmu.Unlock()
	l.tries++
	l.heard[heard.Heard]++
	if elsewhere {
		l.elsewhere++
	}
	p := partitionOf(c.account)
	if elsewhere && len(l.g.nodes) > 1 {
		l.owners[p].CompareAndSwap(int32(node), int32((node+1)%len(l.g.nodes)))
	}
	if heard.Heard == heardAck {
		l.acks[p] = append(l.acks[p], at)
		l.acknowledged = append(l.acknowledged, c)
		l.owners[p].Store(int32(node))
	}
}

// sortAnswer tells what the last answer to an operation says, and its code; empty when it may not be answered so.
func sortAnswer(o *operation) (heard, code string) {
	var dial *net.OpError
	code = codeOf(o.err)
	if o.err == nil && len(o.answer.UserErrors) > 0 {
		code = o.answer.UserErrors[0].Code
	}
	switch {
	case code == "UNAVAILABLE", code == "OVERLOADED", errors.As(o.err, &dial) && dial.Op == "dial":
		return heardNothing, code
	case code == "OUTCOME_UNKNOWN":
		return heardUnknown, code
	case o.err == nil && (code == "INTERNAL" || code == "BAD_USER_INPUT" && o.document != holdMutation):
		return "", code // A batch has among its userErrors what is an error by itself elsewhere.
	case o.err == nil && code != "", code == "BAD_USER_INPUT" && o.document == holdMutation: // Its expiresAt has passed by now.
		return heardRefused, code
	case o.err == nil && o.answer.Account == nil:
		return "", "NO_ACCOUNT"
	case o.err == nil:
		return heardAck, ""
	case code == "":
		return heardLost, ""
	}
	return "", code
}

// repeat sends something again that was acknowledged, some of it with another amount: the answer must be as it was, or
// that the key is taken.
func (l *torment) repeat(a *api, random *rand.Rand) {
	c := l.anyAcknowledged(random)
	if c == nil {
		return
	}
	input, conflict := c.input, false
	if _, ok := input["amount"]; ok && random.IntN(4) == 0 {
		input, conflict = maps.Clone(input), true
		input["amount"] = "123.45"
	}
	m := l.aim(a, random, partitionOf(c.account))
	answer, err := a.mutate(c.document, input)
	again := &operation{document: c.document, answer: answer, err: err}
	heard, code := sortAnswer(again)
	l.tmu.Lock()
	defer l.tmu.Unlock()
	switch {
	case heard == heardNothing, heard == heardUnknown, heard == heardLost:
	case conflict && code == "IDEMPOTENCY_CONFLICT":
		l.conflicts++
	case !conflict && heard == heardAck && sameAnswer(c.answer, answer):
		l.repeats++
	default:
		l.fault(fmt.Errorf("%s on %s was acknowledged with %+v and, sent again to %s (with another amount: %v), answered %+v, %w",
			c.key, c.account, c.answer, m.name, conflict, answer, err))
	}
}

// anyAcknowledged is a command of the last hundreds that was acknowledged; nil before there are any.
func (l *torment) anyAcknowledged(random *rand.Rand) *order {
	l.tmu.Lock()
	defer l.tmu.Unlock()
	n := len(l.acknowledged)
	if n == 0 {
		return nil
	}
	return l.acknowledged[n-1-random.IntN(min(n, 1000))]
}

// sameAnswer tells whether a repeat was answered as the command was. Its transaction may have come further.
func sameAnswer(a, b payload) bool {
	return a.Account != nil && b.Account != nil && *a.Account == *b.Account &&
		(a.Transaction == nil) == (b.Transaction == nil) && (a.Transaction == nil || a.Transaction.ID == b.Transaction.ID) &&
		(a.Hold == nil) == (b.Hold == nil) && (a.Hold == nil || a.Hold.ID == b.Hold.ID)
}
