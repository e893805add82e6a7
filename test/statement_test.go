package test

import (
	"bytes"
	"context"
	"encoding/csv"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"daybook/internal/testenv"
)

const changesQuery = `query($id: ID!, $from: DateTime, $to: DateTime) { account(id: $id) { version changes(first: 100, from: $from, to: $to) {
	openingBalance closingBalance pageInfo { hasNextPage } edges { node {
		timestamp version transactionType reversal counterpartyId reason signedAmount newBalance currency transactionId holdId refundOf } } } } }`

// changesAnswer is what the API says of an account's changes in a period.
type changesAnswer struct {
	Version int64
	Changes struct {
		OpeningBalance, ClosingBalance *string
		PageInfo                       struct{ HasNextPage bool }
		Edges                          []struct {
			Node struct {
				Timestamp, TransactionType, CounterpartyID, Reason, SignedAmount, NewBalance, Currency, TransactionID, HoldID, RefundOf string
				Version                                                                                                                 int64
				Reversal                                                                                                                bool
			}
		}
	}
}

func (a *api) changes(t *testing.T, id, from, to string) *changesAnswer {
	t.Helper()
	variables := map[string]any{"id": id}
	for name, at := range map[string]string{"from": from, "to": to} {
		if at != "" {
			variables[name] = at
		}
	}
	var data struct{ Account *changesAnswer }
	if err := a.query(changesQuery, variables, &data); err != nil || data.Account == nil || data.Account.Changes.PageInfo.HasNextPage {
		t.Fatalf("the changes of %s: %+v, %v", id, data.Account, err)
	}
	return data.Account
}

// rows are the lines that a statement of it has.
func (c *changesAnswer) rows(from, to string) [][]string {
	balance := func(kind, at string, balance *string) []string {
		row := []string{at, "", kind, "", "", "", "", "EUR", "", "", ""}
		if balance != nil {
			row[6] = *balance
		}
		return row
	}
	rows := [][]string{
		{"time", "version", "type", "counterparty", "reason", "amount", "balance", "currency", "transaction_id", "hold_id", "refund_of"},
		balance("OPENING BALANCE", from, c.Changes.OpeningBalance),
	}
	for _, e := range c.Changes.Edges {
		n, kind, reason := e.Node, e.Node.TransactionType, e.Node.Reason
		if n.Reversal {
			kind += " REVERSAL"
		}
		if strings.HasPrefix(reason, "=") { // So that no spreadsheet takes it for a formula.
			reason = "'" + reason
		}
		rows = append(rows, []string{
			n.Timestamp, strconv.FormatInt(n.Version, 10), kind, n.CounterpartyID, reason, n.SignedAmount, n.NewBalance, n.Currency,
			n.TransactionID, n.HoldID, n.RefundOf,
		})
	}
	return append(rows, balance("CLOSING BALANCE", to, c.Changes.ClosingBalance))
}

// statement runs the command, and returns what it writes to its output and to its error output.
func (n *node) statement(args ...string) (out, told string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, append(n.arguments("statement"), args...)...)
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	return string(text), stderr.String(), err
}

// mustState compares a statement with what the API says.
func (n *node) mustState(want *changesAnswer, from, to string, args ...string) {
	n.t.Helper()
	out, told, err := n.statement(args...)
	if err != nil {
		n.t.Fatalf("statement %v: %v\n%s", args, err, told)
	}
	got, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || !slices.EqualFunc(got, want.rows(from, to), slices.Equal) {
		n.t.Fatalf("statement %v: %v, got\n%q\nwant\n%q", args, err, got, want.rows(from, to))
	}
}

