package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/eventstore"
	"daybook/internal/audit"
	"daybook/internal/testenv"
)

// workload is clients that send random commands, few of them possible all the time, and remember what they were told.
type workload struct {
	seed     uint64
	accounts []string
	// choose returns the node to send the next command to.
	choose func(r *rand.Rand) *node

	mu      sync.Mutex
	answers map[audit.Key]audit.Answer
	counts  map[domain.Code]int
	// payments and holds are what later commands can be about.
	payments []subject
	holds    []subject
}

// subject is a payment or a hold, with the account that commands about it address.
type subject struct{ id, account string }

func newWorkload(t *testing.T, choose func(r *rand.Rand) *node) *workload {
	t.Helper()
	w := &workload{seed: testenv.Seed(t), choose: choose, answers: map[audit.Key]audit.Answer{}, counts: map[domain.Code]int{}}
	for i := range 12 {
		w.accounts = append(w.accounts, inPartition(int32(i%partitions), fmt.Sprintf("account%d", i)))
	}
	return w
}

// open creates the accounts and gives each a little money.
func (w *workload) open(n *node) {
	for _, id := range w.accounts {
		w.told(audit.Key{AccountID: id, Key: "create"}, n.create(id), nil)
		w.told(audit.Key{AccountID: id, Key: "first"}, n.topUp(id, "50.00", "first"), nil)
	}
}

// run keeps clients busy with a number of commands each.
func (w *workload) run(clients, commands int) {
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(w.seed, uint64(c)))
			for i := range commands {
				w.one(r, fmt.Sprintf("%d-%d", c, i))
			}
		})
	}
	wg.Wait()
}

