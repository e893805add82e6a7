package eventstore

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
)

// timeLayout is RFC 3339 in UTC with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

// Header names. The first five repeat the envelope, so that tools can filter without parsing bodies.
const (
	headerEventType      = "eventType"
	headerVersion        = "aggregateVersion"
	headerCorrelationID  = "correlationId"
	headerTimestamp      = "timestamp"
	headerSchemaVersion  = "schemaVersion"
	headerTraceparent    = "traceparent"
	headerIdempotencyKey = "idempotencyKey"
	headerFingerprint    = "fingerprint"
	headerProgress       = "progress"
)

// HeaderForwarded marks, on the command topic, commands that one node sends to another, and on the reply topic the
// answers to them. Its value names the node that sent the commands.
const HeaderForwarded = "forwardedBy"

// Encode renders an event as a message. It fails with BAD_USER_INPUT when the event is larger than MaxEventBytes.
func Encode(e *Event) (Message, error) {
	eventType := e.Data.EventType()
	schema, ok := registry[eventType]
	if !ok { // Once in the log, nobody could read it.
		return Message{}, fmt.Errorf("encoding an event: type %q of a %s is not registered", eventType, e.AggregateType())
	}

	// One buffer holds the key and all values: the garbage of a busy writer is what it costs.
	h := headerWriter{buffer: make([]byte, 0, 1024), headers: make([]Header, 0, 9)}
	h.buffer = append(h.buffer, e.AggregateID...)
	key := h.cut()
	h.text(headerEventType, eventType)
	version := h.number(headerVersion, e.Version)
	h.text(headerCorrelationID, e.CorrelationID)
	h.buffer = e.Timestamp.UTC().AppendFormat(h.buffer, timeLayout)
	stamp := h.add(headerTimestamp)
	schemaVersion := h.number(headerSchemaVersion, int64(schema.Version))
	h.optional(e)

	b := h.buffer
	b = appendField(b, `{"eventId":`, e.ID)
	b = appendField(b, `,"eventType":`, eventType)
	b = appendField(b, `,"aggregateId":`, e.AggregateID)
	b = appendField(b, `,"aggregateType":`, schema.AggregateType)
	b = append(append(b, `,"aggregateVersion":`...), version...)
	b = append(append(append(b, `,"timestamp":"`...), stamp...), '"')
	b = appendField(b, `,"correlationId":`, e.CorrelationID)
	if e.CausationID != "" {
		b = appendField(b, `,"causationId":`, e.CausationID)
	}
	if e.Metadata != (Metadata{}) {
		b = appendField(b, `,"metadata":{"actorId":`, e.Metadata.ActorID)
		b = append(appendField(b, `,"actorType":`, e.Metadata.ActorType), '}')
	}
	b = append(append(b, `,"schemaVersion":`...), schemaVersion...)
	b = append(b, `,"data":{`...)
	b = appendData(b, e.Data)
	h.buffer = append(b, '}', '}')
	value := h.cut()
	if len(value) > MaxEventBytes {
		return Message{}, domain.Refuse(domain.BadUserInput, "", "the event would be %d bytes, more than the %d allowed; send less text", len(value), MaxEventBytes)
	}
	return Message{Key: key, Value: value, Headers: h.headers, Time: e.Timestamp}, nil
}

// headerWriter cuts headers off a growing buffer.
type headerWriter struct {
	buffer  []byte
	headers []Header
}

// cut takes what was appended to the buffer since the last cut. Its capacity ends with it, so that appending to it
// cannot reach what follows.
func (h *headerWriter) cut() []byte {
	n := len(h.buffer)
	part := h.buffer[:n:n]
	h.buffer = h.buffer[n:]
	return part
}

// add makes a header of what was appended to the buffer.
func (h *headerWriter) add(key string) []byte {
	value := h.cut()
	h.headers = append(h.headers, Header{key, value})
	return value
}

func (h *headerWriter) text(key, value string) {
	h.buffer = append(h.buffer, value...)
	h.add(key)
}

func (h *headerWriter) number(key string, value int64) []byte {
	h.buffer = strconv.AppendInt(h.buffer, value, 10)
	return h.add(key)
}

// optional adds what only some events have.
func (h *headerWriter) optional(e *Event) {
	if e.Traceparent != "" {
		h.text(headerTraceparent, e.Traceparent)
	}
	if e.IdempotencyKey != "" {
		h.text(headerIdempotencyKey, e.IdempotencyKey)
		h.buffer = hex.AppendEncode(h.buffer, e.Fingerprint[:])
		h.add(headerFingerprint)
	}
	if p := e.Progress; p != nil {
		h.buffer = fmt.Appendf(h.buffer, "%d/%d/%d", p.Commands, p.Coordinated, p.Partitions)
		h.add(headerProgress)
	}
}

