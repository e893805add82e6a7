package sim

import (
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
)

// coordinatorRun bounds how many events a coordinator takes at once.
const coordinatorRun = 16

// coordinator derives the transactions from a partition's events, as the engine's does: events first, then commands,
// then its position. It can be stopped between any two of them.
type coordinator struct {
	seat     *seat
	position int64
	stage    stage
	end      int64
	events   []eventstore.Event
	steps    []*eventstore.StepCommand
}

type stage uint8

const (
	reading stage = iota
	recording
	sending
	noting
)

// work does the next thing. With answerOff it is done, and done again the next time.
func (c *coordinator) work(m mode) {
	w := c.seat.w
	early := w.bug == CommandsFirst
	switch c.stage {
	case reading:
		c.derive()
		if w.bug == SkipAfterCrash {
			c.position, c.seat.pos.coordinated = c.end, c.end
		}
	case recording:
		if early {
			c.send()
		} else {
			c.record()
		}
	case sending:
		if early {
			c.record()
		} else {
			c.send()
		}
	case noting:
		c.position, c.seat.pos.coordinated = c.end, c.end
		c.stage = reading
		return
	}
	if m != answerOff {
		c.stage++
	}
}

// idle tells whether there is nothing to do.
func (c *coordinator) idle() bool { return c.stage == reading && c.position >= c.seat.pos.next }

func (c *coordinator) derive() {
	c.events, c.steps = c.events[:0], c.steps[:0]
	c.end = min(c.position+coordinatorRun, c.seat.pos.next)
	for offset := c.position; offset < c.end; offset++ {
		if e := c.seat.log.entries[offset].event; e != nil {
			c.react(c.seat.w.coded(e))
		}
	}
}

func (c *coordinator) react(e *eventstore.Event) {
	w, data := c.seat.w, e.Data.(account.Event)
	same := false
	if change, ok := data.(*account.BalanceChanged); ok {
		same = partitionOf(change.CounterpartyID) == c.seat.part
	}
	derived, step := transaction.React(e.AggregateID, data, same)
	for i := range derived {
		c.events = append(c.events, eventstore.Event{
			ID: e.ID + "/" + derived[i].EventType(), AggregateID: transactionOf(data), Version: derived[i].Version(), Timestamp: e.Timestamp,
			CorrelationID: e.CorrelationID, CausationID: e.ID, Metadata: e.Metadata, Data: &derived[i],
		})
	}
	if step == nil || (w.bug == DropReversal && step.Kind == transaction.StepReverse) {
		return
	}
	c.steps = append(c.steps, w.codedStep(&eventstore.StepCommand{
		Step: *step, ID: e.ID + "/" + string(step.Kind), CorrelationID: e.CorrelationID, CausationID: e.ID, Metadata: e.Metadata,
	}, e.Timestamp))
}

func transactionOf(d account.Event) string {
	switch d := d.(type) {
	case *account.BalanceChanged:
		return d.TransactionID
	case *account.CreditRefused:
		return d.TransactionID
	default:
		return ""
	}
}

func (c *coordinator) record() {
	w := c.seat.w
	for i := range c.events {
		w.audit.transactionEvent(&c.events[i])
	}
}

func (c *coordinator) send() {
	w := c.seat.w
	for _, step := range c.steps {
		to := partitionOf(step.AccountID)
		w.deliver(to, message{step: step})
		if w.trace != nil {
			w.tracef("partition %d is sent %s of %s for %s", to, step.Kind, step.Movement.TransactionID, step.AccountID)
		}
	}
}
