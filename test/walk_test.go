package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"daybook/internal/testenv"
)

func TestTheWalk(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		n := startNode(t, b)
		url := n.url
		a := newAPI(url)
		before := time.Now().UTC().Add(-time.Second)
		for _, id := range []string{"alice", "bob"} {
			if p, err := a.create(id); err != nil || len(p.UserErrors) > 0 || p.Account.Balance != "0.00" {
				t.Fatalf("creating %s: %+v, %v", id, p, err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		watchers := map[string][]string{"alice": {"100.00", "-30.00"}, "bob": {"30.00"}}
		var watching []*watcher
		for id := range watchers {
			for _, transport := range streaming {
				w := &watcher{account: id, transport: transport}
				watching = append(watching, w)
				go w.follow(ctx, func() string { return url })
			}
		}
		paid, err := a.topUp("alice", "100.00", "top-up-1")
		if err != nil || len(paid.UserErrors) > 0 || paid.Account.Balance != "100.00" {
			t.Fatalf("topping up: %+v, %v", paid, err)
		}
		between := paid.Account.UpdatedAt.Add(time.Millisecond)
		awaitClock(t, a, between.Add(time.Millisecond))
		moved, err := a.transfer("alice", "bob", "30.00", "transfer-1")
		if err != nil || len(moved.UserErrors) > 0 || moved.Transaction.Status != "COMPLETED" || moved.Account.Balance != "70.00" {
			t.Fatalf("transferring: %+v, %v", moved, err)
		}
		for _, w := range watching {
			awaitAmounts(t, w, watchers[w.account]...)
		}
		after, err := a.account("alice", moved.Account.Version)
		if err != nil || after.Balance != "70.00" {
			t.Fatalf("reading what was written: %+v, %v", after, err)
		}
		mustHaveHad(t, a, before, "none")
		mustHaveHad(t, a, paid.Account.UpdatedAt, "100.00")
		mustHaveHad(t, a, between, "100.00")
		mustHaveHad(t, a, moved.Account.UpdatedAt, "70.00")

		refused, err := a.transfer("alice", "bob", "70.01", "transfer-2")
		if err != nil || len(refused.UserErrors) != 1 || refused.UserErrors[0].Code != "INSUFFICIENT_BALANCE" {
			t.Fatalf("too much: %+v, %v", refused, err)
		}
		again, err := a.transfer("alice", "bob", "30.00", "transfer-1")
		if err != nil || again.Transaction.ID != moved.Transaction.ID || again.Account.Balance != "70.00" {
			t.Fatalf("the same key: %+v, %v", again, err)
		}
		n.mustVerify()
		if out, err := n.command("doctor"); err != nil {
			t.Fatalf("doctor: %v\n%s", err, out)
		}
		n.start()
		mustComeToHave(t, newAPI(n.url), "bob", "30.00")
	})
}

// A transfer to another partition is followed from its answer until it is complete, over every transport.
func TestATransferAcrossPartitionsIsFollowedToItsEnd(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		n := startNode(t, b)
		a := newAPI(n.url)
		full, there := elsewhere("alice", "full"), elsewhere("alice", "there")
		for id, most := range map[string]string{"alice": "", there: "", full: "1.00"} {
			if p, err := a.createLimited(id, most); err != nil || len(p.UserErrors) > 0 {
				t.Fatalf("creating %s: %+v, %v", id, p, err)
			}
		}
		if p, err := a.topUp("alice", "100.00", "top-up"); err != nil || len(p.UserErrors) > 0 {
			t.Fatalf("topping up: %+v, %v", p, err)
		}
		for to, way := range map[string][]string{
			there: {"PENDING", "COMPLETED"},
			full:  {"PENDING", "FAILED", "COMPENSATED"},
		} {
			for _, transport := range streaming {
				p, err := a.transfer("alice", to, "2.00", "to-"+to+"-"+transport)
				if err != nil || len(p.UserErrors) > 0 {
					t.Fatalf("transferring to %s: %+v, %v", to, p, err)
				}
				mustEnd(t, n.url, transport, p.Transaction.ID, way)
			}
		}
		mustComeToHave(t, a, "alice", "94.00")
		n.mustVerify()
	})
}

