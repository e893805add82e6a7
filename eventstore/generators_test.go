package eventstore

import (
	"math/big"
	"slices"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
)

var (
	currencies = rapid.Custom(func(t *rapid.T) money.Currency {
		all := money.All()
		slices.Sort(all)
		return rapid.SampledFrom(all).Draw(t, "currency")
	})
	// texts are what people may write: plain, to be escaped in JSON, any Unicode.
	texts = rapid.OneOf(
		rapid.StringMatching(`[a-zA-Z0-9:_ .<>&'-]{0,40}`),
		rapid.StringOfN(rapid.RuneFrom([]rune("ab\"\\/\x00\x07\t\n\x1f\x7f<&>é世\u2028\u2029\ufeff\ufffd👋")), 0, 20, -1),
		rapid.String(),
	)
	ids   = rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{12}`)
	codes = rapid.SampledFrom([]domain.Code{domain.AccountClosed, domain.AccountNotFound, domain.BalanceLimitExceeded})
	kinds = rapid.SampledFrom([]account.MovementType{
		account.Topup, account.Withdrawal, account.Transfer, account.Payment, account.Refund,
	})
	moments = rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(t, "time")).UTC() // To the end of 9999.
	})
)

// links are what only captures and refunds have.
func links(t *rapid.T) (holdID, refundOf string) {
	if rapid.Bool().Draw(t, "capture") {
		holdID = texts.Draw(t, "hold")
	}
	if rapid.Bool().Draw(t, "refund") {
		refundOf = texts.Draw(t, "payment")
	}
	return holdID, refundOf
}

// balances are at the currency's scale, of either sign, up to the greatest there can be.
func balances(t *rapid.T, c money.Currency, label string) decimal.Decimal {
	if rapid.IntRange(0, 9).Draw(t, label+" is large") > 0 {
		return decimal.New(rapid.Int64().Draw(t, label), -c.Scale())
	}
	units := new(big.Int).Mul(big.NewInt(rapid.Int64().Draw(t, label)), big.NewInt(10_000))
	return decimal.NewFromBigInt(units, -c.Scale())
}

func amounts(t *rapid.T, c money.Currency) decimal.Decimal {
	return decimal.New(rapid.Int64Range(1, 999_999_999_999_999_999).Draw(t, "amount"), -c.Scale())
}

func anyLimits(t *rapid.T, c money.Currency, label string) account.Limits {
	l := account.Limits{Min: balances(t, c, label+" min")}
	if rapid.Bool().Draw(t, label+" bounded") {
		l.Max = decimal.NewNullDecimal(balances(t, c, label+" max"))
	}
	return l
}

func anyData(t *rapid.T) Data {
	c := currencies.Draw(t, "currency")
	switch rapid.IntRange(0, 7).Draw(t, "kind of event") {
	case 0:
		return &account.Created{
			OwnerID: texts.Draw(t, "owner"), Type: rapid.SampledFrom([]account.Type{account.User, account.System}).Draw(t, "type"),
			Currency: c, Limits: anyLimits(t, c, "limits"),
		}
	case 1:
		return &account.StatusChanged{
			PreviousStatus: account.Active, NewStatus: account.Suspended, Reason: texts.Draw(t, "reason"),
		}
	case 2:
		return &account.LimitsChanged{
			Currency: c, PreviousLimits: anyLimits(t, c, "previous"), NewLimits: anyLimits(t, c, "new"), Reason: texts.Draw(t, "reason"),
		}
	case 3:
		holdID, refundOf := links(t)
		return &account.CreditRefused{
			Amount: amounts(t, c), Currency: c, TransactionID: ids.Draw(t, "transaction"), TransactionType: kinds.Draw(t, "movement"),
			CounterpartyID: texts.Draw(t, "counterparty"), Reason: texts.Draw(t, "reason"), Code: codes.Draw(t, "code"),
			HoldID: holdID, RefundOf: refundOf,
		}
	case 4:
		return anyTransaction(t, c)
	case 5:
		return anyHold(t, c)
	case 6:
		return anyRelease(t, c)
	}
	return anyChange(t, c)
}

func anyChange(t *rapid.T, c money.Currency) *account.BalanceChanged {
	d := &account.BalanceChanged{
		PreviousBalance: balances(t, c, "previous"), NewBalance: balances(t, c, "new"), ChangeAmount: amounts(t, c),
		ChangeType: rapid.SampledFrom([]account.ChangeType{account.Credit, account.Debit}).Draw(t, "direction"),
		Reason:     texts.Draw(t, "reason"), TransactionID: ids.Draw(t, "transaction"), Currency: c,
		TransactionType: kinds.Draw(t, "movement"), CounterpartyID: texts.Draw(t, "counterparty"),
	}
	d.HoldID, d.RefundOf = links(t)
	if rapid.Bool().Draw(t, "reversal") {
		d.Reversal, d.RefusalCode = true, codes.Draw(t, "code")
	}
	return d
}

func anyHold(t *rapid.T, c money.Currency) *account.HoldPlaced {
	return &account.HoldPlaced{
		HoldID: texts.Draw(t, "hold"), Amount: amounts(t, c), Currency: c, CounterpartyID: texts.Draw(t, "payee"),
		ExpiresAt: moments.Draw(t, "expiry"), Reason: texts.Draw(t, "reason"),
	}
}

func anyRelease(t *rapid.T, c money.Currency) *account.HoldReleased {
	return &account.HoldReleased{
		HoldID: texts.Draw(t, "hold"), Amount: amounts(t, c), Currency: c,
		Cause:  rapid.SampledFrom([]account.HoldStatus{account.HoldCaptured, account.HoldVoided, account.HoldExpired}).Draw(t, "cause"),
		Reason: texts.Draw(t, "reason"), TransactionID: texts.Draw(t, "transaction"),
	}
}

func anyTransaction(t *rapid.T, c money.Currency) *transaction.Event {
	e := &transaction.Event{Details: transaction.Details{
		Type: kinds.Draw(t, "movement"), Amount: amounts(t, c), Currency: c, From: texts.Draw(t, "from"),
		To: texts.Draw(t, "to"), Reason: texts.Draw(t, "reason"),
	}}
	e.HoldID, e.RefundOf = links(t)
	e.Status = rapid.SampledFrom([]transaction.Status{
		transaction.Pending, transaction.Completed, transaction.Failed, transaction.Compensated,
	}).Draw(t, "status")
	if e.Status == transaction.Failed || e.Status == transaction.Compensated {
		e.FailureCode = codes.Draw(t, "code")
	}
	return e
}

// events are whole events with everything that travels in headers.
var events = rapid.Custom(func(t *rapid.T) Event {
	e := Event{
		ID: ids.Draw(t, "id"), AggregateID: texts.Draw(t, "aggregate"),
		Version:       rapid.Int64Range(1, 999_999_999_999_999_999).Draw(t, "version"),
		Timestamp:     moments.Draw(t, "timestamp"),
		CorrelationID: texts.Draw(t, "correlation"), CausationID: texts.Draw(t, "causation"), Data: anyData(t),
		Metadata:    Metadata{ActorID: texts.Draw(t, "actor"), ActorType: texts.Draw(t, "actor type")},
		Traceparent: texts.Draw(t, "traceparent"),
	}
	if e.IdempotencyKey = texts.Draw(t, "key"); e.IdempotencyKey != "" {
		copy(e.Fingerprint[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "fingerprint"))
	}
	if rapid.Bool().Draw(t, "first of a batch") {
		e.Progress = &Progress{
			Commands: rapid.Int64().Draw(t, "commands"), Coordinated: rapid.Int64().Draw(t, "coordinated"),
			Partitions: rapid.Int32().Draw(t, "partitions"),
		}
	}
	return e
})
