package eventstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
)

func encode(t interface {
	Helper()
	Fatal(...any)
}, e Event) Message {
	t.Helper()
	m, err := Encode(&e)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// names lists the field names of a JSON object in the order written.
func names(t *testing.T, object []byte) []string {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(object))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	var all []string
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, name.(string))
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestEnvelopeHasExactlyTheseNames(t *testing.T) {
	e := sampleDebit()
	want := []string{
		"eventId", "eventType", "aggregateId", "aggregateType", "aggregateVersion", "timestamp", "correlationId", "causationId",
		"metadata", "schemaVersion", "data",
	}
	if got := names(t, encode(t, e).Value); !slices.Equal(got, want) {
		t.Errorf("a full envelope has\n%v, want\n%v", got, want)
	}
	e.CausationID, e.Metadata = "", Metadata{}
	want = slices.DeleteFunc(want, func(name string) bool { return name == "causationId" || name == "metadata" })
	if got := names(t, encode(t, e).Value); !slices.Equal(got, want) {
		t.Errorf("an envelope without cause and context has\n%v, want\n%v", got, want)
	}
}

func TestBalanceChangedHasExactlyTheseNames(t *testing.T) {
	var w struct{ Data, Metadata json.RawMessage }
	if err := json.Unmarshal(encode(t, sampleDebit()).Value, &w); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"previousBalance", "newBalance", "changeAmount", "changeType", "signedAmount", "reason", "transactionId",
		"currency", "transactionType", "counterpartyId",
	}
	if got := names(t, w.Data); !slices.Equal(got, want) {
		t.Errorf("data has\n%v, want\n%v", got, want)
	}
	if got := names(t, w.Metadata); !slices.Equal(got, []string{"actorId", "actorType"}) {
		t.Errorf("metadata has %v", got)
	}
}

// What only some events have leaves no trace in the others: bytes that were written once stay what they are.
func TestDataHasTheNamesOfWhatItLinksToWhereItLinks(t *testing.T) {
	both := func(e Event) Event {
		switch d := e.Data.(type) {
		case *account.BalanceChanged:
			d.HoldID, d.RefundOf, d.Reversal = holdID, paymentID, true
		case *account.CreditRefused:
			d.HoldID, d.RefundOf = holdID, paymentID
		case *transaction.Event:
			d.HoldID, d.RefundOf = holdID, paymentID
		default: // No other links to anything.
		}
		return e
	}
	refused := func() Event {
		return sample(destination, 3, &account.CreditRefused{Currency: "EUR", Code: domain.AccountClosed})
	}
	failed := sampleTransaction(account.Transfer, transaction.Failed, domain.AccountClosed)
	for name, tc := range map[string]struct {
		event Event
		want  []string // The last names.
	}{
		"change with both":         {both(sampleDebit()), []string{"counterpartyId", "holdId", "refundOf", "reversal", "refusalCode"}},
		"refusal with both":        {both(refused()), []string{"reason", "holdId", "refundOf", "code"}},
		"refusal without":          {refused(), []string{"reason", "code"}},
		"transaction without":      {failed, []string{"toAccountId", "reason", "failureCode"}},
		"transaction with both":    {both(sampleTransaction(account.Payment, transaction.Failed, "X")), []string{"reason", "holdId", "refundOf", "failureCode"}},
		"hold":                     {sample(sourceID, 5, sampleHold()), []string{"holdId", "amount", "currency", "counterpartyId", "expiresAt", "reason"}},
		"release":                  {sampleRelease(account.HoldVoided, "1.00", "", ""), []string{"holdId", "amount", "currency", "cause", "reason"}},
		"release by the last part": {sampleRelease(account.HoldCaptured, "1.00", "", paymentID), []string{"cause", "reason", "transactionId"}},
	} {
		t.Run(name, func(t *testing.T) {
			var w struct{ Data json.RawMessage }
			if err := json.Unmarshal(encode(t, tc.event).Value, &w); err != nil {
				t.Fatal(err)
			}
			if got := names(t, w.Data); !slices.Equal(got[max(0, len(got)-len(tc.want)):], tc.want) {
				t.Errorf("data ends with\n%v, want\n%v", got, tc.want)
			}
		})
	}
}

