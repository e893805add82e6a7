package test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"

	"daybook/internal/testenv"
)

// complaint is what an answer says went wrong.
type complaint struct {
	code, message string
	// field is the path of the input at fault, with dots; empty when no single field is.
	field string
	// top tells that it is a top-level error and not one of a payload's userErrors.
	top bool
}

// provocation is a way to get a code from the running program.
type provocation struct {
	name  string
	field string
	top   bool
	// says is a part of the message, the one that tells what to do where there is something to do.
	says string
	// provoke returns all that the program complains about; one of it must be what is wanted.
	provoke func(t *testing.T, p *provoker) []complaint
	// elsewhere is a test of another package, as file#name, for what cannot be provoked from outside.
	elsewhere string
}

// Every code that the schema lists comes about, with a message that says what to do and the path of the field at fault.
func TestEveryErrorCodeComesAbout(t *testing.T) {
	p := newProvoker(t)
	listed := p.codes()
	for code := range provocations {
		if !slices.Contains(listed, code) {
			t.Errorf("the schema does not list %s", code)
		}
	}
	for _, code := range listed {
		if len(provocations[code]) == 0 {
			t.Errorf("nothing provokes %s", code)
		}
		for _, v := range provocations[code] {
			t.Run(code+" "+v.name, func(t *testing.T) { v.mustComeAbout(t, p, code) })
		}
	}
}

func (v *provocation) mustComeAbout(t *testing.T, p *provoker, code string) {
	t.Parallel() // Some only wait.
	if v.elsewhere != "" {
		file, name, _ := strings.Cut(v.elsewhere, "#")
		source, err := os.ReadFile("../" + file)
		if err != nil || !strings.Contains(string(source), "\nfunc "+name+"(") || !strings.Contains(string(source), code) {
			t.Errorf("there is no test %s of it in %s: %v", name, file, err)
		}
		return
	}
	got := v.provoke(t, p)
	for _, c := range got {
		if c.code == code && c.field == v.field && c.top == v.top && strings.Contains(c.message, v.says) && v.says != "" {
			v.mustBeDocumented(t, code)
			return
		}
	}
	t.Errorf("want %s about %q with «%s», top-level %v; got %+v", code, v.field, v.says, v.top, got)
}

// mustBeDocumented looks the code up in the table of docs/errors.md: how it comes, and the field it is about.
func (v *provocation) mustBeDocumented(t *testing.T, code string) {
	t.Helper()
	text, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	way := map[bool]string{true: "top level", false: "userErrors"}[v.top]
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, " | ")
		if len(cells) != 5 || cells[0] != "| `"+code+"`" {
			continue
		}
		field := strings.TrimPrefix(v.field, "input.")
		if strings.HasPrefix(field, "commands.") { // Paths in a batch begin with the place and kind of the command.
			field = strings.Join(strings.Split(field, ".")[3:], ".")
		}
		if !strings.Contains(cells[1], way) || field != "" && !strings.Contains(cells[4], "`"+field+"`") && !strings.Contains(cells[4], "the one at fault") {
			t.Errorf("it came as %s about %q; docs/errors.md says %s", way, field, line)
		}
		return
	}
	t.Errorf("docs/errors.md does not list %s", code)
}

// provoker is a node with accounts in all states, whose log is embedded.
type provoker struct {
	node *node
	api  *api
	// payment was received by bob, held is a hold of alice's of 1.00, and topped a top-up.
	payment, held, topped string
	// neighbour lives in alice's partition, stranger in another.
	neighbour, stranger string
	outage              outage
}

func newProvoker(t *testing.T) *provoker {
	p := &provoker{node: startNode(t, embeddedBackend())}
	p.api = newAPI(p.node.url)
	p.neighbour = accountIn(partitionOf("alice"), "neighbour-")
	p.stranger = accountIn((partitionOf("alice")+1)%defaultPartitions, "stranger-")
	for id, most := range map[string]string{"alice": "", "bob": "", "full": "10.00", "suspended": "", "closed": "", p.neighbour: "", p.stranger: ""} {
		mustDo(t)(p.api.createLimited(id, most))
	}
	for _, id := range []string{"alice", "full", "suspended"} {
		p.topped = mustDo(t)(p.api.topUp(id, "10.00", "paid")).Transaction.ID
	}
	for id, status := range map[string]string{"suspended": "SUSPENDED", "closed": "CLOSED"} {
		mustDo(t)(p.api.mutate(statusMutation, map[string]any{"accountId": id, "status": status, "reason": "a test", "idempotencyKey": "s"}))
	}
	paid := mustDo(t)(p.api.mutate(payMutation, fromAlice("2.00", "payment")))
	p.payment = paid.Transaction.ID
	testenv.Eventually(t, func() error { return p.shows(p.payment, "COMPLETED") })
	p.held = mustDo(t)(p.api.mutate(holdMutation, inHold("1.00", "held", time.Hour))).Hold.ID
	return p
}

