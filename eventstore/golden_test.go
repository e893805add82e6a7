package eventstore

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
)

var update = flag.Bool("update", false, "write golden files that are missing; those that exist are published and never change")

const goldenDir = "testdata/events"

type goldenCase struct {
	file  string
	event Event
	// old marks a shape that is read but no longer written.
	old bool
}

// golden is every shape of event ever published: what stands in the log can be read for ever. The files are the exact
// bytes of the record's value and a final newline, named <EventType>.v<schemaVersion>[.case].json.
var golden = []goldenCase{
	{file: "AccountCreated.v1", event: sample(sourceID, 1, &account.Created{
		OwnerID: "customer-42", Type: account.User, Currency: "EUR", Limits: limits("0.00", "")})},
	{file: "AccountCreated.v1.limits", event: sample(sourceID, 1, &account.Created{
		OwnerID: "fees", Type: account.System, Currency: "KWD", Limits: limits("-1000.000", "99999999999999.999")})},
	{file: "AccountCreated.v1.minimal", event: minimal(&account.Created{
		OwnerID: "customer-42", Type: account.User, Currency: "JPY", Limits: limits("0", "")})},
	{file: "AccountLimitsChanged.v1", event: sample(sourceID, 3, &account.LimitsChanged{
		Currency: "EUR", PreviousLimits: limits("0.00", ""), NewLimits: limits("-500.00", "10000.00"), Reason: "Overdraft agreed"})},
	{file: "AccountStatusChanged.v1", event: sample(sourceID, 4, &account.StatusChanged{
		PreviousStatus: account.Active, NewStatus: account.Suspended, Reason: "Card reported stolen"})},
	{file: "AccountStatusChanged.v1.text", event: sample(sourceID, 4, &account.StatusChanged{
		PreviousStatus: account.Suspended, NewStatus: account.Closed, Reason: "says \"bye\" \\ <b>\n\tau revoir, 再见 👋\u2028\x00"})},
	{file: "BalanceChanged.v1", old: true, event: Event{
		ID: "evt-550e8400-e29b-41d4-a716-446655440000", AggregateID: "account-123", Version: 5,
		Timestamp: time.Date(2025, 12, 9, 12, 0, 0, 0, time.UTC), CorrelationID: "corr-uuid", CausationID: "cmd-uuid",
		Metadata: Metadata{ActorID: "user_123", ActorType: "api"}, Data: &account.BalanceChanged{
			PreviousBalance: dec("100.00"), NewBalance: dec("150.00"), ChangeAmount: dec("50.00"), ChangeType: account.Credit,
			Reason: "Topup", TransactionID: "tx-uuid", Currency: "USD", TransactionType: account.Topup,
			CounterpartyID: "external:unknown:USD",
		}}},
	{file: "BalanceChanged.v1.debit", old: true, event: Event{
		ID: "evt-550e8400-e29b-41d4-a716-446655440001", AggregateID: "account-123", Version: 6,
		Timestamp: time.Date(2025, 12, 9, 12, 0, 1, 250e6, time.UTC), CorrelationID: "corr-uuid", Data: &account.BalanceChanged{
			PreviousBalance: dec("150.00"), NewBalance: dec("120.00"), ChangeAmount: dec("30.00"), ChangeType: account.Debit,
			Reason: "Withdrawal", Currency: "USD", TransactionType: account.Transfer, CounterpartyID: "external:unknown:USD",
		}}},
	{file: "BalanceChanged.v2", event: sampleDebit()},
	{file: "BalanceChanged.v2.capture", event: sample(sourceID, 6, sampleLeg(sourceID, account.Payment, account.Debit, holdID))},
	{file: "BalanceChanged.v2.captured", event: sample(destination, 6, sampleLeg(destination, account.Payment, account.Credit, holdID))},
	{file: "BalanceChanged.v2.max", event: yen()},
	{file: "BalanceChanged.v2.refund", event: sample(destination, 7, sampleLeg(destination, account.Refund, account.Debit, ""))},
	{file: "BalanceChanged.v2.refund-back", event: sample(destination, 8, refundBack())},
	{file: "BalanceChanged.v2.refunded", event: sample(sourceID, 8, sampleLeg(sourceID, account.Refund, account.Credit, ""))},
	{file: "BalanceChanged.v2.reversal", event: sample(sourceID, 6, &account.BalanceChanged{
		PreviousBalance: dec("87.50"), NewBalance: dec("100.00"), ChangeAmount: dec("12.50"), ChangeType: account.Credit,
		Reason: "Rent for December", TransactionID: movementID, Currency: "EUR", TransactionType: account.Transfer,
		CounterpartyID: destination, Reversal: true, RefusalCode: domain.AccountClosed})},
	{file: "BalanceChanged.v2.topup", event: sample(sourceID, 2, &account.BalanceChanged{
		PreviousBalance: dec("0.00"), NewBalance: dec("100.00"), ChangeAmount: dec("100.00"), ChangeType: account.Credit,
		Reason: "Topup", TransactionID: movementID, Currency: "EUR", TransactionType: account.Topup, CounterpartyID: external})},
	{file: "BalanceChanged.v2.withdrawal", event: sample(sourceID, 3, &account.BalanceChanged{
		PreviousBalance: dec("100.00"), NewBalance: dec("60.00"), ChangeAmount: dec("40.00"), ChangeType: account.Debit,
		Reason: "Withdrawal", TransactionID: movementID, Currency: "EUR", TransactionType: account.Withdrawal, CounterpartyID: external})},
	{file: "CreditRefused.v1", event: sample(destination, 3, &account.CreditRefused{
		Amount: dec("12.50"), Currency: "EUR", TransactionID: movementID, TransactionType: account.Transfer,
		CounterpartyID: sourceID, Reason: "Rent for December", Code: domain.AccountClosed})},
	{file: "CreditRefused.v1.capture", event: sample(destination, 3, &account.CreditRefused{
		Amount: dec("12.50"), Currency: "EUR", TransactionID: paymentID, TransactionType: account.Payment,
		CounterpartyID: sourceID, Reason: "Order 1017", Code: domain.AccountClosed, HoldID: holdID})},
	{file: "CreditRefused.v1.refund", event: sample(sourceID, 9, &account.CreditRefused{
		Amount: dec("4.20"), Currency: "EUR", TransactionID: refundID, TransactionType: account.Refund,
		CounterpartyID: destination, Reason: "Two items came back", Code: domain.BalanceLimitExceeded, RefundOf: paymentID})},
	{file: "HoldPlaced.v1", event: sample(sourceID, 5, sampleHold())},
	{file: "HoldReleased.v1", event: sampleRelease(account.HoldVoided, "20.00", "Order cancelled", "")},
	{file: "HoldReleased.v1.captured", event: sampleRelease(account.HoldCaptured, "7.50", "Order 1017", paymentID)},
	{file: "HoldReleased.v1.expired", event: sampleRelease(account.HoldExpired, "20.00", "expired", "")},
	{file: "PaymentCompleted.v1", event: sampleTransaction(account.Payment, transaction.Completed, "")},
	{file: "PaymentCompleted.v1.capture", event: sampleCapture(transaction.Completed, "")},
	{file: "PaymentRequested.v1", event: sampleTransaction(account.Payment, transaction.Pending, "")},
	{file: "PaymentRequested.v1.capture", event: sampleCapture(transaction.Pending, "")},
	{file: "RefundCompleted.v1", event: sampleTransaction(account.Refund, transaction.Completed, "")},
	{file: "RefundRequested.v1", event: sampleTransaction(account.Refund, transaction.Pending, "")},
	{file: "TopupCompleted.v1", event: sampleTransaction(account.Topup, transaction.Completed, "")},
	{file: "TopupRequested.v1", event: sampleTransaction(account.Topup, transaction.Pending, "")},
	{file: "TransactionCompensated.v1", event: sampleTransaction(account.Transfer, transaction.Compensated, domain.AccountClosed)},
	{file: "TransactionCompensated.v1.capture", event: sampleCapture(transaction.Compensated, domain.AccountClosed)},
	{file: "TransactionFailed.v1", event: sampleTransaction(account.Transfer, transaction.Failed, domain.AccountClosed)},
	{file: "TransactionFailed.v1.refund", event: sampleTransaction(account.Refund, transaction.Failed, domain.BalanceLimitExceeded)},
	{file: "TransferCompleted.v1", event: sampleTransaction(account.Transfer, transaction.Completed, "")},
	{file: "TransferRequested.v1", event: sampleTransaction(account.Transfer, transaction.Pending, "")},
	{file: "WithdrawalCompleted.v1", event: sampleTransaction(account.Withdrawal, transaction.Completed, "")},
	{file: "WithdrawalRequested.v1", event: sampleTransaction(account.Withdrawal, transaction.Pending, "")},
}

