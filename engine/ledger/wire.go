package ledger

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/money"
)

// kinds name the commands on their way to another node.
var kinds = map[string]func() Command{
	"createAccount": func() Command { return &CreateAccount{} },
	"topUp":         func() Command { return &TopUp{} },
	"withdraw":      func() Command { return &Withdraw{} },
	"transfer":      func() Command { return &Transfer{} },
	"pay":           func() Command { return &Pay{} },
	"refund":        func() Command { return &Refund{} },
	"authorizeHold": func() Command { return &AuthorizeHold{} },
	"captureHold":   func() Command { return &CaptureHold{} },
	"voidHold":      func() Command { return &VoidHold{} },
	"changeStatus":  func() Command { return &ChangeStatus{} },
	"changeLimits":  func() Command { return &ChangeLimits{} },
}

func kindOf(c Command) string {
	switch c.(type) {
	case *CreateAccount:
		return "createAccount"
	case *TopUp:
		return "topUp"
	case *Withdraw:
		return "withdraw"
	case *Transfer:
		return "transfer"
	case *Pay:
		return "pay"
	case *Refund:
		return "refund"
	case *AuthorizeHold:
		return "authorizeHold"
	case *CaptureHold:
		return "captureHold"
	case *VoidHold:
		return "voidHold"
	case *ChangeStatus:
		return "changeStatus"
	case *ChangeLimits:
		return "changeLimits"
	}
	return ""
}

type wireRequest struct {
	Kind      string          `json:"kind"`
	CommandID string          `json:"commandId"`
	SubjectID string          `json:"subjectId"`
	Command   json.RawMessage `json:"command"`
	Against   *domain.Refusal `json:"against,omitempty"`
}

// MarshalJSON implements json.Marshaler: with it a request keeps its ids on the way to the node that decides it.
func (r *Request) MarshalJSON() ([]byte, error) {
	body, err := json.Marshal(r.Command)
	if err != nil {
		return nil, err
	}
	w := wireRequest{Kind: kindOf(r.Command), CommandID: r.CommandID, SubjectID: r.SubjectID, Command: body}
	if r.Against != nil && !errors.As(r.Against, &w.Against) {
		return nil, fmt.Errorf("what stands against a command is no refusal: %w", r.Against)
	}
	return json.Marshal(w)
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *Request) UnmarshalJSON(b []byte) error {
	var w wireRequest
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	blank, ok := kinds[w.Kind]
	if !ok {
		return fmt.Errorf("unknown command %q: a newer Daybook sent it; upgrade this one", w.Kind)
	}
	c := blank()
	if err := json.Unmarshal(w.Command, c); err != nil {
		return err
	}
	if err := fit(c); err != nil {
		return err
	}
	*r = Request{Command: c, CommandID: w.CommandID, SubjectID: w.SubjectID, Fingerprint: Fingerprint(c)}
	if w.Against != nil {
		r.Against = w.Against
	}
	return nil
}

// fit gives amounts the scale of their currency again, which JSON does not keep.
func fit(c Command) error {
	scale := func(d *decimal.Decimal, currency money.Currency) (err error) {
		*d, err = money.Fit(*d, currency)
		return err
	}
	switch c := c.(type) {
	case *TopUp:
		return scale(&c.Amount, c.Currency)
	case *Withdraw:
		return scale(&c.Amount, c.Currency)
	case *Transfer:
		return scale(&c.Amount, c.Currency)
	case *Pay:
		return scale(&c.Amount, c.Currency)
	case *AuthorizeHold:
		return scale(&c.Amount, c.Currency)
	case *CreateAccount:
		if c.Limits.Max.Valid {
			if err := scale(&c.Limits.Max.Decimal, c.Currency); err != nil {
				return err
			}
		}
		return scale(&c.Limits.Min, c.Currency)
	case *Refund, *CaptureHold, *VoidHold, *ChangeStatus, *ChangeLimits: // Fitted where they are decided.
	}
	return nil
}
