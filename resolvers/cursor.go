package resolvers

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// A cursor is opaque to clients: base64 of what it points into and where. Each has one spelling only, and only cursors
// that were handed out for the list at hand are taken.
const (
	accountCursor = "account:"
	changeCursor  = "change:"
	eventCursor   = "event:"
	holdCursor    = "hold:"

	transactionCursor = "transaction:"
)

var cursorEncoding = base64.RawURLEncoding.Strict()

func encodeCursor(kind, place string) string {
	return cursorEncoding.EncodeToString([]byte(kind + place))
}

// decodeCursor returns the place that a cursor of the kind points to.
func decodeCursor(kind, cursor string) (string, error) {
	if len(cursor) <= maxCursor {
		text, err := cursorEncoding.DecodeString(cursor)
		// Decoding passes over line breaks.
		if place, ok := strings.CutPrefix(string(text), kind); err == nil && ok && encodeCursor(kind, place) == cursor {
			return place, nil
		}
	}
	return "", badCursor()
}

func badCursor() error {
	return badInput("after", "after must be a cursor that an earlier page of this list gave")
}

// readAccountCursor returns the id that a page of accounts follows on; empty for the first page.
func readAccountCursor(after *string) (string, error) {
	if after == nil {
		return "", nil
	}
	id, err := decodeCursor(accountCursor, *after)
	if err == nil && checkAccountID("after", id) != nil {
		err = badCursor()
	}
	return id, err
}

// readHoldCursor returns the id that a page of holds follows on; empty for the first page.
func readHoldCursor(after *string) (string, error) {
	if after == nil {
		return "", nil
	}
	place, err := decodeCursor(holdCursor, *after)
	if err != nil {
		return "", err
	}
	if id, err := checkUUID("after", "hold", place); err != nil || id != place {
		return "", badCursor()
	}
	return place, nil
}

func encodeVersion(kind string, version int64) string {
	return encodeCursor(kind, strconv.FormatInt(version, 10))
}

// readVersionCursor returns the version that a page of an account's history follows on; zero for the first page.
func readVersionCursor(kind string, after *string) (int64, error) {
	if after == nil {
		return 0, nil
	}
	place, err := decodeCursor(kind, *after)
	if err != nil {
		return 0, err
	}
	version, err := strconv.ParseInt(place, 10, 64)
	if err != nil || version < 1 || strconv.FormatInt(version, 10) != place {
		return 0, badCursor()
	}
	return version, nil
}
