package sim

import (
	"slices"

	"daybook/engine/ledger"
	"daybook/eventstore"
)

const (
	// outboxLength bounds what waits in a node to be sent to a partition's owner.
	outboxLength = 32
	// oldParcel is the age in milliseconds, by the owner's clock, from which a parcel for another owner is not answered.
	oldParcel = 60_000
)

// message stands in a partition's command topic: a transaction's step or a parcel.
type message struct {
	step   *eventstore.StepCommand
	parcel *parcel
	// at is the sender's clock.
	at int64
}

// parcel is commands on their way to the node that owns their accounts. It may stand in the topic more than once.
type parcel struct {
	id   uint64
	part int32
	from int8
	// life is that of the sending node, which numbers what it sends to a partition.
	life, seq int64
	// line is the epoch of the owner that it is addressed to; no other one evaluates it.
	line     int32
	atomic   bool
	requests []*request

	// What follows is the auditor's.
	held      []holding
	offset    int64 // Where it first stood in the topic, or none.
	evaluated bool
}

// bundle is what a node will send as one parcel.
type bundle struct {
	requests []*request
	atomic   bool
}

// courier sends a node's parcels to one partition, one batch after another.
type courier struct {
	outbox []bundle
	// doubt are parcels that were sent and not acknowledged: they are sent again before any other, or given up for good.
	doubt []*parcel
	seq   int64
	// line is the newest that an answer named.
	line int32
}

// reply is the answers to a parcel on their way back.
type reply struct {
	parcel  uint64
	to      int8
	life    int64
	part    int32
	line    int32
	answers []answer
}

// answer is that of one command. What is not told in it, the auditor knows.
type answer struct {
	result  ledger.Result
	err     error
	decided *request
}

// accept takes commands in: for this node's owner of the partition, or to be sent to another.
func (n *node) accept(part int32, requests []*request, atomic bool) {
	s := n.seats[part]
	if !s.assigned {
		n.pass(part, bundle{requests, atomic})
		return
	}
	leaders := requests
	if atomic {
		leaders = requests[:1]
	}
	for _, r := range leaders {
		if len(s.queue) >= queueLength {
			n.w.overload(r.members())
			continue
		}
		for _, m := range r.members() {
			m.seat = s
		}
		s.queue = append(s.queue, r)
	}
}

// pass puts commands into the outbox.
func (n *node) pass(part int32, b bundle) {
	c := &n.couriers[part]
	if len(c.outbox) >= outboxLength {
		n.w.overload(b.requests)
		return
	}
	for _, r := range b.requests {
		r.seat = nil
	}
	c.outbox = append(c.outbox, b)
}

func (w *world) overload(requests []*request) {
	for _, r := range requests {
		w.refuse(r, errOverloaded)
	}
}

// post sends what waits for a partition, or again what was not acknowledged.
func (n *node) post(part int32, m mode) {
	c := &n.couriers[part]
	if !n.up || len(c.outbox)+len(c.doubt) == 0 {
		return
	}
	c.doubt = slices.DeleteFunc(c.doubt, func(p *parcel) bool { return !p.awaited() })
	if len(c.doubt) == 0 {
		for _, b := range c.outbox {
			n.claim(c, part, b)
		}
		c.outbox = c.outbox[:0]
	}
	for _, p := range c.doubt {
		switch m {
		case requestOff:
		case late, crashed:
			n.w.mail[part] = append(n.w.mail[part], message{parcel: p, at: n.clock().Sub(epoch).Milliseconds()})
		case double:
			n.put(p)
			n.put(p)
		default:
			n.put(p)
		}
	}
	if m == crashed { // The sender gives them up for good, not knowing what became of them.
		for _, p := range c.doubt {
			for _, r := range p.requests {
				n.w.unknown(r)
			}
		}
	}
	if m == well || m == double || m == crashed {
		c.doubt = nil
	}
}

// claim makes a parcel of those whose clients still wait.
func (n *node) claim(c *courier, part int32, b bundle) {
	w := n.w
	var requests []*request
	for i, r := range b.requests {
		if b.atomic && i > 0 || r.take() {
			requests = append(requests, r)
		} else if b.atomic {
			return
		}
	}
	if len(requests) == 0 {
		return
	}
	c.seq++
	w.parcels++
	p := &parcel{
		id: w.parcels, part: part, from: n.id, life: n.life, seq: c.seq, line: max(c.line, n.seats[part].line), atomic: b.atomic, requests: requests,
		held: make([]holding, len(requests)), offset: none,
	}
	for i, r := range requests {
		p.held[i].request = r
		r.parcels = append(r.parcels, p)
	}
	c.doubt = append(c.doubt, p)
	n.away = append(n.away, p)
}

