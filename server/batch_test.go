package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"daybook/resolvers"
)

// batchMutation asks for what a client of batches usually wants to know.
const batchMutation = `mutation($input: SubmitBatchInput!) { submitBatch(input: $input) { results {
	transaction { id status } account { id version balance } userErrors { field message code } } } }`

// batchOf is top-ups of about 300 bytes each, as large as commands usually get.
func batchOf(n int) []any {
	commands := make([]any, n)
	for i := range commands {
		input := topUpOf(map[string]any{
			"accountId": fmt.Sprintf("%060d", i), "idempotencyKey": fmt.Sprintf("%060d", i), "reason": strings.Repeat("r", 40),
			"external": "card", "expectedVersion": 1,
		})
		commands[i] = map[string]any{"topUp": input["input"]}
	}
	return commands
}

func TestABatchOfAThousandPassesOverEveryTransport(t *testing.T) {
	commands := batchOf(resolvers.MaxBatch)
	whole, _ := json.Marshal(commands)
	if len(whole) < 270*resolvers.MaxBatch {
		t.Fatalf("the commands have %d bytes, which is less than what is to be proven", len(whole))
	}
	for name, form := range map[string]struct {
		query     string
		variables map[string]any
	}{
		"as the input":    {batchMutation, map[string]any{"input": map[string]any{"commands": commands}}},
		"as the commands": {strings.NewReplacer("$input: SubmitBatchInput!", "$c: [BatchCommandInput!]!", "input: $input", "input: {commands: $c}").Replace(batchMutation), map[string]any{"c": commands}},
	} {
		s := start(t)
		for transport, ask := range transports {
			before := s.backend.executed.Load()
			a := ask(s, t, request(form.query, form.variables))
			var data struct {
				SubmitBatch struct{ Results []json.RawMessage }
			}
			if err := json.Unmarshal(a.Data, &data); err != nil || len(a.Errors) > 0 {
				t.Fatalf("%s, %s: got %.300s, %v", name, transport, a.body, err)
			}
			if n := len(data.SubmitBatch.Results); n != resolvers.MaxBatch || s.backend.executed.Load()-before != resolvers.MaxBatch {
				t.Errorf("%s, %s: %d results of %d commands", name, transport, n, s.backend.executed.Load()-before)
			}
		}
	}
}

func TestABatchCostsByItsCommands(t *testing.T) {
	const below = `{ results { userErrors { code } } } }`
	two := []any{map[string]any{}, map[string]any{}}
	for _, c := range []struct {
		query     string
		variables map[string]any
		commands  int
	}{
		{`mutation { submitBatch(input: {commands: [{voidHold: {holdId: "h", idempotencyKey: "k"}}, {voidHold: {holdId: "h", idempotencyKey: "l"}}]}) ` + below, nil, 2},
		{`mutation { submitBatch(input: {commands: {voidHold: {holdId: "h", idempotencyKey: "k"}}}) ` + below, nil, 1},
		{`mutation($i: SubmitBatchInput!) { submitBatch(input: $i) ` + below, map[string]any{"i": map[string]any{"commands": two}}, 2},
		{`mutation($c: [BatchCommandInput!]!) { submitBatch(input: {commands: $c}) ` + below, map[string]any{"c": two}, 2},
		{`mutation($c: BatchCommandInput!) { submitBatch(input: {commands: [$c, $c, $c]}) ` + below, map[string]any{"c": two[0]}, 3},
		// What cannot be told is taken for the most.
		{`mutation($i: SubmitBatchInput!) { submitBatch(input: $i) ` + below, nil, resolvers.MaxBatch},
		{`mutation($i: SubmitBatchInput!) { submitBatch(input: $i) ` + below, map[string]any{"i": map[string]any{"commands": make([]any, 5000)}}, resolvers.MaxBatch},
	} {
		d, errs := checker().get(c.query)
		if len(errs) != 0 {
			t.Fatal(errs)
		}
		p := pricing{limits: DefaultLimits().Query, variables: c.variables}
		if got, _ := p.operation(d.doc.Operations[0]); got != 1+10+c.commands*(1+3) {
			t.Errorf("%s costs %d, want it for %d commands", c.query, got, c.commands)
		}
	}
}

func TestCostsOfTheBooks(t *testing.T) {
	for query, want := range map[string]int{
		`{ trialBalance { totals { debit } } }`:                                                                      1 + 5000 + 2,
		`{ trialBalance { unfinished { amount } } }`:                                                                 1 + 5000 + 1001 + 1,
		`{ trialBalance { lines { account debit } } }`:                                                               1 + 5000 + 1 + 1000*2,
		`{ account(id: "a") { explain(from: "x", to: "y") { groups { total } } } }`:                                  6 + 1 + 1000 + 1 + 200,
		`{ account(id: "a") { events(first: 3) { edges { cursor } } holds(first: 2) { edges { cursor } } } }`:        6 + 6 + 3*2 + 6 + 2*2,
		`{ account(id: "a") { changes(first: 1) { openingBalance closingBalance } } }`:                               6 + 6 + 6 + 6,
		`{ transactions(first: 2) { edges { node { actorId trail { type } } } } }`:                                   6 + 2*(2+6+61+4),
		`{ account(id: "a") { explain(from: "x", to: "y") { groups { changes(first: 1) { edges { cursor } } } } } }`: 6 + 1 + 1000 + 1 + 200*(51+2),
		`{ hold(id: "h") { id } }`: 7,
	} {
		d, errs := checker().get(query)
		if len(errs) != 0 {
			t.Fatal(errs)
		}
		p := pricing{limits: DefaultLimits().Query}
		if got, _ := p.operation(d.doc.Operations[0]); got != want {
			t.Errorf("%s costs %d, want %d", query, got, want)
		}
	}
}

