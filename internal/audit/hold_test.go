package audit_test

import (
	"fmt"
	"testing"
	"time"

	"daybook/internal/audit"
)

// captures pays out of the hold h1.
func captures(from, to, amount, tx string) movement {
	m := payment(from, to, amount, tx)
	m.holdID = "h1"
	return m
}

// held is a log with a hold of 60.00 on ann's 100.00, for bob.
func held(t *testing.T) *ledger {
	l := opened(t)
	l.hold(ann, bob, "60.00", "h1", "hold")
	return l
}

func TestHoldsAreSoundWhicheverWayTheyEnd(t *testing.T) {
	l := held(t)
	l.hold(ann, dan, "30.00", "h2", "k1")
	l.hold(ann, bob, "4.00", "h3", "k2")
	l.hold(ann, bob, "6.00", "h4", "k3") // Nothing is available any more.
	// In parts, the last of which is refused by the payee: what was captured is ann's own again, and not held.
	l.moves(captures(ann, bob, "20.00", "c1"), "k4")
	back := captures(ann, bob, "40.00", "c2")
	l.leaves(back, "k5")
	l.refused(back)
	l.comesBack(back)
	// The last part, with the rest released, within a partition.
	last := captures(ann, dan, "10.00", "c3")
	last.holdID = "h2"
	l.leaves(last, "")
	l.releaseRest(ann, "20.00", "h2", "c3", "k6")
	l.arrives(last)
	l.status(ann, "ACTIVE", "SUSPENDED", "k7")
	l.release(ann, "4.00", "h3", "VOIDED", "k8")
	l.now = l.now.Add(time.Hour)
	l.release(ann, "6.00", "h4", "EXPIRED", "")

	r := l.audit()

	if len(r.Problems) > 0 || len(r.Unfinished) > 0 {
		t.Fatalf("problems %v, unfinished %v", r.Problems, r.Unfinished)
	}
	if got := r.Accounts[ann]; got.Balance.StringFixed(2) != "70.00" || !got.Held.IsZero() {
		t.Errorf("ann has %s, of which %s held", got.Balance, got.Held)
	}
	for id, want := range map[string]string{
		"h1": "60.00 60.00 0.00 CAPTURED", "h2": "30.00 10.00 20.00 CAPTURED", "h3": "4.00 0.00 4.00 VOIDED", "h4": "6.00 0.00 6.00 EXPIRED",
	} {
		h := r.Holds[id]
		if got := fmt.Sprint(h.Amount.StringFixed(2), " ", h.Captured.StringFixed(2), " ", h.Released.StringFixed(2), " ", h.Status); got != want || h.AccountID != ann {
			t.Errorf("%s of %s is %s, want %s", id, h.AccountID, got, want)
		}
	}
	if got := r.Keys[audit.Key{AccountID: ann, Key: "k6"}]; got.EventType != "HoldReleased" || got.TransactionID != "c3" || got.HoldID != "h2" || got.Balance.StringFixed(2) != "70.00" {
		t.Errorf("the key of the last capture leads to %+v", got)
	}
	if got := r.Keys[audit.Key{AccountID: ann, Key: "hold"}]; got.HoldID != "h1" || got.TransactionID != "" {
		t.Errorf("the key of the hold leads to %+v", got)
	}
	if tx := r.Transactions["c1"]; tx.HoldID != "h1" || tx.Type != "PAYMENT" {
		t.Errorf("c1 is %+v", tx)
	}
}

func TestACapturedPaymentCanBeRefunded(t *testing.T) {
	l := held(t)
	l.moves(captures(ann, bob, "60.00", "p1"), "k1")
	l.moves(refund(bob, ann, "60.00", "r1"), "k2")
	if r := l.audit(); len(r.Problems) > 0 || len(r.Unfinished) > 0 || r.Accounts[ann].Balance.StringFixed(2) != "100.00" {
		t.Fatalf("problems %v, unfinished %v, ann %+v", r.Problems, r.Unfinished, r.Accounts[ann])
	}
}