// runWatched is run with the log audited all the while: no promise waits for the end.
func (w *workload) runWatched(t *testing.T, brokers []string, clients, commands int) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.run(clients, commands)
	}()
	for audits := 1; ; audits++ {
		report, err := audit.Log(t.Context(), brokers)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range report.Problems {
			t.Error(problem)
		}
		select {
		case <-ended:
			t.Logf("%d audits during the run", audits)
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// one sends a random command, again with the same key while its outcome is open, for a while.
func (w *workload) one(r *rand.Rand, key string) {
	id, command := w.command(r, key)
	patience := time.Duration(1+r.IntN(50)) * time.Millisecond
	for attempt := range 6 {
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		if attempt == 0 && r.IntN(20) == 0 {
			ctx, cancel = context.WithTimeout(ctx, patience) // One in twenty is impatient.
		}
		result, err := w.choose(r).engine.Execute(ctx, command())
		cancel()
		if !w.told(audit.Key{AccountID: id, Key: key}, result, err) {
			return
		}
		time.Sleep(patience) // A client that is told to try again in a moment.
	}
}

// told notes an answer; true when the client has reason to ask again.
func (w *workload) told(key audit.Key, result ledger.Result, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	answer := answerOf(result, err)
	code := domain.Code("OK")
	if err != nil {
		code = domain.CodeOf(err)
	}
	w.counts[code]++
	if tx := result.Transaction; tx != nil && tx.Type == account.Payment {
		w.payments = append(w.payments, subject{tx.ID, tx.To})
	}
	if h := result.Hold; h != nil && h.Status == account.HoldActive {
		w.holds = append(w.holds, subject{h.ID, h.AccountID})
	}
	again := code == domain.Unavailable || code == domain.OutcomeUnknown || code == domain.Overloaded
	if before, ok := w.answers[key]; ok && again && before.Verdict == audit.Unknown {
		return true // That this attempt did nothing says nothing about the one before.
	}
	w.answers[key] = answer
	return again
}

func answerOf(r ledger.Result, err error) audit.Answer {
	switch {
	case domain.CodeOf(err) == domain.OutcomeUnknown:
		return audit.Answer{Verdict: audit.Unknown}
	case err != nil:
		return audit.Answer{Verdict: audit.Refused}
	}
	a := audit.Answer{Version: r.Account.Version, Balance: r.Account.Balance}
	if r.Transaction != nil {
		a.TransactionID = r.Transaction.ID
	}
	if r.Hold != nil {
		a.HoldID = r.Hold.ID
	}
	return a
}

// command draws a command; the function makes it anew for each attempt.
func (w *workload) command(r *rand.Rand, key string) (id string, command func() ledger.Command) {
	id = w.accounts[r.IntN(len(w.accounts))]
	meta := func() ledger.Meta { return ledger.Meta{IdempotencyKey: key} }
	amount := eur(fmt.Sprintf("%d.%02d", r.IntN(20), 1+r.IntN(99)))
	switch n := r.IntN(100); {
	case n < 8:
		return id, func() ledger.Command {
			c := create(id)
			c.IdempotencyKey = key
			return c
		}
	case n < 25:
		return id, func() ledger.Command {
			return &ledger.TopUp{Meta: meta(), AccountID: id, Amount: amount, Currency: "EUR", External: "card"}
		}
	case n < 28:
		status := account.Active
		if r.IntN(3) == 0 {
			status = account.Suspended
		}
		return id, func() ledger.Command { return &ledger.ChangeStatus{Meta: meta(), AccountID: id, Status: status} }
	case n < 31:
		var limits account.Limits
		limits.Max.Decimal, limits.Max.Valid = eur(strconv.Itoa(20+r.IntN(100))), true
		return id, func() ledger.Command { return &ledger.ChangeLimits{Meta: meta(), AccountID: id, Limits: limits} }
	case n < 34:
		version := int64(r.IntN(500))
		return id, func() ledger.Command {
			c := topUp(id, "1.00", key)
			c.ExpectedVersion = &version
			return c
		}
	}
	to := w.accounts[r.IntN(len(w.accounts))]
	between := func() ledger.Transfer {
		return ledger.Transfer{Meta: meta(), FromID: id, ToID: to, Amount: amount, Currency: "EUR"}
	}
	part := decimal.NullDecimal{Decimal: amount, Valid: r.IntN(3) > 0}
	switch n := r.IntN(100); {
	case n < 35:
		return id, func() ledger.Command { c := between(); return &c }
	case n < 50:
		return id, func() ledger.Command { return &ledger.Pay{Transfer: between()} }
	case n < 58:
		return id, func() ledger.Command { return withdraw(id, amount.StringFixed(2), key) }
	case n < 72:
		expires := time.Now().Add(time.Duration(1+r.IntN(3000)) * time.Millisecond).Truncate(time.Millisecond).UTC()
		return id, func() ledger.Command {
			return &ledger.AuthorizeHold{Meta: meta(), AccountID: id, ToID: to, Amount: amount, Currency: "EUR", ExpiresAt: expires}
		}
	case n < 84:
		s := w.subject(r, &w.payments)
		return s.account, func() ledger.Command { return &ledger.Refund{Meta: meta(), PaymentID: s.id, Amount: part} }
	case n < 94:
		s, final := w.subject(r, &w.holds), r.IntN(3) == 0
		return s.account, func() ledger.Command {
			return &ledger.CaptureHold{Meta: meta(), HoldID: s.id, Amount: part, Final: final}
		}
	default:
		s := w.subject(r, &w.holds)
		return s.account, func() ledger.Command { return &ledger.VoidHold{Meta: meta(), HoldID: s.id} }
	}
}

// subject draws a payment or a hold, often one of the last.
func (w *workload) subject(r *rand.Rand, from *[]subject) subject {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(*from) == 0 {
		return subject{"none", w.accounts[0]}
	}
	last := min(len(*from), 1+r.IntN(20))
	return (*from)[len(*from)-last]
}

// check audits the log at rest and compares it with what the clients were told and with each node's state.
func (w *workload) check(t *testing.T, brokers []string, nodes ...*node) {
	t.Helper()
	report := soundLog(t, brokers)
	testenv.Eventually(t, func() error {
		for id, h := range report.Holds {
			if h.Status == "ACTIVE" { // All of them expire within seconds.
				report = soundLog(t, brokers)
				return fmt.Errorf("hold %s is active", id)
			}
		}
		return nil
	})
	for _, problem := range report.Compare(w.answers) {
		t.Error(problem)
	}
	for _, n := range nodes {
		for id, want := range report.Accounts {
			testenv.Eventually(t, func() error {
				state, err := n.engine.Account(id)
				if err != nil || state.Version != want.Version || !state.Balance.Equal(want.Balance) {
					return fmt.Errorf("%s: the state has version %d balance %s (%v), the log %d and %s",
						id, state.Version, state.Balance, err, want.Version, want.Balance)
				}
				return nil
			})
		}
	}
	reversed := 0
	for _, tx := range report.Transactions {
		if tx.Reversal != nil {
			reversed++
		}
	}
	t.Logf("%d events, %d transactions (%d reversed), %d repeats, answers %v",
		report.Events, len(report.Transactions), reversed, report.Repeats, w.counts)
}

// accidents makes about one call in rarity go wrong, while it is on.
func accidents(seed uint64, rarity int) (*faultyLog, *atomic.Bool) {
	var on atomic.Bool
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 1<<40))
	draw := func(rarity int, from ...fault) fault {
		mu.Lock()
		defer mu.Unlock()
		if !on.Load() || r.IntN(rarity) > 0 {
			return none
		}
		return from[r.IntN(len(from))]
	}
	return &faultyLog{
		onAppend: func(int32, int, []eventstore.Message) fault { return draw(rarity, before, after, hangUp, afterRenewal) },
		onRule:   func(int32) fault { return draw(4, before, after) },
		onSend:   func(string, int32) fault { return draw(rarity, before, after) },
		onRead: func(string, int32, int64) error {
			if draw(rarity, before) != none {
				return errInjected
			}
			return nil
		},
	}, &on
}