// mustComeToHave waits until the read model, which follows a moment later, shows the balance.
func mustComeToHave(t *testing.T, a *api, id, balance string) {
	t.Helper()
	testenv.Eventually(t, func() error {
		got, err := a.account(id, 0)
		if err == nil && (got == nil || got.Balance != balance) {
			err = fmt.Errorf("%s has %+v, want %s", id, got, balance)
		}
		return err
	})
}

// mustEnd follows a transaction, whose statuses must be some of the way, in order, and the last of it, until the
// subscription ends by itself.
func mustEnd(t *testing.T, url, transport, id string, way []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var seen []string
	err := operate(ctx, url, transport, `subscription($id: ID!) { transactionUpdated(id: $id) { id status } }`,
		map[string]any{"id": id}, func(r *result) error {
			var data struct{ TransactionUpdated transactionAnswer }
			if len(r.Errors) > 0 {
				return r.Errors[0]
			}
			err := json.Unmarshal(r.Data, &data)
			if err == nil && data.TransactionUpdated.ID != id {
				err = fmt.Errorf("a change of %s", data.TransactionUpdated.ID)
			}
			seen = append(seen, data.TransactionUpdated.Status)
			return err
		})
	places := make([]int, len(seen))
	for i, status := range seen {
		places[i] = slices.Index(way, status)
	}
	strictly := slices.Compact(slices.Sorted(slices.Values(places)))
	if err != nil || len(seen) == 0 || places[0] < 0 || !slices.Equal(places, strictly) || places[len(places)-1] != len(way)-1 {
		t.Fatalf("over %s the transaction was %v (%v), want the last of %v and none out of order", transport, seen, err, way)
	}
}

// elsewhere makes an account id of another partition than the given account's.
func elsewhere(id, name string) string {
	of := func(id string) int {
		return kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte(id)}, defaultPartitions)
	}
	for i := 0; ; i++ {
		if other := fmt.Sprintf("%s-%d", name, i); of(other) != of(id) {
			return other
		}
	}
}

const balanceAtQuery = `query($at: DateTime!) { account(id: "alice") { balance(at: $at) } }`

// awaitClock waits until the node's clock has passed a moment: it refuses to tell of the future.
func awaitClock(t *testing.T, a *api, moment time.Time) {
	t.Helper()
	testenv.Eventually(t, func() error {
		return a.query(balanceAtQuery, map[string]any{"at": moment.Format(time.RFC3339Nano)}, nil)
	})
}

// mustHaveHad checks what alice had at a moment.
func mustHaveHad(t *testing.T, a *api, at time.Time, want string) {
	t.Helper()
	var data struct{ Account struct{ Balance *string } }
	err := a.query(balanceAtQuery, map[string]any{"at": at.Format(time.RFC3339Nano)}, &data)
	got := "none"
	if data.Account.Balance != nil {
		got = *data.Account.Balance
	}
	if err != nil || got != want {
		t.Fatalf("at %s alice had %s (%v), want %s", at, got, err, want)
	}
}

// awaitAmounts waits until a watcher has seen exactly these amounts.
func awaitAmounts(t *testing.T, w *watcher, amounts ...string) {
	t.Helper()
	var got []string
	testenv.Eventually(t, func() error {
		changes, err := w.seen()
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, c := range changes {
			got = append(got, c.SignedAmount)
		}
		if len(got) < len(amounts) {
			return errors.New("too few changes: " + strings.Join(got, " "))
		}
		return nil
	})
	if strings.Join(got, " ") != strings.Join(amounts, " ") {
		t.Fatalf("%s saw %v, want %v", w.account, got, amounts)
	}
}

func TestAnErrorOfOneMutationLeavesTheAnswersOfOthers(t *testing.T) {
	n := startNode(t, embeddedBackend())
	if _, err := newAPI(n.url).create("alice"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	got, err := ask(ctx, n.url, overPost, `mutation {
		good: topUp(input: {accountId: "alice", amount: "1.00", currency: "EUR", idempotencyKey: "a"}) { account { balance } }
		bad: topUp(input: {accountId: "no id", amount: "1.00", currency: "EUR", idempotencyKey: "b"}) { account { balance } }
	}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if data := string(got.Data); got.code() != "BAD_USER_INPUT" || !strings.Contains(data, `"1.00"`) || !strings.Contains(data, `"bad":null`) {
		t.Fatalf("answered %s with %s", data, got.code())
	}
}
