package test

import (
	"maps"
	"testing"
	"time"

	"daybook/internal/testenv"
)

// provocations are ways to every code that the schema lists.
var provocations = map[string][]provocation{
	"ACCOUNT_NOT_FOUND": {
		command("a top-up", "accountId", "check it or create the account first", topUpMutation, toAlice, "accountId", "nobody"),
		command("a transfer to nobody", "toAccountId", "check it", transferMutation, toBob, "toAccountId", "nobody"),
	},
	"ACCOUNT_EXISTS": {command("", "id", "choose another id", createMutation, opening, "id", "alice")},
	"ACCOUNT_SUSPENDED": {
		command("a withdrawal", "accountId", "suspended and refuses debits", withdrawMutation, toAlice, "accountId", "suspended"),
	},
	"ACCOUNT_CLOSED": {
		command("a top-up", "accountId", "takes no movements", topUpMutation, toAlice, "accountId", "closed"),
		command("a payment to it", "toAccountId", "takes no movements", payMutation, toBob, "toAccountId", "closed"),
		command("a status", "status", "open a new one", statusMutation, status, "accountId", "closed"),
	},
	"ACCOUNT_NOT_EMPTY": {command("", "status", "move it elsewhere before closing", statusMutation, status, "accountId", "bob")},
	"INSUFFICIENT_BALANCE": {
		command("a withdrawal", "amount", "top it up or choose a smaller amount", withdrawMutation, toAlice, "amount", "999.00"),
		command("a hold", "amount", "top it up or choose a smaller amount", holdMutation, heldFor, "amount", "999.00"),
	},
	"BALANCE_LIMIT_EXCEEDED": {
		command("a top-up", "amount", "choose a smaller amount", topUpMutation, toAlice, "accountId", "full"),
		command("a limit", "limits.maxBalance", "must not be below the present balance", limitsMutation, limits, "limits", map[string]any{"maxBalance": "1.00"}),
	},
	"CURRENCY_MISMATCH": {command("", "currency", "kept in EUR; use that currency", topUpMutation, toAlice, "currency", "USD")},
	"INVALID_AMOUNT": {
		command("malformed", "amount", "must", topUpMutation, toAlice, "amount", "1e2"),
		command("a limit", "limits.minBalance", "more decimals than EUR", limitsMutation, limits, "limits", map[string]any{"minBalance": "-1.0001"}),
	},
	"SAME_ACCOUNT":         {command("", "toAccountId", "choose two", transferMutation, toBob, "toAccountId", "alice")},
	"VERSION_CONFLICT":     {command("", "expectedVersion", "read it again and decide anew", topUpMutation, toAlice, "expectedVersion", 1)},
	"IDEMPOTENCY_CONFLICT": {command("", "idempotencyKey", "use a new key", topUpMutation, toAlice, "idempotencyKey", "paid")},
	"TRANSACTION_NOT_FOUND": {
		command("a refund", "paymentId", "check it", refundMutation, refund, "paymentId", nowhere),
		{name: "a subscription", field: "id", top: true, says: "correct it", provoke: func(t *testing.T, p *provoker) []complaint {
			return watched(t, p, `subscription($id: ID!) { transactionUpdated(id: $id) { status } }`, map[string]any{"id": nowhere})
		}},
	},
	"NOT_REFUNDABLE": {{name: "a top-up", field: "input.paymentId", says: "only a payment can be refunded", provoke: func(t *testing.T, p *provoker) []complaint {
		testenv.Eventually(t, func() error { return p.shows(p.topped, "COMPLETED") })
		return complaints(t, p.api, refundMutation, with(refund(p), map[string]any{"paymentId": p.topped}))
	}}},
	"REFUND_EXCEEDS_PAYMENT": {command("", "amount", "can still be refunded; choose at most that", refundMutation, refund, "amount", "2.01")},
	"HOLD_NOT_FOUND":         {command("", "holdId", "check it", captureMutation, capture, "holdId", nowhere)},
	"HOLD_EXPIRED": {{field: "input.holdId", says: "authorize a new one", provoke: func(t *testing.T, p *provoker) []complaint {
		id := mustDo(t)(p.api.mutate(holdMutation, inHold("1.00", "short", time.Second/2))).Hold.ID
		testenv.Eventually(t, func() error { return p.showsHold(id, "EXPIRED") })
		return complaints(t, p.api, captureMutation, with(capture(p), map[string]any{"holdId": id}))
	}}},
	"HOLD_NOT_ACTIVE": {{field: "input.holdId", says: "authorize a new one", provoke: func(t *testing.T, p *provoker) []complaint {
		id := mustDo(t)(p.api.mutate(holdMutation, inHold("1.00", "voided", time.Hour))).Hold.ID
		mustDo(t)(p.api.mutate(voidMutation, map[string]any{"holdId": id, "idempotencyKey": "voided-2"}))
		return complaints(t, p.api, voidMutation, with(map[string]any{"holdId": id, "idempotencyKey": "again"}, nil))
	}}},
	"CAPTURE_EXCEEDS_HOLD": {command("", "amount", "choose at most that", captureMutation, capture, "amount", "1.01")},
	"BATCH_SPANS_PARTITIONS": {
		batch("two partitions", "input.commands.1.topUp", "send them apart", func(p *provoker) []any {
			return []any{one("topUp", toAlice(p), nil), one("topUp", toAlice(p), map[string]any{"accountId": p.stranger})}
		}),
		batch("a transfer out of it", "input.commands.0.transfer.toAccountId", "send it by itself", func(p *provoker) []any {
			return []any{one("transfer", toBob(p), map[string]any{"toAccountId": p.stranger, "amount": "0.01"})}
		}),
	},
	"BATCH_ABORTED": {batch("", "input.commands.0.topUp", "correct that one and send the batch again", func(p *provoker) []any {
		return []any{
			one("topUp", toAlice(p), map[string]any{"accountId": p.neighbour}),
			one("topUp", toAlice(p), map[string]any{"currency": "USD"}),
		}
	})},
	"OVERLOADED": {{name: "subscriptions", top: true, says: "end one, or open another connection", provoke: oneTooMany}},
	"UNAVAILABLE": {
		{name: "a query without the database", top: true, says: "try again", provoke: withoutDatabase},
		{name: "a command without the log", top: true, says: "this command did nothing", provoke: func(t *testing.T, p *provoker) []complaint { return p.outage.hear(t) }},
	},
	"OUTCOME_UNKNOWN": {{top: true, says: "send it again with the same idempotency key", provoke: func(t *testing.T, p *provoker) []complaint { return p.outage.hear(t) }}},
	"READ_TIMEOUT": {{field: "atLeastVersion", top: true, says: "try again, or ask for a lower one", provoke: func(t *testing.T, p *provoker) []complaint {
		return complaints(t, p.api, accountQuery, map[string]any{"id": "alice", "version": 1_000_000})
	}}},
	"BAD_USER_INPUT": {
		command("a key", "idempotencyKey", "1 to 128 printable characters", topUpMutation, toAlice, "idempotencyKey", ""),
		query("a page", "first", "1 to 100", `{ accounts(first: 0) { edges { cursor } } }`),
		query("a query", "", "cannot be parsed", `{ accounts `),
	},
	"QUERY_TOO_COSTLY": {query("", "", "ask for shorter pages or fewer fields", `{ accounts(first: 100) { edges { node { events(first: 100) { edges { cursor } } } } } }`)},
	"INTERNAL": {
		{name: "a fault of the engine", elsewhere: "resolvers/faults_test.go#TestFaultsOfTheEngineComeAsTopLevelErrorsAndInABatchWithTheirCommand"},
	},
}

