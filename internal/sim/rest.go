package sim

import (
	"slices"

	"daybook/domain"
)

const (
	// restRounds is how often everything gets its turn until nothing is left to do.
	restRounds = 200
	// beyondHolds is longer than any hold of a history lives, in milliseconds.
	beyondHolds = 8 * 24 * 3600 * 1000
)

// rest heals all that is broken, lets everything come to an end, and checks that it did: what was begun is finished,
// what was due happened by itself, everyone has an answer, and a repeat has the same one.
func (w *world) rest() {
	w.setClock(func() {
		for _, n := range w.nodes {
			n.start()
			n.skew = 0
		}
	})
	for p := range w.logs {
		w.assign(int32(p), w.assigned[p], well)
		for len(w.stragglers[p]) > 0 {
			w.straggle(int32(p))
		}
		for len(w.mail[p]) > 0 {
			w.mailArrives(int32(p))
		}
	}
	w.settle()
	w.patienceEnds()
	w.repeatAll()
	w.setClock(func() { w.now += beyondHolds })
	w.settle()
	if w.failed == nil {
		w.atRest()
	}
}

// settle gives everything its turns until nothing is left to do.
func (w *world) settle() {
	for range restRounds {
		if w.failed != nil {
			return
		}
		for p := range w.logs {
			w.tick(int32(p))
			for _, n := range w.nodes {
				if s := n.seats[p]; s.role == owning && s.behind() {
					s.renew() // It would within the hour, and finds that it owns nothing.
				}
			}
		}
		for _, s := range w.subs {
			w.serve(s)
		}
		if w.quiet() {
			return
		}
	}
	w.fail(0, "everything comes to an end", "after %d rounds without faults something still waits", restRounds)
}

func (w *world) serve(s *subscriber) {
	if s.account < 0 {
		return
	}
	if s.node == nil {
		s.move(w.nodes[int(s.id)%nodes], s.account)
	}
	s.listen(w, s64)
}

func (w *world) quiet() bool {
	for _, n := range w.nodes {
		if len(n.outgoing) > 0 || n.heard < len(w.replies) || slices.ContainsFunc(n.couriers[:], func(c courier) bool { return len(c.outbox)+len(c.doubt) > 0 }) {
			return false
		}
	}
	for p := range w.logs {
		owners := 0
		for _, n := range w.nodes {
			s := n.seats[p]
			if s.behind() || len(s.queue)+len(s.carry)+len(s.waiting)+len(s.pending)+len(s.inFlight) > 0 || s.role == takingOver {
				return false
			}
			if s.role != owning {
				continue
			}
			owners++
			if s.commandsDone < int64(len(w.commands[p])) || !s.coord.idle() || len(s.stored.due(n.clock())) > 0 {
				return false
			}
		}
		if owners != 1 || w.read[p].offset < w.logs[p].end() {
			return false
		}
	}
	return true
}

// behind tells whether the log holds what this node has not seen. An owner does not read its own lines.
func (s *seat) behind() bool {
	for _, e := range s.log.entries[s.pos.next:] {
		if s.role != owning || e.event != nil || e.epoch != s.markerEpoch {
			return true
		}
	}
	return false
}

// patienceEnds has the nodes wait no longer for the answers of others that were lost on the way.
func (w *world) patienceEnds() {
	for _, o := range w.ops {
		if o == nil {
			continue
		}
		for _, r := range o.attempts {
			if !r.closed && len(r.parcels) > 0 {
				r.leader().state = left
				w.unknown(r)
			}
		}
	}
}

// repeatAll sends again, to any node, what clients have an answer to, or none.
func (w *world) repeatAll() {
	sent := 0
	for i, o := range w.ops {
		if o == nil || (o.done == nil && !o.uncertain) {
			continue
		}
		w.submit(w.nodes[i%nodes], []*op{o}, false)
		o.repeated = true
		if sent++; sent%outboxLength == 0 {
			w.settle()
		}
	}
	w.settle()
	for i, o := range w.ops {
		// Of two commands that are the same under one key, the refusal of one drops the other, which may be asked again.
		if o != nil && o.repeated && domain.CodeOf(o.last.err) == domain.Unavailable {
			w.submit(w.nodes[i%nodes], []*op{o}, false)
			w.settle()
		}
	}
}

// atRest checks what must hold when nothing is left to do.
func (w *world) atRest() {
	a := &w.audit
	for _, m := range a.order {
		done := m.credited || m.reversed
		final := (m.events[2] != "" && !m.failed) || m.events[3] != ""
		if !done || !final {
			w.fail(2, "transactions end", "%s of %d from %s to %s has no end: credited %t, refused %t, reversed %t, events %q",
				m.id, m.amount, m.from, m.to, m.credited, m.refused, m.reversed, m.events)
			return
		}
	}
	for c, n := range a.transit {
		if n != 0 {
			w.fail(2, "in transit", "%s: %d is in transit at rest", currencies[c].code, n)
		}
	}
	for i := range a.accounts {
		acct := &a.accounts[i]
		p := &w.read[homes[i]]
		if acct.version > 0 {
			a.row(&p.rows[i], acct.balance, p.offset)
		}
		if acct.held != 0 && acct.status != "" {
			w.fail(3, "expiry happens by itself", "%s still has %d held long after the time of its holds", acct.id, acct.held)
		}
	}
	for _, s := range w.subs {
		if s.account >= 0 && s.seen != a.accounts[s.account].version {
			w.fail(7, "subscriptions miss and repeat nothing", "subscriber %d has version %d of %s, which has %d", s.id, s.seen, accountIDs[s.account], a.accounts[s.account].version)
		}
	}
	for _, o := range w.ops {
		switch {
		case o == nil:
		case o.open != 0:
			w.fail(1, "everyone has an answer", "#%d still waits", o.spec.op)
		case o.repeated && (domain.CodeOf(o.last.err) == domain.Unavailable || domain.CodeOf(o.last.err) == domain.Overloaded):
			w.fail(1, "everyone has an answer", "#%d cannot be repeated: %v", o.spec.op, o.last.err)
		case o.done != nil && o.last.err != nil:
			w.fail(5, "one key, one answer", "#%d was acknowledged, and its repeat is refused: %v", o.spec.op, o.last.err)
		}
	}
}
