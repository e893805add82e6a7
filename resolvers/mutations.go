package resolvers

import (
	"context"
	"time"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/engine/ledger"
	"daybook/graph/model"
)

// reader makes a command of a mutation's input, on top of what all commands of the request have in common. It refuses
// with BAD_USER_INPUT or INVALID_AMOUNT.
type reader[I any] func(from ledger.Meta, in I) (ledger.Command, error)

// perform carries out one command. What comes back is one of: the result, what the business rules say against it, an
// error.
func perform[I any](ctx context.Context, r *Resolver, in I, read reader[I]) (*model.Payload, error) {
	from, err := r.origin(ctx)
	if err != nil {
		return nil, err
	}
	var result ledger.Result
	c, err := read(from, in)
	if err == nil {
		result, err = r.Commands.Execute(ctx, c)
		e := explainer{reads: r.Reads}
		err = e.notRefundable(ctx, c, err)
		e.end()
	}
	refused, err := userErrors(err)
	if err != nil {
		return nil, err
	}
	return r.payload(result, refused), nil
}

func (r *Resolver) payload(result ledger.Result, refused []*model.UserError) *model.Payload {
	p := &model.Payload{Account: accountModel(result.Account), UserErrors: refused}
	if result.Hold != nil {
		p.Hold = holdModel(*result.Hold)
	}
	if result.Transaction != nil {
		p.Transaction = transactionModel(*result.Transaction, r.originOf(result.Transaction.ID, p.Account))
	}
	return p
}

// explainWithin bounds how long the answer to a mutation waits for what the read model knows beyond it.
const explainWithin = time.Second

// explainer asks the read model about the refused commands of one mutation. They are decided, so that a database that
// hangs must not keep their answers: all questions have one bound, and none follows one that was not answered.
type explainer struct {
	reads  Reads
	failed bool
	// bounded has the bound from the first question on, cancel lets go of it.
	bounded context.Context
	cancel  context.CancelFunc
}

func (e *explainer) transaction(ctx context.Context, id string) (transaction.State, bool) {
	if e.failed {
		return transaction.State{}, false
	}
	if e.bounded == nil {
		e.bounded, e.cancel = context.WithTimeout(ctx, explainWithin)
	}
	known, err := e.reads.Transaction(e.bounded, id)
	e.failed = err != nil
	return known, !e.failed
}

func (e *explainer) end() {
	if e.cancel != nil {
		e.cancel()
	}
}

// notRefundable says more of a refund whose payment the engine does not know when the read model knows what its id
// stands for. The engine keeps payments only, and them only where they were received.
func (e *explainer) notRefundable(ctx context.Context, c ledger.Command, err error) error {
	refund, ok := c.(*ledger.Refund)
	if !ok || domain.CodeOf(err) != domain.TransactionNotFound {
		return err
	}
	known, answered := e.transaction(ctx, refund.PaymentID)
	if !answered { // What the engine said holds all the same.
		return err
	}
	refuse := func(format string, args ...any) error {
		return domain.Refuse(domain.NotRefundable, "paymentId", format, args...)
	}
	switch {
	case known.Status == "":
		return err
	case known.Type != account.Payment:
		return refuse("the transaction is a %s; only a payment can be refunded", known.Type)
	case known.Status == transaction.Pending:
		return refuse("the payment has not been received yet; refund it once it is completed")
	case known.Status == transaction.Completed:
		return domain.Refuse(domain.Unavailable, "paymentId",
			"this command did nothing: this node has not heard of the payment's arrival yet; try again with the same idempotency key")
	}
	return refuse("the payment failed, so there is nothing to refund")
}
