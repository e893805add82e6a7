package sim

import (
	"fmt"
	"slices"
	"strings"

	"daybook/domain"
)

// holding is an attempt at a command in a parcel, or in the hands of the node that was asked.
type holding struct {
	request *request
	// barred says why nothing may come of it any more.
	barred string
}

// handOf is what an owner has a request from.
func handOf(r *request) *holding {
	if r.visit == nil {
		r.own.request = r
		return &r.own
	}
	return &r.visit.parcel.held[slices.Index(r.visit.copies, r)]
}

// effective holds an event against what was told before of the attempt that led to it.
func (a *auditor) effective(r *request, by *holding) {
	r.doer = by
	if r.events == 1 && r.denied {
		a.w.stats.Overtaken++
	}
	if by != nil && by.barred != "" {
		a.w.fail(5, "what is told holds", "#%d is carried out by an attempt of which %s", r.op.spec.op, by.barred)
	}
}

// evaluates notes that an owner evaluates a parcel.
func (a *auditor) evaluates(p *parcel) {
	a.w.stats.Parcels++
	if p.evaluated {
		a.w.fail(5, "one evaluation for a parcel", "parcel %d of %s is evaluated again", p.id, opsText(p.requests))
	}
	p.evaluated = true
}

// earlier notes, when requests are first refused, the attempts at the same that came before them: those in the hands of this
// owner, and those that stand before them in the command topic.
func (a *auditor) earlier(s *seat, members []*request) {
	for _, r := range members {
		r.before = nil
		if r.number == 0 {
			continue
		}
		to := int64(len(a.w.commands[s.part]))
		if r.visit != nil {
			to = r.visit.offset
		}
		for _, x := range r.op.attempts[:r.number] {
			if x.seat == s {
				x.own.request = x
				r.before = append(r.before, &x.own)
			}
			for _, p := range x.parcels {
				if p.part != s.part || p.offset == none || p.offset >= to {
					continue
				}
				for i := range p.held {
					if p.held[i].request == x {
						r.before = append(r.before, &p.held[i])
					}
				}
			}
		}
	}
}

// bar holds, as a refusal is told, the earlier attempts against it: those that the client gave up have led to nothing and never
// will.
func (a *auditor) bar(r *request) {
	for _, x := range r.op.attempts[:r.number] {
		x.denied = x.denied || x.unknown
	}
	for _, h := range r.before {
		if !h.request.unknown {
			continue
		}
		h.barred = "a later one was refused"
		if h.request.doer == h && h.request.events > 0 {
			a.w.fail(5, "what is told holds", "#%d is refused, and was carried out by an earlier attempt that the owner knew of", r.op.spec.op)
		}
	}
}

// disowned notes that an owner said of an attempt that nothing was done of it.
func (a *auditor) disowned(c *request, h *holding) {
	if (c.origin.events > 0 && c.origin.doer == h) || c.inLog {
		a.w.fail(8, "not done is true", "#%d is in the log, and its sender is told that it was not done", c.op.spec.op)
	}
	h.barred = "its sender was told that it was not done"
}

// matched checks that an answer belongs to the command that was asked.
func (a *auditor) matched(to, decided *request) {
	if decided.origin != to {
		a.w.fail(5, "each answer is to its command", "#%d gets the answer to #%d", to.op.spec.op, decided.op.spec.op)
	}
}

// haveEffects tells whether the keys of all requests are in the log by the same commands.
func (a *auditor) haveEffects(requests []*request) bool {
	for _, r := range requests {
		f := a.effects[effectKey{int8(accountNumber(r.Command.Address())), r.Command.Common().IdempotencyKey}]
		if f == nil || f.event.Fingerprint != r.Fingerprint {
			return false
		}
	}
	return true
}

// reads notes that the owner of an epoch took an entry of the command topic up.
func (a *auditor) reads(part int32, offset int64, epoch int32) {
	for int64(len(a.taken[part])) <= offset {
		a.taken[part] = append(a.taken[part], 0)
	}
	a.taken[part][offset] = max(a.taken[part][offset], epoch)
}

// progress holds the position in the command topic that an owner notes against what it took up.
func (a *auditor) progress(part int32, to int64, epoch int32) {
	for ; a.noted[part] < to; a.noted[part]++ {
		if at := a.noted[part]; at >= int64(len(a.taken[part])) || a.taken[part][at] != epoch {
			a.w.fail(1, "every command is taken up", "partition %d: the position in the command topic passes %d, which the owner has not read", part, at)
		}
	}
}

func opsText(requests []*request) string {
	ops := make([]string, len(requests))
	for i, r := range requests {
		ops[i] = fmt.Sprintf("#%d", r.op.spec.op)
	}
	return strings.Join(ops, " ")
}

func answersText(answers []answer) string {
	texts := make([]string, len(answers))
	for i, a := range answers {
		texts[i] = fmt.Sprintf("#%d ", a.decided.op.spec.op)
		if a.err == nil {
			texts[i] += "done"
		} else {
			texts[i] += string(domain.CodeOf(a.err))
		}
	}
	return strings.Join(texts, ", ")
}
