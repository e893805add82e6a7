package test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/internal/audit"
)

const (
	raceClients  = 64
	raceAccounts = 9
	raceTime     = 2500 * time.Millisecond
	// raceOver is how many of the last payments, holds and short-lived accounts all clients are after.
	raceOver = 3
)

// race is a load in which everybody is after the same few things: refunds of the last payments, captures and voids of
// the last holds while they expire, limits, and the closing of accounts that money is on its way to and from.
type race struct {
	*load
	// short are accounts that are opened only to be closed.
	short []string
}

func TestARaceForRefundsCapturesAndClosuresPassesNoBound(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		n := startNode(t, b)
		r := &race{load: newLoad(t, func() string { return n.url }, raceAccounts)}
		r.choose, r.recent = r.next, raceOver
		r.open()
		r.start(raceClients)
		time.Sleep(raceTime) // How long the race goes on.
		r.stop()
		r.accounts = append(r.accounts, r.opened()...)
		report := r.prove(n, nil)
		r.mustAddUp(report)
		r.mustBeDone(n)
		r.mustHaveRaced(report)
		n.mustVerify()
	})
}

// next chooses an operation.
func (r *race) next(random *rand.Rand, key string) *operation {
	pick := func() string { return r.load.accounts[random.IntN(raceAccounts)] }
	o := &operation{key: key, account: pick(), input: map[string]any{"idempotencyKey": key}}
	amount := fmt.Sprintf("%d.%02d", random.IntN(6), 1+random.IntN(99))
	move := func(document, from, to string) *operation {
		o.document, o.account = document, from
		switch {
		case to == "":
			o.input["accountId"] = from
		case document == holdMutation:
			o.input["accountId"], o.input["toAccountId"] = from, to
		default:
			o.input["fromAccountId"], o.input["toAccountId"] = from, to
		}
		o.input["amount"], o.input["currency"] = amount, "EUR"
		return o
	}
	other := pick()
	for other == o.account {
		other = pick()
	}
	switch x := random.IntN(100); {
	case x < 12:
		amount = "9.00"
		return move(topUpMutation, o.account, "")
	case x < 24:
		return move(payMutation, o.account, other)
	case x < 44:
		return r.about(random, o, refundMutation, "paymentId", &r.payments, amount)
	case x < 54:
		expires := time.Now().Add(10*time.Millisecond + time.Duration(random.Int64N(int64(longestHold)/4)))
		o.input["expiresAt"] = expires.Format(time.RFC3339Nano)
		return move(holdMutation, o.account, other)
	case x < 74:
		o.input["final"] = random.IntN(8) == 0
		return r.about(random, o, captureMutation, "holdId", &r.holds, amount)
	case x < 77:
		return r.about(random, o, voidMutation, "holdId", &r.holds, "")
	case x < 80:
		return r.opening(o)
	case x < 85:
		return move([...]string{payMutation, transferMutation}[random.IntN(2)], o.account, r.shortLived(random, other))
	case x < 90:
		return move(payMutation, r.shortLived(random, o.account), other)
	case x < 94:
		o.document, o.account = statusMutation, r.shortLived(random, o.account)
		o.input["accountId"], o.input["status"], o.input["reason"] = o.account, "CLOSED", "no longer needed"
		return o
	}
	o.document, o.input["accountId"], o.input["reason"] = limitsMutation, o.account, "a race"
	o.input["limits"] = map[string]any{"minBalance": fmt.Sprint(random.IntN(25) - 20), "maxBalance": fmt.Sprint(10 + random.IntN(90))}
	return o
}

// opening opens a short-lived account.
func (r *race) opening(o *operation) *operation {
	o.document, o.account, o.key = createMutation, "short-"+o.key, "create"
	o.input = map[string]any{"id": o.account, "ownerId": "owner", "currency": "EUR", "idempotencyKey": "create"}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.short = append(r.short, o.account)
	return o
}

// shortLived is one of the last such accounts, which may not even be open yet.
func (r *race) shortLived(random *rand.Rand, otherwise string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.short); n > 0 {
		return r.short[n-min(n, 1+random.IntN(raceOver))]
	}
	return otherwise
}

// opened are the short-lived accounts that clients were told are open.
func (r *race) opened() []string {
	var all []string
	for _, o := range r.operations {
		if o.document == createMutation && o.acknowledged() {
			all = append(all, o.account)
		}
	}
	return all
}

