package eventstore

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

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

// Encode renders an event as a message. It fails with BAD_USER_INPUT when the event is larger than MaxEventBytes.
func Encode(e *Event) (Message, error) {
	schema := currentSchema(e.Data.EventType())
	stamp := e.Timestamp.UTC().AppendFormat(nil, timeLayout)
	version := strconv.AppendInt(nil, e.Version, 10)
	schemaVersion := strconv.AppendInt(nil, int64(schema), 10)

	b := make([]byte, 0, 640)
	b = appendField(b, `{"eventId":`, e.ID)
	b = appendField(b, `,"eventType":`, e.Data.EventType())
	b = appendField(b, `,"aggregateId":`, e.AggregateID)
	b = appendField(b, `,"aggregateType":`, e.AggregateType())
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
	b = append(b, '}', '}')
	if len(b) > MaxEventBytes {
		return Message{}, domain.Refuse(domain.BadUserInput, "", "the event would be %d bytes, more than the %d allowed; send less text", len(b), MaxEventBytes)
	}

	headers := make([]Header, 5, 9)
	headers[0] = Header{headerEventType, []byte(e.Data.EventType())}
	headers[1] = Header{headerVersion, version}
	headers[2] = Header{headerCorrelationID, []byte(e.CorrelationID)}
	headers[3] = Header{headerTimestamp, stamp}
	headers[4] = Header{headerSchemaVersion, schemaVersion}
	return Message{Key: []byte(e.AggregateID), Value: b, Headers: appendOptionalHeaders(headers, e), Time: e.Timestamp}, nil
}

func appendOptionalHeaders(h []Header, e *Event) []Header {
	if e.Traceparent != "" {
		h = append(h, Header{headerTraceparent, []byte(e.Traceparent)})
	}
	if e.IdempotencyKey != "" {
		fingerprint := hex.AppendEncode(make([]byte, 0, 32), e.Fingerprint[:])
		h = append(h, Header{headerIdempotencyKey, []byte(e.IdempotencyKey)}, Header{headerFingerprint, fingerprint})
	}
	if p := e.Progress; p != nil {
		h = append(h, Header{headerProgress, fmt.Appendf(nil, "%d/%d/%d", p.Commands, p.Coordinated, p.Partitions)})
	}
	return h
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
		return appendField(b, `,"code":`, string(d.Code))
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
	if d.Reversal {
		b = appendField(b, `,"reversal":true,"refusalCode":`, string(d.RefusalCode))
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
	return append(append(b, money.Format(d, c)...), '"')
}

// appendField appends a name, given with its punctuation, and a JSON string.
func appendField(b []byte, name, value string) []byte {
	return appendString(append(b, name...), value)
}

func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(s)
			if err != nil { // Strings always marshal.
				panic(err)
			}
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// FormatTime renders a moment as events do: UTC, milliseconds.
func FormatTime(t time.Time) string { return t.UTC().Format(timeLayout) }
