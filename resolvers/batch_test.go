package resolvers_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"daybook/eventstore"
)

const batchQuery = `mutation($commands: [BatchCommandInput!]!, $atomic: Boolean) { submitBatch(input: {commands: $commands, atomic: $atomic}) { results {
	transaction { id type status } hold { id status } account { id version balance } userErrors { field message code } } } }`

type input = map[string]any

// batch submits commands and returns the results.
func (a *api) batch(atomic bool, commands ...input) answer {
	a.t.Helper()
	out := a.askWith(batchQuery, map[string]any{"commands": commands, "atomic": atomic})
	if len(out.Errors) > 0 {
		a.t.Fatalf("the batch as a whole got %+v", out.Errors)
	}
	out.Data = out.Data["submitBatch"].(map[string]any)
	if n := len(out.at("results").([]any)); n != len(commands) {
		a.t.Fatalf("%d commands have %d results", len(commands), n)
	}
	return out
}

func topUpOf(id, amount, key string) input {
	return input{"topUp": input{"accountId": id, "amount": amount, "currency": "EUR", "idempotencyKey": key}}
}

// neighbour is the id of an account in the partition of another, or in another one.
func neighbour(t *testing.T, of string, same bool) string {
	t.Helper()
	const partitions = 3
	for i := range 100 {
		id := fmt.Sprintf("%s-%d", of, i)
		if (eventstore.PartitionOf(id, partitions) == eventstore.PartitionOf(of, partitions)) == same {
			return id
		}
	}
	t.Fatal("no such id")
	return ""
}

func TestABatchHasAResultPerCommandInOrder(t *testing.T) {
	a := funded(t)
	payment := a.done("pay", `fromAccountId: "ann", toAccountId: "bob", amount: "10.00", currency: "EUR", idempotencyKey: "p"`).at("transaction.id")
	hold := a.done("authorizeHold", `accountId: "ann", toAccountId: "bob", amount: "20.00", currency: "EUR", idempotencyKey: "h"`).at("hold.id")
	void := a.done("authorizeHold", `accountId: "ann", toAccountId: "bob", amount: "5.00", currency: "EUR", idempotencyKey: "h2"`).at("hold.id")
	move := input{"fromAccountId": "ann", "toAccountId": "bob", "amount": "1.00", "currency": "EUR"}
	moveAs := func(key string) input {
		m := input{"idempotencyKey": key}
		for k, v := range move {
			m[k] = v
		}
		return m
	}
	out := a.batch(false,
		input{"createAccount": input{"id": "cyd", "ownerId": "o", "currency": "EUR", "idempotencyKey": "c"}},
		topUpOf("cyd", "3.00", "t"),
		input{"withdraw": input{"accountId": "cyd", "amount": "5.00", "currency": "EUR", "idempotencyKey": "w"}},
		input{"withdraw": input{"accountId": "cyd", "amount": "2.00", "currency": "EUR", "idempotencyKey": "w"}},
		input{"transfer": moveAs("b1")},
		input{"pay": moveAs("b2")},
		input{"refund": input{"paymentId": payment, "amount": "2.00", "idempotencyKey": "r"}},
		input{"authorizeHold": input{"accountId": "ann", "toAccountId": "bob", "amount": "1.00", "currency": "EUR", "idempotencyKey": "h3"}},
		input{"captureHold": input{"holdId": hold, "idempotencyKey": "b3"}},
		input{"voidHold": input{"holdId": void, "idempotencyKey": "b4"}},
		input{"changeAccountStatus": input{"accountId": "cyd", "status": "SUSPENDED", "reason": "test", "idempotencyKey": "s"}},
		input{"changeAccountLimits": input{"accountId": "cyd", "limits": input{"maxBalance": "9"}, "reason": "test", "idempotencyKey": "l"}},
	)
	expect(t, out, map[string]any{
		"results.0.account.id": "cyd", "results.0.account.version": 1, "results.0.transaction": nil,
		"results.1.account.balance": "3.00", "results.1.transaction.type": "TOPUP", "results.1.transaction.status": "COMPLETED",
		"results.2.account": nil, "results.2.userErrors.0.code": "INSUFFICIENT_BALANCE", "results.2.userErrors.0.field": "[input commands 2 withdraw amount]",
		// A refused command did nothing: its key is free.
		"results.3.account.balance": "1.00", "results.3.userErrors": "[]",
		"results.4.transaction.type": "TRANSFER", "results.5.transaction.type": "PAYMENT", "results.6.transaction.type": "REFUND",
		"results.6.account.id": "bob", "results.7.hold.status": "ACTIVE", "results.8.hold.id": hold, "results.8.hold.status": "CAPTURED",
		"results.8.transaction.type": "PAYMENT", "results.9.hold.status": "VOIDED", "results.9.transaction": nil,
		"results.10.account.version": 4, "results.11.account.version": 5,
	})
	for i := range 12 {
		if errs := out.at(fmt.Sprintf("results.%d.userErrors", i)); i != 2 && fmt.Sprint(errs) != "[]" {
			t.Errorf("command %d got %v", i, errs)
		}
	}
}

