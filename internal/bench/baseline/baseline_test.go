package baseline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/internal/bench"
	"daybook/internal/bench/wire"
	"daybook/internal/testenv"
)

var orders = map[string]Order{"locking first": LockFirst, "locking last": LockLast}

// onBook runs a test on new books, which must be right afterwards.
func onBook(t *testing.T, connections, accounts int, opening int64, test func(ctx context.Context, b *book)) {
	t.Helper()
	url := testenv.Postgres(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := withBook(ctx, url, connections, accounts, opening, func(b *book) error {
		test(ctx, b)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func (b *book) balance(ctx context.Context, t *testing.T, account int64) (cents int64) {
	t.Helper()
	if err := b.pool.QueryRow(ctx, "select balance from accounts where id = $1", account).Scan(&cents); err != nil {
		t.Fatal(err)
	}
	return cents
}

func wantRefusal(t *testing.T, err error, want refusal) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestARepeatedKeyMovesNothingTwice(t *testing.T) {
	onBook(t, 16, 2, 1000, func(ctx context.Context, b *book) {
		sent := transfer{key: "rent", debit: 1, credit: 2, amount: 400}
		answers := make([]int64, 16)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				var err error
				if answers[i], err = b.transfer(ctx, sent); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		b.acknowledged.Add(1)

		for _, id := range answers {
			if id == 0 || id != answers[0] {
				t.Errorf("the answers differ: %v", answers)
				break
			}
		}
		if got := b.balance(ctx, t, 1); got != 600 {
			t.Errorf("the payer has %d cents left, not 600", got)
		}
		sent.amount++
		_, err := b.transfer(ctx, sent)
		wantRefusal(t, err, keyReused)
	})
}

func TestWhatCannotBeMovedIsRefused(t *testing.T) {
	onBook(t, 1, 2, 1000, func(ctx context.Context, b *book) {
		for want, sent := range map[refusal]transfer{
			insufficientFunds: {key: "k", debit: 1, credit: 2, amount: 1002},
			invalidTransfer:   {key: "k", debit: 1, credit: 1, amount: 1},
			accountNotFound:   {key: "k", debit: 3, credit: 1, amount: 1},
		} {
			_, err := b.transfer(ctx, sent)
			wantRefusal(t, err, want)
			for _, order := range orders {
				_, err := b.transferAll(ctx, order, []transfer{{key: "good", debit: 2, credit: 1, amount: 1}, sent})
				wantRefusal(t, err, want)
			}
		}
		_, err := b.transfer(ctx, transfer{key: "k", debit: 1, credit: 2, amount: -1})
		wantRefusal(t, err, invalidTransfer)
	})
}

func TestManyTransfersMoveEachKeyOnce(t *testing.T) {
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			onBook(t, 2, 10, 1_000_000, func(ctx context.Context, b *book) {
				all := make([]transfer, BulkTransfers)
				for i := range all {
					all[i] = b.random(0, i)
				}
				all[1] = all[0]

				first, err := b.transferAll(ctx, order, all[:300])
				if err != nil || first != 299 {
					t.Errorf("of the first 300, one of them twice, %d were new, not 299: %v", first, err)
				}
				second, err := b.transferAll(ctx, order, all)
				if err != nil || second != 200 {
					t.Errorf("of 200 more %d were new: %v", second, err)
				}
				third, err := b.transferAll(ctx, order, all)
				if err != nil || third != 0 {
					t.Errorf("sent again, %d were new: %v", third, err)
				}
				b.acknowledged.Add(first + second)
				all[7].amount++
				_, err = b.transferAll(ctx, order, all)
				wantRefusal(t, err, keyReused)
			})
		})
	}
}

// contend has 16 callers move random amounts between few accounts that soon run empty.
func contend(ctx context.Context, b *book) (refused int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var insufficient atomic.Int64
	var wg sync.WaitGroup
	for caller := range 16 {
		wg.Go(func() {
			for n := range 100 {
				sent := b.random(caller, n)
				sent.amount = rand.Int64N(2*b.opening) + 1
				_, err := b.transfer(ctx, sent)
				switch {
				case errors.Is(err, insufficientFunds):
					insufficient.Add(1)
				case err != nil:
					cancel(err)
					return
				default:
					b.acknowledged.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return insufficient.Load(), context.Cause(ctx)
}

func TestNoBalanceFallsBelowZeroUnderContention(t *testing.T) {
	onBook(t, 16, 4, 1000, func(ctx context.Context, b *book) {
		refused, err := contend(ctx, b)
		if err != nil {
			t.Fatal(err)
		}
		if made := b.acknowledged.Load(); made == 0 || refused == 0 {
			t.Errorf("%d transfers were made and %d refused: both were to happen", made, refused)
		}
	})
}

func TestNoBalanceFallsBelowZeroUnderContendingStatements(t *testing.T) {
	onBook(t, 4, 4, 1000, func(ctx context.Context, b *book) {
		var refused atomic.Int64
		var wg sync.WaitGroup
		for writer := range 4 {
			order := Order(writer % 2)
			wg.Go(func() {
				for n := range 50 {
					all := make([]transfer, 20)
					for i := range all {
						all[i] = b.random(writer, n*len(all)+i)
					}
					fresh, err := b.transferAll(ctx, order, all)
					if errors.Is(err, insufficientFunds) {
						refused.Add(1)
					} else if err != nil {
						t.Error(err)
					}
					b.acknowledged.Add(fresh)
				}
			})
		}
		wg.Wait()
		if made := b.acknowledged.Load(); made == 0 || refused.Load() == 0 {
			t.Errorf("%d transfers were made and %d statements refused: both were to happen", made, refused.Load())
		}
	})
}

// planted replaces text of the function transfer.
func planted(t *testing.T, old, replacement string) string {
	t.Helper()
	_, rest, _ := strings.Cut(schema, "create function transfer(")
	body, _, found := strings.Cut(rest, "$$;")
	if !found || !strings.Contains(body, old) {
		t.Fatalf("transfer does not contain %q", old)
	}
	return "create or replace function transfer(" + strings.ReplaceAll(body, old, replacement) + "$$;"
}

func TestPlantedBugsAreFound(t *testing.T) {
	url := testenv.Postgres(t)
	for _, c := range []struct{ name, plant, want string }{
		{"no balance check", "alter table accounts drop constraint no_overdraft", "balance below zero"},
		{
			"a balance read before its row is locked",
			planted(t, "set balance = balance + case", "set balance = (select a.balance from accounts as a where a.id = accounts.id) + case"),
			"balance is not what they opened with",
		},
		{
			"locks in no order",
			planted(t, "least(a_debit, a_credit)", "a_debit") + strings.ReplaceAll(planted(t, "greatest(a_debit, a_credit)", "a_credit"), "least(a_debit, a_credit)", "a_debit"),
			"deadlock detected",
		},
		{"one entry only", planted(t, ", (made, a_credit, an_amount)", ""), "without exactly one debit and one credit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := withBook(ctx, url, 16, 4, 1000, func(b *book) error {
				if _, err := b.pool.Exec(ctx, c.plant); err != nil {
					t.Fatal(err)
				}
				_, err := contend(ctx, b)
				return err
			})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("found %v, not %q", err, c.want)
			}
		})
	}
}

func TestCorruptedRowsAreFound(t *testing.T) {
	url := testenv.Postgres(t)
	for statement, want := range map[string]string{
		"update accounts set balance = balance + 1 where id = 1":                                                                     "sum of the balances",
		"update accounts set balance = balance + case id when 1 then 1 else -1 end where id < 3":                                     "balance is not what they opened with",
		"delete from entries where transfer = 1 and amount < 0":                                                                      "without exactly one debit and one credit",
		"update entries set amount = amount + 1 where transfer = 1":                                                                  "sum of the entries",
		"insert into entries select * from entries where transfer = 1":                                                               "without exactly one debit and one credit",
		"insert into entries values (0, 1, 1), (0, 1, -1)":                                                                           "entries: 6, not 4",
		"insert into transfers (key, debit, credit, amount) values ('x', 1, 2, 1); insert into entries values (3, 1, -1), (3, 2, 1)": "transfers: 3, not 2",
		"delete from transfers where id = 1; delete from entries where transfer = 1":                                                 "transfers: 1, not 2",
	} {
		t.Run(statement, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := withBook(ctx, url, 1, 4, 1000, func(b *book) error {
				for n := range 2 {
					if _, err := b.transfer(ctx, b.random(0, n)); err != nil {
						return err
					}
					b.acknowledged.Add(1)
				}
				if err := b.verify(ctx); err != nil {
					t.Errorf("before the corruption: %v", err)
				}
				_, err := b.pool.Exec(ctx, statement)
				return err
			})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("found %v, not %q", err, want)
			}
		})
	}
}

