package resolvers_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/internal/ids"
	"daybook/internal/testenv"
	"daybook/projector"
	"daybook/projector/live"
	"daybook/resolvers"
)

// untouched has one account and fails the test when anything else is asked of it.
type untouched struct{ t *testing.T }

func (u untouched) Account(_ context.Context, id string, atLeast int64) (account.State, error) {
	if id != "ann" || atLeast != 0 {
		u.t.Errorf("the read model was asked for account %q, version %d", id, atLeast)
	}
	return account.State{ID: "ann", Currency: "EUR", Status: account.Active, Version: 1, CreatedAt: noon, UpdatedAt: noon}, nil
}

// touched fails the test.
func touched[T any](u untouched, what string) (none T, err error) {
	u.t.Errorf("the read model was asked for %s", what)
	return none, nil
}

func (u untouched) Accounts(context.Context, projector.AccountsQuery) (projector.AccountsPage, error) {
	return touched[projector.AccountsPage](u, "accounts")
}

func (u untouched) Transaction(context.Context, string) (transaction.State, error) {
	return touched[transaction.State](u, "a transaction")
}

func (u untouched) TransactionRecord(context.Context, string) (projector.TransactionRecord, error) {
	return touched[projector.TransactionRecord](u, "a transaction")
}

func (u untouched) Transactions(context.Context, projector.TransactionsQuery) (projector.TransactionsPage, error) {
	return touched[projector.TransactionsPage](u, "transactions")
}

func (u untouched) TransactionTrail(context.Context, string) ([]projector.EventRecord, error) {
	return touched[[]projector.EventRecord](u, "a trail")
}

func (u untouched) Hold(context.Context, string) (account.Hold, error) {
	return touched[account.Hold](u, "a hold")
}

func (u untouched) Holds(context.Context, projector.HoldsQuery) (projector.HoldsPage, error) {
	return touched[projector.HoldsPage](u, "holds")
}

func (u untouched) BalanceAt(context.Context, string, time.Time) (decimal.NullDecimal, error) {
	return touched[decimal.NullDecimal](u, "a balance")
}

func (u untouched) Changes(context.Context, projector.ChangesQuery) (projector.ChangesPage, error) {
	return touched[projector.ChangesPage](u, "changes")
}

func (u untouched) Statement(context.Context, string, time.Time, time.Time) (projector.Statement, error) {
	return touched[projector.Statement](u, "a statement")
}

func (u untouched) Explain(context.Context, string, time.Time, time.Time) (projector.Explanation, error) {
	return touched[projector.Explanation](u, "an explanation")
}

func (u untouched) ChangesBehind(context.Context, projector.ChangesQuery, []projector.ExplanationGroup) ([]projector.ChangesPage, error) {
	return touched[[]projector.ChangesPage](u, "the changes behind an explanation")
}

func (u untouched) Events(context.Context, string, int64, int) (projector.EventsPage, error) {
	return touched[projector.EventsPage](u, "events")
}

func (u untouched) TrialBalance(context.Context, time.Time) (projector.TrialBalance, error) {
	return touched[projector.TrialBalance](u, "the books")
}

