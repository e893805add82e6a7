package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"daybook/internal/testenv"
)

// marker stands in hostile values; no message may repeat it.
const marker = "ZqMarker"

// badWithin is what the best of badTries must keep: the bound is the product's, and one try says nothing on a busy
// machine.
const (
	badWithin = testenv.Slowdown * 50 * time.Millisecond
	badTries  = 3
)

// badRequest is a request and the code it gets over every transport, with nothing carried out.
type badRequest struct {
	name, code string
	query      string
	variables  map[string]any
}

const topUp = `mutation($input: TopUpInput!) { topUp(input: $input) { userErrors { code message } } }`

func topUpOf(changes map[string]any) map[string]any {
	input := map[string]any{"accountId": "alice", "amount": "1.00", "currency": "EUR", "idempotencyKey": "k"}
	for name, value := range changes {
		input[name] = value
	}
	return map[string]any{"input": input}
}

func badRequests() []badRequest {
	var all []badRequest
	field := func(name, code string, changes map[string]any) {
		all = append(all, badRequest{"top-up: " + name, code, topUp, topUpOf(changes)})
	}
	document := func(name, code, query string) { all = append(all, badRequest{name, code, query, nil}) }

	for name, amount := range map[string]any{
		"exponent": "1e2", "plus": "+1", "minus": "-1", "negative": "-1.00", "zero": "0.00", "empty": "", "blank": " 1",
		"100,000 digits": strings.Repeat("9", 100_000), "15 digits": strings.Repeat("9", 15), "wrong scale": "1.001",
		"comma": "1,00", "hex": "0x1", "NaN": "NaN", "infinity": "Infinity", "no whole": ".5", "no fraction": "1.",
		"arabic digits": "١٢", "underscore": "1_000", "null byte": "1\x00", "text": marker,
	} {
		field("amount "+name, "INVALID_AMOUNT", map[string]any{"amount": amount})
	}
	field("amount of a currency without decimals", "INVALID_AMOUNT", map[string]any{"amount": "1.5", "currency": "JPY"})
	for name, value := range map[string]any{
		"a number": 1, "a fraction": 1.5, "null": nil, "a list": []any{"1.00"}, "an object": map[string]any{marker: 1}, "a boolean": true,
	} {
		field("amount is "+name, "BAD_USER_INPUT", map[string]any{"amount": value})
	}
	for name, value := range map[string]any{
		"unknown": "XQQ", "lower case": "eur", "empty": "", "long": strings.Repeat(marker, 1000), "a number": 978, "null": nil,
		"retired": "DEM",
	} {
		field("currency "+name, "BAD_USER_INPUT", map[string]any{"currency": value})
	}
	for name, id := range map[string]any{
		"empty": "", "slash": "a/b", "space": "a b", "leading dash": "-a", "65 long": strings.Repeat("a", 65), "100,000 long": strings.Repeat("a", 100_000),
		"null byte": "a\x00", "newline": "a\n", "unicode": "älice", "replacement": "a\ufffd", "an object": map[string]any{}, "a boolean": true, "null": nil,
	} {
		field("id "+name, "BAD_USER_INPUT", map[string]any{"accountId": id})
	}
	for name, changes := range map[string]map[string]any{
		"key empty": {"idempotencyKey": ""}, "key long": {"idempotencyKey": strings.Repeat("k", 129)}, "key null byte": {"idempotencyKey": "k\x00"},
		"key number": {"idempotencyKey": 5}, "reason long": {"reason": strings.Repeat(marker, 100)}, "reason control": {"reason": "a\u0007"},
		"version a string": {"expectedVersion": "5"}, "version a fraction": {"expectedVersion": 1.5}, "version beyond 32 bits": {"expectedVersion": 1 << 40},
		"unknown field": {marker + "!": "x"}, "unknown long field": {strings.Repeat(marker, 10_000): "x"},
	} {
		field(name, "BAD_USER_INPUT", changes)
	}
	for name, at := range map[string]string{
		"without zone": "2026-01-31T12:00:00", "empty": "", "a date": "2026-01-31", "in the future": "2026-01-31T12:00:01Z", "text": marker,
		"long": strings.Repeat("2", 100_000), "month 13": "2026-13-01T00:00:00Z", "far past": "0001-01-01T00:00:00Z",
	} {
		document("moment "+name, "BAD_USER_INPUT", fmt.Sprintf(`{ account(id: "alice") { balance(at: %q) } }`, at))
	}
	all = append(all, badMovements()...)
	all = append(all, badDocuments()...)
	all = append(all,
		badRequest{"variables missing", "BAD_USER_INPUT", topUp, nil},
		badRequest{"variable of another type", "BAD_USER_INPUT", topUp, map[string]any{"input": marker}},
		badRequest{"huge variables", "QUERY_TOO_COSTLY", topUp, map[string]any{"x": strings.Repeat("v", 460_000)}},
		badRequest{"too many values in variables", "QUERY_TOO_COSTLY", topUp, map[string]any{"x": make([]int, 16_000)}},
		badRequest{"too many lists in variables", "QUERY_TOO_COSTLY", topUp, map[string]any{"x": make([]struct{}, 9_000)}},
		badRequest{"enum unknown", "BAD_USER_INPUT", `query($t: AccountType!) { accounts(filter: {type: $t}) { edges { cursor } } }`, map[string]any{"t": marker}},
		badRequest{"enum in lower case", "BAD_USER_INPUT", `query($t: AccountType!) { accounts(filter: {type: $t}) { edges { cursor } } }`, map[string]any{"t": "user"}},
		badRequest{"skip decided by null", "BAD_USER_INPUT", `query($s: Boolean = true) { __typename @skip(if: $s) }`, map[string]any{"s": nil}},
		badRequest{"pages too long by variable", "QUERY_TOO_COSTLY",
			`query($n: Int) { accounts(first: $n) { edges { node { changes(first: $n) { edges { node { reason version } } } } } } }`, map[string]any{"n": 100}},
	)
	return all
}

