package audit

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/shopspring/decimal"
	"github.com/twmb/franz-go/pkg/kgo"
)

// maxPoll bounds how long a fetch waits for more.
const maxPoll = 500 * time.Millisecond

// timeLayout orders as text as it does as time.
const timeLayout = "2006-01-02T15:04:05.000Z"

// event is an event as it stands in the log, before anyone makes sense of it.
type event struct {
	EventID          string          `json:"eventId"`
	EventType        string          `json:"eventType"`
	AggregateID      string          `json:"aggregateId"`
	AggregateType    string          `json:"aggregateType"`
	AggregateVersion int64           `json:"aggregateVersion"`
	Timestamp        string          `json:"timestamp"`
	CorrelationID    string          `json:"correlationId"`
	CausationID      string          `json:"causationId"`
	Data             json.RawMessage `json:"data"`

	headers   map[string]string
	partition int32
	offset    int64
}

// movement is the data of BalanceChanged.
type movement struct {
	PreviousBalance decimal.Decimal `json:"previousBalance"`
	NewBalance      decimal.Decimal `json:"newBalance"`
	ChangeAmount    decimal.Decimal `json:"changeAmount"`
	ChangeType      string          `json:"changeType"`
	SignedAmount    decimal.Decimal `json:"signedAmount"`
	TransactionID   string          `json:"transactionId"`
	TransactionType string          `json:"transactionType"`
	Currency        string          `json:"currency"`
	CounterpartyID  string          `json:"counterpartyId"`
	Reversal        bool            `json:"reversal"`
	HoldID          string          `json:"holdId"`
	RefundOf        string          `json:"refundOf"`
}

type limits struct {
	MinBalance decimal.Decimal     `json:"minBalance"`
	MaxBalance decimal.NullDecimal `json:"maxBalance"`
}

// where names an event in a problem.
func (e *event) where() string {
	return fmt.Sprintf("%s version %d of %s (partition %d offset %d)", e.EventType, e.AggregateVersion, e.AggregateID, e.partition, e.offset)
}

// parse reads a record and checks what holds for every event. It is false when the record is no event at all.
func (a *auditor) parse(r *kgo.Record, aggregateType string) (*event, bool) {
	e := &event{headers: map[string]string{}, partition: r.Partition, offset: r.Offset}
	if err := json.Unmarshal(r.Value, e); err != nil {
		a.problem("the record at offset %d of %s/%d is no event: %v", r.Offset, r.Topic, r.Partition, err)
		return nil, false
	}
	for _, h := range r.Headers {
		e.headers[h.Key] = string(h.Value)
	}
	if string(r.Key) != e.AggregateID {
		a.problem("%s has the key %q", e.where(), r.Key)
	}
	if home := partitionOf(e.AggregateID, a.partitions); home != r.Partition {
		a.problem("%s belongs to partition %d", e.where(), home)
	}
	if e.EventID == "" || e.CorrelationID == "" || e.AggregateType != aggregateType {
		a.problem("%s lacks its id or correlation id, or is of another aggregate (%s)", e.where(), e.AggregateType)
	}
	if at, err := time.Parse(timeLayout, e.Timestamp); err != nil || at.UnixMilli() != r.Timestamp.UnixMilli() {
		a.problem("%s has the timestamp %q and its record %s", e.where(), e.Timestamp, r.Timestamp)
	}
	for name, want := range map[string]string{
		"eventType": e.EventType, "aggregateVersion": strconv.FormatInt(e.AggregateVersion, 10),
		"correlationId": e.CorrelationID, "timestamp": e.Timestamp,
	} {
		if e.headers[name] != want {
			a.problem("%s has the header %s=%q and not %q", e.where(), name, e.headers[name], want)
		}
	}
	return e, true
}

// isMoment tells whether a text is a moment that orders as text does.
func isMoment(s string) bool {
	_, err := time.Parse(timeLayout, s)
	return err == nil
}

// data reads an event's data into the given shape.
func (a *auditor) data(e *event, into any) bool {
	if err := json.Unmarshal(e.Data, into); err != nil {
		a.problem("%s cannot be read: %v", e.where(), err)
		return false
	}
	return true
}

// partitionOf asks the client's own partitioner, which is that of Kafka's Java client.
func partitionOf(key string, partitions int32) int32 {
	return int32(kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte(key)}, int(partitions)))
}
