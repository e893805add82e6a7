package projector

import (
	"testing"

	"daybook/domain/account"
	"daybook/internal/testenv"
)

// holdOf places a hold of 6.00 on a new account.
func (l *ledger) holdOf(id, payee string) account.Hold {
	l.create(id)
	l.topUp(id, "10.00")
	return l.holds[l.hold(id, payee, "6.00")]
}

// plantMoney plants damage in what holds, refunds, origins and the ledger leave in the read model.
func (l *ledger) plantMoney(want map[string]string, plant func(subject, message, statement string, args ...any)) {
	l.t.Helper()
	event := func(change string, takes func(account.Event) bool) {
		l.t.Helper()
		for id, events := range l.events {
			for _, e := range events {
				if want[id] == "" && takes(e.Data.(account.Event)) {
					plant(id, "events in the read model are not those", "UPDATE account_events SET "+change+" WHERE account_id = ? AND version = ?", id, e.Version)
					return
				}
			}
		}
		l.t.Fatalf("nothing to plant %s on", change)
	}
	isHold := func(e account.Event) bool { _, ok := e.(*account.HoldPlaced); return ok }
	isRelease := func(e account.Event) bool { _, ok := e.(*account.HoldReleased); return ok }
	event("hold_id = 'x'", isHold)
	event("hold_id = NULL", func(e account.Event) bool { c, ok := e.(*account.BalanceChanged); return ok && c.HoldID != "" })
	event("refund_of = NULL", func(e account.Event) bool { c, ok := e.(*account.BalanceChanged); return ok && c.RefundOf != "" })
	event("details = '{\"expiresAt\":1}'", isHold)
	event("details = '{\"cause\":\"ACTIVE\"}'", isRelease)
	event("counterparty_id = 'x'", isHold)
	event("transaction_id = 'x'", isRelease)

	var held string
	for id, s := range l.accounts {
		if want[id] == "" && s.Exists() {
			held = id
		}
	}
	plant(held, "held is", "UPDATE accounts SET held = '1.23' WHERE id = ?", held)

	transactions := func(message string, changes ...string) {
		for _, change := range changes {
			for id := range l.transactions {
				if want[id] == "" {
					plant(id, message, "UPDATE transactions SET "+change+" WHERE id = ?", id)
					break
				}
			}
		}
	}
	transactions("differs", "hold_id = 'x'", "refund_of = 'x'", "to_id = 'x'", "updated_at = 1")
	transactions("the transaction's origin", "correlation_id = 'x'", "causation_id = 'x'", "actor_id = 'x'", "actor_type = NULL", "created_at = 1")

	changes := []string{
		"captured = '0.07'", "released = '0.07'", "amount = '0.07'", "status = 'LOST'", "expires_at = 1", "version = version + 1",
		"placed = placed + 1", "counterparty_id = 'x'", "account_id = 'x'", "updated_at = 1", "reason = NULL",
	}
	for id := range l.holds {
		if len(changes) == 0 {
			plant(id, "lacks the hold", "DELETE FROM holds WHERE id = ?", id)
			break
		}
		plant(id, "the hold differs", "UPDATE holds SET "+changes[0]+" WHERE id = ?", id)
		changes = changes[1:]
	}
	plant("hold-x", "of which the log has no event", `INSERT INTO holds (id, account_id, currency, amount, captured, released, status, expires_at,
		created_at, updated_at, placed, version, partition) VALUES ('hold-x', 'account-1', 'EUR', '1.00', '0.00', '0.00', 'ACTIVE', 1, 1, 1, 1, 1, 0)`)
}

func TestVerifyFindsDamageToTheLedger(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 300)
		m := l.projected(url)
		if r := l.verify(m); !r.OK() || r.Holds != int64(len(l.holds)) || r.Holds == 0 {
			t.Fatalf("before anything was planted: %+v", r)
		}
		sums := "the ledger's sums over offsets 0 to 8191 are not those of the log"
		for _, c := range []struct{ damage, repair, message string }{
			{"UPDATE ledger SET debit = '0' || debit WHERE partition = 0", "UPDATE ledger SET debit = substr(debit, 2) WHERE partition = 0", sums},
			{"UPDATE ledger SET credit = '0' || credit WHERE partition = 1", "UPDATE ledger SET credit = substr(credit, 2) WHERE partition = 1", sums},
			{"UPDATE ledger SET last_at = last_at + 1 WHERE partition = 2", "UPDATE ledger SET last_at = last_at - 1 WHERE partition = 2", sums},
			{"UPDATE ledger SET account = 'x' WHERE account = 'external:bank:EUR'", "UPDATE ledger SET account = 'external:bank:EUR' WHERE account = 'x'", sums},
			{"UPDATE ledger SET bucket = 7 WHERE partition = 0", "UPDATE ledger SET bucket = 0 WHERE partition = 0", sums},
			{"UPDATE ledger SET partition = 9 WHERE partition = 0", "UPDATE ledger SET partition = 0 WHERE partition = 9", "a partition that the topic has not"},
		} {
			execute(t, m, c.damage)
			mustFind(t, l.verify(m), "ledger", c.message)
			execute(t, m, c.repair)
			l.mustVerify(m)
		}
		execute(t, m, "DELETE FROM ledger WHERE account = 'external:card:EUR'")
		mustFind(t, l.verify(m), "ledger", sums)
	})
}
