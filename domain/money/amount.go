package money

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"

	"daybook/domain"
)

// MaxIntegerDigits bounds an amount: at most this many digits before the point.
const MaxIntegerDigits = 14

// maxDecimals is what the currencies with the most decimals have.
const maxDecimals = 4

// anyCurrency stands for the one that an amount turns out to be in.
const anyCurrency Currency = ""

// maxLength bounds the text of an amount before anything looks at it: sign, digits, point, decimals.
const maxLength = 1 + MaxIntegerDigits + 1 + maxDecimals

// maxBalances holds MaxBalance by scale. Exponents are the currency's, not that of decimal.New(1, 18): comparing equal
// exponents needs no rescaling.
var maxBalances = maxBalanceTable()

func maxBalanceTable() map[int32]decimal.Decimal {
	table := map[int32]decimal.Decimal{}
	for _, scale := range scales {
		units := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(18+scale)), nil)
		table[scale] = decimal.NewFromBigInt(units, -scale)
	}
	return table
}

// MaxBalance is the greatest balance an account can have: 10^18 whole units, at the currency's scale.
func MaxBalance(c Currency) decimal.Decimal { return maxBalances[c.Scale()] }

// ParseAmount reads a positive amount of the currency, such as "12.5" or "12.50" for EUR.
// It refuses with INVALID_AMOUNT whatever is not digits with an optional fraction, is zero, is longer than
// MaxIntegerDigits before the point, or has more decimals than the currency.
func ParseAmount(s string, c Currency) (decimal.Decimal, error) { return positive(parse(s, c, false)) }

// ParseAnyAmount reads a positive amount of a currency that is not known yet: as ParseAmount, with as many decimals as
// any currency has. Fit brings it to the currency's scale.
func ParseAnyAmount(s string) (decimal.Decimal, error) { return positive(parse(s, anyCurrency, false)) }

func positive(d decimal.Decimal, err error) (decimal.Decimal, error) {
	if err != nil {
		return decimal.Zero, err
	}
	if d.IsZero() {
		return decimal.Zero, invalid("the amount must be greater than zero")
	}
	return d, nil
}

// ParseBound reads a limit of a balance: as ParseAmount, but zero and negative values are allowed.
func ParseBound(s string, c Currency) (decimal.Decimal, error) { return parse(s, c, true) }

// ParseAnyBound reads a limit in a currency that is not known yet, as ParseAnyAmount.
func ParseAnyBound(s string) (decimal.Decimal, error) { return parse(s, anyCurrency, true) }

// Fit brings a number to the scale of a currency. It refuses with INVALID_AMOUNT what has more decimals than that.
func Fit(d decimal.Decimal, c Currency) (decimal.Decimal, error) {
	scale := c.Scale()
	if d.Exponent() == -scale {
		return d, nil
	}
	fitted := d.Truncate(scale)
	if !fitted.Equal(d) {
		return d, invalid("the amount has more decimals than %s, which has %d", c, scale)
	}
	return fitted.Add(decimal.New(0, -scale)), nil // The sum has the finer exponent of the two.
}

// maxUnitDigits bounds the coefficients that are handled as an int64: any number of so many digits fits.
const maxUnitDigits = 18

// ParseTrusted reads an amount that Format wrote. It accepts all that decimal.NewFromString does, with the same result,
// and is quick at the usual: it is for what was validated when it was written, never for input.
func ParseTrusted(s string) (decimal.Decimal, error) {
	digits, negative := strings.CutPrefix(s, "-")
	if len(digits) == 0 || len(digits) > maxUnitDigits {
		return decimal.NewFromString(s)
	}
	var units int64
	decimals, point := 0, false
	for i := range len(digits) {
		switch c := digits[i]; {
		case c >= '0' && c <= '9':
			units = units*10 + int64(c-'0')
			if point {
				decimals++
			}
		case c == '.' && !point && i > 0 && i < len(digits)-1:
			point = true
		default:
			return decimal.NewFromString(s)
		}
	}
	if negative {
		units = -units
	}
	return decimal.New(units, -int32(decimals)), nil
}

// Format renders an amount at the scale of its currency, "12.50" for EUR.
func Format(d decimal.Decimal, c Currency) string { return string(AppendFormat(nil, d, c)) }

// AppendFormat appends what Format returns.
func AppendFormat(b []byte, d decimal.Decimal, c Currency) []byte {
	scale := c.Scale()
	if d.Exponent() != -scale || d.NumDigits() > maxUnitDigits {
		return append(b, d.StringFixed(scale)...)
	}
	units := d.CoefficientInt64()
	if units < 0 {
		b, units = append(b, '-'), -units
	}
	power := powers[scale]
	b = strconv.AppendInt(b, units/power, 10)
	if scale == 0 {
		return b
	}
	b = append(b, '.')
	for rest := units % power; power > 1; rest %= power {
		power /= 10
		b = append(b, byte('0'+rest/power))
	}
	return b
}

// powers holds the minor units in a whole one, by scale.
var powers = [...]int64{1, 10, 100, 1000, 10_000}

func parse(s string, c Currency, signed bool) (decimal.Decimal, error) {
	if len(s) > maxLength {
		return decimal.Zero, invalid("the amount is too long: at most %d digits before the point and %d after it", MaxIntegerDigits, maxDecimals)
	}
	digits := s
	if signed && len(s) > 0 && s[0] == '-' {
		digits = s[1:]
	}
	whole, fraction, point := split(digits)
	if len(whole) == 0 || (point && len(fraction) == 0) || !onlyDigits(whole) || !onlyDigits(fraction) {
		if signed {
			return decimal.Zero, invalid("a limit must be digits with an optional fraction, and a minus before them where it is below zero, for example -12.50, without exponent")
		}
		return decimal.Zero, invalid("the amount must be digits with an optional fraction, for example 12.50, without sign or exponent")
	}
	if len(whole) > MaxIntegerDigits {
		return decimal.Zero, invalid("the amount is too long: at most %d digits before the point", MaxIntegerDigits)
	}
	scale := int32(maxDecimals)
	if c != anyCurrency {
		scale = c.Scale()
	}
	if len(fraction) > int(scale) && c == anyCurrency {
		return decimal.Zero, invalid("the amount has more than %d decimals, which no currency has", maxDecimals)
	}
	if len(fraction) > int(scale) {
		return decimal.Zero, invalid("the amount has more decimals than %s, which has %d", c, scale)
	}
	return build(whole, fraction, len(digits) != len(s), scale), nil
}

// build makes the decimal at exactly the currency's scale: equal exponents keep later arithmetic cheap. It always
// fits an int64: 14 digits before the point and at most four after it.
func build(whole, fraction string, negative bool, scale int32) decimal.Decimal {
	var v int64
	for i := range len(whole) {
		v = v*10 + int64(whole[i]-'0')
	}
	for i := range int(scale) {
		v *= 10
		if i < len(fraction) {
			v += int64(fraction[i] - '0')
		}
	}
	if negative {
		v = -v
	}
	return decimal.New(v, -scale)
}

func split(s string) (whole, fraction string, point bool) {
	for i := range len(s) {
		if s[i] == '.' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func onlyDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func invalid(format string, args ...any) error {
	return domain.Refuse(domain.InvalidAmount, "amount", format, args...)
}
