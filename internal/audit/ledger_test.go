package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/twmb/franz-go/pkg/kgo"

	"daybook/eventstore/kafka"
	"daybook/internal/audit"
	"daybook/internal/testenv"
)

const (
	partitions = 3
	outside    = "external:card:EUR"
)

type fields map[string]any

// ledger writes a log by hand, event by event, so that a test can write one that is wrong.
type ledger struct {
	t       *testing.T
	records []*kgo.Record
	version map[string]int64
	balance map[string]decimal.Decimal
	now     time.Time
	ids     int
}

func newLedger(t *testing.T) *ledger {
	return &ledger{
		t: t, version: map[string]int64{}, balance: map[string]decimal.Decimal{},
		now: time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC),
	}
}

// event writes one event and returns its id.
func (l *ledger) event(topic, aggregateType, id string, version int64, eventType, causation, key string, data fields) string {
	l.ids++
	eventID := fmt.Sprintf("event-%d", l.ids)
	if causation != "" && aggregateType == "Transaction" { // Derived ids repeat.
		eventID = "of-" + causation + "-" + eventType
	}
	stamp := l.now.Format("2006-01-02T15:04:05.000Z")
	value, err := json.Marshal(fields{
		"eventId": eventID, "eventType": eventType, "aggregateId": id, "aggregateType": aggregateType, "aggregateVersion": version,
		"timestamp": stamp, "correlationId": "c", "causationId": causation, "schemaVersion": 1, "data": data,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	headers := []kgo.RecordHeader{
		{Key: "eventType", Value: []byte(eventType)}, {Key: "aggregateVersion", Value: fmt.Append(nil, version)},
		{Key: "correlationId", Value: []byte("c")}, {Key: "timestamp", Value: []byte(stamp)},
	}
	if key != "" {
		headers = append(headers, kgo.RecordHeader{Key: "idempotencyKey", Value: []byte(key)},
			kgo.RecordHeader{Key: "fingerprint", Value: []byte("00000000000000000000000000000000")})
	}
	l.records = append(l.records, &kgo.Record{Topic: topic, Key: []byte(id), Value: value, Headers: headers, Timestamp: l.now})
	return eventID
}

func (l *ledger) account(id, eventType, key string, data fields) string {
	l.version[id]++
	return l.event("billing.account.events", "Account", id, l.version[id], eventType, "command", key, data)
}

func (l *ledger) create(id string) {
	l.account(id, "AccountCreated", "create", fields{
		"ownerId": "owner", "type": "USER", "currency": "EUR", "limits": fields{"minBalance": "0.00", "maxBalance": "1000.00"},
	})
}

// move writes a BalanceChanged; a negative amount is a debit.
func (l *ledger) move(id, counterparty, amount, kind, tx, key string, more fields) string {
	signed := decimal.RequireFromString(amount)
	direction := "CREDIT"
	if signed.IsNegative() {
		direction = "DEBIT"
	}
	before := l.balance[id]
	l.balance[id] = before.Add(signed)
	data := fields{
		"previousBalance": before.StringFixed(2), "newBalance": l.balance[id].StringFixed(2), "changeAmount": signed.Abs().StringFixed(2),
		"changeType": direction, "signedAmount": signed.StringFixed(2), "reason": "", "transactionId": tx, "currency": "EUR",
		"transactionType": kind, "counterpartyId": counterparty,
	}
	for k, v := range more {
		data[k] = v
	}
	return l.account(id, "BalanceChanged", key, data)
}

// movement is money on its way between two accounts, or between one and the world outside.
type movement struct{ kind, from, to, amount, tx, holdID, refundOf string }

// links are the fields of what only captures and refunds have.
func (m movement) links(data fields) fields {
	if m.holdID != "" {
		data["holdId"] = m.holdID
	}
	if m.refundOf != "" {
		data["refundOf"] = m.refundOf
	}
	return data
}

// named is the name of an event of the movement's type.
func (m movement) named(suffix string) string {
	return m.kind[:1] + strings.ToLower(m.kind[1:]) + suffix
}

func (l *ledger) derive(cause, eventType string, version int64, m movement) {
	l.event("billing.transaction.events", "Transaction", m.tx, version, eventType, cause, "", m.links(fields{
		"transactionType": m.kind, "amount": m.amount, "currency": "EUR", "fromAccountId": m.from, "toAccountId": m.to, "reason": "",
	}))
}

func (l *ledger) topUp(id, amount, tx, key string) {
	m := movement{kind: "TOPUP", from: outside, to: id, amount: amount, tx: tx}
	cause := l.move(id, outside, amount, m.kind, tx, key, nil)
	l.derive(cause, "TopupRequested", 1, m)
	l.derive(cause, "TopupCompleted", 2, m)
}

func (l *ledger) withdraw(id, amount, tx, key string) {
	m := movement{kind: "WITHDRAWAL", from: id, to: outside, amount: amount, tx: tx}
	cause := l.move(id, outside, "-"+amount, m.kind, tx, key, nil)
	l.derive(cause, "WithdrawalRequested", 1, m)
	l.derive(cause, "WithdrawalCompleted", 2, m)
}

func (l *ledger) leaves(m movement, key string) string {
	cause := l.move(m.from, m.to, "-"+m.amount, m.kind, m.tx, key, m.links(fields{}))
	l.derive(cause, m.named("Requested"), 1, m)
	return cause
}

func (l *ledger) arrives(m movement) {
	cause := l.move(m.to, m.from, m.amount, m.kind, m.tx, "", m.links(fields{}))
	l.derive(cause, m.named("Completed"), 2, m)
}

func (l *ledger) moves(m movement, key string) {
	l.leaves(m, key)
	l.arrives(m)
}

func (l *ledger) refused(m movement) {
	cause := l.account(m.to, "CreditRefused", "", m.links(fields{
		"amount": m.amount, "currency": "EUR", "transactionId": m.tx, "transactionType": m.kind, "counterpartyId": m.from, "reason": "", "code": "ACCOUNT_CLOSED",
	}))
	l.derive(cause, "TransactionFailed", 2, m)
}

func (l *ledger) comesBack(m movement) {
	more := m.links(fields{"reversal": true, "refusalCode": "ACCOUNT_CLOSED"})
	cause := l.move(m.from, m.to, m.amount, m.kind, m.tx, "", more)
	l.derive(cause, "TransactionCompensated", 3, m)
}

func transfer(from, to, amount, tx string) movement {
	return movement{kind: "TRANSFER", from: from, to: to, amount: amount, tx: tx}
}

func (l *ledger) debit(from, to, amount, tx, key string) string {
	return l.leaves(transfer(from, to, amount, tx), key)
}

func (l *ledger) credit(from, to, amount, tx string) { l.arrives(transfer(from, to, amount, tx)) }

func (l *ledger) transfer(from, to, amount, tx, key string) {
	l.moves(transfer(from, to, amount, tx), key)
}

func (l *ledger) refuse(from, to, amount, tx string) { l.refused(transfer(from, to, amount, tx)) }

func (l *ledger) reverse(from, to, amount, tx string) { l.comesBack(transfer(from, to, amount, tx)) }

func (l *ledger) status(id, from, to, key string) {
	l.account(id, "AccountStatusChanged", key, fields{"previousStatus": from, "newStatus": to, "reason": ""})
}

// hold sets an amount aside for an hour.
func (l *ledger) hold(id, payee, amount, holdID, key string) {
	l.account(id, "HoldPlaced", key, fields{
		"holdId": holdID, "amount": amount, "currency": "EUR", "counterpartyId": payee,
		"expiresAt": l.now.Add(time.Hour).Format("2006-01-02T15:04:05.000Z"), "reason": "",
	})
}

func (l *ledger) release(id, amount, holdID, cause, key string) {
	l.account(id, "HoldReleased", key, fields{"holdId": holdID, "amount": amount, "currency": "EUR", "cause": cause, "reason": ""})
}

// releaseRest follows on a capture, which left its key to it.
func (l *ledger) releaseRest(id, amount, holdID, tx, key string) {
	l.account(id, "HoldReleased", key, fields{
		"holdId": holdID, "amount": amount, "currency": "EUR", "cause": "CAPTURED", "reason": "", "transactionId": tx,
	})
}

// audit writes the log to a broker and has it read.
func (l *ledger) audit() *audit.Report {
	l.t.Helper()
	brokers := testenv.Embedded(l.t)
	topics, err := kafka.Open(kafka.Config{Brokers: brokers, ClientID: "test", Logger: testenv.Logger()})
	if err != nil {
		l.t.Fatal(err)
	}
	defer topics.Close() //nolint:errcheck // Only topics were made.
	if _, err := topics.EnsureTopics(kafka.TopicsConfig{Partitions: partitions}); err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		l.t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, l.records...).FirstErr(); err != nil {
		l.t.Fatal(err)
	}
	report, err := audit.Log(ctx, brokers)
	if err != nil {
		l.t.Fatal(err)
	}
	return report
}
