package projector

// table describes what is written in bulk, the same for every database.
type table struct {
	name    string
	columns []column
	// conflict says what becomes of a row whose key exists; none can when it is empty.
	conflict string
}

type column struct{ name, kind string }

// value is one cell: a number, or a text of which the empty one is NULL.
type value struct {
	text     string
	number   int64
	isNumber bool
}

func text(s string) value  { return value{text: s} }
func number(n int64) value { return value{number: n, isNumber: true} }
func truth(b bool) value {
	if b {
		return number(1)
	}
	return number(0)
}

// rowSource gives the cells of rows, the columns in the order of the table.
type rowSource interface {
	len() int
	value(row, column int) value
}

var eventsTable = table{name: "account_events", columns: []column{
	{"account_id", "text"}, {"version", "bigint"}, {"at", "bigint"}, {"log_offset", "bigint"}, {"partition", "integer"},
	{"reversal", "boolean"}, {"event_type", "text"}, {"event_id", "text"}, {"balance", "text"}, {"amount", "text"},
	{"change_type", "text"}, {"currency", "text"}, {"reason", "text"}, {"transaction_id", "text"}, {"transaction_type", "text"},
	{"counterparty_id", "text"}, {"hold_id", "text"}, {"refund_of", "text"}, {"refusal_code", "text"}, {"actor_id", "text"}, {"actor_type", "text"},
	{"correlation_id", "text"}, {"causation_id", "text"}, {"details", "text"},
}}

type eventRows []eventRow

func (rows eventRows) len() int { return len(rows) }

func (rows eventRows) value(row, column int) value {
	r := &rows[row]
	switch column {
	case 0:
		return text(r.AccountID)
	case 1:
		return number(r.Version)
	case 2:
		return number(r.At)
	case 3:
		return number(r.LogOffset)
	case 4:
		return number(int64(r.Partition))
	case 5:
		return truth(r.Reversal)
	}
	return text(*[...]*string{
		&r.EventType, &r.EventID, &r.Balance, &r.Amount, &r.ChangeType, &r.Currency, &r.Reason, &r.TransactionID, &r.TransactionType,
		&r.CounterpartyID, &r.HoldID, &r.RefundOf, &r.RefusalCode, &r.ActorID, &r.ActorType, &r.CorrelationID, &r.CausationID, &r.Details,
	}[column-6])
}

var accountsTable = table{name: "accounts", columns: []column{
	{"id", "text"}, {"owner_id", "text"}, {"type", "text"}, {"currency", "text"}, {"status", "text"}, {"balance", "text"},
	{"held", "text"}, {"min_balance", "text"}, {"max_balance", "text"}, {"version", "bigint"}, {"created_at", "bigint"}, {"updated_at", "bigint"},
	{"partition", "integer"},
}, conflict: `ON CONFLICT (id) DO UPDATE SET owner_id = excluded.owner_id, type = excluded.type, currency = excluded.currency,
	status = excluded.status, balance = excluded.balance, held = excluded.held, min_balance = excluded.min_balance, max_balance = excluded.max_balance,
	version = excluded.version, created_at = excluded.created_at, updated_at = excluded.updated_at`}

type accountRows []accountRow

func (rows accountRows) len() int { return len(rows) }

func (rows accountRows) value(row, column int) value {
	r := &rows[row]
	switch column {
	case 9:
		return number(r.Version)
	case 10:
		return number(r.CreatedAt)
	case 11:
		return number(r.UpdatedAt)
	case 12:
		return number(int64(r.Partition))
	}
	return text(*[...]*string{&r.ID, &r.OwnerID, &r.Type, &r.Currency, &r.Status, &r.Balance, &r.Held, &r.MinBalance, &r.MaxBalance}[column])
}

