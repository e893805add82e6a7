package money

import (
	"errors"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"daybook/domain"
)

func TestAmountIsReadAtTheScaleOfItsCurrency(t *testing.T) {
	for _, tc := range []struct {
		text     string
		currency Currency
		want     string
	}{
		{"1", "JPY", "1"},
		{"99999999999999", "JPY", "99999999999999"},
		{"007", "JPY", "7"},
		{"12.50", "EUR", "12.50"},
		{"12.5", "EUR", "12.50"},
		{"12", "EUR", "12.00"},
		{"0.01", "EUR", "0.01"},
		{"0.10", "EUR", "0.10"},
		{"00000000000001", "EUR", "1.00"},
		{"99999999999999.99", "EUR", "99999999999999.99"},
		{"0.001", "KWD", "0.001"},
		{"1.5", "KWD", "1.500"},
		{"99999999999999.999", "KWD", "99999999999999.999"},
		{"0.0001", "CLF", "0.0001"},
		{"99999999999999.9999", "CLF", "99999999999999.9999"},
	} {
		got, err := ParseAmount(tc.text, tc.currency)
		if err != nil {
			t.Errorf("%s %s: %v", tc.text, tc.currency, err)
			continue
		}
		if Format(got, tc.currency) != tc.want || got.Exponent() != -tc.currency.Scale() {
			t.Errorf("%s %s is %s at exponent %d, want %s", tc.text, tc.currency, Format(got, tc.currency), got.Exponent(), tc.want)
		}
	}
}

// malformed is refused as an amount and as a bound of a balance alike.
var malformed = map[string]string{
	"nothing":                 "",
	"a space":                 " ",
	"a space before":          " 1",
	"a space after":           "1 ",
	"a space within":          "1 000",
	"a tab":                   "\t1",
	"a line break":            "1\n",
	"a no-break space":        "1\u00a0000",
	"a plus sign":             "+1",
	"two minus signs":         "--1",
	"a minus sign only":       "-",
	"a trailing minus":        "1-",
	"a typographic minus":     "\u22121",
	"a sign in the fraction":  "1.-5",
	"an exponent":             "1e2",
	"a capital exponent":      "1E2",
	"a negative exponent":     "1e-2",
	"a huge exponent":         "1e999999999",
	"a comma":                 "12,50",
	"thousands":               "1,000.00",
	"an underscore":           "1_000",
	"an apostrophe":           "1'000",
	"only a point":            ".",
	"nothing before point":    ".5",
	"nothing after point":     "5.",
	"two points":              "1.2.3",
	"two points together":     "1..2",
	"hexadecimal":             "0x10",
	"letters":                 "ten",
	"infinity":                "Inf",
	"not a number":            "NaN",
	"a fraction":              "1/2",
	"a currency":              "EUR 1",
	"a currency sign":         "€1",
	"a percentage":            "1%",
	"a NUL":                   "1\x00",
	"a NUL first":             "\x001",
	"Arabic digits":           "\u0661\u0662",
	"full-width digits":       "\uff11\uff12",
	"superscript":             "1\u00b2",
	"a zero-width space":      "1\u200b",
	"a byte order mark":       "\ufeff1",
	"invalid UTF-8":           "1\xff",
	"quotes":                  `"1"`,
	"15 digits":               "100000000000000",
	"15 digits, zeros first":  "000000000000001",
	"100,000 digits":          strings.Repeat("9", 100_000),
	"100,000 zeros":           strings.Repeat("0", 100_000),
	"100,000 decimals":        "1." + strings.Repeat("0", 100_000),
	"100,000 points":          strings.Repeat(".", 100_000),
	"one decimal too many":    "1.001",
	"a zero decimal too many": "1.000",
}

func TestMalformedAmountsAreRefused(t *testing.T) {
	for name, text := range malformed {
		t.Run(name, func(t *testing.T) {
			if d, err := ParseAmount(text, "EUR"); domain.CodeOf(err) != domain.InvalidAmount || !d.Equal(decimal.Zero) {
				t.Errorf("as an amount: %s, %v; want %s", d, err, domain.InvalidAmount)
			}
			if d, err := ParseBound(text, "EUR"); domain.CodeOf(err) != domain.InvalidAmount || !d.Equal(decimal.Zero) {
				t.Errorf("as a bound: %s, %v; want %s", d, err, domain.InvalidAmount)
			}
		})
	}
}

func TestATooLongAmountIsToldWhatMayBeBeforeThePointAndAfterIt(t *testing.T) {
	for text, want := range map[string]string{
		"1." + strings.Repeat("0", 100_000): "the amount is too long: at most 14 digits before the point and 4 after it",
		strings.Repeat("9", 100_000):        "the amount is too long: at most 14 digits before the point and 4 after it",
		strings.Repeat("9", 15):             "the amount is too long: at most 14 digits before the point",
	} {
		var refused *domain.Refusal
		if _, err := ParseAmount(text, "EUR"); !errors.As(err, &refused) || refused.Message != want {
			t.Errorf("%.20s…: got %v, want %s", text, err, want)
		}
	}
}

