package test

import (
	"maps"
	"math"

	"github.com/anishathalye/porcupine"
)

// The kinds of step. The first are what clients ask for, the next what the log tells of an account without its having
// been addressed, the last what is read.
const (
	created, toppedUp, withdrawn, transferred, paid = "create", "topUp", "withdraw", "transfer", "pay"
	refunded, authorized, captured, voided          = "refund", "authorizeHold", "captureHold", "voidHold"
	statusChanged, limitsChanged                    = "status", "limits"

	credited, creditRefused, reversed, expired = "credit", "credit refused", "reversal", "expiry"

	denied, looked, lookedLast = "refused because of the other side", "read", "last read"
)

// view is what an answer tells of an account, in cents. A limit that is not set is noLimit.
type view struct {
	version                  int64
	status                   string
	balance, held, available int64
	min, max                 int64
}

const (
	noLimit = int64(math.MaxInt64)
	// allOfIt is an amount that was left out.
	allOfIt = int64(-1)
)

// step is what happened to one account, as a client saw it or the log tells it: the input of the model.
type step struct {
	account, kind string
	client        int
	// call and ret are nanoseconds since the history began; ret is for ever when nobody was told that it ended.
	call, ret int64
	// unknown tells that the client does not know whether it happened.
	unknown bool
	// code is why it was refused; empty when it was not. elsewhere tells that the refusal is about the other side.
	code      string
	elsewhere bool

	amount          int64
	expected        int64 // The version that the command expected; 0 is any.
	newStatus       string
	min, max        int64
	tx, hold        string
	payment         string
	final           bool
	expires         int64 // As call.
	transactionType string

	// atLeast is the version that a read asked for, or that the log gives to what it tells.
	atLeast int64
	// seen is the account in the answer, moved the amount of the transaction, left and ended what the hold then was.
	seen  view
	moved int64
	left  int64
	ended string
}

// book is the state of one account in the model.
type book struct {
	view
	holds    map[string]keptBack
	payments map[string]int64 // What of a payment that was received can still be refunded.
}

type keptBack struct {
	remaining, expires int64
	status             string
}

// accountModel is the sequential account that histories are checked against. It is written from the API's promises, not
// from the code that keeps them.
var accountModel = porcupine.Model{
	Init: func() any { return &book{} },
	Step: func(state, input, _ any) (bool, any) {
		after := input.(*step).take(state.(*book))
		return after != nil, after
	},
	Equal: func(a, b any) bool { return a.(*book).equal(b.(*book)) },
	Hash:  func(state any) uint64 { return uint64(state.(*book).version) },
}

func (b *book) equal(o *book) bool {
	return b == o || b.view == o.view && maps.Equal(b.holds, o.holds) && maps.Equal(b.payments, o.payments)
}

// take returns the book after the step, or nil when the step cannot have been answered like that at this point.
func (s *step) take(b *book) *book {
	switch {
	case s.kind == looked, s.kind == lookedLast:
		if b.view != s.seen || b.version < s.atLeast {
			return nil
		}
		return b
	case s.unknown: // Where the log has it.
		after := s.next(b)
		if after == nil || after.version != s.atLeast {
			return nil
		}
		return after
	case s.kind == denied, s.code != "" && !s.elsewhere:
		if !s.refusable(b) {
			return nil
		}
		return b
	case s.code != "": // The account addressed comes first: it was ready.
		if s.next(b) == nil {
			return nil
		}
		return b
	}
	after := s.next(b)
	if after == nil || !s.agrees(after) {
		return nil
	}
	return after
}

// agrees tells whether what was answered, or stands in the log, is the state after the step.
func (s *step) agrees(after *book) bool {
	switch s.kind {
	case credited, creditRefused, reversed:
		return after.version == s.atLeast
	case expired:
		return true
	case authorized, captured, voided:
		h := after.holds[s.hold]
		if h.remaining != s.left || h.status != s.ended {
			return false
		}
	}
	return after.view == s.seen
}

// clockSlack is how far the clients' clock and that of the log, in whole milliseconds, may be apart. Who sets clocks
// raises it.
var clockSlack = int64(20e6)

