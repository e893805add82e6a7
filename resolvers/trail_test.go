package resolvers_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/internal/ids"
	"daybook/internal/testenv"
	"daybook/projector"
	"daybook/resolvers"
)

const (
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	traceparent = "00-" + traceID + "-00f067aa0ba902b7-01"
)

// settled waits until the read model knows a transaction as completed, and returns what it tells of it.
func (a *api) settled(id any, selection string) answer {
	a.t.Helper()
	var out answer
	testenv.Eventually(a.t, func() error {
		out = a.get(fmt.Sprintf(`{ transaction(id: %q) { status %s } }`, id, selection))
		if out.at("transaction.status") != "COMPLETED" {
			return fmt.Errorf("the transaction is %v", out.Data)
		}
		return nil
	})
	return out
}

func TestWhoAndWhyCanBeFollowedFromTheRequestToEverythingItCaused(t *testing.T) {
	a := funded(t)
	const pay = `mutation { pay(input: {fromAccountId: "ann", toAccountId: "bob", amount: "10.00", currency: "EUR", reason: "shoes", idempotencyKey: %q}) {
		transaction { id actorId correlationId trail { type } } userErrors { code } } }`
	out := a.askWith(fmt.Sprintf(pay, "p1"), nil, "X-Actor-Id", "eve", "X-Actor-Type", "support", "X-Correlation-Id", "req-1", "Traceparent", traceparent)
	id := out.at("pay.transaction.id")
	if id == nil {
		t.Fatalf("got %+v", out)
	}
	// The mutation's own answer tells it too, and does not wait for the other side to do so.
	expect(t, out, map[string]any{
		"pay.transaction.actorId": "eve", "pay.transaction.correlationId": "req-1", "pay.transaction.trail.0.type": "BalanceChanged",
	})
	tx := a.settled(id, `actorId actorType correlationId causationId trail { eventId accountId type version partition offset actorId actorType correlationId
		causationId reason transactionId transactionType counterpartyId amount changeType reversal balance currency }`)
	expect(t, tx, map[string]any{"transaction.actorId": "eve", "transaction.actorType": "support", "transaction.correlationId": "req-1"})
	trail := tx.at("transaction.trail").([]any)
	if len(trail) != 2 {
		t.Fatalf("the trail is %v", trail)
	}
	for i, of := range []map[string]any{
		{"accountId": "ann", "changeType": "DEBIT", "counterpartyId": "bob", "balance": "90.00", "version": 3},
		{"accountId": "bob", "changeType": "CREDIT", "counterpartyId": "ann", "balance": "10.00", "version": 2},
	} {
		for field, value := range map[string]any{
			"type": "BalanceChanged", "transactionId": id, "transactionType": "PAYMENT", "amount": "10.00", "currency": "EUR", "reason": "shoes",
			"correlationId": "req-1", "actorId": "eve", "actorType": "support", "reversal": false,
		} {
			of[field] = value
		}
		for field, value := range of {
			expect(t, tx, map[string]any{fmt.Sprintf("transaction.trail.%d.%s", i, field): value})
		}
	}
	if tx.at("transaction.causationId") != tx.at("transaction.trail.0.eventId") {
		t.Errorf("the transaction's cause is not the first event of its trail: %v", tx.Data)
	}

	// The event leads to the account's trail, the correlation to the transaction.
	events := a.get(`{ account(id: "bob", atLeastVersion: 2) { events { edges { node { eventId type transactionId correlationId } } } } }`)
	expect(t, events, map[string]any{
		"account.events.edges.0.node.type": "AccountCreated", "account.events.edges.1.node.eventId": tx.at("transaction.trail.1.eventId"),
		"account.events.edges.1.node.transactionId": id, "account.events.edges.1.node.correlationId": "req-1",
	})
	expect(t, a.get(`{ transactions(filter: {correlationId: "req-1"}) { edges { node { id actorId } } } }`),
		map[string]any{"transactions.edges.0.node.id": id, "transactions.edges.0.node.actorId": "eve", "transactions.edges.1": nil})

	// Without a correlation id the trace gives it.
	traced := a.askWith(fmt.Sprintf(pay, "p2"), nil, "Traceparent", traceparent)
	expect(t, a.settled(traced.at("pay.transaction.id"), "correlationId actorId"),
		map[string]any{"transaction.correlationId": traceID, "transaction.actorId": nil})
}

