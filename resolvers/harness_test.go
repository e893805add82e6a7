package resolvers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"go.uber.org/goleak"

	"daybook/engine"
	"daybook/engine/store"
	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/graph"
	"daybook/internal/ids"
	"daybook/internal/testenv"
	"daybook/projector"
	"daybook/projector/live"
	"daybook/resolvers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// api is the resolvers behind gqlgen's transports.
type api struct {
	t   *testing.T
	url string
}

func serve(t *testing.T, r *resolvers.Resolver) *api {
	t.Helper()
	s := handler.New(graph.NewExecutableSchema(graph.Config{Resolvers: r}))
	s.SetErrorPresenter(r.PresentError)
	s.SetRecoverFunc(func(ctx context.Context, cause any) error { return r.Recover(ctx, cause) })
	s.AroundOperations(resolvers.StreamErrors)
	s.AddTransport(transport.Websocket{})
	s.AddTransport(transport.SSE{})
	s.AddTransport(transport.POST{})
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return &api{t: t, url: web.URL}
}

// startNode runs the real parts in one process: an embedded broker, the engine, a read model on SQLite, the feed.
func startNode(t *testing.T) *api {
	t.Helper()
	client, err := kafka.Open(kafka.Config{Brokers: testenv.Embedded(t), ClientID: "test", Logger: testenv.Logger()})
	must(t, err)
	parts, err := client.EnsureTopics(kafka.TopicsConfig{})
	must(t, err)
	state, err := store.Open(filepath.Join(t.TempDir(), "state"), testenv.Logger())
	must(t, err)
	reads, err := projector.Open(t.Context(), projector.Config{
		URL: testenv.SQLite(t), LogID: "test", Clock: time.Now, Logger: testenv.Logger(),
	})
	must(t, err)
	var feed *live.Feed
	e := engine.New(engine.Config{
		Partitions: parts, Clock: time.Now, NewID: ids.New, Logger: testenv.Logger(),
		Publish: func(p int32, events []eventstore.Recorded) { feed.Publish(p, events) },
	}, client, state)
	feed = live.New(live.Config{Log: client, Partitions: parts, Accounts: e, History: reads, Logger: testenv.Logger(), Clock: time.Now})
	p := projector.NewProjector(projector.ProjectorConfig{Log: client, Model: reads, Partitions: parts, Logger: testenv.Logger()})
	var all []int32
	for i := range parts {
		all = append(all, i)
	}
	e.Assign(all)
	p.Assign(all)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{e.Run, p.Run, feed.Run} {
		wg.Go(func() { must(t, run(ctx)) })
	}
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		must(t, errors.Join(reads.Close(), state.Close(), client.Close()))
	})
	testenv.Eventually(t, e.Ready)
	return serve(t, &resolvers.Resolver{
		Commands: e, Reads: reads, Live: feed, Now: time.Now, NewID: ids.New, Logger: testenv.Logger(),
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// answer is what a client gets.
type answer struct {
	Data   map[string]any
	Errors []struct {
		Message    string
		Path       []any
		Extensions struct {
			Code  string
			Field []string
		}
	}
}

func (a answer) code() string {
	if len(a.Errors) == 0 {
		return ""
	}
	return a.Errors[0].Extensions.Code
}

// at finds a value in the data by its path, such as account.changes.edges.0.node.
func (a answer) at(path string) any {
	var v any = a.Data
	for _, step := range strings.Split(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(at) {
				return nil
			}
			v = at[i]
		default:
			return nil
		}
	}
	return v
}

// headers are pairs of name and value.
func (a *api) request(ctx context.Context, query string, variables map[string]any, accept string, headers ...string) *http.Response {
	a.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	must(a.t, err)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(body))
	must(a.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return res
}

func (a *api) ask(query string) answer {
	a.t.Helper()
	return a.askWith(query, nil)
}

func (a *api) askWith(query string, variables map[string]any, headers ...string) answer {
	a.t.Helper()
	res := a.request(a.t.Context(), query, variables, "application/json", headers...)
	defer res.Body.Close() //nolint:errcheck // It was read.
	text, err := io.ReadAll(res.Body)
	must(a.t, err)
	var out answer
	if err := json.Unmarshal(text, &out); err != nil {
		a.t.Fatalf("%s: %v", text, err)
	}
	return out
}

// get asks for what must succeed.
func (a *api) get(query string) answer {
	a.t.Helper()
	out := a.ask(query)
	if len(out.Errors) > 0 {
		a.t.Fatalf("%s: %+v", query, out.Errors)
	}
	return out
}

// expect compares values found by their paths.
func expect(t *testing.T, a answer, want map[string]any) {
	t.Helper()
	for path, value := range want {
		if got := a.at(path); fmt.Sprint(got) != fmt.Sprint(value) {
			t.Errorf("%s is %v, want %v", path, got, value)
		}
	}
}

func (a *api) create(id, currency string) {
	a.t.Helper()
	expect(a.t, a.get(fmt.Sprintf(`mutation { createAccount(input: {id: %q, ownerId: "owner-%s", currency: %s, idempotencyKey: "create"}) { account { id } userErrors { code } } }`,
		id, id, quote(currency))), map[string]any{"createAccount.account.id": id})
}

func (a *api) topUp(id, amount, key, selection string) answer {
	a.t.Helper()
	out := a.get(fmt.Sprintf(`mutation { topUp(input: {accountId: %q, amount: %q, currency: "EUR", reason: "test", idempotencyKey: %q}) { transaction { id } account { %s } userErrors { code } } }`,
		id, amount, key, selection))
	expect(a.t, out, map[string]any{"topUp.userErrors": "[]"})
	return out
}

func quote(s string) string { return fmt.Sprintf("%q", s) }
