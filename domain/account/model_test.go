package account

import (
	"daybook/domain"
	"daybook/domain/money"
)

// book is the naive model: one account in whole minor units, as a clerk would keep it.
type book struct {
	open, frozen, shut bool
	cents              int64
	floor              int64
	ceiling            *int64
	entries            int64
	// today counts milliseconds.
	today int64
	slips []*slip
	bills []*bill
}

// slip is a hold on paper. It lies in the box until something ended it.
type slip struct {
	kept, paid, freed int64
	until             int64
	ended             HoldStatus
	// back is what was paid of it and came back.
	back int64
}

// bill is a payment received, with the refunds of it that have not come back.
type bill struct {
	cents   int64
	refunds []int64
}

// room tells whether the book may stand at n.
func room(n, floor int64, ceiling *int64) bool {
	return n >= floor && (ceiling == nil || n <= *ceiling)
}

// kept is what the slips in the box keep together.
func (b *book) kept() int64 {
	sum := int64(0)
	for _, s := range b.slips {
		if s.ended == "" {
			sum += s.kept
		}
	}
	return sum
}

func (b *book) create(floor int64, ceiling *int64) domain.Code {
	switch {
	case b.open:
		return domain.AccountExists
	case !room(0, floor, ceiling):
		return domain.BalanceLimitExceeded
	}
	b.open, b.floor, b.ceiling = true, floor, ceiling
	return ""
}

// movement says what a clerk does with an amount to put on (positive) or take off (negative).
func (b *book) movement(delta int64, c money.Currency) domain.Code {
	code := b.may(delta, c)
	if code == "" {
		b.cents += delta
	}
	return code
}

// may says whether an amount can be put on or taken off.
func (b *book) may(delta int64, c money.Currency) domain.Code {
	switch {
	case !b.open:
		return domain.AccountNotFound
	case b.shut:
		return domain.AccountClosed
	case delta < 0 && b.frozen:
		return domain.AccountSuspended
	case c != "EUR":
		return domain.CurrencyMismatch
	case delta < 0 && b.cents-b.kept()+delta < b.floor:
		return domain.InsufficientBalance
	case delta > 0 && b.ceiling != nil && b.cents+delta > *b.ceiling:
		return domain.BalanceLimitExceeded
	}
	return ""
}

func (b *book) status(to Status) domain.Code {
	switch {
	case !b.open:
		return domain.AccountNotFound
	case b.shut && (b.cents == 0 || to != Active):
		return domain.AccountClosed
	case to == Closed && (b.cents != 0 || b.kept() != 0):
		return domain.AccountNotEmpty
	}
	b.frozen, b.shut = to == Suspended, to == Closed
	return ""
}

func (b *book) relimit(floor int64, ceiling *int64) domain.Code {
	switch {
	case !b.open:
		return domain.AccountNotFound
	case b.shut:
		return domain.AccountClosed
	case !room(b.cents, floor, ceiling), b.cents-b.kept() < floor:
		return domain.BalanceLimitExceeded
	}
	b.floor, b.ceiling = floor, ceiling
	return ""
}

// hold puts a slip into the box that is good for some days more.
func (b *book) hold(n, days int64, c money.Currency) domain.Code {
	code := b.may(-n, c)
	if (code == "" || code == domain.InsufficientBalance) && (days < 1 || days > 366*24*3600*1000) {
		code = domain.BadUserInput // A clerk reads the date before counting the money.
	}
	if code == "" {
		b.slips = append(b.slips, &slip{kept: n, until: b.today + days})
	}
	return code
}

// take looks for a slip that can be used today.
func (b *book) take(i int) (*slip, domain.Code) {
	if i >= len(b.slips) {
		return nil, domain.HoldNotFound
	}
	s := b.slips[i]
	switch {
	case s.ended == HoldExpired, s.ended == "" && b.today >= s.until:
		return nil, domain.HoldExpired
	case s.ended != "":
		return nil, domain.HoldNotActive
	}
	return s, ""
}

func (b *book) capture(i int, n int64, final bool) domain.Code {
	s, code := b.take(i)
	switch {
	case code != "":
		return code
	case b.frozen:
		return domain.AccountSuspended
	case n > s.kept:
		return domain.CaptureExceedsHold
	}
	b.cents -= n
	s.paid += n
	s.kept -= n
	if final || s.kept == 0 {
		s.close(HoldCaptured)
	}
	return ""
}

// close takes a slip out of the box.
func (s *slip) close(why HoldStatus) {
	s.freed, s.kept, s.ended = s.kept, 0, why
}

func (b *book) void(i int) domain.Code {
	s, code := b.take(i)
	if code == "" {
		s.close(HoldVoided)
	}
	return code
}

// expire takes a slip out of the box if its day has come.
func (b *book) expire(i int) bool {
	if i >= len(b.slips) || b.slips[i].ended != "" || b.today < b.slips[i].until {
		return false
	}
	b.slips[i].close(HoldExpired)
	return true
}

func (b *book) receive(n int64, c money.Currency) domain.Code {
	code := b.movement(n, c)
	if code == "" {
		b.bills = append(b.bills, &bill{cents: n})
	}
	return code
}

// left is what of a bill may still be refunded.
func (p *bill) left() int64 {
	n := p.cents
	for _, r := range p.refunds {
		n -= r
	}
	return n
}

func (b *book) refund(i int, n int64) domain.Code {
	if i >= len(b.bills) {
		return domain.TransactionNotFound
	}
	p := b.bills[i]
	if n == 0 || n > p.left() {
		return domain.RefundExceedsPayment
	}
	code := b.movement(-n, "EUR")
	if code == "" {
		p.refunds = append(p.refunds, n)
	}
	return code
}

// takeBack strikes a bill's oldest refund out, which its payer refused.
func (b *book) takeBack(p *bill) int64 {
	n := p.refunds[0]
	p.refunds = p.refunds[1:]
	b.cents += n
	return n
}