func TestTheAuditTrailTellsWhatEveryEventSays(t *testing.T) {
	a := funded(t)
	expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond).Format("2006-01-02T15:04:05.000Z")
	hold := a.done("authorizeHold", `accountId: "ann", toAccountId: "bob", amount: "20.00", currency: "EUR", reason: "hotel", expiresAt: "`+expiry+`", idempotencyKey: "h"`).at("hold.id")
	capture := a.done("captureHold", fmt.Sprintf(`holdId: %q, amount: "15.00", final: true, reason: "night", idempotencyKey: "c"`, hold)).at("transaction.id")
	a.done("changeAccountStatus", `accountId: "ann", status: SUSPENDED, reason: "risk", idempotencyKey: "s"`)
	a.done("changeAccountLimits", `accountId: "ann", limits: {minBalance: "-5", maxBalance: "500"}, reason: "trust", idempotencyKey: "l"`)

	var types []string
	after := ""
	all := map[string]any{}
	for {
		page := a.get(`{ account(id: "ann", atLeastVersion: 7) { events(first: 3` + after + `) { pageInfo { hasNextPage endCursor } edges { cursor node {
			type version reason transactionId holdId counterpartyId amount balance currency holdStatus expiresAt previousStatus newStatus
			previousLimits { minBalance maxBalance } newLimits { minBalance maxBalance } } } } } }`)
		for _, edge := range page.at("account.events.edges").([]any) {
			node := edge.(map[string]any)["node"].(map[string]any)
			types = append(types, fmt.Sprint(node["type"], node["version"]))
			all[fmt.Sprint("v", node["version"])] = node
		}
		if page.at("account.events.pageInfo.hasNextPage") != true {
			break
		}
		after = fmt.Sprintf(`, after: %q`, page.at("account.events.pageInfo.endCursor"))
	}
	const want = "AccountCreated1 BalanceChanged2 HoldPlaced3 BalanceChanged4 HoldReleased5 AccountStatusChanged6 AccountLimitsChanged7"
	if got := strings.Join(types, " "); got != want {
		t.Fatalf("the trail is %s, want %s", got, want)
	}
	expect(t, answer{Data: all}, map[string]any{
		"v1.newStatus": "ACTIVE", "v1.newLimits.minBalance": "0.00", "v1.newLimits.maxBalance": nil, "v1.balance": "0.00",
		"v3.holdId": hold, "v3.amount": "20.00", "v3.counterpartyId": "bob", "v3.expiresAt": expiry, "v3.reason": "hotel", "v3.balance": "100.00",
		"v4.holdId": hold, "v4.transactionId": capture, "v4.reason": "night", "v4.balance": "85.00",
		"v5.holdId": hold, "v5.transactionId": capture, "v5.amount": "5.00", "v5.holdStatus": "CAPTURED",
		"v6.previousStatus": "ACTIVE", "v6.newStatus": "SUSPENDED", "v6.reason": "risk", "v6.amount": nil, "v6.transactionId": nil,
		"v7.previousLimits.minBalance": "0.00", "v7.newLimits.minBalance": "-5.00", "v7.newLimits.maxBalance": "500.00", "v7.balance": "85.00",
	})
}

func TestHoldsComeInPagesByStatus(t *testing.T) {
	a := funded(t)
	var placed []string
	for i := range 3 {
		out := a.done("authorizeHold", fmt.Sprintf(`accountId: "ann", toAccountId: "bob", amount: "1.00", currency: "EUR", idempotencyKey: "h%d"`, i))
		placed = append(placed, out.at("hold.id").(string))
	}
	out := a.done("voidHold", fmt.Sprintf(`holdId: %q, idempotencyKey: "v"`, placed[1]))
	page := func(arguments string) answer {
		return a.get(fmt.Sprintf(`{ account(id: "ann", atLeastVersion: %v) { held holds(%s) { edges { node { id status } } pageInfo { hasNextPage endCursor } } } }`,
			out.at("account.version"), arguments))
	}
	begin := page(`status: ACTIVE, first: 1`)
	expect(t, begin, map[string]any{"account.held": "2.00", "account.holds.edges.0.node.id": placed[2], "account.holds.pageInfo.hasNextPage": true})
	expect(t, page(fmt.Sprintf(`status: ACTIVE, first: 1, after: %q`, begin.at("account.holds.pageInfo.endCursor"))),
		map[string]any{"account.holds.edges.0.node.id": placed[0], "account.holds.pageInfo.hasNextPage": false})
	expect(t, page(`status: VOIDED`), map[string]any{"account.holds.edges.0.node.id": placed[1], "account.holds.edges.1": nil})
	expect(t, page(`first: 3`), map[string]any{"account.holds.edges.2.node.id": placed[0]})
}

