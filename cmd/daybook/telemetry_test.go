package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"daybook/eventstore"
	"daybook/internal/testenv"
)

const patience = 20 * time.Second

// onNode runs an embedded node while use works with it.
func onNode(t *testing.T, prepare func(m *Main), use func(m *Main)) {
	t.Helper()
	cfg := config{Listen: "127.0.0.1:0", DataDir: filepath.Join(t.TempDir(), "node"), SessionTimeout: 10 * time.Second}
	m := NewMain(cfg, slog.New(slog.DiscardHandler))
	prepare(m)
	if err := runNode(t.Context(), m, func(m *Main) error { use(m); return nil }); err != nil {
		t.Fatal(err)
	}
}

// post sends an operation with the headers, given in pairs.
func post(t *testing.T, m *Main, query string, headers ...string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.URL()+"graphql", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was read.
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func open(id string) string {
	return fmt.Sprintf(`mutation { createAccount(input: {id: %q, ownerId: "o", currency: "EUR", type: USER, idempotencyKey: "c"}) { userErrors { code } } }`, id)
}

func topUp(id, key string) string {
	return fmt.Sprintf(`mutation { topUp(input: {accountId: %q, amount: "10.00", currency: "EUR", idempotencyKey: %q}) { userErrors { code } } }`, id, key)
}

func pay(from, to, amount string) string {
	return fmt.Sprintf(`mutation { pay(input: {fromAccountId: %q, toAccountId: %q, amount: %q, currency: "EUR", idempotencyKey: "p"}) { transaction { status } userErrors { code } } }`, from, to, amount)
}

// subscribe follows an account's changes, which it returns one by one, until the test ends.
func subscribe(t *testing.T, m *Main, id string, after int) (next func() int) {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}}
	conn, res, err := dialer.Dial("ws"+strings.TrimPrefix(m.URL(), "http")+"graphql", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	say := func(message any) {
		if err := conn.WriteJSON(message); err != nil {
			t.Fatal(err)
		}
	}
	say(map[string]string{"type": "connection_init"})
	query := fmt.Sprintf(`subscription { balanceChanged(accountId: %q, afterVersion: %d) { version } }`, id, after)
	say(map[string]any{"type": "subscribe", "id": "1", "payload": map[string]string{"query": query}})
	return func() int {
		for {
			var message struct {
				Type    string
				Payload struct {
					Data struct{ BalanceChanged struct{ Version int } }
				}
			}
			if err := conn.ReadJSON(&message); err != nil {
				t.Fatal(err)
			}
			if message.Type == "next" {
				return message.Payload.Data.BalanceChanged.Version
			}
		}
	}
}

// apart are two accounts of different partitions.
func apart(partitions int32) (from, to string) {
	from = "alice"
	for i := 0; ; i++ {
		if to = fmt.Sprint("bob-", i); eventstore.PartitionOf(to, partitions) != eventstore.PartitionOf(from, partitions) {
			return from, to
		}
	}
}

// traffic is a little of everything that is counted; it returns the accounts' ids.
func traffic(t *testing.T, m *Main) []string {
	t.Helper()
	from, to := apart(m.partitions)
	for _, query := range []string{open(from), open(to), topUp(from, "1")} {
		if answer := post(t, m, query); strings.Contains(answer, "code") {
			t.Fatal(answer)
		}
	}
	next := subscribe(t, m, from, 1)
	if v := next(); v != 2 {
		t.Fatalf("the first change has version %d", v)
	}
	if answer := post(t, m, pay(from, to, "1.00")); !strings.Contains(answer, "COMPLETED") {
		t.Fatal(answer)
	}
	if v := next(); v != 3 {
		t.Fatalf("the second change has version %d", v)
	}
	for query, code := range map[string]string{
		pay(to, from, "1000.00"): "INSUFFICIENT_BALANCE", topUp("nobody", "1"): "ACCOUNT_NOT_FOUND", `{ nothing }`: "BAD_USER_INPUT",
		`{ account(id: "alice", atLeastVersion: 3) { version } }`: "",
	} {
		if answer := post(t, m, query); !strings.Contains(answer, code) {
			t.Fatal(answer)
		}
	}
	testenv.Eventually(t, func() error {
		for _, s := range m.projector.Status() {
			if end, err := m.cluster.client.EndOffset(s.Topic, s.Partition); err != nil || s.Position < end {
				return fmt.Errorf("%s/%d is projected to %d of %d, %w", s.Topic, s.Partition, s.Position, end, err)
			}
		}
		return nil
	})
	return []string{from, to, "nobody"}
}

