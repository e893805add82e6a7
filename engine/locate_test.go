package engine_test

import (
	"testing"
	"time"

	"daybook/domain"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/internal/testenv"
)

const noHold = "00000000-0000-4000-8000-000000000000"

func TestANodeThatHasNotReadTheLogDoesNotSayThatAHoldIsNotThere(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	owner := startNode(t, brokers, t.TempDir(), all)
	payer, payee := inPartition(0, "payer"), inPartition(1, "payee")
	owner.create(payer)
	owner.create(payee)
	owner.topUp(payer, "10.00", "t")
	id := owner.must(hold(payer, payee, "5.00", "h")).Hold.ID

	second := newNode(t, brokers, t.TempDir(), with(func(c *engine.Config) { c.CommandTimeout = 100 * time.Millisecond }))
	for _, asked := range []string{id, noHold} {
		if _, err := second.execute(capture(asked, "", "c")); domain.CodeOf(err) != domain.Unavailable {
			t.Errorf("before it has read anything: got %v", err)
		}
		if answers := second.engine.ExecuteBatch(t.Context(), []ledger.Command{capture(asked, "", "c"), capture(asked, "", "d")}, false); domain.CodeOf(answers[1].Err) != domain.Unavailable {
			t.Errorf("in a batch: got %+v", answers)
		}
	}
	second.start() // It follows only.
	testenv.Eventually(t, func() error {
		_, err := second.execute(capture(noHold, "", "c"))
		if domain.CodeOf(err) == domain.HoldNotFound {
			return nil
		}
		return err
	})
	if _, err := second.execute(capture(id, "", "c")); domain.CodeOf(err) != domain.Unavailable {
		t.Errorf("a hold of another node's account: got %v", err)
	}
	if r := owner.must(capture(id, "", "c")); r.Account.Balance.StringFixed(2) != "5.00" {
		t.Errorf("the owner's capture leads to %+v", r.Account)
	}
}