// pause returns a moment that lies after all that was recorded and before all that will be.
func (a *api) pause() string {
	a.t.Helper()
	at := time.Now().UTC().Add(2 * time.Millisecond).Truncate(time.Millisecond)
	testenv.Eventually(a.t, func() error {
		if !time.Now().After(at) {
			return fmt.Errorf("the moment has not come")
		}
		return nil
	})
	return at.Format(time.RFC3339Nano)
}

func TestTransactionsComeInPagesAndFiltered(t *testing.T) {
	a := funded(t)
	var ids []string
	for i := range 3 {
		ids = append(ids, a.done("transfer", fmt.Sprintf(`fromAccountId: "ann", toAccountId: "bob", amount: "1.00", currency: "EUR", idempotencyKey: "t%d"`, i)).at("transaction.id").(string))
		a.settled(ids[i], "")
	}
	list := func(arguments string) answer {
		return a.get(`{ transactions(` + arguments + `) { edges { node { id type } } pageInfo { hasNextPage endCursor } } }`)
	}
	page := list(`first: 2, filter: {accountId: "bob"}`)
	expect(t, page, map[string]any{"transactions.edges.0.node.id": ids[2], "transactions.edges.1.node.id": ids[1], "transactions.pageInfo.hasNextPage": true})
	expect(t, list(fmt.Sprintf(`first: 2, after: %q, filter: {accountId: "bob"}`, page.at("transactions.pageInfo.endCursor"))),
		map[string]any{"transactions.edges.0.node.id": ids[0], "transactions.edges.1": nil, "transactions.pageInfo.hasNextPage": false})
	expect(t, list(`filter: {accountId: "ann", type: TOPUP, status: COMPLETED}`), map[string]any{"transactions.edges.0.node.type": "TOPUP", "transactions.edges.1": nil})
	expect(t, list(`filter: {status: FAILED}`), map[string]any{"transactions.edges": "[]"})

	bad := a.ask(fmt.Sprintf(`{ transactions(after: %q) { edges { cursor } } }`, page.at("transactions.pageInfo.endCursor")))
	if bad.code() != "BAD_USER_INPUT" || fmt.Sprint(bad.Errors[0].Extensions.Field) != "[after]" {
		t.Errorf("a cursor of another list: got %+v", bad)
	}
}

func TestTheBooksBalance(t *testing.T) {
	a := funded(t)
	before := a.pause()
	a.done("withdraw", `accountId: "ann", amount: "30.00", currency: "EUR", external: "bank", idempotencyKey: "w"`)
	a.get(`{ account(id: "ann", atLeastVersion: 3) { id } }`)
	const lines = `lines { currency account debit credit } totals { currency debit credit }`
	book := func(out answer) string {
		var all []string
		for _, line := range out.at("trialBalance.lines").([]any) {
			l := line.(map[string]any)
			all = append(all, fmt.Sprint(l["account"], " ", l["debit"], " ", l["credit"]))
		}
		return strings.Join(all, ", ")
	}
	now := a.get(`{ trialBalance { at ` + lines + ` } }`)
	if got := book(now); got != "accounts:USER 0.00 70.00, external:bank:EUR 0.00 30.00, external:default:EUR 100.00 0.00" || now.at("trialBalance.at") == nil {
		t.Errorf("the books stand at %s", got)
	}
	expect(t, now, map[string]any{"trialBalance.totals": "[map[credit:100.00 currency:EUR debit:100.00]]"})
	then := a.get(fmt.Sprintf(`{ trialBalance(at: %q) { at %s } }`, before, lines))
	if got := book(then); got != "accounts:USER 0.00 100.00, external:default:EUR 100.00 0.00" {
		t.Errorf("the books stood at %s", got)
	}
	expect(t, a.get(`{ trialBalance(at: "2020-01-01T00:00:00Z") { at lines { account } totals { debit } } }`),
		map[string]any{"trialBalance.at": "2020-01-01T00:00:00.000Z", "trialBalance.lines": "[]", "trialBalance.totals": "[]"})
}