func TestEveryPromiseHoldsUnderAccidents(t *testing.T) {
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		var n *node
		w := newWorkload(t, func(*rand.Rand) *node { return n })
		f, on := accidents(w.seed, 60)
		dir := t.TempDir()
		n = startNode(t, brokers, dir, all, faulty(f))
		w.open(n)
		on.Store(true)
		w.runWatched(t, brokers, 24, 80)
		on.Store(false)
		w.check(t, brokers, n)
		n.stop()

		n = startNode(t, brokers, dir, all)
		w.check(t, brokers, n)
	})
}

func TestEveryPromiseHoldsWhileNodesTakePartitionsFromEachOther(t *testing.T) {
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		var nodes []*node
		w := newWorkload(t, func(r *rand.Rand) *node { return nodes[r.IntN(len(nodes))] })
		var switches []*atomic.Bool
		for i := range 2 {
			f, on := accidents(w.seed+uint64(i), 200)
			switches = append(switches, on)
			nodes = append(nodes, startNode(t, brokers, t.TempDir(), nil, faulty(f), with(func(c *engine.Config) {
				c.CommandTimeout, c.SettleGrace = 2*time.Second, 2*time.Second
				c.SettleWait = 100 * time.Millisecond
			})))
		}
		nodes[0].engine.Assign(all)
		nodes[0].awaitOwned(len(all))
		w.open(nodes[0])
		for _, on := range switches {
			on.Store(true)
		}
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			w.swap(nodes, stop)
		}()
		w.runWatched(t, brokers, 24, 40)
		close(stop)
		<-stopped
		for _, on := range switches {
			on.Store(false)
		}
		nodes[0].engine.Assign([]int32{0, 1})
		nodes[1].engine.Assign([]int32{2})
		w.check(t, brokers, nodes...)
	})
}

// swap hands partitions out at random, now and then to both nodes or to none, until stop.
func (w *workload) swap(nodes []*node, stop <-chan struct{}) {
	r := rand.New(rand.NewPCG(w.seed, 1<<41))
	for {
		assigned := make([][]int32, len(nodes))
		for p := range int32(partitions) {
			for i := range nodes {
				if r.IntN(2) == 0 {
					assigned[i] = append(assigned[i], p)
				}
			}
		}
		for i, n := range nodes {
			n.engine.Assign(assigned[i])
		}
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(20+r.IntN(400)) * time.Millisecond):
		}
	}
}
