package resolvers

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"unicode"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"daybook/domain"
	"daybook/graph/model"
)

// businessRules are the codes that a payload's userErrors carry. All other codes are top-level errors.
var businessRules = map[domain.Code]bool{
	domain.AccountNotFound:      true,
	domain.AccountExists:        true,
	domain.AccountSuspended:     true,
	domain.AccountClosed:        true,
	domain.AccountNotEmpty:      true,
	domain.InsufficientBalance:  true,
	domain.BalanceLimitExceeded: true,
	domain.CurrencyMismatch:     true,
	domain.InvalidAmount:        true,
	domain.SameAccount:          true,
	domain.VersionConflict:      true,
	domain.IdempotencyConflict:  true,
	domain.TransactionNotFound:  true,
	domain.NotRefundable:        true,
	domain.RefundExceedsPayment: true,
	domain.HoldNotFound:         true,
	domain.HoldExpired:          true,
	domain.HoldNotActive:        true,
	domain.CaptureExceedsHold:   true,
	domain.BatchSpansPartitions: true,
	domain.BatchAborted:         true,
}

// requestErrors are the codes of requests that are at fault before anything was executed. The transports answer these
// as the protocols ask: 400 to clients of application/graphql-response+json, an error message over WebSocket.
var requestErrors = [...]domain.Code{domain.BadUserInput, domain.QueryTooCostly}

func init() {
	for _, code := range requestErrors {
		errcode.RegisterErrorType(string(code), errcode.KindProtocol)
	}
}

const codeKey = "code"

// maxMessage bounds a message in bytes: the parser's own messages repeat names from the query.
const maxMessage = 240

// userErrors splits what became of a command: a refused business rule belongs in the payload, all else is an error.
func userErrors(err error) ([]*model.UserError, error) {
	if err == nil {
		return []*model.UserError{}, nil
	}
	var refusal *domain.Refusal
	if !errors.As(err, &refusal) || !businessRules[refusal.Code] {
		return nil, err
	}
	return []*model.UserError{{Field: inputPath(refusal.Field), Message: refusal.Message, Code: refusal.Code}}, nil
}

// inputPath is the path of a mutation's input field.
func inputPath(field string) []string { return appendField([]string{"input"}, field) }

// appendField goes on from a path to a field below, which may be none, as a refusal names it.
func appendField(path []string, field string) []string {
	if field == "" {
		return path
	}
	return append(path, strings.Split(field, ".")...)
}

// NewError makes a top-level error that the presenter passes as it is.
func NewError(code domain.Code, format string, args ...any) *gqlerror.Error {
	return &gqlerror.Error{Message: fmt.Sprintf(format, args...), Extensions: map[string]any{codeKey: string(code)}}
}

// PresentError turns any error into what clients see: a short message and a stable code. What carries no code is a
// fault inside: it is logged under an id, and only the id leaves.
func (r *Resolver) PresentError(ctx context.Context, err error) *gqlerror.Error {
	var presented *gqlerror.Error
	out := &gqlerror.Error{}
	if errors.As(err, &presented) {
		out.Path, out.Locations = presented.Path, presented.Locations
	}
	var refusal *domain.Refusal
	if !errors.As(err, &refusal) && presented != nil {
		if code, message, ok := parserError(presented); ok {
			out.Message, out.Extensions = clean(message), map[string]any{codeKey: string(code)}
			return out
		}
	}
	if refusal == nil || refusal.Code == domain.Internal {
		refusal = r.internal(ctx, err, out)
	}
	out.Message = clean(refusal.Message)
	out.Extensions = map[string]any{codeKey: string(refusal.Code)}
	if refusal.Field != "" {
		out.Extensions["field"] = argumentPath(ctx, refusal.Field)
	}
	return out
}

// parserError recognises what the parser, the validator and NewError made; the codes of the first two are not ours.
func parserError(e *gqlerror.Error) (domain.Code, string, bool) {
	code, _ := e.Extensions[codeKey].(string)
	switch domain.Code(code) {
	case errcode.ValidationFailed, errcode.ParseFailed, domain.BadUserInput:
		return domain.BadUserInput, e.Message, true
	case domain.QueryTooCostly, domain.Overloaded, domain.Unavailable, domain.Internal:
		return domain.Code(code), e.Message, true
	default: // The others come as refusals only.
		return "", "", false
	}
}

// internal logs what must not be shown and says under which id.
func (r *Resolver) internal(ctx context.Context, err error, at *gqlerror.Error) *domain.Refusal {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return domain.Refuse(domain.Unavailable, "", "the request ended before it was answered")
	}
	id := r.NewID()
	r.Logger.ErrorContext(ctx, "a request failed inside; read the error, and report it if it is none of the services", "errorId", id, "path", at.Path.String(), "error", err)
	return domain.Refuse(domain.Internal, "", "something failed inside; it is logged under the id %s", id)
}

// Recover turns a panic into an error for clients and logs the rest.
func (r *Resolver) Recover(ctx context.Context, cause any) error {
	id := r.NewID()
	r.Logger.ErrorContext(ctx, "a request panicked; report it with its stack", "errorId", id, "panic", cause, "stack", string(debug.Stack()))
	return NewError(domain.Internal, "something failed inside; it is logged under the id %s", id)
}

// argumentPath is the path of the argument at fault: mutations take one input object.
func argumentPath(ctx context.Context, field string) []string {
	if fc := graphql.GetFieldContext(ctx); fc != nil && fc.Object == "Mutation" {
		return inputPath(field)
	}
	return strings.Split(field, ".")
}

// clean bounds a message and takes out what has no place in one.
func clean(s string) string {
	if len(s) > maxMessage {
		s = s[:maxMessage] + "…"
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, ""))
}