func TestTheEndpointAnswersInJSON(t *testing.T) {
	onBook(t, 1, 2, 1000, func(_ context.Context, b *book) {
		err := b.serve(func(address string) error {
			c, err := wire.Dial(address, transfersPath)
			if err != nil {
				return err
			}
			defer c.Close() //nolint:errcheck // Every answer has been read.
			for _, exchange := range []struct{ sent, want string }{
				{`{"idempotencyKey":"a","debit":1,"credit":2,"amount":"4.00"}`, `{"id":"1","status":"COMPLETED"}`},
				{`{"idempotencyKey":"a","debit":1,"credit":2,"amount":"4.00"}`, `{"id":"1","status":"COMPLETED"}`},
				{`{"idempotencyKey":"a","debit":1,"credit":2,"amount":"4.01"}`, `{"error":"KEY_REUSED"}`},
				{`{"idempotencyKey":"b","debit":1,"credit":2,"amount":"6.01"}`, `{"error":"INSUFFICIENT_FUNDS"}`},
				{`{"idempotencyKey":"","debit":1,"credit":2,"amount":"1.00"}`, `{"error":"INVALID_TRANSFER"}`},
				{`{"idempotencyKey":"b","debit":1,"credit":2,"amount":1}`, `{"error":"INVALID_TRANSFER"}`},
				{`{`, `{"error":"INVALID_TRANSFER"}`},
			} {
				got, ok, err := c.Post([]byte(exchange.sent))
				if err != nil {
					return err
				}
				if string(got) != exchange.want || ok == strings.Contains(exchange.want, "error") {
					t.Errorf("%s was answered with %s, not %s", exchange.sent, got, exchange.want)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		b.acknowledged.Add(1)
	})
}

func TestAnAmountIsCentsAboveZero(t *testing.T) {
	for s, want := range map[string]int64{
		"1.00": 100, "0.01": 1, "999999999999.99": 99999999999999,
		"": 0, "1": 0, "1.": 0, ".50": 0, "1.5": 0, "1.505": 0, "0.00": 0, "-1.00": 0, "+1.00": 0, "1e3.00": 0, "1_0.00": 0, "1000000000000.00": 0,
	} {
		if got, ok := parseCents(s); got*map[bool]int64{true: 1}[ok] != want || ok != (want > 0) {
			t.Errorf("%q is %d, %v", s, got, ok)
		}
	}
}

func TestEveryLoadIsMeasuredAndLeavesNothing(t *testing.T) {
	url := testenv.Postgres(t)
	const d = 200 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, load := range map[string]func() (bench.Result, error){
		"transfers":     func() (bench.Result, error) { return Transfers(ctx, url, 16, d) },
		"over HTTP":     func() (bench.Result, error) { return TransfersHTTP(ctx, url, 16, d) },
		"locking first": func() (bench.Result, error) { return Bulk(ctx, url, LockFirst, d) },
		"locking last":  func() (bench.Result, error) { return Bulk(ctx, url, LockLast, d) },
	} {
		t.Run(name, func(t *testing.T) {
			// The second finds nothing of the first.
			for range 2 {
				r, err := load()
				if err != nil || r.PerSecond <= 0 || r.P50 <= 0 || r.P99 < r.P50 {
					t.Fatalf("measured %s: %v", fmt.Sprint(r), err)
				}
			}
		})
	}
}
