package engine

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

func TestARequestArrivesAtAnotherNodeAsItWasSent(t *testing.T) {
	dec, version := decimal.RequireFromString, int64(7)
	meta := ledger.Meta{
		IdempotencyKey: "k \"1\" ü", ExpectedVersion: &version, CorrelationID: "c", Actor: eventstore.Metadata{ActorID: "a", ActorType: "USER"},
		Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
	limits := account.Limits{Min: dec("-1.00"), Max: decimal.NewNullDecimal(dec("5.0000"))}
	transfer := ledger.Transfer{Meta: meta, FromID: "a", ToID: "b", Amount: dec("0.10"), Currency: "EUR", Reason: "<&>"}
	commands := []ledger.Command{
		&ledger.CreateAccount{Meta: meta, ID: "a", OwnerID: "o", Type: account.System, Currency: "JPY", Limits: account.Limits{Min: dec("0")}},
		&ledger.TopUp{Meta: meta, AccountID: "a", Amount: dec("1"), Currency: "JPY", External: "card", Reason: "r"},
		&ledger.Withdraw{Meta: meta, AccountID: "a", Amount: dec("99999999999999.99"), Currency: "EUR", External: "bank"},
		&transfer,
		&ledger.Pay{Transfer: transfer},
		&ledger.Refund{Meta: ledger.Meta{IdempotencyKey: "k"}, PaymentID: "p", PayeeID: "b"},
		&ledger.Refund{Meta: meta, PaymentID: "p", Amount: decimal.NewNullDecimal(dec("1.50")), Reason: "r", PayeeID: "b"},
		&ledger.AuthorizeHold{Meta: meta, AccountID: "a", ToID: "b", Amount: dec("2.00"), Currency: "EUR", ExpiresAt: time.UnixMilli(1_800_000_000_123).UTC()},
		&ledger.AuthorizeHold{Meta: meta, AccountID: "a", ToID: "b", Amount: dec("2.00"), Currency: "EUR"},
		&ledger.CaptureHold{Meta: meta, HoldID: "h", Amount: decimal.NewNullDecimal(dec("1.0000")), Final: true, AccountID: "a"},
		&ledger.VoidHold{Meta: meta, HoldID: "h", Reason: "r", AccountID: "a"},
		&ledger.ChangeStatus{Meta: meta, AccountID: "a", Status: account.Suspended, Reason: "r"},
		&ledger.ChangeLimits{Meta: meta, AccountID: "a", Limits: limits, Reason: "r"},
	}
	sent := map[string]bool{}
	for _, c := range commands {
		want := request{Request: ledger.Request{
			Command: c, CommandID: "command", SubjectID: "subject", Fingerprint: ledger.Fingerprint(c), Against: account.NotFound(),
		}}
		b, err := json.Marshal(&want)
		if err != nil {
			t.Fatal(err)
		}
		var got request
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		again, _ := json.Marshal(&got)
		if got.Fingerprint != want.Fingerprint || domain.CodeOf(got.Against) != domain.AccountNotFound || string(again) != string(b) || fmt.Sprintf("%T", got.Command) != fmt.Sprintf("%T", c) {
			t.Errorf("%s arrived as\n%s", b, again)
		}
		sent[commandNames[kindOf(c)]] = true
	}
	for _, kind := range commandNames[:otherCommand] {
		if !sent[kind] {
			t.Errorf("%s is not tried", kind)
		}
	}
	if err := json.Unmarshal([]byte(`{"kind":"barter","command":{}}`), &request{}); err == nil {
		t.Error("an unknown command was taken")
	}
}
