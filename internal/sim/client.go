package sim

import (
	"errors"
	"time"

	"daybook/domain"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

// op is one command of a client, with all attempts at it.
type op struct {
	spec        spec
	command     ledger.Command
	fingerprint eventstore.Fingerprint
	// open counts the attempts that the client waits for.
	open int
	// with are the commands that were first sent as one atomic group.
	with []*op
	// uncertain tells that an attempt ended without a definite answer, and none that came later was a success.
	uncertain bool
	done      *ledger.Result
	attempts  []*request
	last      *request
	// repeated tells that it was asked for once more at rest.
	repeated bool
}

// request is one attempt at a command on its way through an owner.
type request struct {
	ledger.Request
	op    *op
	group []*request
	state requestState
	// answered tells that the client has its answer, or gave up; closed that the node that was asked knows of that.
	answered, closed bool
	result           ledger.Result
	err              error

	// seat is where it waits or is decided.
	seat *seat
	// visit is set at an owner that another node sent a copy of the request to, which is origin.
	visit  *visit
	origin *request
	// again tells that the next refusal counts, for which the command topic must have been read until there.
	again bool
	until int64

	// What follows is the auditor's: what the client was told, and what the log showed when it asked and shows now.
	refused, unknown bool
	repeats, inLog   bool
	versions         [2]int64
	decided          time.Time
	events           int
	// number counts the attempts at the command, own is this one in the hands of the node asked, parcels are those that
	// carried it, before the attempts that its refusal speaks of too, doer is what led to events. It is denied when it was given
	// up before a later one was refused.
	number  int
	own     holding
	parcels []*parcel
	before  []*holding
	doer    *holding
	denied  bool
}

type requestState uint8

const (
	queued requestState = iota
	taken
	abandoned
	left
)

var (
	errAborted     = domain.Refuse(domain.BatchAborted, "", "another command of the batch was refused")
	errUnavailable = domain.Refuse(domain.Unavailable, "", "this command did nothing")
	errOverloaded  = domain.Refuse(domain.Overloaded, "", "this command did nothing")
)

func codeIs(err error, code domain.Code) bool {
	var r *domain.Refusal
	return errors.As(err, &r) && r.Code == code
}

// members are the requests that are decided together with this one, itself included.
func (r *request) members() []*request {
	if r.group != nil {
		return r.group
	}
	return []*request{r}
}

func (r *request) leads() bool { return r.group == nil || r.group[0] == r }

func (r *request) leader() *request { return r.members()[0] }

// take claims the request for deciding; false when its caller has gone.
func (r *request) take() bool {
	l := r.leader()
	if l.state == queued {
		l.state = taken
	}
	return l.state == taken
}

// submitNew sends new commands.
func (w *world) submitNew(n *node, specs []spec, loose bool) {
	ops := w.newOps(specs)
	if !loose && len(ops) > 1 {
		for _, o := range ops {
			o.with = ops
		}
	}
	w.submit(n, ops, loose)
}

// repeated are the commands that are sent when one is repeated: by itself, as the group it was in, or in a group with new ones.
func (w *world) repeated(o *op, c *choice) []*op {
	if c.mode == together && o.with != nil {
		return o.with
	}
	return append(w.newOps(c.specs), o)
}

func (w *world) newOps(specs []spec) []*op {
	ops := make([]*op, len(specs))
	for i := range specs {
		o := &op{spec: specs[i]}
		o.command = o.spec.command(w.referred(o.spec.ref))
		o.fingerprint = ledger.Fingerprint(o.command)
		for int(o.spec.op) >= len(w.ops) {
			w.ops = append(w.ops, nil)
		}
		w.ops[o.spec.op], ops[i] = o, o
	}
	return ops
}

// submit sends commands of clients to a node, as one atomic group when they are several, or each by itself.
func (w *world) submit(n *node, ops []*op, loose bool) {
	requests := w.attempt(ops, loose)
	if !loose {
		home, found := n.home(requests)
		if !found {
			n.abandonUnseen(requests)
			return
		}
		n.accept(home, requests, len(requests) > 1)
		return
	}
	var by [partitions][]*request
	for i, r := range requests {
		if home, found := n.home(requests[i : i+1]); found {
			by[home] = append(by[home], r)
		} else {
			w.abandon(requests[i : i+1])
		}
	}
	for home, requests := range by {
		if len(requests) > 0 {
			n.accept(int32(home), requests, false)
		}
	}
}

// attempt makes requests of commands.
func (w *world) attempt(ops []*op, loose bool) []*request {
	requests := make([]*request, len(ops))
	for i, o := range ops {
		w.stats.Attempts++
		r := &request{
			Request: ledger.Request{Command: o.command, CommandID: w.newID(), SubjectID: w.newID(), Fingerprint: o.fingerprint},
			op:      o, number: len(o.attempts),
		}
		if len(ops) > 1 && !loose {
			r.group = requests
		}
		requests[i], o.last = r, r
		o.attempts = append(o.attempts, r)
		o.open++
	}
	return requests
}

// home finds the partition that requests belong to, and what this node knows to stand against them. False when it knows of
// no such hold or payment, which a copy that lags may not show yet, or when they belong to several.
func (n *node) home(requests []*request) (home int32, found bool) {
	found, home = true, none
	for _, r := range requests {
		found = found && n.up && n.locate(r.Command)
		n.w.audit.sent(r)
		if found && home == none {
			home = partitionOf(r.Command.Address())
		}
		found = found && partitionOf(r.Command.Address()) == home
		if found {
			r.Against = n.against(r.Command)
		}
	}
	return home, found
}

// locate finds the account that a command about a payment or a hold addresses, as far as this node read the log.
func (n *node) locate(c ledger.Command) bool {
	switch c := c.(type) {
	case *ledger.Refund:
		for _, s := range n.seats {
			if r, ok := s.stored.receipts[c.PaymentID]; ok {
				c.PayeeID = r.PayeeID
				return true
			}
		}
		return false
	case *ledger.CaptureHold:
		return n.holder(c.HoldID, &c.AccountID)
	case *ledger.VoidHold:
		return n.holder(c.HoldID, &c.AccountID)
	default:
		return true
	}
}

func (n *node) holder(holdID string, accountID *string) bool {
	for _, s := range n.seats {
		if h, ok := s.stored.holds[holdID]; ok {
			*accountID = h.AccountID
			return true
		}
	}
	return false
}

// end closes a request; true when its client hears of it.
func (r *request) end() bool {
	waits := !r.answered
	r.closed, r.answered, r.seat = true, true, nil
	if waits {
		r.op.open--
	}
	return waits
}

// answered gives a client, or the node that asks for it, what its owner decided.
func (w *world) answered(r *request) {
	if r.visit != nil {
		r.visit.answered(r)
		return
	}
	if r.err != nil {
		w.refuse(r, r.err)
		return
	}
	if !r.end() {
		return
	}
	w.stats.Successes++
	if w.trace != nil {
		w.tracef("#%d is answered: %s", r.op.spec.op, resultText(&r.result))
	}
	w.audit.success(r)
	if r.op.done == nil {
		result := r.result
		r.op.done, r.op.uncertain = &result, false
		w.learn(r.op)
	}
}

// refuse gives a client a definite refusal.
func (w *world) refuse(r *request, err error) {
	if !r.end() {
		return
	}
	r.err = err
	w.stats.Refusals++
	if w.trace != nil {
		w.tracef("#%d is refused: %v", r.op.spec.op, err)
	}
	w.audit.refusal(r, err)
}

// abandon tells clients that nothing was done. Other nodes hear of theirs from the next owner.
func (w *world) abandon(requests []*request) {
	for _, leading := range requests {
		for _, r := range leading.members() {
			if r.visit == nil {
				w.refuse(r, errUnavailable)
			}
		}
	}
}

// abandonUnseen tells clients that nothing was done by a node that does not know what one of their commands is about. All get
// the same answer: the commands may have been carried out before.
func (n *node) abandonUnseen(requests []*request) {
	if n.w.bug == AbortUnseen && n.up {
		for _, r := range requests[1:] {
			n.w.refuse(r, errAborted)
		}
	}
	n.w.abandon(requests[:1])
}

// unknown tells a client that it is not known what was done.
func (w *world) unknown(r *request) {
	if r.visit == nil && r.end() {
		w.leftUnknown(r)
	}
}

func (w *world) leftUnknown(r *request) {
	r.unknown = true
	w.stats.Unknown++
	if r.op.done == nil {
		r.op.uncertain = true
	}
	if w.trace != nil {
		w.tracef("#%d has an unknown outcome", r.op.spec.op)
	}
}

// giveUp ends a client's waiting. What was not taken is withdrawn and will not be done, unless the node does not notice.
func (w *world) giveUp(o *op, m mode) {
	r := o.last
	if r == nil || r.answered {
		return
	}
	l := r.leader()
	withdrawn := l.state == queued || l.state == abandoned
	switch {
	case m == unaware:
	case withdrawn:
		l.state = abandoned
	default:
		l.state = left
	}
	for _, member := range r.members() {
		switch {
		case m == unaware && !member.answered:
			member.answered = true
			member.op.open--
			w.leftUnknown(member)
		case m == unaware:
		case withdrawn:
			w.refuse(member, errUnavailable)
		default:
			w.unknown(member)
		}
	}
}

func resultText(r *ledger.Result) string {
	text := "balance " + r.Account.Balance.String() + " held " + r.Account.Held.String()
	if r.Transaction != nil {
		text += ", transaction " + r.Transaction.ID + " " + string(r.Transaction.Status)
	}
	if r.Hold != nil {
		text += ", hold " + r.Hold.ID + " " + string(r.Hold.Status)
	}
	return text
}
