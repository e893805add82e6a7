package sim

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"daybook/eventstore"
)

const (
	partitions  = 3
	nodes       = 3
	subscribers = 6
)

// Violation is a promise seen broken.
type Violation struct {
	// Promise is its number in the design's section 2; 0 for what has none of its own.
	Promise int
	// Check names what was checked.
	Check string
	Text  string
}

// Error implements error.
func (v *Violation) Error() string {
	if v.Promise == 0 {
		return v.Check + ": " + v.Text
	}
	return fmt.Sprintf("promise %d, %s: %s", v.Promise, v.Check, v.Text)
}

// node is one process of the cluster.
type node struct {
	w     *world
	id    int8
	up    bool
	skew  int64
	seats [partitions]*seat
	// life is another one after each start.
	life int64
	// couriers send what other nodes are to do, away is what was sent and not answered.
	couriers [partitions]courier
	away     []*parcel
	// outgoing are answers for other nodes, heard is how far this one has read theirs.
	outgoing []*reply
	heard    int
	// listeners are the subscribers connected to this node.
	listeners []*subscriber
}

func (n *node) clock() time.Time { return moment(n.w.now + n.skew) }

// world is all there is: the log, the cluster, its clients and its readers, at one virtual moment.
type world struct {
	bug    Bug
	codec  bool
	now    int64
	newest int64 // The latest that any clock has shown.
	ids    uint64
	// parcels and lives count what has been so far.
	parcels uint64
	lives   int64

	logs     [partitions]partitionLog
	commands [partitions][]message
	// mail are parcels that reach the command topic late.
	mail       [partitions][]message
	replies    []*reply
	stragglers [partitions][]*batch
	nodes      [nodes]*node
	assigned   [partitions]int8
	ops        []*op
	// payments and holds are the commands that made them, as far as clients were told.
	payments, holds []*op
	read            [partitions]projection
	subs            [subscribers]*subscriber
	audit           auditor
	stats           Stats
	failed          *Violation
	trace           func(string)
}

func newWorld(bug Bug, codec bool) *world {
	w := &world{bug: bug, codec: codec}
	w.audit.init(w)
	for p := range w.logs {
		w.logs[p].id = int32(p)
	}
	for i := range w.nodes {
		n := &node{w: w, id: int8(i)}
		n.start()
		w.nodes[i] = n
		for p := range n.seats {
			n.seats[p] = newSeat(w, n, int32(p))
		}
	}
	for p := range w.assigned {
		w.assigned[p] = int8(p % nodes)
		s := w.nodes[p%nodes].seats[p]
		s.assigned = true
		s.read(1)
		s.read(1)
	}
	for i := range w.subs {
		w.subs[i] = &subscriber{id: int32(i), account: -1}
	}
	return w
}

func (w *world) newID() string {
	w.ids++
	return "i" + strconv.FormatUint(w.ids, 36)
}

func (w *world) tracef(format string, args ...any) { w.trace("    " + fmt.Sprintf(format, args...)) }

// fail keeps the first violation.
func (w *world) fail(promise int, check, format string, args ...any) {
	if w.failed == nil {
		w.failed = &Violation{Promise: promise, Check: check, Text: fmt.Sprintf(format, args...)}
	}
}

// coded passes an event through the codec, in the histories that have it.
func (w *world) coded(e *eventstore.Event) *eventstore.Event {
	if !w.codec {
		return e
	}
	m, err := eventstore.Encode(e)
	if err == nil {
		var back eventstore.Event
		if back, err = eventstore.Decode(&m); err == nil {
			return &back
		}
	}
	w.fail(0, "codec", "an event is not read as it was written: %v", err)
	return e
}

func (w *world) codedStep(c *eventstore.StepCommand, at time.Time) *eventstore.StepCommand {
	if !w.codec {
		return c
	}
	m, err := eventstore.EncodeCommand(c, at)
	if err == nil {
		var back *eventstore.StepCommand
		if back, err = eventstore.DecodeCommand(&m); err == nil {
			return back
		}
	}
	w.fail(0, "codec", "a command is not read as it was written: %v", err)
	return c
}

// arrive brings a batch to the log.
func (w *world) arrive(part int32, b *batch) {
	first, fresh, err := w.logs[part].append(b.epoch, b.sequence, b.events, w.bug != SkipFence)
	b.sent, b.first, b.err = true, first, err
	if err != nil || !fresh {
		if w.trace != nil {
			w.tracef("partition %d: the batch is not taken: offset %d, %v", part, first, err)
		}
		return
	}
	w.stats.Events += int64(len(b.events))
	for i, e := range b.events {
		if w.trace != nil {
			w.tracef("partition %d, offset %d: %s", part, first+int64(i), eventText(e))
		}
		w.audit.event(part, first+int64(i), e, b.hands[i])
		if e.Progress != nil {
			w.audit.progress(part, e.Progress.Commands, b.epoch)
		}
	}
}

