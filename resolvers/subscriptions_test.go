package resolvers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
	"daybook/internal/ids"
	"daybook/internal/testenv"
	"daybook/projector"
	"daybook/projector/live"
	"daybook/resolvers"
)

// subscription is an open one: each message is an answer, or the end with the errors it gave.
type subscription struct {
	t    *testing.T
	next func() (a answer, ended bool)
}

func (s subscription) mustNext() answer {
	s.t.Helper()
	a, ended := s.next()
	if ended || len(a.Errors) > 0 {
		s.t.Fatalf("the subscription ended: %+v", a.Errors)
	}
	return a
}

// mustEnd reads the end; the code is that of its error, if it has one.
func (s subscription) mustEnd(code domain.Code) {
	s.t.Helper()
	a, ended := s.next()
	if len(a.Errors) > 0 && !ended { // Over SSE the error is a last answer.
		if b, ended := s.next(); !ended || len(b.Errors) > 0 {
			s.t.Errorf("after its error the subscription went on with %+v", b)
		}
	} else if !ended {
		s.t.Fatalf("the subscription went on with %+v", a)
	}
	if a.code() != string(code) {
		s.t.Errorf("the subscription ended with %+v, want code %q", a.Errors, code)
	}
}

// eachTransport runs a test with subscriptions over each protocol.
func eachTransport(t *testing.T, test func(t *testing.T, subscribe func(a *api, query string) subscription)) {
	for _, protocol := range []string{"graphql-transport-ws", "graphql-ws"} {
		t.Run(protocol, func(t *testing.T) {
			test(t, func(a *api, query string) subscription { return overWebSocket(t, a, protocol, query) })
		})
	}
	t.Run("sse", func(t *testing.T) {
		test(t, func(a *api, query string) subscription { return overSSE(t, a, query) })
	})
}

func overWebSocket(t *testing.T, a *api, protocol, query string) subscription {
	t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{protocol}}
	conn, res, err := dialer.Dial("ws"+strings.TrimPrefix(a.url, "http"), http.Header{})
	if err != nil {
		t.Fatal(err)
	}
	must(t, res.Body.Close())
	t.Cleanup(func() { _ = conn.Close() })
	start := "subscribe"
	if protocol == "graphql-ws" {
		start = "start"
	}
	must(t, conn.WriteJSON(map[string]string{"type": "connection_init"}))
	must(t, conn.WriteJSON(map[string]any{"type": start, "id": "1", "payload": map[string]string{"query": query}}))
	return subscription{t, func() (a answer, ended bool) {
		must(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
		for {
			var m struct {
				Type    string
				Payload json.RawMessage
			}
			if err := conn.ReadJSON(&m); err != nil {
				t.Fatal(err)
			}
			switch m.Type {
			case "next", "data":
				must(t, json.Unmarshal(m.Payload, &a))
				return a, false
			case "error":
				if m.Payload[0] != '[' { // The older protocol has one error.
					m.Payload = append(append(json.RawMessage("["), m.Payload...), ']')
				}
				must(t, json.Unmarshal(m.Payload, &a.Errors))
				return a, true
			case "complete":
				return a, true
			}
		}
	}}
}

func overSSE(t *testing.T, a *api, query string) subscription {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	res := a.request(ctx, query, nil, "text/event-stream")
	t.Cleanup(func() { cancel(); _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	return subscription{t, func() (a answer, ended bool) {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				must(t, json.Unmarshal([]byte(data), &a))
				return a, false
			}
			if lines.Text() == "event: complete" {
				return a, true
			}
		}
		t.Fatalf("the stream broke off: %v", lines.Err())
		return a, true
	}}
}

func TestASubscriptionResumesAndGoesOnLive(t *testing.T) {
	a := startNode(t)
	id := 0
	eachTransport(t, func(t *testing.T, subscribe func(*api, string) subscription) {
		id++
		name := fmt.Sprint("ann-", id)
		a.create(name, "EUR")
		a.topUp(name, "1.00", "k1", "id")
		a.topUp(name, "2.00", "k2", "id")
		s := subscribe(a, fmt.Sprintf(`subscription { balanceChanged(accountId: %q, afterVersion: 1) { accountId version previousBalance newBalance changeAmount signedAmount changeType currency reason transactionId timestamp } }`, name))
		for v := 2; v <= 6; v++ {
			if v > 3 {
				a.topUp(name, "2.00", fmt.Sprint("k", v), "id")
			}
			expect(t, s.mustNext(), map[string]any{
				"balanceChanged.version": v, "balanceChanged.accountId": name, "balanceChanged.newBalance": fmt.Sprintf("%d.00", 2*v-3),
				"balanceChanged.changeType": "CREDIT", "balanceChanged.currency": "EUR", "balanceChanged.reason": "test",
			})
		}
	})
}