// refundBack is the refund that the payer could not take, on its way back.
func refundBack() *account.BalanceChanged {
	e := sampleLeg(destination, account.Refund, account.Credit, "")
	e.CounterpartyID, e.Reversal, e.RefusalCode = sourceID, true, domain.BalanceLimitExceeded
	return e
}

func TestEventsAreWrittenAsPublished(t *testing.T) {
	for _, g := range golden {
		if g.old {
			continue
		}
		t.Run(g.file, func(t *testing.T) {
			m, err := Encode(&g.event)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(goldenDir, g.file+".json")
			written := append(m.Value, '\n')
			if _, err := os.Stat(path); os.IsNotExist(err) && *update {
				if err := os.WriteFile(path, written, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			published, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(written, published) {
				t.Errorf("a published event never changes: give the new shape a new schemaVersion and an upcaster\nwritten   %s\npublished %s", written, published)
			}
		})
	}
}

func TestEveryPublishedEventCanBeRead(t *testing.T) {
	for _, g := range golden {
		t.Run(g.file, func(t *testing.T) {
			value, err := os.ReadFile(filepath.Join(goldenDir, g.file+".json"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(&Message{Value: value})
			if err != nil {
				t.Fatal(err)
			}
			if show(got) != show(g.event) {
				t.Errorf("read\n%swant\n%s", show(got), show(g.event))
			}
		})
	}
}

func TestEverySchemaVersionStaysInTheGoldenFiles(t *testing.T) {
	entries, err := os.ReadDir(goldenDir)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]bool{}
	for _, entry := range entries {
		name := strings.TrimSuffix(entry.Name(), ".json")
		i := slices.IndexFunc(golden, func(g goldenCase) bool { return g.file == name })
		if i < 0 {
			t.Errorf("%s is not among the golden events; nothing published may be dropped", entry.Name())
			continue
		}
		parts := strings.Split(name, ".")
		versions[parts[0]+"."+parts[1]] = true
		if want := golden[i].event.Data.EventType(); parts[0] != want {
			t.Errorf("%s holds a %s", entry.Name(), want)
		}
	}
	for _, s := range Schemas() {
		for v := 1; v <= s.Version; v++ {
			if name := fmt.Sprintf("%s.v%d", s.EventType, v); !versions[name] {
				t.Errorf("no golden file for %s", name)
			}
		}
	}
}
