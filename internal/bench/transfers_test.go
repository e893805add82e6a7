package bench

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/testenv"
)

const brief = 100 * time.Millisecond

// book is what the log says of transfers and accounts.
type book struct {
	debits, credits, requested, completed int64
	bytes                                 int
	balances                              map[string]decimal.Decimal
}

func readBook(t *testing.T, client *kafka.Client, partitions int32) book {
	t.Helper()
	b := book{balances: map[string]decimal.Decimal{}}
	for p := range partitions {
		for _, topic := range []string{eventstore.AccountEvents, eventstore.TransactionEvents} {
			end, err := client.EndOffset(topic, p)
			if err != nil {
				t.Fatal(err)
			}
			reader, err := client.OpenReader(topic, p)
			if err != nil {
				t.Fatal(err)
			}
			for next := int64(0); next < end; {
				chunk, err := reader.Read(t.Context(), next, time.Second)
				if err != nil {
					t.Fatal(err)
				}
				for i := range chunk.Messages {
					b.take(t, &chunk.Messages[i])
				}
				next = chunk.Next
			}
			_ = reader.Close()
		}
	}
	return b
}

func (b *book) take(t *testing.T, m *eventstore.Message) {
	t.Helper()
	e, err := eventstore.Decode(m)
	if err != nil {
		t.Fatal(err)
	}
	switch d := e.Data.(type) {
	case *account.BalanceChanged:
		b.balances[e.AggregateID] = d.NewBalance
		if d.TransactionType != account.Transfer {
			return
		}
		if d.ChangeType == account.Debit {
			b.debits++
		} else {
			b.credits++
		}
	case *transaction.Event:
		if d.Type != account.Transfer {
			return
		}
		if d.Status == transaction.Pending {
			b.requested++
		} else {
			b.completed++
		}
	default:
		return
	}
	b.bytes += size(m)
}

