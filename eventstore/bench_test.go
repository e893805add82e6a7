package eventstore

import (
	"testing"

	"daybook/domain/account"
	"daybook/domain/transaction"
)

// benched is what a movement leaves in the log, with the headers that the engine gives it.
func benched() map[string]Event {
	change := sampleDebit()
	change.IdempotencyKey = "5d0c8a52-0d53-4f2e-9f2b-1b7f5a6c9d10"
	change.Traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	return map[string]Event{
		"BalanceChanged":    change,
		"TransferRequested": sampleTransaction(account.Transfer, transaction.Pending, ""),
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, e := range benched() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Encode(&e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, e := range benched() {
		m, err := Encode(&e)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(m.Value)))
			for b.Loop() {
				if _, err := Decode(&m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
