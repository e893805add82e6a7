package test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/internal/testenv"
)

// operation is one command of a client, with what became of it.
type operation struct {
	key string
	// document and input are what is sent.
	document string
	input    map[string]any
	// account is the one that the operation's idempotency key belongs to.
	account string
	answer  payload
	err     error
	settled bool
}

// acknowledged tells whether the client was told that it happened.
func (o *operation) acknowledged() bool {
	return o.settled && o.err == nil && len(o.answer.UserErrors) == 0
}

// loadLimit is what every second account of a load may hold at most: little, so that credits are refused all the time.
const loadLimit = "20.00"

// refusedFor tells whether a business rule refused it, by its code.
func (o *operation) refusedFor(code string) bool {
	return o.err == nil && len(o.answer.UserErrors) > 0 && o.answer.UserErrors[0].Code == code
}

// load is many clients that move money among accounts of all partitions. Some hold too little for what is asked of
// them, others can take too little in.
type load struct {
	t        testing.TB
	url      func() string
	accounts []string
	seed     uint64
	// most is what every second account may hold; empty is without limit.
	most string
	// once takes an operation's first answer for its last; a client that loses its connection goes away.
	once bool
	// read, when set, reads each account back after it was written.
	read bool
	// choose, when set, chooses the operations in place of draw.
	choose func(random *rand.Rand, key string) *operation
	// recent is how many of the last payments and holds operations are about.
	recent int

	stopped atomic.Bool
	// inFlight counts the requests without an answer, done the operations that were acknowledged.
	inFlight, done atomic.Int64
	wg             sync.WaitGroup

	mu         sync.Mutex
	operations []*operation
	faults     []error
	// told counts the top-level errors by what they say.
	told map[string]int
	// payments and holds are what later operations can be about.
	payments, holds []subject
}

// subject is a payment or a hold, with the account that operations about it address.
type subject struct{ id, account string }

func newLoad(t testing.TB, url func() string, accounts int) *load {
	l := &load{t: t, url: url, most: loadLimit, recent: 20, seed: testenv.Seed(t), told: map[string]int{}}
	for i := range accounts {
		l.accounts = append(l.accounts, fmt.Sprintf("account-%d", i))
	}
	return l
}

// open opens the accounts, every second one limited.
func (l *load) open() {
	l.t.Helper()
	a := newAPI(l.url())
	for i, id := range l.accounts {
		if p, err := a.createLimited(id, [...]string{"", l.most}[i%2]); err != nil || len(p.UserErrors) > 0 {
			l.t.Fatalf("opening %s: %+v, %v", id, p, err)
		}
	}
}

// start sets clients to work until stop.
func (l *load) start(clients int) {
	for c := range clients {
		l.wg.Go(func() { l.client(c) })
	}
}

// stop lets every client finish what it has begun.
func (l *load) stop() {
	l.stopped.Store(true)
	l.wg.Wait()
}

func (l *load) client(c int) {
	random := rand.New(rand.NewPCG(l.seed, uint64(c)))
	a := newAPI("")
	choose := l.draw
	if l.choose != nil {
		choose = l.choose
	}
	for n := 0; !l.stopped.Load(); n++ {
		o := choose(random, fmt.Sprintf("%d-%d", c, n))
		l.mu.Lock()
		l.operations = append(l.operations, o)
		l.mu.Unlock()
		l.settle(a, o)
		if o.acknowledged() {
			l.done.Add(1)
			l.remember(o)
		}
		if l.once && o.err != nil {
			if codeOf(o.err) == "" {
				return
			}
			time.Sleep(clientPause)
		}
		if l.read && o.acknowledged() {
			l.readBack(a, o)
		}
	}
}

// draw chooses an operation, of every kind there is.
func (l *load) draw(random *rand.Rand, key string) *operation {
	pick := func() string { return l.accounts[random.IntN(len(l.accounts))] }
	from, to := pick(), pick()
	for to == from {
		to = pick()
	}
	o := &operation{key: key, account: from, input: map[string]any{"idempotencyKey": key}}
	amount := fmt.Sprintf("%d.%02d", random.IntN(8), 1+random.IntN(99))
	between := func(document string) {
		o.document, o.input["fromAccountId"], o.input["toAccountId"] = document, from, to
	}
	switch n := random.IntN(100); {
	case n < 16:
		o.document, o.input["accountId"] = topUpMutation, from
	case n < 24:
		o.document, o.input["accountId"] = withdrawMutation, from
	case n < 54:
		between(transferMutation)
	case n < 70:
		between(payMutation)
	case n < 80:
		o.document, o.input["accountId"], o.input["toAccountId"] = holdMutation, from, to
		o.input["expiresAt"] = time.Now().Add(time.Duration(1 + random.IntN(int(longestHold)))).Format(time.RFC3339Nano)
	case n < 88:
		return l.about(random, o, refundMutation, "paymentId", &l.payments, amount)
	case n < 96:
		o.input["final"] = random.IntN(3) == 0
		return l.about(random, o, captureMutation, "holdId", &l.holds, amount)
	default:
		return l.about(random, o, voidMutation, "holdId", &l.holds, "")
	}
	o.input["amount"], o.input["currency"] = amount, "EUR"
	return o
}

