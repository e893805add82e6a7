package eventstore

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
)

// scanner reads events in exactly the form that Encode gives them, in one pass: most of what a projector does is to
// decode. Whatever looks different in any way makes it fail, and is left to encoding/json to read or refuse, so the
// scanner decides nothing about what is valid.
type scanner struct {
	rest   string
	failed bool
}

func (s *scanner) fail() { s.rest, s.failed = "", true }

// literal reads exactly this text.
func (s *scanner) literal(want string) {
	if !s.optional(want) {
		s.fail()
	}
}

// optional reads this text if it is next.
func (s *scanner) optional(want string) bool {
	if !strings.HasPrefix(s.rest, want) {
		return false
	}
	s.rest = s.rest[len(want):]
	return true
}

// field reads a name, given with its punctuation, and a string.
func (s *scanner) field(name string) string {
	s.literal(name)
	v, seen := s.text()
	if seen&backslash != 0 {
		return s.escaped()
	}
	if seen&control != 0 || (seen&beyondASCII != 0 && !utf8.ValidString(v)) {
		s.fail()
		return ""
	}
	s.rest = s.rest[len(v)+2:]
	return v
}

// amount reads a name and a decimal.
func (s *scanner) amount(name string) decimal.Decimal {
	s.literal(name)
	v, seen := s.text()
	if seen != 0 || s.failed {
		s.fail()
		return decimal.Decimal{}
	}
	d, err := money.ParseTrusted(v)
	if err != nil {
		s.fail()
		return decimal.Decimal{}
	}
	s.rest = s.rest[len(v)+2:]
	return d
}

// text returns what is next up to the closing quote, or to the first escaped one, and the classes of bytes in it.
func (s *scanner) text() (v string, seen byte) {
	if !strings.HasPrefix(s.rest, `"`) {
		s.fail()
		return "", control
	}
	v = s.rest[1:]
	end := strings.IndexByte(v, '"')
	if end < 0 {
		s.fail()
		return "", control
	}
	v = v[:end]
	for i := range len(v) {
		seen |= classes[v[i]]
	}
	return v, seen
}

// escaped reads a string with escapes.
func (s *scanner) escaped() (v string) {
	for i := 1; i < len(s.rest); i++ {
		switch s.rest[i] {
		case '\\':
			i++
		case '"':
			if json.Unmarshal([]byte(s.rest[:i+1]), &v) != nil {
				s.fail()
				return ""
			}
			s.rest = s.rest[i+1:]
			return v
		}
	}
	s.fail()
	return ""
}

// Classes of bytes that do not, or not always, stand for themselves in a JSON string.
const (
	backslash byte = 1 << iota
	quote
	control
	beyondASCII
)

var classes = func() (table [256]byte) {
	for c := range table {
		switch {
		case c < ' ':
			table[c] = control
		case c >= utf8.RuneSelf:
			table[c] = beyondASCII
		}
	}
	table['\\'], table['"'] = backslash, quote
	return table
}()

// number reads a name and a whole number of at most 18 digits.
func (s *scanner) number(name string) int64 {
	s.literal(name)
	var n int64
	i := 0
	for ; i < len(s.rest) && s.rest[i] >= '0' && s.rest[i] <= '9'; i++ {
		n = n*10 + int64(s.rest[i]-'0')
	}
	if i == 0 || i > 18 || (s.rest[0] == '0' && i > 1) {
		s.fail()
		return 0
	}
	s.rest = s.rest[i:]
	return n
}

// timestamp reads a name and a moment in timeLayout.
func (s *scanner) timestamp(name string) time.Time {
	v := s.field(name)
	if len(v) != len(timeLayout) || v[10] != 'T' || v[13] != ':' || v[19] != '.' || v[23] != 'Z' {
		s.fail()
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, v) // For this layout the time package has a short cut; for ours it has none.
	if err != nil {
		s.fail()
	}
	return t
}

