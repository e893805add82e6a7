package sim

import (
	"daybook/domain"
	"daybook/domain/account"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

// keyed notes the effect of an idempotency key, which no other event may have.
func (a *auditor) keyed(acct *naive, e *eventstore.Event, r *request) {
	k := effectKey{acct.account, e.IdempotencyKey}
	if r == nil || r.op.fingerprint != e.Fingerprint {
		a.w.fail(5, "keys", "key %s of %s stands on an event that its command did not lead to", k.key, acct.id)
		return
	}
	if a.effects[k] != nil {
		a.w.fail(5, "one key, one effect", "key %s of %s has a second effect, by #%d", k.key, acct.id, r.op.spec.op)
		return
	}
	f := &effect{event: e, after: acct.balance}
	switch d := e.Data.(type) {
	case *account.BalanceChanged:
		f.move, f.amount = d.TransactionID, units(d.ChangeAmount, acct.currency)
	case *account.HoldReleased:
		f.move = d.TransactionID
		if f.move != "" {
			f.amount = a.moves[f.move].amount
		}
	default:
	}
	if id := account.HoldOf(e.Data.(account.Event)); id != "" {
		f.hold = *a.holds[id]
	}
	a.effects[k] = f
}

// success holds a good answer against the log: it is there, by this very command, and says what is told.
func (a *auditor) success(r *request) {
	s := &r.op.spec
	acct := accountNumber(r.Command.Address())
	f := a.effects[effectKey{int8(acct), r.Command.Common().IdempotencyKey}]
	if r.refused {
		a.w.fail(5, "one answer", "#%d was refused and is then answered", s.op)
	}
	if f == nil {
		a.w.fail(1, "acknowledged commands are in the log", "#%d was acknowledged and is not in the log", s.op)
		return
	}
	if f.event.Fingerprint != r.op.fingerprint {
		a.w.fail(5, "the same key with other input", "#%d was acknowledged with the answer to another input", s.op)
	}
	a.tells(r, f)
	if f.told == nil {
		told := r.result
		f.told = &told
		return
	}
	if !same(f.told, &r.result) {
		a.w.fail(5, "one key, one answer", "#%d was answered %s, then %s", s.op, resultText(f.told), resultText(&r.result))
	}
}

// tells checks the answer against the auditor's books right after the command's last event.
func (a *auditor) tells(r *request, f *effect) {
	op, told, c := r.op.spec.op, &r.result, a.accounts[f.after.account].currency
	state := balance{
		account: int8(accountNumber(told.Account.ID)), version: told.Account.Version, balance: units(told.Account.Balance, c),
		held: units(told.Account.Held, c), status: told.Account.Status,
	}
	if state != f.after {
		a.w.fail(5, "answers tell the state just written", "#%d was told %+v, the log has %+v", op, state, f.after)
	}
	switch tx := told.Transaction; {
	case (tx != nil) != (f.move != ""):
		a.w.fail(5, "answers tell the state just written", "#%d was told of a transaction, or not, against the log", op)
	case tx != nil:
		m := a.moves[f.move]
		if tx.ID != f.move || units(tx.Amount, m.currency) != f.amount || tx.From != m.from || tx.To != m.to || tx.Type != m.kind {
			a.w.fail(5, "answers tell the state just written", "#%d was told of transaction %s over %s, the log has %s over %d", op, tx.ID, tx.Amount, f.move, f.amount)
		}
	}
	if h := told.Hold; h != nil {
		if h.ID != f.hold.id || h.Status != f.hold.status || units(h.Captured, c) != f.hold.captured || units(h.Released, c) != f.hold.released {
			a.w.fail(5, "answers tell the state just written", "#%d was told of hold %s %s, the log has %+v", op, h.ID, h.Status, f.hold)
		}
	} else if f.hold.id != "" {
		a.w.fail(5, "answers tell the state just written", "#%d was not told of hold %s", op, f.hold.id)
	}
}

// same compares two answers in all that a client sees. A movement's status moves on.
func same(x, y *ledger.Result) bool {
	a, b := &x.Account, &y.Account
	ok := a.ID == b.ID && a.OwnerID == b.OwnerID && a.Type == b.Type && a.Currency == b.Currency && a.Status == b.Status &&
		a.Version == b.Version && a.Balance.Equal(b.Balance) && a.Held.Equal(b.Held) && a.Limits.Min.Equal(b.Limits.Min) &&
		a.Limits.Max.Valid == b.Limits.Max.Valid && (!a.Limits.Max.Valid || a.Limits.Max.Decimal.Equal(b.Limits.Max.Decimal)) &&
		a.CreatedAt.Equal(b.CreatedAt) && a.UpdatedAt.Equal(b.UpdatedAt)
	if t, u := x.Transaction, y.Transaction; t != nil && u != nil {
		ok = ok && t.ID == u.ID && t.Amount.Equal(u.Amount) && t.From == u.From && t.To == u.To && t.Type == u.Type && t.HoldID == u.HoldID &&
			t.RefundOf == u.RefundOf && t.Reason == u.Reason && t.Status == u.Status && t.CreatedAt.Equal(u.CreatedAt)
	} else {
		ok = ok && t == nil && u == nil
	}
	if h, i := x.Hold, y.Hold; h != nil && i != nil {
		ok = ok && h.ID == i.ID && h.Status == i.Status && h.Amount.Equal(i.Amount) && h.Captured.Equal(i.Captured) && h.Released.Equal(i.Released) &&
			h.ExpiresAt.Equal(i.ExpiresAt) && h.UpdatedAt.Equal(i.UpdatedAt)
	} else {
		ok = ok && h == nil && i == nil
	}
	return ok
}

// refusal holds a refusal against the log: the command is not there, and was not acknowledged before.
func (a *auditor) refusal(r *request, err error) {
	r.refused = true
	s := &r.op.spec
	for _, m := range r.members() {
		if m.events > 0 {
			a.w.fail(8, "refused commands leave no event", "#%d was refused (%v) and #%d is in the log", s.op, domain.CodeOf(err), m.op.spec.op)
		}
	}
	switch domain.CodeOf(err) {
	case domain.Unavailable, domain.Overloaded: // They say nothing about the command.
		return
	case domain.BatchAborted: // Nor does this, but as a part of its group, and that the key is free.
		a.bar(r)
		a.unused(r, err)
		return
	case domain.Internal:
		a.w.fail(8, "refusals have a code", "#%d was refused with %v", s.op, err)
		return
	default:
	}
	a.bar(r)
	a.borneOut(r, domain.CodeOf(err))
	a.unused(r, err)
}

// unused checks that a command was not carried out before whose key is said to be free.
func (a *auditor) unused(r *request, err error) {
	if r.repeats {
		a.w.fail(5, "one key, one answer", "#%d was in the log when it was sent again, and is refused: %v", r.op.spec.op, err)
	}
}

// sent notes whether the command was in the log already when this attempt was sent.
func (a *auditor) sent(r *request) {
	a.requests[r.CommandID] = r
	r.versions = a.versions(r)
	f := a.effects[effectKey{int8(accountNumber(r.Command.Address())), r.Command.Common().IdempotencyKey}]
	r.repeats = f != nil && f.event.Fingerprint == r.op.fingerprint
}

// takeover holds the state of a new owner against the log: it has all that was ever written.
func (a *auditor) takeover(s *seat) {
	if s.pos.next != s.log.end() {
		return // Another line was ruled since.
	}
	for n, state := range s.stored.accounts {
		acct := &a.accounts[n]
		if homes[n] != s.part || (state == nil && acct.version == 0) {
			continue
		}
		if state == nil {
			state = &account.State{}
		}
		if state.Version != acct.version || units(state.Balance, acct.currency) != acct.balance.balance ||
			units(state.Held, acct.currency) != acct.held || state.Status != acct.status {
			a.w.fail(1, "what was written survives", "node %d took %s over with version %d, balance %s, held %s; the log has %+v",
				s.node.id, acct.id, state.Version, state.Balance, state.Held, acct.balance)
		}
	}
}

// projected holds the rows that a projection touched against the log at its offset.
func (a *auditor) projected(part int32, p *projection, from, to int64) {
	var seen [accounts]bool
	for offset := to - 1; offset >= from; offset-- {
		b := a.after[part][offset]
		if b.account < 0 || seen[b.account] {
			continue
		}
		seen[b.account] = true
		a.row(&p.rows[b.account], b, to)
	}
}

func (a *auditor) row(r *row, want balance, offset int64) {
	acct := &a.accounts[want.account]
	got := balance{
		account: want.account, version: r.state.Version, balance: units(r.state.Balance, acct.currency), held: units(r.state.Held, acct.currency),
		status: r.state.Status,
	}
	if got != want || r.events != want.version {
		a.w.fail(6, "the read model is the fold at its offset", "%s at offset %d: rows have %+v from %d events, the log has %+v", acct.id, offset, got, r.events, want)
	}
}

// rebuilt holds a rebuilt generation against the one that served.
func (a *auditor) rebuilt(part int32, p *projection) {
	for n := range p.rows {
		if homes[n] == part && (p.rows[n].events != p.next.rows[n].events || !same(&ledger.Result{Account: p.rows[n].state}, &ledger.Result{Account: p.next.rows[n].state})) {
			a.w.fail(6, "a rebuild is the same", "%s at offset %d", accountIDs[n], p.offset)
		}
	}
}

// delivered holds what a subscriber gets against the account's history.
func (a *auditor) delivered(s *subscriber, e *eventstore.Event) {
	s.seen++
	if e.Version != s.seen {
		a.w.fail(7, "subscriptions miss and repeat nothing", "subscriber %d gets version %d of %s after %d", s.id, e.Version, e.AggregateID, s.seen-1)
		return
	}
	if a.accounts[s.account].history[e.Version-1].ID != e.ID {
		a.w.fail(7, "subscriptions tell what happened", "subscriber %d gets another version %d of %s", s.id, e.Version, e.AggregateID)
	}
}
