package projector

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
	"daybook/internal/ids"
	"daybook/internal/testenv"
)

// mustFind checks that a difference is found on the subject that says so.
func mustFind(t *testing.T, r Report, subject, message string) {
	t.Helper()
	for _, d := range r.Differences {
		if d.Subject == subject && strings.Contains(d.Message, message) {
			return
		}
	}
	t.Errorf("nothing about %s says %q; found %d: %+v", subject, message, r.Found, r.Differences)
}

func TestVerifyFindsBugsPlantedInTheReadModel(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 600)
		var movement string
		for id, s := range l.transactions {
			if s.Status == transaction.Completed {
				movement = id
			}
		}
		m := l.projected(url)
		r := l.verify(m)
		if !r.OK() || r.Accounts != int64(len(l.accounts)) || r.Transactions != int64(len(l.transactions)) || r.Unfinished != 0 || len(r.InTransit) != 0 {
			t.Fatalf("before anything was planted: %+v", r)
		}
		want := map[string]string{} // What is to be found, by account.
		plant := func(subject, message, statement string, args ...any) {
			execute(t, m, statement, args...)
			want[subject] = message
		}
		plant("account-1", "balance is", "UPDATE accounts SET balance = '1000000.00' WHERE id = 'account-1'")
		plant("account-2", "events in the read model are not those", "UPDATE account_events SET balance = '7.77' WHERE account_id = 'account-2' AND version = 3")
		plant("account-3", "events of the account and the read model", "DELETE FROM account_events WHERE account_id = 'account-3' AND version = 2")
		plant("account-4", "lacks the account", "DELETE FROM accounts WHERE id = 'account-4'")
		plant("account-5", "version is", "UPDATE accounts SET version = version + 1 WHERE id = 'account-5'")
		plant("account-6", "events in the read model are not those", "UPDATE account_events SET reason = 'another' WHERE account_id = 'account-6' AND version = 2")
		plant("account-7", "events in the read model are not those", "UPDATE account_events SET log_offset = log_offset + 1 WHERE account_id = 'account-7' AND version = 2")
		plant("account-8", "cannot be read", "UPDATE account_events SET amount = 'much' WHERE account_id = 'account-8' AND event_type = 'BalanceChanged' AND version < 5")
		plant("new", "of which the log has no event", "INSERT INTO accounts (id, version, updated_at, partition) VALUES ('new', 1, 0, 0)")
		plant(movement, "differs", "UPDATE transactions SET status = 'PENDING' WHERE id = ?", movement)
		l.plantMoney(want, plant)

		r = l.verify(m)

		for subject, message := range want {
			mustFind(t, r, subject, message)
		}
		for _, d := range r.Differences {
			if want[d.Subject] == "" {
				t.Errorf("nothing was planted on %s: %s", d.Subject, d.Message)
			}
		}
		execute(t, m, "DELETE FROM transactions WHERE id = ?", movement)
		mustFind(t, l.verify(m), movement, "lacks the transaction")
	})
}

func TestVerifyFindsAnEventThatTheProjectorSkipped(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 200)
		m := openModel(t, url)
		_, stop := project(t, &forgetfulLog{l.client}, m)
		l.awaitProjected(m)
		stop()
		mustFind(t, l.verify(m), "account-1", "events of the account and the read model")
	})
}

// forgetfulLog leaves an account's third event out.
type forgetfulLog struct{ Log }

func (f *forgetfulLog) OpenReader(topic string, partition int32) (eventstore.Reader, error) {
	r, err := f.Log.OpenReader(topic, partition)
	return forgetfulReader{r}, err
}

type forgetfulReader struct{ eventstore.Reader }

func (f forgetfulReader) Read(ctx context.Context, offset int64, maxWait time.Duration) (eventstore.Chunk, error) {
	chunk, err := f.Reader.Read(ctx, offset, maxWait)
	for i := range chunk.Messages {
		if m := &chunk.Messages[i]; string(m.Key) == "account-1" && bytes.Contains(m.Value, []byte(`"aggregateVersion":3,`)) {
			chunk.Messages = append(chunk.Messages[:i:i], chunk.Messages[i+1:]...)
			break
		}
	}
	return chunk, err
}

