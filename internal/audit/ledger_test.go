package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/twmb/franz-go/pkg/kgo"

	"daybook/eventstore/kafka"
	"daybook/internal/audit"
	"daybook/internal/testenv"
)

const partitions = 3

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

func (l *ledger) derive(cause, eventType string, version int64, tx, from, to, amount, kind string) {
	l.event("billing.transaction.events", "Transaction", tx, version, eventType, cause, "", fields{
		"transactionType": kind, "amount": amount, "currency": "EUR", "fromAccountId": from, "toAccountId": to, "reason": "",
	})
}

func (l *ledger) topUp(id, amount, tx, key string) {
	cause := l.move(id, "external:card:EUR", amount, "TOPUP", tx, key, nil)
	l.derive(cause, "TopupRequested", 1, tx, "external:card:EUR", id, amount, "TOPUP")
	l.derive(cause, "TopupCompleted", 2, tx, "external:card:EUR", id, amount, "TOPUP")
}

func (l *ledger) debit(from, to, amount, tx, key string) string {
	cause := l.move(from, to, "-"+amount, "TRANSFER", tx, key, nil)
	l.derive(cause, "TransferRequested", 1, tx, from, to, amount, "TRANSFER")
	return cause
}

func (l *ledger) credit(from, to, amount, tx string) {
	cause := l.move(to, from, amount, "TRANSFER", tx, "", nil)
	l.derive(cause, "TransferCompleted", 2, tx, from, to, amount, "TRANSFER")
}

func (l *ledger) transfer(from, to, amount, tx, key string) {
	l.debit(from, to, amount, tx, key)
	l.credit(from, to, amount, tx)
}

func (l *ledger) refuse(from, to, amount, tx string) {
	cause := l.account(to, "CreditRefused", "", fields{
		"amount": amount, "currency": "EUR", "transactionId": tx, "transactionType": "TRANSFER", "counterpartyId": from, "reason": "", "code": "ACCOUNT_CLOSED",
	})
	l.derive(cause, "TransactionFailed", 2, tx, from, to, amount, "TRANSFER")
}

func (l *ledger) reverse(from, to, amount, tx string) {
	cause := l.move(from, to, amount, "TRANSFER", tx, "", fields{"reversal": true, "refusalCode": "ACCOUNT_CLOSED"})
	l.derive(cause, "TransactionCompensated", 3, tx, from, to, amount, "TRANSFER")
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
