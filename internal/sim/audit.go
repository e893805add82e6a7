package sim

import (
	"time"

	"daybook/domain/account"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

// auditor keeps books of its own, in whole minor units, from what reaches the log, and holds the promises of the
// design against them after every step. It shares no arithmetic with what it audits.
type auditor struct {
	w        *world
	accounts [accounts]naive
	holds    map[string]*naiveHold
	moves    map[string]*naiveMove
	// order lists the moves as they came.
	order    []*naiveMove
	requests map[string]*request
	effects  map[effectKey]*effect
	// after tells, by partition and offset, what an account was after that event.
	after [partitions][]balance
	// taken tells, by partition and offset, the epoch whose owner took an entry of the command topic up last, noted how far
	// the log says that it was taken up.
	taken [partitions][]int32
	noted [partitions]int64
	// By currency: what all accounts have, what is outside, what is on its way, and what unfinished moves hold.
	sum, outside, transit, unfinished [len(currencies)]int64
}

// balance is what an account is at one of its versions.
type balance struct {
	account       int8 // -1 at a writer's line.
	version       int64
	balance, held int64
	status        account.Status
}

// naive is an account in the auditor's books.
type naive struct {
	balance
	id       string
	currency int
	min, max int64
	time     time.Time
	history  []*eventstore.Event
}

type naiveHold struct {
	id                         string
	account, payee             string
	amount, captured, released int64
	expires                    time.Time
	status                     account.HoldStatus
}

// naiveMove is a movement between two accounts, or between one and the outside.
type naiveMove struct {
	id                                   string
	kind                                 account.MovementType
	from, to                             string
	currency                             int
	amount                               int64
	debited, credited, refused, reversed bool
	refundOf                             string
	// refunded is what left for the payer again, of a payment.
	refunded int64
	// events are the ids of the transaction's events by version.
	events [4]string
	failed bool
}

type effectKey struct {
	account int8
	key     string
}

// effect is what the log shows of an idempotency key, with the account and the hold right after it.
type effect struct {
	event  *eventstore.Event
	after  balance
	amount int64
	move   string
	hold   naiveHold
	told   *ledger.Result
}

func (a *auditor) init(w *world) {
	a.w = w
	a.holds, a.moves = map[string]*naiveHold{}, map[string]*naiveMove{}
	a.requests, a.effects = map[string]*request{}, map[effectKey]*effect{}
	for i := range a.accounts {
		a.accounts[i].account, a.accounts[i].id = int8(i), accountIDs[i]
	}
}

// line notes a writer's line, which takes an offset.
func (a *auditor) line(part int32) { a.after[part] = append(a.after[part], balance{account: -1}) }

// event audits one event as it reaches the log.
func (a *auditor) event(part int32, offset int64, e *eventstore.Event, by *holding) {
	n := accountNumber(e.AggregateID)
	if n < 0 || homes[n] != part || offset != int64(len(a.after[part])) {
		a.w.fail(0, "place", "%s of %s stands in partition %d at offset %d", e.Data.EventType(), e.AggregateID, part, offset)
		return
	}
	acct := &a.accounts[n]
	if e.Version != acct.version+1 {
		a.w.fail(4, "versions", "%s: version %d follows on %d", acct.id, e.Version, acct.version)
	}
	if e.Timestamp.Before(acct.time) {
		a.w.fail(4, "timestamps", "%s: version %d is %s older than the one before", acct.id, e.Version, acct.time.Sub(e.Timestamp))
	}
	if e.Timestamp.After(moment(a.w.newest)) {
		a.w.fail(4, "timestamps", "%s: version %d has a time that no clock has shown", acct.id, e.Version)
	}
	acct.version, acct.time = acct.version+1, e.Timestamp
	acct.history = append(acct.history, e)
	r := a.requests[e.CausationID]
	if r != nil {
		r.events++
		a.effective(r, by)
		if r.refused {
			a.w.fail(8, "refused commands leave no event", "#%d was refused, and %s of %s is in the log", r.op.spec.op, e.Data.EventType(), acct.id)
		}
	}
	a.fold(acct, e, r)
	if acct.status != "" && acct.balance.balance-acct.held < acct.min {
		a.w.fail(3, "limits", "%s has %d, of it held %d: below its limit of %d", acct.id, acct.balance.balance, acct.held, acct.min)
	}
	if acct.held < 0 {
		a.w.fail(3, "holds", "%s: less than nothing is held: %d", acct.id, acct.held)
	}
	a.conserved(acct.currency)
	if e.IdempotencyKey != "" {
		a.keyed(acct, e, r)
	}
	a.after[part] = append(a.after[part], acct.balance)
}

// fold posts an event to the auditor's books.
func (a *auditor) fold(acct *naive, e *eventstore.Event, r *request) {
	switch d := e.Data.(type) {
	case *account.Created:
		if acct.status != "" {
			a.w.fail(5, "accounts are created once", "%s is created again", acct.id)
		}
		acct.currency, acct.status = currencyNumber(d.Currency), account.Active
		a.limit(acct, d.Limits)
		a.asked(r, vCreate, acct.id, acct.id)
	case *account.BalanceChanged:
		a.changed(acct, d, e, r)
	case *account.StatusChanged:
		if acct.status == account.Closed && !acct.reopens(d.NewStatus) {
			a.w.fail(3, "closing is final", "%s goes from CLOSED to %s with %d", acct.id, d.NewStatus, acct.balance.balance)
		}
		if d.NewStatus == account.Closed && (acct.balance.balance != 0 || acct.held != 0) {
			a.w.fail(3, "closed empty", "%s is closed with %d, of it held %d", acct.id, acct.balance.balance, acct.held)
		}
		acct.status = d.NewStatus
		a.asked(r, vStatus, acct.id, acct.id)
	case *account.LimitsChanged:
		a.limit(acct, d.NewLimits)
		a.asked(r, vLimits, acct.id, acct.id)
	case *account.CreditRefused:
		a.creditRefused(acct, d)
	case *account.HoldPlaced:
		a.placed(acct, d, e, r)
	case *account.HoldReleased:
		a.released(acct, d, e, r)
	default:
		a.w.fail(0, "place", "%s is among the events of accounts", d.EventType())
	}
}

// reopens tells whether a closed account may have a status: made active it can be, when money came back to it.
func (n *naive) reopens(to account.Status) bool {
	return to == account.Active && n.balance.balance != 0
}

func (a *auditor) limit(acct *naive, l account.Limits) {
	acct.min, acct.max = units(l.Min, acct.currency), none
	if l.Max.Valid {
		acct.max = units(l.Max.Decimal, acct.currency)
	}
	if b := acct.balance.balance; b < acct.min || (l.Max.Valid && b > acct.max) {
		a.w.fail(3, "limits hold the balance", "%s has %d and gets the limits %d to %d", acct.id, b, acct.min, acct.max)
	}
}

// asked checks that a client asked for what is recorded.
func (a *auditor) asked(r *request, v verb, from, to string) {
	if r == nil {
		a.w.fail(8, "nothing without a command", "%s of %s was asked for by nobody", verbNames[v], from)
		return
	}
	s := &r.op.spec
	ok := s.verb == v
	switch v {
	case vRefund, vCapture, vVoid: // What they refer to is checked against the payment or the hold.
	case vTransfer, vPay, vHold:
		ok = ok && accountIDs[s.acct] == from && accountIDs[s.to] == to
	default:
		ok = ok && accountIDs[s.acct] == from
	}
	if !ok {
		a.w.fail(8, "what is recorded was asked for", "#%d led to %s of %s", s.op, verbNames[v], from)
	}
}

// conserved holds the two sums against each other: all postings are zero, and what is on its way is held by unfinished
// moves.
func (a *auditor) conserved(c int) {
	if total := a.sum[c] + a.outside[c] + a.transit[c]; total != 0 {
		a.w.fail(2, "conservation", "%s: accounts %d, outside %d and in transit %d make %d", currencies[c].code, a.sum[c], a.outside[c], a.transit[c], total)
	}
	if a.transit[c] != a.unfinished[c] {
		a.w.fail(2, "in transit", "%s: %d is in transit, unfinished movements hold %d", currencies[c].code, a.transit[c], a.unfinished[c])
	}
}