func TestVerifyFindsBugsPlantedInTheLog(t *testing.T) {
	const id = "account-1"
	// alterNth changes the nth event of the account.
	alterNth := func(n int64, change func(e *eventstore.Event) bool) func(*eventstore.Event) bool {
		return func(e *eventstore.Event) bool {
			return e.AggregateID != id || e.Version != n || change(e)
		}
	}
	for name, c := range map[string]struct {
		alter   func(*eventstore.Event) bool
		plant   func(l *ledger)
		subject string
		message string
	}{
		"a version gap": {
			alter:   alterNth(2, func(*eventstore.Event) bool { return false }),
			subject: id, message: "version 3 follows on 1: there is a gap",
		},
		"a version twice": {
			alter:   alterNth(3, func(e *eventstore.Event) bool { e.Version = 2; return true }),
			subject: id, message: "it repeats one",
		},
		"a time that goes back": {
			alter:   alterNth(3, func(e *eventstore.Event) bool { e.Timestamp = start.Add(-time.Hour); return true }),
			subject: id, message: "earlier than the one before",
		},
		"a time that goes back in the partition": {
			plant: func(l *ledger) {
				l.now = start
				l.create("late")
				l.topUp("late", "1.00")
			},
			subject: "late", message: "earlier than one before it in the partition",
		},
		"an event id twice": {
			alter: alterNth(3, func(e *eventstore.Event) bool { e.ID = "one"; return true }),
			plant: func(l *ledger) {
				l.alter = func(e *eventstore.Event) bool { e.ID = "one"; return true }
				l.topUp(id, "1.00")
			},
			subject: id, message: "repeats the event id one",
		},
		"a balance out of thin air": {
			plant: func(l *ledger) {
				e, _ := account.DecideCredit(l.accounts[id], movement("1.00", account.Topup, "external:card:EUR", ids.New()))
				e.NewBalance = e.NewBalance.Add(eur("5.00"))
				l.record(id, e)
			},
			subject: "EUR", message: "sum to 5 and not to zero",
		},
		"a debit below the limit": {
			plant: func(l *ledger) {
				s := l.accounts[id]
				s.Balance = s.Balance.Add(eur("100000.00"))
				e, _ := account.DecideDebit(s, movement("99999.00", account.Transfer, "account-2", ids.New()))
				e.PreviousBalance, e.NewBalance = l.accounts[id].Balance, l.accounts[id].Balance.Sub(e.ChangeAmount)
				l.record(id, e)
			},
			subject: id, message: "below the lower limit",
		},
		"a change before the account exists": {
			plant: func(l *ledger) {
				l.record("nobody", &account.BalanceChanged{
					NewBalance: eur("1.00"), ChangeAmount: eur("1.00"), ChangeType: account.Credit, Currency: "EUR", TransactionID: ids.New(),
					TransactionType: account.Topup, CounterpartyID: "external:card:EUR",
				})
			},
			subject: "nobody", message: "before the account was created",
		},
		"a debit of what is held": {
			plant: func(l *ledger) {
				l.create("holder")
				l.topUp("holder", "10.00")
				l.hold("holder", "account-2", "6.00")
				s := l.accounts["holder"]
				s.Held = eur("0.00")
				e, _ := account.DecideDebit(s, movement("5.00", account.Withdrawal, "external:bank:EUR", ids.New()))
				l.record("holder", e)
			},
			subject: "holder", message: "leaves -1 available, below the lower limit",
		},
		"a hold of more than is available": {
			plant: func(l *ledger) {
				l.create("holder")
				l.record("holder", &account.HoldPlaced{HoldID: "h", Amount: eur("6.00"), Currency: "EUR", CounterpartyID: id, ExpiresAt: l.now.Add(time.Hour)})
			},
			subject: "holder", message: "hold h leaves -6 available",
		},
		"a capture above the hold": {
			plant: func(l *ledger) {
				h := l.holdOf("holder", id)
				h.Amount = eur("9.00")
				l.capture(h, eur("8.00"), false)
			},
			subject: "holder", message: "which keeps 6",
		},
		"a capture by another payee": {
			plant: func(l *ledger) {
				h := l.holdOf("holder", id)
				h.CounterpartyID = "account-2"
				l.capture(h, eur("1.00"), false)
			},
			subject: "holder", message: "for account-1 is captured by account-2",
		},
		"a capture of a void hold": {
			plant: func(l *ledger) {
				h := l.holdOf("holder", id)
				e, _ := account.DecideVoid(h, "", l.now)
				l.record("holder", e)
				l.capture(h, eur("1.00"), false)
			},
			subject: "holder", message: "is VOIDED and changes again",
		},
		"a capture of no hold": {
			plant: func(l *ledger) {
				h := l.holdOf("holder", id)
				h.ID = "other"
				l.capture(h, eur("1.00"), false)
			},
			subject: "holder", message: "hold other was not placed on this account",
		},
		"a release of less than is left": {
			plant: func(l *ledger) {
				h := l.holdOf("holder", id)
				e, _ := account.DecideVoid(h, "", l.now)
				e.Amount = eur("1.00")
				l.record("holder", e)
			},
			subject: "holder", message: "keeps 6 and ends VOIDED with 1 released",
		},
		"a hold placed twice": {
			plant: func(l *ledger) {
				h := l.holdOf("holder", id)
				l.record("holder", &account.HoldPlaced{HoldID: h.ID, Amount: eur("1.00"), Currency: "EUR", CounterpartyID: id, ExpiresAt: h.ExpiresAt})
			},
			subject: "holder", message: "is placed twice",
		},
		"refunds above the payment": {
			plant: func(l *ledger) {
				l.topUp(id, "10.00")
				l.pay(id, "account-2", "10.00", "payment-1", "")
				l.refund("payment-1", eur("9.00"), false)
				r := l.receipts["payment-1"]
				r.Refunded = eur("0.00")
				l.receipts["payment-1"] = r
				l.refund("payment-1", eur("9.00"), true) // It comes back, and was too much for a while.
			},
			subject: "account-2", message: "18 of payment payment-1 are refunded, which was of 10",
		},
		"a refund of no payment": {
			plant: func(l *ledger) {
				l.topUp("account-2", "10.00")
				l.receipts["other"] = account.Receipt{ID: "other", PayeeID: "account-2", PayerID: id, Currency: "EUR", Amount: eur("10.00")}
				l.refund("other", eur("9.00"), false)
			},
			subject: "account-2", message: "was never received",
		},
		"a credit applied twice": {
			plant: func(l *ledger) {
				l.topUp(id, "10.00")
				l.leave(id, "account-2", "10.00", "transfer-1")
				for range 2 {
					l.credit("account-2", movement("10.00", account.Transfer, id, "transfer-1"))
				}
			},
			subject: "transfer-1", message: "10 EUR arrived that never left an account",
		},
		"a lost reversal": {
			plant: func(l *ledger) {
				l.topUp(id, "10.00")
				l.leave(id, "nobody-1", "10.00", "transfer-2")
				l.record("nobody-1", &account.CreditRefused{
					Amount: eur("10.00"), Currency: "EUR", TransactionID: "transfer-2", TransactionType: account.Transfer, CounterpartyID: id,
					Code: domain.AccountNotFound,
				})
				e := &transaction.Event{Status: transaction.Compensated, FailureCode: domain.AccountNotFound}
				e.Details = l.transactions["transfer-2"].Details
				l.recordTransaction("transfer-2", e, &eventstore.Event{})
			},
			subject: "transfer-2", message: "is COMPENSATED and 10 EUR of it never arrived",
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			l := newLedger(t)
			l.alter = c.alter
			l.history(3, 200)
			if c.plant != nil {
				c.plant(l)
				l.write()
			}
			m := l.projected(testenv.SQLite(t)) // The database makes no difference here.
			mustFind(t, l.verify(m), c.subject, c.message)
		})
	}
}

