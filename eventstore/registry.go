package eventstore

import (
	"encoding/json"
	"fmt"
	"sort"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
)

// Schema describes one type of event in the registry.
type Schema struct {
	EventType     string
	AggregateType string
	// Version is the present schemaVersion; older ones are lifted by upcasters.
	Version int
	// Topic is where events of this type live.
	Topic string
	// Summary says in a sentence what happened.
	Summary string
	decode  func(eventType string, raw json.RawMessage) (Data, error)
	// scan reads the present shape exactly as Encode writes it; nil where speed does not matter.
	scan func(s *scanner) Data
	// upcasters[i] lifts schemaVersion i+1 to i+2.
	upcasters []upcaster
}

var registry = map[string]*Schema{}

func register(topic, aggregateType, eventType, summary string, decode func(string, json.RawMessage) (Data, error), up ...upcaster) {
	registry[eventType] = &Schema{
		EventType: eventType, AggregateType: aggregateType, Version: len(up) + 1, Topic: topic, Summary: summary,
		decode: decode, upcasters: up,
	}
}

func init() {
	acc := func(name, summary string, decode func(string, json.RawMessage) (Data, error), up ...upcaster) {
		register(AccountEvents, account.AggregateType, name, summary, decode, up...)
	}
	acc("AccountCreated", "The account was opened, with a balance of zero.", decodeCreated)
	acc("BalanceChanged", "Money came onto the account or went off it.", decodeBalanceChanged, balanceChangedV1)
	registry["BalanceChanged"].scan = scanBalanceChanged
	acc("AccountStatusChanged", "The account was given a status, be it the one it had, for a reason.", decodeStatusChanged)
	acc("AccountLimitsChanged", "The bounds of the account's balance were replaced.", decodeLimitsChanged)
	acc("CreditRefused", "The account could not take the credit of a movement, which goes back to its source.", decodeCreditRefused)
	acc("HoldPlaced", "An amount was set aside for a payee: it stays on the balance and is not available any more.", decodeHoldPlaced)
	registry["HoldPlaced"].scan = scanHoldPlaced
	acc("HoldReleased", "What was left of a hold is available again, and the hold has ended.", decodeHoldReleased)
	registry["HoldReleased"].scan = scanHoldReleased
	tx := func(name, summary string) {
		register(TransactionEvents, transaction.AggregateType, name, summary, decodeTransaction)
		status, _ := transaction.StatusOf(name)
		registry[name].scan = func(s *scanner) Data { return scanTransaction(s, status) }
	}
	tx("TopupRequested", "A top-up was accepted.")
	tx("TopupCompleted", "A top-up is on the account.")
	tx("WithdrawalRequested", "A withdrawal was accepted.")
	tx("WithdrawalCompleted", "A withdrawal's amount is off the account.")
	tx("TransferRequested", "A transfer's amount left its source.")
	tx("TransferCompleted", "A transfer's amount reached its destination.")
	tx("PaymentRequested", "A payment's amount left the payer, out of a hold if it names one.")
	tx("PaymentCompleted", "A payment's amount reached the payee, who can refund it.")
	tx("RefundRequested", "A refund's amount left the payee of the payment.")
	tx("RefundCompleted", "A refund's amount is back at the payer of the payment.")
	tx("TransactionFailed", "The destination refused; the amount is on its way back.")
	tx("TransactionCompensated", "The amount of a refused transaction is back at its source.")
}

// Schemas lists the registry in order of topic and name.
func Schemas() []Schema {
	all := make([]Schema, 0, len(registry))
	for _, s := range registry {
		all = append(all, *s)
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].Topic != all[j].Topic {
			return all[i].Topic < all[j].Topic
		}
		return all[i].EventType < all[j].EventType
	})
	return all
}

func decodeData(eventType string, version int, raw json.RawMessage) (Data, error) {
	s, ok := registry[eventType]
	if !ok {
		return nil, fmt.Errorf("unknown event type %q: a newer Daybook wrote it; upgrade this one", eventType)
	}
	if version > s.Version {
		return nil, fmt.Errorf("%s has schemaVersion %d, this Daybook knows up to %d; upgrade it", eventType, version, s.Version)
	}
	if len(raw) == 0 || raw[0] != '{' {
		return nil, fmt.Errorf("%s has no data", eventType)
	}
	for v := version; v < s.Version; v++ {
		lifted, err := s.upcasters[v-1](raw)
		if err != nil {
			return nil, fmt.Errorf("lifting %s from schemaVersion %d: %w", eventType, v, err)
		}
		raw = lifted
	}
	return s.decode(eventType, raw)
}

// wireLinks are what only captures and refunds have.
type wireLinks struct {
	HoldID   string `json:"holdId"`
	RefundOf string `json:"refundOf"`
}

type wireLimits struct {
	MinBalance decimal.Decimal     `json:"minBalance"`
	MaxBalance decimal.NullDecimal `json:"maxBalance"`
}

func (w wireLimits) limits() account.Limits {
	return account.Limits{Min: w.MinBalance, Max: w.MaxBalance}
}

func decodeCreated(_ string, raw json.RawMessage) (Data, error) {
	var w struct {
		OwnerID  string         `json:"ownerId"`
		Type     account.Type   `json:"type"`
		Currency money.Currency `json:"currency"`
		Limits   wireLimits     `json:"limits"`
	}
	err := json.Unmarshal(raw, &w)
	return &account.Created{OwnerID: w.OwnerID, Type: w.Type, Currency: w.Currency, Limits: w.Limits.limits()}, err
}

