package engine_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"daybook/domain"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

// Whoever is told that a batch was aborted may try it anew under other keys.
func TestANodeThatCannotTellDoesNotSayThatABatchWasAborted(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	owner := startNode(t, brokers, t.TempDir(), all)
	payer, payee, elsewhere := inPartition(0, "payer"), inPartition(0, "payee"), inPartition(1, "elsewhere")
	owner.create(payer)
	owner.create(payee)
	owner.topUp(payer, "10.00", "t")
	id := owner.must(hold(payer, payee, "5.00", "h")).Hold.ID
	batch := []ledger.Command{topUp(payer, "1.00", "k1"), capture(id, "", "k2"), topUp(payee, "1.00", "k3")}
	done := owner.batch(true, batch...)
	mustHaveCodes(t, done, "", "", "")

	cut := newNode(t, brokers, t.TempDir(), with(func(c *engine.Config) { c.CommandTimeout = 100 * time.Millisecond }))
	unavailable := slices.Repeat([]domain.Code{domain.Unavailable}, 4)
	mustHaveCodes(t, cut.batch(true, batch...), unavailable...)
	mustHaveCodes(t, cut.batch(true, append(batch, topUp(elsewhere, "1.00", "k4"))...), unavailable...)
	mustHaveCodes(t, cut.batch(true, batch[0], topUp(elsewhere, "1.00", "k4")), unavailable...)
	mustHaveCodes(t, cut.engine.AbortBatch(t.Context(), batch), unavailable...)

	again := owner.batch(true, batch...)
	for i := range again {
		if again[i].Err != nil || again[i].Result.Transaction.ID != done[i].Result.Transaction.ID {
			t.Errorf("command %d was answered %+v, then %+v", i, done[i], again[i])
		}
	}
	owner.mustHave(payer, "6.00", "0.00")
	soundLog(t, brokers)
}

func TestWhatWasCarriedOutBeforeHasItsAnswerInABatchThatIsAborted(t *testing.T) {
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		first, second := pair(t, brokers)
		a, elsewhere := inPartition(2, "a"), inPartition(1, "b")
		first.create(a)
		first.create(elsewhere)
		done := first.topUp(a, "10.00", "k")
		const aborted, refused, spans = domain.BatchAborted, domain.InsufficientBalance, domain.BatchSpansPartitions
		known, other, short, far := topUp(a, "10.00", "k"), topUp(a, "1.00", "x"), withdraw(a, "99.00", "y"), topUp(elsewhere, "1.00", "z")
		conflict := topUp(a, "11.00", "k")
		for name, n := range map[string]*node{"another node": first, "the owner": second} {
			told := func(answers []engine.Answer, want ...domain.Code) {
				t.Helper()
				mustHaveCodes(t, answers, want...)
				for i, code := range want {
					if r := answers[i].Result; code == "" && (r.Transaction == nil || r.Transaction.ID != done.Transaction.ID || r.Account.Version != done.Account.Version) {
						t.Errorf("%s repeats %+v as %+v", name, done, r)
					}
				}
			}
			told(n.batch(true, known, other, short), "", aborted, refused)
			told(n.batch(true, short, known, other), refused, "", aborted)
			told(n.batch(true, other, conflict, short), aborted, domain.IdempotencyConflict, aborted)
			told(n.batch(true, short, conflict), refused, domain.IdempotencyConflict)
			told(n.batch(true, other, known, far), aborted, "", spans)
			told(n.batch(true, far, known, other), aborted, "", spans)
			told(n.batch(true, known, capture(noHold, "", "y")), "", domain.HoldNotFound)
			told(n.engine.AbortBatch(t.Context(), []ledger.Command{other, known}), aborted, "")
		}
		if got := soundLog(t, brokers).Accounts[a].Balance.StringFixed(2); got != "10.00" {
			t.Errorf("the account has %s", got)
		}
	})
}

// The answer of a batch of events is lost in which a group was refused whose first command was carried out before.
func TestAGroupThatBeginsWithARepeatIsAnsweredAsAWholeAfterAFailure(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	var failing atomic.Bool
	var appended atomic.Int64
	f := &faultyLog{onAppend: func(int32, int, []eventstore.Message) fault {
		appended.Add(1)
		if failing.Swap(false) {
			return after
		}
		return none
	}}
	n := startNode(t, brokers, t.TempDir(), all, faulty(f), named("alone"))
	id := inPartition(0, "a")
	n.create(id)
	n.topUp(id, "10.00", "k")
	for i := range 5 { // Often enough the two are decided in one batch.
		failing.Store(true)
		answered := make(chan []engine.Answer, 1)
		go func() {
			answered <- n.engine.ExecuteBatch(context.Background(), []ledger.Command{topUp(id, "10.00", "k"), withdraw(id, "99.00", "w")}, true)
		}()
		n.topUp(id, "1.00", fmt.Sprint("k", i))
		mustHaveCodes(t, <-answered, "", domain.InsufficientBalance)
	}
	n.mustHave(id, "15.00", "0.00")
	soundLog(t, brokers)
}