func TestVerifyTellsWhatIsInTransit(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 50)
		l.topUp("account-1", "30.00")
		l.leave("account-1", "account-2", "10.00", "transfer-1")
		l.leave("account-1", "account-3", "20.00", "transfer-2")
		l.write()
		r := l.verify(l.projected(url))
		if !r.OK() || r.Unfinished != 2 || fmt.Sprint(r.InTransit) != "[{EUR 30 2}]" {
			t.Errorf("got %+v", r)
		}
	})
}

func TestVerifyKnowsThatPartitionsAreNotProjectedInStep(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 400)
		for p := range int32(partitions) {
			m := openModel(t, url)
			projector, stop := project(t, l.client, m)
			projector.Assign([]int32{p})
			l.awaitProjectedOnly(m, p)
			stop()
			// Transfers with partitions that are not projected have one leg in the read model only.
			l.mustVerify(m)
		}
	})
}

func TestVerifyRunsBesideTheProjector(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 200)
		m := openModel(t, url)
		project(t, l.client, m)
		for part := range uint64(8) {
			l.history(part, 100)
			l.mustVerify(m)
		}
		l.awaitProjected(m)
		l.mustVerify(m)
	})
}

func TestVerifyRefusesALogThatEndsEarly(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 50)
		m := l.projected(url)
		execute(t, m, "UPDATE projector_positions SET next = next + 1000 WHERE topic = ? AND partition = 0", eventstore.AccountEvents)
		_, err := Verify(context.Background(), VerifyConfig{Log: l.client, Model: m, Partitions: partitions})
		if err == nil || !strings.Contains(err.Error(), "the log lost its end") {
			t.Errorf("got %v", err)
		}
	})
}

func TestVerifyTellsHowFarItIs(t *testing.T) {
	l := newLedger(t)
	l.history(1, 100)
	m := l.projected(testenv.SQLite(t))
	var all int64
	for _, n := range l.offsets {
		all += n
	}
	var last, total int64
	_, err := Verify(context.Background(), VerifyConfig{Log: l.client, Model: m, Partitions: partitions, Progress: func(done, of int64) {
		if done < last {
			t.Errorf("%d follows on %d", done, last)
		}
		last, total = done, of
	}})
	if err != nil || last != all || total != all {
		t.Errorf("it ended at %d of %d, %v, want %d", last, total, err, all)
	}
}
