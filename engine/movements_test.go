package engine_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/internal/testenv"
)

func withdraw(id, amount, key string) *ledger.Withdraw {
	return &ledger.Withdraw{Meta: ledger.Meta{IdempotencyKey: key}, AccountID: id, Amount: eur(amount), Currency: "EUR", External: "bank"}
}

func pay(from, to, amount, key string) *ledger.Pay {
	return &ledger.Pay{Transfer: *transfer(from, to, amount, key)}
}

// open is an amount that may be left out.
func open(amount string) decimal.NullDecimal {
	if amount == "" {
		return decimal.NullDecimal{}
	}
	return decimal.NewNullDecimal(eur(amount))
}

func refund(payment, amount, key string) *ledger.Refund {
	return &ledger.Refund{Meta: ledger.Meta{IdempotencyKey: key}, PaymentID: payment, Amount: open(amount)}
}

func hold(from, to, amount, key string) *ledger.AuthorizeHold {
	return &ledger.AuthorizeHold{Meta: ledger.Meta{IdempotencyKey: key}, AccountID: from, ToID: to, Amount: eur(amount), Currency: "EUR"}
}

func capture(id, amount, key string) *ledger.CaptureHold {
	return &ledger.CaptureHold{Meta: ledger.Meta{IdempotencyKey: key}, HoldID: id, Amount: open(amount)}
}

func void(id, key string) *ledger.VoidHold {
	return &ledger.VoidHold{Meta: ledger.Meta{IdempotencyKey: key}, HoldID: id}
}

func shown(h *account.Hold) string { return fmt.Sprintf("%+v", *h) }

func (n *node) mustRefuse(c ledger.Command, code domain.Code, field string) {
	n.t.Helper()
	_, err := n.execute(c)
	var r *domain.Refusal
	if !errors.As(err, &r) || r.Code != code || r.Field != field {
		n.t.Fatalf("%T was answered %v, want %s about %q", c, err, code, field)
	}
}

// mustHave compares what an account has and what of it is held.
func (n *node) mustHave(id, balance, held string) {
	n.t.Helper()
	state, err := n.engine.Account(id)
	if err != nil || state.Balance.StringFixed(2) != balance || state.Held.StringFixed(2) != held {
		n.t.Fatalf("%s has %s, of which %s held (%v), want %s and %s", id, state.Balance, state.Held, err, balance, held)
	}
}

// eachRelation runs a test with a payee in the payer's partition and in another.
func eachRelation(t *testing.T, run func(t *testing.T, n *node, payer, payee string)) {
	for name, p := range map[string]int32{"within a partition": 0, "across partitions": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			brokers := testenv.Embedded(t)
			n := startNode(t, brokers, t.TempDir(), all)
			payer, payee := inPartition(0, "payer"), inPartition(p, "payee")
			n.create(payer)
			n.create(payee)
			n.topUp(payer, "100.00", "k")
			run(t, n, payer, payee)
			soundLog(t, brokers)
		})
	}
}

func TestAWithdrawalPaysOutWhatIsThere(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	n := startNode(t, brokers, t.TempDir(), all)
	n.create("alice")
	n.topUp("alice", "10.00", "k")
	r := n.must(withdraw("alice", "4.00", "w"))
	if tx := r.Transaction; tx.Type != account.Withdrawal || tx.Status != transaction.Completed || tx.To != "external:bank:EUR" || tx.From != "alice" {
		t.Fatalf("transaction %+v", tx)
	}
	n.mustHave("alice", "6.00", "0.00")
	n.mustRefuse(withdraw("alice", "6.01", "w2"), domain.InsufficientBalance, "amount")
	soundLog(t, brokers)
}