func TestPlantedBugsOfHoldsAreFound(t *testing.T) {
	findEach(t, held, map[string]planted{
		"a hold above what is available": {func(l *ledger) { l.hold(ann, bob, "40.01", "h2", "k1") }, "leaves -0.01 available"},
		"a debit of what is held":        {func(l *ledger) { l.transfer(ann, bob, "40.01", "t1", "k1") }, "leaves -0.01 available"},
		"a withdrawal of what is held":   {func(l *ledger) { l.withdraw(ann, "40.01", "t1", "k1") }, "leaves -0.01 available"},
		"a lower limit above what is available": {func(l *ledger) {
			l.account(ann, "AccountLimitsChanged", "k1", fields{
				"currency": "EUR", "previousLimits": fields{"minBalance": "0.00", "maxBalance": "1000.00"}, "newLimits": fields{"minBalance": "40.01"},
			})
		}, "leaves 40 available, the lower limit is 40.01"},
		"a hold on a suspended account": {func(l *ledger) {
			l.status(ann, "ACTIVE", "SUSPENDED", "k1")
			l.hold(ann, bob, "1.00", "h2", "k2")
		}, `the account is "SUSPENDED"`},
		"a capture on a suspended account": {func(l *ledger) {
			l.status(ann, "ACTIVE", "SUSPENDED", "k1")
			l.moves(captures(ann, bob, "1.00", "c1"), "k2")
		}, "the account is SUSPENDED"},
		"a hold for nobody in the books": {func(l *ledger) { l.hold(ann, outside, "1.00", "h2", "k1") }, "no hold can be"},
		"a hold for oneself":             {func(l *ledger) { l.hold(ann, ann, "1.00", "h2", "k1") }, "no hold can be"},
		"a hold of nothing":              {func(l *ledger) { l.hold(ann, bob, "0.00", "h2", "k1") }, "no hold can be"},
		"a hold without key":             {func(l *ledger) { l.hold(ann, bob, "1.00", "h2", "") }, "idempotency key there false"},
		"a hold placed twice":            {func(l *ledger) { l.hold(ann, bob, "1.00", "h1", "k1") }, "there is a hold with the id h1 already"},
		"a hold in another currency": {func(l *ledger) {
			l.account(ann, "HoldPlaced", "k1", fields{
				"holdId": "h2", "amount": "1.00", "currency": "USD", "counterpartyId": bob, "expiresAt": "2026-11-24T10:30:00.000Z",
			})
		}, "is in USD, the account in EUR"},
		"a hold that has expired when it is placed": {func(l *ledger) {
			l.account(ann, "HoldPlaced", "k1", fields{
				"holdId": "h2", "amount": "1.00", "currency": "EUR", "counterpartyId": bob, "expiresAt": "2026-11-24T09:30:00.000Z",
			})
		}, "not after it was placed"},
		"a hold that expires at no moment": {func(l *ledger) {
			l.account(ann, "HoldPlaced", "k1", fields{
				"holdId": "h2", "amount": "1.00", "currency": "EUR", "counterpartyId": bob, "expiresAt": "in a week",
			})
		}, "not after it was placed"},
		"an account closed with holds": {func(l *ledger) {
			// An overdraft, or else a hold could not be on an account without balance.
			l.account(ann, "AccountLimitsChanged", "k1", fields{
				"currency": "EUR", "previousLimits": fields{"minBalance": "0.00", "maxBalance": "1000.00"}, "newLimits": fields{"minBalance": "-100.00"},
			})
			l.withdraw(ann, "100.00", "t1", "k2")
			l.status(ann, "ACTIVE", "CLOSED", "k3")
		}, "closes an account with holds of 60"},
		"an account closed with a balance": {func(l *ledger) { l.status(ann, "ACTIVE", "CLOSED", "k1") }, "closes an account that holds 100"},
	})
}

