package test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/twmb/franz-go/pkg/kgo"

	"daybook/internal/audit"
	"daybook/internal/ids"
)

// The checkers of this package are trusted because they find what is planted here. Those of the log are tested beside
// package audit, those of the read model beside projector.Verify.

func push(w *watcher, version int64, before, after string) error {
	raw, err := json.Marshal(map[string]any{"balanceChanged": change{
		AccountID: "alice", Version: version, PreviousBalance: before, NewBalance: after,
	}})
	if err != nil {
		return err
	}
	return w.take(&result{Data: raw})
}

func TestAWatcherFindsPlantedFaults(t *testing.T) {
	sound := func() *watcher {
		w := &watcher{account: "alice"}
		for _, err := range []error{push(w, 2, "0.00", "1.00"), push(w, 4, "1.00", "3.00")} {
			if err != nil {
				t.Fatalf("a sound chain was refused: %v", err)
			}
		}
		return w
	}
	if err := push(sound(), 4, "1.00", "3.00"); err == nil {
		t.Error("a repeated change was not noticed")
	}
	if err := push(sound(), 2, "0.00", "1.00"); err == nil {
		t.Error("an old change after a new one was not noticed")
	}
	if err := push(sound(), 6, "4.00", "5.00"); err == nil {
		t.Error("a missing change was not noticed")
	}
	w := sound()
	w.account = "bob"
	if err := push(w, 5, "3.00", "4.00"); err == nil {
		t.Error("another account's change was not noticed")
	}
}

func TestTheEndOfAWatchFindsPlantedFaults(t *testing.T) {
	want := &audit.Account{ID: "alice", Version: 3, Changes: 2, Balance: decimal.RequireFromString("3.00")}
	seen := []change{{Version: 2, NewBalance: "1.00"}, {Version: 3, PreviousBalance: "1.00", NewBalance: "3.00"}}
	if err := reaches(seen, want); err != nil {
		t.Errorf("a whole chain was refused: %v", err)
	}
	if reaches(seen[:1], want) == nil {
		t.Error("a missing last change was not noticed")
	}
	if reaches(seen[1:], want) == nil {
		t.Error("a missing first change was not noticed")
	}
	if reaches(nil, want) == nil {
		t.Error("a silent subscription was not noticed")
	}
}

