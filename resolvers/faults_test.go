package resolvers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/internal/ids"
	"daybook/internal/testenv"
	"daybook/resolvers"
)

// broken is an engine that answers every command with an error, beside a read model that knows one transaction.
type broken struct {
	untouched
	err    error
	known  transaction.State
	noRead error
}

func (f broken) Execute(context.Context, ledger.Command) (ledger.Result, error) {
	return ledger.Result{}, f.err
}

func (f broken) ExecuteBatch(_ context.Context, commands []ledger.Command, _ bool) []engine.Answer {
	answers := make([]engine.Answer, len(commands))
	for i := range answers {
		answers[i].Err = f.err
	}
	return answers
}

func (f broken) AbortBatch(ctx context.Context, commands []ledger.Command) []engine.Answer {
	return f.ExecuteBatch(ctx, commands, true)
}

func (f broken) Transaction(context.Context, string) (transaction.State, error) {
	return f.known, f.noRead
}

func (f broken) serve(t *testing.T) *api {
	t.Helper()
	f.t = t
	return serve(t, &resolvers.Resolver{Commands: f, Reads: f, Now: time.Now, NewID: ids.New, Logger: testenv.Logger()})
}

const somePayment = `paymentId: "123e4567-e89b-42d3-a456-426614174000", idempotencyKey: "r"`

func TestARefundOfWhatTheEngineDoesNotKnowIsExplainedByTheReadModel(t *testing.T) {
	unknown := account.PaymentNotFound()
	state := func(kind account.MovementType, status transaction.Status) transaction.State {
		return transaction.State{ID: "x", Details: transaction.Details{Type: kind, Currency: "EUR"}, Status: status}
	}
	for name, c := range map[string]struct {
		f             broken
		code, message string
	}{
		"nobody knows it": {broken{err: unknown}, "TRANSACTION_NOT_FOUND", "no payment has this id; check it"},
		"a withdrawal":    {broken{err: unknown, known: state(account.Withdrawal, transaction.Completed)}, "NOT_REFUNDABLE", "the transaction is a WITHDRAWAL; only a payment can be refunded"},
		"on its way":      {broken{err: unknown, known: state(account.Payment, transaction.Pending)}, "NOT_REFUNDABLE", "the payment has not been received yet; refund it once it is completed"},
		"failed":          {broken{err: unknown, known: state(account.Payment, transaction.Failed)}, "NOT_REFUNDABLE", "the payment failed, so there is nothing to refund"},
		"gone back":       {broken{err: unknown, known: state(account.Payment, transaction.Compensated)}, "NOT_REFUNDABLE", "the payment failed, so there is nothing to refund"},
		"the read model is away": {
			broken{err: unknown, noRead: domain.Refuse(domain.Unavailable, "", "away")}, "TRANSACTION_NOT_FOUND", "no payment has this id; check it"},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.f.serve(t)
			expect(t, a.mutate("refund", somePayment), map[string]any{
				"userErrors.0.code": c.code, "userErrors.0.message": c.message, "userErrors.0.field": "[input paymentId]",
			})
			batch := a.batch(false, input{"refund": input{"paymentId": "123e4567-e89b-42d3-a456-426614174000", "idempotencyKey": "r"}})
			expect(t, batch, map[string]any{"results.0.userErrors.0.code": c.code, "results.0.userErrors.0.field": "[input commands 0 refund paymentId]"})
		})
	}
	// One that arrived, of which only the engine has not heard yet, is to be tried again.
	a := broken{err: unknown, known: state(account.Payment, transaction.Completed)}.serve(t)
	if out := a.mutate("refund", somePayment); out.code() != "UNAVAILABLE" {
		t.Errorf("got %+v", out)
	}
}

// asked is broken whose read model notes by when each look-up must be done.
type asked struct {
	broken
	by *[]time.Time
}

func (a asked) Transaction(ctx context.Context, id string) (transaction.State, error) {
	by, _ := ctx.Deadline()
	*a.by = append(*a.by, by)
	return a.broken.Transaction(ctx, id)
}

