package money

import (
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"daybook/domain"
)

func TestAnAmountOfACurrencyNotKnownYetHasAtMostAsManyDecimalsAsAnyHas(t *testing.T) {
	for _, text := range []string{"1", "1.5", "0.0001", "99999999999999.9999"} {
		d, err := ParseAnyAmount(text)
		if err != nil || d.StringFixed(4) != decimal.RequireFromString(text).StringFixed(4) {
			t.Errorf("%s was read as %s, %v", text, d, err)
		}
		if bound, err := ParseAnyBound("-" + text); err != nil || !bound.Equal(d.Neg()) {
			t.Errorf("-%s was read as %s, %v", text, bound, err)
		}
	}
	for _, text := range []string{"0.00001", "0", "0.0000", "-1", "1e3", "", ".5", "999999999999999"} {
		_, err := ParseAnyAmount(text)
		if domain.CodeOf(err) != domain.InvalidAmount {
			t.Errorf("%s was answered %v", text, err)
		}
	}
	if _, err := ParseAnyAmount("0.00001"); !strings.Contains(err.Error(), "no currency has") {
		t.Errorf("answered %v", err)
	}
}