func TestRefundsNeverExceedThePayment(t *testing.T) {
	t.Parallel()
	eachRelation(t, func(t *testing.T, n *node, payer, payee string) {
		payment := n.must(pay(payer, payee, "30.00", "p")).Transaction
		if payment.Type != account.Payment || payment.Status != transaction.Completed {
			t.Fatalf("payment %+v", payment)
		}
		r := n.must(refund(payment.ID, "10.00", "r1"))
		if tx := r.Transaction; tx.Status != transaction.Completed || tx.From != payee || tx.To != payer || tx.RefundOf != payment.ID || r.Account.ID != payee {
			t.Fatalf("refund %+v of account %s", tx, r.Account.ID)
		}
		n.mustRefuse(refund(payment.ID, "20.01", "r2"), domain.RefundExceedsPayment, "amount")
		r = n.must(refund(payment.ID, "", "r3"))
		if r.Transaction.Amount.StringFixed(2) != "20.00" {
			t.Fatalf("the rest refunded is %s", r.Transaction.Amount)
		}
		n.mustRefuse(refund(payment.ID, "", "r4"), domain.RefundExceedsPayment, "amount")
		n.mustRefuse(refund(r.Transaction.ID, "1.00", "r5"), domain.TransactionNotFound, "paymentId")
		n.mustHave(payer, "100.00", "0.00")
		again := n.must(refund(payment.ID, "", "r3"))
		if again.Transaction.ID != r.Transaction.ID || !again.Transaction.Amount.Equal(r.Transaction.Amount) || again.Account.Version != r.Account.Version {
			t.Fatalf("answered %+v, then %+v", r.Transaction, again.Transaction)
		}
	})
}

func TestARefundThatThePayerCannotTakeEndsWithTheMoneyAtThePayee(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	n := startNode(t, brokers, t.TempDir(), all)
	payer, payee := inPartition(0, "payer"), inPartition(1, "payee")
	n.create(payer)
	n.create(payee)
	n.topUp(payer, "50.00", "k")
	payment := n.must(pay(payer, payee, "50.00", "p")).Transaction
	var full account.Limits
	full.Max = decimal.NewNullDecimal(eur("5.00"))
	n.must(&ledger.ChangeLimits{Meta: ledger.Meta{IdempotencyKey: "l"}, AccountID: payer, Limits: full, Reason: "full"})

	c := refund(payment.ID, "", "r")
	n.must(c)
	testenv.Eventually(t, func() error {
		r := n.must(c)
		if r.Transaction.Status != transaction.Compensated || r.Transaction.FailureCode != domain.BalanceLimitExceeded {
			return fmt.Errorf("status %s, %s", r.Transaction.Status, r.Transaction.FailureCode)
		}
		return nil
	})
	n.mustHave(payee, "50.00", "0.00")
	n.must(refund(payment.ID, "5.00", "r2")) // What came back can be refunded again.
	n.must(withdraw(payer, "5.00", "w"))
	n.must(&ledger.ChangeStatus{Meta: ledger.Meta{IdempotencyKey: "s"}, AccountID: payer, Status: account.Closed, Reason: "closed"})
	n.mustRefuse(refund(payment.ID, "", "r3"), domain.AccountClosed, "paymentId")
	soundLog(t, brokers)
}

func TestAHoldIsCapturedInPartsUpToItsAmount(t *testing.T) {
	t.Parallel()
	eachRelation(t, func(t *testing.T, n *node, payer, payee string) {
		r := n.must(hold(payer, payee, "60.00", "h"))
		id := r.Hold.ID
		if r.Hold.Status != account.HoldActive || r.Transaction != nil || r.Account.Available().StringFixed(2) != "40.00" {
			t.Fatalf("hold %+v, account %+v", r.Hold, r.Account)
		}
		n.mustRefuse(transfer(payer, payee, "40.01", "t"), domain.InsufficientBalance, "amount")
		first := n.must(capture(id, "20.00", "c1"))
		if tx := first.Transaction; tx.Type != account.Payment || tx.HoldID != id || tx.Status != transaction.Completed {
			t.Fatalf("capture %+v", tx)
		}
		n.mustRefuse(capture(id, "40.01", "c2"), domain.CaptureExceedsHold, "amount")
		n.mustHave(payer, "80.00", "40.00")
		last := capture(id, "30.00", "c3")
		last.Final = true
		r = n.must(last)
		if r.Hold.Status != account.HoldCaptured || r.Hold.Released.StringFixed(2) != "10.00" || !r.Account.Held.IsZero() {
			t.Fatalf("hold %+v, account %+v", r.Hold, r.Account)
		}
		again := n.must(last)
		if again.Account.Version != r.Account.Version || again.Transaction.ID != r.Transaction.ID || !again.Transaction.Amount.Equal(eur("30.00")) ||
			shown(again.Hold) != shown(r.Hold) {
			t.Fatalf("answered %+v, then %+v", r, again)
		}
		n.mustRefuse(capture(id, "1.00", "c4"), domain.HoldNotActive, "holdId")
		n.mustRefuse(void(id, "v"), domain.HoldNotActive, "holdId")
		n.mustHave(payer, "50.00", "0.00")
		n.mustHave(payee, "50.00", "0.00")
		n.must(refund(first.Transaction.ID, "20.00", "r")) // A capture is a payment.
	})
}

