package sim

import (
	"slices"
	"time"

	"daybook/domain"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

// canDecide tells whether the owner would decide another batch now.
func (s *seat) canDecide() bool {
	return s.role == owning && s.assigned && s.node.up && len(s.inFlight) < batchesInFlight
}

// decide decides what waits as one batch, up to so many commands. When it is late, the command topic is not read on.
func (s *seat) decide(most int64, m mode) {
	if !s.canDecide() {
		return
	}
	now := s.node.clock()
	if now.Sub(s.ruledAt).Abs() > fenceTrust {
		s.interrupt(errStale)
		return
	}
	if now.Before(s.lastTime) && s.w.bug != ClockBack {
		now = s.lastTime
	}
	due := s.findDue(now)
	s.decider.Now = now
	s.number++
	b := &batch{number: s.number, epoch: s.markerEpoch, sequence: s.sequence, lastTime: now}
	top := s.view.top
	b.layer = newShelf(top)
	s.view.top = b.layer
	s.gather(b, due, most, m)
	if len(b.events) == 0 {
		s.view.top = top
		if len(b.requests) == 0 {
			return
		}
		if len(s.inFlight) > 0 && s.w.bug != AnswerBeforeWrite {
			s.inFlight = append(s.inFlight, b)
			return
		}
		if s.confirm(b) {
			s.finish(b)
		} else {
			s.inFlight = append(s.inFlight, b)
			s.interrupt(errFenced)
		}
		return
	}
	if s.w.bug == SwapEvents && len(b.events) > 1 {
		last := len(b.events) - 1
		b.events[last-1], b.events[last] = b.events[last], b.events[last-1]
	}
	s.lastTime = now
	s.sequence += int64(len(b.events))
	if s.w.bug == ReuseSequence && s.number%16 == 0 && len(s.inFlight) > 0 {
		b.sequence = s.inFlight[len(s.inFlight)-1].sequence
	}
	s.inFlight = append(s.inFlight, b)
	if s.w.trace != nil {
		s.w.tracef("node %d, partition %d: batch %d of %d events decided at %d ms", s.node.id, s.part, b.number, len(b.events), now.Sub(epoch).Milliseconds())
	}
	switch s.w.bug {
	case AnswerBeforeWrite:
		s.answer(b)
	case ReplyBeforeWrite:
		for _, r := range b.requests {
			if r.visit != nil && r.err == nil {
				s.w.answered(r)
			}
		}
	default:
	}
}

// renew plants the fence again, and finds out whether another owner came meanwhile.
func (s *seat) renew() {
	if s.role != owning || !s.node.up {
		return
	}
	if err := s.log.renew(s.markerEpoch); err != nil {
		s.interrupt(err)
		return
	}
	s.w.audit.line(s.part)
	s.ruledAt = s.node.clock()
}

func (s *seat) findDue(now time.Time) []string {
	if len(s.inFlight) > 0 {
		return nil
	}
	if s.w.bug == ExpireEarly {
		now = now.Add(time.Second)
	}
	return s.stored.due(now)
}

// gather decides what is due, what arrived by the command topic, and the requests in their order: what an earlier turn left,
// those that were refused once, those that were queued.
func (s *seat) gather(b *batch, due []string, most int64, m mode) {
	for _, id := range due {
		now := s.decider.Now
		if s.w.bug == ExpireEarly {
			s.decider.Now = now.Add(time.Second)
		}
		events, err := s.decider.Expire(id)
		s.decider.Now = now
		for i := range events {
			events[i].Timestamp = now
		}
		s.keep(b, events, err)
	}
	for ; most > 0 && m != late && s.commandsDone < int64(len(s.w.commands[s.part])); most-- {
		s.takeCommand(b)
	}
	for ; most > 0 && len(s.carry) > 0; most-- {
		r := s.carry[0]
		s.carry = s.carry[1:]
		s.take(b, r)
	}
	for ; most > 0 && len(s.waiting) > 0 && s.waiting[0].until <= s.commandsDone; most-- {
		r := s.waiting[0]
		s.waiting = s.waiting[:copy(s.waiting, s.waiting[1:])]
		s.take(b, r)
	}
	n := int(min(most, int64(len(s.queue))))
	for _, r := range s.queue[:n] {
		s.take(b, r)
	}
	s.queue = s.queue[:copy(s.queue, s.queue[n:])]
}

// takeCommand takes the next entry of the command topic up.
func (s *seat) takeCommand(b *batch) {
	w, offset := s.w, s.commandsDone
	m := w.commands[s.part][offset]
	if m.parcel != nil && w.bug == PassParcel && s.number%8 == 0 {
		s.commandsDone++
		return
	}
	w.audit.reads(s.part, offset, s.markerEpoch)
	if m.parcel != nil {
		s.takeParcel(b, m, offset)
	} else {
		w.stats.Steps++
		events, err := s.decider.Step(m.step)
		s.keep(b, events, err)
	}
	s.commandsDone++
}

// keep records events that nobody asked for.
func (s *seat) keep(b *batch, events []eventstore.Event, err error) {
	if err != nil {
		s.w.fail(0, "books", "deciding failed: %v", err)
		return
	}
	s.record(b, events)
}

// record adds events to the batch, and folds them into the topmost layer.
func (s *seat) record(b *batch, events []eventstore.Event) {
	for i := range events {
		e := &events[i]
		if len(b.events) == 0 {
			e.Progress = &eventstore.Progress{Commands: s.commandsDone, Coordinated: s.coord.position, Partitions: partitions}
		}
		if err := s.view.fold(e); err != nil {
			s.w.fail(0, "fold", "folding failed: %v", err)
		}
		b.events, b.hands = append(b.events, e), append(b.hands, s.hand)
	}
}

func (s *seat) take(b *batch, r *request) {
	if !r.take() {
		return
	}
	s.evaluate(b, r)
	s.noteRefusal(r)
	b.requests = append(b.requests, r.members()...)
}

// evaluate decides a request, or the atomic group that it leads.
func (s *seat) evaluate(b *batch, r *request) {
	if members := r.members(); len(members) > 1 {
		s.decideTogether(b, members)
	} else {
		s.decideOne(b, r)
	}
}

func (s *seat) decideOne(b *batch, r *request) {
	s.w.stats.Commands++
	d, err := s.decider.Command(&r.Request)
	if s.w.bug == RefusedDebits && err != nil {
		s.refusedDebit(b, r, err)
	}
	if s.w.bug == IgnoreInput && codeIs(err, domain.IdempotencyConflict) {
		prior, _, _ := s.view.Outcome(r.Command.Address(), r.Command.Common().IdempotencyKey)
		d.Result, err = ledger.Result{Account: prior.State, Hold: prior.Hold}, nil
	}
	if s.w.bug == WrongCode && codeIs(err, domain.InsufficientBalance) {
		err = domain.Refuse(domain.AccountClosed, "", "")
	}
	r.result, r.err, r.decided = d.Result, err, s.decider.Now
	if err == nil {
		s.hand = handOf(r)
		s.record(b, d.Events)
		s.hand = nil
	}
}

// refusedDebit plants RefusedDebits: it decides a refused transfer as if its destination were elsewhere.
func (s *seat) refusedDebit(b *batch, r *request, why error) {
	switch r.Command.(type) {
	case *ledger.Transfer, *ledger.Pay:
	default:
		return
	}
	if codeIs(why, domain.IdempotencyConflict) {
		return
	}
	here := s.decider.Here
	s.decider.Here = func(id string) bool { return id == r.Command.Address() }
	d, err := s.decider.Command(&r.Request)
	s.decider.Here = here
	if err == nil {
		s.record(b, d.Events)
	}
}

// decideTogether decides all or, when one is refused, none.
func (s *seat) decideTogether(b *batch, members []*request) {
	before, events := s.view.top, len(b.events)
	s.view.top = newShelf(before)
	s.decider.Atomic = true
	defer func() { s.decider.Atomic = false }()
	for _, r := range members {
		s.decideOne(b, r)
		if r.err == nil {
			continue
		}
		why := r.err
		if s.w.bug != HalfGroup {
			s.view.top, b.events, b.hands = before, b.events[:events], b.hands[:events]
		} else {
			s.view.top.onto(before)
			s.view.top = before
		}
		for _, other := range members {
			s.abort(other)
		}
		r.result, r.err = ledger.Result{}, why
		return
	}
	s.view.top.onto(before)
	s.view.top = before
}

// send brings the first unsent batch to the log.
func (s *seat) send(m mode) {
	i := slices.IndexFunc(s.inFlight, func(b *batch) bool { return len(b.events) > 0 && !b.sent })
	if i < 0 || s.role != owning {
		return
	}
	b := s.inFlight[i]
	switch m {
	case requestOff:
		b.sent = true // Never to be seen again.
		s.interrupt(errLost)
		return
	case late:
		s.interrupt(errLost)
		return
	case unordered:
		j := slices.IndexFunc(s.inFlight[i+1:], func(b *batch) bool { return len(b.events) > 0 && !b.sent })
		if j >= 0 {
			s.w.arrive(s.part, s.inFlight[i+1+j])
		}
	default:
	}
	s.w.arrive(s.part, b)
	if m == double {
		s.w.arrive(s.part, b)
	}
}

// receive takes the log's answer to the oldest batch in flight.
func (s *seat) receive(m mode) {
	if s.role != owning || len(s.inFlight) == 0 {
		return
	}
	b := s.inFlight[0]
	switch {
	case !b.sent:
	case m == answerOff:
		s.interrupt(errLost)
	case b.err != nil:
		s.interrupt(b.err)
	case b.first < s.pos.next && s.w.bug != ReuseSequence:
		s.interrupt(errAnswers)
	default:
		s.settle(b)
	}
}

func (s *seat) settle(b *batch) {
	b.layer.onto(s.stored)
	s.inFlight = s.inFlight[:copy(s.inFlight, s.inFlight[1:])]
	s.pos.next, s.pos.lastTime = b.first+int64(len(b.events)), b.lastTime
	if b.events[0].Progress != nil {
		s.pos.progress = *b.events[0].Progress
	}
	s.unstack(b.layer)
	s.finish(b)
	for len(s.inFlight) > 0 && len(s.inFlight[0].events) == 0 {
		if !s.confirm(s.inFlight[0]) {
			s.interrupt(errFenced)
			return
		}
		s.finish(s.inFlight[0])
		s.inFlight = s.inFlight[:copy(s.inFlight, s.inFlight[1:])]
	}
	if !s.assigned && len(s.inFlight) == 0 {
		s.role = following
		s.handOver()
	}
}

// unstack takes the lowest layer out, as it is stored.
func (s *seat) unstack(lowest *shelf) {
	if s.view.top == lowest {
		s.view.top = s.stored
		return
	}
	for l := s.view.top; l != nil; l = l.below {
		if l.below == lowest {
			l.below = s.stored
		}
	}
}

// confirm makes sure, before a batch is answered that wrote nothing, that no newer owner wrote since: a refusal that
// rests on an old state may contradict what was answered elsewhere. What repeats an answer holds for ever.
func (s *seat) confirm(b *batch) bool {
	return !s.refuses(b) || s.markerEpoch == s.log.epoch || s.w.bug == RefuseUnconfirmed
}

// refuses tells whether the batch wrote nothing that would prove the state current on which it refuses for good.
func (s *seat) refuses(b *batch) bool {
	return len(b.events) == 0 && slices.ContainsFunc(b.requests, func(r *request) bool {
		switch {
		case r.err == nil || !s.final(r):
			return false
		case r.err == errNotDone:
			return s.w.bug != DisownUnconfirmed
		default:
			return r.visit == nil || s.w.bug != ReplyUnconfirmed
		}
	})
}

// finish publishes a settled batch and answers its callers.
func (s *seat) finish(b *batch) {
	for _, e := range b.events {
		s.node.publish(e)
	}
	if s.w.bug != AnswerBeforeWrite || len(b.events) == 0 {
		s.answer(b)
	}
}

func (s *seat) answer(b *batch) {
	for _, r := range b.requests {
		switch {
		case !r.leads() || r.leader().state == abandoned:
		case s.final(r):
			for _, m := range r.members() {
				s.tell(m)
			}
		default:
			s.decideAgain(r)
		}
	}
}

func (s *seat) tell(r *request) {
	if s.w.bug == HandOverRefused && r.err != nil && r.leads() && r.visit == nil && len(s.told) == 0 && !r.closed {
		s.told = append(s.told, r)
	}
	s.w.answered(r)
}
