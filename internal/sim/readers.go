package sim

import (
	"slices"

	"daybook/domain/account"
	"daybook/eventstore"
)

// projection is the read model of one partition: rows and the offset they stand at, written together.
type projection struct {
	offset int64
	// before is an offset that a projector which was left behind still begins from.
	before int64
	rows   [accounts]row
	// next is the generation that a rebuild is filling.
	next *projection
}

// row is an account in the read model: replaying what it has changes nothing.
type row struct {
	state  account.State
	events int64
}

// project applies the next events, rows and offset in one transaction.
func (p *projection) project(w *world, part int32, n int64, m mode) {
	from := p.offset
	if m == unaware {
		from = p.before
	}
	if from != p.offset && w.bug != NoOffsetCheck {
		return // The transaction fails: another projector wrote since.
	}
	to := min(from+n, w.logs[part].end())
	if m == crashed {
		if w.bug == OffsetApart {
			p.offset = to
		}
		return
	}
	if to == from {
		return
	}
	p.before = from
	p.apply(w, part, from, to)
	w.audit.projected(part, p, from, to)
}

func (p *projection) apply(w *world, part int32, from, to int64) {
	for _, entry := range w.logs[part].entries[from:to] {
		if entry.event == nil {
			continue
		}
		e := w.coded(entry.event)
		r := &p.rows[accountNumber(e.AggregateID)]
		if e.Version <= r.state.Version {
			continue
		}
		r.state = r.state.Apply(e.AggregateID, e.Data.(account.Event), e.Timestamp)
		r.events++
	}
	p.offset = to
}

// rebuild fills another generation beside the one that serves, and puts it in its place when it has caught up.
func (p *projection) rebuild(w *world, part int32, n int64) {
	if p.next == nil {
		p.next = &projection{}
	}
	from := p.next.offset
	p.next.apply(w, part, from, max(from, min(from+n, p.offset)))
	if p.next.offset < p.offset {
		return
	}
	w.audit.rebuilt(part, p)
	p.rows, p.next = p.next.rows, nil
}

// feedLength bounds what a live feed keeps for a subscriber; more is read from the read model.
const feedLength = 4

// subscriber follows one account's events: live as its node hears of them, from the read model what it missed.
type subscriber struct {
	id      int32
	node    *node
	account int
	// last is the version of the last event delivered, missed the newest that the live feed does not have.
	last, missed int64
	feed         []*eventstore.Event
	// seen is the auditor's.
	seen int64
}

func (n *node) publish(e *eventstore.Event) {
	for _, s := range n.listeners {
		if accountIDs[s.account] != e.AggregateID {
			continue
		}
		if len(s.feed) < feedLength {
			s.feed = append(s.feed, e)
		} else {
			s.missed = max(s.missed, e.Version)
		}
	}
}

// move connects the subscriber to a node, resuming after the last version it has.
func (s *subscriber) move(n *node, of int) {
	if !n.up {
		return
	}
	s.disconnect()
	w := n.w
	part := homes[of]
	if s.account < 0 {
		s.account = of
		s.last = w.read[part].rows[of].state.Version
		s.seen = s.last
	}
	s.node = n
	n.listeners = append(n.listeners, s)
	part = homes[s.account]
	if known := n.seats[part].stored.accounts[s.account]; known != nil {
		s.missed = known.Version
	}
	if w.bug == SubscriberRepeats && s.last > 0 {
		s.last--
	}
}

func (s *subscriber) disconnect() {
	if s.node != nil {
		s.node.listeners = slices.DeleteFunc(s.node.listeners, func(o *subscriber) bool { return o == s })
	}
	s.node, s.feed, s.missed = nil, s.feed[:0], 0
}

// listen delivers up to n events, in order.
func (s *subscriber) listen(w *world, n int64) {
	if s.node == nil {
		return
	}
	model := &w.read[homes[s.account]].rows[s.account]
	for ; n > 0 && w.failed == nil; n-- {
		for len(s.feed) > 0 && s.feed[0].Version <= s.last {
			s.feed = s.feed[1:]
		}
		switch live := len(s.feed) > 0; {
		case live && (s.feed[0].Version == s.last+1 || w.bug == SubscriberSkips):
			s.deliver(w, s.feed[0])
			s.feed = s.feed[1:]
		case (live || s.last < s.missed) && model.state.Version > s.last:
			s.deliver(w, w.audit.accounts[s.account].history[s.last])
		default:
			return
		}
	}
}

func (s *subscriber) deliver(w *world, e *eventstore.Event) {
	s.last = e.Version
	if w.trace != nil {
		w.tracef("subscriber %d gets version %d of %s", s.id, e.Version, e.AggregateID)
	}
	w.audit.delivered(s, e)
}