func decodeBalanceChanged(_ string, raw json.RawMessage) (Data, error) {
	var w struct {
		PreviousBalance decimal.Decimal      `json:"previousBalance"`
		NewBalance      decimal.Decimal      `json:"newBalance"`
		ChangeAmount    decimal.Decimal      `json:"changeAmount"`
		ChangeType      account.ChangeType   `json:"changeType"`
		Reason          string               `json:"reason"`
		TransactionID   string               `json:"transactionId"`
		Currency        money.Currency       `json:"currency"`
		TransactionType account.MovementType `json:"transactionType"`
		CounterpartyID  string               `json:"counterpartyId"`
		Reversal        bool                 `json:"reversal"`
		RefusalCode     domain.Code          `json:"refusalCode"`
		wireLinks
	}
	err := json.Unmarshal(raw, &w)
	return &account.BalanceChanged{
		PreviousBalance: w.PreviousBalance, NewBalance: w.NewBalance, ChangeAmount: w.ChangeAmount,
		ChangeType: w.ChangeType, Reason: w.Reason, TransactionID: w.TransactionID, Currency: w.Currency,
		TransactionType: w.TransactionType, CounterpartyID: w.CounterpartyID,
		Reversal: w.Reversal, RefusalCode: w.RefusalCode, HoldID: w.HoldID, RefundOf: w.RefundOf,
	}, err
}

func decodeStatusChanged(_ string, raw json.RawMessage) (Data, error) {
	var w struct {
		PreviousStatus account.Status `json:"previousStatus"`
		NewStatus      account.Status `json:"newStatus"`
		Reason         string         `json:"reason"`
	}
	err := json.Unmarshal(raw, &w)
	return &account.StatusChanged{PreviousStatus: w.PreviousStatus, NewStatus: w.NewStatus, Reason: w.Reason}, err
}

func decodeLimitsChanged(_ string, raw json.RawMessage) (Data, error) {
	var w struct {
		Currency       money.Currency `json:"currency"`
		PreviousLimits wireLimits     `json:"previousLimits"`
		NewLimits      wireLimits     `json:"newLimits"`
		Reason         string         `json:"reason"`
	}
	err := json.Unmarshal(raw, &w)
	return &account.LimitsChanged{
		Currency: w.Currency, PreviousLimits: w.PreviousLimits.limits(), NewLimits: w.NewLimits.limits(), Reason: w.Reason,
	}, err
}

func decodeCreditRefused(_ string, raw json.RawMessage) (Data, error) {
	var w struct {
		Amount          decimal.Decimal      `json:"amount"`
		Currency        money.Currency       `json:"currency"`
		TransactionID   string               `json:"transactionId"`
		TransactionType account.MovementType `json:"transactionType"`
		CounterpartyID  string               `json:"counterpartyId"`
		Reason          string               `json:"reason"`
		Code            domain.Code          `json:"code"`
		wireLinks
	}
	err := json.Unmarshal(raw, &w)
	return &account.CreditRefused{
		Amount: w.Amount, Currency: w.Currency, TransactionID: w.TransactionID, TransactionType: w.TransactionType,
		CounterpartyID: w.CounterpartyID, Reason: w.Reason, Code: w.Code, HoldID: w.HoldID, RefundOf: w.RefundOf,
	}, err
}

func decodeHoldPlaced(_ string, raw json.RawMessage) (Data, error) {
	var w struct {
		HoldID         string          `json:"holdId"`
		Amount         decimal.Decimal `json:"amount"`
		Currency       money.Currency  `json:"currency"`
		CounterpartyID string          `json:"counterpartyId"`
		ExpiresAt      time.Time       `json:"expiresAt"`
		Reason         string          `json:"reason"`
	}
	err := json.Unmarshal(raw, &w)
	return &account.HoldPlaced{
		HoldID: w.HoldID, Amount: w.Amount, Currency: w.Currency, CounterpartyID: w.CounterpartyID,
		ExpiresAt: w.ExpiresAt.UTC(), Reason: w.Reason,
	}, err
}

func decodeHoldReleased(_ string, raw json.RawMessage) (Data, error) {
	var w struct {
		HoldID        string             `json:"holdId"`
		Amount        decimal.Decimal    `json:"amount"`
		Currency      money.Currency     `json:"currency"`
		Cause         account.HoldStatus `json:"cause"`
		Reason        string             `json:"reason"`
		TransactionID string             `json:"transactionId"`
	}
	err := json.Unmarshal(raw, &w)
	return &account.HoldReleased{
		HoldID: w.HoldID, Amount: w.Amount, Currency: w.Currency, Cause: w.Cause, Reason: w.Reason, TransactionID: w.TransactionID,
	}, err
}

func decodeTransaction(eventType string, raw json.RawMessage) (Data, error) {
	var w struct {
		TransactionType account.MovementType `json:"transactionType"`
		Amount          decimal.Decimal      `json:"amount"`
		Currency        money.Currency       `json:"currency"`
		FromAccountID   string               `json:"fromAccountId"`
		ToAccountID     string               `json:"toAccountId"`
		Reason          string               `json:"reason"`
		FailureCode     domain.Code          `json:"failureCode"`
		wireLinks
	}
	err := json.Unmarshal(raw, &w)
	status, _ := transaction.StatusOf(eventType)
	return &transaction.Event{
		Details: transaction.Details{
			Type: w.TransactionType, Amount: w.Amount, Currency: w.Currency,
			From: w.FromAccountID, To: w.ToAccountID, Reason: w.Reason, HoldID: w.HoldID, RefundOf: w.RefundOf,
		},
		Status: status, FailureCode: w.FailureCode,
	}, err
}