func TestAVoidedHoldGivesAllBack(t *testing.T) {
	t.Parallel()
	eachRelation(t, func(t *testing.T, n *node, payer, payee string) {
		id := n.must(hold(payer, payee, "60.00", "h")).Hold.ID
		n.mustRefuse(&ledger.ChangeStatus{Meta: ledger.Meta{IdempotencyKey: "s"}, AccountID: payer, Status: account.Closed, Reason: "x"},
			domain.AccountNotEmpty, "status")
		r := n.must(void(id, "v"))
		if r.Hold.Status != account.HoldVoided || r.Account.Available().StringFixed(2) != "100.00" {
			t.Fatalf("hold %+v, account %+v", r.Hold, r.Account)
		}
		n.mustRefuse(capture(id, "", "c"), domain.HoldNotActive, "holdId")
		n.mustRefuse(capture("00000000-0000-4000-8000-000000000000", "", "c"), domain.HoldNotFound, "holdId")
	})
}

func TestAHoldExpiresWithoutAnyoneAsking(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	var ahead atomic.Int64
	clock := with(func(c *engine.Config) {
		c.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	dir := t.TempDir()
	n := startNode(t, brokers, dir, all, clock)
	n.create("alice")
	n.create("shop")
	n.topUp("alice", "100.00", "k")
	soon, late := hold("alice", "shop", "10.00", "h1"), hold("alice", "shop", "20.00", "h2")
	soon.ExpiresAt = time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	expiring := n.must(soon).Hold.ID
	n.must(late)
	n.stop()

	ahead.Store(int64(time.Hour + time.Second)) // A node that was away for the moment itself.
	n = startNode(t, brokers, dir, all, clock)
	testenv.Eventually(t, func() error {
		state, err := n.engine.Account("alice")
		if err != nil || state.Held.StringFixed(2) != "20.00" {
			return fmt.Errorf("%s are held, %v", state.Held, err)
		}
		return nil
	})
	n.mustRefuse(capture(expiring, "", "c"), domain.HoldExpired, "holdId")
	for id, h := range soundLog(t, brokers).Holds {
		if (h.Status == "EXPIRED") != (id == expiring) {
			t.Errorf("hold %+v", h)
		}
	}
}

func TestAHoldExpiresHoweverBusyItsPartitionIs(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	n := startNode(t, brokers, t.TempDir(), all)
	payer, busy := inPartition(0, "payer"), inPartition(0, "busy")
	n.create(payer)
	n.create(busy)
	n.topUp(payer, "10.00", "k")
	var stopped atomic.Bool
	var wg sync.WaitGroup
	for c := range 256 {
		wg.Go(func() {
			for i := 0; !stopped.Load(); i++ {
				if _, err := n.execute(topUp(busy, "1.00", fmt.Sprintf("%d-%d", c, i))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	short := hold(payer, busy, "10.00", "h")
	short.ExpiresAt = time.Now().Add(3 * time.Second).UTC().Truncate(time.Millisecond)
	n.must(short)
	testenv.Eventually(t, func() error {
		state, err := n.engine.Account(payer)
		if err != nil || !state.Held.IsZero() {
			return fmt.Errorf("%s are held, %v", state.Held, err)
		}
		return nil
	})
	stopped.Store(true)
	wg.Wait()
	released := 0
	for _, e := range n.recorded() {
		if _, ok := e.Data.(*account.HoldReleased); ok {
			released++
		}
	}
	if released != 1 {
		t.Errorf("the hold was released %d times", released)
	}
	soundLog(t, brokers)
}

func TestWhatIsRefundableAndHeldSurvivesTheLossOfLocalState(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	n := startNode(t, brokers, t.TempDir(), all)
	payer, payee := inPartition(0, "payer"), inPartition(1, "payee")
	n.create(payer)
	n.create(payee)
	n.topUp(payer, "100.00", "k")
	payment := n.must(pay(payer, payee, "30.00", "p")).Transaction.ID
	n.must(refund(payment, "10.00", "r1"))
	id := n.must(hold(payer, payee, "50.00", "h")).Hold.ID
	before := n.must(capture(id, "20.00", "c"))
	n.stop()

	n = startNode(t, brokers, t.TempDir(), all)
	n.mustRefuse(refund(payment, "20.01", "r2"), domain.RefundExceedsPayment, "amount")
	n.mustRefuse(capture(id, "30.01", "c2"), domain.CaptureExceedsHold, "amount")
	again := n.must(capture(id, "20.00", "c"))
	if again.Transaction.ID != before.Transaction.ID || shown(again.Hold) != shown(before.Hold) || again.Account.Version != before.Account.Version {
		t.Fatalf("answered %+v, then %+v", before, again)
	}
	soundLog(t, brokers)
}

// raced sends the same kind of command from many clients at once and returns how many were carried out.
func raced(n *node, clients int, command func(client int) ledger.Command, refused ...domain.Code) int {
	var done atomic.Int64
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			_, err := n.execute(command(c))
			if err == nil {
				done.Add(1)
				return
			}
			for _, code := range refused {
				if domain.CodeOf(err) == code {
					return
				}
			}
			n.t.Errorf("client %d: %v", c, err)
		})
	}
	wg.Wait()
	return int(done.Load())
}

func TestRefundsCapturesAndClosuresRacedByManyNeverPassACapOrLimit(t *testing.T) {
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		const clients = 64
		n := startNode(t, brokers, t.TempDir(), all)
		payer, payee := inPartition(0, "payer"), inPartition(1, "payee")
		n.create(payer)
		n.create(payee)
		n.topUp(payer, "100.00", "k")
		payment := n.must(pay(payer, payee, "40.00", "p")).Transaction.ID
		id := n.must(hold(payer, payee, "30.00", "h")).Hold.ID
		key := func(what string, c int) string { return fmt.Sprintf("%s-%d", what, c) }

		var wg sync.WaitGroup
		var refunds, captures, closures int
		wg.Go(func() {
			refunds = raced(n, clients, func(c int) ledger.Command { return refund(payment, "3.00", key("r", c)) }, domain.RefundExceedsPayment)
		})
		wg.Go(func() {
			captures = raced(n, clients, func(c int) ledger.Command { return capture(id, "4.00", key("c", c)) }, domain.CaptureExceedsHold)
		})
		wg.Go(func() {
			closures = raced(n, clients, func(c int) ledger.Command {
				return &ledger.ChangeStatus{Meta: ledger.Meta{IdempotencyKey: key("s", c)}, AccountID: payer, Status: account.Closed, Reason: "x"}
			}, domain.AccountNotEmpty)
		})
		wg.Wait()
		if refunds != 13 || captures != 7 || closures != 0 { // 13 times 3 of 40, 7 times 4 of 30.
			t.Errorf("%d refunds, %d captures, %d closures; want 13, 7 and none", refunds, captures, closures)
		}
		report := soundLog(t, brokers)
		if got := report.Accounts[payer].Balance.StringFixed(2); got != "71.00" { // 100 - 40 + 39 - 28
			t.Errorf("the payer has %s, want 71.00", got)
		}
	})
}
