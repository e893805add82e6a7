package engine

import (
	"context"
	"slices"

	"daybook/domain"
	"daybook/engine/ledger"
)

// AbortBatch answers the commands of an atomic batch that cannot be carried out because something stands against others of
// it: BATCH_ABORTED, unless more is to be said of one, such as the answer of one that was carried out before.
func (e *Engine) AbortBatch(ctx context.Context, commands []ledger.Command) []Answer {
	patience, end := e.patience(ctx)
	defer end()
	l := locator{engine: e}
	requests, answers := l.locateAll(patience.taken, commands)
	l.abort(patience.taken, requests, answers)
	return answers
}

// abort answers the commands of an atomic batch that is carried out in no partition, for what stands in the answers. Whoever
// is told that it was aborted may take another key, so nobody is told by a node that cannot tell: the batch, or a command of
// it, may have been carried out before.
func (l *locator) abort(ctx context.Context, requests []*request, answers []Answer) {
	why := aborted()
	for _, a := range answers {
		if a.refused() && !definite(a.Err) {
			why = a.Err
		}
	}
	known := make([]bool, len(requests))
	for i, r := range requests {
		if r == nil || !definite(why) {
			continue
		}
		var err error
		var result ledger.Result
		if result, known[i], err = l.repeat(ctx, r); known[i] {
			answers[i] = Answer{Result: result, Err: err}
		} else if err != nil {
			why = err
		}
	}
	for i, r := range requests {
		if r != nil && !known[i] && (answers[i].Err == nil || !definite(why)) {
			answers[i].Err = why
		}
	}
}

// repeat answers a request that was carried out before, and makes sure that it was not where this node knows of nothing.
func (l *locator) repeat(ctx context.Context, r *request) (result ledger.Result, known bool, err error) {
	e, p := l.engine, l.engine.partitionOf(r.Command.Address())
	d := ledger.Decider{Books: newSpeculation(e.store, p), Here: func(id string) bool { return e.partitionOf(id) == p }}
	result, known, err = d.Repeat(&r.Request)
	if !known && err == nil {
		if err = l.catchUp(ctx, p); err == nil {
			result, known, err = d.Repeat(&r.Request)
		}
	}
	if err != nil {
		err = publicError(err)
	}
	return result, known, err
}

// definite tells whether a refusal says for good that nothing was done under the command's key.
func definite(err error) bool {
	switch domain.CodeOf(err) {
	case domain.Unavailable, domain.Overloaded, domain.OutcomeUnknown, domain.Internal:
		return false
	default:
		return true
	}
}

// abortedBy is what a command is told that nothing stands against but the refusal of another of its atomic batch.
func abortedBy(why error) error {
	if !definite(why) {
		return why
	}
	return aborted()
}

func aborted() error {
	return domain.Refuse(domain.BatchAborted, "", "this command did nothing: another command of its atomic batch was refused; correct that one and send the batch again")
}

// refused tells whether a request, or any of the atomic group that it leads, is refused.
func refused(r *request) bool {
	return slices.ContainsFunc(whole(r), func(member *request) bool { return member.err != nil })
}
