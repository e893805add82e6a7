// Package scalar reads and writes the leaves of the API. Readers are strict: what they refuse carries BAD_USER_INPUT
// and a message that never repeats the value, which may be long or hostile.
package scalar

import (
	"encoding/json"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"daybook/domain"
	"daybook/domain/money"
	"daybook/eventstore"
)

// Decimal is an amount as it was sent, or as money.Format wrote it. It is not parsed here: what is a valid amount
// depends on the currency, which another field tells. Whoever parses it looks at the length first.
type Decimal string

// UnmarshalGQL takes a string. A JSON number went through somebody's float, so it is refused.
func (d *Decimal) UnmarshalGQL(v any) error {
	s, ok := v.(string)
	if !ok {
		return refuse(`an amount must be a string, for example "12.50"`)
	}
	*d = Decimal(s)
	return nil
}

// MarshalGQL implements graphql.Marshaler.
func (d Decimal) MarshalGQL(w io.Writer) { writePlain(w, string(d)) }

// maxTimeLength bounds a moment's text: nanoseconds and a zone take 35 characters.
const maxTimeLength = 40

// Years outside of these are mistakes: seconds taken for milliseconds, and the like.
const (
	minYear = 1970
	maxYear = 9999
)

// UnmarshalDateTime takes RFC 3339 with a zone.
func UnmarshalDateTime(v any) (time.Time, error) {
	s, ok := v.(string)
	if !ok || len(s) > maxTimeLength {
		return time.Time{}, badTime()
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !strictTime(s) {
		return time.Time{}, badTime()
	}
	if year := t.UTC().Year(); year < minYear || year > maxYear {
		return time.Time{}, refuse("the year of a moment must be from %d to %d", minYear, maxYear)
	}
	return t.UTC(), nil
}

// strictTime refuses what time.Parse lets pass and RFC 3339 does not: a comma before the fraction, an hour of one
// digit, a zone of more than a day.
func strictTime(s string) bool {
	const date = len("2006-01-02T15:04:05")
	if len(s) <= date || s[13] != ':' || s[16] != ':' || s[date] == ',' {
		return false
	}
	if s[len(s)-1] == 'Z' {
		return true
	}
	zone := s[len(s)-len("+00:00"):]
	return zone[1:3] < "24" && zone[4:6] < "60"
}

// MarshalDateTime writes UTC with milliseconds.
func MarshalDateTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { writePlain(w, eventstore.FormatTime(t)) })
}

// UnmarshalCurrency takes an active ISO 4217 code in upper case.
func UnmarshalCurrency(v any) (money.Currency, error) {
	s, ok := v.(string)
	if !ok {
		s = ""
	}
	return money.ParseCurrency(s)
}

// MarshalCurrency writes the code.
func MarshalCurrency(c money.Currency) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { writePlain(w, string(c)) })
}

// UnmarshalID takes a string, or an integer as the language allows. Which ids are valid is for the resolvers.
func UnmarshalID(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return strconv.FormatInt(n, 10), nil
		}
	}
	return "", refuse("an id must be a string")
}

// MarshalID writes a string.
func MarshalID(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalString takes a string and nothing that could be turned into one.
func UnmarshalString(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", refuse("a text must be a string")
	}
	return s, nil
}

// MarshalString writes a string.
func MarshalString(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalInt takes an integer of 32 bits, as the language defines Int.
func UnmarshalInt(v any) (int64, error) {
	var n int64
	switch v := v.(type) {
	case int64:
		n = v
	case json.Number:
		var err error
		if n, err = v.Int64(); err != nil {
			return 0, badInt()
		}
	default:
		return 0, badInt()
	}
	if n < math.MinInt32 || n > math.MaxInt32 {
		return 0, badInt()
	}
	return n, nil
}

// MarshalInt writes an integer.
func MarshalInt(n int64) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		var buffer [20]byte
		_, _ = w.Write(strconv.AppendInt(buffer[:0], n, 10))
	})
}

// writePlain writes a string that needs no escaping.
func writePlain(w io.Writer, s string) {
	var buffer [48]byte
	b := append(buffer[:0], '"')
	b = append(b, s...)
	_, _ = w.Write(append(b, '"'))
}

func refuse(format string, args ...any) error {
	return domain.Refuse(domain.BadUserInput, "", format, args...)
}

func badTime() error {
	return refuse("a moment must be RFC 3339 with a zone, for example 2026-01-31T12:00:00.000Z")
}

func badInt() error { return refuse("a number must be an integer of 32 bits") }
