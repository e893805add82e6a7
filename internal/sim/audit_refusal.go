package sim

import (
	"daybook/domain"
	"daybook/domain/account"
)

// borneOut holds a refusal against the log, when nothing has happened to the accounts concerned since it was asked for:
// its code must name what does stand against the command.
func (a *auditor) borneOut(r *request, code domain.Code) {
	if r.group != nil || r.versions != a.versions(r) {
		return
	}
	acct := &a.accounts[accountNumber(r.Command.Address())]
	if !a.stands(code, r, acct) {
		a.w.fail(8, "refusals say what is the matter", "#%d is refused with %s, which does not stand against it: %v has %+v",
			r.op.spec.op, code, &r.op.spec, acct.balance)
	}
}

// versions are those of the accounts that a command concerns.
func (a *auditor) versions(r *request) [2]int64 {
	n := accountNumber(r.Command.Address())
	if n < 0 {
		return [2]int64{none, none}
	}
	other, _ := a.payee(&r.op.spec, &a.accounts[n])
	return [2]int64{a.accounts[n].version, other.version}
}

// stands tells whether the log bears a refusal out. What rests on another partition than the owner's is not looked at.
func (a *auditor) stands(code domain.Code, r *request, acct *naive) bool {
	s := &r.op.spec
	other, here := a.payee(s, acct)
	amount := s.amount
	h, p := a.holds[a.w.referred(s.ref)], a.moves[a.w.referred(s.ref)]
	if s.verb == vRefund && amount == all && p != nil {
		amount = p.amount - p.refunded
	}
	switch code {
	case domain.AccountNotFound:
		// That an account of another partition does not exist rests on a copy, which lags while that partition changes hands.
		return acct.status == "" || other.status == "" || !here
	case domain.AccountExists:
		return acct.status != ""
	case domain.AccountClosed:
		return acct.status == account.Closed && (s.verb != vStatus || !acct.reopens(s.status)) || acct != other && other.status == account.Closed
	case domain.AccountSuspended:
		return acct.status == account.Suspended
	case domain.AccountNotEmpty:
		return acct.balance.balance != 0 || acct.held != 0
	case domain.InsufficientBalance:
		return acct.balance.balance-acct.held-amount < acct.min
	case domain.BalanceLimitExceeded:
		if s.verb == vCreate || s.verb == vLimits {
			if s.verb == vLimits && int(s.currency) != acct.currency {
				return true // The bounds are in other units.
			}
			b := acct.balance.balance
			return b-acct.held < s.min || (s.max != none && (b > s.max || s.min > s.max))
		}
		if s.verb == vTopUp {
			other, here = acct, true
		} else if s.verb == vCapture && amount == all && h != nil {
			amount = h.amount - h.captured
		}
		return here && other.max != none && other.balance.balance+amount > other.max
	case domain.CurrencyMismatch:
		c := int(s.currency)
		if s.verb == vCapture || s.verb == vRefund {
			c = acct.currency
		}
		return acct.currency != c || other.currency != c
	case domain.VersionConflict:
		return s.version != acct.version
	case domain.IdempotencyConflict:
		f := a.effects[effectKey{acct.account, r.Command.Common().IdempotencyKey}]
		return f != nil && f.event.Fingerprint != r.op.fingerprint
	case domain.RefundExceedsPayment:
		return p != nil && (p.refunded+amount > p.amount || amount == 0)
	case domain.CaptureExceedsHold:
		return h != nil && h.captured+amount > h.amount
	case domain.HoldExpired:
		return h != nil && (h.status == account.HoldExpired || !r.decided.Before(h.expires))
	case domain.HoldNotActive:
		return h != nil && h.status != account.HoldActive
	case domain.SameAccount:
		return s.acct == s.to
	default:
		return true
	}
}

// payee is the other account of a command, and whether it lives in the same partition; the first one when there is none.
func (a *auditor) payee(s *spec, acct *naive) (*naive, bool) {
	n := -1
	switch s.verb {
	case vTransfer, vPay, vHold:
		n = int(s.to)
	case vCapture:
		if h := a.holds[a.w.referred(s.ref)]; h != nil {
			n = accountNumber(h.payee)
		}
	case vRefund:
		if p := a.moves[a.w.referred(s.ref)]; p != nil {
			n = accountNumber(p.from)
		}
	default:
	}
	if n < 0 {
		return acct, true
	}
	return &a.accounts[n], homes[n] == homes[acct.account]
}
