package engine

import (
	"testing"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
)

// Who waits for a transaction hears of legs from two partitions, which this node follows independently.
func TestWhyATransactionCameBackIsToldInWhateverOrderItsLegsAreHeardOf(t *testing.T) {
	refusal := eventstore.Event{Data: &account.CreditRefused{TransactionID: "t", Code: domain.AccountClosed}}
	reversal := eventstore.Event{Data: &account.BalanceChanged{TransactionID: "t", Reversal: true, RefusalCode: domain.AccountClosed}}
	for name, order := range map[string][]eventstore.Event{
		"the refusal first": {refusal, reversal}, "the reversal first": {reversal, refusal}, "the reversal alone": {reversal},
	} {
		var w waiters
		news, end := w.register("t")
		for _, e := range order {
			w.notify([]eventstore.Recorded{{Event: e}})
		}
		end()
		tx := transaction.State{ID: "t", Status: transaction.Pending}

		for range order {
			l := <-news
			l.apply(&tx)
		}

		if tx.Status != transaction.Compensated || tx.FailureCode != domain.AccountClosed {
			t.Errorf("%s: it is told to be %s for %q", name, tx.Status, tx.FailureCode)
		}
	}
}
