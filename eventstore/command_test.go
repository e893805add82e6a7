package eventstore

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"daybook/domain/account"
	"daybook/domain/transaction"
)

func sampleCommand() StepCommand {
	return StepCommand{
		Step: transaction.Step{Kind: transaction.StepReverse, AccountID: sourceID, Code: "ACCOUNT_CLOSED", Movement: account.Movement{
			Amount: dec("12.50"), Currency: "EUR", TransactionID: movementID, TransactionType: account.Transfer,
			CounterpartyID: destination, Reason: "Rent for December", HoldID: holdID, RefundOf: paymentID,
		}},
		ID: commandID, CorrelationID: requestID, CausationID: eventID, Metadata: Metadata{ActorID: "user_123", ActorType: "api"},
	}
}

func TestCommandGoesToItsAccountUnderTheseNames(t *testing.T) {
	c := sampleCommand()
	m, err := EncodeCommand(&c, sampleTime)
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Key) != sourceID || !m.Time.Equal(sampleTime) || len(m.Headers) != 0 {
		t.Errorf("key %s at %v with headers %v, want the account's id at the given time and none", m.Key, m.Time, m.Headers)
	}
	want := []string{
		"commandId", "commandType", "accountId", "transactionId", "transactionType", "amount", "currency", "counterpartyId",
		"reason", "holdId", "refundOf", "code", "correlationId", "causationId", "actorId", "actorType",
	}
	if got := names(t, m.Value); !slices.Equal(got, want) {
		t.Errorf("the command has\n%v, want\n%v", got, want)
	}
	c.Movement.HoldID, c.Movement.RefundOf = "", ""
	if m, err = EncodeCommand(&c, sampleTime); err != nil {
		t.Fatal(err)
	}
	want = slices.DeleteFunc(want, func(name string) bool { return name == "holdId" || name == "refundOf" })
	if got := names(t, m.Value); !slices.Equal(got, want) {
		t.Errorf("the command of a transfer has\n%v, want\n%v", got, want)
	}
}

func TestCommandWrittenIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		currency := currencies.Draw(t, "currency")
		c := StepCommand{
			Step: transaction.Step{
				Kind:      rapid.SampledFrom([]transaction.StepKind{transaction.StepCredit, transaction.StepReverse}).Draw(t, "kind"),
				AccountID: texts.Draw(t, "account"),
				Movement: account.Movement{
					Amount: amounts(t, currency), Currency: currency, TransactionID: texts.Draw(t, "transaction"),
					TransactionType: kinds.Draw(t, "movement"), CounterpartyID: texts.Draw(t, "counterparty"), Reason: texts.Draw(t, "reason"),
				},
			},
			ID: ids.Draw(t, "id"), CorrelationID: texts.Draw(t, "correlation"), CausationID: texts.Draw(t, "causation"),
			Metadata:    Metadata{ActorID: texts.Draw(t, "actor"), ActorType: texts.Draw(t, "actor type")},
			Traceparent: texts.Draw(t, "traceparent"),
		}
		c.Movement.HoldID, c.Movement.RefundOf = links(t)
		if c.Kind == transaction.StepReverse {
			c.Code = codes.Draw(t, "code")
		}
		m, err := EncodeCommand(&c, sampleTime)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeCommand(&m)
		if err != nil {
			t.Fatal(err)
		}
		if showCommand(got) != showCommand(&c) {
			t.Fatalf("wrote\n%s\nread\n%s", showCommand(&c), showCommand(got))
		}
	})
}

func TestMalformedCommandIsAnError(t *testing.T) {
	c := sampleCommand()
	m, err := EncodeCommand(&c, sampleTime)
	if err != nil {
		t.Fatal(err)
	}
	known := string(m.Value)
	for name, value := range map[string]string{
		"empty": "", "not an object": "[]", "cut short": known[:len(known)-1], "no amount": strings.Replace(known, `"amount":"12.50",`, "", 1),
		"bad amount":   strings.Replace(known, "12.50", "12,50", 1),
		"unknown type": strings.Replace(known, `"REVERSE"`, `"DOUBLE"`, 1), "no type": strings.Replace(known, `"commandType":"REVERSE",`, "", 1),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeCommand(&Message{Value: []byte(value), Offset: 7})
			if err == nil || !strings.HasPrefix(err.Error(), "decoding the command at offset 7: ") {
				t.Errorf("read as %v, error %v", got, err)
			}
		})
	}
}
