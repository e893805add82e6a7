package ledger

import (
	"errors"
	"time"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
)

// Decider decides on one partition's books at one moment.
type Decider struct {
	Books Books
	// Now is the time of what is decided, UTC in whole milliseconds, never earlier than any before.
	Now   time.Time
	NewID func() string
	// Here tells whether an account lives in this partition.
	Here func(accountID string) bool
	// Atomic refuses what would be finished by another partition.
	Atomic bool
}

// Request is a command with the ids it keeps however often it is decided.
type Request struct {
	Command Command
	// CommandID causes the command's events.
	CommandID string
	// SubjectID becomes the id of the transaction or hold that the command makes.
	SubjectID   string
	Fingerprint eventstore.Fingerprint
	// Against is what was found to stand against a credit on the account on the other side, where that lives in another
	// partition, after the request had come: a refusal for good, whatever happens there meanwhile.
	Against error
}

// Decision is what is decided of a command: the events to record, together or not at all, and the answer. A command
// that was carried out before has the same answer and no events.
type Decision struct {
	Events []eventstore.Event
	Result Result
}

// Command decides a client's command. The error is a *domain.Refusal or a BooksError.
func (d *Decider) Command(r *Request) (Decision, error) {
	result, known, err := d.Repeat(r)
	if known || err != nil {
		return Decision{Result: result}, err
	}
	m := r.Command.Common()
	target, err := d.account(r.Command.Address())
	if err != nil {
		return Decision{}, err
	}
	if m.ExpectedVersion != nil && *m.ExpectedVersion != target.Version && target.Exists() {
		return Decision{}, domain.Refuse(domain.VersionConflict, "expectedVersion",
			"the account has version %d, not the expected %d; read it again and decide anew", target.Version, *m.ExpectedVersion)
	}
	p := &proposal{decider: d, request: r, target: target}
	if err := p.decide(); err != nil {
		return Decision{}, err
	}
	// The key stands on the last event of the account it belongs to, after which everything is as the answer tells.
	last := &p.events[p.own-1]
	last.IdempotencyKey, last.Fingerprint = m.IdempotencyKey, r.Fingerprint
	p.result.Account = p.target
	if tx := p.result.Transaction; tx != nil {
		tx.ID, tx.CreatedAt, tx.UpdatedAt = r.SubjectID, d.Now, d.Now
	}
	return Decision{Events: p.events, Result: p.result}, nil
}

// proposal is a decision in the making.
type proposal struct {
	decider *Decider
	request *Request
	// target is the account addressed, with the events so far.
	target account.State
	events []eventstore.Event
	// own counts the events of the account addressed, which come first.
	own    int
	result Result
}

// record adds an event of the account addressed.
func (p *proposal) record(data account.Event) {
	p.events = append(p.events, p.decider.envelope(p.target, data, p.request.Command.Common(), p.request.CommandID))
	p.target = p.target.Apply(p.target.ID, data, p.decider.Now)
	p.own++
}

// sole records the only event that a command leads to.
func (p *proposal) sole(data account.Event, err error) error {
	if err != nil {
		return err
	}
	p.record(data)
	return nil
}

// holds applies the events of the account addressed to the hold that the command is about.
func (p *proposal) holds(h account.Hold) {
	for i := range p.own {
		h = h.Apply(p.target.ID, p.events[i].Data.(account.Event), p.decider.Now)
	}
	p.result.Hold = &h
}

func (p *proposal) decide() error {
	switch c := p.request.Command.(type) {
	case *CreateAccount:
		e, err := account.DecideCreate(p.target, account.Created{OwnerID: c.OwnerID, Type: c.Type, Currency: c.Currency, Limits: c.Limits})
		return p.sole(e, err)
	case *TopUp:
		m := account.Movement{Amount: c.Amount, Currency: c.Currency, TransactionType: account.Topup, CounterpartyID: transaction.External(c.External, c.Currency), Reason: c.Reason}
		m.TransactionID = p.request.SubjectID
		e, err := account.DecideCredit(p.target, m)
		p.moved(m, m.CounterpartyID, c.AccountID, transaction.Completed)
		return p.sole(e, err)
	case *Withdraw:
		m := account.Movement{Amount: c.Amount, Currency: c.Currency, TransactionType: account.Withdrawal, CounterpartyID: transaction.External(c.External, c.Currency), Reason: c.Reason}
		m.TransactionID = p.request.SubjectID
		e, err := account.DecideDebit(p.target, m)
		p.moved(m, c.AccountID, m.CounterpartyID, transaction.Completed)
		return p.sole(e, err)
	case *Transfer:
		return p.transfer(c, account.Transfer)
	case *Pay:
		return p.transfer(&c.Transfer, account.Payment)
	case *Refund:
		return p.refund(c)
	case *AuthorizeHold:
		return p.authorize(c)
	case *CaptureHold:
		return p.capture(c)
	case *VoidHold:
		return p.void(c)
	case *ChangeStatus:
		e, err := account.DecideStatus(p.target, c.Status, c.Reason)
		return p.sole(e, err)
	case *ChangeLimits:
		e, err := account.DecideLimits(p.target, c.Limits, c.Reason)
		return p.sole(e, err)
	}
	return domain.Refuse(domain.BadUserInput, "", "unknown command")
}

// moved sets the transaction of the answer.
func (p *proposal) moved(m account.Movement, from, to string, status transaction.Status) {
	p.result.Transaction = &transaction.State{Status: status, Details: transaction.Details{
		Type: m.TransactionType, Amount: m.Amount, Currency: m.Currency, From: from, To: to, Reason: m.Reason,
		HoldID: m.HoldID, RefundOf: m.RefundOf,
	}}
}

// envelope makes the next event of an account.
func (d *Decider) envelope(before account.State, data account.Event, m *Meta, causationID string) eventstore.Event {
	return eventstore.Event{
		ID: d.NewID(), AggregateID: before.ID, Version: before.Version + 1, Timestamp: d.Now, CorrelationID: m.CorrelationID,
		CausationID: causationID, Metadata: m.Actor, Data: data, Traceparent: m.Traceparent,
	}
}

// account reads a state, which has its id even if nothing is known of it.
func (d *Decider) account(id string) (account.State, error) {
	s, err := d.Books.Account(id)
	if err != nil {
		return s, BooksError{err}
	}
	s.ID = id
	return s, nil
}

// otherSide tells a refusal about the account on the other side as one about the input field that leads there: what
// helps there does not help here.
func otherSide(err error, field string, m account.Movement) error {
	var r *domain.Refusal
	if !errors.As(err, &r) {
		return err
	}
	switch {
	case r.Code == domain.CurrencyMismatch:
		return domain.Refuse(r.Code, field, "the account on the other side is not kept in %s; choose one that is", m.Currency)
	case r.Code == domain.AccountClosed && m.TransactionType == account.Refund:
		return domain.Refuse(r.Code, field, "the payer's account is closed, so that this cannot be refunded; give the money back another way, for example by a transfer")
	}
	return at(err, field)
}

// at names the input field that a refusal about an account means here.
func at(err error, field string) error {
	var r *domain.Refusal
	if errors.As(err, &r) && r.Field == "accountId" {
		return &domain.Refusal{Code: r.Code, Field: field, Message: r.Message}
	}
	return err
}
