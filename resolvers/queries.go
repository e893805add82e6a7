package resolvers

import (
	"context"
	"time"
	"unicode"

	"daybook/domain/account"
	"daybook/graph/model"
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
	id, err := checkUUID("id", "transaction", id)
	if err != nil {
		return nil, err
	}
	record, err := r.Reads.TransactionRecord(ctx, id)
	if err != nil || record.Status == "" {
		return nil, err
	}
	return transactionModel(record.State, knownOrigin(&record)), nil
}

func (r *Resolver) transactions(ctx context.Context, first *int64, after *string, filter *model.TransactionFilter) (*model.TransactionConnection, error) {
	q, err := readTransactionsQuery(first, after, filter)
	if err != nil {
		return nil, err
	}
	page, err := r.Reads.Transactions(ctx, q)
	if err != nil {
		return nil, err
	}
	c := &model.TransactionConnection{Edges: make([]*model.TransactionEdge, 0, len(page.Transactions)), PageInfo: &model.PageInfo{HasNextPage: page.More}}
	for i := range page.Transactions {
		t := &page.Transactions[i]
		edge := &model.TransactionEdge{Cursor: encodeCursor(transactionCursor, page.Cursors[i]), Node: transactionModel(t.State, knownOrigin(t))}
		c.Edges = append(c.Edges, edge)
		c.PageInfo.EndCursor = &edge.Cursor
	}
	return c, nil
}

func readTransactionsQuery(first *int64, after *string, filter *model.TransactionFilter) (q projector.TransactionsQuery, err error) {
	if q.First, err = readFirst(first); err != nil {
		return q, err
	}
	if after != nil {
		// What it says beyond its kind follows from the filter, so it is for the read model to check.
		if q.After, err = decodeCursor(transactionCursor, *after); err != nil {
			return q, err
		}
	}
	if filter == nil {
		return q, nil
	}
	q.AccountID, q.CorrelationID = valueOr(filter.AccountID, ""), valueOr(filter.CorrelationID, "")
	q.Status, q.Type = valueOr(filter.Status, ""), valueOr(filter.Type, "")
	if filter.AccountID != nil {
		if err := checkAccountID("filter.accountId", q.AccountID); err != nil {
			return q, err
		}
	}
	if filter.CorrelationID != nil && !isText(q.CorrelationID, 1, maxCorrelationID, unicode.IsPrint) {
		return q, badInput("filter.correlationId", "a correlation id must be 1 to %d printable characters", maxCorrelationID)
	}
	return q, nil
}

func (r *Resolver) hold(ctx context.Context, id string) (*model.Hold, error) {
	id, err := checkUUID("id", "hold", id)
	if err != nil {
		return nil, err
	}
	h, err := r.Reads.Hold(ctx, id)
	return holdModel(h), err
}

func (r *Resolver) holds(ctx context.Context, a *model.Account, status *account.HoldStatus, first *int64, after *string) (*model.HoldConnection, error) {
	q := projector.HoldsQuery{AccountID: a.ID, Status: valueOr(status, "")}
	var err error
	if q.First, err = readFirst(first); err != nil {
		return nil, err
	}
	if q.After, err = readHoldCursor(after); err != nil {
		return nil, err
	}
	if err := r.awaitRead(ctx, a); err != nil {
		return nil, err
	}
	page, err := r.Reads.Holds(ctx, q)
	if err != nil {
		return nil, err
	}
	c := &model.HoldConnection{Edges: make([]*model.HoldEdge, 0, len(page.Holds)), PageInfo: &model.PageInfo{HasNextPage: page.More}}
	for _, h := range page.Holds {
		edge := &model.HoldEdge{Cursor: encodeCursor(holdCursor, h.ID), Node: holdModel(h)}
		c.Edges = append(c.Edges, edge)
		c.PageInfo.EndCursor = &edge.Cursor
	}
	return c, nil
}

func (r *Resolver) trialBalance(ctx context.Context, at *time.Time) (*model.TrialBalance, error) {
	if at != nil {
		if err := r.checkPast("at", *at); err != nil {
			return nil, err
		}
	}
	b, err := r.Reads.TrialBalance(ctx, valueOr(at, time.Time{}))
	if err != nil {
		return nil, err
	}
	m := &model.TrialBalance{At: given(b.At), Present: at == nil, Lines: make([]*model.TrialBalanceLine, 0, len(b.Lines)), Totals: make([]*model.TrialBalanceTotal, 0, len(b.Totals))}
	for _, l := range b.Lines {
		m.Lines = append(m.Lines, &model.TrialBalanceLine{
			Currency: l.Currency, Account: l.Account, Debit: amount(l.Debit, l.Currency), Credit: amount(l.Credit, l.Currency),
		})
	}
	for _, t := range b.Totals {
		m.Totals = append(m.Totals, &model.TrialBalanceTotal{
			Currency: t.Currency, Debit: amount(t.Debit, t.Currency), Credit: amount(t.Credit, t.Currency),
		})
	}
	return m, nil
}

func (r *Resolver) unfinished(ctx context.Context, b *model.TrialBalance) ([]*model.UnfinishedTransactions, error) {
	if !b.Present {
		return nil, nil
	}
	sums, err := r.Reads.Unfinished(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]*model.UnfinishedTransactions, 0, len(sums))
	for _, u := range sums {
		all = append(all, &model.UnfinishedTransactions{Currency: u.Currency, Amount: amount(u.Amount, u.Currency), Transactions: u.Transactions})
	}
	return all, nil
}

func readFirst(first *int64) (int, error) {
	n := valueOr(first, defaultFirst)
	if n < 1 || n > maxFirst {
		return 0, badInput("first", "first must be 1 to %d", maxFirst)
	}
	return int(n), nil
}