func badDocuments() []badRequest {
	var all []badRequest
	document := func(name, code, query string) { all = append(all, badRequest{name, code, query, nil}) }
	document("amount literal a number", "BAD_USER_INPUT", `mutation { topUp(input: {accountId: "alice", amount: 5, currency: "EUR", idempotencyKey: "k"}) { userErrors { code } } }`)
	document("amount literal of 100,000 digits", "BAD_USER_INPUT",
		`mutation { topUp(input: {accountId: "alice", amount: `+strings.Repeat("9", 100_000)+`, currency: "EUR", idempotencyKey: "k"}) { userErrors { code } } }`)
	document("amount literal beyond 64 bits", "BAD_USER_INPUT", `mutation { topUp(input: {accountId: "alice", amount: 99999999999999999999, currency: "EUR", idempotencyKey: "k"}) { userErrors { code } } }`)
	document("amount literal of great exponent", "BAD_USER_INPUT", `mutation { topUp(input: {accountId: "alice", amount: 1e999999, currency: "EUR", idempotencyKey: "k"}) { userErrors { code } } }`)
	document("empty", "BAD_USER_INPUT", ``)
	document("blank", "BAD_USER_INPUT", ` `)
	document("comment only", "BAD_USER_INPUT", `# nothing`)
	document("syntax", "BAD_USER_INPUT", `{ account(id: "`+marker+`" }`)
	document("unterminated string", "BAD_USER_INPUT", `{ account(id: "`+marker)
	document("null byte", "BAD_USER_INPUT", "{ acc\x00ount }")
	document("bad escape", "BAD_USER_INPUT", `{ account(id: "\`+marker+`") { id } }`)
	document("fragment only", "BAD_USER_INPUT", `fragment F on Query { __typename }`)
	document("unknown field", "BAD_USER_INPUT", `{ nonesuch }`)
	document("long name", "BAD_USER_INPUT", `{ `+strings.Repeat(marker, 10_000)+` }`)
	document("long enum value", "BAD_USER_INPUT", `{ accounts(filter: {type: `+strings.Repeat(marker, 10_000)+`}) { edges { cursor } } }`)
	document("value of wrong type", "BAD_USER_INPUT", `{ accounts(first: "`+marker+`") { edges { cursor } } }`)
	document("string for an enum", "BAD_USER_INPUT", `{ accounts(filter: {type: "`+marker+`"}) { edges { cursor } } }`)
	document("page of zero", "BAD_USER_INPUT", `{ accounts(first: 0) { edges { cursor } } }`)
	document("page of minus one", "BAD_USER_INPUT", `{ accounts(first: -1) { edges { cursor } } }`)
	document("page of 101", "BAD_USER_INPUT", `{ accounts(first: 101) { edges { cursor } } }`)
	document("cursor made up", "BAD_USER_INPUT", `{ accounts(after: "`+marker+`") { edges { cursor } } }`)
	document("transaction id malformed", "BAD_USER_INPUT", `{ transaction(id: "`+marker+`") { id } }`)
	document("two operations, no name", "BAD_USER_INPUT", `query A { __typename } query B { __typename }`)
	document("directive unknown", "BAD_USER_INPUT", `{ __typename @nonesuch }`)
	document("defer", "BAD_USER_INPUT", `{ ... @defer { __typename } }`)
	document("cyclic fragment", "BAD_USER_INPUT", `{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }`)
	document("fragment of itself", "BAD_USER_INPUT", `{ ...A } fragment A on Query { ...A }`)
	document("unused fragment", "BAD_USER_INPUT", `{ __typename } fragment A on Query { __typename }`)
	document("missing fragment", "BAD_USER_INPUT", `{ ...Nonesuch }`)
	document("fragments of one name", "BAD_USER_INPUT", `{ ...A } fragment A on Query { __typename } fragment A on Query { a: __typename }`)
	document("2^10 fields by doubled fragments", "QUERY_TOO_COSTLY", multiplied(10, 2))
	document("2^38 fields by quadrupled fragments", "QUERY_TOO_COSTLY", multiplied(19, 4))
	document("2^30 fields by doubled fragments", "QUERY_TOO_COSTLY", multiplied(30, 2))
	document("too deep", "QUERY_TOO_COSTLY", nested(13))
	document("parser's nesting", "QUERY_TOO_COSTLY", `{ a(x: `+strings.Repeat("[", 1500))
	document("deep lists", "QUERY_TOO_COSTLY", `{ account(id: `+strings.Repeat("[", 50)+strings.Repeat("]", 50)+`) { id } }`)
	document("too many aliases", "QUERY_TOO_COSTLY", `{ account(id: "alice") { `+repeat(101, "a%d: id ")+`} }`)
	document("too many root fields", "QUERY_TOO_COSTLY", `{ `+repeat(21, `a%d: account(id: "alice") { id } `)+`}`)
	document("too many mutations", "QUERY_TOO_COSTLY", `mutation { `+repeat(21, `a%d: topUp(input: {accountId: "alice", amount: "1.00", currency: "EUR", idempotencyKey: "k"}) { userErrors { code } } `)+`}`)
	document("too many tokens", "QUERY_TOO_COSTLY", `{ account(id: "alice") { `+strings.Repeat("id ", 2000)+`} }`)
	document("one field over and over", "QUERY_TOO_COSTLY", `{ account(id: "alice") { `+strings.Repeat("id ", 500)+`} }`)
	document("one field with sub-fields over and over", "QUERY_TOO_COSTLY", `{ `+strings.Repeat(`account(id: "alice") { id version } `, 11)+`}`)
	document("too many directives", "QUERY_TOO_COSTLY", `{ __typename `+strings.Repeat("@skip(if: false) ", 51)+`}`)
	document("too many operations", "QUERY_TOO_COSTLY", repeat(11, "query Q%d { __typename } "))
	document("pages within pages", "QUERY_TOO_COSTLY", `{ accounts(first: 100) { edges { node { changes(first: 100) { edges { node { reason version } } } } } } }`)
	document("introspection over and over", "QUERY_TOO_COSTLY", `{ `+repeat(12, `a%d: __schema { types { fields { args { type { ...T } } type { ...T } } } } `)+`} `+typeRef)
	document("introspection within itself", "QUERY_TOO_COSTLY", `{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }`)
	document("many unknown fields", "BAD_USER_INPUT", `{ account(id: "alice") { `+repeat(900, "unknown"+strings.Repeat("x", 50)+"%d ")+`} }`)
	document("many fields in conflict", "BAD_USER_INPUT", `{ `+repeat(20, `a%d: account(id: "alice") { `+conflicts+`} `)+`}`)
	document("many fragments through one another", "BAD_USER_INPUT", `{ account(id: "alice") { ...F0 } } `+chained(19))
	document("a batch of two in one", "BAD_USER_INPUT", `mutation { submitBatch(input: {commands: [{voidHold: {holdId: "h", idempotencyKey: "k"}, captureHold: {holdId: "h", idempotencyKey: "k"}}]}) { results { userErrors { code } } } }`)
	document("a batch of null", "BAD_USER_INPUT", `mutation { submitBatch(input: {commands: [{voidHold: null}]}) { results { userErrors { code } } } }`)
	document("a batch of nothing at all", "BAD_USER_INPUT", `mutation { submitBatch(input: {commands: [{}]}) { results { userErrors { code } } } }`)
	document("an empty batch", "BAD_USER_INPUT", `mutation { submitBatch(input: {commands: []}) { results { userErrors { code } } } }`)
	document("a batch written out", "QUERY_TOO_COSTLY", `mutation { submitBatch(input: {commands: [`+
		repeat(300, `{voidHold: {holdId: "h", idempotencyKey: "k%d"}} `)+`]}) { results { userErrors { code } } } }`)
	document("four trial balances", "QUERY_TOO_COSTLY", `{ `+repeat(4, `a%d: trialBalance { lines { account debit credit } } `)+`}`)
	document("an explanation of everybody", "QUERY_TOO_COSTLY", `{ accounts(first: 20) { edges { node { explain(from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z") { difference } } } } }`)
	document("two subscriptions in one", "BAD_USER_INPUT", `subscription { a: balanceChanged(accountId: "alice") { version } b: transactionUpdated(id: "x") { id } }`)
	for _, s := range badSubscriptions {
		document("subscription: "+s.name, "BAD_USER_INPUT", s.query)
	}
	return all
}

// badSubscriptions could come to no field or to several.
var badSubscriptions = []struct{ name, query string }{
	{"one field twice", `subscription { a: balanceChanged(accountId: "bob") { version } b: balanceChanged(accountId: "bob") { version } }`},
	{"through an inline fragment", `subscription { balanceChanged(accountId: "bob") { version } ... { b: balanceChanged(accountId: "bob") { version } } }`},
	{"through fragments", `subscription { ...A ...B } fragment A on Subscription { a: balanceChanged(accountId: "bob") { version } }
		fragment B on Subscription { b: balanceChanged(accountId: "bob") { version } }`},
	{"21 times", `subscription { ` + repeat(21, `a%d: balanceChanged(accountId: "bob") { version } `) + `}`},
	{"beside another operation", `query Q { __typename } subscription S { a: balanceChanged(accountId: "bob") { version } b: balanceChanged(accountId: "bob") { version } }`},
	{"skip", `subscription($x: Boolean = true) { balanceChanged(accountId: "bob") @skip(if: $x) { version } }`},
	{"include", `subscription { balanceChanged(accountId: "bob") @include(if: false) { version } }`},
	{"skip on an inline fragment", `subscription { ... @skip(if: true) { balanceChanged(accountId: "bob") { version } } }`},
	{"skip on a spread", `subscription { ...A @skip(if: true) } fragment A on Subscription { balanceChanged(accountId: "bob") { version } }`},
	{"skip in a fragment", `subscription { ...A } fragment A on Subscription { ... { balanceChanged(accountId: "bob") @skip(if: true) { version } } }`},
}

const typeRef = `fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } }`

// multiplied is a document of n fragments that grows to times^n fields.
func multiplied(n, times int) string {
	var b strings.Builder
	b.WriteString("{ ...F0 } ")
	for i := range n - 1 {
		fmt.Fprintf(&b, "fragment F%d on Query { %s} ", i, strings.Repeat(fmt.Sprintf("...F%d ", i+1), times))
	}
	fmt.Fprintf(&b, "fragment F%d on Query { %s} ", n-1, strings.Repeat("__typename ", times))
	return b.String()
}

// conflicts are nine fields of one name that cannot be merged.
var conflicts = repeat(9, `balance(at: "2026-01-0%[1]dT00:00:00Z") `)

// chained is fragments that spread all those after them, the last of unknown fields.
func chained(n int) string {
	var b strings.Builder
	for i := range n - 1 {
		fmt.Fprintf(&b, "fragment F%d on Account { a%d: id ...F%d } ", i, i, i+1)
	}
	fmt.Fprintf(&b, "fragment F%d on Account { %s} ", n-1, repeat(500, "unknown"+strings.Repeat("x", 50)+"%d "))
	return b.String()
}

func nested(depth int) string {
	return `{ account(id: "alice") ` + strings.Repeat("{ changes ", depth) + strings.Repeat("}", depth) + `}`
}

func repeat(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestBadInputGetsItsCodeOverEveryTransportAndReachesNothing(t *testing.T) {
	s := start(t, func(c *Config) { c.Logger = testenv.Logger() })
	for transport, ask := range transports {
		t.Run(transport, func(t *testing.T) {
			for _, bad := range badRequests() {
				t.Run(bad.name, func(t *testing.T) {
					body := request(bad.query, bad.variables)
					a, best := answer{}, time.Hour
					for try := 0; try < badTries && best >= badWithin; try++ {
						begin := time.Now()
						a = ask(s, t, body)
						best = min(best, time.Since(begin))
					}
					if best >= badWithin {
						t.Errorf("the best of %d tries took %s, want less than %s", badTries, best, badWithin)
					}
					if a.code() != bad.code {
						t.Errorf("got code %q, want %q: %.500s", a.code(), bad.code, a.body)
					}
					if strings.Contains(a.body, marker) || strings.Contains(a.body, "9999999999") {
						t.Errorf("the answer repeats the input: %.500s", a.body)
					}
					if len(a.body) > 4096 {
						t.Errorf("the answer has %d bytes", len(a.body))
					}
				})
			}
		})
	}
	if n := s.backend.executed.Load() + s.backend.searched.Load(); n != 0 {
		t.Errorf("%d bad requests reached what is behind the resolvers", n)
	}
}

func TestRefusalsSayWhatIsWanted(t *testing.T) {
	s := start(t)
	const anAmount, anInteger = `an amount must be a string, for example "12.50"`, "must be an integer of 32 bits"
	literal := func(field string) string {
		return `mutation { topUp(input: {accountId: "alice", currency: "EUR", idempotencyKey: "k", ` + field + `}) { userErrors { code } } }`
	}
	type refusal struct {
		name, query string
		variables   map[string]any
		said        string
	}
	all := []refusal{
		{"unknown field", topUp, topUpOf(map[string]any{"ammount": "2"}), "the variable $input has a field ammount, which its type does not have"},
		{"unknown field of odd characters", topUp, topUpOf(map[string]any{marker + "<": "2"}), "the variable $input has a field that its type does not have"},
		{"unknown field of 64", topUp, topUpOf(map[string]any{strings.Repeat("Z_9z", 16): "2"}), strings.Repeat("Z_9z", 16)},
		{"unknown field of 65", topUp, topUpOf(map[string]any{strings.Repeat("a", 65): "2"}), "has a field that its"},
		{"unknown field without a name", topUp, topUpOf(map[string]any{"": "2"}), "has a field that its"},
		{"fraction", topUp, topUpOf(map[string]any{"expectedVersion": 1.5}), "$input.expectedVersion " + anInteger},
		{"fraction at the top", `query($n: Int) { accounts(first: $n) { edges { cursor } } }`, map[string]any{"n": 1.5}, "$n " + anInteger},
		{"fraction in the query", literal(`amount: "1", expectedVersion: 1.5`), nil, "Int cannot represent non-integer value"},
		{"33 bits", topUp, topUpOf(map[string]any{"expectedVersion": 1 << 32}), anInteger},
		{"an object for an id", topUp, topUpOf(map[string]any{"accountId": map[string]any{}}), "$input.accountId must be a string"},
		{"a string for a boolean", `query($x: Boolean!) { __typename @skip(if: $x) }`, map[string]any{"x": "true"}, "$x must be true or false"},
		{"a boolean for an enum", `query($t: AccountType!) { accounts(filter: {type: $t}) { edges { cursor } } }`, map[string]any{"t": true}, "$t must be one of the names of its type"},
		{"a list for an input", topUp, map[string]any{"input": []any{}}, `the variable $input must be a TopUpInput"`},
		{"introspection", `{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }`, nil, "QUERY_TOO_COSTLY"},
	}
	for name, value := range map[string]any{"true": true, "a list": []any{"1"}, "an object": map[string]any{}, "a number": 1} {
		all = append(all, refusal{"amount of " + name, topUp, topUpOf(map[string]any{"amount": value}), anAmount})
	}
	for _, value := range []string{`true`, `["1"]`, `{}`, `1`} {
		all = append(all, refusal{"amount literal " + value, literal("amount: " + value), nil, anAmount})
	}
	for _, bad := range badSubscriptions {
		all = append(all, refusal{"subscription: " + bad.name, bad.query, nil, "a subscription must select exactly one field"})
	}
	for transport, ask := range transports {
		for _, c := range all {
			a := ask(s, t, request(c.query, c.variables))
			if said := strings.ReplaceAll(a.body, `\"`, `"`); !strings.Contains(said, c.said) || strings.Contains(said, marker) {
				t.Errorf("%s over %s: got %s, want %s", c.name, transport, said, c.said)
			}
		}
	}
}

func TestASubscriptionToOneFieldMayTakeDetours(t *testing.T) {
	for _, query := range []string{
		`subscription { a: balanceChanged(accountId: "bob") { version @skip(if: true) timestamp } }`,
		`subscription { ...A ... { ...A } } fragment A on Subscription { balanceChanged(accountId: "bob") { version } }`,
		`query A { a: __typename @skip(if: true) b: __typename } subscription B { balanceChanged(accountId: "bob") { version } }`,
	} {
		if _, errs := checker().get(query); len(errs) != 0 {
			t.Errorf("%s: %v", query, errs)
		}
	}
}

func TestGoodInputReachesTheBackend(t *testing.T) {
	// Given the base that the bad inputs differ from in one thing.
	s := start(t)
	for transport, ask := range transports {
		before := s.backend.executed.Load()
		a := ask(s, t, request(topUp, topUpOf(nil)))
		if a.code() != "" || s.backend.executed.Load() != before+1 {
			t.Errorf("%s: got %s", transport, a.body)
		}
	}
	if a := s.query(t, `{ account(id: "alice") { balance(at: "2026-01-31T12:00:00Z") } }`); len(a.Errors) != 0 {
		t.Errorf("got %s", a.body)
	}
}