// next returns the book after the step was carried out, or nil when it cannot be.
func (s *step) next(b *book) *book {
	if s.expected != 0 && s.expected != b.version {
		return nil
	}
	n := *b
	n.version++
	exists, open := b.status != "", b.status == "ACTIVE" || b.status == "SUSPENDED"
	ok := false
	switch s.kind {
	case created:
		n.status, n.min, n.max, ok = "ACTIVE", s.min, s.max, !exists
	case toppedUp, credited:
		n.balance += s.amount
		ok = open && n.balance <= b.max
		if s.transactionType == "PAYMENT" {
			n.payments = with1(b.payments, s.tx, s.amount)
		}
	case creditRefused:
		ok = !open || b.balance+s.amount > b.max
	case reversed:
		n.balance += s.amount
		ok = exists
		if s.payment != "" {
			n.payments = with1(b.payments, s.payment, b.payments[s.payment]+s.amount)
		}
	case withdrawn, transferred, paid:
		n.balance -= s.amount
		ok = b.status == "ACTIVE" && b.available-s.amount >= b.min
	case refunded:
		ok = s.refund(b, &n)
	case authorized:
		n.held += s.amount
		n.holds = with1(b.holds, s.hold, keptBack{s.amount, s.expires, "ACTIVE"})
		ok = b.status == "ACTIVE" && b.available-s.amount >= b.min
	case captured:
		ok = b.status == "ACTIVE" && s.capture(b, &n)
	case voided:
		ok = s.call < b.holds[s.hold].expires+clockSlack && n.release(s.hold, "VOIDED")
	case expired:
		ok = s.call+clockSlack >= b.holds[s.hold].expires && n.release(s.hold, "EXPIRED")
	case statusChanged:
		n.status = s.newStatus
		ok = open && (s.newStatus != "CLOSED" || b.balance == 0 && b.held == 0) || s.reopens(b)
	case limitsChanged:
		n.min, n.max = s.min, s.max
		ok = open && s.fit(b)
	}
	n.available = n.balance - n.held
	if !ok {
		return nil
	}
	return &n
}

// reopens tells whether the step makes an account active again that was closed, and that money came back to.
func (s *step) reopens(b *book) bool {
	return s.kind == statusChanged && s.newStatus == "ACTIVE" && b.status == "CLOSED" && b.balance != 0
}

// fit tells whether new limits take the present balance.
func (s *step) fit(b *book) bool {
	return s.min <= s.max && b.balance <= s.max && b.balance >= s.min && b.available >= s.min
}

func (s *step) refund(b, n *book) bool {
	left, received := b.payments[s.payment]
	amount := s.amount
	if amount == allOfIt {
		amount = left
	}
	n.balance -= amount
	n.payments = with1(b.payments, s.payment, left-amount)
	return received && amount > 0 && amount <= left && b.status == "ACTIVE" && b.available-amount >= b.min && s.told(amount)
}

func (s *step) capture(b, n *book) bool {
	h := b.holds[s.hold]
	amount := s.amount
	if amount == allOfIt {
		amount = h.remaining
	}
	if h.status != "ACTIVE" || amount > h.remaining || s.call >= h.expires+clockSlack || !s.told(amount) {
		return false
	}
	n.balance -= amount
	n.held -= amount
	h.remaining -= amount
	n.holds = with1(b.holds, s.hold, h)
	switch {
	case h.remaining == 0:
		h.status = "CAPTURED"
		n.holds[s.hold] = h
	case s.final:
		n.version++ // The release of the rest is an event of its own.
		return n.release(s.hold, "CAPTURED")
	}
	return true
}

// told tells whether the answer's transaction, if there was one, is of this amount.
func (s *step) told(amount int64) bool { return s.unknown || s.code != "" || s.moved == amount }

// release ends a hold that is active.
func (b *book) release(hold, status string) bool {
	h := b.holds[hold]
	active := h.status == "ACTIVE"
	b.held -= h.remaining
	b.holds = with1(b.holds, hold, keptBack{0, h.expires, status})
	return active
}

// refusable tells whether the code is the truth about this book.
func (s *step) refusable(b *book) bool {
	h := b.holds[s.hold]
	left, received := b.payments[s.payment]
	switch s.code {
	case "ACCOUNT_EXISTS":
		return b.status != ""
	case "ACCOUNT_NOT_FOUND":
		return b.status == ""
	case "VERSION_CONFLICT":
		return s.expected != b.version
	case "ACCOUNT_SUSPENDED":
		return b.status == "SUSPENDED"
	case "ACCOUNT_CLOSED":
		return b.status == "CLOSED" && !s.reopens(b)
	case "ACCOUNT_NOT_EMPTY":
		return b.balance != 0 || b.held != 0
	case "INSUFFICIENT_BALANCE":
		amount := s.amount
		if amount == allOfIt {
			amount = left
		}
		return b.available-amount < b.min
	case "BALANCE_LIMIT_EXCEEDED":
		if s.kind == limitsChanged {
			return !s.fit(b)
		}
		return s.amount == allOfIt || b.balance+s.amount > b.max
	case "TRANSACTION_NOT_FOUND", "NOT_REFUNDABLE":
		return !received
	case "REFUND_EXCEEDS_PAYMENT":
		return received && (left == 0 || s.amount > left)
	case "HOLD_NOT_FOUND":
		return h.status == ""
	case "HOLD_EXPIRED":
		return h.status == "EXPIRED" || h.status == "ACTIVE" && s.ret+clockSlack >= h.expires
	case "HOLD_NOT_ACTIVE":
		return h.status == "CAPTURED" || h.status == "VOIDED"
	case "CAPTURE_EXCEEDS_HOLD":
		return h.status == "ACTIVE" && s.amount > h.remaining
	}
	return false // No such command can be refused for that.
}

// with1 is a copy of a map with one entry changed.
func with1[V any](m map[string]V, key string, value V) map[string]V {
	n := make(map[string]V, len(m)+1)
	maps.Copy(n, m)
	n[key] = value
	return n
}