func TestATransferToAnotherPartitionInABatchIsPendingAtOnce(t *testing.T) {
	a := startNode(t)
	far := neighbour(t, "ann", false)
	a.create("ann", "EUR")
	a.create(far, "EUR")
	out := a.batch(false, topUpOf("ann", "5.00", "t"), input{"transfer": input{
		"fromAccountId": "ann", "toAccountId": far, "amount": "1.00", "currency": "EUR", "idempotencyKey": "x"}})
	if status := out.at("results.1.transaction.status"); status != "PENDING" && status != "COMPLETED" {
		t.Errorf("the transfer is %v", status)
	}
	a.get(fmt.Sprintf(`{ account(id: %q, atLeastVersion: 2) { id } }`, far))
}

func TestWhatIsWrongWithOneCommandStaysWithIt(t *testing.T) {
	a := funded(t)
	out := a.batch(false,
		topUpOf("ann", "-1", "a"),
		topUpOf("ann", "1.00", "b"),
		topUpOf("a b", "1.00", "c"),
		topUpOf("ann", "1.00", ""),
		input{"voidHold": input{"holdId": "7", "idempotencyKey": "d"}},
		input{"changeAccountLimits": input{"accountId": "ann", "limits": input{"minBalance": "x"}, "reason": "test", "idempotencyKey": "e"}},
		input{"authorizeHold": input{"accountId": "ann", "toAccountId": "bob", "amount": "1.00", "currency": "EUR", "expiresAt": "2020-01-01T00:00:00Z", "idempotencyKey": "f"}},
		input{},
		input{"topUp": topUpOf("ann", "1.00", "g")["topUp"], "voidHold": input{"holdId": "7", "idempotencyKey": "g"}},
		topUpOf("ann", "1.00", "h"),
	)
	for i, want := range []string{
		"INVALID_AMOUNT [input commands 0 topUp amount]", "", "BAD_USER_INPUT [input commands 2 topUp accountId]",
		"BAD_USER_INPUT [input commands 3 topUp idempotencyKey]", "BAD_USER_INPUT [input commands 4 voidHold holdId]",
		"INVALID_AMOUNT [input commands 5 changeAccountLimits limits minBalance]", "BAD_USER_INPUT [input commands 6 authorizeHold expiresAt]",
		"BAD_USER_INPUT [input commands 7]", "BAD_USER_INPUT [input commands 8]", "",
	} {
		at := fmt.Sprintf("results.%d.", i)
		if want == "" {
			expect(t, out, map[string]any{at + "userErrors": "[]", at + "account.id": "ann"})
		} else if got := fmt.Sprint(out.at(at+"userErrors.0.code"), " ", out.at(at+"userErrors.0.field")); got != want || out.at(at+"account") != nil {
			t.Errorf("command %d got %s, want %s", i, got, want)
		}
	}
	expect(t, out, map[string]any{"results.9.account.balance": "102.00"})
}

func TestAnAtomicBatchIsCarriedOutAsAWholeOrNotAtAll(t *testing.T) {
	a := startNode(t)
	near, far := neighbour(t, "ann", true), neighbour(t, "ann", false)
	for _, id := range []string{"ann", near, far} {
		a.create(id, "EUR")
	}
	move := func(to, amount, key string) input {
		return input{"transfer": input{"fromAccountId": "ann", "toAccountId": to, "amount": amount, "currency": "EUR", "idempotencyKey": key}}
	}
	untouched := func(what string) {
		t.Helper()
		// What was recorded shows in the version of the next change.
		expect(t, a.done("changeAccountStatus", `accountId: "ann", status: ACTIVE, reason: "look", idempotencyKey: "look-`+what+`"`),
			map[string]any{"account.balance": "0.00"})
	}
	refused := a.batch(true, topUpOf("ann", "5.00", "t"), move(near, "9.00", "m"), topUpOf(near, "1.00", "n"))
	expect(t, refused, map[string]any{
		"results.0.userErrors.0.code": "BATCH_ABORTED", "results.1.userErrors.0.code": "INSUFFICIENT_BALANCE", "results.2.userErrors.0.code": "BATCH_ABORTED",
		"results.0.account": nil, "results.2.transaction": nil,
	})
	untouched("refused")
	malformed := a.batch(true, topUpOf("ann", "5.00", "t"), topUpOf("ann", "x", "u"))
	expect(t, malformed, map[string]any{
		"results.0.userErrors.0.code": "BATCH_ABORTED", "results.0.userErrors.0.field": "[input commands 0 topUp]",
		"results.1.userErrors.0.code": "INVALID_AMOUNT", "results.1.userErrors.0.field": "[input commands 1 topUp amount]",
	})
	untouched("malformed")
	for name, spanning := range map[string]input{"command": topUpOf(far, "1.00", "n"), "credit": move(far, "1.00", "n")} {
		out := a.batch(true, topUpOf("ann", "5.00", "t"), spanning)
		if got := fmt.Sprint(out.at("results.1.userErrors.0.code")); got != "BATCH_SPANS_PARTITIONS" || out.at("results.0.userErrors.0.code") == nil {
			t.Errorf("%s: got %v", name, out.Data)
		}
		untouched("spanning-" + name)
	}
	// The keys of what was not done are free.
	done := a.batch(true, topUpOf("ann", "5.00", "t"), move(near, "4.00", "m"), topUpOf(near, "1.00", "n"))
	expect(t, done, map[string]any{
		"results.0.account.balance": "5.00", "results.1.account.balance": "1.00", "results.1.transaction.status": "COMPLETED", "results.2.account.balance": "5.00",
		"results.0.userErrors": "[]", "results.1.userErrors": "[]", "results.2.userErrors": "[]",
	})
	// Sent again it has the same answer and no other effect.
	again := a.batch(true, topUpOf("ann", "5.00", "t"), move(near, "4.00", "m"), topUpOf(near, "1.00", "n"))
	if fmt.Sprint(again.Data) != fmt.Sprint(done.Data) {
		t.Errorf("sent again: got %v, want %v", again.Data, done.Data)
	}
	beside := a.batch(true, topUpOf("ann", "5.00", "t"), topUpOf("ann", "x", "u"))
	expect(t, beside, map[string]any{
		"results.0.account.balance": "5.00", "results.0.transaction.id": done.at("results.0.transaction.id"), "results.0.userErrors": "[]",
		"results.1.userErrors.0.code": "INVALID_AMOUNT",
	})
}

