package engine

import (
	"errors"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/engine/store"
	"daybook/eventstore"
)

// draft is an event decided but not yet recorded.
type draft struct {
	accountID string
	data      account.Event
}

// errStore wraps a failure of the local store, which is no refusal: the owner starts over.
type errStore struct{ err error }

func (e errStore) Error() string { return "reading local state: " + e.err.Error() }
func (e errStore) Unwrap() error { return e.err }

// decide decides one client command on top of everything decided before it. It sets the request's answer, or its
// refusal, which becomes definite when the batch is settled; the error is only ever an errStore.
func (o *owner) decide(b *batch, r *request) error {
	m := r.command.meta()
	address := r.command.address()
	prior, known, err := o.spec.outcome(address, m.IdempotencyKey)
	if err != nil {
		return errStore{err}
	}
	if known {
		o.repeat(r, prior)
		return nil
	}
	target, err := o.spec.account(address)
	if err != nil {
		return errStore{err}
	}
	if m.ExpectedVersion != nil && *m.ExpectedVersion != target.state.Version && target.state.Exists() {
		r.err = domain.Refuse(domain.VersionConflict, "expectedVersion",
			"the account has version %d, not the expected %d; read it again and decide anew", target.state.Version, *m.ExpectedVersion)
		return nil
	}
	drafts, tx, err := o.decideCommand(r, target.state)
	if err != nil {
		return o.refuse(r, err)
	}
	events := make([]eventstore.Event, len(drafts))
	for i, d := range drafts {
		events[i] = o.envelope(d, m, r.commandID)
	}
	// The key belongs to the account the command addresses, whose event comes first.
	events[0].IdempotencyKey, events[0].Fingerprint = m.IdempotencyKey, r.fingerprint
	after, err := o.record(b, events)
	if err != nil {
		return o.refuse(r, err)
	}
	r.result = Result{Account: after, Transaction: tx}
	if tx != nil {
		tx.CreatedAt, tx.UpdatedAt = after.UpdatedAt, after.UpdatedAt
	}
	return nil
}

// refuse keeps a refusal as the answer and passes a failing store on.
func (o *owner) refuse(r *request, err error) error {
	if failed := (errStore{}); errors.As(err, &failed) {
		return failed
	}
	r.err = err
	return nil
}

func (o *owner) decideCommand(r *request, target account.State) ([]draft, *transaction.State, error) {
	switch c := r.command.(type) {
	case *CreateAccount:
		e, err := account.DecideCreate(target, account.Created{OwnerID: c.OwnerID, Type: c.Type, Currency: c.Currency, Limits: c.Limits})
		return one(c.ID, e, err)
	case *TopUp:
		m := account.Movement{
			Amount: c.Amount, Currency: c.Currency, TransactionID: r.transaction, TransactionType: account.Topup,
			CounterpartyID: externalID(c.External, string(c.Currency)), Reason: c.Reason,
		}
		e, err := account.DecideCredit(target, m)
		if err != nil {
			return nil, nil, err
		}
		return []draft{{c.AccountID, e}}, transactionOf(r, m, m.CounterpartyID, c.AccountID, transaction.Completed), nil
	case *Transfer:
		return o.decideTransfer(r, c, target)
	case *ChangeStatus:
		e, err := account.DecideStatus(target, c.Status, c.Reason)
		return one(c.AccountID, e, err)
	case *ChangeLimits:
		e, err := account.DecideLimits(target, c.Limits, c.Reason)
		return one(c.AccountID, e, err)
	}
	return nil, nil, domain.Refuse(domain.BadUserInput, "", "unknown command")
}

func one(id string, e account.Event, err error) ([]draft, *transaction.State, error) {
	if err != nil {
		return nil, nil, err
	}
	return []draft{{id, e}}, nil, nil
}