func TestSignedAmountIsNegativeForADebitOnly(t *testing.T) {
	for direction, want := range map[account.ChangeType]string{account.Debit: `"-12.50"`, account.Credit: `"12.50"`} {
		e := sampleDebit()
		e.Data.(*account.BalanceChanged).ChangeType = direction
		if value := encode(t, e).Value; !bytes.Contains(value, []byte(`"changeAmount":"12.50","changeType":"`+string(direction)+`","signedAmount":`+want)) {
			t.Errorf("%s is written as %s", direction, value)
		}
	}
}

func TestHeadersRepeatTheEnvelope(t *testing.T) {
	plain := []string{
		"eventType=BalanceChanged", "aggregateVersion=5", "correlationId=req-7d1f0c9e", "timestamp=2026-11-24T09:30:00.125Z",
		"schemaVersion=2",
	}
	full := sampleDebit()
	full.Traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	full.IdempotencyKey, full.Fingerprint = "key-1", Fingerprint{0: 0xab, 15: 0x01}
	full.Progress = &Progress{Commands: 12, Coordinated: 340, Partitions: 3}
	for name, tc := range map[string]struct {
		event Event
		want  []string
	}{
		"always": {sampleDebit(), plain},
		"when the command has them": {full, append(slices.Clone(plain),
			"traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "idempotencyKey=key-1",
			"fingerprint=ab000000000000000000000000000001", "progress=12/340/3")},
	} {
		t.Run(name, func(t *testing.T) {
			m := encode(t, tc.event)
			var got []string
			for _, h := range m.Headers {
				got = append(got, h.Key+"="+string(h.Value))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("headers\n%v, want\n%v", got, tc.want)
			}
			if string(m.Key) != sourceID || !m.Time.Equal(sampleTime) {
				t.Errorf("key %s at %v, want the aggregate's id at the event's time", m.Key, m.Time)
			}
		})
	}
}

func TestExpiryIsUTCInMilliseconds(t *testing.T) {
	hold := sampleHold()
	hold.ExpiresAt = time.Date(2026, 12, 1, 10, 30, 0, 7_999_999, time.FixedZone("CET", 3600))
	m := encode(t, sample(sourceID, 5, hold))
	if !bytes.Contains(m.Value, []byte(`"expiresAt":"2026-12-01T09:30:00.007Z"`)) {
		t.Errorf("written as %s", m.Value)
	}
	m.Value = bytes.Replace(m.Value, []byte(`09:30:00.007Z","reason`), []byte(`11:30:00.007+02:00","reason`), 1)
	e, err := Decode(&m)
	if err != nil {
		t.Fatal(err)
	}
	want := time.Date(2026, 12, 1, 9, 30, 0, 7e6, time.UTC)
	if got := e.Data.(*account.HoldPlaced).ExpiresAt; got != want {
		t.Errorf("read as %v, want %v", got, want)
	}
}

func TestTimestampIsUTCInMilliseconds(t *testing.T) {
	e := sampleDebit()
	e.Timestamp = time.Date(2026, 11, 24, 10, 30, 0, 7_999_999, time.FixedZone("CET", 3600))
	m := encode(t, e)
	if !bytes.Contains(m.Value, []byte(`"timestamp":"2026-11-24T09:30:00.007Z"`)) || FormatTime(e.Timestamp) != "2026-11-24T09:30:00.007Z" {
		t.Errorf("written as %s", m.Value)
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := events.Draw(t, "event")
		m := encode(t, e)
		if !json.Valid(m.Value) {
			t.Fatalf("not JSON: %s", m.Value)
		}
		got, err := Decode(&m)
		if err != nil {
			t.Fatalf("%v\n%s", err, m.Value)
		}
		if show(got) != show(e) {
			t.Fatalf("wrote\n%sread\n%s%s", show(e), show(got), m.Value)
		}
	})
}

func TestPartsOfAMessageDoNotOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := encode(t, events.Draw(t, "event"))
		before := fmt.Sprintf("%#v", m)
		parts := [][]byte{m.Key, m.Value}
		for _, h := range m.Headers {
			parts = append(parts, h.Value)
		}
		for _, part := range parts {
			_ = append(part, "overwritten"...)
		}
		if after := fmt.Sprintf("%#v", m); after != before {
			t.Fatalf("appending to one part changed another\nbefore %s\nafter  %s", before, after)
		}
	})
}

func TestAnUnknownEventIsAnErrorThatSaysWhatToDo(t *testing.T) {
	known := string(encode(t, sampleDebit()).Value)
	for name, tc := range map[string]struct{ value, want string }{
		"unknown type": {strings.Replace(known, "BalanceChanged", "BalanceVanished", 1),
			`decoding the event at offset 42: unknown event type "BalanceVanished": a newer Daybook wrote it; upgrade this one`},
		"newer shape": {strings.Replace(known, `"schemaVersion":2`, `"schemaVersion":3`, 1),
			`decoding the event at offset 42: BalanceChanged has schemaVersion 3, this Daybook knows up to 2; upgrade it`},
		"no type":      {`{}`, `decoding the event at offset 42: unknown event type ""`},
		"no data":      {`{"eventType":"BalanceChanged","schemaVersion":2}`, `decoding the event at offset 42: BalanceChanged has no data`},
		"null data":    {`{"eventType":"TopupRequested","data":null}`, `decoding the event at offset 42: TopupRequested has no data`},
		"null data v1": {`{"eventType":"BalanceChanged","data": null}`, `decoding the event at offset 42: BalanceChanged has no data`},
		"list data":    {`{"eventType":"BalanceChanged","data": []}`, `decoding the event at offset 42: BalanceChanged has no data`},
		"text data v1": {`{"eventType":"BalanceChanged","data":{"currency":5}}`, `decoding the event at offset 42: `},
		"cut short":    {known[:len(known)/2], `decoding the event at offset 42: `},
		"trailing":     {known + "{}", `decoding the event at offset 42: `},
		"empty":        {"", `decoding the event at offset 42: `},
		"bad amount":   {strings.Replace(known, `"newBalance":"87.50"`, `"newBalance":"8,50"`, 1), `decoding the event at offset 42: `},
		"bad time":     {strings.Replace(known, `2026-11-24T`, `2026-11-31T`, 1), `decoding the event at offset 42: `},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Decode(&Message{Value: []byte(tc.value), Offset: 42})
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
			if e.Data != nil || e.ID != "" {
				t.Errorf("an error came with an event: %s", show(e))
			}
		})
	}
}

func TestMalformedHeadersAreErrors(t *testing.T) {
	for _, h := range []Header{
		{"fingerprint", []byte("ab")},
		{"fingerprint", []byte("zz000000000000000000000000000001")},
		{"fingerprint", []byte("ab00000000000000000000000000000100")},
		{"fingerprint", []byte(strings.Repeat("00", 1000))},
		{"fingerprint", nil},
		{"progress", []byte("1/2")},
		{"progress", []byte("1/2/3/4")},
		{"progress", []byte("1/x/3")},
		{"progress", []byte("1/2/99999999999999999999")},
		{"progress", []byte("1/2/2147483648")},
	} {
		m := encode(t, sampleDebit())
		m.Headers = append(m.Headers, h)
		if e, err := Decode(&m); err == nil || !strings.HasPrefix(err.Error(), "decoding the headers at offset 0: "+h.Key) {
			t.Errorf("%s %q was read as %s, error %v", h.Key, h.Value, show(e), err)
		}
	}
}

