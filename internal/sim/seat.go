package sim

import (
	"time"

	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

// role is what a node is to a partition at the moment.
type role uint8

const (
	following role = iota
	takingOver
	owning
)

// The engine's bounds, small enough here to be met.
const (
	batchesInFlight = 3
	queueLength     = 64
	fenceTrust      = 3 * time.Hour
)

// position is how far a partition's stored state has come, as engine/store keeps it.
type position struct {
	next     int64
	lastTime time.Time
	progress eventstore.Progress
	// coordinated is the coordinator's own note, newer than the log's.
	coordinated int64
}

// seat is a node's place at one partition: its copy of the state, and all that it has in hand while it owns it.
type seat struct {
	w    *world
	node *node
	part int32
	log  *partitionLog

	stored   *shelf
	pos      position
	flushed  *shelf
	flushPos position

	role     role
	assigned bool
	queue    []*request
	carry    []*request
	// waiting are refused requests, to be decided once more when the command topic was read so far.
	waiting []*request
	// line is the epoch of the newest line that was read.
	line int32
	// pending are batches that an owner left open, to be settled by what the log holds.
	pending []*batch
	// marker is the offset of the last line this node ruled and read back, ruled the one it looks for, both with epochs.
	marker, ruled           int64
	markerEpoch, ruledEpoch int32
	ruledAt                 time.Time

	// What follows belongs to an owner.
	view         view
	decider      ledger.Decider
	inFlight     []*batch
	sequence     int64
	lastTime     time.Time
	number       int
	commandsDone int64
	coord        coordinator
	// once are the requests that were refused once and have their second turn to come, seen is by sender the last parcel taken.
	once []*request
	seen map[int64]int64
	told []*request // To plant HandOverRefused.
	hand *holding
}

// batch is what is decided and written together.
type batch struct {
	number   int
	epoch    int32
	sequence int64
	events   []*eventstore.Event
	hands    []*holding // The auditor's: what led to each event.
	requests []*request
	layer    *shelf
	lastTime time.Time
	sent     bool
	first    int64
	err      error
	met      bool
}

func newSeat(w *world, n *node, part int32) *seat {
	s := &seat{w: w, node: n, part: part, log: &w.logs[part], stored: newShelf(nil), marker: none}
	s.flushed = s.stored.clone()
	s.view.bug = w.bug
	s.decider = ledger.Decider{
		Books: &s.view, NewID: w.newID,
		Here: func(id string) bool { return partitionOf(id) == part },
	}
	s.view.top = s.stored
	return s
}

// against is the engine's: what this node's copy of another partition shows to stand against a credit there for good.
func (n *node) against(c ledger.Command) error {
	to, currency := n.other(c)
	if to == "" || partitionOf(to) == partitionOf(c.Address()) {
		return nil
	}
	s := n.seats[partitionOf(to)]
	v := view{top: s.stored}
	state, err := v.Account(to)
	if err != nil || !state.Exists() || (state.Status == account.Closed && s.pos.next < s.log.end()) {
		return nil // A copy that lags does not tell whether a closed account was opened again.
	}
	return account.DecidePayee(state, currency)
}

// other is the account on the other side of a command, if it has one.
func (n *node) other(c ledger.Command) (string, money.Currency) {
	switch c := c.(type) {
	case *ledger.Transfer:
		return c.ToID, c.Currency
	case *ledger.Pay:
		return c.ToID, c.Currency
	case *ledger.AuthorizeHold:
		return c.ToID, c.Currency
	case *ledger.Refund:
		if r := n.seats[partitionOf(c.PayeeID)].stored.receipts[c.PaymentID]; r != nil {
			return r.PayerID, r.Currency
		}
	case *ledger.CaptureHold:
		if h := n.seats[partitionOf(c.AccountID)].stored.holds[c.HoldID]; h != nil {
			return h.CounterpartyID, h.Currency
		}
	default: // It has none.
	}
	return "", ""
}

// read applies up to n entries of the log, and takes the next step of a takeover when this node is to own the
// partition: at the end of the log it rules its line, and behind its own line it begins.
func (s *seat) read(n int64) {
	if s.role == owning || !s.node.up {
		return
	}
	if s.role == takingOver && !s.assigned {
		s.role = following
	}
	for ; n > 0 && s.pos.next < s.log.end(); n-- {
		if s.step() {
			return
		}
	}
	if s.pos.next == s.log.end() && s.role == following && s.assigned {
		s.ruledEpoch, s.ruled = s.log.rule()
		s.ruledAt = s.node.clock()
		s.w.audit.line(s.part)
		s.role = takingOver
	}
	if !s.assigned {
		s.handOver()
	}
}

// step applies one entry; true when it made this node the owner.
func (s *seat) step() bool {
	offset := s.pos.next
	e := s.log.entries[offset]
	s.pos.next++
	if e.event != nil {
		s.apply(offset, e.event)
		return false
	}
	s.line = max(s.line, e.epoch)
	switch {
	case s.role == takingOver && offset == s.ruled:
		s.begin()
		return true
	case !s.assigned && len(s.pending) > 0 && s.later(offset, e):
		s.settleFenced()
	}
	return false
}

// later tells whether a line is another than the one this node last wrote behind: a renewed one has the same epoch.
func (s *seat) later(offset int64, e entry) bool { return offset > s.marker && e.epoch > s.markerEpoch }

// apply folds what is read into the stored state.
func (s *seat) apply(offset int64, e *eventstore.Event) {
	e = s.w.coded(e)
	s.view.top = s.stored
	if err := s.view.fold(e); err != nil {
		s.w.fail(0, "fold", "folding failed: %v", err)
	}
	if e.Timestamp.After(s.pos.lastTime) {
		s.pos.lastTime = e.Timestamp
	}
	if e.Progress != nil {
		s.pos.progress = *e.Progress
	}
	for _, b := range s.pending {
		if len(b.events) > 0 && b.events[0].ID == e.ID {
			b.met = true
		}
	}
	s.node.publish(e)
}

// begin makes this node the owner: what was left open is settled by what stands before the line.
func (s *seat) begin() {
	s.role, s.marker, s.markerEpoch = owning, s.ruled, s.ruledEpoch
	s.sequence, s.lastTime, s.commandsDone = 0, s.pos.lastTime, s.pos.progress.Commands
	if s.w.bug == LoseProgress {
		s.commandsDone = int64(len(s.w.commands[s.part]))
	}
	if s.w.bug == ExpireNever {
		s.stored.placed = nil
	}
	s.view.top = s.stored
	s.inFlight = s.inFlight[:0]
	s.coord = coordinator{seat: s, position: min(max(s.pos.coordinated, s.pos.progress.Coordinated), s.pos.next)}
	clear(s.seen)
	s.retake(s.settlePending())
	if s.w.trace != nil {
		s.w.tracef("node %d owns partition %d, epoch %d", s.node.id, s.part, s.markerEpoch)
	}
	s.w.audit.takeover(s)
}

// interrupt ends an owner: it forgets all that is not written.
func (s *seat) interrupt(why error) {
	if s.w.trace != nil {
		s.w.tracef("node %d stops owning partition %d: %v", s.node.id, s.part, why)
	}
	s.role = following
	s.pending = s.pending[:0]
	for _, b := range s.inFlight {
		if len(b.events) > 0 && !b.sent {
			s.w.stragglers[s.part] = append(s.w.stragglers[s.part], b)
		}
		s.pending = append(s.pending, b)
	}
	s.inFlight = s.inFlight[:0]
	s.view.top = s.stored
	s.endTurn()
	if why == errFenced {
		for len(s.pending) > 0 && s.pos.next < s.log.end() {
			offset := s.pos.next
			e := s.log.entries[offset]
			s.pos.next++
			if e.event != nil {
				s.apply(offset, e.event)
				continue
			}
			s.line = max(s.line, e.epoch)
			if s.later(offset, e) {
				s.settleFenced()
			}
		}
	}
	if !s.assigned {
		s.handOver()
	}
}

// settlePending answers the pending batches that are in the log, and returns the requests of the others.
func (s *seat) settlePending() (undone []*request) {
	lost := false
	for _, b := range s.pending {
		lost = lost || (len(b.events) > 0 && !b.met && s.w.bug != SettleUnread)
		anew := lost || (s.refuses(b) && s.w.bug != RefuseUnconfirmed)
		for _, r := range b.requests {
			if !anew && s.final(r) {
				s.w.answered(r)
			} else if r.leads() {
				undone = append(undone, r)
			}
		}
	}
	s.pending = s.pending[:0]
	return undone
}

// settleFenced answers the pending batches that were written before another owner came; the rest is for that one.
func (s *seat) settleFenced() { s.retake(s.settlePending()) }

// leaveOpen gives up waiting for a line that would settle what is pending.
func (s *seat) leaveOpen() {
	for _, b := range s.pending {
		for _, r := range b.requests {
			s.w.unknown(r)
		}
	}
	s.pending = s.pending[:0]
}

// crash loses all that is in memory, and of the stored state what was not flushed.
func (s *seat) crash() {
	for _, b := range s.inFlight {
		if len(b.events) > 0 && !b.sent {
			s.w.stragglers[s.part] = append(s.w.stragglers[s.part], b)
		}
	}
	for _, batches := range [][]*batch{s.inFlight, s.pending} {
		for _, b := range batches {
			for _, r := range b.requests {
				s.w.unknown(r)
			}
		}
	}
	for _, waiting := range [][]*request{s.waiting, s.carry, s.queue} {
		for _, r := range waiting {
			for _, member := range r.members() {
				s.w.unknown(member)
			}
		}
	}
	s.inFlight, s.pending, s.carry, s.queue, s.waiting, s.once, s.told = nil, nil, nil, nil, nil, nil, nil
	s.line = 0
	clear(s.seen)
	s.role, s.assigned, s.coord = following, false, coordinator{}
	s.stored, s.pos = s.flushed.clone(), s.flushPos
	if s.w.bug == ForgetOutcomes {
		s.stored.outcomes = nil
	}
	s.view.top = s.stored
}

func (s *seat) flush() { s.flushed, s.flushPos = s.stored.clone(), s.pos }
