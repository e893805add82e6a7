package engine

import (
	"encoding/json"
	"errors"
	"time"

	"daybook/domain"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

const (
	// parcelPart is how many commands of a parcel are decided before the next batch may begin.
	parcelPart = 256
	// parcelLife is the age from which a parcel for a former owner is passed over: nobody waits for it any more. It is read
	// on two machines' clocks, and nothing but an answer hangs on it.
	parcelLife = time.Minute
)

// line names a turn of ownership: the producer that its owner writes as.
type line struct {
	ProducerID int64 `json:"producerId"`
	Epoch      int16 `json:"epoch"`
}

// noLine is that of a sender who does not know the owner.
var noLine = line{ProducerID: -1}

func lineOf(m eventstore.Marker) line { return line{m.ProducerID, m.Epoch} }

// parcel is requests on their way to another node together. It is addressed to one turn of ownership: only in that one is
// it decided, and once. A refusal leaves no trace in the log, and must not be followed by the command's being carried out
// by whoever reads the command topic next.
type parcel struct {
	ID string `json:"id"`
	// Origin is the node, since its last start, that waits for the answers; Seq grows with each parcel that it sends to a
	// partition. Parcels can be in the topic twice, even late, but never before one with a smaller number.
	Origin   string     `json:"origin"`
	Seq      int64      `json:"seq"`
	Line     line       `json:"line"`
	Atomic   bool       `json:"atomic,omitempty"`
	Requests []*request `json:"requests"`

	// What follows is the sender's: since is when the parcel was given to the outbox, ahead how many commands were open then,
	// and sent when it was packed.
	partition   int32
	since, sent time.Time
	ahead       int64
	// written and verdict are the owner's: the time of the record, and what becomes of the parcel.
	written time.Time
	verdict verdict
}

// verdict is what an owner does with a parcel.
type verdict int

const (
	unseen  verdict = iota
	decided         // It is for this owner.
	retold          // It was for a former one: what that one did of it is told again, and the rest is not done.
	ignored
)

// home is where the answers to a parcel go. It is for the partition's goroutine.
type home struct {
	engine *Engine
	parcel *parcel
	// taker is the line of the owner that took the parcel. Another one has nothing to do with what it left.
	taker eventstore.Marker
	// open counts the requests that are not answered yet.
	open int
	// traced are the moments of the batch that was last told of to the trace.
	traced *moments
}

// errNotDone tells the sender of a parcel that a request in it was not decided, and never will be.
var errNotDone = errors.New("not done")

// decodeParcel reads requests that another node sent, as parts that are decided each in one batch.
func (e *Engine) decodeParcel(partition int32, m *eventstore.Message) ([]step, error) {
	p := &parcel{written: m.Time}
	if err := json.Unmarshal(m.Value, p); err != nil {
		return nil, err
	}
	if len(p.Requests) == 0 {
		return nil, errors.New("there are no commands in it")
	}
	to, now := &home{engine: e, parcel: p, open: len(p.Requests)}, e.cfg.Clock()
	for _, r := range p.Requests {
		if r == nil || r.Command == nil || e.partitionOf(r.Command.Address()) != partition {
			return nil, errors.New("a command in it belongs to another partition")
		}
		r.home, r.done, r.entered = to, make(chan struct{}), now
		r.state.Store(taken)
	}
	if p.Atomic {
		g := &group{requests: p.Requests, atomic: true}
		for _, r := range p.Requests {
			r.group = g
		}
		return []step{{parcel: p, part: p.Requests, offset: m.Offset}}, nil
	}
	var steps []step
	for rest := p.Requests; len(rest) > 0; {
		n := min(len(rest), parcelPart)
		steps = append(steps, step{parcel: p, part: rest[:n], offset: m.Offset})
		rest = rest[n:]
	}
	return steps, nil
}

// takeParcel decides a part of what another node sent.
func (o *owner) takeParcel(b *batch, p *parcel, part []*request) error {
	if p.verdict == unseen {
		p.verdict = o.judge(p)
		part[0].home.taker = o.partition.marker
	}
	switch p.verdict {
	case decided:
		return o.takeAll(b, part)
	case retold:
		return o.retell(b, part)
	case unseen, ignored:
	}
	return nil
}

func (o *owner) judge(p *parcel) verdict {
	switch {
	case p.Line == lineOf(o.partition.marker):
		if last, ok := o.parcels[p.Origin]; ok && p.Seq <= last {
			return ignored
		}
		o.parcels[p.Origin] = p.Seq
		return decided
	case o.engine.cfg.Clock().Sub(p.written) > parcelLife:
		return ignored
	}
	return retold
}

func (o *owner) takeAll(b *batch, part []*request) error {
	for _, r := range part {
		if !r.leads() {
			continue
		}
		if err := o.takeRequest(b, r); err != nil {
			return err
		}
	}
	return nil
}

// retell answers what was sent to a former owner. That one can write nothing more, and all it wrote is in the books: what
// they know of is told again, and what they do not know of was not done. An atomic group is known when all of it is.
func (o *owner) retell(b *batch, part []*request) error {
	for _, r := range part {
		if !r.leads() {
			continue
		}
		r.ordered = true // Whatever the answer is, it is not to be asked again here.
		known, err := o.known(whole(r))
		if err != nil {
			return err
		}
		if known {
			if err := o.reckon(b, r); err != nil {
				return err
			}
			continue
		}
		b.requests = append(b.requests, whole(r)...)
		for _, member := range whole(r) {
			member.err = errNotDone
		}
	}
	return nil
}

// known tells whether the books know the keys of all requests.
func (o *owner) known(requests []*request) (bool, error) {
	for _, r := range requests {
		_, known, err := o.spec.Outcome(r.Command.Address(), r.Command.Common().IdempotencyKey)
		if err != nil {
			return false, ledger.BooksError{Err: err}
		}
		if !known {
			return false, nil
		}
	}
	return true, nil
}

// drop answers what another node sent to a turn of ownership that is over, where it was not carried out. Nobody else decides
// what was sent to that turn. What was sent to another turn may have been carried out in it: that is for the next owner to
// tell.
func drop(r *request) {
	if r.home.parcel.verdict == decided {
		refuseWhole(r, errNotDone)
	}
}

// answered sends the answers once all are there. What was not come to is never answered here: whoever owns the partition
// next reads it again.
func (h *home) answered() {
	if h.open--; h.open > 0 {
		return
	}
	answers := reply{ID: h.parcel.ID, Owner: h.taker}
	for _, r := range h.parcel.Requests {
		answers.Answers = append(answers.Answers, wireAnswerOf(r))
	}
	if f := h.engine.forwarder; f != nil {
		f.reply(h.parcel, &answers)
	}
}

// reply is the answers to a parcel, on their way back.
type reply struct {
	ID string `json:"id"`
	// Owner is the line of the owner that answers.
	Owner   eventstore.Marker `json:"owner"`
	Answers []wireAnswer      `json:"answers"`
}

type wireAnswer struct {
	NotDone bool            `json:"notDone,omitempty"`
	Refusal *domain.Refusal `json:"refusal,omitempty"`
	Result  *ledger.Result  `json:"result,omitempty"`
}

func wireAnswerOf(r *request) wireAnswer {
	if errors.Is(r.err, errNotDone) {
		return wireAnswer{NotDone: true}
	}
	if r.err != nil {
		var refusal *domain.Refusal
		errors.As(publicError(r.err), &refusal)
		return wireAnswer{Refusal: refusal}
	}
	return wireAnswer{Result: &r.result}
}

// settle gives the request its answer.
func (w *wireAnswer) settle(r *request) {
	switch {
	case w.Refusal != nil:
		r.refuse(w.Refusal)
	case w.Result != nil:
		r.result, r.err = *w.Result, nil
		r.answer()
	default:
		r.refuse(errors.New("the account's owner gave an empty answer"))
	}
}