// A transaction's first row stays the one that tells where it came from; a repeated or older event changes nothing, as
// in transaction.State.Apply.
var transactionsTable = table{name: "transactions", columns: []column{
	{"id", "text"}, {"type", "text"}, {"status", "text"}, {"amount", "text"}, {"currency", "text"}, {"from_id", "text"}, {"to_id", "text"},
	{"reason", "text"}, {"hold_id", "text"}, {"refund_of", "text"}, {"failure_code", "text"}, {"updated_at", "bigint"}, {"version", "integer"},
	{"created_at", "bigint"}, {"correlation_id", "text"}, {"causation_id", "text"}, {"actor_id", "text"}, {"actor_type", "text"},
	{"partition", "integer"},
}, conflict: `ON CONFLICT (id) DO UPDATE SET type = excluded.type, status = excluded.status, amount = excluded.amount,
	currency = excluded.currency, from_id = excluded.from_id, to_id = excluded.to_id, reason = excluded.reason,
	hold_id = excluded.hold_id, refund_of = excluded.refund_of, failure_code = excluded.failure_code,
	updated_at = excluded.updated_at, version = excluded.version
	WHERE excluded.version > transactions.version`}

// transactionOrigin is the first of the columns that never change.
const transactionOrigin = 13

type transactionRows []transactionRow

func (rows transactionRows) len() int { return len(rows) }

func (rows transactionRows) value(row, column int) value {
	r := &rows[row]
	switch column {
	case 11:
		return number(r.UpdatedAt)
	case 12:
		return number(r.Version)
	case 13:
		return number(r.CreatedAt)
	case 14:
		return text(r.CorrelationID)
	case 15:
		return text(r.CausationID)
	case 16:
		return text(r.ActorID)
	case 17:
		return text(r.ActorType)
	case 18:
		return number(int64(r.Partition))
	}
	return text(*[...]*string{
		&r.ID, &r.Type, &r.Status, &r.Amount, &r.Currency, &r.FromID, &r.ToID, &r.Reason, &r.HoldID, &r.RefundOf, &r.FailureCode,
	}[column])
}

var holdsTable = table{name: "holds", columns: []column{
	{"id", "text"}, {"account_id", "text"}, {"counterparty_id", "text"}, {"currency", "text"}, {"amount", "text"}, {"captured", "text"},
	{"released", "text"}, {"status", "text"}, {"reason", "text"}, {"expires_at", "bigint"}, {"created_at", "bigint"},
	{"updated_at", "bigint"}, {"placed", "bigint"}, {"version", "bigint"}, {"partition", "integer"},
}, conflict: `ON CONFLICT (id) DO UPDATE SET account_id = excluded.account_id, counterparty_id = excluded.counterparty_id,
	currency = excluded.currency, amount = excluded.amount, captured = excluded.captured, released = excluded.released,
	status = excluded.status, reason = excluded.reason, expires_at = excluded.expires_at, created_at = excluded.created_at,
	updated_at = excluded.updated_at, placed = excluded.placed, version = excluded.version, partition = excluded.partition`}

type holdRows []holdRow

func (rows holdRows) len() int { return len(rows) }

func (rows holdRows) value(row, column int) value {
	r := &rows[row]
	if column < 9 {
		return text(*[...]*string{
			&r.ID, &r.AccountID, &r.CounterpartyID, &r.Currency, &r.Amount, &r.Captured, &r.Released, &r.Status, &r.Reason,
		}[column])
	}
	return number([...]int64{r.ExpiresAt, r.CreatedAt, r.UpdatedAt, r.Placed, r.Version, int64(r.Partition)}[column-9])
}

var ledgerTable = table{name: "ledger", columns: []column{
	{"partition", "integer"}, {"bucket", "bigint"}, {"currency", "text"}, {"account", "text"}, {"debit", "text"}, {"credit", "text"},
	{"last_at", "bigint"},
}, conflict: `ON CONFLICT (partition, bucket, currency, account) DO UPDATE SET debit = excluded.debit, credit = excluded.credit,
	last_at = excluded.last_at`}

type ledgerRows []ledgerRow

func (rows ledgerRows) len() int { return len(rows) }

func (rows ledgerRows) value(row, column int) value {
	r := &rows[row]
	switch column {
	case 0:
		return number(int64(r.Partition))
	case 1:
		return number(r.Bucket)
	case 6:
		return number(r.LastAt)
	}
	return text(*[...]*string{&r.Currency, &r.Account, &r.Debit, &r.Credit}[column-2])
}