func TestDecimalsBeyondTheCurrencysAreRefusedEvenWhenZero(t *testing.T) {
	for text, c := range map[string]Currency{
		"1.0": "JPY", "1.00": "KRW", "0.5": "JPY", "1.234": "USD", "1.230": "USD", "1.2345": "KWD", "1.0000": "BHD", "1.23456": "CLF",
	} {
		if _, err := ParseAmount(text, c); domain.CodeOf(err) != domain.InvalidAmount || !strings.Contains(err.Error(), string(c)) {
			t.Errorf("%s %s: %v; want %s that names the currency", text, c, err, domain.InvalidAmount)
		}
	}
}

func TestZeroIsNoAmountButABound(t *testing.T) {
	for _, text := range []string{"0", "0.0", "0.00", "00000000000000.00"} {
		if _, err := ParseAmount(text, "EUR"); domain.CodeOf(err) != domain.InvalidAmount {
			t.Errorf("ParseAmount(%s): %v, want %s", text, err, domain.InvalidAmount)
		}
		if d, err := ParseBound(text, "EUR"); err != nil || Format(d, "EUR") != "0.00" {
			t.Errorf("ParseBound(%s): %s, %v; want zero", text, d, err)
		}
	}
}

func TestNegativeIsNoAmountButABound(t *testing.T) {
	for text, want := range map[string]string{
		"-1": "-1.00", "-0.01": "-0.01", "-99999999999999.99": "-99999999999999.99", "-0": "0.00", "-0.00": "0.00",
	} {
		if _, err := ParseAmount(text, "EUR"); domain.CodeOf(err) != domain.InvalidAmount {
			t.Errorf("ParseAmount(%s): %v, want %s", text, err, domain.InvalidAmount)
		}
		if d, err := ParseBound(text, "EUR"); err != nil || Format(d, "EUR") != want {
			t.Errorf("ParseBound(%s): %s, %v; want %s", text, d, err, want)
		}
	}
}

func TestRefusalsNeverRepeatTheInput(t *testing.T) {
	for _, text := range []string{"4111-1111-1111-1111", "<script>", "secret"} {
		if _, err := ParseAmount(text, "EUR"); err == nil || strings.Contains(err.Error(), text) {
			t.Errorf("the refusal of %q says %v", text, err)
		}
	}
}

var wellFormed = regexp.MustCompile(`^([0-9]{1,14})(?:\.([0-9]{1,4}))?$`)

// checkAmount compares ParseAmount with what its documentation says, decided by other means.
func checkAmount(t interface{ Fatalf(string, ...any) }, text string, c Currency) {
	got, err := ParseAmount(text, c)
	parts := wellFormed.FindStringSubmatch(text)
	ok := parts != nil && len(parts[2]) <= int(c.Scale()) && strings.Trim(text, "0.") != ""
	if !ok {
		if domain.CodeOf(err) != domain.InvalidAmount || !got.Equal(decimal.Zero) {
			t.Fatalf("ParseAmount(%q, %s) = %s, %v; want %s", text, c, got, err, domain.InvalidAmount)
		}
		return
	}
	if err != nil {
		t.Fatalf("ParseAmount(%q, %s): %v", text, c, err)
	}
	if !got.Equal(decimal.RequireFromString(text)) || got.Exponent() != -c.Scale() {
		t.Fatalf("ParseAmount(%q, %s) = %s at exponent %d", text, c, got, got.Exponent())
	}
	if again, err := ParseAmount(Format(got, c), c); err != nil || !again.Equal(got) {
		t.Fatalf("%q %s, rendered as %s, is read as %s, %v", text, c, Format(got, c), again, err)
	}
}

func TestParseAmountAcceptsExactlyWhatItSays(t *testing.T) {
	texts := rapid.OneOf(
		rapid.StringMatching(`[0-9]{1,15}(\.[0-9]{1,5})?`),
		rapid.StringMatching(`[-+]?0{0,15}[0-9]{0,16}\.?[0-9]{0,6}([eE][-+]?[0-9]{1,3})?`),
		rapid.StringOf(rapid.RuneFrom([]rune("0123456789.-+eE, _\x00\u0661"))),
		rapid.String(),
	)
	rapid.Check(t, func(t *rapid.T) {
		checkAmount(t, texts.Draw(t, "text"), rapid.SampledFrom([]Currency{"JPY", "EUR", "KWD", "CLF"}).Draw(t, "currency"))
	})
}

func FuzzParseAmount(f *testing.F) {
	for _, text := range malformed {
		if len(text) < 100 {
			f.Add(text)
		}
	}
	for _, text := range []string{"0", "1", "12.50", "99999999999999.9999", "0.0001", "-1", "-0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, c := range []Currency{"JPY", "EUR", "KWD", "CLF"} {
			checkAmount(t, text, c)
		}
	})
}

