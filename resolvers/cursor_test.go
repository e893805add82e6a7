package resolvers

import (
	"encoding/base64"
	"math"
	"strings"
	"testing"

	"daybook/domain"
)

func TestCursorsLeadBackToTheirPlace(t *testing.T) {
	for _, id := range []string{"a", "0", "ann-1_B", strings.Repeat("z", maxAccountID)} {
		cursor := encodeCursor(accountCursor, id)
		if got, err := readAccountCursor(&cursor); err != nil || got != id {
			t.Errorf("%q came back as %q, %v", id, got, err)
		}
	}
	for _, version := range []int64{1, 2, 1 << 40, math.MaxInt64} {
		cursor := encodeVersion(changeCursor, version)
		if got, err := readVersionCursor(changeCursor, &cursor); err != nil || got != version {
			t.Errorf("%d came back as %d, %v", version, got, err)
		}
	}
	if id, err := readAccountCursor(nil); id != "" || err != nil {
		t.Errorf("without a cursor accounts begin after %q, %v", id, err)
	}
	const hold = "123e4567-e89b-42d3-a456-426614174000"
	cursor := encodeCursor(holdCursor, hold)
	if got, err := readHoldCursor(&cursor); err != nil || got != hold {
		t.Errorf("%q came back as %q, %v", hold, got, err)
	}
	if version, err := readVersionCursor(changeCursor, nil); version != 0 || err != nil {
		t.Errorf("without a cursor changes begin after %d, %v", version, err)
	}
}

func TestOnlyCursorsThatWereHandedOutAreTaken(t *testing.T) {
	raw := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for name, cursor := range map[string]string{
		"empty":                       "",
		"no base64":                   "!",
		"of no kind":                  raw("7"),
		"of another kind":             raw("transaction:7"),
		"with padding":                base64.URLEncoding.EncodeToString([]byte("account:ab")),
		"with a line break":           encodeCursor(accountCursor, "ab") + "\n",
		"with a line break inside":    "\r" + encodeVersion(changeCursor, 7),
		"with loose bits at the end":  strings.TrimSuffix(encodeVersion(changeCursor, 7), "c") + "d",
		"without a place, account":    raw("account:"),
		"without a place, change":     raw("change:"),
		"malformed id":                raw("account:-x"),
		"id with a quote":             raw("account:a'b"),
		"id that is too long":         raw("account:" + strings.Repeat("a", maxAccountID+1)),
		"hold that is no UUID":        raw("hold:7"),
		"hold in capital letters":     raw("hold:123E4567-E89B-42D3-A456-426614174000"),
		"hold in braces":              raw("hold:{123e4567-e89b-42d3-a456-426614174000}"),
		"version zero":                raw("change:0"),
		"negative version":            raw("change:-1"),
		"version with a sign":         raw("change:+1"),
		"version with a leading zero": raw("change:01"),
		"version too large":           raw("change:9223372036854775808"),
		"version with a space":        raw("change: 1"),
		"too long":                    strings.Repeat("A", 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			if id, err := readAccountCursor(&cursor); domain.CodeOf(err) != domain.BadUserInput {
				t.Errorf("taken as one of accounts: %q, %v", id, err)
			}
			if id, err := readHoldCursor(&cursor); domain.CodeOf(err) != domain.BadUserInput {
				t.Errorf("taken as one of holds: %q, %v", id, err)
			}
			if version, err := readVersionCursor(changeCursor, &cursor); domain.CodeOf(err) != domain.BadUserInput {
				t.Errorf("taken as one of changes: %d, %v", version, err)
			}
		})
	}
	change, account := encodeVersion(changeCursor, 7), encodeCursor(accountCursor, "7")
	if _, err := readAccountCursor(&change); domain.CodeOf(err) != domain.BadUserInput {
		t.Errorf("a change's cursor among accounts: %v", err)
	}
	if _, err := readVersionCursor(eventCursor, &change); domain.CodeOf(err) != domain.BadUserInput {
		t.Errorf("a change's cursor among events: %v", err)
	}
	if _, err := readVersionCursor(changeCursor, &account); domain.CodeOf(err) != domain.BadUserInput {
		t.Errorf("an account's cursor among changes: %v", err)
	}
}

func FuzzACursorHasOneSpelling(f *testing.F) {
	f.Add(encodeVersion(changeCursor, 12))
	f.Add(encodeCursor(accountCursor, "ann"))
	f.Fuzz(func(t *testing.T, cursor string) {
		if id, err := readAccountCursor(&cursor); err == nil && encodeCursor(accountCursor, id) != cursor {
			t.Errorf("%q is another spelling of %q", cursor, id)
		}
		if version, err := readVersionCursor(changeCursor, &cursor); err == nil && encodeVersion(changeCursor, version) != cursor {
			t.Errorf("%q is another spelling of %d", cursor, version)
		}
	})
}
