package server

import (
	"strings"

	"daybook/resolvers"
)

// holdID and paymentID are of the right form.
const anID = "123e4567-e89b-42d3-a456-426614174000"

// movement is an operation with input that is good.
type movement struct {
	name, input string
	good        map[string]any
	// open tells that the amount's currency is not in the input.
	open bool
}

var movements = []movement{
	{"withdraw", "WithdrawInput", map[string]any{"accountId": "alice", "amount": "1.00", "currency": "EUR", "idempotencyKey": "k"}, false},
	{"transfer", "TransferInput", map[string]any{"fromAccountId": "alice", "toAccountId": "bob", "amount": "1.00", "currency": "EUR", "idempotencyKey": "k"}, false},
	{"pay", "PayInput", map[string]any{"fromAccountId": "alice", "toAccountId": "bob", "amount": "1.00", "currency": "EUR", "idempotencyKey": "k"}, false},
	{"authorizeHold", "AuthorizeHoldInput", map[string]any{"accountId": "alice", "toAccountId": "bob", "amount": "1.00", "currency": "EUR", "idempotencyKey": "k"}, false},
	{"refund", "RefundInput", map[string]any{"paymentId": anID, "amount": "1.00", "idempotencyKey": "k"}, true},
	{"captureHold", "CaptureHoldInput", map[string]any{"holdId": anID, "amount": "1.00", "idempotencyKey": "k"}, true},
	{"voidHold", "VoidHoldInput", map[string]any{"holdId": anID, "idempotencyKey": "k"}, true},
}

func (m movement) query() string {
	return `mutation($input: ` + m.input + `!) { ` + m.name + `(input: $input) { account { id } userErrors { field code message } } }`
}

// with is the good input with some fields changed.
func (m movement) with(changes map[string]any) map[string]any {
	input := map[string]any{}
	for name, value := range m.good {
		input[name] = value
	}
	for name, value := range changes {
		input[name] = value
	}
	return map[string]any{"input": input}
}

// has tells whether the operation has a field of input, given in the good one.
func (m movement) has(field string) bool { return m.good[field] != nil }

func badMovements() []badRequest {
	var all []badRequest
	for _, m := range movements {
		bad := func(name, code, field string, value any) {
			if m.has(field) {
				all = append(all, badRequest{m.name + ": " + name, code, m.query(), m.with(map[string]any{field: value})})
			}
		}
		for name, amount := range map[string]string{
			"zero": "0", "negative": "-1", "exponent": "1e2", "empty": "", "five decimals": "1.00001", "text": marker, "long": strings.Repeat("9", 100_000),
		} {
			bad("amount "+name, "INVALID_AMOUNT", "amount", amount)
		}
		if !m.open {
			bad("amount of three decimals", "INVALID_AMOUNT", "amount", "1.001")
		}
		for _, field := range []string{"accountId", "fromAccountId", "toAccountId", "paymentId", "holdId"} {
			for name, id := range map[string]any{
				"empty": "", "with a space": "a b", "null": nil, "long": strings.Repeat(marker, 1000), "an object": map[string]any{}, "null byte": "a\x00",
			} {
				bad(field+" "+name, "BAD_USER_INPUT", field, id)
			}
		}
		for _, field := range []string{"paymentId", "holdId"} {
			bad(field+" that is no UUID", "BAD_USER_INPUT", field, "alice")
			bad(field+" in braces", "BAD_USER_INPUT", field, "{"+anID+"}")
		}
		bad("amount a number", "BAD_USER_INPUT", "amount", 1)
		bad("key empty", "BAD_USER_INPUT", "idempotencyKey", "")
		bad("key long", "BAD_USER_INPUT", "idempotencyKey", strings.Repeat("k", 129))
		bad("currency unknown", "BAD_USER_INPUT", "currency", "XQQ")
		all = append(all, badRequest{m.name + ": reason long", "BAD_USER_INPUT", m.query(), m.with(map[string]any{"reason": strings.Repeat(marker, 100)})})
	}
	authorize, capture := movements[3], movements[5]
	for name, at := range map[string]any{"without zone": "2026-01-31T12:00:00", "a number": 5, "text": marker} {
		all = append(all, badRequest{"expiry " + name, "BAD_USER_INPUT", authorize.query(), authorize.with(map[string]any{"expiresAt": at})})
	}
	all = append(all, badRequest{"final a string", "BAD_USER_INPUT", capture.query(), capture.with(map[string]any{"final": "true"})})

	for name, commands := range map[string]any{
		"of none": []any{}, "of 1,001": batchOf(resolvers.MaxBatch + 1), "of a number": 5, "of null": nil, "with a null": []any{nil},
		"of an unknown command": []any{map[string]any{"steal": map[string]any{}}}, "of a text": marker,
		"with a malformed currency": []any{map[string]any{"topUp": topUpOf(map[string]any{"currency": "eur"})["input"]}},
	} {
		all = append(all, badRequest{"batch " + name, "BAD_USER_INPUT", batchMutation, map[string]any{"input": map[string]any{"commands": commands}}})
	}
	all = append(all, badRequest{"batch with too much below it", "QUERY_TOO_COSTLY",
		`mutation($input: SubmitBatchInput!) { submitBatch(input: $input) { results { account { changes { edges { cursor } } } } } }`,
		map[string]any{"input": map[string]any{"commands": batchOf(resolvers.MaxBatch)}}})
	return all
}