func TestPushedChangesTellOfHoldsAndRefunds(t *testing.T) {
	a := funded(t)
	hold := a.done("authorizeHold", `accountId: "ann", toAccountId: "bob", amount: "20.00", currency: "EUR", idempotencyKey: "h"`).at("hold.id")
	paid := a.done("captureHold", fmt.Sprintf(`holdId: %q, idempotencyKey: "c"`, hold)).at("transaction.id")
	a.get(`{ account(id: "bob", atLeastVersion: 2) { id } }`)
	refunded := a.done("refund", fmt.Sprintf(`paymentId: %q, idempotencyKey: "r"`, paid)).at("transaction.id")
	eachTransport(t, func(t *testing.T, subscribe func(a *api, query string) subscription) {
		changes := subscribe(a, `subscription { balanceChanged(accountId: "bob", afterVersion: 1) { version transactionId transactionType counterpartyId holdId refundOf reversal } }`)
		expect(t, changes.mustNext(), map[string]any{
			"balanceChanged.transactionType": "PAYMENT", "balanceChanged.transactionId": paid, "balanceChanged.counterpartyId": "ann",
			"balanceChanged.holdId": hold, "balanceChanged.refundOf": nil, "balanceChanged.reversal": false,
		})
		expect(t, changes.mustNext(), map[string]any{"balanceChanged.transactionType": "REFUND", "balanceChanged.transactionId": refunded, "balanceChanged.refundOf": paid, "balanceChanged.holdId": nil})
		tx := subscribe(a, fmt.Sprintf(`subscription { transactionUpdated(id: %q) { type refundOf } }`, refunded))
		expect(t, tx.mustNext(), map[string]any{"transactionUpdated.type": "REFUND", "transactionUpdated.refundOf": paid})
	})
}

func TestACraftedCursorIsBadInput(t *testing.T) {
	a := funded(t)
	for _, place := range []string{"transaction:\x00", "transaction:7", "transaction:v1", "transaction:'"} {
		cursor := base64.RawURLEncoding.EncodeToString([]byte(place))
		if out := a.ask(fmt.Sprintf(`{ transactions(after: %q) { edges { cursor } } }`, cursor)); out.code() != "BAD_USER_INPUT" || fmt.Sprint(out.Errors[0].Extensions.Field) != "[after]" {
			t.Errorf("%q: got %+v", place, out)
		}
	}
	cursor := base64.RawURLEncoding.EncodeToString([]byte("hold:123e4567-e89b-42d3-a456-426614174000"))
	out := a.ask(fmt.Sprintf(`{ account(id: "ann", atLeastVersion: 1) { holds(after: %q) { edges { cursor } } } }`, cursor))
	if out.code() != "BAD_USER_INPUT" || fmt.Sprint(out.Errors[0].Extensions.Field) != "[after]" {
		t.Errorf("a hold that is not the account's: got %+v", out)
	}
}

func TestTheBooksTellWhatUnfinishedTransactionsHold(t *testing.T) {
	a := startNode(t)
	a.create("ann", "EUR")
	a.topUp("ann", "9.00", "k", "id")
	expect(t, a.get(`{ account(id: "ann", atLeastVersion: 2) { id } trialBalance { unfinished { currency amount transactions } } before: trialBalance(at: "2026-01-01T00:00:00Z") { unfinished { amount } } }`),
		map[string]any{"trialBalance.unfinished": "[]", "before.unfinished": nil})
	b := serve(t, &resolvers.Resolver{Reads: holding{untouched{t}}, Now: func() time.Time { return noon }, NewID: ids.New, Logger: testenv.Logger()})
	expect(t, b.get(`{ trialBalance { unfinished { currency amount transactions } } }`), map[string]any{
		"trialBalance.unfinished.0.currency": "EUR", "trialBalance.unfinished.0.amount": "5.00", "trialBalance.unfinished.0.transactions": 2,
	})
}

// holding has money on its way.
type holding struct{ untouched }

func (holding) TrialBalance(context.Context, time.Time) (projector.TrialBalance, error) {
	return projector.TrialBalance{At: noon}, nil
}

func (holding) Unfinished(context.Context) ([]projector.Unfinished, error) {
	return []projector.Unfinished{{Currency: "EUR", Amount: decimal.New(5, 0), Transactions: 2}}, nil
}
