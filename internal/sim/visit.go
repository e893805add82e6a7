package sim

import (
	"slices"

	"daybook/domain"
	"daybook/engine/ledger"
)

// errNotDone is an owner's answer about a parcel that was not addressed to it: nothing was done of it, and nothing will be.
var errNotDone = domain.Refuse("NOT_DONE", "", "the parcel was addressed to another owner")

// visit is a parcel at its owner, until all of it is answered.
type visit struct {
	seat   *seat
	parcel *parcel
	offset int64
	line   int32
	copies []*request
	open   int
}

// newVisit makes the owner's own requests of what stands in a parcel.
func newVisit(s *seat, p *parcel, offset int64) *visit {
	v := &visit{seat: s, parcel: p, offset: offset, line: s.markerEpoch, open: len(p.requests), copies: make([]*request, len(p.requests))}
	for i, r := range p.requests {
		v.copies[i] = &request{Request: r.Request, op: r.op, number: r.number, origin: r, visit: v, state: taken}
		if p.atomic && len(p.requests) > 1 {
			v.copies[i].group = v.copies
		}
	}
	return v
}

// takeParcel evaluates a parcel that is addressed to this owner, once, and tells the sender of any other that it did not.
func (s *seat) takeParcel(b *batch, m message, offset int64) {
	p := m.parcel
	if p.line != s.markerEpoch && s.w.bug != SkipLine {
		if s.node.clock().Sub(epoch).Milliseconds()-m.at <= oldParcel {
			s.disown(b, newVisit(s, p, offset))
		}
		return
	}
	if p.seq <= s.seen[p.life] && s.w.bug != ForgetParcels {
		return
	}
	put(&s.seen, p.life, p.seq)
	v := newVisit(s, p, offset)
	s.w.audit.evaluates(p)
	if p.atomic {
		s.take(b, v.copies[0])
		return
	}
	for _, r := range v.copies {
		s.take(b, r)
	}
}

// disown answers for a parcel that was addressed to an earlier owner: what that one carried out is in the books, and what
// is not it can carry out no more.
func (s *seat) disown(b *batch, v *visit) {
	var leaders [][]*request
	if v.parcel.atomic {
		leaders = append(leaders, v.copies)
	} else {
		for i := range v.copies {
			leaders = append(leaders, v.copies[i:i+1])
		}
	}
	for _, members := range leaders {
		members[0].again = true // Nothing that came before can be on its way.
		if s.known(members) && s.w.bug != DisownUnseen {
			s.evaluate(b, members[0])
		} else {
			inLog := s.w.audit.haveEffects(members)
			for _, r := range members {
				r.err, r.inLog = errNotDone, inLog
			}
		}
		b.requests = append(b.requests, members...)
	}
}

// known tells whether the keys of all requests are in the books.
func (s *seat) known(requests []*request) bool {
	return !slices.ContainsFunc(requests, func(r *request) bool {
		_, ok, _ := s.view.Outcome(r.Command.Address(), r.Command.Common().IdempotencyKey)
		return !ok
	})
}

// abort answers a request of an atomic group of which one is refused. What was carried out before keeps its answer.
func (s *seat) abort(r *request) {
	result, known, err := s.decider.Repeat(&r.Request)
	if !known || s.w.bug == AbortRepeats {
		err = errAborted
	}
	r.result, r.err = result, err
}

// refusedAs tells whether a request, or one of its atomic group, is refused.
func (r *request) refusedAs() bool {
	return slices.ContainsFunc(r.members(), func(m *request) bool { return m.err != nil })
}

// final tells whether a decided request is answered as it is. What is refused is decided once more, after everything that
// came before it on the other way: an earlier attempt at the same may be among it.
func (s *seat) final(r *request) bool {
	l := r.leader()
	switch {
	case l.again || !l.refusedAs():
		return true
	case l.visit == nil:
		return s.w.bug == RefuseBeforeTopic
	default:
		return s.w.bug == RefuseBeforeQueue
	}
}

// noteRefusal keeps account of those that were refused once, and closes them when another attempt at the same is refused for good.
func (s *seat) noteRefusal(r *request) {
	switch {
	case !s.final(r):
		s.w.audit.earlier(s, r.members())
		s.once = append(s.once, r)
	case r.refusedAs():
		if !r.again {
			s.w.audit.earlier(s, r.members())
		}
		s.unnote(r)
		s.closeOthers(r.members())
	default:
		s.unnote(r)
	}
}