func scrape(t *testing.T, m *Main) map[string]*dto.MetricFamily {
	t.Helper()
	res, err := http.Get(m.URL() + "metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // It was read.
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// count is how often what the labels name, in any order, was counted or observed.
func count(families map[string]*dto.MetricFamily, name string, labels ...string) (total float64) {
	for _, m := range families[name].GetMetric() {
		values := map[string]bool{}
		for _, l := range m.GetLabel() {
			values[l.GetValue()] = true
		}
		if slices.ContainsFunc(labels, func(l string) bool { return !values[l] }) {
			continue
		}
		total += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return total
}

func TestAScrapeShowsWhereCommandsSpendTheirTime(t *testing.T) {
	onNode(t, func(*Main) {}, func(m *Main) {
		ids := traffic(t, m)
		families := scrape(t, m)
		for _, c := range []struct {
			least float64
			name  string
			label []string
		}{
			{2, "daybook_command_seconds", []string{"createAccount"}},
			{2, "daybook_command_seconds", []string{"topUp"}},
			{2, "daybook_command_seconds", []string{"pay"}},
			{6, "daybook_command_stage_seconds", []string{"queue"}},
			{6, "daybook_command_stage_seconds", []string{"decide"}},
			{4, "daybook_command_stage_seconds", []string{"write"}},
			{6, "daybook_command_stage_seconds", []string{"answer"}},
			{1, "daybook_commands_refused_total", []string{"INSUFFICIENT_BALANCE"}},
			{1, "daybook_commands_refused_total", []string{"ACCOUNT_NOT_FOUND"}},
			{6, "daybook_batch_commands", nil},
			{4, "daybook_batch_bytes", nil},
			{3, "daybook_takeovers_total", nil},
			{3, "daybook_takeover_seconds", nil},
			{3, "daybook_partition_owned", nil},
			{5, "daybook_projection_events_total", []string{eventstore.AccountEvents}},
			{4, "daybook_projection_events_total", []string{eventstore.TransactionEvents}},
			{1, "daybook_projection_seconds", []string{eventstore.AccountEvents}},
			{5, "daybook_projection_offset", []string{eventstore.AccountEvents}},
			{2, "daybook_pushes_total", nil},
			{1, "daybook_pushes_total", []string{"live"}},
			{1, "daybook_push_seconds", nil},
			{1, "daybook_subscriptions", nil},
			{1, "daybook_streams_open", nil},
			{5, "daybook_operation_seconds", []string{"mutation"}},
			{1, "daybook_operation_seconds", []string{"query"}},
			{1, "daybook_operation_errors_total", []string{"BAD_USER_INPUT"}},
			{1 << 20, "daybook_disk_free_bytes", nil},
			{100, "daybook_log_bytes", nil},
			{1, "go_goroutines", nil},
			{1, "process_open_fds", nil},
		} {
			if got := count(families, c.name, c.label...); got < c.least {
				t.Errorf("%s %v: %v, want at least %v", c.name, c.label, got, c.least)
			}
		}
		for _, name := range []string{"daybook_partition_lag_offsets", "daybook_projection_lag_offsets"} {
			if got := count(families, name); got != 0 {
				t.Errorf("%s is %v when nothing happens", name, got)
			}
		}
		mustBeBounded(t, families, ids)
	})
}

// mustBeBounded looks for labels that grow with what clients do.
func mustBeBounded(t *testing.T, families map[string]*dto.MetricFamily, ids []string) {
	t.Helper()
	labels := map[string]bool{
		"command": true, "stage": true, "code": true, "partition": true, "topic": true, "operation": true, "source": true,
		"reason": true, "version": true,
	}
	for name, f := range families {
		if !strings.HasPrefix(name, "daybook_") {
			continue
		}
		if n := len(f.GetMetric()); n > 40 {
			t.Errorf("%s has %d series", name, n)
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !labels[l.GetName()] || slices.Contains(ids, l.GetValue()) {
					t.Errorf("%s has the label %s=%q", name, l.GetName(), l.GetValue())
				}
			}
		}
	}
}

// metricName finds metrics in a document; what is made of a histogram counts as it.
var metricName = regexp.MustCompile(`\bdaybook_[a-z_]+\b`)

func metricsIn(t *testing.T, path string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, name := range metricName.FindAllString(string(text), -1) {
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, part)
		}
		names[name] = true
	}
	return names
}