func TestPlantedBugsOfCapturesAreFound(t *testing.T) {
	findEach(t, held, map[string]planted{
		"captured above the hold": {func(l *ledger) {
			l.moves(captures(ann, bob, "50.00", "c1"), "k1")
			l.moves(captures(ann, bob, "10.01", "c2"), "k2")
		}, "takes 10.01, the hold h1 keeps 10"},
		"captured after all of it was": {func(l *ledger) {
			l.moves(captures(ann, bob, "60.00", "c1"), "k1")
			l.moves(captures(ann, bob, "1.00", "c2"), "k2")
		}, "the hold h1 is CAPTURED"},
		"captured after it was voided": {func(l *ledger) {
			l.release(ann, "60.00", "h1", "VOIDED", "k1")
			l.moves(captures(ann, bob, "1.00", "c1"), "k2")
		}, "the hold h1 is VOIDED"},
		"captured when its time is over": {func(l *ledger) {
			l.now = l.now.Add(time.Hour)
			l.moves(captures(ann, bob, "1.00", "c1"), "k1")
		}, "the hold h1 expired at"},
		"captured from another account": {func(l *ledger) {
			l.topUp(cat, "9.00", "t1", "k1")
			l.moves(captures(cat, bob, "1.00", "c1"), "k2")
		}, `the account has no hold "h1"`},
		"captured for another payee": {func(l *ledger) { l.moves(captures(ann, cat, "1.00", "c1"), "k1") }, "the hold h1 is for " + bob},
		"captured by a transfer": {func(l *ledger) {
			m := transfer(ann, bob, "1.00", "t1")
			m.holdID = "h1"
			l.moves(m, "k1")
		}, `a TRANSFER with the hold "h1"`},
		"a hold that never was": {func(l *ledger) {
			m := captures(ann, bob, "1.00", "c1")
			m.holdID = "h9"
			l.moves(m, "k1")
		}, `the account has no hold "h9"`},
		"a credit that forgot its hold": {func(l *ledger) {
			m := captures(ann, bob, "1.00", "c1")
			l.leaves(m, "k1")
			m.holdID = ""
			l.arrives(m)
		}, "another leg"},
		"a transaction event that forgot its hold": {func(l *ledger) {
			cause := l.move(ann, bob, "-1.00", "PAYMENT", "c1", "k1", fields{"holdId": "h1"})
			l.derive(cause, "PaymentRequested", 1, payment(ann, bob, "1.00", "c1"))
		}, "its legs PAYMENT of 1 EUR from " + ann + " to " + bob + ` with the hold "h1"`},
		"a capture without key": {func(l *ledger) {
			l.moves(captures(ann, bob, "1.00", "c1"), "")
			l.topUp(ann, "1.00", "t1", "k1")
		}, "no release of the rest bears it"},
		"a capture without key at the end": {func(l *ledger) { l.moves(captures(ann, bob, "1.00", "c1"), "") }, "no release of the rest bears it"},
		"a capture without key, then voided": {func(l *ledger) {
			l.moves(captures(ann, bob, "1.00", "c1"), "")
			l.release(ann, "59.00", "h1", "VOIDED", "k1")
		}, "no release of the rest bears it"},
		"a key on the capture and on the release": {func(l *ledger) {
			l.leaves(captures(ann, bob, "1.00", "c1"), "k1")
			l.releaseRest(ann, "59.00", "h1", "c1", "k2")
		}, "does not follow its capture"},
		"a capture and its release torn apart": {func(l *ledger) {
			l.leaves(captures(ann, bob, "1.00", "c1"), "")
			l.topUp(dan, "1.00", "t1", "k1")
			l.releaseRest(ann, "59.00", "h1", "c1", "k2")
		}, "does not follow its capture"},
		"a release by the capture of another hold": {func(l *ledger) {
			l.hold(ann, bob, "5.00", "h2", "k1")
			l.leaves(captures(ann, bob, "1.00", "c1"), "")
			l.releaseRest(ann, "5.00", "h2", "c1", "k2")
		}, "does not follow its capture"},
		"a release that no key stands for": {func(l *ledger) {
			l.leaves(captures(ann, bob, "1.00", "c1"), "")
			l.releaseRest(ann, "59.00", "h1", "c1", "")
		}, "idempotency key there false"},
	})
}

func TestPlantedBugsOfReleasesAreFound(t *testing.T) {
	findEach(t, held, map[string]planted{
		"released more than was left": {func(l *ledger) {
			l.moves(captures(ann, bob, "20.00", "c1"), "k1")
			l.release(ann, "60.00", "h1", "VOIDED", "k2")
		}, "releases 60 EUR, the hold h1 keeps 40 EUR"},
		"released less than was left": {func(l *ledger) { l.release(ann, "59.99", "h1", "VOIDED", "k1") }, "releases 59.99 EUR, the hold h1 keeps 60 EUR"},
		"released twice": {func(l *ledger) {
			l.release(ann, "60.00", "h1", "VOIDED", "k1")
			l.release(ann, "60.00", "h1", "VOIDED", "k2")
		}, "the hold h1 is VOIDED"},
		"released after all was captured": {func(l *ledger) {
			l.moves(captures(ann, bob, "60.00", "c1"), "k1")
			l.now = l.now.Add(time.Hour)
			l.release(ann, "0.00", "h1", "EXPIRED", "")
		}, "the hold h1 is CAPTURED"},
		"expired a moment early": {func(l *ledger) {
			l.now = l.now.Add(time.Hour - time.Millisecond)
			l.release(ann, "60.00", "h1", "EXPIRED", "")
		}, "EXPIRED at"},
		"voided when its time is over": {func(l *ledger) {
			l.now = l.now.Add(time.Hour)
			l.release(ann, "60.00", "h1", "VOIDED", "k1")
		}, "VOIDED at"},
		"released for no cause":          {func(l *ledger) { l.release(ann, "60.00", "h1", "LOST", "k1") }, `has the cause "LOST"`},
		"released by another account":    {func(l *ledger) { l.release(dan, "60.00", "h1", "VOIDED", "k1") }, `the account has no hold "h1"`},
		"voided without key":             {func(l *ledger) { l.release(ann, "60.00", "h1", "VOIDED", "") }, "idempotency key there false"},
		"a release by no capture at all": {func(l *ledger) { l.releaseRest(ann, "60.00", "h1", "c1", "k1") }, "does not follow its capture"},
		"expired with a key": {func(l *ledger) {
			l.now = l.now.Add(time.Hour)
			l.release(ann, "60.00", "h1", "EXPIRED", "k1")
		}, "idempotency key there true, asked for by a client false"},
		"voided by a transaction": {func(l *ledger) {
			l.account(ann, "HoldReleased", "k1", fields{
				"holdId": "h1", "amount": "60.00", "currency": "EUR", "cause": "VOIDED", "reason": "", "transactionId": "c1",
			})
		}, `VOIDED by the transaction "c1"`},
	})
}
