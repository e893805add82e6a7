package resolvers

import (
	"context"
	"errors"
	"net/http"
	"unicode"

	"github.com/99designs/gqlgen/graphql"
	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/engine"
	"daybook/eventstore"
	"daybook/graph/model"
	"daybook/graph/scalar"
)

// execute carries out a command that was read without fault. What comes back is one of: the result, what the business
// rules say against it, an error.
func (r *Resolver) execute(ctx context.Context, c engine.Command, err error) (engine.Result, []*model.UserError, error) {
	var result engine.Result
	if err == nil {
		result, err = r.Commands.Execute(ctx, c)
	}
	refused, err := userErrors(err)
	return result, refused, err
}

func (r *Resolver) createAccount(ctx context.Context, in model.CreateAccountInput) (*model.CreateAccountPayload, error) {
	c, err := r.readCreateAccount(ctx, in)
	result, refused, err := r.execute(ctx, c, err)
	if err != nil {
		return nil, err
	}
	return &model.CreateAccountPayload{Account: accountModel(result.Account), UserErrors: refused}, nil
}

func (r *Resolver) topUp(ctx context.Context, in model.TopUpInput) (*model.TopUpPayload, error) {
	c, err := r.readTopUp(ctx, in)
	result, refused, err := r.execute(ctx, c, err)
	if err != nil {
		return nil, err
	}
	return &model.TopUpPayload{
		Account: accountModel(result.Account), Transaction: transactionModel(result.Transaction), UserErrors: refused,
	}, nil
}

func (r *Resolver) transfer(ctx context.Context, in model.TransferInput) (*model.TransferPayload, error) {
	c, err := r.readTransfer(ctx, in)
	result, refused, err := r.execute(ctx, c, err)
	if err != nil {
		return nil, err
	}
	return &model.TransferPayload{
		Account: accountModel(result.Account), Transaction: transactionModel(result.Transaction), UserErrors: refused,
	}, nil
}

func (r *Resolver) changeStatus(ctx context.Context, in model.ChangeAccountStatusInput) (*model.ChangeAccountStatusPayload, error) {
	c, err := r.readChangeStatus(ctx, in)
	result, refused, err := r.execute(ctx, c, err)
	if err != nil {
		return nil, err
	}
	return &model.ChangeAccountStatusPayload{Account: accountModel(result.Account), UserErrors: refused}, nil
}

func (r *Resolver) changeLimits(ctx context.Context, in model.ChangeAccountLimitsInput) (*model.ChangeAccountLimitsPayload, error) {
	c, err := r.readChangeLimits(ctx, in)
	result, refused, err := r.execute(ctx, c, err)
	if err != nil {
		return nil, err
	}
	return &model.ChangeAccountLimitsPayload{Account: accountModel(result.Account), UserErrors: refused}, nil
}

func (r *Resolver) readCreateAccount(ctx context.Context, in model.CreateAccountInput) (*engine.CreateAccount, error) {
	meta, err := r.meta(ctx, in.IdempotencyKey, nil)
	if err != nil {
		return nil, err
	}
	c := &engine.CreateAccount{Meta: meta, OwnerID: in.OwnerID, Type: in.Type, Currency: in.Currency}
	if in.ID != nil {
		c.ID = *in.ID
		if err := checkAccountID("id", c.ID); err != nil {
			return nil, err
		}
	}
	if err := checkOwnerID(in.OwnerID); err != nil {
		return nil, err
	}
	c.Limits, err = readLimits(in.Limits, in.Currency)
	return c, err
}

func (r *Resolver) readTopUp(ctx context.Context, in model.TopUpInput) (*engine.TopUp, error) {
	meta, err := r.meta(ctx, in.IdempotencyKey, in.ExpectedVersion)
	if err != nil {
		return nil, err
	}
	c := &engine.TopUp{
		Meta: meta, AccountID: in.AccountID, Currency: in.Currency,
		External: valueOr(in.External, "default"), Reason: valueOr(in.Reason, ""),
	}
	if err := checkAccountID("accountId", c.AccountID); err != nil {
		return nil, err
	}
	if err := checkExternal(c.External); err != nil {
		return nil, err
	}
	if err := checkReason(c.Reason); err != nil {
		return nil, err
	}
	c.Amount, err = money.ParseAmount(string(in.Amount), in.Currency)
	return c, err
}

