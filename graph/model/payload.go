// Package model holds the Go types of the API. All but those in this file are generated.
package model

import (
	"context"

	"daybook/graph/scalar"
)

// Payload is what every mutation answers, and what each command of a batch comes to; the schema shows of it what the
// operation has.
type Payload struct {
	Transaction *Transaction
	Hold        *Hold
	Account     *Account
	UserErrors  []*UserError
}

// Origin is who asked for a transaction and what led to it. What is not known is nil.
type Origin struct {
	ActorID, ActorType, CorrelationID, CausationID *string
}

// OriginFunc gives the origin to the fields that tell of it.
type OriginFunc func(ctx context.Context) (Origin, error)

// Bounds are the balances at the ends of a period; nil before the account was created, and for a group's changes.
type Bounds struct {
	Opening, Closing *scalar.Decimal
}

// BoundsFunc gives the bounds to the fields that tell of them.
type BoundsFunc func(ctx context.Context) (Bounds, error)

// PageFunc gives a page of the changes behind a group, as many as first says after a version.
type PageFunc func(ctx context.Context, first int, after int64) (*BalanceChangeConnection, error)
