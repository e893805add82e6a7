package main

// advice is what is to be said of a code beyond the schema's description of it.
type advice struct {
	// top tells that the code is a top-level error, watched that it is one where a subscription ends with it.
	top, watched bool
	// again says whether sending the same again helps.
	again string
	// fields are the input fields, below input, or the arguments that it can be about; none when it is about no single one.
	fields []string
}

// rule is the advice on a refusal by a business rule.
func rule(again string, fields ...string) advice { return advice{again: again, fields: fields} }

// top is the advice on a top-level error.
func top(again string, fields ...string) advice {
	return advice{top: true, again: again, fields: fields}
}

const (
	corrected = "No. Correct it first."
	// anyField stands for all fields there are.
	anyField = "*"
)

var advices = map[string]advice{
	"ACCOUNT_NOT_FOUND":      {watched: true, again: "Once the account is created.", fields: []string{"accountId", "fromAccountId", "toAccountId"}},
	"ACCOUNT_EXISTS":         rule("No. Choose another id.", "id"),
	"ACCOUNT_SUSPENDED":      rule("Once the account is active again.", "accountId", "fromAccountId", "paymentId", "holdId"),
	"ACCOUNT_CLOSED":         rule("No. Closing is final, but an account that money came back to can be made active again.", "accountId", "fromAccountId", "toAccountId", "paymentId", "holdId", "status"),
	"ACCOUNT_NOT_EMPTY":      rule("Once the balance is zero and no hold is active.", "status"),
	"INSUFFICIENT_BALANCE":   rule("Once more money is available.", "amount"),
	"BALANCE_LIMIT_EXCEEDED": rule("Once the balance or the limit allows it.", "amount", "limits", "limits.minBalance", "limits.maxBalance"),
	"CURRENCY_MISMATCH":      rule(corrected, "currency", "toAccountId"),
	"INVALID_AMOUNT":         rule(corrected, "amount", "limits.minBalance", "limits.maxBalance"),
	"SAME_ACCOUNT":           rule(corrected, "toAccountId"),
	"VERSION_CONFLICT":       rule("Not as it is. Read the account, and decide with the version it has now.", "expectedVersion"),
	"IDEMPOTENCY_CONFLICT":   rule("No. Take a new key for a new command.", "idempotencyKey"),
	"TRANSACTION_NOT_FOUND":  {watched: true, again: "No. Correct the id.", fields: []string{"paymentId", "id"}},
	"NOT_REFUNDABLE":         rule("When the payment is still on its way: once it is completed. Otherwise no.", "paymentId"),
	"REFUND_EXCEEDS_PAYMENT": rule("No. Refund at most what is left.", "amount"),
	"HOLD_NOT_FOUND":         rule("No. Correct the id.", "holdId"),
	"HOLD_EXPIRED":           rule("No. Authorize a new hold.", "holdId"),
	"HOLD_NOT_ACTIVE":        rule("No. Authorize a new hold.", "holdId"),
	"CAPTURE_EXCEEDS_HOLD":   rule("No. Capture at most what the hold keeps.", "amount"),
	"BATCH_SPANS_PARTITIONS": rule("No. Send the commands without `atomic`, or apart.", "toAccountId", "paymentId", "holdId"),
	"BATCH_ABORTED":          rule("Once the command that was refused is corrected."),

	"OVERLOADED":       top("Yes, after a pause that grows from try to try; a mutation with the same idempotency key."),
	"UNAVAILABLE":      top("Yes, after a pause that grows from try to try; a mutation with the same idempotency key.", "paymentId"),
	"OUTCOME_UNKNOWN":  top("Yes, with the same idempotency key, until the answer is definite."),
	"READ_TIMEOUT":     top("Yes, or ask for less: a lower version, a shorter period.", "atLeastVersion"),
	"BAD_USER_INPUT":   top(corrected, anyField),
	"QUERY_TOO_COSTLY": top("No. Ask for less at once.", "from"),
	"INTERNAL":         top("Perhaps; a mutation with the same idempotency key. If it stays, tell the operator the id in the message."),
}