func TestABatchOfAThousandIsOneOfMore(t *testing.T) {
	a := funded(t)
	commands := make([]input, 1000)
	for i := range commands {
		commands[i] = topUpOf("ann", "0.01", fmt.Sprint("k", i))
	}
	out := a.batch(true, commands...)
	for i := range commands {
		expect(t, out, map[string]any{fmt.Sprintf("results.%d.account.version", i): i + 3})
	}
	for name, n := range map[string]int{"none": 0, "1,001": 1001} {
		refused := a.askWith(batchQuery, map[string]any{"commands": append(commands, topUpOf("ann", "0.01", "one more"))[:n]})
		if refused.code() != "BAD_USER_INPUT" || fmt.Sprint(refused.Errors[0].Extensions.Field) != "[input commands]" || refused.Data["submitBatch"] != nil {
			t.Errorf("%s: got %+v", name, refused)
		}
	}
}

func TestOddInputNeverFailsInside(t *testing.T) {
	a := funded(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	odd := []any{
		nil, "", " ", "0", "-1", "1e9", "1.00", "99999999999999.99", "99999999999999.9999", "\x00", "\ufffd", "ann", "bob", "external:default:EUR",
		strings.Repeat("9", 5000), "123e4567-e89b-42d3-a456-426614174000", "EUR", "XXX", "JPY", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z",
		"ACTIVE", "CLOSED", true, 0, -1, 1 << 40, 1.5, input{}, []any{}, input{"minBalance": "-99999999999999"}, "k",
	}
	of := map[string]string{
		"createAccount": "id ownerId currency type limits idempotencyKey", "topUp": "accountId amount currency external reason idempotencyKey expectedVersion",
		"withdraw": "accountId amount currency external reason idempotencyKey expectedVersion",
		"transfer": "fromAccountId toAccountId amount currency reason idempotencyKey expectedVersion",
		"pay":      "fromAccountId toAccountId amount currency reason idempotencyKey expectedVersion",
		"refund":   "paymentId amount reason idempotencyKey expectedVersion", "authorizeHold": "accountId toAccountId amount currency expiresAt reason idempotencyKey expectedVersion",
		"captureHold": "holdId amount final reason idempotencyKey expectedVersion", "voidHold": "holdId reason idempotencyKey expectedVersion",
		"changeAccountStatus": "accountId status reason idempotencyKey expectedVersion", "changeAccountLimits": "accountId limits reason idempotencyKey expectedVersion",
	}
	sound := input{
		"accountId": "ann", "fromAccountId": "ann", "toAccountId": "bob", "amount": "0.01", "currency": "EUR", "reason": "odd", "status": "ACTIVE",
		"limits": input{}, "ownerId": "o", "paymentId": "123e4567-e89b-42d3-a456-426614174000", "holdId": "123e4567-e89b-42d3-a456-426614174000",
	}
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	for i := range 400 {
		var commands []input
		for j := range 1 + random.IntN(4) {
			name := names[random.IntN(len(names))]
			in := input{"idempotencyKey": fmt.Sprint(seed, i, j)}
			for _, field := range strings.Fields(of[name]) {
				if sound[field] != nil {
					in[field] = sound[field]
				}
			}
			for fields := strings.Fields(of[name]); random.IntN(2) == 0; {
				in[fields[random.IntN(len(fields))]] = odd[random.IntN(len(odd))]
			}
			commands = append(commands, input{name: in})
		}
		out := a.askWith(batchQuery, map[string]any{"commands": commands, "atomic": random.IntN(2) == 0})
		if text := fmt.Sprint(out); strings.Contains(text, "INTERNAL") || (out.Data["submitBatch"] == nil && out.code() == "") {
			t.Errorf("%v: got %.500s", commands, text)
		}
	}
}
