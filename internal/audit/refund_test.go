package audit_test

import "testing"

func payment(from, to, amount, tx string) movement {
	return movement{kind: "PAYMENT", from: from, to: to, amount: amount, tx: tx}
}

// refund of the payment p1.
func refund(from, to, amount, tx string) movement {
	return movement{kind: "REFUND", from: from, to: to, amount: amount, tx: tx, refundOf: "p1"}
}

// paid is a log with a payment of 30.00 from ann to bob and money of bob's own.
func paid(t *testing.T) *ledger {
	l := opened(t)
	l.topUp(bob, "50.00", "t9", "k9")
	l.moves(payment(ann, bob, "30.00", "p1"), "pay")
	return l
}

func TestWithdrawalsPaymentsAndRefundsAreSound(t *testing.T) {
	l := paid(t)
	l.withdraw(bob, "40.00", "w1", "k1")
	l.moves(refund(bob, ann, "10.00", "r1"), "k2")
	back := refund(bob, ann, "20.00", "r2") // All there is left, and it comes back.
	l.leaves(back, "k3")
	l.refused(back)
	l.comesBack(back)
	l.moves(refund(bob, ann, "20.00", "r3"), "k4")

	r := l.audit()

	if len(r.Problems) > 0 || len(r.Unfinished) > 0 {
		t.Fatalf("problems %v, unfinished %v", r.Problems, r.Unfinished)
	}
	if a, b := r.Accounts[ann].Balance.StringFixed(2), r.Accounts[bob].Balance.StringFixed(2); a != "100.00" || b != "10.00" {
		t.Errorf("ann has %s, bob %s", a, b)
	}
	if tx := r.Transactions["r2"]; tx.RefundOf != "p1" || tx.Reversal == nil {
		t.Errorf("r2 is %+v", tx)
	}
	if tx := r.Transactions["w1"]; tx.Debit == nil || tx.Credit != nil || tx.To != outside {
		t.Errorf("w1 is %+v", tx)
	}
}