// longestHold is how long a hold of a load lasts at most: soon after the load, none is active.
const longestHold = 2 * time.Second

// about makes an operation be about a payment or a hold, often one of the last.
func (l *load) about(random *rand.Rand, o *operation, document, field string, from *[]subject, amount string) *operation {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := subject{"00000000-0000-4000-8000-000000000000", o.account}
	if n := len(*from); n > 0 {
		s = (*from)[n-min(n, 1+random.IntN(l.recent))]
	}
	o.document, o.account, o.input[field] = document, s.account, s.id
	if amount != "" && random.IntN(3) > 0 {
		o.input["amount"] = amount
	}
	return o
}

// remember notes what later operations can be about.
func (l *load) remember(o *operation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch o.document {
	case payMutation:
		l.payments = append(l.payments, subject{o.answer.Transaction.ID, o.input["toAccountId"].(string)})
	case holdMutation:
		l.holds = append(l.holds, subject{o.answer.Hold.ID, o.account})
	}
}

// clientPause is how long a client rests before it tries again.
const clientPause = 10 * time.Millisecond

// settlePatience bounds how long an operation is repeated for a definite answer.
const settlePatience = 90 * time.Second

// settle sends the operation, again and again with the same key, until its answer is definite.
func (l *load) settle(a *api, o *operation) {
	deadline := time.Now().Add(settlePatience)
	for {
		l.send(a, o)
		code := codeOf(o.err)
		tooLate := code == "BAD_USER_INPUT" && o.document == holdMutation // Its expiresAt has passed by now.
		if o.err == nil || l.once || tooLate {
			o.settled = o.err == nil || tooLate || code == "UNAVAILABLE" || code == "OVERLOADED"
			return
		}
		switch code {
		case "", "UNAVAILABLE", "OUTCOME_UNKNOWN", "OVERLOADED":
		default:
			l.fault(fmt.Errorf("%s was answered %w", o.key, o.err))
			return
		}
		if time.Now().After(deadline) {
			l.fault(fmt.Errorf("%s has no definite answer after %s: %w", o.key, settlePatience, o.err))
			return
		}
		time.Sleep(clientPause)
	}
}

// send sends the operation once.
func (l *load) send(a *api, o *operation) {
	a.url = l.url() + "graphql"
	l.inFlight.Add(1)
	o.answer, o.err = a.mutate(o.document, o.input)
	l.inFlight.Add(-1)
	if f := (*failure)(nil); errors.As(o.err, &f) {
		l.mu.Lock()
		l.told[f.Error()]++
		l.mu.Unlock()
	}
}

// heard lists the top-level errors and how often each was told.
func (l *load) heard() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.told)
}

// await waits until so many operations were acknowledged.
func (l *load) await(acknowledged int64) {
	l.t.Helper()
	testenv.Eventually(l.t, func() error {
		if n := l.done.Load(); n < acknowledged {
			return fmt.Errorf("%d of %d operations were acknowledged", n, acknowledged)
		}
		return nil
	})
}

// readBack reads an account at the version just written: the answer must be that state, or a later one.
func (l *load) readBack(a *api, o *operation) {
	written := o.answer.Account
	got, err := a.account(written.ID, written.Version)
	switch {
	case err != nil && codeOf(err) == "":
	case err != nil:
		l.fault(fmt.Errorf("reading %s at version %d: %w", written.ID, written.Version, err))
	case got.Version < written.Version:
		l.fault(fmt.Errorf("%s was read at version %d after version %d was written", written.ID, got.Version, written.Version))
	case got.Version == written.Version && got.Balance != written.Balance:
		l.fault(fmt.Errorf("%s at version %d was written as %s and read as %s", written.ID, got.Version, written.Balance, got.Balance))
	}
}

func (l *load) fault(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, err)
}

// watchAll subscribes to every account, over every transport that can, until the returned function is called.
func (l *load) watchAll() ([]*watcher, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var all []*watcher
	for i, id := range l.accounts {
		w := &watcher{account: id, transport: streaming[i%len(streaming)]}
		all = append(all, w)
		wg.Go(func() { w.follow(ctx, l.url) })
	}
	return all, func() {
		cancel()
		wg.Wait()
	}
}

// mustBeDefinite fails the test unless every answer tells what became of its operation. A broken connection is no
// answer. Only for after stop.
func (l *load) mustBeDefinite() {
	l.t.Helper()
	for _, o := range l.operations {
		if !o.settled && codeOf(o.err) != "" {
			l.t.Errorf("%s was answered %v", o.key, o.err)
		}
	}
}

// mustBeSound fails the test with what the clients themselves found wrong.
func (l *load) mustBeSound() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) > 0 {
		l.t.Errorf("%d faults: %v", len(l.faults), errors.Join(l.faults[:min(5, len(l.faults))]...))
	}
}
