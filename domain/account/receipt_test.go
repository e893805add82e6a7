package account

import (
	"fmt"
	"testing"

	"daybook/domain"
)

// receipt folds those events that are about the payment p-1.
func (h history) receipt() Receipt {
	var r Receipt
	for _, e := range h {
		if ReceiptOf(e) == "p-1" {
			r = r.Apply("acc", e)
		}
	}
	return r
}

// whenRefunded decides on a refund of the payment.
func (h history) whenRefunded(amount string) outcome {
	m := euros(amount)
	m.TransactionType, m.CounterpartyID, m.Reason = Refund, "payer", "sorry"
	return decided(event(DecideRefund(h.state(), h.receipt(), m)))
}

// paid is the payment p-1 as its payee received it.
func paid(from, amount, to string) *BalanceChanged {
	e := moved(Credit, from, amount, to)
	e.TransactionID, e.TransactionType, e.CounterpartyID = "p-1", Payment, "payer"
	return e
}

// refunded is a refund of p-1 on its way to the payer.
func refunded(from, amount, to string) *BalanceChanged {
	e := moved(Debit, from, amount, to)
	e.TransactionType, e.CounterpartyID, e.Reason, e.RefundOf = Refund, "payer", "sorry", "p-1"
	return e
}

// refundBack is a refund of p-1 that the payer's account refused.
func refundBack(from, amount, to string) *BalanceChanged {
	e := refunded(from, amount, to)
	e.ChangeType, e.Reversal, e.RefusalCode = Credit, true, domain.AccountClosed
	return e
}

// shop has 10.00 of its own and was paid 50.00.
var shop = given(standard, holding("10.00"), paid("10.00", "50.00", "60.00"))

func TestPaymentIsRefundedAsAWhole(t *testing.T) {
	shop.whenRefunded("50.00").then(t, refunded("60.00", "50.00", "10.00"))
}

func TestPaymentIsRefundedInParts(t *testing.T) {
	shop.whenRefunded("20.00").then(t, refunded("60.00", "20.00", "40.00"))
	before := shop.and(refunded("60.00", "20.00", "40.00"), refunded("40.00", "29.99", "10.01"))
	before.whenRefunded("0.01").then(t, refunded("10.01", "0.01", "10.00"))
	before.and(refunded("10.01", "0.01", "10.00")).whenRefunded("0.01").thenRefused(t, domain.RefundExceedsPayment, "amount")
}

func TestRefundsBeyondThePaymentAreRefused(t *testing.T) {
	shop.whenRefunded("50.01").thenRefused(t, domain.RefundExceedsPayment, "amount")
	shop.and(refunded("60.00", "20.00", "40.00")).whenRefunded("30.01").thenRefused(t, domain.RefundExceedsPayment, "amount")
	shop.and(refunded("60.00", "50.00", "10.00")).whenRefunded("0.01").thenRefused(t, domain.RefundExceedsPayment, "amount")
}

func TestRefundOfNothingIsRefused(t *testing.T) {
	shop.whenRefunded("0.00").thenRefused(t, domain.RefundExceedsPayment, "amount")
	shop.and(refunded("60.00", "50.00", "10.00")).whenRefunded("0.00").thenRefused(t, domain.RefundExceedsPayment, "amount")
}

func TestRefundThatCameBackCanBeMadeAgain(t *testing.T) {
	before := shop.and(refunded("60.00", "50.00", "10.00"), refundBack("10.00", "50.00", "60.00"))
	before.whenRefunded("50.00").then(t, refunded("60.00", "50.00", "10.00"))
	before.whenRefunded("50.01").thenRefused(t, domain.RefundExceedsPayment, "amount")
}

func TestOnlyTheRefundThatCameBackCanBeMadeAgain(t *testing.T) {
	before := shop.and(refunded("60.00", "20.00", "40.00"), refunded("40.00", "30.00", "10.00"), refundBack("10.00", "20.00", "30.00"))
	before.whenRefunded("20.00").then(t, refunded("30.00", "20.00", "10.00"))
	before.whenRefunded("20.01").thenRefused(t, domain.RefundExceedsPayment, "amount")
}

func TestRefundOfAnUnknownPaymentIsRefused(t *testing.T) {
	given(standard, holding("100.00")).whenRefunded("1.00").thenRefused(t, domain.TransactionNotFound, "paymentId")
	given().whenRefunded("1.00").thenRefused(t, domain.TransactionNotFound, "paymentId")
}

