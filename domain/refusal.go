package domain

import (
	"errors"
	"fmt"
)

// Code is a stable, documented name for why something was refused or failed. The API's ErrorCode lists them all.
type Code string

// Codes of refused business rules: the state of the books does not allow the command.
const (
	AccountNotFound      Code = "ACCOUNT_NOT_FOUND"
	AccountExists        Code = "ACCOUNT_EXISTS"
	AccountSuspended     Code = "ACCOUNT_SUSPENDED"
	AccountClosed        Code = "ACCOUNT_CLOSED"
	AccountNotEmpty      Code = "ACCOUNT_NOT_EMPTY"
	InsufficientBalance  Code = "INSUFFICIENT_BALANCE"
	BalanceLimitExceeded Code = "BALANCE_LIMIT_EXCEEDED"
	CurrencyMismatch     Code = "CURRENCY_MISMATCH"
	InvalidAmount        Code = "INVALID_AMOUNT"
	SameAccount          Code = "SAME_ACCOUNT"
	VersionConflict      Code = "VERSION_CONFLICT"
	IdempotencyConflict  Code = "IDEMPOTENCY_CONFLICT"
	TransactionNotFound  Code = "TRANSACTION_NOT_FOUND"
	NotRefundable        Code = "NOT_REFUNDABLE"
	RefundExceedsPayment Code = "REFUND_EXCEEDS_PAYMENT"
	HoldNotFound         Code = "HOLD_NOT_FOUND"
	HoldExpired          Code = "HOLD_EXPIRED"
	HoldNotActive        Code = "HOLD_NOT_ACTIVE"
	CaptureExceedsHold   Code = "CAPTURE_EXCEEDS_HOLD"
	BatchSpansPartitions Code = "BATCH_SPANS_PARTITIONS"
	BatchAborted         Code = "BATCH_ABORTED"
)

// Codes of requests that are malformed, too costly, or could not be served.
const (
	BadUserInput   Code = "BAD_USER_INPUT"
	QueryTooCostly Code = "QUERY_TOO_COSTLY"
	Overloaded     Code = "OVERLOADED"
	Unavailable    Code = "UNAVAILABLE"
	OutcomeUnknown Code = "OUTCOME_UNKNOWN"
	ReadTimeout    Code = "READ_TIMEOUT"
	Internal       Code = "INTERNAL"
)

// Refusal is an error with a stable code. Nothing was changed, save where the code is OutcomeUnknown.
type Refusal struct {
	Code Code
	// Field names the input field at fault, as the API spells it; empty when no single field is.
	Field string
	// Message is a sentence for people that says what to do. It never repeats more of the input than an id.
	Message string
}

// Error implements error.
func (r *Refusal) Error() string { return string(r.Code) + ": " + r.Message }

// Refuse makes a Refusal.
func Refuse(code Code, field, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Field: field, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code carried by err, or Internal when it carries none.
func CodeOf(err error) Code {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Code
	}
	return Internal
}