// The commands are decided: a database that hangs must not keep their answers for long, one after another.
func TestTheAnswersOfManyRefundsWaitForTheReadModelOnceAndNotLong(t *testing.T) {
	for name, c := range map[string]struct {
		noRead error
		asks   int
	}{"it answers": {nil, 5}, "it is away": {errors.New("away"), 1}} {
		t.Run(name, func(t *testing.T) {
			f := asked{broken{untouched: untouched{t: t}, err: account.PaymentNotFound(), noRead: c.noRead}, new([]time.Time)}
			a := serve(t, &resolvers.Resolver{Commands: f, Reads: f, Now: time.Now, NewID: ids.New, Logger: testenv.Logger()})
			refunds := make([]input, 5)
			for i := range refunds {
				refunds[i] = input{"refund": input{"paymentId": ids.New(), "idempotencyKey": fmt.Sprint(i)}}
			}
			out := a.batch(false, refunds...)
			for i := range refunds {
				expect(t, out, map[string]any{fmt.Sprintf("results.%d.userErrors.0.code", i): "TRANSACTION_NOT_FOUND"})
			}
			if len(*f.by) != c.asks {
				t.Errorf("the read model was asked %d times, want %d", len(*f.by), c.asks)
			}
			for _, by := range *f.by {
				if !by.Equal((*f.by)[0]) || time.Until(by) > time.Second {
					t.Errorf("the questions end at %v, which is not one moment within a second", *f.by)
				}
			}
		})
	}
}

func TestAPaymentThatFailedCannotBeRefunded(t *testing.T) {
	a := startNode(t)
	full := neighbour(t, "ann", false)
	a.create("ann", "EUR")
	a.topUp("ann", "10.00", "fund", "id")
	a.done("createAccount", fmt.Sprintf(`id: %q, ownerId: "o", currency: "EUR", limits: {maxBalance: "1"}, idempotencyKey: "c"`, full))
	paid := a.done("pay", fmt.Sprintf(`fromAccountId: "ann", toAccountId: %q, amount: "5.00", currency: "EUR", idempotencyKey: "p"`, full))
	id := paid.at("transaction.id")
	testenv.Eventually(t, func() error {
		out := a.get(fmt.Sprintf(`{ transaction(id: %q) { status failureCode trail { type reversal refusalCode } } account(id: "ann") { balance } }`, id))
		if out.at("transaction.status") != "COMPENSATED" || out.at("account.balance") != "10.00" {
			return fmt.Errorf("got %v", out.Data)
		}
		if trail := fmt.Sprint(out.at("transaction.trail")); strings.Count(trail, "BALANCE_LIMIT_EXCEEDED") != 2 || strings.Count(trail, "CreditRefused") != 1 {
			return fmt.Errorf("the trail is %s", trail)
		}
		return nil
	})
	expect(t, a.mutate("refund", fmt.Sprintf(`paymentId: %q, idempotencyKey: "r"`, id)), map[string]any{
		"userErrors.0.code": "NOT_REFUNDABLE", "userErrors.0.message": "the payment failed, so there is nothing to refund",
	})
}

func TestFaultsOfTheEngineComeAsTopLevelErrorsAndInABatchWithTheirCommand(t *testing.T) {
	for code, err := range map[domain.Code]error{
		domain.Unavailable:    domain.Refuse(domain.Unavailable, "", "this command did nothing"),
		domain.OutcomeUnknown: domain.Refuse(domain.OutcomeUnknown, "", "it is not known"),
		domain.Overloaded:     domain.Refuse(domain.Overloaded, "", "too much"),
		domain.BadUserInput:   domain.Refuse(domain.BadUserInput, "expiresAt", "too far"),
		domain.Internal:       domain.Refuse(domain.Internal, "", "a secret"),
	} {
		a := broken{err: err}.serve(t)
		if out := a.mutate("refund", somePayment); out.code() != string(code) || strings.Contains(fmt.Sprint(out), "secret") {
			t.Errorf("%s: got %+v", code, out)
		}
		out := a.batch(false, topUpOf("ann", "1.00", "k"), topUpOf("ann", "x", "l"))
		expect(t, out, map[string]any{"results.0.userErrors.0.code": code, "results.1.userErrors.0.code": "INVALID_AMOUNT", "results.0.account": nil})
		if strings.Contains(fmt.Sprint(out), "secret") {
			t.Errorf("%s: the batch tells %v", code, out.Data)
		}
	}
	out := broken{err: errors.New("a secret")}.serve(t).batch(false, topUpOf("ann", "1.00", "k"))
	if code := out.at("results.0.userErrors.0.code"); code != "INTERNAL" || strings.Contains(fmt.Sprint(out), "secret") {
		t.Errorf("got %v", out.Data)
	}
}