func TestUnknownHeadersAndFieldsAreIgnored(t *testing.T) {
	e := sampleDebit()
	m := encode(t, e)
	m.Headers = append(m.Headers, Header{"added-by-a-proxy", []byte("x")})
	m.Value = bytes.Replace(m.Value, []byte(`"data":{`), []byte(`"future":{"a":[1]},"data":{"added":null,`), 1)
	got, err := Decode(&m)
	if err != nil {
		t.Fatal(err)
	}
	if show(got) != show(e) {
		t.Errorf("read\n%swant\n%s", show(got), show(e))
	}
}

func TestAnOldShapeKeepsWhatItSays(t *testing.T) {
	value := `{"eventId":"e","eventType":"BalanceChanged","aggregateId":"a","aggregateType":"Account","aggregateVersion":1,` +
		`"timestamp":"2025-12-09T12:00:00.000Z","correlationId":"c","schemaVersion":1,"data":{"previousBalance":"0.00",` +
		`"newBalance":99999999999999.99,"changeAmount":99999999999999.99,"changeType":"CREDIT","reason":"TOPUP","currency":"EUR"}}`
	e, err := Decode(&Message{Value: []byte(value)})
	if err != nil {
		t.Fatal(err)
	}
	d := e.Data.(*account.BalanceChanged)
	if !d.NewBalance.Equal(dec("99999999999999.99")) || !d.ChangeAmount.Equal(dec("99999999999999.99")) {
		t.Errorf("amounts written as numbers were rounded: %s, %s", d.NewBalance, d.ChangeAmount)
	}
	if d.Currency != "EUR" || d.TransactionType != account.Topup {
		t.Errorf("read as %s %s, want a TOPUP in EUR", d.TransactionType, d.Currency)
	}
}

func TestOnlyRegisteredEventsAreWritten(t *testing.T) {
	for _, d := range []*transaction.Event{
		{Status: "ON_ITS_WAY", Details: transaction.Details{Type: account.Topup}},
		{Status: transaction.Pending, Details: transaction.Details{Type: "BARTER"}},
	} {
		e := sample(movementID, 1, d)
		if m, err := Encode(&e); err == nil {
			t.Errorf("%s %s was written, and nobody could read it: %s", d.Type, d.Status, m.Value)
		}
	}
}

func TestEventsOverTenMegabytesAreRefused(t *testing.T) {
	if WarnEventBytes != 1024*1024 || MaxEventBytes != 10*1024*1024 {
		t.Errorf("limits are %d and %d bytes, want 1 and 10 MB", WarnEventBytes, MaxEventBytes)
	}
	e := sample(sourceID, 1, &account.StatusChanged{PreviousStatus: account.Active, NewStatus: account.Suspended})
	rest := len(encode(t, e).Value)
	reason := strings.Repeat("x", MaxEventBytes-rest)
	e.Data.(*account.StatusChanged).Reason = reason
	m := encode(t, e)
	if len(m.Value) != MaxEventBytes {
		t.Fatalf("the value has %d bytes, want exactly the limit", len(m.Value))
	}
	if _, err := Decode(&m); err != nil {
		t.Errorf("the largest event cannot be read: %v", err)
	}
	e.Data.(*account.StatusChanged).Reason = reason + "x"
	if _, err := Encode(&e); domain.CodeOf(err) != domain.BadUserInput {
		t.Errorf("one byte more: error %v, want %s", err, domain.BadUserInput)
	}
}

func TestSchemasAreListedInOrderWithAllThatTheCatalogueNeeds(t *testing.T) {
	all := Schemas()
	sorted := slices.IsSortedFunc(all, func(a, b Schema) int {
		return strings.Compare(a.Topic+" "+a.EventType, b.Topic+" "+b.EventType)
	})
	if len(all) != 19 || !sorted {
		t.Errorf("%d schemas, in order: %v; want 19 in order of topic and name", len(all), sorted)
	}
	for _, s := range all {
		if s.Summary == "" || s.Version < 1 || (s.Topic == AccountEvents) != (s.AggregateType == account.AggregateType) ||
			(s.Topic == TransactionEvents) != (s.AggregateType == transaction.AggregateType) {
			t.Errorf("%+v is incomplete", s)
		}
	}
}