// scanEvent reads the value of a record; false leaves it to parseEvent.
func scanEvent(value []byte) (e Event, ok bool) {
	s := scanner{rest: string(value)}
	e.ID = s.field(`{"eventId":`)
	schema := registry[s.field(`,"eventType":`)]
	e.AggregateID = s.field(`,"aggregateId":`)
	s.field(`,"aggregateType":`)
	e.Version = s.number(`,"aggregateVersion":`)
	e.Timestamp = s.timestamp(`,"timestamp":`)
	e.CorrelationID = s.field(`,"correlationId":`)
	if s.optional(`,"causationId":`) {
		e.CausationID = s.field("")
	}
	if s.optional(`,"metadata":{`) {
		e.Metadata.ActorID = s.field(`"actorId":`)
		e.Metadata.ActorType = s.field(`,"actorType":`)
		s.literal("}")
	}
	version := s.number(`,"schemaVersion":`)
	s.literal(`,"data":{`)
	if s.failed || schema == nil || schema.scan == nil || version != int64(schema.Version) {
		return Event{}, false
	}
	e.Data = schema.scan(&s)
	s.literal("}}")
	if s.failed || s.rest != "" {
		return Event{}, false
	}
	return e, true
}

func scanBalanceChanged(s *scanner) Data {
	d := &account.BalanceChanged{
		PreviousBalance: s.amount(`"previousBalance":`),
		NewBalance:      s.amount(`,"newBalance":`),
		ChangeAmount:    s.amount(`,"changeAmount":`),
		ChangeType:      account.ChangeType(s.field(`,"changeType":`)),
	}
	s.field(`,"signedAmount":`) // Repeats what is known.
	d.Reason = s.field(`,"reason":`)
	d.TransactionID = s.field(`,"transactionId":`)
	d.Currency = money.Currency(s.field(`,"currency":`))
	d.TransactionType = account.MovementType(s.field(`,"transactionType":`))
	d.CounterpartyID = s.field(`,"counterpartyId":`)
	d.HoldID, d.RefundOf = s.links()
	if s.optional(`,"reversal":true`) {
		d.Reversal = true
		d.RefusalCode = domain.Code(s.field(`,"refusalCode":`))
	}
	return d
}

// links reads what only captures and refunds have.
func (s *scanner) links() (holdID, refundOf string) {
	if s.optional(`,"holdId":`) {
		holdID = s.field("")
	}
	if s.optional(`,"refundOf":`) {
		refundOf = s.field("")
	}
	return holdID, refundOf
}

func scanHoldPlaced(s *scanner) Data {
	d := &account.HoldPlaced{HoldID: s.field(`"holdId":`), Amount: s.amount(`,"amount":`)}
	d.Currency = money.Currency(s.field(`,"currency":`))
	d.CounterpartyID = s.field(`,"counterpartyId":`)
	d.ExpiresAt = s.timestamp(`,"expiresAt":`)
	d.Reason = s.field(`,"reason":`)
	return d
}

func scanHoldReleased(s *scanner) Data {
	d := &account.HoldReleased{HoldID: s.field(`"holdId":`), Amount: s.amount(`,"amount":`)}
	d.Currency = money.Currency(s.field(`,"currency":`))
	d.Cause = account.HoldStatus(s.field(`,"cause":`))
	d.Reason = s.field(`,"reason":`)
	if s.optional(`,"transactionId":`) {
		d.TransactionID = s.field("")
	}
	return d
}

func scanTransaction(s *scanner, status transaction.Status) Data {
	d := &transaction.Event{Status: status}
	d.Type = account.MovementType(s.field(`"transactionType":`))
	d.Amount = s.amount(`,"amount":`)
	d.Currency = money.Currency(s.field(`,"currency":`))
	d.From = s.field(`,"fromAccountId":`)
	d.To = s.field(`,"toAccountId":`)
	d.Reason = s.field(`,"reason":`)
	d.HoldID, d.RefundOf = s.links()
	if s.optional(`,"failureCode":`) {
		d.FailureCode = domain.Code(s.field(""))
	}
	return d
}
