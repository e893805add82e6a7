package test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/twmb/franz-go/pkg/kgo"
)

const forEver = int64(math.MaxInt64)

// history is what concurrent clients did to a few accounts and what they were told, with the times.
type history struct {
	t     testing.TB
	url   func() string
	seed  uint64
	begun time.Time
	// clients do so many operations each, fewer once stopped says so.
	clients, operations int
	stopped             func() bool
	// timeout bounds a try, and patience how long an operation is tried.
	timeout, patience time.Duration
	// thought is how long a client rests at most before an operation.
	thought time.Duration
	// longest is how long a hold lasts at most.
	longest time.Duration
	// accounts of three partitions, two of them in the first. Only the last is ever closed.
	accounts []string

	mu              sync.Mutex
	records         []*record
	payments, holds []record // What later operations can be about: copies, as they were answered.
	lost            int
	// rest is when nothing was on its way any more.
	rest int64
}

// record is one operation of a client: what it sent, as an operation of a load, and what it was told, as a step on the
// account that it addressed.
type record struct {
	operation
	step
	// to is the account on the other side, if there is one.
	to string
	// lost tells that an answer was lost before the last one came.
	lost bool
	// tries counts how often it was sent.
	tries int
}

func newHistory(t testing.TB, url func() string, seed uint64, name string, clients, operations int) *history {
	h := &history{
		t: t, url: url, seed: seed, begun: time.Now(), clients: clients, operations: operations, stopped: func() bool { return false },
		timeout: time.Minute, patience: settlePatience, longest: longestHold,
	}
	for _, partition := range []int32{0, 0, 1, 2, 1} {
		h.accounts = append(h.accounts, accountIn(partition, fmt.Sprintf("%s-%d-", name, len(h.accounts))))
	}
	return h
}

// accountIn finds an id that lives in a partition.
func accountIn(partition int32, prefix string) string {
	for i := 0; ; i++ {
		if id := fmt.Sprintf("%s%d", prefix, i); partitionOf(id) == partition {
			return id
		}
	}
}

// partitionOf asks the client's own partitioner, which is that of Kafka's Java client.
func partitionOf(id string) int32 {
	return int32(kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte(id)}, defaultPartitions))
}

func (h *history) at(t time.Time) int64 { return int64(t.Sub(h.begun)) }

// run lets the clients do what they have to do. In between, once half of it is done, it calls meanwhile.
func (h *history) run(meanwhile func()) {
	var clients, opened sync.WaitGroup
	opened.Add(h.clients)
	half := make(chan struct{})
	var once sync.Once
	for c := range h.clients {
		clients.Go(func() {
			a := newAPI("")
			a.client.Timeout = h.timeout
			random := rand.New(rand.NewPCG(h.seed, uint64(c)))
			known := map[string]*view{}
			for _, id := range h.accounts {
				h.carryOut(a, h.opening(c, id), random, known)
			}
			opened.Done()
			opened.Wait()
			for n := 0; n < h.operations && !h.stopped(); n++ {
				if n == h.operations/2 {
					once.Do(func() { close(half) })
				}
				time.Sleep(between(random, 0, h.thought)) // The client thinks.
				if random.IntN(4) == 0 {
					h.look(a, c, random, known)
					continue
				}
				h.carryOut(a, h.draw(random, c, n, known), random, known)
			}
			once.Do(func() { close(half) })
		})
	}
	<-half
	meanwhile()
	clients.Wait()
}

// opening is what every client tries, of whom one succeeds.
func (h *history) opening(c int, id string) *record {
	r := &record{step: step{kind: created, account: id, client: c, max: noLimit}}
	r.operation = operation{key: fmt.Sprintf("open-%d", c), document: createMutation, account: id, input: map[string]any{
		"id": id, "ownerId": "owner", "currency": "EUR", "idempotencyKey": fmt.Sprintf("open-%d", c),
	}}
	return r
}