// awaited tells whether the sending node has somebody to answer.
func (p *parcel) awaited() bool {
	return slices.ContainsFunc(p.requests, func(r *request) bool { return !r.closed })
}

func (n *node) put(p *parcel) {
	n.w.deliver(p.part, message{parcel: p, at: n.clock().Sub(epoch).Milliseconds()})
}

// deliver appends to a partition's command topic.
func (w *world) deliver(part int32, m message) {
	if p := m.parcel; p != nil {
		if p.offset == none {
			p.offset = int64(len(w.commands[part]))
		}
		if w.trace != nil {
			w.tracef("partition %d is sent parcel %d by node %d for line %d, %s", part, p.id, p.from, p.line, opsText(p.requests))
		}
	}
	w.commands[part] = append(w.commands[part], m)
}

// mailArrives brings what is on its way to the command topic for long.
func (w *world) mailArrives(part int32) {
	all := w.mail[part]
	w.mail[part] = nil
	for _, m := range all {
		w.deliver(part, m)
	}
}

// sendReplies writes what this node's owners answered.
func (n *node) sendReplies(m mode) {
	if len(n.outgoing) == 0 {
		return
	}
	first := n.outgoing[0]
	switch m {
	case requestOff:
		n.outgoing = n.outgoing[:copy(n.outgoing, n.outgoing[1:])]
		return
	case late:
		n.outgoing = append(n.outgoing[:copy(n.outgoing, n.outgoing[1:])], first)
		return
	case double:
		n.w.replies = append(n.w.replies, first)
	default:
	}
	n.w.replies = append(n.w.replies, n.outgoing...)
	n.outgoing = n.outgoing[:0]
}

// hear reads up to most answers.
func (n *node) hear(most int64) {
	for ; n.up && most > 0 && n.heard < len(n.w.replies); most-- {
		r := n.w.replies[n.heard]
		n.heard++
		if r.to == n.id && r.life == n.life {
			n.heed(r)
		}
	}
	if n.w.bug != ResendTold {
		n.away = slices.DeleteFunc(n.away, func(p *parcel) bool { return !p.awaited() })
	}
}

// heed gives answers to those who wait, and sends anew what was not decided.
func (n *node) heed(r *reply) {
	i := slices.IndexFunc(n.away, func(p *parcel) bool { return p.id == r.parcel })
	if n.w.bug == MismatchReply {
		for j, p := range n.away {
			if p.id != r.parcel && len(p.requests) == len(r.answers) {
				i = j
			}
		}
	}
	if i < 0 {
		return // It was answered before, or nobody waits.
	}
	p := n.away[i]
	if n.w.bug != ResendTold {
		n.away = slices.Delete(n.away, i, i+1)
	}
	c := &n.couriers[r.part]
	c.line = max(c.line, r.line)
	var anew []*request
	for i, a := range r.answers {
		to := p.requests[i]
		n.w.audit.matched(to, a.decided)
		switch {
		case a.err == errNotDone:
			if !to.closed || (n.w.bug == ResendTold && to.leader().state != left) {
				anew = append(anew, to)
			}
		case !to.closed:
			to.result, to.err, to.decided, to.before = a.result, a.err, a.decided.decided, a.decided.before
			n.w.answered(to)
		}
	}
	switch {
	case len(anew) == 0:
	case p.atomic && len(anew) < len(p.requests): // An atomic group is not done as a whole.
	default:
		n.pass(r.part, bundle{anew, p.atomic})
	}
}

// lose is what a crash does to what was on its way through this node.
func (n *node) lose() {
	for i := range n.couriers {
		for _, b := range n.couriers[i].outbox {
			for _, r := range b.requests {
				n.w.unknown(r)
			}
		}
		n.couriers[i] = courier{}
	}
	for _, p := range n.away {
		for _, r := range p.requests {
			n.w.unknown(r)
		}
	}
	n.away, n.outgoing = nil, nil
}

// start is a new life: answers are heard from their end.
func (n *node) start() {
	if n.up {
		return
	}
	n.w.lives++
	n.up, n.life, n.heard = true, n.w.lives, len(n.w.replies)
}
