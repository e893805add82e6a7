package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"daybook/graph"
)

func checker() *documents {
	return newDocuments(graph.NewExecutableSchema(graph.Config{}).Schema(), DefaultLimits())
}

func TestHostileDocumentsCostTheGuardLittle(t *testing.T) {
	for _, bad := range badDocuments() {
		t.Run(bad.name, func(t *testing.T) {
			d := checker()
			_, _ = d.get(bad.query)
			// Each token is looked at once at most when measured, and each expanded selection once when merged.
			bound := int64(DefaultLimits().Query.Tokens + DefaultLimits().Query.Selections)
			if n := d.visits.Load(); n > bound {
				t.Errorf("the guard looked at %d selections, want at most %d", n, bound)
			}
			allocated := testing.AllocsPerRun(1, func() { _, _ = d.get(bad.query) })
			if allocated > 10_000 {
				t.Errorf("refusing allocates %.0f times", allocated)
			}
		})
	}
}

func TestTheExamplesOfThePlaygroundPass(t *testing.T) {
	files, err := filepath.Glob("../console/examples/*.graphql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples found: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, errs := checker().get(string(text)); len(errs) != 0 {
			t.Errorf("%s: %v", file, errs)
		}
	}
}

func TestThePlaygroundsIntrospectionPasses(t *testing.T) {
	if _, errs := checker().get(introspection); len(errs) != 0 {
		t.Error(errs)
	}
}

// introspection is what explorers ask a server first: all there is to know, types nine deep.
var introspection = `query IntrospectionQuery { __schema { description queryType { name kind } mutationType { name kind } subscriptionType { name kind }
 types { ...FullType } directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } } } }
fragment FullType on __Type { kind name description specifiedByURL
 fields(includeDeprecated: true) { name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
 inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef }
 enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
fragment TypeRef on __Type { kind name ` + strings.Repeat("ofType { kind name ", 9) + strings.Repeat("}", 10)

func TestACheckedDocumentIsNotCheckedAgain(t *testing.T) {
	d := checker()
	first, _ := d.get(introspection)
	visits := d.visits.Load()
	again, _ := d.get(introspection)
	if first == nil || again != first || d.visits.Load() != visits {
		t.Error("the document was checked twice")
	}
}

func TestTheCacheKeepsWithinItsBounds(t *testing.T) {
	d := checker()
	d.limits.Cache = CacheLimits{Entries: 3, Bytes: 200, Document: 100}
	document := func(n int) string { return "{ __typename } #" + strings.Repeat("x", n) }

	for i := range 10 {
		_, _ = d.get(document(i))
	}
	if len(d.byText) != 3 || d.recent.Len() != 3 {
		t.Errorf("%d documents are kept, want 3", len(d.byText))
	}
	_, _ = d.get(document(80))
	_, _ = d.get(document(81))
	_, _ = d.get(document(82))
	if d.bytes > 200 || len(d.byText) != 2 {
		t.Errorf("%d documents of %d bytes are kept, want 2", len(d.byText), d.bytes)
	}
	if _, errs := d.get(document(200)); len(errs) != 0 {
		t.Error("a long document is refused")
	}
	if d.cached(document(200)) != nil {
		t.Error("a long document is kept")
	}
}

func TestCostsGrowWithPages(t *testing.T) {
	for query, want := range map[string]int{
		`{ account(id: "a") { id } }`:                                                             1 + 5 + 1,
		`{ account(id: "a") { balance } }`:                                                        1 + 5 + 1,
		`{ account(id: "a") { balance(at: "x") } }`:                                               1 + 5 + 6,
		`{ accounts(first: 7) { edges { cursor } } }`:                                             6 + 7*2,
		`{ accounts { edges { cursor } } }`:                                                       6 + 20*2,
		`{ accounts(first: 100) { edges { node { changes(first: 10) { edges { cursor } } } } } }`: 6 + 100*(2+6+10*2),
		`query($n: Int = 3) { accounts(first: $n) { edges { cursor } } }`:                         6 + 20*2,
		`{ transactions(first: 7, filter: {accountId: "a"}) { edges { cursor } } }`:               6 + 7*2,
		`{ transactions(first: 7, filter: {accountId: "a", type: null}) { edges { cursor } } }`:   6 + 7*2,
		`{ transactions(first: 7, filter: {type: REFUND}) { edges { cursor } } }`:                 6 + 500 + 7*2,
		// What the read model finds by an index costs no more.
		`{ transactions(first: 7, filter: {type: REFUND, correlationId: "c"}) { edges { cursor } } }`:  6 + 7*2,
		`{ transactions(first: 7, filter: {accountId: "a", status: PENDING}) { edges { cursor } } }`:   6 + 500 + 7*2,
		`{ transactions(first: 7, filter: {accountId: "a", status: COMPLETED}) { edges { cursor } } }`: 6 + 7*2,
		`{ transactions(first: 7, filter: {accountId: 7, status: FAILED}) { edges { cursor } } }`:      6 + 500 + 7*2,
		`{ transactions(first: 7, filter: {status: PENDING}) { edges { cursor } } }`:                   6 + 7*2,
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

func TestAFilterThatSearchesCostsAsMuchInAVariable(t *testing.T) {
	const first = `query($f: TransactionFilter) { transactions(first: 7, filter: $f) { edges { cursor } } }`
	for _, c := range []struct {
		query  string
		filter any
		want   int
	}{
		{first, map[string]any{"type": "REFUND"}, 6 + 500 + 7*2},
		{first, map[string]any{"status": "COMPLETED"}, 6 + 7*2},
		{first, map[string]any{"accountId": "a", "status": "FAILED"}, 6 + 500 + 7*2},
		{first, map[string]any{"accountId": "a", "status": "COMPLETED"}, 6 + 7*2},
		{first, nil, 6 + 7*2},
		{`query($f: TransactionType) { transactions(first: 7, filter: {type: $f}) { edges { cursor } } }`, "REFUND", 6 + 500 + 7*2},
		{`query($f: TransactionType) { transactions(first: 7, filter: {type: $f}) { edges { cursor } } }`, nil, 6 + 7*2},
		{`query($f: ID) { transactions(first: 7, filter: {accountId: $f, status: PENDING}) { edges { cursor } } }`, "a", 6 + 500 + 7*2},
		{`query($f: TransactionStatus) { transactions(first: 7, filter: {accountId: "a", status: $f}) { edges { cursor } } }`, "PENDING", 6 + 500 + 7*2},
	} {
		d, errs := checker().get(c.query)
		if len(errs) != 0 {
			t.Fatal(errs)
		}
		p := pricing{limits: DefaultLimits().Query, variables: map[string]any{"f": c.filter}}
		if got, _ := p.operation(d.doc.Operations[0]); got != c.want {
			t.Errorf("%s with %v costs %d, want %d", c.query, c.filter, got, c.want)
		}
	}
}
