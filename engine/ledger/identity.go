package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/eventstore"
)

// Fingerprint covers the whole input of a command, so that a key reused with other input is noticed.
func Fingerprint(c Command) eventstore.Fingerprint {
	i := identity{b: make([]byte, 0, 256)}
	c.identify(&i)
	if v := c.Common().ExpectedVersion; v != nil {
		i.text(strconv.FormatInt(*v, 10))
	} else {
		i.text("")
	}
	sum := sha256.Sum256(i.b)
	return eventstore.Fingerprint(sum[:16])
}

// identity collects what a command is identified by.
type identity struct{ b []byte }

func (i *identity) text(fields ...string) {
	for _, s := range fields {
		i.b = binary.AppendUvarint(i.b, uint64(len(s)))
		i.b = append(i.b, s...)
	}
}

// amount takes an amount in a known currency; money.Format is the same however the client wrote it.
func (i *identity) amount(d decimal.Decimal, c money.Currency) { i.text(money.Format(d, c), string(c)) }

// open takes an amount whose currency the command does not tell.
func (i *identity) open(d decimal.NullDecimal) {
	if d.Valid {
		i.text(d.Decimal.String())
		return
	}
	i.text("")
}

func (i *identity) moment(t time.Time) {
	if t.IsZero() {
		i.text("")
		return
	}
	i.text(strconv.FormatInt(t.UnixMilli(), 10))
}

func (i *identity) limits(l account.Limits) {
	i.text(l.Min.String())
	i.open(l.Max)
}

func (c *CreateAccount) identify(i *identity) {
	i.text("create", c.ID, c.OwnerID, string(c.Type), string(c.Currency), money.Format(c.Limits.Min, c.Currency))
	upper := ""
	if c.Limits.Max.Valid {
		upper = money.Format(c.Limits.Max.Decimal, c.Currency)
	}
	i.text(upper)
}

func (c *TopUp) identify(i *identity) {
	i.text("topup", c.AccountID)
	i.amount(c.Amount, c.Currency)
	i.text(c.External, c.Reason)
}

func (c *Withdraw) identify(i *identity) {
	i.text("withdraw", c.AccountID)
	i.amount(c.Amount, c.Currency)
	i.text(c.External, c.Reason)
}

func (c *Transfer) identify(i *identity) { c.identifyAs("transfer", i) }

func (c *Pay) identify(i *identity) { c.identifyAs("pay", i) }

func (c *Transfer) identifyAs(kind string, i *identity) {
	i.text(kind, c.FromID, c.ToID)
	i.amount(c.Amount, c.Currency)
	i.text(c.Reason)
}

func (c *Refund) identify(i *identity) {
	i.text("refund", c.PaymentID, c.Reason)
	i.open(c.Amount)
}

func (c *AuthorizeHold) identify(i *identity) {
	i.text("hold", c.AccountID, c.ToID)
	i.amount(c.Amount, c.Currency)
	i.text(c.Reason)
	i.moment(c.ExpiresAt)
}

func (c *CaptureHold) identify(i *identity) {
	i.text("capture", c.HoldID, strconv.FormatBool(c.Final), c.Reason)
	i.open(c.Amount)
}

func (c *VoidHold) identify(i *identity) { i.text("void", c.HoldID, c.Reason) }

func (c *ChangeStatus) identify(i *identity) {
	i.text("status", c.AccountID, string(c.Status), c.Reason)
}

func (c *ChangeLimits) identify(i *identity) {
	i.text("limits", c.AccountID)
	i.limits(c.Limits)
	i.text(c.Reason)
}
