package store

import (
	"encoding/binary"
	"errors"
	"math/big"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

// format is the first byte of every value. Another one means another program wrote it: the store is rebuilt.
const format = 3

var errCorrupt = errors.New("a value is damaged or of another format")

var (
	statusBytes = map[account.Status]byte{"": 0, account.Active: 1, account.Suspended: 2, account.Closed: 3}
	typeBytes   = map[account.Type]byte{"": 0, account.User: 1, account.System: 2}
	statuses    = [...]account.Status{"", account.Active, account.Suspended, account.Closed}
	types       = [...]account.Type{"", account.User, account.System}
)

func appendState(b []byte, s *account.State) []byte {
	b = append(b, format, statusBytes[s.Status], typeBytes[s.Type])
	b = binary.AppendVarint(b, s.Version)
	b = appendTime(b, s.CreatedAt)
	b = appendTime(b, s.UpdatedAt)
	b = appendString(b, string(s.Currency))
	b = appendAmount(b, s.Balance, s.Currency)
	b = appendAmount(b, s.Held, s.Currency)
	b = appendAmount(b, s.Limits.Min, s.Currency)
	if s.Limits.Max.Valid {
		b = appendAmount(append(b, 1), s.Limits.Max.Decimal, s.Currency)
	} else {
		b = append(b, 0)
	}
	return appendString(b, s.OwnerID)
}

func decodeState(id string, value []byte) (account.State, error) {
	r := reader{rest: value}
	if r.byte() != format {
		return account.State{}, errCorrupt
	}
	s := account.State{ID: id}
	status, kind := r.byte(), r.byte()
	if int(status) >= len(statuses) || int(kind) >= len(types) {
		return account.State{}, errCorrupt
	}
	s.Status, s.Type = statuses[status], types[kind]
	s.Version = r.varint()
	s.CreatedAt, s.UpdatedAt = r.time(), r.time()
	s.Currency = money.Currency(r.string())
	s.Balance = r.decimal()
	s.Held = r.decimal()
	s.Limits.Min = r.decimal()
	if r.byte() == 1 {
		s.Limits.Max = decimal.NullDecimal{Decimal: r.decimal(), Valid: true}
	}
	s.OwnerID = r.string()
	return s, r.err
}

func appendOutcome(b []byte, o *ledger.Outcome) []byte {
	b = append(b, format)
	b = append(b, o.Fingerprint[:]...)
	b = appendString(b, o.TransactionID)
	b = appendAmount(b, o.Amount, o.State.Currency)
	if o.Hold == nil {
		b = appendString(b, "")
	} else {
		b = appendString(b, o.Hold.ID)
		b = appendString(b, string(appendHold(nil, o.Hold)))
	}
	return appendState(b, &o.State)
}

func decodeOutcome(accountID string, value []byte) (ledger.Outcome, error) {
	r := reader{rest: value}
	if r.byte() != format {
		return ledger.Outcome{}, errCorrupt
	}
	var o ledger.Outcome
	copy(o.Fingerprint[:], r.bytes(len(o.Fingerprint)))
	o.TransactionID = r.string()
	o.Amount = r.decimal()
	if id := r.string(); id != "" {
		h, err := decodeHold(id, []byte(r.string()))
		if err != nil {
			return ledger.Outcome{}, err
		}
		o.Hold = &h
	}
	if r.err != nil {
		return ledger.Outcome{}, r.err
	}
	state, err := decodeState(accountID, r.rest)
	o.State = state
	return o, err
}

var (
	holdStatusBytes = map[account.HoldStatus]byte{account.HoldActive: 1, account.HoldCaptured: 2, account.HoldVoided: 3, account.HoldExpired: 4}
	holdStatuses    = [...]account.HoldStatus{"", account.HoldActive, account.HoldCaptured, account.HoldVoided, account.HoldExpired}
)

func appendHold(b []byte, h *account.Hold) []byte {
	b = append(b, format, holdStatusBytes[h.Status])
	for _, s := range []string{h.AccountID, h.CounterpartyID, string(h.Currency), h.Reason} {
		b = appendString(b, s)
	}
	for _, d := range []decimal.Decimal{h.Amount, h.Captured, h.Released} {
		b = appendAmount(b, d, h.Currency)
	}
	for _, t := range []time.Time{h.ExpiresAt, h.CreatedAt, h.UpdatedAt} {
		b = appendTime(b, t)
	}
	return b
}

func decodeHold(id string, value []byte) (account.Hold, error) {
	r := reader{rest: value}
	if r.byte() != format {
		return account.Hold{}, errCorrupt
	}
	status := r.byte()
	if int(status) >= len(holdStatuses) {
		return account.Hold{}, errCorrupt
	}
	h := account.Hold{ID: id, Status: holdStatuses[status]}
	h.AccountID, h.CounterpartyID, h.Currency, h.Reason = r.string(), r.string(), money.Currency(r.string()), r.string()
	h.Amount, h.Captured, h.Released = r.decimal(), r.decimal(), r.decimal()
	h.ExpiresAt, h.CreatedAt, h.UpdatedAt = r.time(), r.time(), r.time()
	return h, r.err
}

func appendReceipt(b []byte, r *account.Receipt) []byte {
	b = append(b, format)
	for _, s := range []string{r.PayeeID, r.PayerID, string(r.Currency)} {
		b = appendString(b, s)
	}
	return appendAmount(appendAmount(b, r.Amount, r.Currency), r.Refunded, r.Currency)
}

func decodeReceipt(paymentID string, value []byte) (account.Receipt, error) {
	r := reader{rest: value}
	if r.byte() != format {
		return account.Receipt{}, errCorrupt
	}
	receipt := account.Receipt{ID: paymentID, PayeeID: r.string(), PayerID: r.string(), Currency: money.Currency(r.string())}
	receipt.Amount, receipt.Refunded = r.decimal(), r.decimal()
	return receipt, r.err
}

func appendPosition(b []byte, p *Position) []byte {
	b = append(b, format)
	b = binary.AppendVarint(b, p.Next)
	b = appendTime(b, p.LastTime)
	b = binary.AppendVarint(b, p.Progress.Commands)
	b = binary.AppendVarint(b, p.Progress.Coordinated)
	b = binary.AppendVarint(b, int64(p.Progress.Partitions))
	b = binary.AppendVarint(b, p.Last.Offset)
	return append(b, p.Last.SHA256[:]...)
}

func decodePosition(value []byte) (Position, error) {
	r := reader{rest: value}
	if r.byte() != format {
		return Position{}, errCorrupt
	}
	p := Position{Next: r.varint(), LastTime: r.time()}
	p.Progress = eventstore.Progress{Commands: r.varint(), Coordinated: r.varint(), Partitions: int32(r.varint())}
	p.Last.Offset = r.varint()
	copy(p.Last.SHA256[:], r.bytes(len(p.Last.SHA256)))
	return p, r.err
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(b, 0)
	}
	return binary.AppendVarint(b, t.UnixMilli())
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendAmount writes an amount at its currency's scale: an owner has it as the client wrote it, and whoever reads the
// log as the event has it, and both states are to be the same.
func appendAmount(b []byte, d decimal.Decimal, c money.Currency) []byte {
	if missing := d.Exponent() + c.Scale(); missing > 0 {
		factor := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(missing)), nil)
		d = decimal.NewFromBigInt(factor.Mul(factor, d.Coefficient()), -c.Scale())
	}
	return appendDecimal(b, d)
}

