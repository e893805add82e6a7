package projector

import (
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
	"daybook/eventstore"
)

// maxEventIDs bounds how many event ids are remembered to find a repeat: some 20 bytes each.
const maxEventIDs = 1 << 24

// books are the account events of all partitions, folded and checked against what the log promises.
type books struct {
	partitions int32
	differ     func(Difference)
	accounts   map[string]*accountBook
	// held is what of each transfer has left its source and not arrived: below zero when it arrived before, or more
	// often than, it left.
	held map[string]holding
	// The sums of balances, and of what came from outside or is in transit, by currency. Together they are zero.
	balances, outside, transit map[money.Currency]decimal.Decimal
	holds                      map[string]*holdBook
	refunds                    map[string]*refundBook
	ledgers                    []*ledgerBook

	ids          map[uint64]struct{}
	uncheckedIDs int64
	seed         maphash.Seed
	scratch      []byte
}

// accountBook is an account as the log tells it.
type accountBook struct {
	state     account.State
	partition int32
	// events counts those in the log, rows those in the read model.
	events, rows int64
	// sum is that of the events' digests, less that of the rows'.
	sum  uint64
	seen bool
}

type holding struct {
	amount   decimal.Decimal
	currency money.Currency
	// over is the transaction's status when it is a final one.
	over transaction.Status
	// settled means that the missing leg lies beyond the positions of the read model.
	settled bool
}

func newBooks(partitions int32) *books {
	b := &books{
		partitions: partitions, accounts: map[string]*accountBook{}, held: map[string]holding{}, ids: map[uint64]struct{}{},
		balances: map[money.Currency]decimal.Decimal{}, outside: map[money.Currency]decimal.Decimal{},
		transit: map[money.Currency]decimal.Decimal{}, seed: maphash.MakeSeed(),
		holds: map[string]*holdBook{}, refunds: map[string]*refundBook{},
	}
	for p := range partitions {
		b.ledgers = append(b.ledgers, &ledgerBook{sums: newBucketSums(p), digests: map[int64]uint64{}})
	}
	return b
}

// post folds the next event of its partition.
func (b *books) post(e *eventstore.Recorded) error {
	a := b.accounts[e.AggregateID]
	if a == nil {
		id := strings.Clone(e.AggregateID)
		a = &accountBook{state: account.State{ID: id}, partition: e.Partition}
		b.accounts[id] = a
	}
	complain := func(format string, args ...any) {
		b.differ(Difference{Subject: a.state.ID, Partition: e.Partition, Offset: e.Offset, Message: fmt.Sprintf(format, args...)})
	}
	b.checkEnvelope(a, e, complain)
	change, ok := e.Data.(*account.BalanceChanged)
	if ok {
		checkChange(&a.state, change, complain)
		b.move(change)
	}
	if e.Version <= a.state.Version {
		return nil // A repeat; the projector passes over it too.
	}
	before := a.state.Balance
	apply(&a.state, e)
	a.events++
	b.postHold(a, e, complain)
	if ok {
		b.postRefund(e, change)
		b.ledgers[e.Partition].post(b, e, a.state.Type, change)
	}
	if a.state.Exists() {
		add(b.balances, a.state.Currency, a.state.Balance.Sub(before))
	}
	balance := ""
	if a.state.Exists() {
		balance = money.Format(a.state.Balance, a.state.Currency)
	}
	sum, err := b.digest(e, balance)
	a.sum += sum
	return err
}

func (b *books) checkEnvelope(a *accountBook, e *eventstore.Recorded, complain func(string, ...any)) {
	switch last := a.state.Version; {
	case e.Version > last+1:
		complain("version %d follows on %d: there is a gap", e.Version, last)
	case e.Version <= last:
		complain("version %d follows on %d: it repeats one", e.Version, last)
	}
	if e.Timestamp.Before(a.state.UpdatedAt) {
		complain("version %d is earlier than the one before", e.Version)
	}
	if p := eventstore.PartitionOf(e.AggregateID, b.partitions); p != e.Partition {
		complain("version %d stands in partition %d and belongs in %d", e.Version, e.Partition, p)
	}
	id := maphash.String(b.seed, e.ID)
	switch _, repeated := b.ids[id]; {
	case repeated:
		complain("version %d repeats the event id %s", e.Version, e.ID)
	case len(b.ids) < maxEventIDs:
		b.ids[id] = struct{}{}
	default:
		b.uncheckedIDs++
	}
}