func TestATransactionIsToldUntilItIsFinal(t *testing.T) {
	a := startNode(t)
	a.create("ann", "EUR")
	eachTransport(t, func(t *testing.T, subscribe func(*api, string) subscription) {
		id := a.topUp("ann", "1.00", t.Name(), "id").at("topUp.transaction.id")
		s := subscribe(a, fmt.Sprintf(`subscription { transactionUpdated(id: %q) { id status amount } }`, id))
		told := s.mustNext()
		if told.at("transactionUpdated.status") == "PENDING" { // The read model had only its first event.
			told = s.mustNext()
		}
		expect(t, told, map[string]any{"transactionUpdated.id": id, "transactionUpdated.status": "COMPLETED", "transactionUpdated.amount": "1.00"})
		s.mustEnd("")
	})
}

func TestBadSubscriptionsAreRefused(t *testing.T) {
	a := startNode(t)
	a.create("ann", "EUR")
	eachTransport(t, func(t *testing.T, subscribe func(*api, string) subscription) {
		for query, want := range map[string]domain.Code{
			`subscription { balanceChanged(accountId: "nobody") { version } }`:                           domain.AccountNotFound,
			`subscription { balanceChanged(accountId: "no body") { version } }`:                          domain.BadUserInput,
			`subscription { balanceChanged(accountId: "ann", afterVersion: -1) { version } }`:            domain.BadUserInput,
			`subscription { balanceChanged(accountId: "ann", afterVersion: 2) { version } }`:             domain.BadUserInput,
			`subscription { transactionUpdated(id: "7") { status } }`:                                    domain.BadUserInput,
			`subscription { transactionUpdated(id: "123e4567-e89b-42d3-a456-426614174000") { status } }`: domain.TransactionNotFound,
		} {
			if got, _ := subscribe(a, query).next(); got.code() != string(want) {
				t.Errorf("%s: %+v, want %s", query, got.Errors, want)
			}
		}
	})
}

// faulty is an account at version 3 whose history gives one change and then fails.
type faulty struct{ fail func() error }

func (faulty) CatchUp(context.Context, int32) error { return nil }

func (faulty) Account(string) (account.State, error) {
	return account.State{ID: "ann", Status: account.Active, Version: 3}, nil
}

type faultyHistory struct{ faulty }

func (h faultyHistory) ChangesAfter(_ context.Context, _ string, after int64, _ int) (projector.ChangesPage, int64, error) {
	if after == 0 {
		c := projector.Change{AccountID: "ann", Version: 1, BalanceChanged: account.BalanceChanged{Currency: "EUR"}}
		return projector.ChangesPage{Changes: []projector.Change{c}, More: true}, 2, nil
	}
	return projector.ChangesPage{}, 0, h.fail()
}

func (faultyHistory) Transaction(context.Context, string) (transaction.State, error) {
	return transaction.State{}, nil
}

func (faultyHistory) TransactionProjected(context.Context, string, int32) (transaction.State, int64, error) {
	return transaction.State{}, 0, nil
}

type noLog struct{}

func (noLog) OpenReader(string, int32) (eventstore.Reader, error) { return nil, errors.New("no log") }
func (noLog) EndOffset(string, int32) (int64, error)              { return 0, errors.New("no log") }

func TestASubscriptionThatFailsInMidStreamSaysWhy(t *testing.T) {
	for name, tc := range map[string]struct {
		fail func() error
		want domain.Code
	}{
		"unreachable": {func() error { return domain.Refuse(domain.Unavailable, "", "the database cannot be reached") }, domain.Unavailable},
		"broken":      {func() error { return errors.New("no such table") }, domain.Internal},
		"panicking":   {func() error { panic("index out of range") }, domain.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			f := faulty{tc.fail}
			feed := live.New(live.Config{
				Log: noLog{}, Partitions: 1, Accounts: f, History: faultyHistory{f}, Logger: testenv.Logger(), Clock: time.Now,
				Patience: 200 * time.Millisecond, MaxSubscribers: 1,
			})
			a := serve(t, &resolvers.Resolver{Live: feed, Now: time.Now, NewID: ids.New, Logger: testenv.Logger()})
			eachTransport(t, func(t *testing.T, subscribe func(*api, string) subscription) {
				var s subscription
				testenv.Eventually(t, func() error { // The one before has left when this one is let in.
					s = subscribe(a, `subscription { balanceChanged(accountId: "ann", afterVersion: 0) { version } }`)
					first, _ := s.next()
					if first.at("balanceChanged.version") == nil {
						return fmt.Errorf("got %+v", first)
					}
					return nil
				})
				s.mustEnd(tc.want)
			})
		})
	}
}