func TestTheDocumentsNameTheMetricsThereAre(t *testing.T) {
	onNode(t, func(*Main) {}, func(m *Main) {
		traffic(t, m)
		families := scrape(t, m)
		documented := metricsIn(t, "../../docs/operations.md")
		for _, names := range []map[string]bool{documented, metricsIn(t, "../../docs/alerts.yml")} {
			for name := range names {
				if families[name] == nil {
					t.Errorf("%s is named in the documents and is none", name)
				}
			}
			if len(names) < 10 {
				t.Errorf("only %d metrics are named", len(names))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(families)) {
			if strings.HasPrefix(name, "daybook_") && !documented[name] {
				t.Errorf("%s is not in docs/operations.md: %s", name, families[name].GetHelp())
			}
		}
	})
}

func TestEachAlarmIsExplained(t *testing.T) {
	rules, err := os.ReadFile("../../docs/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	alarms := func(text []byte, pattern string) (names []string) {
		for _, found := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
			names = append(names, string(found[1]))
		}
		slices.Sort(names)
		return names
	}
	shipped, explained := alarms(rules, `(?m)^ +- alert: (\w+)$`), alarms(page, "(?m)^\\| `(Daybook\\w+)`")
	if len(shipped) == 0 || !slices.Equal(shipped, explained) {
		t.Errorf("alerts.yml has %v, operations.md explains %v", shipped, explained)
	}
}

func TestAMutationIsOneTrace(t *testing.T) {
	const traceID, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	onNode(t, func(m *Main) { m.tracing.tracer = provider.Tracer("daybook") }, func(m *Main) {
		from, to := apart(m.partitions)
		for _, query := range []string{open(from), open(to), topUp(from, "1")} {
			post(t, m, query)
		}
		next := subscribe(t, m, from, 2)
		exporter.Reset()
		post(t, m, pay(from, to, "1.00"), "traceparent", "00-"+traceID+"-"+caller+"-01")
		next()

		var mine map[string]tracetest.SpanStub
		testenv.Eventually(t, func() error {
			mine = map[string]tracetest.SpanStub{}
			for _, s := range exporter.GetSpans() {
				if s.SpanContext.TraceID().String() == traceID {
					mine[s.Name] = s
				}
			}
			for _, name := range []string{"graphql mutation", "pay", "queue", "decide", "write", "answer", "coordinate", "project", "push"} {
				if _, ok := mine[name]; !ok {
					return fmt.Errorf("no span %s among %v", name, slices.Collect(maps.Keys(mine)))
				}
			}
			return nil
		})
		if parent := mine["graphql mutation"].Parent; parent.SpanID().String() != caller || !parent.IsRemote() {
			t.Errorf("the operation's parent is %s, not the caller's", parent.SpanID())
		}
		if mine["pay"].Parent.SpanID() != mine["graphql mutation"].SpanContext.SpanID() {
			t.Error("the command is not a part of the operation")
		}
		for _, name := range []string{"queue", "decide", "write", "answer", "coordinate", "project", "push"} {
			s := mine[name]
			if s.Parent.SpanID() != mine["pay"].SpanContext.SpanID() {
				t.Errorf("%s is not a part of the command", name)
			}
			if s.EndTime.Before(s.StartTime) {
				t.Errorf("%s ends before it begins", name)
			}
		}
	})
}

func TestWithoutAnEndpointNothingIsTraced(t *testing.T) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		t.Setenv(name, "")
	}
	log := slog.New(slog.DiscardHandler)
	if got, err := openTracing(t.Context(), "node", log); err != nil || got.tracer != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	if _, err := openTracing(t.Context(), "node", log); err == nil || !strings.Contains(err.Error(), "http/protobuf only") {
		t.Errorf("another protocol is answered %v", err)
	}
}

func TestTracesAreSentWhereTheVariablesSay(t *testing.T) {
	came := make(chan string, 16)
	var collector http.Server
	listener := mustListen(t)
	collector.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case came <- r.URL.Path:
		default:
		}
	})
	ended := make(chan error, 1)
	go func() { ended <- collector.Serve(listener) }()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "")
	onNode(t, func(*Main) {}, func(m *Main) { post(t, m, open("alice")) })
	select {
	case path := <-came:
		if path != "/v1/traces" {
			t.Errorf("traces are sent to %s", path)
		}
	default:
		t.Error("nothing was sent by the time the node has ended")
	}
	_ = collector.Close()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

func mustListen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
