package engine

import (
	"context"
	"slices"

	"daybook/domain"
	"daybook/domain/transaction"
	"daybook/engine/ledger"
)

// Execute carries out a command and waits for its answer. An error is a *domain.Refusal; nothing was changed unless
// its code is OUTCOME_UNKNOWN.
func (e *Engine) Execute(ctx context.Context, c ledger.Command) (ledger.Result, error) {
	began := e.cfg.Clock()
	ctx, span := e.begin(ctx, commandNames[kindOf(c)], c)
	result, err := e.execute(ctx, c)
	e.answered(ctx, c, began, err)
	end(span, err)
	return result, err
}

func (e *Engine) execute(ctx context.Context, c ledger.Command) (ledger.Result, error) {
	if err := e.admit(); err != nil {
		return ledger.Result{}, err
	}
	patience, end := e.patience(ctx)
	defer end()
	l := locator{engine: e}
	if err := l.locate(patience.taken, c); err != nil {
		return ledger.Result{}, err
	}
	r := newRequest(c, e.cfg.NewID)
	r.Against = l.against(patience.taken, c)
	f := e.follow(r, l.other)
	defer f.close()
	r.entered = e.cfg.Clock()
	if err := e.partitions[e.partitionOf(c.Address())].submit(r); err != nil {
		return ledger.Result{}, err
	}
	if err := patience.await(r); err != nil {
		return ledger.Result{}, err
	}
	e.traceParts(ctx, r)
	if r.err != nil {
		return ledger.Result{}, publicError(r.err)
	}
	if tx := r.result.Transaction; tx != nil && tx.Status == transaction.Pending {
		e.awaitSettled(patience.taken, tx, f)
	}
	return r.result, nil
}

// Answer is what became of one command of a batch.
type Answer struct {
	Result ledger.Result
	// Err is a *domain.Refusal; nothing was changed by the command unless its code is OUTCOME_UNKNOWN.
	Err error
}

func (a Answer) refused() bool { return a.Err != nil }

// ExecuteBatch carries out commands and waits for their answers, which come in the order of the commands. Those that
// address accounts of one partition are decided in their order and share a commit, as far as it takes them; nothing
// orders the partitions among one another. A movement whose other side lives in another partition is answered PENDING.
//
// With atomic set, all are carried out or none: BATCH_SPANS_PARTITIONS when more than one partition would take part,
// BATCH_ABORTED for those that would have been carried out but for another. One that was carried out before has its answer.
func (e *Engine) ExecuteBatch(ctx context.Context, commands []ledger.Command, atomic bool) []Answer {
	began := e.cfg.Clock()
	ctx, span := e.begin(ctx, "batch", commands...)
	answers := e.executeBatch(ctx, commands, atomic)
	for i, c := range commands {
		e.answered(ctx, c, began, answers[i].Err)
	}
	end(span, nil)
	return answers
}

func (e *Engine) executeBatch(ctx context.Context, commands []ledger.Command, atomic bool) []Answer {
	patience, end := e.patience(ctx)
	defer end()
	l := locator{engine: e}
	requests, answers := l.locateAll(patience.taken, commands)
	if atomic && (slices.ContainsFunc(answers, Answer.refused) || e.spans(requests, answers)) {
		l.abort(patience.taken, requests, answers)
		return answers
	}
	e.submitGroups(requests, answers, atomic)
	traced := (*moments)(nil)
	for i, r := range requests {
		if r == nil || answers[i].Err != nil {
			continue
		}
		if answers[i].Err = patience.await(r); answers[i].Err != nil {
			continue
		}
		if r.moments != traced { // Those of one commit share their moments.
			traced = r.moments
			e.traceParts(ctx, r)
		}
		if r.err != nil {
			answers[i].Err = publicError(r.err)
			continue
		}
		answers[i].Result = r.result
	}
	return answers
}

// locateAll makes requests of the commands of a batch. Where one cannot be made its answer says why.
func (l *locator) locateAll(ctx context.Context, commands []ledger.Command) ([]*request, []Answer) {
	requests, answers := make([]*request, len(commands)), make([]Answer, len(commands))
	err := l.engine.admit()
	for i, c := range commands {
		if answers[i].Err = err; err == nil {
			answers[i].Err = l.locate(ctx, c)
		}
		if answers[i].Err == nil {
			requests[i] = newRequest(c, l.engine.cfg.NewID)
			requests[i].Against = l.against(ctx, c)
		}
	}
	return requests, answers
}

func (e *Engine) admit() error {
	if e.cfg.Admit == nil {
		return nil
	}
	if err := e.cfg.Admit(); err != nil {
		return domain.Refuse(domain.Unavailable, "", "this command did nothing: %s", err)
	}
	return nil
}

// spans refuses the commands that address another partition than the first.
func (e *Engine) spans(requests []*request, answers []Answer) bool {
	spans := false
	for i, r := range requests {
		if e.partitionOf(r.Command.Address()) != e.partitionOf(requests[0].Command.Address()) {
			spans = true
			answers[i].Err = domain.Refuse(domain.BatchSpansPartitions, "",
				"this account lives in another partition than that of the batch's first command, so the batch cannot be atomic; send them apart")
		}
	}
	return spans
}

// submitGroups queues the requests, those of one partition together. What cannot be queued is answered.
func (e *Engine) submitGroups(requests []*request, answers []Answer, atomic bool) {
	groups, entered := make([][]int, e.cfg.Partitions), e.cfg.Clock()
	for i, r := range requests {
		if r != nil {
			p := e.partitionOf(r.Command.Address())
			groups[p] = append(groups[p], i)
		}
	}
	for p, members := range groups {
		if len(members) == 0 {
			continue
		}
		g := &group{atomic: atomic}
		for _, i := range members {
			requests[i].group, requests[i].entered = g, entered
			g.requests = append(g.requests, requests[i])
		}
		if err := e.partitions[p].submit(g.requests[0]); err != nil {
			for _, i := range members {
				answers[i].Err = err
			}
		}
	}
}
