package eventstore

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daybook/domain/account"
	"daybook/domain/transaction"
)

// agree fails unless the scanner either leaves a value alone or reads from it what encoding/json does.
func agree(t interface {
	Helper()
	Fatalf(string, ...any)
}, value []byte) (scanned bool) {
	t.Helper()
	fast, ok := scanEvent(value)
	if !ok {
		if show(fast) != show(Event{}) {
			t.Fatalf("the scanner gave up on\n%s\nand yet returned\n%s", value, show(fast))
		}
		return false
	}
	slow, err := parseEvent(value)
	if err != nil {
		t.Fatalf("the scanner reads what encoding/json refuses: %v\n%q", err, value)
	}
	if show(fast) != show(slow) {
		t.Fatalf("the scanner reads\n%sencoding/json\n%sin\n%q", show(fast), show(slow), value)
	}
	return true
}

func TestScannerReadsTheHotEventsAsEncodingJSONDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := events.Draw(t, "event")
		// Amounts of more than 18 digits, too, must take the short way: a rich account is no slow one.
		switch currency := currencies.Draw(t, "currency of a hot event"); rapid.IntRange(0, 3).Draw(t, "hot") {
		case 0:
			e.Data = anyChange(t, currency)
		case 1:
			e.Data = anyHold(t, currency)
		case 2:
			e.Data = anyRelease(t, currency)
		default:
			e.Data = anyTransaction(t, currency)
		}
		if m := encode(t, e); !agree(t, m.Value) {
			t.Fatalf("the scanner gave up on what Encode wrote: %s", m.Value)
		}
	})
}

func TestScannerAgreesWithEncodingJSONOnDamagedEvents(t *testing.T) {
	pieces := []string{
		`"`, `\`, `\"`, `\u00`, `\u0031`, `\ud800`, `\x`, "\x00", "\n", "\xff", "\xc3\x28", " ", "{", "}", "}}", "[", "]", ",", ":", "-",
		"+", ".", "0", "00", "9", "1e5", "e", "E3", "null", "true", "false", "Z", "T", "z", "é", `,"data":{}`, `"reversal":true`,
		`,"reversal":false`, `,"refusalCode":"X"`, `,"failureCode":""`, `,"causationId":""`,
		`,"holdId":"h"`, `,"refundOf":""`, `,"transactionId":"t"`, `,"expiresAt":"2026-11-24T09:30:00.125Z"`, "\u2212", "−1", "_",
	}
	rapid.Check(t, func(t *rapid.T) {
		value := encode(t, events.Draw(t, "event")).Value
		for range rapid.IntRange(1, 4).Draw(t, "damages") {
			from := rapid.IntRange(0, len(value)).Draw(t, "from")
			to := min(len(value), from+rapid.IntRange(0, 3).Draw(t, "length"))
			value = slices.Replace(value, from, to, []byte(rapid.SampledFrom(pieces).Draw(t, "piece"))...)
		}
		agree(t, value)
	})
}

// Whatever is ordered, spaced or written otherwise is left to encoding/json, down to the last byte.
func TestScannerLeavesEverythingElseAlone(t *testing.T) {
	e := sampleDebit()
	e.Data.(*account.BalanceChanged).Reversal = true
	value := string(encode(t, e).Value)
	if !agree(t, []byte(value)) {
		t.Fatal("the scanner gave up on what Encode wrote")
	}
	for _, change := range [][2]string{
		{`{"eventId"`, ` {"eventId"`}, {`"}}`, `"}} `}, {`"}}`, `"}}{}`}, {`"}}`, `"}}}`}, {`"}}`, `"}`}, {`:2,"data"`, `:02,"data"`},
		{`:2,"data"`, `:2.0,"data"`}, {`:2,"data"`, `:1,"data"`}, {`:2,"data"`, `:3,"data"`}, {`:2,"data"`, `:-2,"data"`},
		{`,"schemaVersion":2`, ``}, {`"aggregateVersion":5`, `"aggregateVersion":1234567890123456789`},
		{`"aggregateVersion":5`, `"aggregateVersion":`}, {`"eventId"`, `"EventID"`}, {`"87.50"`, `87.50`}, {`"87.50"`, `"87.50\u0030"`},
		{`"87.50"`, `null`}, {`125Z`, `125z`}, {`125Z`, `12Z`}, {`125Z`, `1250Z`}, {`125Z`, `125+00:00`}, {`.125Z`, `,125Z`},
		{`T09:30`, ` 09:30`}, {`T09:30`, `T9:30`}, {`T09:30`, `T24:30`}, {`-24T`, `-31T`}, {`:30:00`, `:30:60`}, {`:30:00`, `:60:00`},
		{`"reversal":true`, `"reversal":1`}, {`"reversal":true`, `"reversal":false`}, {`"DEBIT"`, `"DEB` + "\x1f" + `IT"`},
		{`"DEBIT"`, `"DEB` + "\xff" + `IT"`}, {`"DEBIT"`, `"DEB\qIT"`}, {`"DEBIT"`, `"DEBIT`}, {`BalanceChanged`, `balancechanged`},
	} {
		changed := strings.Replace(value, change[0], change[1], 1)
		if changed == value {
			t.Fatalf("%s does not occur in %s", change[0], value)
		}
		if agree(t, []byte(changed)) {
			t.Errorf("the scanner reads %s", changed)
		}
	}
}

func TestScannerReadsEscapesItself(t *testing.T) {
	e := sampleTransaction(account.Transfer, transaction.Pending, "")
	value := string(encode(t, e).Value)
	for _, reason := range []string{`\"`, `\\`, `\\\"`, `a\u0000b\ud83d\ude00`, `\ud800`, `caf\u00e9 ` + "\xff", "é", ""} {
		if !agree(t, []byte(strings.Replace(value, "Rent for December", reason, 1))) {
			t.Errorf("the scanner gave up on the reason %q", reason)
		}
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(goldenDir, "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files to begin with: %v", err)
	}
	for _, file := range files {
		value, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value[:len(value)-1], "fingerprint", []byte("ab000000000000000000000000000001"))
	}
	for _, value := range []string{"", "{}", "null", "[]", `{"eventType":"BalanceChanged","data":null}`, `{"eventType":"AccountCreated","data":{"limits":null}}`} {
		f.Add([]byte(value), "progress", []byte("1/2/3"))
	}
	f.Fuzz(func(t *testing.T, value []byte, header string, headerValue []byte) {
		agree(t, value)
		m := Message{Value: value, Headers: []Header{{header, headerValue}}}
		e, err := Decode(&m)
		if err != nil {
			return
		}
		moments := []time.Time{e.Timestamp}
		if hold, ok := e.Data.(*account.HoldPlaced); ok {
			moments = append(moments, hold.ExpiresAt)
		}
		for _, at := range moments {
			if at.Year() < 0 || at.Year() > 9999 {
				return // Only a zone in the last or first hours of RFC 3339 leads there.
			}
		}
		again, err := Encode(&e)
		if err != nil {
			return // The names of some transactions follow from their data, which may be anything here.
		}
		if _, err := Decode(&again); err != nil {
			t.Fatalf("read, written and not read again: %v\n%s", err, again.Value)
		}
	})
}