// carryOut sends a command until its answer is definite, or until the client, having lost an answer, gives up.
func (h *history) carryOut(a *api, r *record, random *rand.Rand, known map[string]*view) {
	r.call = h.at(time.Now())
	for deadline := time.Now().Add(h.patience); ; time.Sleep(clientPause) {
		a.url = h.url() + "graphql"
		r.tries++
		r.answer, r.err = a.mutate(r.document, r.input)
		var dial *net.OpError
		switch code := codeOf(r.err); {
		case r.err == nil, code == "BAD_USER_INPUT" && r.kind == authorized: // Its expiresAt has passed by now.
			r.settled = true
		case code == "UNAVAILABLE", code == "OVERLOADED", errors.As(r.err, &dial) && dial.Op == "dial": // Nothing was done.
		case code == "", code == "OUTCOME_UNKNOWN":
			r.lost = true
			r.unknown = r.kind != created && random.IntN(2) == 0 // Without an account there is no history.
		default:
			h.t.Errorf("%s on %s was answered %v", r.kind, r.operation.account, r.err)
			return
		}
		if r.settled || r.unknown {
			break
		}
		if time.Now().After(deadline) {
			h.t.Errorf("%s on %s has no answer after %s: %v", r.kind, r.operation.account, h.patience, r.err)
			return
		}
	}
	r.ret = h.at(time.Now())
	r.heard()
	if p := r.answer.Account; r.acknowledged() && p != nil {
		v := viewOf(p)
		known[p.ID] = &v
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.lost {
		h.lost++
	}
	h.records = append(h.records, r)
	switch {
	case !r.acknowledged():
	case r.kind == paid, r.kind == captured:
		h.payments = append(h.payments, *r)
	case r.kind == authorized:
		h.holds = append(h.holds, *r)
	}
}

// heard reads the answer into the step.
func (r *record) heard() {
	if r.unknown {
		r.ret = forEver
		return
	}
	if r.err != nil {
		return
	}
	if len(r.answer.UserErrors) > 0 {
		r.code = r.answer.UserErrors[0].Code
		r.elsewhere = aboutTheOtherSide(r.kind, r.code, strings.Join(r.answer.UserErrors[0].Field, "."))
		return
	}
	r.seen = viewOf(r.answer.Account)
	if tx := r.answer.Transaction; tx != nil {
		r.tx, r.moved = tx.ID, cents(tx.Amount)
	}
	if hold := r.answer.Hold; hold != nil {
		r.hold, r.left, r.ended = hold.ID, cents(hold.Remaining), hold.Status
	}
}

// aboutTheOtherSide tells whether a refusal is about the account that was to be credited.
func aboutTheOtherSide(kind, code, field string) bool {
	switch kind {
	case transferred, paid, authorized:
		return field == "input.toAccountId" || code == "BALANCE_LIMIT_EXCEEDED"
	case captured: // An account with active holds is not closed.
		return code == "BALANCE_LIMIT_EXCEEDED" || code == "ACCOUNT_CLOSED"
	case refunded:
		return code == "BALANCE_LIMIT_EXCEEDED"
	}
	return false
}

// look reads an account, mostly at the version that the client knows it has reached.
func (h *history) look(a *api, c int, random *rand.Rand, known map[string]*view) {
	id := h.accounts[random.IntN(len(h.accounts))]
	r := &record{step: step{account: id, kind: looked, client: c, atLeast: 1}}
	if v := known[id]; v != nil {
		r.atLeast = v.version
	}
	for deadline := time.Now().Add(h.patience); ; time.Sleep(clientPause) {
		a.url = h.url() + "graphql"
		got, err := a.account(id, r.atLeast)
		if err == nil && got == nil {
			h.t.Errorf("%s, known to have version %d, is not there", id, r.atLeast)
			return
		}
		if err == nil {
			r.seen, r.ret = viewOf(got), h.at(time.Now())
			h.mu.Lock()
			defer h.mu.Unlock()
			h.records = append(h.records, r)
			return
		}
		if code := codeOf(err); code != "" && code != "UNAVAILABLE" && code != "READ_TIMEOUT" || time.Now().After(deadline) {
			h.t.Errorf("reading %s at version %d: %v", id, r.atLeast, err)
			return
		}
	}
}

func viewOf(a *accountAnswer) view {
	v := view{
		version: a.Version, status: a.Status, balance: cents(a.Balance), held: cents(a.Held), available: cents(a.Available),
		min: cents(a.Limits.MinBalance), max: noLimit,
	}
	if a.Limits.MaxBalance != "" {
		v.max = cents(a.Limits.MaxBalance)
	}
	return v
}

func cents(amount string) int64 { return decimal.RequireFromString(amount).Shift(2).IntPart() }

func euros(amount int64) string { return decimal.New(amount, -2).StringFixed(2) }

// draw chooses an operation, of every kind there is.
func (h *history) draw(random *rand.Rand, c, n int, known map[string]*view) *record {
	from, to := random.IntN(len(h.accounts)), random.IntN(len(h.accounts)-1)
	if to >= from {
		to++
	}
	r := &record{to: h.accounts[to], step: step{account: h.accounts[from], client: c, amount: 1 + random.Int64N(900)}}
	r.key = fmt.Sprintf("%d-%d", c, n)
	r.input = map[string]any{"idempotencyKey": r.key}
	switch x := random.IntN(100); {
	case x < 15:
		r.alone(toppedUp, topUpMutation)
	case x < 23:
		r.alone(withdrawn, withdrawMutation)
	case x < 40:
		r.between(transferred, transferMutation, "fromAccountId")
	case x < 56:
		r.between(paid, payMutation, "fromAccountId")
	case x < 64:
		r.between(authorized, holdMutation, "accountId")
		expires := time.Now().Add(time.Duration(1 + random.IntN(int(h.longest))))
		r.expires, r.input["expiresAt"] = h.at(expires), expires.Format(time.RFC3339Nano)
	case x < 88:
		h.about(r, random, x)
	case x < 93 || n > h.operations*3/4 && x < 96:
		h.drawStatus(r, random, n, known)
	default:
		h.drawLimits(r, random)
	}
	r.operation.account = r.step.account
	if v := known[r.step.account]; v != nil && r.kind != refunded && r.kind != captured && r.kind != voided && random.IntN(6) == 0 {
		r.expected, r.input["expectedVersion"] = v.version, v.version
	}
	return r
}

func (r *record) alone(kind, document string) {
	r.kind, r.document, r.to = kind, document, ""
	r.input["accountId"], r.input["amount"], r.input["currency"] = r.step.account, euros(r.amount), "EUR"
}

func (r *record) between(kind, document, from string) {
	r.kind, r.document = kind, document
	r.input[from], r.input["toAccountId"], r.input["amount"], r.input["currency"] = r.step.account, r.to, euros(r.amount), "EUR"
}

// about makes the record a refund, a capture or a void of one of the last payments or holds.
func (h *history) about(r *record, random *rand.Rand, x int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	from := h.holds
	if x < 72 {
		from = h.payments
	}
	if len(from) == 0 {
		r.alone(toppedUp, topUpMutation)
		return
	}
	of := from[max(0, len(from)-1-random.IntN(8))]
	switch {
	case x < 72:
		r.kind, r.document, r.payment, r.input["paymentId"] = refunded, refundMutation, of.tx, of.tx
		r.step.account, r.to = of.to, of.step.account
	case x < 84:
		r.kind, r.document, r.hold, r.input["holdId"] = captured, captureMutation, of.hold, of.hold
		r.step.account, r.to, r.final = of.step.account, of.to, random.IntN(3) == 0
		r.input["final"] = r.final
	default:
		r.kind, r.document, r.hold, r.input["holdId"] = voided, voidMutation, of.hold, of.hold
		r.step.account, r.to = of.step.account, ""
		return
	}
	if r.amount %= 300; random.IntN(3) == 0 || r.amount == 0 {
		r.amount = allOfIt
		return
	}
	r.input["amount"] = euros(r.amount)
}

// drawStatus makes the record a change of status. Towards the end, what is on the last account is withdrawn, and it is
// closed.
func (h *history) drawStatus(r *record, random *rand.Rand, n int, known map[string]*view) {
	last := h.accounts[len(h.accounts)-1]
	r.newStatus = [...]string{"ACTIVE", "ACTIVE", "SUSPENDED"}[random.IntN(3)]
	if n > h.operations*3/4 {
		r.step.account = last
		if v := known[last]; v != nil && v.available > 0 && v.status != "CLOSED" {
			r.amount = v.available
			r.alone(withdrawn, withdrawMutation)
			return
		}
		if r.newStatus = "CLOSED"; known[last] != nil && known[last].status == "CLOSED" && known[last].balance > 0 {
			r.newStatus = "ACTIVE" // For what came back.
		}
	}
	r.kind, r.document, r.to = statusChanged, statusMutation, ""
	r.input["accountId"], r.input["status"], r.input["reason"] = r.step.account, r.newStatus, "a reason"
}

func (h *history) drawLimits(r *record, random *rand.Rand) {
	r.kind, r.document, r.to = limitsChanged, limitsMutation, ""
	r.min, r.max = -random.Int64N(2000), noLimit
	limits := map[string]any{"minBalance": euros(r.min)}
	if random.IntN(3) > 0 {
		r.max = 1000 + random.Int64N(6000)
		limits["maxBalance"] = euros(r.max)
	}
	r.input["accountId"], r.input["limits"], r.input["reason"] = r.step.account, limits, "a reason"
}
