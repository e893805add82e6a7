package test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// operation is one command of a client, with what became of it.
type operation struct {
	key     string
	from    string // empty for a top-up
	to      string
	amount  string
	answer  payload
	err     error
	settled bool
}

// address is the account that the operation's idempotency key belongs to.
func (o *operation) address() string {
	if o.from == "" {
		return o.to
	}
	return o.from
}

// acknowledged tells whether the client was told that it happened.
func (o *operation) acknowledged() bool {
	return o.settled && o.err == nil && len(o.answer.UserErrors) == 0
}

// load is many clients that move little money among accounts of all partitions, so that many are refused.
type load struct {
	t        *testing.T
	url      func() string
	accounts []string
	seed     uint64
	// once gives an operation up when its first answer is not definite.
	once bool
	// read, when set, reads each account back after it was written.
	read bool

	stopped    atomic.Bool
	operations []*operation
	mu         sync.Mutex
	wg         sync.WaitGroup
	faults     []error
}

func newLoad(t *testing.T, url func() string, accounts int) *load {
	l := &load{t: t, url: url, seed: seed(t)}
	for i := range accounts {
		l.accounts = append(l.accounts, fmt.Sprintf("account-%d", i))
	}
	return l
}

// seed is drawn anew, or taken from DAYBOOK_TEST_SEED to repeat a run's choices.
func seed(t *testing.T) uint64 {
	s := uint64(time.Now().UnixNano())
	if v, err := strconv.ParseUint(os.Getenv("DAYBOOK_TEST_SEED"), 10, 64); err == nil {
		s = v
	}
	t.Logf("seed %d (set DAYBOOK_TEST_SEED to repeat its choices)", s)
	return s
}

// open opens the accounts.
func (l *load) open() {
	l.t.Helper()
	a := newAPI(l.url())
	for _, id := range l.accounts {
		if p, err := a.create(id); err != nil || len(p.UserErrors) > 0 {
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
	for n := 0; !l.stopped.Load(); n++ {
		o := l.draw(random, fmt.Sprintf("%d-%d", c, n))
		l.mu.Lock()
		l.operations = append(l.operations, o)
		l.mu.Unlock()
		l.settle(a, o)
		if l.read && o.acknowledged() {
			l.readBack(a, o)
		}
	}
}

func (l *load) draw(random *rand.Rand, key string) *operation {
	pick := func() string { return l.accounts[random.IntN(len(l.accounts))] }
	o := &operation{key: key, to: pick(), amount: fmt.Sprintf("%d.%02d", random.IntN(8), 1+random.IntN(99))}
	if random.IntN(5) > 0 {
		for o.from = pick(); o.from == o.to; {
			o.from = pick()
		}
	}
	return o
}

// settlePatience bounds how long an operation is repeated for a definite answer.
const settlePatience = 90 * time.Second

// settle sends the operation, again and again with the same key, until its answer is definite.
func (l *load) settle(a *api, o *operation) {
	deadline := time.Now().Add(settlePatience)
	for {
		a.url = l.url() + "graphql"
		if o.from == "" {
			o.answer, o.err = a.topUp(o.to, o.amount, o.key)
		} else {
			o.answer, o.err = a.transfer(o.from, o.to, o.amount, o.key)
		}
		if o.err == nil || l.once {
			o.settled = o.err == nil || codeOf(o.err) == "UNAVAILABLE" || codeOf(o.err) == "OVERLOADED"
			return
		}
		switch codeOf(o.err) {
		case "", "UNAVAILABLE", "OUTCOME_UNKNOWN", "OVERLOADED":
		default:
			l.fault(fmt.Errorf("%s was answered %w", o.key, o.err))
			return
		}
		if time.Now().After(deadline) {
			l.fault(fmt.Errorf("%s has no definite answer after %s: %w", o.key, settlePatience, o.err))
			return
		}
		time.Sleep(10 * time.Millisecond) // The pause of a client that tries again.
	}
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

// count returns how many operations were acknowledged and refused so far. Only for after stop.
func (l *load) count() (acknowledged, refused int) {
	for _, o := range l.operations {
		switch {
		case o.acknowledged():
			acknowledged++
		case o.settled:
			refused++
		}
	}
	return acknowledged, refused
}

// watchAll subscribes to every account, over both sub-protocols, until the returned function is called.
func (l *load) watchAll() ([]*watcher, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var all []*watcher
	for i, id := range l.accounts {
		w := &watcher{account: id, protocol: [...]string{"graphql-transport-ws", "graphql-ws"}[i%2]}
		all = append(all, w)
		wg.Go(func() { w.follow(ctx, l.url) })
	}
	return all, func() {
		cancel()
		wg.Wait()
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
