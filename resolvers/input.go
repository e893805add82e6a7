package resolvers

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"daybook/domain"
)

// Bounds of what clients send, in characters.
const (
	maxAccountID      = 64
	maxIdempotencyKey = 128
	maxOwnerID        = 128
	maxExternal       = 64
	maxReason         = 256
	maxActorID        = 128
	maxActorType      = 64
	maxCorrelationID  = 64
	maxCursor         = 256
)

// The checks below refuse with BAD_USER_INPUT. None repeats the value: it may be long or hostile.

// checkAccountID takes 1 to 64 of A-Z a-z 0-9 _ -, beginning with a letter or digit.
func checkAccountID(field, id string) error {
	if len(id) > maxAccountID || !isName(id) || id[0] == '_' || id[0] == '-' {
		return badInput(field, "an account id must be 1 to %d of A-Z a-z 0-9 _ -, beginning with a letter or digit", maxAccountID)
	}
	return nil
}

// checkUUID takes the id of a transaction or hold, a UUID in its usual form, and returns it in lower case, as ids are
// kept.
func checkUUID(field, of, id string) (string, error) {
	const form = len("00000000-0000-0000-0000-000000000000")
	if _, err := uuid.Parse(id); err != nil || len(id) != form {
		return "", badInput(field, "a %s id must be a UUID such as 123e4567-e89b-42d3-a456-426614174000", of)
	}
	return strings.ToLower(id), nil
}

func checkIdempotencyKey(key string) error {
	if !isText(key, 1, maxIdempotencyKey, unicode.IsPrint) {
		return badInput("idempotencyKey", "an idempotency key must be 1 to %d printable characters", maxIdempotencyKey)
	}
	return nil
}

func checkOwnerID(owner string) error {
	if !isText(owner, 1, maxOwnerID, isNoControl) {
		return badInput("ownerId", "an owner id must be 1 to %d characters without control characters", maxOwnerID)
	}
	return nil
}

func checkExternal(name string) error {
	if len(name) > maxExternal || !isName(name) {
		return badInput("external", "the name of an outside source must be 1 to %d of A-Z a-z 0-9 _ -", maxExternal)
	}
	return nil
}

func checkReason(reason string) error {
	if !isText(reason, 0, maxReason, isNoControl) {
		return badInput("reason", "a reason must be at most %d characters without control characters", maxReason)
	}
	return nil
}

// checkGivenReason is for what must not happen without one.
func checkGivenReason(reason string) error {
	if reason == "" {
		return badInput("reason", "a reason must be given: 1 to %d characters without control characters", maxReason)
	}
	return checkReason(reason)
}

// isName tells whether s is one or more of A-Z a-z 0-9 _ -.
func isName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return s != ""
}

// isText tells whether s is valid UTF-8 of least to most characters, each allowed. U+FFFD is what decoders put in the
// place of broken input: two different broken keys would become one, so it is never allowed.
func isText(s string, least, most int, allowed func(rune) bool) bool {
	if len(s) > most*utf8.UTFMax {
		return false
	}
	n := 0
	for _, c := range s {
		if c == utf8.RuneError || !allowed(c) {
			return false
		}
		n++
	}
	return n >= least && n <= most
}

func isNoControl(c rune) bool { return !unicode.IsControl(c) }

// traceIDLength is that of the trace id in a trace context, which follows its version, in characters.
const traceIDLength = 32

// isTraceparent tells whether s is a W3C trace context of version 00: version, trace id, parent id, flags.
func isTraceparent(s string) bool {
	if len(s) != 55 || s[:3] != "00-" || s[35] != '-' || s[52] != '-' {
		return false
	}
	return isHex(s[3:35]) && isHex(s[36:52]) && isHex(s[53:]) &&
		strings.Trim(s[3:35], "0") != "" && strings.Trim(s[36:52], "0") != ""
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func badInput(field, format string, args ...any) error {
	return domain.Refuse(domain.BadUserInput, field, format, args...)
}
