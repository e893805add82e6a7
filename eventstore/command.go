package eventstore

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
)

// StepCommand is a transaction's next step on its way to the account's owner, on the command topic.
type StepCommand struct {
	transaction.Step
	// ID is derived from the event that caused the command, so that a repeat has the same one.
	ID            string
	CorrelationID string
	// CausationID is the id of the event that caused the command.
	CausationID string
	Metadata    Metadata
	Traceparent string
}

type wireCommand struct {
	CommandID       string               `json:"commandId"`
	CommandType     transaction.StepKind `json:"commandType"`
	AccountID       string               `json:"accountId"`
	TransactionID   string               `json:"transactionId"`
	TransactionType account.MovementType `json:"transactionType"`
	Amount          string               `json:"amount"`
	Currency        money.Currency       `json:"currency"`
	CounterpartyID  string               `json:"counterpartyId"`
	Reason          string               `json:"reason"`
	HoldID          string               `json:"holdId,omitempty"`
	RefundOf        string               `json:"refundOf,omitempty"`
	Code            domain.Code          `json:"code,omitempty"`
	CorrelationID   string               `json:"correlationId"`
	CausationID     string               `json:"causationId"`
	ActorID         string               `json:"actorId,omitempty"`
	ActorType       string               `json:"actorType,omitempty"`
}

// EncodeCommand renders a command as a message, stamped with the given time.
func EncodeCommand(c *StepCommand, at time.Time) (Message, error) {
	m := c.Movement
	value, err := json.Marshal(wireCommand{
		CommandID: c.ID, CommandType: c.Kind, AccountID: c.AccountID, TransactionID: m.TransactionID,
		TransactionType: m.TransactionType, Amount: money.Format(m.Amount, m.Currency), Currency: m.Currency,
		CounterpartyID: m.CounterpartyID, Reason: m.Reason, HoldID: m.HoldID, RefundOf: m.RefundOf, Code: c.Code,
		CorrelationID: c.CorrelationID, CausationID: c.CausationID, ActorID: c.Metadata.ActorID, ActorType: c.Metadata.ActorType,
	})
	if err != nil {
		return Message{}, fmt.Errorf("encoding a command: %w", err)
	}
	msg := Message{Key: []byte(c.AccountID), Value: value, Time: at}
	if c.Traceparent != "" {
		msg.Headers = []Header{{headerTraceparent, []byte(c.Traceparent)}}
	}
	return msg, nil
}

// DecodeCommand reads a command back.
func DecodeCommand(m *Message) (*StepCommand, error) {
	var w wireCommand
	if err := json.Unmarshal(m.Value, &w); err != nil {
		return nil, fmt.Errorf("decoding the command at offset %d: %w", m.Offset, err)
	}
	amount, err := decimal.NewFromString(w.Amount)
	if err != nil {
		return nil, fmt.Errorf("decoding the command at offset %d: %w", m.Offset, err)
	}
	if w.CommandType != transaction.StepCredit && w.CommandType != transaction.StepReverse {
		return nil, fmt.Errorf("decoding the command at offset %d: unknown type %q", m.Offset, w.CommandType)
	}
	return &StepCommand{
		Step: transaction.Step{Kind: w.CommandType, AccountID: w.AccountID, Code: w.Code, Movement: account.Movement{
			Amount: amount, Currency: w.Currency, TransactionID: w.TransactionID,
			TransactionType: w.TransactionType, CounterpartyID: w.CounterpartyID, Reason: w.Reason,
			HoldID: w.HoldID, RefundOf: w.RefundOf,
		}},
		ID: w.CommandID, CorrelationID: w.CorrelationID, CausationID: w.CausationID,
		Metadata: Metadata{ActorID: w.ActorID, ActorType: w.ActorType}, Traceparent: string(m.Header(headerTraceparent)),
	}, nil
}