func TestRefundIsADebitLikeAnyOther(t *testing.T) {
	shop.and(holding("49.99")).whenRefunded("50.00").thenRefused(t, domain.InsufficientBalance, "amount")
	shop.and(placed("10.01")).whenRefunded("50.00").thenRefused(t, domain.InsufficientBalance, "amount")
	shop.and(placed("10.00")).whenRefunded("50.00").then(t, refunded("60.00", "50.00", "10.00"))
	shop.and(became(Suspended)).whenRefunded("1.00").thenRefused(t, domain.AccountSuspended, "accountId")
	shop.and(holding("0.00"), became(Closed)).whenRefunded("1.00").thenRefused(t, domain.AccountClosed, "accountId")
}

func TestCapturedPaymentCanBeRefunded(t *testing.T) {
	capture := paid("0.00", "50.00", "50.00")
	capture.HoldID = "h-9"
	given(standard, capture).whenRefunded("50.00").then(t, refunded("50.00", "50.00", "0.00"))
}

func TestReceiptIsTheFoldOfItsPaymentAndRefunds(t *testing.T) {
	want := Receipt{ID: "p-1", PayeeID: "acc", PayerID: "payer", Currency: "EUR", Amount: dec("50.00")}
	for _, tc := range []struct {
		before               history
		refunded, refundable string
	}{
		{shop, "0.00", "50.00"},
		{shop.and(refunded("60.00", "20.00", "40.00")), "20.00", "30.00"},
		{shop.and(refunded("60.00", "20.00", "40.00"), refunded("40.00", "30.00", "10.00")), "50.00", "0.00"},
		{shop.and(refunded("60.00", "20.00", "40.00"), refundBack("40.00", "20.00", "60.00")), "0.00", "50.00"},
	} {
		want.Refunded = dec(tc.refunded)
		got := tc.before.receipt()
		if !got.Exists() || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) || !got.Refundable().Equal(dec(tc.refundable)) {
			t.Errorf("folded\n%#v of which %s can be refunded, want\n%#v of which %s can", got, got.Refundable(), want, tc.refundable)
		}
	}
}

func TestReceiptLeavesAloneWhatIsNoChangeOfABalance(t *testing.T) {
	before := shop.receipt()
	for _, e := range everyOtherEvent() {
		if got := before.Apply("acc", e); fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", before) {
			t.Errorf("%T made of it %#v", e, got)
		}
	}
	if (Receipt{}).Exists() {
		t.Error("the zero receipt exists")
	}
}

// everyOtherEvent returns one event of each kind that is no BalanceChanged.
func everyOtherEvent() []Event {
	return []Event{
		standard, became(Suspended), limited(bounded.Limits), placed("1.00"), released("1.00", HoldVoided),
		&CreditRefused{Amount: dec("5.00"), Currency: "EUR", TransactionID: "p-1", TransactionType: Refund, HoldID: "h-1", RefundOf: "p-1"},
	}
}

func TestEventTellsWhichPaymentItsPayeeRemembersItBy(t *testing.T) {
	change := func(direction ChangeType, kind MovementType, reversal bool) *BalanceChanged {
		e := moved(direction, "0.00", "1.00", "1.00")
		e.TransactionID, e.TransactionType, e.Reversal, e.RefundOf = "tx-1", kind, reversal, "p-1"
		return e
	}
	for _, tc := range []struct {
		event Event
		want  string
	}{
		{change(Credit, Payment, false), "tx-1"},
		{change(Credit, Payment, true), ""}, // Back at the payer.
		{change(Debit, Payment, false), ""},
		{change(Debit, Refund, false), "p-1"},
		{change(Credit, Refund, true), "p-1"},
		{change(Credit, Refund, false), ""}, // At the payer.
		{change(Credit, Transfer, false), ""},
		{change(Debit, Transfer, false), ""},
		{change(Credit, Transfer, true), ""},
		{change(Credit, Topup, false), ""},
		{change(Debit, Withdrawal, false), ""},
	} {
		if got := ReceiptOf(tc.event); got != tc.want {
			t.Errorf("%s is about payment %q, want %q", show(tc.event), got, tc.want)
		}
	}
	for _, e := range everyOtherEvent() {
		if got := ReceiptOf(e); got != "" {
			t.Errorf("%T is about payment %q", e, got)
		}
	}
}