func (u untouched) Unfinished(context.Context) ([]projector.Unfinished, error) {
	return touched[[]projector.Unfinished](u, "what is unfinished")
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestBadInputOfQueriesIsRefusedBeforeAnythingIsRead(t *testing.T) {
	a := serve(t, &resolvers.Resolver{
		Reads: untouched{t}, Now: func() time.Time { return noon.Add(time.Hour) }, NewID: ids.New, Logger: testenv.Logger(),
	})
	for query, field := range map[string]string{
		`{ account(id: "") { id } }`:                                                                                        "id",
		`{ account(id: "-ann") { id } }`:                                                                                    "id",
		`{ account(id: "` + strings.Repeat("a", 65) + `") { id } }`:                                                         "id",
		`{ account(id: "ann", atLeastVersion: -1) { id } }`:                                                                 "atLeastVersion",
		`{ accounts(first: 0) { edges { cursor } } }`:                                                                       "first",
		`{ accounts(first: 101) { edges { cursor } } }`:                                                                     "first",
		`{ accounts(first: -5) { edges { cursor } } }`:                                                                      "first",
		`{ accounts(after: "x") { edges { cursor } } }`:                                                                     "after",
		`{ accounts(filter: {ownerId: ""}) { edges { cursor } } }`:                                                          "filter ownerId",
		`{ accounts(filter: {ownerId: "` + strings.Repeat("a", 129) + `"}) { edges { cursor } } }`:                          "filter ownerId",
		`{ transaction(id: "7") { id } }`:                                                                                   "id",
		`{ transaction(id: "{123e4567-e89b-42d3-a456-426614174000}") { id } }`:                                              "id",
		`{ account(id: "ann") { balance(at: "2026-11-24T13:00:00.001Z") } }`:                                                "at",
		`{ account(id: "ann") { changes(first: 0) { edges { cursor } } } }`:                                                 "first",
		`{ account(id: "ann") { changes(first: 101) { edges { cursor } } } }`:                                               "first",
		`{ account(id: "ann") { changes(after: "") { edges { cursor } } } }`:                                                "after",
		`{ account(id: "ann") { changes(from: "2026-01-02T00:00:00Z", to: "2026-01-01T23:59:59Z") { edges { cursor } } } }`: "from",
		`{ account(id: "ann") { explain(from: "2026-01-02T00:00:00Z", to: "2026-01-01T23:59:59Z") { difference } } }`:       "from",
		`{ account(id: "ann") { events(first: 101) { edges { cursor } } } }`:                                                "first",
		`{ account(id: "ann") { events(after: "Y2hhbmdlOjc") { edges { cursor } } } }`:                                      "after",
		`{ account(id: "ann") { holds(first: 0) { edges { cursor } } } }`:                                                   "first",
		`{ account(id: "ann") { holds(after: "aG9sZDo3") { edges { cursor } } } }`:                                          "after",
		`{ hold(id: "7") { id } }`:                                                                                          "id",
		`{ hold(id: "urn:uuid:123e4567-e89b-42d3-a456-426614174000") { id } }`:                                              "id",
		`{ trialBalance(at: "2026-11-24T13:00:00.001Z") { totals { debit } } }`:                                             "at",
		`{ transactions(first: 101) { edges { cursor } } }`:                                                                 "first",
		`{ transactions(after: "") { edges { cursor } } }`:                                                                  "after",
		`{ transactions(after: "` + strings.Repeat("a", 257) + `") { edges { cursor } } }`:                                  "after",
		`{ transactions(filter: {accountId: "a b"}) { edges { cursor } } }`:                                                 "filter accountId",
		`{ transactions(filter: {correlationId: ""}) { edges { cursor } } }`:                                                "filter correlationId",
		`{ transactions(filter: {correlationId: "` + strings.Repeat("a", 65) + `"}) { edges { cursor } } }`:                 "filter correlationId",
	} {
		t.Run(query[:min(len(query), 70)], func(t *testing.T) {
			out := a.ask(query)
			if out.code() != string(domain.BadUserInput) || strings.Join(out.Errors[0].Extensions.Field, " ") != field {
				t.Errorf("got %+v, want BAD_USER_INPUT at %s", out.Errors, field)
			}
		})
	}
}

func TestBalanceNeedsNoLookWhereTheAccountTellsIt(t *testing.T) {
	a := serve(t, &resolvers.Resolver{Reads: untouched{t}, Now: func() time.Time { return noon }, NewID: ids.New, Logger: testenv.Logger()})
	expect(t, a.get(`{ account(id: "ann") { now: balance before: balance(at: "2026-11-24T11:59:59.999Z") } }`),
		map[string]any{"account.now": "0.00", "account.before": nil})
}

func TestUnknownThingsAreNull(t *testing.T) {
	a := startNode(t)
	expect(t, a.get(`{ account(id: "nobody") { id } transaction(id: "123e4567-e89b-42d3-a456-426614174000") { id } accounts { edges { cursor } pageInfo { hasNextPage endCursor } } }`),
		map[string]any{"account": nil, "transaction": nil, "accounts.edges": "[]", "accounts.pageInfo.hasNextPage": false, "accounts.pageInfo.endCursor": nil})
}

func TestAMutationsAccountShowsTheChangeJustMade(t *testing.T) {
	a := startNode(t)
	a.create("ann", "EUR")
	for i := 1; i <= 20; i++ {
		// The moment is the present one at most: the change is not after it.
		out := a.topUp("ann", "1.50", fmt.Sprint("k", i),
			`version balance changes(first: 100) { edges { node { version newBalance previousBalance changeAmount signedAmount changeType currency reason transactionType counterpartyId transactionId } } pageInfo { hasNextPage } }`)
		last := fmt.Sprintf("topUp.account.changes.edges.%d.node", i-1)
		expect(t, out, map[string]any{
			"topUp.account.version": i + 1, last + ".version": i + 1, last + ".newBalance": out.at("topUp.account.balance"),
			last + ".changeAmount": "1.50", last + ".signedAmount": "1.50", last + ".changeType": "CREDIT", last + ".currency": "EUR",
			last + ".reason": "test", last + ".transactionType": "TOPUP", last + ".counterpartyId": "external:default:EUR",
			last + ".transactionId": out.at("topUp.transaction.id"), "topUp.account.changes.pageInfo.hasNextPage": false,
		})
	}
}

func TestTheStatementComesInPagesAndTellsBalancesAtAnyMoment(t *testing.T) {
	a := startNode(t)
	a.create("ann", "EUR")
	a.create("bob", "EUR")
	a.topUp("ann", "10.00", "k1", "id")
	a.topUp("ann", "5.00", "k2", "id")
	out := a.get(`mutation { transfer(input: {fromAccountId: "ann", toAccountId: "bob", amount: "4.00", currency: "EUR", reason: "rent", idempotencyKey: "t"}) { transaction { id status } account { version } } }`)
	expect(t, out, map[string]any{"transfer.account.version": 4, "transfer.transaction.status": "COMPLETED"})
	id := out.at("transfer.transaction.id").(string)

	var versions, moments []string
	after := ""
	for range 3 {
		page := a.get(`{ account(id: "ann", atLeastVersion: 4) { changes(first: 1` + after + `) { edges { cursor node { version timestamp changeType signedAmount counterpartyId } } pageInfo { hasNextPage endCursor } } } }`)
		versions = append(versions, fmt.Sprint(page.at("account.changes.edges.0.node.version")))
		moments = append(moments, page.at("account.changes.edges.0.node.timestamp").(string))
		expect(t, page, map[string]any{
			"account.changes.pageInfo.hasNextPage": len(versions) < 3, "account.changes.pageInfo.endCursor": page.at("account.changes.edges.0.cursor"),
		})
		if len(versions) == 3 {
			expect(t, page, map[string]any{
				"account.changes.edges.0.node.changeType": "DEBIT", "account.changes.edges.0.node.signedAmount": "-4.00",
				"account.changes.edges.0.node.counterpartyId": "bob",
			})
		}
		after = fmt.Sprintf(`, after: %q`, page.at("account.changes.pageInfo.endCursor"))
	}
	if got := strings.Join(versions, " "); got != "2 3 4" {
		t.Errorf("the pages hold versions %s, want 2 3 4", got)
	}
	// Changes of one millisecond have one balance at it: the last.
	expect(t, a.get(fmt.Sprintf(`{ account(id: "ann") { balance then: balance(at: %q) long: balance(at: "2020-01-01T00:00:00Z")
		none: changes(to: "2020-01-01T00:00:00Z") { edges { cursor } } rest: changes(from: %q) { pageInfo { hasNextPage } edges { node { version } } } } }`, moments[2], moments[2])),
		map[string]any{"account.balance": "11.00", "account.then": "11.00", "account.long": nil, "account.none.edges": "[]"})

	testenv.Eventually(t, func() error {
		tx := a.get(`{ transaction(id: "` + strings.ToUpper(id) + `") { id type status amount currency fromAccountId toAccountId reason failureCode } }`)
		if got := tx.at("transaction.status"); got != "COMPLETED" {
			return fmt.Errorf("the transaction is %v", got)
		}
		expect(t, tx, map[string]any{
			"transaction.id": id, "transaction.type": "TRANSFER", "transaction.amount": "4.00", "transaction.currency": "EUR",
			"transaction.fromAccountId": "ann", "transaction.toAccountId": "bob", "transaction.reason": "rent", "transaction.failureCode": nil,
		})
		return nil
	})
}

func TestAccountsComeInPagesAndFiltered(t *testing.T) {
	a := startNode(t)
	for id, currency := range map[string]string{"ann": "EUR", "bob": "USD", "cyd": "EUR"} {
		a.create(id, currency)
		a.get(`{ account(id: "` + id + `", atLeastVersion: 1) { id } }`)
	}
	page := a.get(`{ accounts(first: 2) { edges { cursor node { id balance } } pageInfo { hasNextPage endCursor } } }`)
	expect(t, page, map[string]any{
		"accounts.edges.0.node.id": "ann", "accounts.edges.0.node.balance": "0.00", "accounts.edges.1.node.id": "bob",
		"accounts.pageInfo.hasNextPage": true, "accounts.pageInfo.endCursor": page.at("accounts.edges.1.cursor"),
	})
	expect(t, a.get(fmt.Sprintf(`{ accounts(first: 2, after: %q) { edges { node { id } } pageInfo { hasNextPage } } }`, page.at("accounts.pageInfo.endCursor"))),
		map[string]any{"accounts.edges.0.node.id": "cyd", "accounts.edges.1": nil, "accounts.pageInfo.hasNextPage": false})
	for filter, want := range map[string]string{
		`currency: "EUR"`:                       "ann cyd",
		`ownerId: "owner-bob"`:                  "bob",
		`currency: "USD", ownerId: "owner-ann"`: "",
		`status: ACTIVE, type: USER`:            "ann bob cyd",
		`status: CLOSED`:                        "",
		`type: SYSTEM`:                          "",
	} {
		out := a.get(`{ accounts(filter: {` + filter + `}) { edges { node { id } } } }`)
		var got []string
		for i := range out.at("accounts.edges").([]any) {
			got = append(got, out.at(fmt.Sprintf("accounts.edges.%d.node.id", i)).(string))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s gives %v, want %s", filter, got, want)
		}
	}
}

var _ resolvers.Live = (*live.Feed)(nil)
