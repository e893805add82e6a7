package bench

import (
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
	"daybook/internal/ids"
)

// Sample is what one command comes to in the log, as the engine writes it.
type Sample []eventstore.Message

// SampleTopUp is the account's event of a top-up and, unless they are left out, the two of its transaction.
func SampleTopUp(transactions bool) (Sample, error) {
	s := sampler{transactions: transactions}
	s.change(sampleAccount, account.BalanceChanged{
		ChangeType: account.Credit, TransactionType: account.Topup, CounterpartyID: "external:bench:EUR",
	}, true)
	return s.messages()
}

// SampleTransfer is a transfer's debit and credit, and the two events of its transaction.
func SampleTransfer() (Sample, error) {
	const to = "bench-0123456789ab-456"
	s := sampler{transactions: true}
	s.change(sampleAccount, account.BalanceChanged{
		ChangeType: account.Debit, TransactionType: account.Transfer, CounterpartyID: to,
	}, true)
	s.change(to, account.BalanceChanged{
		ChangeType: account.Credit, TransactionType: account.Transfer, CounterpartyID: sampleAccount,
	}, false)
	return s.messages()
}

const sampleAccount = "bench-0123456789ab-123"

type sampler struct {
	transactions bool
	events       []eventstore.Event
}

// change adds a change of a balance and what follows from it. That of the account which the command addresses carries
// its key.
func (s *sampler) change(id string, change account.BalanceChanged, addressed bool) {
	change.PreviousBalance, change.NewBalance, change.ChangeAmount = decimal.New(123400, -2), decimal.New(123500, -2), decimal.New(100, -2)
	change.Reason, change.TransactionID, change.Currency = "bench", ids.New(), "EUR"
	cause := eventstore.Event{
		ID: ids.New(), AggregateID: id, Version: 1234, Timestamp: time.Now(), CorrelationID: ids.New(), CausationID: ids.New(), Data: &change,
	}
	if addressed {
		cause.IdempotencyKey, cause.Fingerprint = "12345-67", eventstore.Fingerprint([]byte(cause.ID[:16]))
	}
	s.events = append(s.events, cause)
	if !s.transactions {
		return
	}
	derived, _ := transaction.React(id, &change, true)
	for i := range derived {
		s.events = append(s.events, eventstore.Event{
			ID: ids.New(), AggregateID: change.TransactionID, Version: derived[i].Version(), Timestamp: cause.Timestamp,
			CorrelationID: cause.CorrelationID, CausationID: cause.ID, Data: &derived[i],
		})
	}
}

func (s *sampler) messages() (Sample, error) {
	messages := make(Sample, len(s.events))
	for i := range s.events {
		var err error
		if messages[i], err = eventstore.Encode(&s.events[i]); err != nil {
			return nil, err
		}
	}
	return messages, nil
}
