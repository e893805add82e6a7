package test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refusedWithin is what the best of refusalTries must keep. One try says nothing on a busy machine.
const (
	refusedWithin = 50 * time.Millisecond
	refusalTries  = 3
)

// refusal is a request and the code it must get.
type refusal struct {
	name, code string
	query      string
	variables  map[string]any
}

// with is an input with changes.
func with(base, changes map[string]any) map[string]any {
	input := maps.Clone(base)
	maps.Copy(input, changes)
	return map[string]any{"input": input}
}

// refusals are for a log with alice (10.00 EUR at version 2, by the key "paid"), bob, and full, which holds its limit.
func refusals() []refusal {
	topUp := map[string]any{"accountId": "alice", "amount": "1.00", "currency": "EUR", "idempotencyKey": "refused"}
	transfer := map[string]any{"fromAccountId": "alice", "toAccountId": "bob", "amount": "1.00", "currency": "EUR", "idempotencyKey": "refused"}
	create := map[string]any{"id": "alice", "ownerId": "somebody", "currency": "EUR", "idempotencyKey": "refused"}
	var all []refusal
	add := func(name, code, query string, variables map[string]any) {
		all = append(all, refusal{name, code, query, variables})
	}
	toppingUp := func(name, code string, changes map[string]any) {
		add("top-up: "+name, code, topUpMutation, with(topUp, changes))
	}
	transferring := func(name, code string, changes map[string]any) {
		add("transfer: "+name, code, transferMutation, with(transfer, changes))
	}
	toppingUp("unknown account", "ACCOUNT_NOT_FOUND", map[string]any{"accountId": "nobody"})
	toppingUp("reused key, another amount", "IDEMPOTENCY_CONFLICT", map[string]any{"idempotencyKey": "paid"})
	toppingUp("wrong expected version", "VERSION_CONFLICT", map[string]any{"expectedVersion": 7})
	toppingUp("wrong currency", "CURRENCY_MISMATCH", map[string]any{"currency": "USD"})
	toppingUp("too much for the limit", "BALANCE_LIMIT_EXCEEDED", map[string]any{"accountId": "full"})
	toppingUp("malformed amount", "INVALID_AMOUNT", map[string]any{"amount": "1e2"})
	toppingUp("negative amount", "INVALID_AMOUNT", map[string]any{"amount": "-1.00"})
	toppingUp("amount of another scale", "INVALID_AMOUNT", map[string]any{"amount": "1.001"})
	toppingUp("amount of 100,000 digits", "INVALID_AMOUNT", map[string]any{"amount": strings.Repeat("9", 100_000)})
	toppingUp("currency in lower case", "BAD_USER_INPUT", map[string]any{"currency": "eur"})
	toppingUp("malformed id", "BAD_USER_INPUT", map[string]any{"accountId": "a/b"})
	transferring("unknown source", "ACCOUNT_NOT_FOUND", map[string]any{"fromAccountId": "nobody"})
	transferring("unknown destination", "ACCOUNT_NOT_FOUND", map[string]any{"toAccountId": "nobody"})
	transferring("same account", "SAME_ACCOUNT", map[string]any{"toAccountId": "alice"})
	transferring("too little money", "INSUFFICIENT_BALANCE", map[string]any{"amount": "10.01"})
	transferring("reused key of a top-up", "IDEMPOTENCY_CONFLICT", map[string]any{"idempotencyKey": "paid"})
	transferring("wrong expected version", "VERSION_CONFLICT", map[string]any{"expectedVersion": 1})
	transferring("malformed amount", "INVALID_AMOUNT", map[string]any{"amount": "1,00"})
	add("account that exists", "ACCOUNT_EXISTS", createMutation, with(create, nil))
	add("account of an unknown currency", "BAD_USER_INPUT", createMutation, with(create, map[string]any{"id": "new", "currency": "XQQ"}))
	for name, at := range map[string]string{"in the future": "2999-01-31T12:00:00Z", "without zone": "2026-01-31T12:00:00"} {
		add("moment "+name, "BAD_USER_INPUT", balanceAtQuery, map[string]any{"at": at})
	}
	return all
}

func TestWhatIsRefusedGetsItsCodeAtOnceAndLeavesNothing(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		n := startNode(t, b)
		a := newAPI(n.url)
		for id, most := range map[string]string{"alice": "", "bob": "", "full": "10.00"} {
			p, err := a.createLimited(id, most)
			if err == nil && id != "bob" {
				p, err = a.topUp(id, "10.00", "paid")
			}
			if err != nil || len(p.UserErrors) > 0 {
				t.Fatalf("preparing %s: %+v, %v", id, p, err)
			}
		}
		auditAtRest(t, n)
		before := endsOfLog(t, n.brokers())
		for _, transport := range transports {
			t.Run(transport, func(t *testing.T) {
				for _, r := range refusals() {
					t.Run(r.name, func(t *testing.T) { mustBeRefused(t, n.url, transport, r) })
				}
			})
		}
		if after := endsOfLog(t, n.brokers()); !maps.Equal(before, after) {
			t.Errorf("what was refused was written: the log ended at %v, it ends at %v", before, after)
		}
		// What is not refused does show there.
		if p, err := a.topUp("alice", "1.00", "refused"); err != nil || len(p.UserErrors) > 0 {
			t.Fatalf("the base of what was refused: %+v, %v", p, err)
		}
		if maps.Equal(before, endsOfLog(t, n.brokers())) {
			t.Error("a top-up left the ends of the log as they were")
		}
	})
}

func mustBeRefused(t *testing.T, url, transport string, r refusal) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	best := time.Hour
	for try := 0; try < refusalTries && best >= refusedWithin; try++ {
		begin := time.Now()
		answer, err := ask(ctx, url, transport, r.query, r.variables)
		if err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(begin))
		if answer.code() != r.code {
			t.Fatalf("got the code %q, want %q: %.300s %+v", answer.code(), r.code, answer.Data, answer.Errors)
		}
	}
	if best >= refusedWithin {
		t.Errorf("the best of %d tries took %s, at most %s is right", refusalTries, best, refusedWithin)
	}
}

// end is a place in the log.
type end struct {
	topic     string
	partition int32
}

// endsOfLog returns where every partition of Daybook's topics ends.
func endsOfLog(t *testing.T, brokers []string) map[end]int64 {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	metadata, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	list := kmsg.NewPtrListOffsetsRequest()
	for _, topic := range metadata.Topics {
		if topic.Topic == nil || !strings.HasPrefix(*topic.Topic, "billing.") {
			continue
		}
		wanted := kmsg.NewListOffsetsRequestTopic()
		wanted.Topic = *topic.Topic
		for _, p := range topic.Partitions {
			latest := kmsg.NewListOffsetsRequestTopicPartition()
			latest.Partition, latest.Timestamp = p.Partition, -1
			wanted.Partitions = append(wanted.Partitions, latest)
		}
		list.Topics = append(list.Topics, wanted)
	}
	res, err := list.RequestWith(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	ends := map[end]int64{}
	for _, topic := range res.Topics {
		for _, p := range topic.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				t.Fatalf("the end of %s/%d: %v", topic.Topic, p.Partition, err)
			}
			ends[end{topic.Topic, p.Partition}] = p.Offset
		}
	}
	if len(ends) == 0 {
		t.Fatal("the log has no topics")
	}
	return ends
}
