package domain

import (
	"errors"
	"fmt"
	"testing"
)

func TestCodeIsFoundThroughWrapping(t *testing.T) {
	refusal := Refuse(HoldExpired, "holdId", "the hold of %s has expired", "12.50")
	for _, err := range []error{refusal, fmt.Errorf("deciding: %w", refusal), errors.Join(errors.New("other"), refusal)} {
		if got := CodeOf(err); got != HoldExpired {
			t.Errorf("%v has code %s, want %s", err, got, HoldExpired)
		}
	}
	if want := "HOLD_EXPIRED: the hold of 12.50 has expired"; refusal.Error() != want || refusal.Field != "holdId" {
		t.Errorf("the refusal says %q about %q, want %q", refusal.Error(), refusal.Field, want)
	}
}

func TestErrorWithoutCodeIsInternal(t *testing.T) {
	for _, err := range []error{nil, errors.New("broken"), fmt.Errorf("deciding: %w", errors.New("broken"))} {
		if got := CodeOf(err); got != Internal {
			t.Errorf("%v has code %s, want %s", err, got, Internal)
		}
	}
}
