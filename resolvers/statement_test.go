package resolvers_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/internal/ids"
	"daybook/internal/testenv"
	"daybook/projector"
	"daybook/resolvers"
)

func TestAStatementOpensAndClosesAndIsExplained(t *testing.T) {
	a := startNode(t)
	for _, id := range []string{"ann", "bob", "cyd"} {
		a.create(id, "EUR")
	}
	a.topUp("ann", "100.00", "fund", "id")
	from := a.pause()
	a.done("pay", `fromAccountId: "ann", toAccountId: "bob", amount: "10.00", currency: "EUR", idempotencyKey: "1"`)
	paid := a.done("pay", `fromAccountId: "ann", toAccountId: "bob", amount: "20.00", currency: "EUR", idempotencyKey: "2"`).at("transaction.id")
	a.done("transfer", `fromAccountId: "ann", toAccountId: "cyd", amount: "5.00", currency: "EUR", idempotencyKey: "3"`)
	a.done("refund", fmt.Sprintf(`paymentId: %q, amount: "3.00", idempotencyKey: "4"`, paid))
	a.get(`{ account(id: "ann", atLeastVersion: 6) { id } }`)
	to := a.pause()
	a.topUp("ann", "1.00", "late", "id")

	period := fmt.Sprintf(`from: %q, to: %q`, from, to)
	out := a.get(`{ account(id: "ann", atLeastVersion: 7) {
		changes(first: 1, ` + period + `) { openingBalance closingBalance edges { node { version } } pageInfo { hasNextPage } }
		all: changes { openingBalance closingBalance } before: changes(to: "2020-01-01T00:00:00Z") { openingBalance closingBalance }
		explain(` + period + `) { openingBalance closingBalance difference rest { count }
			groups { transactionType counterpartyId changeType reversal count total changes(first: 1) { openingBalance edges { node { changeAmount refundOf } } pageInfo { hasNextPage } } } } } }`)
	expect(t, out, map[string]any{
		"account.changes.openingBalance": "100.00", "account.changes.closingBalance": "68.00", "account.changes.edges.0.node.version": 3,
		"account.changes.pageInfo.hasNextPage": true, "account.all.openingBalance": nil, "account.all.closingBalance": "69.00",
		"account.before.openingBalance": nil, "account.before.closingBalance": nil,
		"account.explain.openingBalance": "100.00", "account.explain.closingBalance": "68.00", "account.explain.difference": "-32.00",
		"account.explain.rest": nil, "account.explain.groups.3": nil,
	})
	for i, want := range []string{"PAYMENT bob DEBIT false 2 -30.00 10.00 true", "TRANSFER cyd DEBIT false 1 -5.00 5.00 false", "REFUND bob CREDIT false 1 3.00 3.00 false"} {
		g := fmt.Sprintf("account.explain.groups.%d.", i)
		if got := fmt.Sprint(out.at(g+"transactionType"), " ", out.at(g+"counterpartyId"), " ", out.at(g+"changeType"), " ", out.at(g+"reversal"), " ", out.at(g+"count"), " ",
			out.at(g+"total"), " ", out.at(g+"changes.edges.0.node.changeAmount"), " ", out.at(g+"changes.pageInfo.hasNextPage")); got != want {
			t.Errorf("group %d is %s, want %s", i, got, want)
		}
	}
	expect(t, out, map[string]any{"account.explain.groups.2.changes.edges.0.node.refundOf": paid, "account.explain.groups.2.changes.openingBalance": nil})
}

// explained has an explanation of one group, of version 7 of the account, and takes down which changes are asked for.
type explained struct {
	untouched
	asked *projector.ChangesQuery
}

func (e explained) Explain(context.Context, string, time.Time, time.Time) (projector.Explanation, error) {
	return projector.Explanation{
		Statement: projector.Statement{AccountID: "ann", Currency: "EUR", Version: 7},
		Groups:    []projector.ExplanationGroup{{TransactionType: account.Payment, CounterpartyID: "bob", ChangeType: account.Debit, Count: 1}},
	}, nil
}

func (e explained) Changes(_ context.Context, q projector.ChangesQuery) (projector.ChangesPage, error) {
	*e.asked = q
	return projector.ChangesPage{}, nil
}

func (e explained) ChangesBehind(_ context.Context, q projector.ChangesQuery, groups []projector.ExplanationGroup) ([]projector.ChangesPage, error) {
	*e.asked = q
	return make([]projector.ChangesPage, len(groups)), nil
}

func TestTheChangesBehindAnExplanationGoAsFarAsItDoes(t *testing.T) {
	e := explained{untouched{t}, &projector.ChangesQuery{}}
	a := serve(t, &resolvers.Resolver{Reads: e, Now: func() time.Time { return noon }, NewID: ids.New, Logger: testenv.Logger()})
	out := a.get(`{ account(id: "ann") { explain(from: "2026-01-01T00:00:00Z", to: "2027-01-01T00:00:00Z") { groups { changes { openingBalance closingBalance edges { cursor } } } } } }`)
	if e.asked.AccountID != "ann" || e.asked.From.IsZero() || e.asked.To.IsZero() || e.asked.ThroughVersion != 7 {
		t.Errorf("asked for %+v, want it up to version 7", *e.asked)
	}
	// Those are the account's, not the group's.
	expect(t, out, map[string]any{"account.explain.groups.0.changes.openingBalance": nil, "account.explain.groups.0.changes.closingBalance": nil})
}

