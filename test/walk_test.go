package test

import (
	"context"
	"strings"
	"testing"
	"time"

	"daybook/internal/testenv"
)

func TestTheWalk(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		n := startNode(t, b)
		a := newAPI(n.url)
		before := time.Now().UTC().Add(-time.Second).Format(time.RFC3339Nano)
		for _, id := range []string{"alice", "bob"} {
			if p, err := a.create(id); err != nil || len(p.UserErrors) > 0 || p.Account.Balance != "0.00" {
				t.Fatalf("creating %s: %+v, %v", id, p, err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		watchers := []*watcher{
			{account: "alice", protocol: "graphql-transport-ws"},
			{account: "bob", protocol: "graphql-ws"},
		}
		for _, w := range watchers {
			go w.follow(ctx, func() string { return n.url })
		}
		if p, err := a.topUp("alice", "100.00", "top-up-1"); err != nil || p.Account.Balance != "100.00" {
			t.Fatalf("topping up: %+v, %v", p, err)
		}
		moved, err := a.transfer("alice", "bob", "30.00", "transfer-1")
		if err != nil || len(moved.UserErrors) > 0 || moved.Transaction.Status != "COMPLETED" || moved.Account.Balance != "70.00" {
			t.Fatalf("transferring: %+v, %v", moved, err)
		}
		awaitAmounts(t, watchers[0], "100.00", "-30.00")
		awaitAmounts(t, watchers[1], "30.00")

		after, err := a.account("alice", moved.Account.Version)
		if err != nil || after.Balance != "70.00" {
			t.Fatalf("reading what was written: %+v, %v", after, err)
		}
		var past struct {
			Account struct{ Now, Before *string }
		}
		err = a.query(`query($at: DateTime!) { account(id: "alice") { now: balance before: balance(at: $at) } }`,
			map[string]any{"at": before}, &past)
		if err != nil || *past.Account.Now != "70.00" || past.Account.Before != nil {
			t.Fatalf("before the account was opened: %+v, %v", past, err)
		}
		refused, err := a.transfer("alice", "bob", "70.01", "transfer-2")
		if err != nil || len(refused.UserErrors) != 1 || refused.UserErrors[0].Code != "INSUFFICIENT_BALANCE" {
			t.Fatalf("too much: %+v, %v", refused, err)
		}
		again, err := a.transfer("alice", "bob", "30.00", "transfer-1")
		if err != nil || again.Transaction.ID != moved.Transaction.ID || again.Account.Balance != "70.00" {
			t.Fatalf("the same key: %+v, %v", again, err)
		}
		n.stop()
		if out, err := n.command("verify"); err != nil || !strings.Contains(out, "no differences") {
			t.Fatalf("verify: %v\n%s", err, out)
		}
		if out, err := n.command("doctor"); err != nil {
			t.Fatalf("doctor: %v\n%s", err, out)
		}
		n.start()
		if after, err := newAPI(n.url).account("bob", 0); err != nil || after.Balance != "30.00" {
			t.Fatalf("after a restart bob has %+v, %v", after, err)
		}
	})
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
			return &brokenChain{"too few changes: " + strings.Join(got, " ")}
		}
		return nil
	})
	if strings.Join(got, " ") != strings.Join(amounts, " ") {
		t.Fatalf("%s saw %v, want %v", w.account, got, amounts)
	}
}