func TestValuesInVariablesAreCounted(t *testing.T) {
	for text, want := range map[string]int{
		`{}`: 2, `{"a":1}`: 2, `{"a":[1,2,3]}`: 5, `{"a":",[{\"\\"}`: 2, `{"a\\":{"b":"x,y"},"c":[]}`: 5, `1`: 1,
	} {
		if got := values([]byte(text)); got != want {
			t.Errorf("%s holds %d, want %d", text, got, want)
		}
	}
}

func TestTheCorrelationIDIsAnsweredAndRecorded(t *testing.T) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	const traceparent = "00-" + trace + "-00f067aa0ba902b7-01"
	s := start(t)
	for name, c := range map[string]struct {
		headers []string
		want    string
	}{
		"given":                     {[]string{"X-Correlation-Id", "req-7"}, "req-7"},
		"of the trace":              {[]string{"Traceparent", traceparent}, trace},
		"given, with a trace":       {[]string{"X-Correlation-Id", "req-8", "Traceparent", traceparent}, "req-8"},
		"made, the trace malformed": {[]string{"Traceparent", traceparent[:54]}, ""},
		"made":                      {nil, ""},
	} {
		a := s.post(t, request(topUp, topUpOf(nil)), c.headers...)
		got := a.header.Get("X-Correlation-Id")
		if a.code() != "" || got != s.backend.last.Load().CorrelationID || got == "" || (c.want != "" && got != c.want) {
			t.Errorf("%s: got %q, recorded %q, want %q", name, got, s.backend.last.Load().CorrelationID, c.want)
		}
	}
	before := s.backend.executed.Load()
	a := s.post(t, request(topUp, topUpOf(nil)), "X-Correlation-Id", strings.Repeat("x", 65))
	if a.code() != "BAD_USER_INPUT" || a.header.Get("X-Correlation-Id") != "" || s.backend.executed.Load() != before {
		t.Errorf("a malformed one: got %s", a.body)
	}
	stream := s.do(t, "POST", "/graphql", typename, "Content-Type", "application/json", "Accept", "text/event-stream", "X-Correlation-Id", "req-9")
	if stream.header.Get("X-Correlation-Id") != "req-9" {
		t.Errorf("an event stream answers %v", stream.header)
	}
}

func TestTheMutationsOfOneOperationShareACorrelationID(t *testing.T) {
	s := start(t)
	asked := map[string]bool{}
	for transport, ask := range transports {
		first := s.backend.executed.Load()
		a := ask(s, t, request(`mutation($i: TopUpInput!) { a: topUp(input: $i) { userErrors { code } } b: topUp(input: $i) { userErrors { code } } }`,
			map[string]any{"i": map[string]any{"accountId": "alice", "amount": "1.00", "currency": "EUR", "idempotencyKey": "k"}}))
		origins := s.backend.origins()[first:]
		if a.code() != "" || len(origins) != 2 {
			t.Fatalf("%s: %d commands, got %s", transport, len(origins), a.body)
		}
		if one, other := origins[0].CorrelationID, origins[1].CorrelationID; one == "" || one != other || asked[one] {
			t.Errorf("%s: the commands have the correlation ids %q and %q", transport, one, other)
		}
		asked[origins[0].CorrelationID] = true
	}
	// Operations on one connection are requests of their own.
	p := s.connect(t, modernProtocol)
	for _, id := range []string{"1", "2"} {
		p.begin(id, request(topUp, topUpOf(nil)))
		p.expect(p.nextType(), id)
		p.expect("complete", id)
	}
	all := s.backend.origins()
	if one, other := all[len(all)-2].CorrelationID, all[len(all)-1].CorrelationID; one == other {
		t.Errorf("two operations have the correlation id %q", one)
	}
}

func TestGoodMovementsReachTheBackend(t *testing.T) {
	// Given the bases that the bad inputs differ from in one thing.
	s := start(t)
	for _, m := range movements {
		before := s.backend.executed.Load()
		if a := s.post(t, request(m.query(), m.with(nil))); a.code() != "" || s.backend.executed.Load() != before+1 {
			t.Errorf("%s: got %s", m.name, a.body)
		}
	}
}

func TestOneOfIsToldToExplorers(t *testing.T) {
	a := start(t).query(t, `{ __type(name: "BatchCommandInput") { isOneOf inputFields { name } } }`)
	if !strings.Contains(a.body, `"isOneOf":true`) || strings.Count(a.body, `"name"`) != 11 {
		t.Errorf("got %s", a.body)
	}
}