// crowded has an explanation of many groups, and lets so many looks through much be taken, then no more.
type crowded struct {
	untouched
	left, inside atomic.Int64
}

const crowd = 40

func (*crowded) Explain(context.Context, string, time.Time, time.Time) (projector.Explanation, error) {
	e := projector.Explanation{Statement: projector.Statement{AccountID: "ann", Currency: "EUR", Version: 7}}
	for i := range crowd {
		e.Groups = append(e.Groups, projector.ExplanationGroup{TransactionType: account.Payment, CounterpartyID: fmt.Sprint("shop-", i), ChangeType: account.Debit, Count: 9})
	}
	return e, nil
}

func (c *crowded) look() error {
	defer c.inside.Add(-1)
	if c.inside.Add(1) > 1 || c.left.Add(-1) < 0 {
		return domain.Refuse(domain.Overloaded, "", "too many queries that look through much are being answered")
	}
	return nil
}

// ChangesBehind answers with the change that comes next behind each group.
func (c *crowded) ChangesBehind(_ context.Context, q projector.ChangesQuery, groups []projector.ExplanationGroup) ([]projector.ChangesPage, error) {
	if err := c.look(); err != nil {
		return nil, err
	}
	pages := make([]projector.ChangesPage, len(groups))
	for i, g := range groups {
		change := account.BalanceChanged{Currency: "EUR", CounterpartyID: g.CounterpartyID, ChangeType: g.ChangeType}
		pages[i] = projector.ChangesPage{Changes: []projector.Change{{AccountID: "ann", Version: q.AfterVersion + 1, BalanceChanged: change}}, More: true}
	}
	return pages, nil
}

func TestAnExplanationDoesNotCrowdItselfOut(t *testing.T) {
	c := &crowded{untouched: untouched{t}}
	a := serve(t, &resolvers.Resolver{Reads: c, Now: func() time.Time { return noon }, NewID: ids.New, Logger: testenv.Logger()})
	cursor := base64.RawURLEncoding.EncodeToString([]byte("change:3"))
	c.left.Store(3) // One for each page that is asked for, of however many groups.
	out := a.get(`{ account(id: "ann") { explain(from: "2026-01-01T00:00:00Z", to: "2027-01-01T00:00:00Z") { groups {
		changes(first: 5) { ...page } again: changes(first: 5) { ...page } longer: changes(first: 6) { ...page }
		next: changes(first: 5, after: "` + cursor + `") { ...page } } } } }
		fragment page on BalanceChangeConnection { edges { node { version counterpartyId } } pageInfo { hasNextPage } }`)
	for i := range crowd {
		for field, version := range map[string]int{"changes": 1, "again": 1, "longer": 1, "next": 4} {
			page := fmt.Sprintf("account.explain.groups.%d.%s.", i, field)
			expect(t, out, map[string]any{
				page + "edges.0.node.version": version, page + "edges.0.node.counterpartyId": fmt.Sprint("shop-", i), page + "pageInfo.hasNextPage": true,
			})
		}
	}
	// Refused, the reason is told, and the next request looks anew.
	const one = `{ account(id: "ann") { explain(from: "2026-01-01T00:00:00Z", to: "2027-01-01T00:00:00Z") { groups { changes { edges { cursor } } } } } }`
	if refused := a.ask(one); refused.code() != "OVERLOADED" {
		t.Errorf("without a place: %+v, want OVERLOADED", refused)
	}
	c.left.Store(1)
	a.get(one)
}

// stated has a statement up to version 7 of the account, and takes down which changes are asked for after it.
type stated struct{ explained }

func (s stated) Statement(context.Context, string, time.Time, time.Time) (projector.Statement, error) {
	*s.asked = projector.ChangesQuery{}
	return projector.Statement{AccountID: "ann", Currency: "EUR", Version: 7, Closing: decimal.NewNullDecimal(decimal.New(5, 0))}, nil
}

// A change that comes between the two readings would otherwise be listed and not be in the closing balance.
func TestTheChangesOfAStatementGoAsFarAsItsClosingBalance(t *testing.T) {
	s := stated{explained{untouched{t}, &projector.ChangesQuery{}}}
	a := serve(t, &resolvers.Resolver{Reads: s, Now: func() time.Time { return noon }, NewID: ids.New, Logger: testenv.Logger()})
	for selection, through := range map[string]int64{
		"edges { cursor } closingBalance": 7, "b: openingBalance edges { cursor }": 7,
		"edges { cursor } ... on BalanceChangeConnection { ... { closingBalance } }": 7,
		"edges { cursor }": 0, "edges { cursor } closingBalance @skip(if: true)": 0,
	} {
		out := a.get(`{ account(id: "ann") { changes { ` + selection + ` } } }`)
		if s.asked.AccountID != "ann" || s.asked.ThroughVersion != through {
			t.Errorf("%s: asked for %+v, want it up to version %d", selection, *s.asked, through)
		}
		if closing := out.at("account.changes.closingBalance"); closing != nil && closing != "5.00" {
			t.Errorf("%s: closes at %v", selection, closing)
		}
	}
}
