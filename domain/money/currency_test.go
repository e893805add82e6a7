package money

import (
	"testing"

	"daybook/domain"
)

// The scales are those of ISO 4217, which differ from the CLDR's: the yardstick here is the standard's own table.
func TestScaleIsTheMinorUnitOfTheStandard(t *testing.T) {
	for code, want := range map[string]int32{
		"EUR": 2, "USD": 2, "GBP": 2, "CHF": 2, "AFN": 2, "IRR": 2, "LAK": 2, "LBP": 2, "MGA": 2, "MRU": 2, "RSD": 2,
		"HUF": 2, "TWD": 2, "CZK": 2, "IDR": 2, "COP": 2, "ZWG": 2, "XCG": 2, "SLE": 2, "VED": 2, "MXV": 2, "CHE": 2, "BOV": 2,
		"JPY": 0, "KRW": 0, "CLP": 0, "ISK": 0, "UGX": 0, "VND": 0, "XAF": 0, "XOF": 0, "XPF": 0, "UYI": 0, "PYG": 0,
		"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
		"CLF": 4, "UYW": 4,
	} {
		c, err := ParseCurrency(code)
		if err != nil {
			t.Errorf("%s: %v", code, err)
			continue
		}
		if c.Scale() != want {
			t.Errorf("%s has %d decimals, want %d", code, c.Scale(), want)
		}
	}
}

func TestEveryCurrencyIsThreeLettersWithAScale(t *testing.T) {
	all := All()
	if len(all) != 164 { // Active codes of list one less those without a minor unit.
		t.Errorf("%d currencies, want 164", len(all))
	}
	for _, c := range all {
		if len(c) != 3 || c[0] < 'A' || c[0] > 'Z' || c[1] < 'A' || c[1] > 'Z' || c[2] < 'A' || c[2] > 'Z' {
			t.Errorf("%q is not three capital letters", c)
		}
		if got := c.Scale(); got != 0 && got != 2 && got != 3 && got != 4 {
			t.Errorf("%s has %d decimals", c, got)
		}
	}
}

func TestWhatIsNoActiveCurrencyIsRefused(t *testing.T) {
	for _, code := range []string{
		"", "eur", "Eur", " EUR", "EUR ", "EU", "EURO", "EUR\x00", "ＥＵＲ", "E\u200bUR", "123",
		"XAU", "XAG", "XDR", "XXX", "XTS", "XSU", "XUA", // No minor unit.
		"DEM", "HRK", "BGN", "ANG", "CUC", "SLL", "ZWL", "VEF", "STD", "MRO", "BYR", // Withdrawn.
	} {
		if c, err := ParseCurrency(code); domain.CodeOf(err) != domain.BadUserInput || c != "" {
			t.Errorf("ParseCurrency(%q) = %q, %v; want %s", code, c, err, domain.BadUserInput)
		}
	}
}

func TestMaxBalanceIsTenToTheEighteenWholeUnitsAtScale(t *testing.T) {
	for c, want := range map[Currency]string{
		"JPY": "1000000000000000000", "EUR": "1000000000000000000.00", "KWD": "1000000000000000000.000",
		"CLF": "1000000000000000000.0000",
	} {
		got := MaxBalance(c)
		if Format(got, c) != want || got.Exponent() != -c.Scale() {
			t.Errorf("MaxBalance(%s) = %s at exponent %d, want %s", c, Format(got, c), got.Exponent(), want)
		}
	}
}
