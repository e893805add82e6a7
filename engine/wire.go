package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/money"
	"daybook/engine/ledger"
)

type wireRequest struct {
	Kind      string          `json:"kind"`
	CommandID string          `json:"commandId"`
	SubjectID string          `json:"subjectId"`
	Command   json.RawMessage `json:"command"`
	Against   *domain.Refusal `json:"against,omitempty"`
}

// MarshalJSON implements json.Marshaler: with it a request keeps its ids on the way to the node that decides it.
func (r *request) MarshalJSON() ([]byte, error) {
	body, err := json.Marshal(r.Command)
	if err != nil {
		return nil, err
	}
	w := wireRequest{Kind: commandNames[kindOf(r.Command)], CommandID: r.CommandID, SubjectID: r.SubjectID, Command: body}
	if r.Against != nil && !errors.As(r.Against, &w.Against) {
		return nil, fmt.Errorf("what stands against a command is no refusal: %w", r.Against)
	}
	return json.Marshal(w)
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *request) UnmarshalJSON(b []byte) error {
	var w wireRequest
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	kind := slices.Index(commandNames[:otherCommand], w.Kind)
	if kind < 0 {
		return fmt.Errorf("unknown command %q: a newer Daybook sent it; upgrade this one", w.Kind)
	}
	c := blankCommands[kind]()
	if err := json.Unmarshal(w.Command, c); err != nil {
		return err
	}
	if err := fit(c); err != nil {
		return err
	}
	r.Request = ledger.Request{Command: c, CommandID: w.CommandID, SubjectID: w.SubjectID, Fingerprint: ledger.Fingerprint(c)}
	if w.Against != nil {
		r.Against = w.Against
	}
	return nil
}

// fit gives amounts the scale of their currency again, which JSON does not keep.
func fit(c ledger.Command) error {
	scale := func(d *decimal.Decimal, currency money.Currency) (err error) {
		*d, err = money.Fit(*d, currency)
		return err
	}
	switch c := c.(type) {
	case *ledger.TopUp:
		return scale(&c.Amount, c.Currency)
	case *ledger.Withdraw:
		return scale(&c.Amount, c.Currency)
	case *ledger.Transfer:
		return scale(&c.Amount, c.Currency)
	case *ledger.Pay:
		return scale(&c.Amount, c.Currency)
	case *ledger.AuthorizeHold:
		return scale(&c.Amount, c.Currency)
	case *ledger.CreateAccount:
		if c.Limits.Max.Valid {
			if err := scale(&c.Limits.Max.Decimal, c.Currency); err != nil {
				return err
			}
		}
		return scale(&c.Limits.Min, c.Currency)
	case *ledger.Refund, *ledger.CaptureHold, *ledger.VoidHold, *ledger.ChangeStatus, *ledger.ChangeLimits: // Fitted where they are decided.
	}
	return nil
}