// do carries out one choice. One that makes no sense any more, because of what was left out before it, does nothing.
func (w *world) do(c *choice) {
	w.stats.Choices++
	n := w.nodes[c.node]
	s := n.seats[c.part]
	switch c.kind {
	case kSubmit:
		w.submitNew(n, c.specs, c.mode == apart)
	case kRetry:
		if o := w.op(c.op); o != nil {
			w.submit(n, w.repeated(o, c), false)
		}
	case kGiveUp:
		if o := w.op(c.op); o != nil {
			w.giveUp(o, c.mode)
		}
	case kTick:
		w.tick(c.part)
	case kDecide:
		s.decide(c.n, c.mode)
	case kSend:
		s.send(c.mode)
	case kAnswer:
		s.receive(c.mode)
	case kRead:
		if c.mode == crashed {
			s.leaveOpen()
		}
		s.read(c.n)
	case kCoord:
		if s.role == owning {
			s.coord.work(c.mode)
		}
	case kPost:
		n.post(c.part, c.mode)
	case kReply:
		n.sendReplies(c.mode)
	case kHear:
		n.hear(c.n)
	default:
		w.disturb(c, n, s)
	}
}

// disturb carries out the choices about faults, time and readers.
func (w *world) disturb(c *choice, n *node, s *seat) {
	switch c.kind {
	case kStraggler:
		w.straggle(c.part)
	case kMail:
		w.mailArrives(c.part)
	case kTwice:
		if all := w.commands[c.part]; len(all) > 0 {
			w.deliver(c.part, all[int(c.n)%len(all)])
		}
	case kAssign:
		w.assign(c.part, c.node, c.mode)
	case kCrash:
		n.crash()
	case kStart:
		n.start()
	case kRenew:
		s.renew()
	case kFlush:
		s.flush()
	case kClock:
		w.setClock(func() { w.now += c.n })
	case kSkew:
		w.setClock(func() { n.skew = c.n })
	case kProject:
		w.read[c.part].project(w, c.part, c.n, c.mode)
	case kRebuild:
		w.read[c.part].rebuild(w, c.part, c.n)
	case kListen:
		w.subs[c.op].listen(w, c.n)
	case kMove:
		w.subs[c.op].move(n, int(c.n))
	default:
	}
}

func (w *world) op(id int32) *op {
	if int(id) < len(w.ops) {
		return w.ops[id]
	}
	return nil
}

// referred is the id of the hold or payment that a command made, as its client was told.
func (w *world) referred(id int32) string {
	o := w.op(id)
	switch {
	case id <= 0 || o == nil || o.done == nil:
		return "unheard-of"
	case o.spec.verb == vHold:
		return o.done.Hold.ID
	case o.done.Transaction != nil:
		return o.done.Transaction.ID
	}
	return "unheard-of"
}

// learn notes what later commands can refer to.
func (w *world) learn(o *op) {
	switch o.spec.verb {
	case vHold:
		w.holds = append(w.holds, o)
	case vPay, vCapture:
		w.payments = append(w.payments, o)
	default:
	}
}

// decisionRounds is how often an owner decides at most in a healthy moment: refusals and what waits behind them.
const decisionRounds = 4

// tick is a healthy moment of a partition: what waits is sent, decided, written, answered, coordinated and read.
func (w *world) tick(part int32) {
	for _, n := range w.nodes {
		n.post(part, well)
	}
	for _, n := range w.nodes {
		s := n.seats[part]
		if s.role == owning {
			for round := 0; round == 0 || (round < decisionRounds && len(s.waiting)+len(s.queue) > 0); round++ {
				s.decide(queueLength, well)
				for s.role == owning && len(s.inFlight) > 0 && w.failed == nil {
					s.send(well)
					s.receive(well)
				}
			}
			for s.role == owning && !s.coord.idle() && w.failed == nil {
				s.coord.work(well)
			}
		}
	}
	for _, n := range w.nodes {
		n.seats[part].read(s64)
		n.sendReplies(well)
	}
	for _, n := range w.nodes {
		n.hear(s64)
	}
	w.read[part].project(w, part, s64, well)
}

// s64 is more than any history holds.
const s64 = 1 << 40

func (w *world) straggle(part int32) {
	late := w.stragglers[part]
	if len(late) == 0 {
		return
	}
	w.arrive(part, late[0])
	w.stragglers[part] = late[:copy(late, late[1:])]
}

// assign gives a partition to another node. The one that had it is told, or goes on until it is refused.
func (w *world) assign(part int32, to int8, m mode) {
	if m != unaware {
		for _, n := range w.nodes {
			if n.id != to {
				n.seats[part].release()
			}
		}
	}
	w.assigned[part] = to
	if w.nodes[to].up {
		w.nodes[to].seats[part].assigned = true
	}
}

// release takes the assignment away; an owner first waits for what is on its way.
func (s *seat) release() {
	s.assigned = false
	if s.role == owning && len(s.inFlight) > 0 {
		return
	}
	s.role = following
	s.handOver()
}

func (n *node) crash() {
	for _, s := range n.seats {
		s.crash()
	}
	n.up = false
	n.lose()
	for _, sub := range slices.Clone(n.listeners) {
		sub.disconnect()
	}
}

// setClock changes a clock, and keeps the latest that any has shown.
func (w *world) setClock(change func()) {
	change()
	for _, n := range w.nodes {
		w.newest = max(w.newest, w.now+n.skew)
	}
}