// checkChange checks a change of balance against the state before it.
func checkChange(s *account.State, c *account.BalanceChanged, complain func(string, ...any)) {
	switch {
	case !s.Exists():
		complain("a balance changes before the account was created")
		return
	case c.Currency != s.Currency:
		complain("the account is kept in %s and a balance changes in %s", s.Currency, c.Currency)
	}
	if !c.PreviousBalance.Equal(s.Balance) {
		complain("a change begins at %s and the balance is %s", c.PreviousBalance, s.Balance)
	}
	if !c.PreviousBalance.Add(c.SignedAmount()).Equal(c.NewBalance) {
		complain("a change of %s leads from %s to %s", c.SignedAmount(), c.PreviousBalance, c.NewBalance)
	}
	if !c.ChangeAmount.IsPositive() {
		complain("a change has the amount %s", c.ChangeAmount)
	}
	available := c.NewBalance.Sub(s.Held)
	if c.HoldID != "" { // A capture takes what was held.
		available = available.Add(c.ChangeAmount)
	}
	switch {
	case c.ChangeType == account.Debit && available.LessThan(s.Limits.Min):
		complain("a debit leaves %s available, below the lower limit %s", available, s.Limits.Min)
	case c.ChangeType == account.Credit && !c.Reversal && c.NewBalance.GreaterThan(s.Limits.Upper(s.Currency)):
		complain("a credit leads to %s, above the upper limit %s", c.NewBalance, s.Limits.Upper(s.Currency))
	}
}

// move posts the other side of a change: to the world outside, or to what is in transit.
func (b *books) move(c *account.BalanceChanged) {
	signed := c.SignedAmount()
	if c.TransactionID == "" || transaction.IsExternal(c.CounterpartyID) {
		add(b.outside, c.Currency, signed.Neg())
		return
	}
	add(b.transit, c.Currency, signed.Neg())
	b.hold(c, signed.Neg())
}

func (b *books) hold(c *account.BalanceChanged, amount decimal.Decimal) {
	h, ok := b.held[c.TransactionID]
	h.amount = h.amount.Add(amount)
	switch {
	case h.amount.IsZero():
		delete(b.held, c.TransactionID)
	case ok:
		b.held[c.TransactionID] = h
	default:
		h.currency = money.Currency(strings.Clone(string(c.Currency)))
		b.held[strings.Clone(c.TransactionID)] = h
	}
}

// balance checks that all postings of a currency sum to zero, and that what is in transit is what transfers hold.
func (b *books) balance() {
	held := map[money.Currency]decimal.Decimal{}
	for _, h := range b.held {
		add(held, h.currency, h.amount)
	}
	for c, sum := range b.balances {
		if total := sum.Add(b.outside[c]).Add(b.transit[c]); !total.IsZero() {
			b.differ(Difference{Subject: string(c), Partition: -1, Offset: -1,
				Message: fmt.Sprintf("the postings in %s sum to %s and not to zero", c, total)})
		}
	}
	for c, sum := range b.transit {
		if !sum.Equal(held[c]) {
			b.differ(Difference{Subject: string(c), Partition: -1, Offset: -1,
				Message: fmt.Sprintf("%s are in transit in %s and transfers hold %s", sum, c, held[c])})
		}
	}
}

// inTransit sums up what transfers hold, by currency.
func (b *books) inTransit() []InTransit {
	sums := map[money.Currency]*InTransit{}
	for _, h := range b.held {
		if h.settled {
			continue
		}
		if sums[h.currency] == nil {
			sums[h.currency] = &InTransit{Currency: h.currency}
		}
		sums[h.currency].Amount = sums[h.currency].Amount.Add(h.amount)
		sums[h.currency].Transfers++
	}
	all := make([]InTransit, 0, len(sums))
	for _, s := range sums {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b InTransit) int { return strings.Compare(string(a.Currency), string(b.Currency)) })
	return all
}

// digest identifies an event as it would be written anew, with its place and the balance after it: a row has the same
// one only if it gives the very event back.
func (b *books) digest(e *eventstore.Recorded, balance string) (uint64, error) {
	m, err := eventstore.Encode(&e.Event)
	if err != nil {
		return 0, fmt.Errorf("event %d of account %s: %w", e.Version, e.AggregateID, err)
	}
	b.scratch = append(b.scratch[:0], m.Value...)
	b.scratch = strconv.AppendInt(append(b.scratch, '/'), int64(e.Partition), 10)
	b.scratch = strconv.AppendInt(append(b.scratch, '/'), e.Offset, 10)
	b.scratch = append(append(b.scratch, '/'), balance...)
	return maphash.Bytes(b.seed, b.scratch), nil
}

// rowSum is a digest of some of a row's columns.
func (b *books) rowSum(row rowSource, from, to int) uint64 {
	b.scratch = b.scratch[:0]
	for column := from; column < to; column++ {
		b.scratch = append(append(b.scratch, row.value(0, column).show()...), ',')
	}
	return maphash.Bytes(b.seed, b.scratch)
}

func add(sums map[money.Currency]decimal.Decimal, c money.Currency, amount decimal.Decimal) {
	sum, ok := sums[c]
	if !ok {
		c = money.Currency(strings.Clone(string(c)))
	}
	sums[c] = sum.Add(amount)
}