func TestPlantedBugsOfRefundsAreFound(t *testing.T) {
	findEach(t, paid, map[string]planted{
		"refunds above the payment": {func(l *ledger) {
			l.moves(refund(bob, ann, "20.00", "r1"), "k1")
			l.moves(refund(bob, ann, "10.01", "r2"), "k2")
		}, "makes refunds of 30.01, the payment p1 was 30"},
		"a refund on its way forgotten": {func(l *ledger) {
			l.leaves(refund(bob, ann, "30.00", "r1"), "k1")
			l.moves(refund(bob, ann, "0.01", "r2"), "k2")
		}, "makes refunds of 30.01"},
		"a refund that came back counted twice": {func(l *ledger) {
			back := refund(bob, ann, "5.00", "r1")
			l.leaves(back, "k1")
			l.refused(back)
			l.comesBack(back)
			l.moves(refund(bob, ann, "30.01", "r2"), "k2")
		}, "makes refunds of 30.01"},
		"a refund before its payment": {func(l *ledger) {
			m := refund(bob, ann, "1.00", "r1")
			m.refundOf = "p2"
			l.moves(m, "k1")
			l.moves(payment(ann, bob, "1.00", "p2"), "k2")
		}, `refunds "p2", which is no payment`},
		"a refund of a transfer": {func(l *ledger) {
			l.transfer(ann, bob, "1.00", "t1", "k1")
			m := refund(bob, ann, "1.00", "r1")
			m.refundOf = "t1"
			l.moves(m, "k2")
		}, `refunds "t1", which is no payment`},
		"a refund by another account": {func(l *ledger) {
			l.topUp(cat, "9.00", "t1", "k1")
			l.moves(refund(cat, ann, "1.00", "r1"), "k2")
		}, `refunds "p1", which is no payment that the account received`},
		"a refund to another account": {func(l *ledger) { l.moves(refund(bob, cat, "1.00", "r1"), "k1") }, "refunds " + cat + " in EUR, the payment p1 came from " + ann},
		"a refund of nothing": {func(l *ledger) {
			m := refund(bob, ann, "1.00", "r1")
			m.refundOf = ""
			l.moves(m, "k1")
		}, `a REFUND with the hold "" and the payment ""`},
		"a transfer that names a payment": {func(l *ledger) {
			m := transfer(bob, ann, "1.00", "t1")
			m.refundOf = "p1"
			l.moves(m, "k1")
		}, `a TRANSFER with the hold "" and the payment "p1"`},
		"a credit that forgot its payment": {func(l *ledger) {
			m := refund(bob, ann, "1.00", "r1")
			l.leaves(m, "k1")
			m.refundOf = ""
			l.arrives(m)
		}, "another leg REFUND of 1 EUR"},
		"a transaction event that forgot its payment": {func(l *ledger) {
			m := refund(bob, ann, "1.00", "r1")
			cause := l.move(bob, ann, "-1.00", "REFUND", "r1", "k1", fields{"refundOf": "p1"})
			m.refundOf = ""
			l.derive(cause, "RefundRequested", 1, m)
		}, "tells REFUND of 1 EUR from " + bob + " to " + ann + ", its legs"},
		"a refund told as a payment": {func(l *ledger) {
			cause := l.move(bob, ann, "-1.00", "REFUND", "r1", "k1", fields{"refundOf": "p1"})
			l.derive(cause, "PaymentRequested", 1, refund(bob, ann, "1.00", "r1"))
		}, "tells REFUND of 1 EUR"},
		"a withdrawal above what there is": {func(l *ledger) { l.withdraw(bob, "80.01", "w1", "k1") }, "the lower limit is 0"},
		"a withdrawal without key":         {func(l *ledger) { l.withdraw(bob, "1.00", "w1", "") }, "idempotency key there false"},
		"a withdrawal of a suspended account": {func(l *ledger) {
			l.status(bob, "ACTIVE", "SUSPENDED", "k1")
			l.withdraw(bob, "1.00", "w1", "k2")
		}, "the account is SUSPENDED"},
		"a withdrawal onto the account": {func(l *ledger) {
			l.move(bob, outside, "1.00", "WITHDRAWAL", "w1", "k1", nil)
		}, "there is no WITHDRAWAL by a CREDIT"},
		"a withdrawal to another account": {func(l *ledger) {
			l.move(bob, ann, "-1.00", "WITHDRAWAL", "w1", "k1", nil)
		}, "there is no WITHDRAWAL by a DEBIT with " + ann},
		"a withdrawal that came back": {func(l *ledger) {
			l.withdraw(bob, "1.00", "w1", "k1")
			l.move(bob, outside, "1.00", "WITHDRAWAL", "w1", "", fields{"reversal": true})
		}, "there is no WITHDRAWAL by a CREDIT"},
		"a withdrawal that is also credited": {func(l *ledger) {
			l.withdraw(bob, "1.00", "w1", "k1")
			l.move(bob, outside, "1.00", "TOPUP", "w1", "k2", nil)
		}, "transaction w1 is a withdrawal with more than a debit"},
		"a withdrawal that is not completed": {func(l *ledger) {
			cause := l.move(bob, outside, "-1.00", "WITHDRAWAL", "w1", "k1", nil)
			l.derive(cause, "WithdrawalRequested", 1, movement{kind: "WITHDRAWAL", from: bob, to: outside, amount: "1.00", tx: "w1"})
		}, "w1 has no event of version 2 yet"},
		"a payment to the world outside": {func(l *ledger) { l.moves(payment(ann, outside, "1.00", "p2"), "k1") }, "there is no PAYMENT"},
		"a kind that there is not":       {func(l *ledger) { l.move(ann, bob, "-1.00", "BARTER", "t1", "k1", nil) }, "there is no BARTER"},
	})
}
