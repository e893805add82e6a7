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
	// uncertain tells that an attempt ended without a definite answer, and none that came later was a success.
	uncertain bool
	done      *ledger.Result
	last      *request
}

// request is one attempt at a command on its way through an owner.
type request struct {
	ledger.Request
	op    *op
	group []*request
	state requestState
	// answered tells that the client has its answer, or gave up.
	answered bool
	result   ledger.Result
	err      error

	// What follows is the auditor's: what the client was told, and what the log showed when it asked and shows now.
	refused  bool
	repeats  bool
	versions [2]int64
	decided  time.Time
	events   int
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

// submit sends commands of clients to a node, as one atomic group when they are several.
func (w *world) submit(n *node, ops []*op) {
	requests := make([]*request, len(ops))
	found, home := true, int32(none)
	for i, o := range ops {
		w.stats.Attempts++
		r := &request{op: o, Request: ledger.Request{Command: o.command, CommandID: w.newID(), SubjectID: w.newID(), Fingerprint: o.fingerprint}}
		if len(ops) > 1 {
			r.group = requests
		}
		requests[i], o.last = r, r
		o.open++
		found = found && n.up && n.locate(o.command)
		w.audit.sent(r)
		if found && home == none {
			home = partitionOf(o.command.Address())
		}
		found = found && partitionOf(o.command.Address()) == home
		if found {
			r.Against = n.against(o.command)
		}
	}
	if !found {
		// One node knows of no such hold or payment, which a copy that lags may not show yet; or a group spans partitions.
		w.abandon(requests[:1])
		return
	}
	s := n.seats[home]
	switch {
	case !s.assigned:
		w.abandon(requests[:1])
	case len(s.queue) >= queueLength:
		for _, r := range requests {
			w.refuse(r, errOverloaded)
		}
	default:
		s.queue = append(s.queue, requests[0])
	}
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

// answered gives a client what its owner decided.
func (w *world) answered(r *request) {
	if r.err != nil {
		w.refuse(r, r.err)
		return
	}
	if r.answered {
		return
	}
	r.answered = true
	r.op.open--
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
	if r.answered {
		return
	}
	r.answered = true
	r.op.open--
	w.stats.Refusals++
	if w.trace != nil {
		w.tracef("#%d is refused: %v", r.op.spec.op, err)
	}
	w.audit.refusal(r, err)
}

// abandon tells clients that nothing was done.
func (w *world) abandon(requests []*request) {
	for _, leading := range requests {
		for _, r := range leading.members() {
			w.refuse(r, errUnavailable)
		}
	}
}

// unknown tells a client that it is not known what was done.
func (w *world) unknown(r *request) {
	if r.answered {
		return
	}
	r.answered = true
	r.op.open--
	w.stats.Unknown++
	if r.op.done == nil {
		r.op.uncertain = true
	}
	if w.trace != nil {
		w.tracef("#%d has an unknown outcome", r.op.spec.op)
	}
}

// giveUp ends a client's waiting. What was not taken is withdrawn and will not be done.
func (w *world) giveUp(o *op) {
	r := o.last
	if r == nil || r.answered {
		return
	}
	l := r.leader()
	withdrawn := l.state == queued || l.state == abandoned
	if withdrawn {
		l.state = abandoned
	} else {
		l.state = left
	}
	for _, member := range r.members() {
		if withdrawn {
			w.refuse(member, errUnavailable)
		} else {
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