func size(m *eventstore.Message) int {
	n := len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// missing is the money that debits took and no credit gave yet.
func (b *book) missing() decimal.Decimal {
	sum := opening.Mul(decimal.NewFromInt(accounts))
	for _, balance := range b.balances {
		sum = sum.Sub(balance)
	}
	return sum
}

// onLog runs a test with Daybook's topics on each kind of log.
func onLog(t *testing.T, test func(t *testing.T, client *kafka.Client, partitions int32)) {
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		client, err := kafka.Open(kafka.Config{Brokers: brokers, ClientID: "bench", Logger: testenv.Logger()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		partitions, err := client.EnsureTopics(kafka.TopicsConfig{})
		if err != nil {
			t.Fatal(err)
		}
		test(t, client, partitions)
	})
}

func wantMeasured(t *testing.T, what string, r Result, err error) {
	t.Helper()
	if err != nil || r.PerSecond <= 0 || r.P50 <= 0 || r.P99 < r.P50 {
		t.Fatalf("%s: %+v, %v", what, r, err)
	}
}

func TestMeasuredTransfersAreInTheLog(t *testing.T) {
	onLog(t, func(t *testing.T, client *kafka.Client, partitions int32) {
		result, err := Transfers(t.Context(), client, partitions, filepath.Join(t.TempDir(), "state"), 64, 5*brief)
		wantMeasured(t, "transfers", result, err)
		b := readBook(t, client, partitions)
		if b.debits != result.Transfers || b.credits != result.Transfers || !b.missing().IsZero() {
			t.Errorf("%d transfers made %d debits and %d credits, and %s is missing", result.Transfers, b.debits, b.credits, b.missing())
		}
		if result.Crossing < 0.4 || result.Crossing > 0.9 {
			t.Errorf("%.2f of the transfers were between partitions; about two of three should be", result.Crossing)
		}
	})
}

func TestMeasuredBatchesAreInTheLog(t *testing.T) {
	onLog(t, func(t *testing.T, client *kafka.Client, partitions int32) {
		result, err := Batches(t.Context(), client, partitions, filepath.Join(t.TempDir(), "state"), 100, 4, 5*brief)
		wantMeasured(t, "batches", result, err)
		b := readBook(t, client, partitions)
		// What lies in other partitions may be left undone when the engine stops.
		if b.debits != result.Transfers || !b.missing().Equal(amount.Mul(decimal.NewFromInt(b.debits-b.credits))) {
			t.Errorf("%d transfers made %d debits and %d credits, and %s is missing", result.Transfers, b.debits, b.credits, b.missing())
		}
	})
}

func TestTheTimeUntilCompletedIsMeasuredBesideACommit(t *testing.T) {
	onLog(t, func(t *testing.T, client *kafka.Client, partitions int32) {
		completed, commit, err := Completion(t.Context(), client, partitions, filepath.Join(t.TempDir(), "state"), 8, 5*brief)
		wantMeasured(t, "completed", completed, err)
		wantMeasured(t, "commit", commit, err)
		if b := readBook(t, client, partitions); b.debits == 0 || b.credits != b.debits {
			t.Errorf("there are %d debits and %d credits", b.debits, b.credits)
		}
	})
}

// TestASampleIsWhatTheEngineWrites keeps what stands beside the engine honest.
func TestASampleIsWhatTheEngineWrites(t *testing.T) {
	onLog(t, func(t *testing.T, client *kafka.Client, partitions int32) {
		sample, err := SampleTransfer()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Transfers(t.Context(), client, partitions, filepath.Join(t.TempDir(), "state"), 64, 5*brief); err != nil {
			t.Fatal(err)
		}
		b := readBook(t, client, partitions)
		messages := b.debits + b.credits + b.requested + b.completed
		sampled := 0
		for i := range sample {
			sampled += size(&sample[i])
		}
		mean := float64(b.bytes) / float64(messages) * transferEvents
		if len(sample) != transferEvents || float64(sampled) < 0.985*mean || float64(sampled) > 1.015*mean {
			t.Errorf("a sample has %d events of %d bytes; the engine writes %d of %.0f", len(sample), sampled, transferEvents, mean)
		}
		t.Logf("a sample has %d bytes, what the engine writes %.0f", sampled, mean)
	})
}

func TestRawBatchesAreInTheLogWhole(t *testing.T) {
	onLog(t, func(t *testing.T, client *kafka.Client, partitions int32) {
		sample, err := SampleTransfer()
		if err != nil {
			t.Fatal(err)
		}
		for _, commands := range []int{1, 100, 1000} {
			result, err := RawBatches(t.Context(), client, partitions, sample, commands, 4, brief)
			wantMeasured(t, "raw", result, err)
			_, err = raw(t.Context(), client, partitions, sample, func(g *rawGroup) (Result, error) {
				before := int64(0) // Of markers.
				for p := range partitions {
					before += endOf(t, client, g.topic, p)
				}
				if err := g.spread(t.Context(), commands); err != nil {
					return Result{}, err
				}
				for p := range partitions {
					before -= endOf(t, client, g.topic, p)
				}
				if before != -int64(commands*len(sample)) {
					t.Errorf("%d commands of %d messages wrote %d", commands, len(sample), -before)
				}
				return Result{}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func endOf(t *testing.T, client *kafka.Client, topic string, p int32) int64 {
	t.Helper()
	end, err := client.EndOffset(topic, p)
	if err != nil {
		t.Fatal(err)
	}
	return end
}

func TestFilledTransfersBalance(t *testing.T) {
	onLog(t, func(t *testing.T, client *kafka.Client, partitions int32) {
		transfers, events, err := ProjectTransfers(t.Context(), client, partitions, testenv.SQLite(t), 1000)
		if err != nil || transfers.PerSecond <= 0 || events.PerSecond <= transfers.PerSecond {
			t.Fatalf("projected %+v and %+v, %v", transfers, events, err)
		}
		b := readBook(t, client, partitions)
		if b.debits != 1000 || b.credits != 1000 || b.requested != 1000 || b.completed != 1000 || !b.missing().IsZero() {
			t.Errorf("1000 transfers came to %d debits, %d credits, %d requests and %d completions, and %s is missing",
				b.debits, b.credits, b.requested, b.completed, b.missing())
		}
	})
}