// appendDecimal writes exponent, sign and coefficient, so that the exponent survives: equal exponents keep arithmetic
// cheap.
func appendDecimal(b []byte, d decimal.Decimal) []byte {
	b = binary.AppendVarint(b, int64(d.Exponent()))
	if coefficient := d.Coefficient(); coefficient.IsInt64() {
		b = append(b, 0)
		return binary.AppendVarint(b, coefficient.Int64())
	}
	coefficient := d.Coefficient()
	sign := byte(1)
	if coefficient.Sign() < 0 {
		sign = 2
	}
	return appendString(append(b, sign), string(coefficient.Bytes()))
}

// reader reads values in turn; after the first error it returns zero values.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail() { r.err, r.rest = errCorrupt, nil }

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	v := r.rest[0]
	r.rest = r.rest[1:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.fail()
		return nil
	}
	v := r.rest[:n]
	r.rest = r.rest[n:]
	return v
}

func (r *reader) string() string {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > uint64(len(r.rest)) {
		r.fail()
		return ""
	}
	r.rest = r.rest[size:]
	return string(r.bytes(int(n)))
}

func (r *reader) time() time.Time {
	ms := r.varint()
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func (r *reader) decimal() decimal.Decimal {
	exponent := int32(r.varint())
	sign := r.byte()
	if sign == 0 {
		return decimal.New(r.varint(), exponent)
	}
	coefficient := new(big.Int).SetBytes([]byte(r.string()))
	if sign == 2 {
		coefficient.Neg(coefficient)
	}
	return decimal.NewFromBigInt(coefficient, exponent)
}
