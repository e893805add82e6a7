package projector

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
	"daybook/internal/ids"
	"daybook/internal/testenv"
)

// BenchmarkTransactions measures how many events of transactions a second a projector brings into the database.
func BenchmarkTransactions(b *testing.B) {
	for name, database := range map[string]func(testing.TB) string{"sqlite": testenv.SQLite, "postgres": testenv.Postgres} {
		b.Run(name, func(b *testing.B) {
			l := newLedger(b)
			const transactions = 50_000
			for range transactions {
				id, correlation, now := ids.New(), ids.New(), time.Now().Truncate(time.Millisecond)
				for _, status := range []transaction.Status{transaction.Pending, transaction.Completed} {
					data := &transaction.Event{Status: status, Details: transaction.Details{
						Type: account.Transfer, Amount: decimal.New(1234, -2), Currency: "EUR", From: "bench-1234-17", To: "bench-1234-18", Reason: "Rent for December",
					}}
					l.put(eventstore.TransactionEvents, eventstore.PartitionOf(id, partitions), &eventstore.Event{
						ID: ids.New(), AggregateID: id, Version: data.Version(), Timestamp: now, CorrelationID: correlation,
						CausationID: ids.New(), Metadata: eventstore.Metadata{ActorID: "user_123", ActorType: "api"}, Data: data,
					})
				}
			}
			l.write()
			for b.Loop() {
				m := openModel(b, database(b))
				began := time.Now()
				_, stop := project(b, l.client, m)
				l.awaitProjected(m)
				b.ReportMetric(2*transactions/time.Since(began).Seconds(), "events/s")
				stop()
			}
		})
	}
}
