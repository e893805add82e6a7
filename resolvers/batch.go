package resolvers

import (
	"context"
	"errors"
	"strconv"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"daybook/domain"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/graph/model"
)

// MaxBatch is how many commands a batch may have.
const MaxBatch = 1000

// batchCommand is one command of a batch, or what is wrong with it.
type batchCommand struct {
	// path leads to its input.
	path    []string
	command ledger.Command
	err     error
}

func (r *Resolver) submitBatch(ctx context.Context, in model.SubmitBatchInput) (*model.SubmitBatchPayload, error) {
	if len(in.Commands) < 1 || len(in.Commands) > MaxBatch {
		return nil, badInput("commands", "a batch must have 1 to %d commands", MaxBatch)
	}
	from, err := r.origin(ctx)
	if err != nil {
		return nil, err
	}
	batch := make([]batchCommand, len(in.Commands))
	commands := make([]ledger.Command, 0, len(in.Commands))
	for i, one := range in.Commands {
		if batch[i] = readBatchCommand(from, i, one); batch[i].err == nil {
			commands = append(commands, batch[i].command)
		}
	}
	results := make([]*model.Payload, len(batch))
	var answers []engine.Answer
	if atomic := valueOr(in.Atomic, false); atomic && len(commands) < len(batch) {
		answers = r.Commands.AbortBatch(ctx, commands)
	} else {
		answers = r.Commands.ExecuteBatch(ctx, commands, atomic)
	}
	e := explainer{reads: r.Reads}
	defer e.end()
	for i, b := range batch {
		var result ledger.Result
		if b.err == nil {
			result, b.err = answers[0].Result, e.notRefundable(ctx, b.command, answers[0].Err)
			answers = answers[1:]
		}
		results[i] = r.batchResult(ctx, b, result)
	}
	return &model.SubmitBatchPayload{Results: results}, nil
}

// readBatchCommand makes sure that exactly one input is given: the language's own check sees only what is written out in
// the query.
func readBatchCommand(from ledger.Meta, index int, in *model.BatchCommandInput) batchCommand {
	c := choice{from: from}
	choose(&c, "createAccount", in.CreateAccount, readCreateAccount)
	choose(&c, "topUp", in.TopUp, readTopUp)
	choose(&c, "withdraw", in.Withdraw, readWithdraw)
	choose(&c, "transfer", in.Transfer, readTransfer)
	choose(&c, "pay", in.Pay, readPay)
	choose(&c, "refund", in.Refund, readRefund)
	choose(&c, "authorizeHold", in.AuthorizeHold, readAuthorizeHold)
	choose(&c, "captureHold", in.CaptureHold, readCaptureHold)
	choose(&c, "voidHold", in.VoidHold, readVoidHold)
	choose(&c, "changeAccountStatus", in.ChangeAccountStatus, readChangeStatus)
	choose(&c, "changeAccountLimits", in.ChangeAccountLimits, readChangeLimits)
	path := []string{"input", "commands", strconv.Itoa(index)}
	if c.given != 1 {
		return batchCommand{path: path, err: badInput("", "each command of a batch must have exactly one field, such as topUp, that is not null")}
	}
	return batchCommand{path: append(path, c.name), command: c.command, err: c.err}
}

// choice is the command of the first input that is given, and how many are.
type choice struct {
	from    ledger.Meta
	given   int
	name    string
	command ledger.Command
	err     error
}

func choose[I any](c *choice, name string, in *I, read reader[I]) {
	if in == nil {
		return
	}
	if c.given++; c.given == 1 {
		c.name = name
		c.command, c.err = read(c.from, *in)
	}
}

// batchResult puts all that stands against a command into its result: it must not take those of the others along.
func (r *Resolver) batchResult(ctx context.Context, b batchCommand, result ledger.Result) *model.Payload {
	if b.err == nil {
		return r.payload(result, []*model.UserError{})
	}
	var refusal *domain.Refusal
	if !errors.As(b.err, &refusal) || refusal.Code == domain.Internal {
		refusal = r.internal(ctx, b.err, &gqlerror.Error{Path: graphql.GetPath(ctx)})
	}
	return &model.Payload{UserErrors: []*model.UserError{{
		Field: appendField(b.path, refusal.Field), Message: clean(refusal.Message), Code: refusal.Code,
	}}}
}