// liveABit makes movements of every kind on alice's account and returns it at the end.
func liveABit(t *testing.T, a *api) *accountAnswer {
	t.Helper()
	must := mustDo(t)
	// In another partition than alice's: what cannot be taken there comes back.
	other := accountIn((partitionOf("alice")+1)%defaultPartitions, "other-")
	to := func(input, more map[string]any) map[string]any {
		input["toAccountId"] = other
		maps.Copy(input, more)
		return input
	}
	must(a.create("alice"))
	must(a.createLimited(other, "6.00"))
	must(a.topUp("alice", "100.00", "t"))
	paid := must(a.mutate(payMutation, to(fromAlice("3.00", "p"), map[string]any{"reason": `=1+1, "quoted"; ä`})))
	testenv.Eventually(t, func() error { return (&provoker{api: a}).shows(paid.Transaction.ID, "COMPLETED") })
	hold := must(a.mutate(holdMutation, to(inHold("2.00", "h", time.Hour), nil)))
	must(a.mutate(captureMutation, map[string]any{"holdId": hold.Hold.ID, "amount": "1.50", "final": true, "idempotencyKey": "c"}))
	must(a.mutate(refundMutation, map[string]any{"paymentId": paid.Transaction.ID, "amount": "0.50", "idempotencyKey": "r"}))
	refused := must(a.transfer("alice", other, "50.00", "too much"))
	testenv.Eventually(t, func() error { return (&provoker{api: a}).shows(refused.Transaction.ID, "COMPENSATED") })
	last := must(a.mutate(withdrawMutation, map[string]any{"accountId": "alice", "amount": "9.00", "currency": "EUR", "idempotencyKey": "w"}))
	read, err := a.account("alice", last.Account.Version)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestAStatementIsWhatTheAPISays(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		b := embeddedBackend()
		if strings.HasPrefix(url, "postgres") {
			b.database = url
		}
		n := startNode(t, b)
		a := newAPI(n.url)
		read := liveABit(t, a)
		all := a.changes(t, "alice", "", "")
		if kinds := len(all.Changes.Edges); kinds < 7 || *all.Changes.ClosingBalance != read.Balance || all.Version != read.Version {
			t.Fatalf("%d changes up to %+v; the account is %+v", kinds, all, read)
		}
		n.mustState(all, "", "", "--account", "alice")
		// What happens at --from is in the period, what happens at --to is not.
		first, last := all.Changes.Edges[1].Node.Timestamp, all.Changes.Edges[5].Node.Timestamp
		n.mustState(a.changes(t, "alice", first, last), first, last, "--account", "alice", "--from", first, "--to", last)
		tomorrow, yesterday := time.Now().UTC().AddDate(0, 0, 1), time.Now().UTC().AddDate(0, 0, -1)
		midnight := func(day time.Time) string { return day.Format(time.DateOnly) + "T00:00:00.000Z" }
		n.mustState(all, midnight(yesterday), midnight(tomorrow), "--account", "alice",
			"--from", yesterday.Format(time.DateOnly), "--to", tomorrow.Format(time.DateOnly))
		before := a.changes(t, "alice", "", midnight(yesterday))
		if len(before.Changes.Edges) > 0 || before.Changes.ClosingBalance != nil {
			t.Fatalf("before it was opened the account had %+v", before)
		}
		n.mustState(before, "", midnight(yesterday), "--account", "alice", "--to", yesterday.Format(time.DateOnly))

		n.stop()
		n.mustState(all, "", "", "--account", "alice")
	})
}

func TestAStatementIsWrittenToAFileOnce(t *testing.T) {
	n := startNode(t, embeddedBackend())
	a := newAPI(n.url)
	liveABit(t, a)
	path := filepath.Join(t.TempDir(), "statement.csv")
	out, told, err := n.statement("--account", "alice", "--output", path)
	if err != nil || out != "" {
		t.Fatalf("%v, printed %q\n%s", err, out, told)
	}
	written, err := os.ReadFile(path)
	if printed, _, _ := n.statement("--account", "alice"); err != nil || string(written) != printed || len(written) == 0 {
		t.Fatalf("%v, the file has\n%s\nprinted is\n%s", err, written, printed)
	}
	mustDo(t)(a.topUp("alice", "1.00", "later"))
	out, told, err = n.statement("--account", "alice", "--output", path)
	if exitCode(err) != 1 || out != "" || !strings.Contains(told, "--output") || !strings.Contains(told, "exists") {
		t.Fatalf("writing it again: %v, printed %q\n%s", err, out, told)
	}
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, written) {
		t.Fatalf("%v, the file was changed to\n%s", err, again)
	}
	// A statement that cannot be made leaves no file.
	missing := filepath.Join(t.TempDir(), "missing.csv")
	if _, _, err := n.statement("--account", "nobody", "--output", missing); exitCode(err) != 1 {
		t.Fatalf("a statement of nobody: %v", err)
	}
	mustBeMissing(t, missing)
}

func TestAStatementThatCannotBeMadeIsRefused(t *testing.T) {
	n := startNode(t, embeddedBackend())
	mustDo(t)(newAPI(n.url).create("alice"))
	args := func(more ...string) []string { return append(n.arguments("statement"), more...) }
	mustRefuse(t, "the read model has no such account: check its id", args("--account", "nobody")...)
	mustRefuse(t, "--from must be a date such as", args("--account", "alice", "--from", "yesterday")...)
	mustRefuse(t, "--from must be a date such as", args("--account", "alice", "--from", "")...)
	mustRefuse(t, "--to must be a date such as", args("--account", "alice", "--to", "2026-01-31T12:00:00")...)
	mustRefuse(t, "--from must not be after --to", args("--account", "alice", "--from", "2026-02-01", "--to", "2026-01-01")...)
	mustRefuse(t, "account", args()...)
	nowhere := filepath.Join(t.TempDir(), "missing")
	mustRefuse(t, "", "statement", "--account", "alice", "--data-dir", nowhere)
	mustBeMissing(t, nowhere)
}
