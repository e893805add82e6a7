package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/ids"
	"daybook/internal/testenv"
)

var rent = transaction.Details{
	Type: account.Transfer, Amount: decimal.New(1250, -2), Currency: "EUR", From: "ann", To: "bob", Reason: "rent",
}

func stateOf(id string, s transaction.Status) transaction.State {
	return transaction.State{ID: id, Details: rent, Status: s, CreatedAt: start, UpdatedAt: start}
}

func (w *world) setTransaction(s transaction.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.transactions[s.ID] = s
}

// statuses reads a feed to its end.
func statuses(ctx context.Context, feed *TransactionFeed) (got []transaction.Status, err error) {
	for {
		s, err := feed.Next(ctx)
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		if !s.CreatedAt.Equal(start) || s.From != "ann" {
			return got, fmt.Errorf("state %+v", s)
		}
		got = append(got, s.Status)
	}
}

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// published is a cluster with a feed that follows it.
type published struct {
	t      *testing.T
	client *kafka.Client
	parts  int32
	feed   *Feed
}

func follow(t *testing.T, w *world, brokers []string) *published {
	t.Helper()
	client, err := kafka.Open(kafka.Config{Brokers: brokers, ClientID: "test", Logger: testenv.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	parts, err := client.EnsureTopics(kafka.TopicsConfig{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := w.config()
	cfg.Log, cfg.Partitions = client, parts
	p := &published{t: t, client: client, parts: parts, feed: New(cfg)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.feed.Run(ctx); err != nil {
			t.Errorf("running the feed: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := client.Close(); err != nil {
			t.Errorf("closing the client: %v", err)
		}
	})
	return p
}

func (p *published) write(id string, statuses ...transaction.Status) {
	p.t.Helper()
	partition := eventstore.PartitionOf(id, p.parts)
	var messages []eventstore.Message
	for _, s := range statuses {
		data := &transaction.Event{Details: rent, Status: s}
		m, err := eventstore.Encode(&eventstore.Event{
			ID: ids.New(), AggregateID: id, Version: data.Version(), Timestamp: start.Add(time.Second), Data: data,
		})
		if err != nil {
			p.t.Fatal(err)
		}
		messages = append(messages, m)
	}
	appender := p.client.OpenAppender(eventstore.TransactionEvents, partition)
	defer appender.Close() //nolint:errcheck // What matters is that Append succeeded.
	if err := appender.Append(patient(p.t), messages); err != nil {
		p.t.Fatal(err)
	}
}

// awaitFollowing writes events of another transaction until a subscriber of it sees one: from then on all is followed.
func (p *published) awaitFollowing(w *world) {
	p.t.Helper()
	for partition := range p.parts {
		id := ids.New()
		for eventstore.PartitionOf(id, p.parts) != partition {
			id = ids.New()
		}
		w.setTransaction(stateOf(id, transaction.Pending))
		probe, err := p.feed.Transaction(patient(p.t), id)
		if err != nil {
			p.t.Fatal(err)
		}
		testenv.Eventually(p.t, func() error {
			p.write(id, transaction.Completed)
			if h, _ := p.feed.transactions.after(probe.watched, 1); h == nil {
				return errors.New("the topic is not followed yet")
			}
			return nil
		})
		probe.Close()
	}
}

func TestATransactionIsToldInOrderWithoutRepeats(t *testing.T) {
	const pending, completed, failed, compensated = transaction.Pending, transaction.Completed, transaction.Failed, transaction.Compensated
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		w := newWorld()
		p := follow(t, w, brokers)
		keep := ids.New()
		w.setTransaction(stateOf(keep, pending))
		other, err := p.feed.Transaction(patient(t), keep) // Keeps the followers at work between the cases.
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		p.awaitFollowing(w)
		for _, tc := range []struct {
			present transaction.Status
			written []transaction.Status
			want    []transaction.Status
		}{
			{completed, nil, []transaction.Status{completed}},
			{compensated, nil, []transaction.Status{compensated}},
			{pending, []transaction.Status{completed}, []transaction.Status{pending, completed}},
			{pending, []transaction.Status{pending, pending, completed, completed}, []transaction.Status{pending, completed}},
			{pending, []transaction.Status{failed, compensated}, []transaction.Status{pending, failed, compensated}},
			{pending, []transaction.Status{failed, pending, failed, compensated}, []transaction.Status{pending, failed, compensated}},
			{failed, []transaction.Status{pending, failed, compensated}, []transaction.Status{failed, compensated}},
		} {
			t.Run(fmt.Sprint(tc.present, tc.written), func(t *testing.T) {
				id := ids.New()
				w.setTransaction(stateOf(id, tc.present))
				feed, err := p.feed.Transaction(patient(t), id)
				if err != nil {
					t.Fatal(err)
				}
				defer feed.Close()
				if len(tc.written) > 0 {
					p.write(id, tc.written...)
				}
				got, err := statuses(patient(t), feed)
				if err != nil || fmt.Sprint(got) != fmt.Sprint(tc.want) {
					t.Errorf("got %v, %v; want %v", got, err, tc.want)
				}
			})
		}
	})
}

func TestEverySubscriberOfATransactionIsTold(t *testing.T) {
	w := newWorld()
	p := follow(t, w, testenv.Embedded(t))
	id := ids.New()
	w.setTransaction(stateOf(id, transaction.Pending))
	var wg sync.WaitGroup
	for range 200 {
		feed, err := p.feed.Transaction(patient(t), id)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer feed.Close()
			if got, err := statuses(patient(t), feed); err != nil || fmt.Sprint(got) != "[PENDING COMPLETED]" {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	p.awaitFollowing(w)
	p.write(id, transaction.Completed)
	wg.Wait()
	assertEmpty(t, p.feed)
}

func TestWhatTheFollowersMissedComesFromTheReadModel(t *testing.T) {
	w := newWorld()
	f := New(w.config()) // Not run: it follows nothing.
	id := ids.New()
	w.setTransaction(stateOf(id, transaction.Pending))
	feed, err := f.Transaction(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	if s, err := feed.Next(t.Context()); err != nil || s.Status != transaction.Pending {
		t.Fatalf("got %s, %v", s.Status, err)
	}
	w.setTransaction(stateOf(id, transaction.Completed))
	if got, err := statuses(patient(t), feed); err != nil || fmt.Sprint(got) != "[COMPLETED]" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestATransactionTheReadModelDoesNotHaveYetIsWaitedFor(t *testing.T) {
	w := newWorld()
	cfg := w.config()
	cfg.SettleWait = time.Minute
	f := New(cfg)
	w.fault = func() error { // The third look finds it; the second one fails.
		switch w.looks {
		case 2:
			return unavailable()
		case 3:
			w.transactions["tx"] = stateOf("tx", transaction.Completed)
		}
		return nil
	}
	f.mustFindCompleted(t, "tx")
}

// mustFindCompleted watches a transaction that is completed once it is found.
func (f *Feed) mustFindCompleted(t *testing.T, id string) {
	t.Helper()
	feed, err := f.Transaction(patient(t), id)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := statuses(t.Context(), feed); err != nil || fmt.Sprint(got) != "[COMPLETED]" {
		t.Errorf("got %v, %v", got, err)
	}
	feed.Close()
	assertEmpty(t, f)
}

func TestATransactionThatDoesNotComeIsRefused(t *testing.T) {
	broken := errors.New("no such table")
	for name, tc := range map[string]struct {
		prepare func(*world)
		want    domain.Code
	}{
		"unknown":                            {func(*world) {}, domain.TransactionNotFound},
		"unknown, after others":              {func(w *world) { w.end, w.transactionsAt = 5, 5 }, domain.TransactionNotFound},
		"the read model may only be behind":  {func(w *world) { w.end, w.transactionsAt = 5, 4 }, domain.Unavailable},
		"nobody knows where the log ends":    {func(w *world) { w.away = errors.New("no broker answers") }, domain.Unavailable},
		"unreachable":                        {func(w *world) { w.fault = unavailable }, domain.Unavailable},
		"unreachable after the first moment": {func(w *world) { w.fault = afterLooks(1, unavailable) }, domain.Unavailable},
		"broken":                             {func(w *world) { w.fault = func() error { return broken } }, domain.Internal},
		"broken after the first moment":      {func(w *world) { w.fault = afterLooks(1, func() error { return broken }) }, domain.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				tc.prepare(w)
				cfg := w.config()
				cfg.SettleWait, cfg.CatchUpWait = time.Nanosecond, 20*time.Millisecond // The first is over after a look.
				f := New(cfg)
				if _, err := f.Transaction(t.Context(), "tx"); domain.CodeOf(err) != tc.want {
					t.Errorf("got %v, want %s", err, tc.want)
				}
				assertEmpty(t, f)
			})
		})
	}
}

// afterLooks fails every look but the first ones.
func afterLooks(n int, fault func() error) func() error {
	looks := 0
	return func() error {
		if looks++; looks > n {
			return fault()
		}
		return nil
	}
}

func TestATransactionIsFoundOnceTheReadModelHasComeUpToTheLog(t *testing.T) {
	w := newWorld()
	w.end, w.transactionsAt = 5, 4
	cfg := w.config()
	cfg.SettleWait, cfg.CatchUpWait = time.Nanosecond, time.Minute
	f := New(cfg)
	w.fault = func() error {
		if w.looks == 5 {
			w.transactions["tx"], w.transactionsAt = stateOf("tx", transaction.Completed), 5
		}
		return nil
	}
	f.mustFindCompleted(t, "tx")
}