func TestAnswersThatTheLogDoesNotBearOutAreFound(t *testing.T) {
	key := func(n int) audit.Key { return audit.Key{AccountID: "alice", Key: fmt.Sprint(n)} }
	report := &audit.Report{Keys: map[audit.Key]audit.Effect{
		key(1): {Version: 2, Balance: decimal.RequireFromString("1.00"), TransactionID: "a"},
		key(2): {Version: 3, Balance: decimal.RequireFromString("2.00"), TransactionID: "b"},
	}}
	acknowledged := func(version int64, balance, tx string) payload {
		return payload{Account: &accountAnswer{Version: version, Balance: balance}, Transaction: &transactionAnswer{ID: tx}}
	}
	right := []*operation{
		{key: "1", account: "alice", settled: true, answer: acknowledged(2, "1.00", "a")},
		{key: "2", account: "alice", settled: true, answer: acknowledged(3, "2.00", "b")},
	}
	for name, c := range map[string]struct {
		change func() []*operation
		sound  bool
	}{
		"nothing planted":    {func() []*operation { return right }, true},
		"an unknown outcome": {func() []*operation { return []*operation{right[0], {key: "2", account: "alice"}} }, true},
		"nobody asked":       {func() []*operation { return right[:1] }, false},
		"acknowledged, not done": {func() []*operation {
			return append(right[:2:2], &operation{key: "3", account: "alice", settled: true, answer: acknowledged(4, "3.00", "c")})
		}, false},
		"refused, done": {func() []*operation {
			return []*operation{right[0], {key: "2", account: "alice", settled: true, answer: payload{UserErrors: []userError{{Code: "INSUFFICIENT_BALANCE"}}}}}
		}, false},
		"another balance": {func() []*operation {
			return []*operation{right[0], {key: "2", account: "alice", settled: true, answer: acknowledged(3, "2.01", "b")}}
		}, false},
		"another version": {func() []*operation {
			return []*operation{right[0], {key: "2", account: "alice", settled: true, answer: acknowledged(4, "2.00", "b")}}
		}, false},
	} {
		l := &load{t: t, operations: c.change()}
		if problems := report.Compare(l.answers()); (len(problems) == 0) != c.sound {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestStatusesThatTheLogDoesNotBearOutAreFound(t *testing.T) {
	leg := &audit.Leg{}
	report := &audit.Report{Transactions: map[string]*audit.Transaction{
		"arrived": {ID: "arrived", Debit: leg, Credit: leg},
		"back":    {ID: "back", Debit: leg, Refusal: leg, Reversal: leg},
	}}
	for _, c := range []struct {
		transaction, status, failure string
		sound                        bool
	}{
		{"arrived", "COMPLETED", "", true},
		{"arrived", "PENDING", "", true},
		{"arrived", "COMPENSATED", "BALANCE_LIMIT_EXCEEDED", false},
		{"back", "COMPENSATED", "BALANCE_LIMIT_EXCEEDED", true},
		{"back", "FAILED", "BALANCE_LIMIT_EXCEEDED", true},
		{"back", "PENDING", "", true},
		{"back", "COMPLETED", "", false},
		{"back", "COMPENSATED", "", false},
		{"lost", "COMPLETED", "", false},
	} {
		answer := payload{Transaction: &transactionAnswer{ID: c.transaction, Status: c.status, FailureCode: c.failure}}
		l := &load{t: t, operations: []*operation{{key: "1", settled: true, answer: answer}}}
		if wrong := l.wrongStatuses(report); (len(wrong) == 0) != c.sound {
			t.Errorf("%+v: %v", c, wrong)
		}
	}
}

// A writer that was let in though another had taken over leaves an event that rests on the state of before.
func TestAStaleWriterLetInIsFound(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		n := startNode(t, b)
		a := newAPI(n.url)
		p, err := a.create("alice")
		if err == nil {
			p, err = a.topUp("alice", "10.00", "paid")
		}
		if err != nil || len(p.UserErrors) > 0 {
			t.Fatalf("preparing alice: %+v, %v", p, err)
		}
		auditAtRest(t, n)

		writeStale(t, n.brokers(), "alice", 2)

		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		report, err := audit.Log(ctx, n.brokers())
		if err != nil {
			t.Fatal(err)
		}
		found := strings.Join(report.Problems, "\n")
		for _, part := range []string{"version 2 of alice", "follows on version 2", "begins at 0, the balance was 10"} {
			if !strings.Contains(found, part) {
				t.Errorf("the audit did not find %q, but:\n%s", part, found)
			}
		}
	})
}

// writeStale appends to the log what a writer would that decided another command on the same state as the event of the
// given version, and knows nothing of that event.
func writeStale(t *testing.T, brokers []string, account string, version int) {
	t.Helper()
	const topic = "billing.account.events"
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var model *kgo.Record
	for model == nil && ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if string(r.Key) == account && strings.Contains(string(r.Value), fmt.Sprintf(`"aggregateVersion":%d,`, version)) {
				model = r
			}
		})
	}
	var event map[string]any
	if model == nil || json.Unmarshal(model.Value, &event) != nil {
		t.Fatalf("version %d of %s is not in the log", version, account)
	}
	event["eventId"] = ids.New()
	event["data"].(map[string]any)["transactionId"] = ids.New()
	stale := &kgo.Record{Topic: topic, Key: model.Key, Timestamp: model.Timestamp}
	if stale.Value, err = json.Marshal(event); err != nil {
		t.Fatal(err)
	}
	for _, h := range model.Headers {
		if h.Key == "idempotencyKey" {
			h.Value = []byte("stale")
		}
		stale.Headers = append(stale.Headers, h)
	}
	if err := client.ProduceSync(ctx, stale).FirstErr(); err != nil {
		t.Fatal(err)
	}
}