func (s *seat) unnote(r *request) {
	if i := slices.Index(s.once, r); i >= 0 {
		s.once = slices.Delete(s.once, i, i+1)
	}
}

// closeOthers ends, as requests are refused for good, all other attempts at the same that were refused once: they are not
// carried out any more. Whoever still waits for one may ask again.
func (s *seat) closeOthers(refused []*request) {
	if s.w.bug == RefuseApart {
		return
	}
	s.once = slices.DeleteFunc(s.once, func(leading *request) bool {
		for _, other := range leading.members() {
			if slices.ContainsFunc(refused, other.sameAttempt) {
				s.drop(leading)
				return true
			}
		}
		return false
	})
}

func (s *seat) drop(leading *request) {
	leading.state = abandoned
	for _, m := range leading.members() {
		m.result, m.err = ledger.Result{}, errUnavailable
		s.w.answered(m)
	}
}

// decideAgain gives a refused request its second turn.
func (s *seat) decideAgain(r *request) {
	r.again = true
	switch {
	case r.visit == nil:
		r.until = int64(len(s.w.commands[s.part]))
		s.waiting = append(s.waiting, r)
	case len(s.queue) < queueLength:
		s.queue = append(s.queue, r)
	default:
		s.unnote(r)
		for _, m := range r.members() {
			m.result, m.err = ledger.Result{}, errOverloaded
			s.w.answered(m)
		}
	}
}

// sameAttempt tells whether two requests are attempts at the same command.
func (r *request) sameAttempt(other *request) bool {
	return r.Fingerprint == other.Fingerprint && r.Command.Common().IdempotencyKey == other.Command.Common().IdempotencyKey &&
		r.Command.Address() == other.Command.Address()
}

// answered sends the answers when they are complete.
func (v *visit) answered(r *request) {
	if r.closed {
		return
	}
	r.closed = true
	if v.open--; v.open > 0 {
		return
	}
	s, p := v.seat, v.parcel
	back := &reply{parcel: p.id, to: p.from, life: p.life, part: p.part, line: v.line, answers: make([]answer, len(v.copies))}
	for i, c := range v.copies {
		back.answers[i] = answer{c.result, c.err, c}
		if c.err == errNotDone {
			s.w.stats.NotDone++
			s.w.audit.disowned(c, &p.held[i])
		}
	}
	if s.w.trace != nil {
		s.w.tracef("node %d answers parcel %d, %s", s.node.id, p.id, answersText(back.answers))
	}
	s.node.outgoing = append(s.node.outgoing, back)
}

// endTurn takes back what an owner had in hand, and drops what other nodes sent.
func (s *seat) endTurn() {
	s.queue = slices.DeleteFunc(s.queue, func(r *request) bool {
		if r.visit != nil && r.state == taken {
			s.dropParcel(r)
		}
		return r.visit != nil
	})
	all := append(s.waiting, s.carry...)
	s.waiting, s.carry, s.once = nil, nil, s.once[:0]
	s.retake(all)
}

// dropParcel answers a request of another node that a turn of ownership leaves and did not carry out. If it was sent to the
// owner of this very turn, nobody else will ever decide it. Of others the next owner tells.
func (s *seat) dropParcel(r *request) {
	if v := r.visit; v.parcel.line != v.line && s.w.bug != DropDisowned {
		return
	}
	for _, m := range r.members() {
		m.result, m.err, m.inLog = ledger.Result{}, errNotDone, false
		s.w.answered(m)
	}
}

// retake has requests decided afresh before any others, unless their clients have gone. Nothing is refused for good before
// all of them were decided once.
func (s *seat) retake(requests []*request) {
	for _, r := range requests {
		if !r.take() {
			continue
		}
		if r.visit != nil {
			s.dropParcel(r)
			continue
		}
		for _, m := range r.members() {
			m.result, m.err = ledger.Result{}, nil
		}
		r.again = false
		s.carry = append(s.carry, r)
	}
}

// handOver sends what waits to the node that owns the partition now.
func (s *seat) handOver() {
	if len(s.waiting)+len(s.carry)+len(s.queue)+len(s.told) == 0 {
		return
	}
	s.endTurn()
	for _, r := range slices.Concat(s.carry, s.queue, s.told) {
		if l := r.leader(); l.state == queued || l.state == taken {
			s.node.pass(s.part, bundle{r.members(), r.group != nil})
		}
	}
	s.carry, s.queue, s.told = s.carry[:0], s.queue[:0], nil
}