func (r *Resolver) readTransfer(ctx context.Context, in model.TransferInput) (*engine.Transfer, error) {
	meta, err := r.meta(ctx, in.IdempotencyKey, in.ExpectedVersion)
	if err != nil {
		return nil, err
	}
	c := &engine.Transfer{
		Meta: meta, FromID: in.FromAccountID, ToID: in.ToAccountID, Currency: in.Currency, Reason: valueOr(in.Reason, ""),
	}
	if err := checkAccountID("fromAccountId", c.FromID); err != nil {
		return nil, err
	}
	if err := checkAccountID("toAccountId", c.ToID); err != nil {
		return nil, err
	}
	if err := checkReason(c.Reason); err != nil {
		return nil, err
	}
	c.Amount, err = money.ParseAmount(string(in.Amount), in.Currency)
	return c, err
}

func (r *Resolver) readChangeStatus(ctx context.Context, in model.ChangeAccountStatusInput) (*engine.ChangeStatus, error) {
	meta, err := r.meta(ctx, in.IdempotencyKey, in.ExpectedVersion)
	if err != nil {
		return nil, err
	}
	if err := checkAccountID("accountId", in.AccountID); err != nil {
		return nil, err
	}
	return &engine.ChangeStatus{Meta: meta, AccountID: in.AccountID, Status: in.Status, Reason: in.Reason}, checkGivenReason(in.Reason)
}

func (r *Resolver) readChangeLimits(ctx context.Context, in model.ChangeAccountLimitsInput) (*engine.ChangeLimits, error) {
	meta, err := r.meta(ctx, in.IdempotencyKey, in.ExpectedVersion)
	if err != nil {
		return nil, err
	}
	if err := checkAccountID("accountId", in.AccountID); err != nil {
		return nil, err
	}
	if err := checkGivenReason(in.Reason); err != nil {
		return nil, err
	}
	limits, err := readLimits(in.Limits, widest)
	return &engine.ChangeLimits{Meta: meta, AccountID: in.AccountID, Limits: limits, Reason: in.Reason}, err
}

// widest is a currency of the most decimals. Limits are read at its scale where the account's currency is not in the
// input; whether they fit the account is for its owner to decide.
const widest money.Currency = "CLF"

func readLimits(in *model.LimitsInput, c money.Currency) (account.Limits, error) {
	limits := account.Limits{Min: decimal.New(0, -c.Scale())}
	if in == nil {
		return limits, nil
	}
	if in.MinBalance != nil {
		lower, err := readBound("limits.minBalance", *in.MinBalance, c)
		if err != nil {
			return limits, err
		}
		limits.Min = lower
	}
	if in.MaxBalance != nil {
		upper, err := readBound("limits.maxBalance", *in.MaxBalance, c)
		if err != nil {
			return limits, err
		}
		limits.Max = decimal.NewNullDecimal(upper)
	}
	return limits, nil
}

func readBound(field string, text scalar.Decimal, c money.Currency) (decimal.Decimal, error) {
	bound, err := money.ParseBound(string(text), c)
	var refusal *domain.Refusal
	if errors.As(err, &refusal) {
		return bound, &domain.Refusal{Code: refusal.Code, Field: field, Message: refusal.Message}
	}
	return bound, err
}

// The headers that travel with a command.
const (
	headerCorrelationID = "X-Correlation-Id"
	headerActorID       = "X-Actor-Id"
	headerActorType     = "X-Actor-Type"
	headerTraceparent   = "Traceparent"
)

// meta gathers what every command carries, from the input and the request's headers.
func (r *Resolver) meta(ctx context.Context, key string, expected *int64) (engine.Meta, error) {
	m := engine.Meta{IdempotencyKey: key, ExpectedVersion: expected}
	if err := checkIdempotencyKey(key); err != nil {
		return m, err
	}
	headers := graphql.GetOperationContext(ctx).Headers
	var err error
	if m.CorrelationID, err = header(headers, headerCorrelationID, maxCorrelationID); err != nil {
		return m, err
	}
	if m.CorrelationID == "" {
		m.CorrelationID = r.NewID()
	}
	if m.Actor, err = actor(headers); err != nil {
		return m, err
	}
	// One that is malformed is left out, as the trace context standard asks.
	if traceparent := headers.Get(headerTraceparent); isTraceparent(traceparent) {
		m.Traceparent = traceparent
	}
	return m, nil
}

func actor(headers http.Header) (eventstore.Metadata, error) {
	id, err := header(headers, headerActorID, maxActorID)
	if err != nil {
		return eventstore.Metadata{}, err
	}
	kind, err := header(headers, headerActorType, maxActorType)
	return eventstore.Metadata{ActorID: id, ActorType: kind}, err
}

// header returns a header's value, empty when it is absent.
func header(headers http.Header, name string, most int) (string, error) {
	value := headers.Get(name)
	if value != "" && !isText(value, 1, most, unicode.IsPrint) {
		return "", badInput("", "the header %s must be 1 to %d printable characters", name, most)
	}
	return value, nil
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
