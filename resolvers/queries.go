package resolvers

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"daybook/graph/model"
	"daybook/graph/scalar"
	"daybook/projector"
)

// Sizes of a page.
const (
	defaultFirst = 20
	maxFirst     = 100
)

func (r *Resolver) account(ctx context.Context, id string, atLeast *int64) (*model.Account, error) {
	if err := checkAccountID("id", id); err != nil {
		return nil, err
	}
	version := valueOr(atLeast, 0)
	if version < 0 {
		return nil, badInput("atLeastVersion", "atLeastVersion must not be negative")
	}
	state, err := r.Reads.Account(ctx, id, version)
	return accountModel(state), err
}

func (r *Resolver) accounts(ctx context.Context, first *int64, after *string, filter *model.AccountFilter) (*model.AccountConnection, error) {
	q, err := readAccountsQuery(first, after, filter)
	if err != nil {
		return nil, err
	}
	page, err := r.Reads.Accounts(ctx, q)
	if err != nil {
		return nil, err
	}
	c := &model.AccountConnection{Edges: make([]*model.AccountEdge, 0, len(page.Accounts)), PageInfo: &model.PageInfo{HasNextPage: page.More}}
	for _, state := range page.Accounts {
		edge := &model.AccountEdge{Cursor: encodeCursor(accountCursor, state.ID), Node: accountModel(state)}
		c.Edges = append(c.Edges, edge)
		c.PageInfo.EndCursor = &edge.Cursor
	}
	return c, nil
}

func readAccountsQuery(first *int64, after *string, filter *model.AccountFilter) (q projector.AccountsQuery, err error) {
	if q.First, err = readFirst(first); err != nil {
		return q, err
	}
	if q.After, err = readAccountCursor(after); err != nil || filter == nil {
		return q, err
	}
	if filter.OwnerID != nil && checkOwnerID(*filter.OwnerID) != nil {
		return q, badInput("filter.ownerId", "an owner id must be 1 to %d characters without control characters", maxOwnerID)
	}
	q.OwnerID, q.Currency = valueOr(filter.OwnerID, ""), valueOr(filter.Currency, "")
	q.Status, q.Type = valueOr(filter.Status, ""), valueOr(filter.Type, "")
	return q, nil
}

func (r *Resolver) transaction(ctx context.Context, id string) (*model.Transaction, error) {
	id, err := checkTransactionID("id", id)
	if err != nil {
		return nil, err
	}
	state, err := r.Reads.Transaction(ctx, id)
	if err != nil || state.Status == "" {
		return nil, err
	}
	return transactionModel(&state), nil
}

func (r *Resolver) balance(ctx context.Context, a *model.Account, at *time.Time) (*scalar.Decimal, error) {
	if at == nil {
		return a.Balance, nil
	}
	if at.After(r.Now()) {
		return nil, badInput("at", "at must not be in the future")
	}
	if at.Before(a.CreatedAt) {
		return nil, nil
	}
	if err := r.awaitRead(ctx, a); err != nil {
		return nil, err
	}
	balance, err := r.Reads.BalanceAt(ctx, a.ID, *at)
	if err != nil || !balance.Valid {
		return nil, err
	}
	text := amount(balance.Decimal, a.Currency)
	return &text, nil
}

func (r *Resolver) changes(ctx context.Context, a *model.Account, from, to *time.Time, first *int64, after *string) (*model.BalanceChangeConnection, error) {
	q := projector.ChangesQuery{AccountID: a.ID, From: valueOr(from, time.Time{}), To: valueOr(to, time.Time{})}
	var err error
	if q.First, err = readFirst(first); err != nil {
		return nil, err
	}
	if q.AfterVersion, err = readChangeCursor(after); err != nil {
		return nil, err
	}
	if from != nil && to != nil && from.After(*to) {
		return nil, badInput("from", "from must not be after to")
	}
	if err := r.awaitRead(ctx, a); err != nil {
		return nil, err
	}
	page, err := r.Reads.Changes(ctx, q)
	if err != nil {
		return nil, err
	}
	c := &model.BalanceChangeConnection{Edges: make([]*model.BalanceChangeEdge, 0, len(page.Changes)), PageInfo: &model.PageInfo{HasNextPage: page.More}}
	for i := range page.Changes {
		edge := &model.BalanceChangeEdge{Cursor: encodeVersion(page.Changes[i].Version), Node: changeModel(&page.Changes[i])}
		c.Edges = append(c.Edges, edge)
		c.PageInfo.EndCursor = &edge.Cursor
	}
	return c, nil
}

// awaitRead lets the read model come up to an account that a mutation answered from the state just written. What a
// query found came out of the read model.
func (r *Resolver) awaitRead(ctx context.Context, a *model.Account) error {
	if graphql.GetOperationContext(ctx).Operation.Operation != ast.Mutation {
		return nil
	}
	_, err := r.Reads.Account(ctx, a.ID, a.Version)
	return err
}

func readFirst(first *int64) (int, error) {
	n := valueOr(first, defaultFirst)
	if n < 1 || n > maxFirst {
		return 0, badInput("first", "first must be 1 to %d", maxFirst)
	}
	return int(n), nil
}
