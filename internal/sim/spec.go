package sim

import (
	"fmt"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

// verb is what a client asks for.
type verb uint8

const (
	vCreate verb = iota
	vTopUp
	vWithdraw
	vTransfer
	vPay
	vRefund
	vHold
	vCapture
	vVoid
	vStatus
	vLimits
)

var verbNames = [...]string{"create", "topUp", "withdraw", "transfer", "pay", "refund", "authorizeHold", "captureHold", "voidHold", "status", "limits"}

// all stands for "whatever is left" as an amount, none for "no bound" and "no expected version".
const (
	all  = -1
	none = -1
)

// spec is one client's command in plain numbers. Amounts are in minor units, accounts by number. It refers to holds
// and payments by the command that made them, so that it means the same when other commands are left out.
type spec struct {
	op       int32
	key      int32
	verb     verb
	currency int8
	acct     int8
	to       int8
	status   account.Status
	final    bool
	ref      int32
	amount   int64
	min, max int64
	version  int64
	// expires is in virtual milliseconds; 0 for the default.
	expires int64
}

func (s *spec) String() string {
	text := fmt.Sprintf("#%d %s %s", s.op, verbNames[s.verb], accountIDs[s.acct])
	switch s.verb {
	case vCreate, vLimits:
		text += fmt.Sprintf(" min %d max %s", s.min, orElse(s.max, "none"))
		if s.verb == vCreate {
			text += " " + string(currencies[s.currency].code)
		}
	case vTopUp, vWithdraw:
		text += " " + s.money()
	case vTransfer, vPay, vHold:
		text += " to " + accountIDs[s.to] + " " + s.money()
	case vRefund, vCapture:
		text = fmt.Sprintf("#%d %s of #%d %s", s.op, verbNames[s.verb], s.ref, orElse(s.amount, "all"))
	case vVoid:
		text = fmt.Sprintf("#%d voidHold of #%d", s.op, s.ref)
	case vStatus:
		text += " " + string(s.status)
	}
	if s.final {
		text += " final"
	}
	if s.expires > 0 {
		text += fmt.Sprintf(" until %d ms", s.expires)
	}
	if s.version != none {
		text += fmt.Sprintf(" at version %d", s.version)
	}
	return text + fmt.Sprintf(" (key %d)", s.key)
}

func (s *spec) money() string { return fmt.Sprintf("%d %s", s.amount, currencies[s.currency].code) }

func orElse(n int64, text string) string {
	if n < 0 {
		return text
	}
	return strconv.FormatInt(n, 10)
}

// The accounts and currencies of every history; most histories use a part of them.
const accounts = 24

type currency struct {
	code  money.Currency
	scale int32
}

var (
	currencies = [...]currency{{"EUR", 2}, {"JPY", 0}, {"KWD", 3}}
	accountIDs = func() (ids [accounts]string) {
		for i := range ids {
			ids[i] = fmt.Sprintf("a%02d", i)
		}
		return ids
	}()
	homes = func() (of [accounts]int32) {
		for i, id := range accountIDs {
			of[i] = eventstore.PartitionOf(id, partitions)
		}
		return of
	}()
)

// accountNumber is -1 for what is no account.
func accountNumber(id string) int {
	if len(id) != 3 || id[0] != 'a' {
		return -1
	}
	return int(id[1]-'0')*10 + int(id[2]-'0')
}

func partitionOf(id string) int32 {
	if n := accountNumber(id); n >= 0 {
		return homes[n]
	}
	return eventstore.PartitionOf(id, partitions)
}

func currencyNumber(c money.Currency) int {
	switch c {
	case "EUR":
		return 0
	case "JPY":
		return 1
	default:
		return 2
	}
}

// units gives an amount in minor units.
func units(d decimal.Decimal, c int) int64 {
	if scale := currencies[c].scale; d.Exponent() != -scale {
		return d.Shift(scale).IntPart()
	}
	return d.CoefficientInt64()
}

func amountOf(n int64, c int8) decimal.Decimal { return decimal.New(n, -currencies[c].scale) }

// epoch is the moment at which virtual time begins.
var epoch = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

func moment(ms int64) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

// command builds what the engine is given. holdOrPayment is the id that the client knows of what it refers to.
func (s *spec) command(holdOrPayment string) ledger.Command {
	m := ledger.Meta{IdempotencyKey: "k" + strconv.Itoa(int(s.key)), CorrelationID: "c", Actor: eventstore.Metadata{ActorID: "sim", ActorType: "USER"}}
	if s.version != none {
		v := s.version
		m.ExpectedVersion = &v
	}
	id, cur, amount := accountIDs[s.acct], currencies[s.currency].code, amountOf(s.amount, s.currency)
	open := decimal.NullDecimal{Decimal: amount, Valid: s.amount != all}
	limits := account.Limits{Min: amountOf(s.min, s.currency), Max: decimal.NullDecimal{Decimal: amountOf(s.max, s.currency), Valid: s.max != none}}
	switch s.verb {
	case vCreate:
		return &ledger.CreateAccount{Meta: m, ID: id, OwnerID: "owner", Type: account.User, Currency: cur, Limits: limits}
	case vTopUp:
		return &ledger.TopUp{Meta: m, AccountID: id, Amount: amount, Currency: cur, External: "bank"}
	case vWithdraw:
		return &ledger.Withdraw{Meta: m, AccountID: id, Amount: amount, Currency: cur, External: "bank"}
	case vTransfer:
		return &ledger.Transfer{Meta: m, FromID: id, ToID: accountIDs[s.to], Amount: amount, Currency: cur}
	case vPay:
		return &ledger.Pay{Transfer: ledger.Transfer{Meta: m, FromID: id, ToID: accountIDs[s.to], Amount: amount, Currency: cur}}
	case vRefund:
		return &ledger.Refund{Meta: m, PaymentID: holdOrPayment, Amount: open}
	case vHold:
		c := &ledger.AuthorizeHold{Meta: m, AccountID: id, ToID: accountIDs[s.to], Amount: amount, Currency: cur}
		if s.expires > 0 {
			c.ExpiresAt = moment(s.expires)
		}
		return c
	case vCapture:
		return &ledger.CaptureHold{Meta: m, HoldID: holdOrPayment, Amount: open, Final: s.final}
	case vVoid:
		return &ledger.VoidHold{Meta: m, HoldID: holdOrPayment}
	case vStatus:
		return &ledger.ChangeStatus{Meta: m, AccountID: id, Status: s.status, Reason: "sim"}
	case vLimits:
		return &ledger.ChangeLimits{Meta: m, AccountID: id, Limits: limits, Reason: "sim"}
	}
	return nil
}
