// Package money parses and renders amounts: exact decimals at the scale of an ISO 4217 currency.
package money

import (
	"strings"

	"daybook/domain"
)

// Currency is an active ISO 4217 code in upper case.
type Currency string

// The codes of ISO 4217 (list one, 2026) by the number of decimals of their minor unit. Codes without a minor unit
// (gold, testing, drawing rights) are no money that an account can hold.
const (
	scale0 = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
	scale2 = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE " +
		"CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD " +
		"HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP " +
		"MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD " +
		"SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS " +
		"VED VES WST XCD XCG YER ZAR ZMW ZWG"
	scale3 = "BHD IQD JOD KWD LYD OMR TND"
	scale4 = "CLF UYW"
)

// scales is built by a function rather than in init, so that what depends on it is initialised after it.
var scales = scaleTable()

func scaleTable() map[Currency]int32 {
	table := map[Currency]int32{}
	for scale, codes := range map[int32]string{0: scale0, 2: scale2, 3: scale3, 4: scale4} {
		for _, code := range strings.Fields(codes) {
			table[Currency(code)] = scale
		}
	}
	return table
}

// ParseCurrency accepts an active ISO 4217 code in upper case and refuses all else with BAD_USER_INPUT.
func ParseCurrency(s string) (Currency, error) {
	if _, ok := scales[Currency(s)]; !ok {
		return "", domain.Refuse(domain.BadUserInput, "currency", "the currency must be an active ISO 4217 code in upper case, for example EUR")
	}
	return Currency(s), nil
}

// Scale returns the number of decimals of the currency's minor unit, 2 for EUR.
func (c Currency) Scale() int32 { return scales[c] }

// All returns every known currency, in no order.
func All() []Currency {
	all := make([]Currency, 0, len(scales))
	for c := range scales {
		all = append(all, c)
	}
	return all
}