// decideTransfer debits the source and, when the destination lives in the same partition, credits it in the same
// batch. Otherwise the credit follows as a command; what is already known to stand against it is refused here.
func (o *owner) decideTransfer(r *request, c *Transfer, source account.State) ([]draft, *transaction.State, error) {
	if c.FromID == c.ToID {
		return nil, nil, domain.Refuse(domain.SameAccount, "toAccountId", "source and destination are the same account; choose two")
	}
	m := account.Movement{
		Amount: c.Amount, Currency: c.Currency, TransactionID: r.transaction, TransactionType: account.Transfer,
		CounterpartyID: c.ToID, Reason: c.Reason,
	}
	debit, err := account.DecideDebit(source, m)
	if err != nil {
		return nil, nil, at(err, "fromAccountId")
	}
	if partition := o.engine.partitionOf(c.ToID); partition != o.partition.id {
		if err := o.engine.precheckCredit(partition, c.ToID, m); err != nil {
			return nil, nil, at(err, "toAccountId")
		}
		return []draft{{c.FromID, debit}}, transactionOf(r, m, c.FromID, c.ToID, transaction.Pending), nil
	}
	destination, err := o.spec.account(c.ToID)
	if err != nil {
		return nil, nil, errStore{err}
	}
	m.CounterpartyID = c.FromID
	credit, err := account.DecideCredit(destination.state, m)
	if err != nil {
		return nil, nil, at(err, "toAccountId")
	}
	return []draft{{c.FromID, debit}, {c.ToID, credit}}, transactionOf(r, m, c.FromID, c.ToID, transaction.Completed), nil
}

// at names the input field that a refusal about an account means in a transfer.
func at(err error, field string) error {
	var r *domain.Refusal
	if errors.As(err, &r) && r.Field == "accountId" {
		return &domain.Refusal{Code: r.Code, Field: field, Message: r.Message}
	}
	return err
}

// decideStep decides a transaction's step that came by the command topic. Steps are never refused: an account that
// cannot take a credit records just that.
func (o *owner) decideStep(b *batch, c *eventstore.StepCommand) error {
	kind := store.LegCredit
	if c.Kind == transaction.StepReverse {
		kind = store.LegReversal
	}
	done, err := o.spec.leg(c.AccountID, c.Movement.TransactionID, kind)
	if err != nil {
		return errStore{err}
	}
	if done {
		return nil
	}
	target, err := o.spec.account(c.AccountID)
	if err != nil {
		return errStore{err}
	}
	var data account.Event
	if c.Kind == transaction.StepReverse {
		data = account.DecideReversal(target.state, c.Movement, c.Code)
	} else if credit, err := account.DecideCredit(target.state, c.Movement); err == nil {
		data = credit
	} else {
		m := c.Movement
		data = &account.CreditRefused{
			Amount: m.Amount, Currency: m.Currency, TransactionID: m.TransactionID, TransactionType: m.TransactionType,
			CounterpartyID: m.CounterpartyID, Reason: m.Reason, Code: domain.CodeOf(err),
		}
	}
	meta := &Meta{CorrelationID: c.CorrelationID, Actor: c.Metadata, Traceparent: c.Traceparent}
	_, err = o.record(b, []eventstore.Event{o.envelope(draft{c.AccountID, data}, meta, c.ID)})
	return err
}

// repeat answers a key that was used before.
func (o *owner) repeat(r *request, prior store.Outcome) {
	if prior.Fingerprint != r.fingerprint {
		r.err = domain.Refuse(domain.IdempotencyConflict, "idempotencyKey",
			"this idempotency key was used with other input; use a new key for a new command")
		return
	}
	r.result = Result{Account: prior.State}
	at := prior.State.UpdatedAt
	switch c := r.command.(type) {
	case *TopUp:
		r.transaction = prior.TransactionID
		m := account.Movement{Amount: c.Amount, Currency: c.Currency, TransactionType: account.Topup, Reason: c.Reason}
		r.result.Transaction = transactionOf(r, m, externalID(c.External, string(c.Currency)), c.AccountID, transaction.Completed)
	case *Transfer:
		r.transaction = prior.TransactionID
		status := transaction.Completed
		if o.engine.partitionOf(c.ToID) != o.partition.id {
			status = transaction.Pending
		}
		m := account.Movement{Amount: c.Amount, Currency: c.Currency, TransactionType: account.Transfer, Reason: c.Reason}
		r.result.Transaction = transactionOf(r, m, c.FromID, c.ToID, status)
	case *CreateAccount, *ChangeStatus, *ChangeLimits:
	}
	if tx := r.result.Transaction; tx != nil {
		tx.CreatedAt, tx.UpdatedAt = at, at
	}
}

func transactionOf(r *request, m account.Movement, from, to string, status transaction.Status) *transaction.State {
	return &transaction.State{
		ID: r.transaction, Status: status,
		Details: transaction.Details{Type: m.TransactionType, Amount: m.Amount, Currency: m.Currency, From: from, To: to, Reason: m.Reason},
	}
}

func externalID(name, currency string) string { return "external:" + name + ":" + currency }