// nowhere is the id of no transaction and no hold.
const nowhere = "00000000-0000-4000-8000-000000000000"

// The inputs that provocations change; as they are, they would be carried out.
type input func(p *provoker) map[string]any

func opening(*provoker) map[string]any {
	return map[string]any{"ownerId": "somebody", "currency": "EUR", "idempotencyKey": "x"}
}

func toAlice(*provoker) map[string]any {
	return map[string]any{"accountId": "alice", "amount": "1.00", "currency": "EUR", "idempotencyKey": "x"}
}

func toBob(*provoker) map[string]any { return fromAlice("1.00", "x") }

func fromAlice(amount, key string) map[string]any {
	return map[string]any{"fromAccountId": "alice", "toAccountId": "bob", "amount": amount, "currency": "EUR", "idempotencyKey": key}
}

func heldFor(*provoker) map[string]any { return inHold("1.00", "x", time.Hour) }

func inHold(amount, key string, life time.Duration) map[string]any {
	return map[string]any{
		"accountId": "alice", "toAccountId": "bob", "amount": amount, "currency": "EUR", "idempotencyKey": key,
		"expiresAt": time.Now().Add(life).Format(time.RFC3339Nano),
	}
}

func status(*provoker) map[string]any {
	return map[string]any{"accountId": "bob", "status": "CLOSED", "reason": "a test", "idempotencyKey": "x"}
}

func limits(*provoker) map[string]any {
	return map[string]any{"accountId": "alice", "reason": "a test", "idempotencyKey": "x"}
}

func refund(p *provoker) map[string]any {
	return map[string]any{"paymentId": p.payment, "idempotencyKey": "x"}
}

func capture(p *provoker) map[string]any {
	return map[string]any{"holdId": p.held, "idempotencyKey": "x"}
}

// command sends a mutation whose input has one field changed.
func command(name, field, says, document string, base input, changed string, to any) provocation {
	top := field == "idempotencyKey" && to == "" // What is malformed is no business rule.
	return provocation{name: name, field: "input." + field, says: says, top: top, provoke: func(t *testing.T, p *provoker) []complaint {
		return complaints(t, p.api, document, with(base(p), map[string]any{changed: to}))
	}}
}

func query(name, field, says, document string) provocation {
	return provocation{name: name, field: field, says: says, top: true, provoke: func(t *testing.T, p *provoker) []complaint {
		return complaints(t, p.api, document, nil)
	}}
}

const batchMutation = `mutation($input: SubmitBatchInput!) { submitBatch(input: $input) { results { userErrors { field message code } } } }`

// batch sends an atomic batch.
func batch(name, field, says string, commands func(p *provoker) []any) provocation {
	return provocation{name: name, field: field, says: says, provoke: func(t *testing.T, p *provoker) []complaint {
		return complaints(t, p.api, batchMutation, map[string]any{"input": map[string]any{"commands": commands(p), "atomic": true}})
	}}
}

func one(kind string, base, changes map[string]any) map[string]any {
	changed := maps.Clone(base)
	maps.Copy(changed, changes)
	return map[string]any{kind: changed}
}

// watched gives what a subscription complains about.
func watched(t *testing.T, p *provoker, document string, variables map[string]any) []complaint {
	t.Helper()
	r, err := ask(t.Context(), p.node.url, overModern, document, variables)
	if err != nil {
		t.Fatal(err)
	}
	return r.complaints()
}