func TestFormatIsTheDecimalAtTheScaleOfItsCurrency(t *testing.T) {
	all := All()
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(all).Draw(t, "currency")
		units := new(big.Int).Mul(big.NewInt(rapid.Int64().Draw(t, "units")), big.NewInt(rapid.Int64Range(1, 1e6).Draw(t, "factor")))
		d := decimal.NewFromBigInt(units, rapid.SampledFrom([]int32{-c.Scale(), -c.Scale(), -c.Scale() - 2, 0, 3}).Draw(t, "exponent"))
		want := d.StringFixed(c.Scale())
		if got := Format(d, c); got != want {
			t.Fatalf("Format(%#v, %s) = %s, want %s", d, c, got, want)
		}
		if got := string(AppendFormat([]byte("at "), d, c)); got != "at "+want {
			t.Fatalf("AppendFormat(%#v, %s) = %s, want at %s", d, c, got, want)
		}
	})
}

func TestNumbersAreFittedToTheScaleOfTheirCurrency(t *testing.T) {
	for _, tc := range []struct {
		text     string
		currency Currency
		want     string
	}{
		{"12.50", "EUR", "12.50"}, {"12.5", "EUR", "12.50"}, {"12", "EUR", "12.00"}, {"12.5000", "EUR", "12.50"}, {"1e2", "EUR", "100.00"},
		{"-0.5", "EUR", "-0.50"}, {"0", "EUR", "0.00"}, {"0.0000", "EUR", "0.00"}, {"99999999999999.9900", "EUR", "99999999999999.99"},
		{"7.0000", "JPY", "7"}, {"-7", "JPY", "-7"}, {"7", "KWD", "7.000"}, {"0.0010", "KWD", "0.001"}, {"1.5", "CLF", "1.5000"},
	} {
		got, err := Fit(decimal.RequireFromString(tc.text), tc.currency)
		if err != nil || got.Exponent() != -tc.currency.Scale() || got.StringFixed(tc.currency.Scale()) != tc.want {
			t.Errorf("%s %s is fitted to %#v, %v; want %s", tc.text, tc.currency, got, err, tc.want)
		}
	}
}

func TestNumbersWithMoreDecimalsThanTheCurrencyDoNotFit(t *testing.T) {
	for text, c := range map[string]Currency{
		"0.5": "JPY", "0.0001": "JPY", "12.501": "EUR", "-0.001": "EUR", "0.0099": "EUR", "1.0001": "KWD", "1.00001": "CLF",
	} {
		_, err := Fit(decimal.RequireFromString(text), c)
		var refused *domain.Refusal
		if !errors.As(err, &refused) || refused.Code != domain.InvalidAmount || refused.Field != "amount" || !strings.Contains(refused.Message, string(c)) {
			t.Errorf("%s %s: %v; want %s that names the currency", text, c, err, domain.InvalidAmount)
		}
	}
}

func TestFitChangesNoValue(t *testing.T) {
	all := All()
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(all).Draw(t, "currency")
		units, decimals := rapid.Int64().Draw(t, "units"), rapid.Int32Range(0, 6).Draw(t, "decimals")
		d := decimal.New(units, -decimals)
		got, err := Fit(d, c)
		power := int64(1)
		for range decimals - c.Scale() {
			power *= 10
		}
		if fits := units%power == 0; fits != (err == nil) || !got.Equal(d) || fits && got.Exponent() != -c.Scale() {
			t.Fatalf("%s is fitted to %#v of %s, %v", d, got, c, err)
		}
	})
}

// checkTrusted compares ParseTrusted with the library, exponent and error included.
func checkTrusted(t interface{ Fatalf(string, ...any) }, text string) {
	got, err := ParseTrusted(text)
	want, wantErr := decimal.NewFromString(text)
	if (err == nil) != (wantErr == nil) || !got.Equal(want) || got.Exponent() != want.Exponent() {
		t.Fatalf("ParseTrusted(%q) = %#v, %v; decimal.NewFromString gives %#v, %v", text, got, err, want, wantErr)
	}
}

func TestParseTrustedReadsWhatTheLibraryDoes(t *testing.T) {
	for _, text := range malformed {
		checkTrusted(t, text)
	}
	rapid.Check(t, func(t *rapid.T) {
		checkTrusted(t, rapid.OneOf(
			rapid.StringMatching(`-?[0-9]{1,20}(\.[0-9]{1,4})?`),
			rapid.StringMatching(`[-+]{0,2}[0-9]{0,3}\.?[-+]?[0-9]{0,3}\.?([eE][-+]?[0-9]{0,3})?`),
			rapid.StringOf(rapid.RuneFrom([]rune("0123456789.-+eE_\u2212"))),
		).Draw(t, "text"))
	})
}

func TestParseTrustedReadsBackWhatFormatWrote(t *testing.T) {
	for _, c := range []Currency{"JPY", "EUR", "KWD", "CLF"} {
		for _, units := range []int64{0, 1, -1, 9, 10, 99, -100, 12345, 999_999_999_999_999_999, -999_999_999_999_999_999, 1 << 62} {
			d := decimal.New(units, -c.Scale())
			if got, err := ParseTrusted(Format(d, c)); err != nil || !got.Equal(d) || got.Exponent() != d.Exponent() {
				t.Errorf("%s %s is read back as %#v, %v", Format(d, c), c, got, err)
			}
		}
	}
}
