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
	{"counterparty_id", "text"}, {"refusal_code", "text"}, {"actor_id", "text"}, {"actor_type", "text"},
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
		&r.CounterpartyID, &r.RefusalCode, &r.ActorID, &r.ActorType, &r.CorrelationID, &r.CausationID, &r.Details,
	}[column-6])
}

var accountsTable = table{name: "accounts", columns: []column{
	{"id", "text"}, {"owner_id", "text"}, {"type", "text"}, {"currency", "text"}, {"status", "text"}, {"balance", "text"},
	{"min_balance", "text"}, {"max_balance", "text"}, {"version", "bigint"}, {"created_at", "bigint"}, {"updated_at", "bigint"},
	{"partition", "integer"},
}, conflict: `ON CONFLICT (id) DO UPDATE SET owner_id = excluded.owner_id, type = excluded.type, currency = excluded.currency,
	status = excluded.status, balance = excluded.balance, min_balance = excluded.min_balance, max_balance = excluded.max_balance,
	version = excluded.version, created_at = excluded.created_at, updated_at = excluded.updated_at`}

type accountRows []accountRow

func (rows accountRows) len() int { return len(rows) }

func (rows accountRows) value(row, column int) value {
	r := &rows[row]
	switch column {
	case 0:
		return text(r.ID)
	case 1:
		return text(r.OwnerID)
	case 2:
		return text(r.Type)
	case 3:
		return text(r.Currency)
	case 4:
		return text(r.Status)
	case 5:
		return text(r.Balance)
	case 6:
		return text(r.MinBalance)
	case 7:
		return text(r.MaxBalance)
	case 8:
		return number(r.Version)
	case 9:
		return number(r.CreatedAt)
	case 10:
		return number(r.UpdatedAt)
	}
	return number(int64(r.Partition))
}

// A transaction's first row stays the one that tells when it began; a repeated or older event changes nothing, as in
// transaction.State.Apply.
var transactionsTable = table{name: "transactions", columns: []column{
	{"id", "text"}, {"type", "text"}, {"status", "text"}, {"amount", "text"}, {"currency", "text"}, {"from_id", "text"}, {"to_id", "text"},
	{"reason", "text"}, {"failure_code", "text"}, {"created_at", "bigint"}, {"updated_at", "bigint"}, {"version", "integer"},
	{"partition", "integer"},
}, conflict: `ON CONFLICT (id) DO UPDATE SET type = excluded.type, status = excluded.status, amount = excluded.amount,
	currency = excluded.currency, from_id = excluded.from_id, to_id = excluded.to_id, reason = excluded.reason,
	failure_code = excluded.failure_code, updated_at = excluded.updated_at, version = excluded.version
	WHERE excluded.version > transactions.version`}

type transactionRows []transactionRow

func (rows transactionRows) len() int { return len(rows) }

func (rows transactionRows) value(row, column int) value {
	r := &rows[row]
	switch column {
	case 0:
		return text(r.ID)
	case 1:
		return text(r.Type)
	case 2:
		return text(r.Status)
	case 3:
		return text(r.Amount)
	case 4:
		return text(r.Currency)
	case 5:
		return text(r.FromID)
	case 6:
		return text(r.ToID)
	case 7:
		return text(r.Reason)
	case 8:
		return text(r.FailureCode)
	case 9:
		return number(r.CreatedAt)
	case 10:
		return number(r.UpdatedAt)
	case 11:
		return number(r.Version)
	}
	return number(int64(r.Partition))
}