func mustDo(t *testing.T) func(p payload, err error) payload {
	return func(p payload, err error) payload {
		t.Helper()
		if err != nil || len(p.UserErrors) > 0 {
			t.Fatalf("%+v, %v", p.UserErrors, err)
		}
		return p
	}
}

// shows tells whether the read model has the transaction in a status.
func (p *provoker) shows(id, status string) error {
	var data struct{ Transaction *transactionAnswer }
	err := p.api.query(`query($id: ID!) { transaction(id: $id) { id status } }`, map[string]any{"id": id}, &data)
	if err != nil || data.Transaction == nil || data.Transaction.Status != status {
		return fmt.Errorf("%s is %+v (%v), want %s", id, data.Transaction, err, status)
	}
	return nil
}

func (p *provoker) showsHold(id, status string) error {
	var data struct{ Hold *holdAnswer }
	err := p.api.query(`query($id: ID!) { hold(id: $id) { id status } }`, map[string]any{"id": id}, &data)
	if err != nil || data.Hold == nil || data.Hold.Status != status {
		return fmt.Errorf("%s is %+v (%v), want %s", id, data.Hold, err, status)
	}
	return nil
}

// codes are those that the schema lists.
func (p *provoker) codes() []string {
	var data struct {
		Type struct{ EnumValues []struct{ Name string } } `json:"__type"`
	}
	if err := p.api.query(`{ __type(name: "ErrorCode") { enumValues { name } } }`, nil, &data); err != nil || len(data.Type.EnumValues) == 0 {
		p.node.t.Fatalf("asking for the codes: %+v, %v", data, err)
	}
	var all []string
	for _, v := range data.Type.EnumValues {
		all = append(all, v.Name)
	}
	return all
}

// complaints reads an answer.
func complaints(t *testing.T, a *api, document string, variables map[string]any) []complaint {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := ask(ctx, strings.TrimSuffix(a.url, "graphql"), overPost, document, variables)
	if err != nil {
		t.Fatal(err)
	}
	return r.complaints()
}

func (r *result) complaints() []complaint {
	var all []complaint
	for _, e := range r.Errors {
		all = append(all, complaint{e.Extensions.Code, e.Message, strings.Join(e.Extensions.Field, "."), true})
	}
	var data map[string]struct {
		UserErrors []userError
		Results    []struct{ UserErrors []userError }
	}
	_ = json.Unmarshal(r.Data, &data) // An answer of another shape has no userErrors.
	add := func(errors []userError) {
		for _, e := range errors {
			all = append(all, complaint{e.Code, e.Message, strings.Join(e.Field, "."), false})
		}
	}
	for _, p := range data {
		add(p.UserErrors)
		for _, result := range p.Results {
			add(result.UserErrors)
		}
	}
	return all
}

// withoutDatabase asks a node whose database takes no connections.
func withoutDatabase(t *testing.T, _ *provoker) []complaint {
	b := embeddedBackend()
	b.database = testenv.Postgres(t)
	n := startNode(t, b)
	a := newAPI(n.url)
	mustDo(t)(a.create("alice"))
	admin, err := pgx.Connect(t.Context(), os.Getenv(testenv.PostgresVariable))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background()) //nolint:errcheck // Nothing is left undone.
	config, err := pgx.ParseConfig(b.database)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"ALTER DATABASE " + config.Database + " ALLOW_CONNECTIONS false",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + config.Database + "'",
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return complaints(t, a, accountQuery, map[string]any{"id": "alice"})
}

// oneTooMany begins as many subscriptions on one connection as it takes, and one more.
func oneTooMany(t *testing.T, p *provoker) []complaint {
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(p.api.url, "http", "ws", 1), map[string][]string{
		"Sec-WebSocket-Protocol": {overModern},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // The subscriptions end with it.
	send := func(v any) {
		if err := conn.WriteJSON(v); err != nil {
			t.Fatal(err)
		}
	}
	send(map[string]any{"type": "connection_init"})
	const most = 100
	for i := range most + 1 {
		send(map[string]any{"id": fmt.Sprint(i), "type": "subscribe", "payload": map[string]any{
			"query": watchDocument, "variables": map[string]any{"id": "alice"},
		}})
	}
	for {
		var m struct {
			Type    string
			Payload json.RawMessage
		}
		if err := conn.ReadJSON(&m); err != nil {
			t.Fatal(err)
		}
		if m.Type == "error" {
			r := &result{}
			if err := json.Unmarshal(m.Payload, &r.Errors); err != nil {
				t.Fatal(err)
			}
			return r.complaints()
		}
	}
}
