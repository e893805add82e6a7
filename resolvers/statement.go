package resolvers

import (
	"context"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"daybook/graph/model"
	"daybook/graph/scalar"
	"daybook/projector"
)

// What an account had at a moment, and how it came there.

func (r *Resolver) balance(ctx context.Context, a *model.Account, at *time.Time) (*scalar.Decimal, error) {
	if at == nil {
		return a.Balance, nil
	}
	if err := r.checkPast("at", *at); err != nil {
		return nil, err
	}
	if at.Before(a.CreatedAt) {
		return nil, nil
	}
	if err := r.awaitRead(ctx, a); err != nil {
		return nil, err
	}
	balance, err := r.Reads.BalanceAt(ctx, a.ID, *at)
	return amountOrNull(balance, a.Currency), err
}

func (r *Resolver) changes(ctx context.Context, a *model.Account, from, to *time.Time, first *int64, after *string) (*model.BalanceChangeConnection, error) {
	q := projector.ChangesQuery{AccountID: a.ID, From: valueOr(from, time.Time{}), To: valueOr(to, time.Time{})}
	if from != nil && to != nil {
		if err := checkPeriod(*from, *to); err != nil {
			return nil, err
		}
	}
	if err := readChangesPage(&q, first, after); err != nil {
		return nil, err
	}
	if err := r.awaitRead(ctx, a); err != nil {
		return nil, err
	}
	if !asksForBounds(ctx) {
		return r.changesPage(ctx, q, noBounds)
	}
	s, err := r.Reads.Statement(ctx, a.ID, q.From, q.To)
	if err != nil {
		return nil, err
	}
	q.ThroughVersion = s.Version // What comes meanwhile is not in the closing balance either.
	return r.changesPage(ctx, q, func(context.Context) (model.Bounds, error) {
		return model.Bounds{Opening: amountOrNull(s.Opening, a.Currency), Closing: amountOrNull(s.Closing, a.Currency)}, nil
	})
}

// asksForBounds tells whether the balances at the ends of the period are asked for beside the changes.
func asksForBounds(ctx context.Context) bool {
	for _, field := range graphql.CollectFieldsCtx(ctx, []string{"BalanceChangeConnection"}) {
		if field.Name == "openingBalance" || field.Name == "closingBalance" {
			return true
		}
	}
	return false
}

func readChangesPage(q *projector.ChangesQuery, first *int64, after *string) (err error) {
	if q.First, err = readFirst(first); err != nil {
		return err
	}
	q.AfterVersion, err = readVersionCursor(changeCursor, after)
	return err
}

// changesPage reads a page of what the query asks for, which leads from and to the bounds.
func (r *Resolver) changesPage(ctx context.Context, q projector.ChangesQuery, bounds model.BoundsFunc) (*model.BalanceChangeConnection, error) {
	page, err := r.Reads.Changes(ctx, q)
	if err != nil {
		return nil, err
	}
	return changeConnection(&page, bounds), nil
}

func changeConnection(page *projector.ChangesPage, bounds model.BoundsFunc) *model.BalanceChangeConnection {
	c := &model.BalanceChangeConnection{
		Edges:    make([]*model.BalanceChangeEdge, 0, len(page.Changes)),
		PageInfo: &model.PageInfo{HasNextPage: page.More}, Bounds: bounds,
	}
	for i := range page.Changes {
		edge := &model.BalanceChangeEdge{Cursor: encodeVersion(changeCursor, page.Changes[i].Version), Node: changeModel(&page.Changes[i])}
		c.Edges = append(c.Edges, edge)
		c.PageInfo.EndCursor = &edge.Cursor
	}
	return c
}

// noBounds is for changes among which others lie, and where nobody asks.
func noBounds(context.Context) (model.Bounds, error) { return model.Bounds{}, nil }

func (r *Resolver) openingBalance(ctx context.Context, c *model.BalanceChangeConnection) (*scalar.Decimal, error) {
	b, err := c.Bounds(ctx)
	return b.Opening, err
}

func (r *Resolver) closingBalance(ctx context.Context, c *model.BalanceChangeConnection) (*scalar.Decimal, error) {
	b, err := c.Bounds(ctx)
	return b.Closing, err
}

func (r *Resolver) explain(ctx context.Context, a *model.Account, from, to time.Time) (*model.Explanation, error) {
	if err := checkPeriod(from, to); err != nil {
		return nil, err
	}
	if err := r.awaitRead(ctx, a); err != nil {
		return nil, err
	}
	e, err := r.Reads.Explain(ctx, a.ID, from, to)
	if err != nil {
		return nil, err
	}
	m := &model.Explanation{
		From: from, To: to, OpeningBalance: amountOrNull(e.Opening, a.Currency), ClosingBalance: amountOrNull(e.Closing, a.Currency),
		Difference: amount(e.Difference, a.Currency), Groups: make([]*model.ExplanationGroup, 0, len(e.Groups)),
	}
	q := projector.ChangesQuery{AccountID: a.ID, From: from, To: to, ThroughVersion: e.Version}
	b := &behind{reads: r.Reads, query: q, groups: e.Groups, looks: map[span]*look{}}
	for i, g := range e.Groups {
		m.Groups = append(m.Groups, &model.ExplanationGroup{
			TransactionType: g.TransactionType, CounterpartyID: g.CounterpartyID, ChangeType: g.ChangeType, Reversal: g.Reversal,
			Count: g.Count, Total: amount(g.Total, a.Currency), Page: b.page(i),
		})
	}
	if e.Rest != nil {
		m.Rest = &model.ExplanationRest{Groups: e.Rest.Groups, Count: e.Rest.Count, Total: amount(e.Rest.Total, a.Currency)}
	}
	return m, nil
}

func (r *Resolver) groupChanges(ctx context.Context, g *model.ExplanationGroup, first *int64, after *string) (*model.BalanceChangeConnection, error) {
	var q projector.ChangesQuery
	if err := readChangesPage(&q, first, after); err != nil {
		return nil, err
	}
	return g.Page(ctx, q.First, q.AfterVersion) // The read model has the account since it was explained.
}

// behind looks for the changes behind all groups of an explanation at once. Their fields are resolved side by side, and
// looks of their own would go over the same period, each waiting for a place that the others hold.
type behind struct {
	reads  Reads
	query  projector.ChangesQuery
	groups []projector.ExplanationGroup

	mu    sync.Mutex // Held during a look: others of the same explanation come after it.
	looks map[span]*look
}

// span is what bounds and begins the pages of a look.
type span struct {
	first int
	after int64
}

type look struct {
	pages []projector.ChangesPage
	err   error
}

// page gives the pages of one group.
func (b *behind) page(group int) model.PageFunc {
	return func(ctx context.Context, first int, after int64) (*model.BalanceChangeConnection, error) {
		found := b.look(ctx, span{first, after})
		if found.err != nil {
			return nil, found.err
		}
		return changeConnection(&found.pages[group], noBounds), nil
	}
}

func (b *behind) look(ctx context.Context, s span) *look {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.looks[s]
	if known == nil {
		q := b.query
		q.First, q.AfterVersion = s.first, s.after
		known = &look{}
		known.pages, known.err = b.reads.ChangesBehind(ctx, q, b.groups)
		b.looks[s] = known
	}
	return known
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

func (r *Resolver) checkPast(field string, at time.Time) error {
	if at.After(r.Now()) {
		return badInput(field, "%s must not be in the future", field)
	}
	return nil
}

func checkPeriod(from, to time.Time) error {
	if from.After(to) {
		return badInput("from", "from must not be after to")
	}
	return nil
}