func appendData(b []byte, d Data) []byte {
	switch d := d.(type) {
	case *account.Created:
		b = appendField(b, `"ownerId":`, d.OwnerID)
		b = appendField(b, `,"type":`, string(d.Type))
		b = appendField(b, `,"currency":`, string(d.Currency))
		return appendLimits(b, `,"limits":`, d.Limits, d.Currency)
	case *account.BalanceChanged:
		return appendBalanceChanged(b, d)
	case *account.StatusChanged:
		b = appendField(b, `"previousStatus":`, string(d.PreviousStatus))
		b = appendField(b, `,"newStatus":`, string(d.NewStatus))
		return appendField(b, `,"reason":`, d.Reason)
	case *account.LimitsChanged:
		b = appendField(b, `"currency":`, string(d.Currency))
		b = appendLimits(b, `,"previousLimits":`, d.PreviousLimits, d.Currency)
		b = appendLimits(b, `,"newLimits":`, d.NewLimits, d.Currency)
		return appendField(b, `,"reason":`, d.Reason)
	case *account.CreditRefused:
		b = appendAmount(b, `"amount":`, d.Amount, d.Currency)
		b = appendField(b, `,"currency":`, string(d.Currency))
		b = appendField(b, `,"transactionId":`, d.TransactionID)
		b = appendField(b, `,"transactionType":`, string(d.TransactionType))
		b = appendField(b, `,"counterpartyId":`, d.CounterpartyID)
		b = appendField(b, `,"reason":`, d.Reason)
		b = appendLinks(b, d.HoldID, d.RefundOf)
		return appendField(b, `,"code":`, string(d.Code))
	case *account.HoldPlaced:
		return appendHoldPlaced(b, d)
	case *account.HoldReleased:
		return appendHoldReleased(b, d)
	case *transaction.Event:
		return appendTransaction(b, d)
	}
	panic(fmt.Sprintf("eventstore: no encoding for %T", d))
}

func appendBalanceChanged(b []byte, d *account.BalanceChanged) []byte {
	b = appendAmount(b, `"previousBalance":`, d.PreviousBalance, d.Currency)
	b = appendAmount(b, `,"newBalance":`, d.NewBalance, d.Currency)
	b = appendAmount(b, `,"changeAmount":`, d.ChangeAmount, d.Currency)
	b = appendField(b, `,"changeType":`, string(d.ChangeType))
	b = appendAmount(b, `,"signedAmount":`, d.SignedAmount(), d.Currency)
	b = appendField(b, `,"reason":`, d.Reason)
	b = appendField(b, `,"transactionId":`, d.TransactionID)
	b = appendField(b, `,"currency":`, string(d.Currency))
	b = appendField(b, `,"transactionType":`, string(d.TransactionType))
	b = appendField(b, `,"counterpartyId":`, d.CounterpartyID)
	b = appendLinks(b, d.HoldID, d.RefundOf)
	if d.Reversal {
		b = appendField(b, `,"reversal":true,"refusalCode":`, string(d.RefusalCode))
	}
	return b
}

// appendLinks appends what only captures and refunds have.
func appendLinks(b []byte, holdID, refundOf string) []byte {
	if holdID != "" {
		b = appendField(b, `,"holdId":`, holdID)
	}
	if refundOf != "" {
		b = appendField(b, `,"refundOf":`, refundOf)
	}
	return b
}

func appendHoldPlaced(b []byte, d *account.HoldPlaced) []byte {
	b = appendField(b, `"holdId":`, d.HoldID)
	b = appendAmount(b, `,"amount":`, d.Amount, d.Currency)
	b = appendField(b, `,"currency":`, string(d.Currency))
	b = appendField(b, `,"counterpartyId":`, d.CounterpartyID)
	b = append(d.ExpiresAt.UTC().AppendFormat(append(b, `,"expiresAt":"`...), timeLayout), '"')
	return appendField(b, `,"reason":`, d.Reason)
}

func appendHoldReleased(b []byte, d *account.HoldReleased) []byte {
	b = appendField(b, `"holdId":`, d.HoldID)
	b = appendAmount(b, `,"amount":`, d.Amount, d.Currency)
	b = appendField(b, `,"currency":`, string(d.Currency))
	b = appendField(b, `,"cause":`, string(d.Cause))
	b = appendField(b, `,"reason":`, d.Reason)
	if d.TransactionID != "" {
		b = appendField(b, `,"transactionId":`, d.TransactionID)
	}
	return b
}

func appendTransaction(b []byte, d *transaction.Event) []byte {
	b = appendField(b, `"transactionType":`, string(d.Type))
	b = appendAmount(b, `,"amount":`, d.Amount, d.Currency)
	b = appendField(b, `,"currency":`, string(d.Currency))
	b = appendField(b, `,"fromAccountId":`, d.From)
	b = appendField(b, `,"toAccountId":`, d.To)
	b = appendField(b, `,"reason":`, d.Reason)
	b = appendLinks(b, d.HoldID, d.RefundOf)
	if d.FailureCode != "" {
		b = appendField(b, `,"failureCode":`, string(d.FailureCode))
	}
	return b
}

func appendLimits(b []byte, name string, l account.Limits, c money.Currency) []byte {
	b = append(b, name...)
	b = appendAmount(b, `{"minBalance":`, l.Min, c)
	if l.Max.Valid {
		b = appendAmount(b, `,"maxBalance":`, l.Max.Decimal, c)
	}
	return append(b, '}')
}

func appendAmount(b []byte, name string, d decimal.Decimal, c money.Currency) []byte {
	b = append(append(b, name...), '"')
	return append(money.AppendFormat(b, d, c), '"')
}

// appendField appends a name, given with its punctuation, and a JSON string.
func appendField(b []byte, name, value string) []byte {
	return appendString(append(b, name...), value)
}

func appendString(b []byte, s string) []byte {
	var seen byte
	for i := range len(s) {
		seen |= classes[s[i]]
	}
	if seen == 0 {
		return append(append(append(b, '"'), s...), '"')
	}
	quoted, err := json.Marshal(s)
	if err != nil { // Strings always marshal.
		panic(err)
	}
	return append(b, quoted...)
}

// FormatTime renders a moment as events do: UTC, milliseconds.
func FormatTime(t time.Time) string { return t.UTC().Format(timeLayout) }