// mustAddUp adds up what clients were told: of no payment and no hold more than it was, on the accounts what came in
// less what went out.
func (r *race) mustAddUp(report *audit.Report) {
	r.t.Helper()
	of := func(o *operation) decimal.Decimal { return decimal.RequireFromString(o.answer.Transaction.Amount) }
	payments, holds := map[string]decimal.Decimal{}, map[string]decimal.Decimal{}
	refunds, captures := map[string]decimal.Decimal{}, map[string]decimal.Decimal{}
	outside := decimal.Zero
	for _, o := range r.operations {
		if !o.acknowledged() {
			continue
		}
		switch o.document {
		case topUpMutation:
			outside = outside.Add(of(o))
		case payMutation:
			payments[o.answer.Transaction.ID] = of(o)
		case refundMutation:
			if id := o.input["paymentId"].(string); report.Transactions[o.answer.Transaction.ID].Reversal == nil {
				refunds[id] = refunds[id].Add(of(o))
			}
		case holdMutation:
			holds[o.answer.Hold.ID] = decimal.RequireFromString(o.input["amount"].(string))
		case captureMutation:
			id := o.input["holdId"].(string)
			captures[id] = captures[id].Add(of(o))
		}
	}
	for id, sum := range refunds {
		if sum.GreaterThan(payments[id]) {
			r.t.Errorf("of the payment %s of %s, %s were refunded", id, payments[id], sum)
		}
	}
	for id, sum := range captures {
		if h := report.Holds[id]; sum.GreaterThan(holds[id]) || !h.Captured.Equal(sum) {
			r.t.Errorf("of the hold %s of %s, %s were captured, the log has %s", id, holds[id], sum, h.Captured)
		}
	}
	a, all := newAPI(r.url()), decimal.Zero
	for _, id := range r.accounts {
		got, err := a.account(id, report.Accounts[id].Version)
		if err != nil {
			r.t.Fatal(err)
		}
		balance := decimal.RequireFromString(got.Balance)
		if all = all.Add(balance); got.Status == "CLOSED" && !balance.IsZero() && !cameBack(report, id) {
			r.t.Errorf("the closed account %s has %s", id, balance)
		}
	}
	if !all.Equal(outside) {
		r.t.Errorf("%s came in, the accounts have %s", outside, all)
	}
}

// cameBack tells whether a refused movement came back to the account: it can have been on its way when it was closed.
func cameBack(report *audit.Report, id string) bool {
	for _, tx := range report.Transactions {
		if tx.Reversal != nil && tx.Reversal.AccountID == id {
			return true
		}
	}
	return false
}

// mustBeDone asks the API for transactions that have not come to their end.
func (r *race) mustBeDone(n *node) {
	r.t.Helper()
	for _, status := range []string{"PENDING", "FAILED"} {
		var data struct {
			Transactions struct {
				Edges []struct{ Node transactionAnswer }
			}
		}
		query := `query($status: TransactionStatus) { transactions(first: 100, filter: { status: $status }) { edges { node { id status } } } }`
		err := newAPI(n.url).query(query, map[string]any{"status": status}, &data)
		if err != nil || len(data.Transactions.Edges) > 0 {
			r.t.Errorf("%d transactions are %s at rest: %+v, %v", len(data.Transactions.Edges), status, data, err)
		}
	}
}

// mustHaveRaced fails the test when a bound was never run into.
func (r *race) mustHaveRaced(report *audit.Report) {
	r.t.Helper()
	met := map[string]int{}
	for _, code := range []string{
		"REFUND_EXCEEDS_PAYMENT", "CAPTURE_EXCEEDS_HOLD", "HOLD_EXPIRED", "HOLD_NOT_ACTIVE", "ACCOUNT_CLOSED", "ACCOUNT_NOT_EMPTY",
		"INSUFFICIENT_BALANCE", "BALANCE_LIMIT_EXCEEDED",
	} {
		met[code] = 0
	}
	for _, what := range []string{"refunds", "captures", "closed", "limits changed", "sent back"} {
		met[what] = 0
	}
	for _, o := range r.operations {
		switch {
		case o.err == nil && len(o.answer.UserErrors) > 0:
			met[o.answer.UserErrors[0].Code]++
		case !o.acknowledged():
		case o.document == refundMutation:
			met["refunds"]++
		case o.document == captureMutation:
			met["captures"]++
		case o.document == statusMutation:
			met["closed"]++
		case o.document == limitsMutation:
			met["limits changed"]++
		}
	}
	for _, tx := range report.Transactions {
		if tx.Reversal != nil {
			met["sent back"]++
		}
	}
	r.t.Logf("%d operations: %v", len(r.operations), met)
	for what, times := range met {
		if times == 0 {
			r.t.Errorf("nobody ran into %s", what)
		}
	}
}
