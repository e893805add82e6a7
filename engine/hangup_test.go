package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"daybook/domain"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/internal/testenv"
)

// refusedAs is how many commands were counted as refused with a code.
func refusedAs(t *testing.T, from prometheus.Gatherer, code domain.Code) (count float64) {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "daybook_commands_refused_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == string(code) {
				count += m.GetCounter().GetValue()
			}
		}
	}
	return count
}

// An alarm is about outcomes that are not known because the log does not answer.
func TestACallerWhoHangsUpIsNotCountedAmongTheUnknownOutcomes(t *testing.T) {
	t.Parallel()
	h := newHeldLog()
	counts := prometheus.NewRegistry()
	n := startNode(t, testenv.Embedded(t), t.TempDir(), all, faulty(h.faultyLog), with(func(c *engine.Config) {
		c.Registerer, c.CommandTimeout, c.SettleGrace = counts, 3*time.Second, time.Millisecond
	}))
	t.Cleanup(h.release)
	n.create("alice")
	h.holding.Store(true)

	for name, ask := range map[string]func(ctx context.Context) error{
		"alone": func(ctx context.Context) error {
			_, err := n.engine.Execute(ctx, topUp("alice", "1.00", "alone"))
			return err
		},
		"together": func(ctx context.Context) error {
			return n.engine.ExecuteBatch(ctx, []ledger.Command{topUp("alice", "1.00", "together")}, false)[0].Err
		},
	} {
		ctx, hangUp := context.WithCancel(t.Context())
		told := make(chan error, 1)
		go func() { told <- ask(ctx) }()
		<-h.sent
		hangUp()
		if err := <-told; domain.CodeOf(err) != domain.OutcomeUnknown {
			t.Errorf("%s: told %v", name, err)
		}
		if got := refusedAs(t, counts, domain.OutcomeUnknown); got != 0 {
			t.Errorf("%s: %v outcomes are counted as unknown", name, got)
		}
	}

	if _, err := n.execute(topUp("alice", "1.00", "waits")); domain.CodeOf(err) != domain.OutcomeUnknown {
		t.Errorf("one who waits is told %v", err)
	}
	if got := refusedAs(t, counts, domain.OutcomeUnknown); got != 1 {
		t.Errorf("%v outcomes are counted as unknown, and one caller was told so", got)
	}
	h.release()
}
