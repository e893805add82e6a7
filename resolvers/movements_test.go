package resolvers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"daybook/domain"
	"daybook/internal/testenv"
)

const (
	movementFields = `transaction { id type status amount currency fromAccountId toAccountId reason holdId refundOf }`
	holdFields     = `hold { id accountId toAccountId currency amount captured released remaining status reason }`
	accountFields  = `account { id version balance held available }`
	errorFields    = `userErrors { field message code }`
)

// mutate runs a mutation whose input is written out, and returns its payload.
func (a *api) mutate(name, input string) answer {
	a.t.Helper()
	fields := movementFields
	switch name {
	case "authorizeHold", "voidHold":
		fields = holdFields
	case "captureHold":
		fields += holdFields
	case "changeAccountStatus", "changeAccountLimits", "createAccount":
		fields = ""
	}
	out := a.ask(fmt.Sprintf(`mutation { %s(input: {%s}) { %s %s %s } }`, name, input, fields, accountFields, errorFields))
	if payload, ok := out.at(name).(map[string]any); ok {
		out.Data = payload
	}
	return out
}

// done is mutate for what must be carried out.
func (a *api) done(name, input string) answer {
	a.t.Helper()
	out := a.mutate(name, input)
	if len(out.Errors) > 0 || fmt.Sprint(out.at("userErrors")) != "[]" {
		a.t.Fatalf("%s {%s}: got %+v %v", name, input, out.Errors, out.at("userErrors"))
	}
	return out
}

// funded opens ann with 100.00 and bob with nothing, both in EUR.
func funded(t *testing.T) *api {
	t.Helper()
	a := startNode(t)
	a.create("ann", "EUR")
	a.create("bob", "EUR")
	a.topUp("ann", "100.00", "fund", "id")
	return a
}

func TestMoneyIsPaidOut(t *testing.T) {
	a := funded(t)
	out := a.done("withdraw", `accountId: "ann", amount: "30", currency: "EUR", external: "bank", reason: "rent", idempotencyKey: "w"`)
	expect(t, out, map[string]any{
		"transaction.type": "WITHDRAWAL", "transaction.status": "COMPLETED", "transaction.amount": "30.00", "transaction.fromAccountId": "ann",
		"transaction.toAccountId": "external:bank:EUR", "transaction.reason": "rent", "account.balance": "70.00", "account.version": 3,
	})
}

func TestAPaymentIsRefundedInParts(t *testing.T) {
	a := funded(t)
	paid := a.done("pay", `fromAccountId: "ann", toAccountId: "bob", amount: "30.00", currency: "EUR", reason: "shoes", idempotencyKey: "p"`)
	expect(t, paid, map[string]any{"transaction.type": "PAYMENT", "transaction.status": "COMPLETED", "account.id": "ann", "account.balance": "70.00"})
	id := paid.at("transaction.id")

	part := a.done("refund", fmt.Sprintf(`paymentId: %q, amount: "12.5", reason: "worn", expectedVersion: 2, idempotencyKey: "r1"`, id))
	expect(t, part, map[string]any{
		"transaction.type": "REFUND", "transaction.status": "COMPLETED", "transaction.amount": "12.50", "transaction.fromAccountId": "bob",
		"transaction.toAccountId": "ann", "transaction.refundOf": id, "account.id": "bob", "account.balance": "17.50",
	})
	rest := a.done("refund", fmt.Sprintf(`paymentId: %q, idempotencyKey: "r2"`, strings.ToUpper(id.(string))))
	expect(t, rest, map[string]any{"transaction.amount": "17.50", "account.balance": "0.00"})

	// Then there is nothing left to refund, and a repeat has the answer it had.
	expect(t, a.mutate("refund", fmt.Sprintf(`paymentId: %q, amount: "0.01", idempotencyKey: "r3"`, id)), map[string]any{
		"userErrors.0.code": "REFUND_EXCEEDS_PAYMENT", "userErrors.0.field": "[input amount]", "transaction": nil, "account": nil,
		"userErrors.0.message": "all of the payment is refunded already, or on its way back",
	})
	expect(t, a.done("refund", fmt.Sprintf(`paymentId: %q, amount: "12.50", reason: "worn", expectedVersion: 2, idempotencyKey: "r1"`, id)),
		map[string]any{"transaction.id": part.at("transaction.id"), "transaction.amount": "12.50", "account.version": part.at("account.version")})
}

func TestAHoldIsCapturedInPartsAndItsRestReleased(t *testing.T) {
	a := funded(t)
	held := a.done("authorizeHold", `accountId: "ann", toAccountId: "bob", amount: "60.00", currency: "EUR", reason: "hotel", idempotencyKey: "h"`)
	expect(t, held, map[string]any{
		"hold.accountId": "ann", "hold.toAccountId": "bob", "hold.amount": "60.00", "hold.remaining": "60.00", "hold.status": "ACTIVE",
		"hold.reason": "hotel", "account.balance": "100.00", "account.held": "60.00", "account.available": "40.00",
	})
	id := held.at("hold.id").(string)
	expect(t, a.mutate("withdraw", `accountId: "ann", amount: "40.01", currency: "EUR", idempotencyKey: "w"`),
		map[string]any{"userErrors.0.code": "INSUFFICIENT_BALANCE", "userErrors.0.field": "[input amount]"})

	part := a.done("captureHold", fmt.Sprintf(`holdId: %q, amount: "25", reason: "night", expectedVersion: 3, idempotencyKey: "c1"`, id))
	expect(t, part, map[string]any{
		"transaction.type": "PAYMENT", "transaction.status": "COMPLETED", "transaction.amount": "25.00", "transaction.holdId": id,
		"transaction.toAccountId": "bob", "hold.captured": "25.00", "hold.remaining": "35.00", "hold.status": "ACTIVE",
		"account.balance": "75.00", "account.held": "35.00", "account.available": "40.00",
	})
	last := a.done("captureHold", fmt.Sprintf(`holdId: %q, amount: "5.00", final: true, idempotencyKey: "c2"`, id))
	expect(t, last, map[string]any{
		"transaction.amount": "5.00", "hold.captured": "30.00", "hold.released": "30.00", "hold.remaining": "0.00", "hold.status": "CAPTURED",
		"account.balance": "70.00", "account.held": "0.00",
	})
	expect(t, a.get(`{ account(id: "bob", atLeastVersion: 3) { balance } }`), map[string]any{"account.balance": "30.00"})
	// A capture is a payment: it can be refunded.
	expect(t, a.done("refund", fmt.Sprintf(`paymentId: %q, amount: "20.00", idempotencyKey: "r"`, part.at("transaction.id"))),
		map[string]any{"account.balance": "10.00"})
}

func TestAHoldIsVoided(t *testing.T) {
	a := funded(t)
	id := a.done("authorizeHold", `accountId: "ann", toAccountId: "bob", amount: "60.00", currency: "EUR", expiresAt: "`+
		time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)+`", idempotencyKey: "h"`).at("hold.id")
	expect(t, a.done("voidHold", fmt.Sprintf(`holdId: %q, reason: "no show", expectedVersion: 3, idempotencyKey: "v"`, id)), map[string]any{
		"hold.status": "VOIDED", "hold.released": "60.00", "account.held": "0.00", "account.available": "100.00",
	})
	testenv.Eventually(t, func() error {
		if out := a.get(fmt.Sprintf(`{ hold(id: %q) { status } }`, id)); out.at("hold.status") != "VOIDED" {
			return fmt.Errorf("the hold is read as %v", out.Data)
		}
		return nil
	})
}

func TestAHoldExpiresByItself(t *testing.T) {
	a := funded(t)
	id := a.done("authorizeHold", `accountId: "ann", toAccountId: "bob", amount: "60.00", currency: "EUR", expiresAt: "`+
		time.Now().Add(2*time.Second).UTC().Format(time.RFC3339Nano)+`", idempotencyKey: "h"`).at("hold.id")
	testenv.Eventually(t, func() error {
		out := a.get(fmt.Sprintf(`{ hold(id: %q) { status released } account(id: "ann") { available } }`, id))
		if out.at("hold.status") != "EXPIRED" || out.at("hold.released") != "60.00" || out.at("account.available") != "100.00" {
			return fmt.Errorf("got %v", out.Data)
		}
		return nil
	})
	expect(t, a.mutate("captureHold", fmt.Sprintf(`holdId: %q, idempotencyKey: "c"`, id)), map[string]any{
		"userErrors.0.code": "HOLD_EXPIRED", "userErrors.0.field": "[input holdId]", "userErrors.0.message": "the hold has expired; authorize a new one",
	})
}

// refusal is a mutation and the user error it gets.
type refusal struct {
	name, input string
	code        domain.Code
	field       string
	message     string
}

func TestRefusalsCarryCodeFieldAndWhatToDo(t *testing.T) {
	a := funded(t)
	a.create("usd", "USD")
	a.create("asleep", "EUR")
	a.create("gone", "EUR")
	a.topUp("asleep", "10.00", "fund", "id")
	topUp := a.topUp("ann", "1.00", "more", "version").at("topUp.transaction.id").(string)
	payment := a.done("pay", `fromAccountId: "ann", toAccountId: "bob", amount: "10.00", currency: "EUR", idempotencyKey: "p"`).at("transaction.id").(string)
	held := a.done("authorizeHold", `accountId: "asleep", toAccountId: "bob", amount: "10.00", currency: "EUR", idempotencyKey: "h"`).at("hold.id").(string)
	active := a.done("authorizeHold", `accountId: "ann", toAccountId: "bob", amount: "10.00", currency: "EUR", idempotencyKey: "h"`).at("hold.id").(string)
	voided := a.done("authorizeHold", `accountId: "ann", toAccountId: "bob", amount: "10.00", currency: "EUR", idempotencyKey: "h2"`).at("hold.id").(string)
	a.done("voidHold", `holdId: "`+voided+`", idempotencyKey: "v"`)
	a.done("changeAccountStatus", `accountId: "asleep", status: SUSPENDED, reason: "test", idempotencyKey: "s"`)
	a.done("changeAccountStatus", `accountId: "gone", status: CLOSED, reason: "test", idempotencyKey: "s"`)
	a.get(`{ account(id: "gone", atLeastVersion: 2) { id } }`)
	testenv.Eventually(t, func() error {
		if a.get(`{ transaction(id: "`+topUp+`") { id } }`).at("transaction") == nil {
			return fmt.Errorf("the read model does not know the top-up yet")
		}
		return nil
	})

	const nobody = "123e4567-e89b-42d3-a456-426614174000"
	const from, eur = `fromAccountId: "ann", toAccountId: `, `, amount: "1.00", currency: "EUR", idempotencyKey: "x"`
	for _, c := range []refusal{
		{"withdraw", `accountId: "nobody"` + eur, domain.AccountNotFound, "accountId", "no account has this id; check it or create the account first"},
		{"withdraw", `accountId: "ann", amount: "1000.00", currency: "EUR", idempotencyKey: "x"`, domain.InsufficientBalance, "amount", ""},
		{"withdraw", `accountId: "ann", amount: "1.00", currency: "USD", idempotencyKey: "x"`, domain.CurrencyMismatch, "currency", ""},
		{"withdraw", `accountId: "ann", amount: "1.001", currency: "EUR", idempotencyKey: "x"`, domain.InvalidAmount, "amount", ""},
		{"withdraw", `accountId: "asleep"` + eur, domain.AccountSuspended, "accountId", ""},
		{"withdraw", `accountId: "gone"` + eur, domain.AccountClosed, "accountId", ""},
		{"withdraw", `accountId: "ann", expectedVersion: 1` + eur, domain.VersionConflict, "expectedVersion", ""},
		{"withdraw", `accountId: "ann", amount: "1.00", currency: "EUR", idempotencyKey: "fund"`, domain.IdempotencyConflict, "idempotencyKey", ""},
		{"pay", from + `"ann"` + eur, domain.SameAccount, "toAccountId", ""},
		{"pay", from + `"gone"` + eur, domain.AccountClosed, "toAccountId", ""},
		{"pay", from + `"usd"` + eur, domain.CurrencyMismatch, "toAccountId", "the account on the other side is not kept in EUR; choose one that is"},
		{"refund", `paymentId: "` + nobody + `", idempotencyKey: "x"`, domain.TransactionNotFound, "paymentId", "no payment has this id; check it"},
		{"refund", `paymentId: "` + topUp + `", idempotencyKey: "x"`, domain.NotRefundable, "paymentId", "the transaction is a TOPUP; only a payment can be refunded"},
		{"refund", `paymentId: "` + payment + `", amount: "10.01", idempotencyKey: "x"`, domain.RefundExceedsPayment, "amount", "10.00 EUR of the payment can still be refunded; choose at most that"},
		{"refund", `paymentId: "` + payment + `", amount: "0.001", idempotencyKey: "x"`, domain.InvalidAmount, "amount", "the amount has more decimals than EUR, which has 2"},
		{"refund", `paymentId: "` + payment + `", expectedVersion: 1, idempotencyKey: "x"`, domain.VersionConflict, "expectedVersion", "the account has version 2, not the expected 1; read it again and decide anew"},
		{"captureHold", `holdId: "` + active + `", expectedVersion: 1, idempotencyKey: "x"`, domain.VersionConflict, "expectedVersion", ""},
		{"voidHold", `holdId: "` + active + `", expectedVersion: 1, idempotencyKey: "x"`, domain.VersionConflict, "expectedVersion", ""},
		{"authorizeHold", `accountId: "ann", toAccountId: "ann"` + eur, domain.SameAccount, "toAccountId", ""},
		{"authorizeHold", `accountId: "ann", toAccountId: "gone"` + eur, domain.AccountClosed, "toAccountId", ""},
		{"authorizeHold", `accountId: "ann", toAccountId: "bob", amount: "82.00", currency: "EUR", idempotencyKey: "x"`, domain.InsufficientBalance, "amount", ""},
		{"captureHold", `holdId: "` + nobody + `", idempotencyKey: "x"`, domain.HoldNotFound, "holdId", "no hold has this id; check it"},
		{"captureHold", `holdId: "` + voided + `", idempotencyKey: "x"`, domain.HoldNotActive, "holdId", "the hold was captured or voided already; authorize a new one"},
		{"captureHold", `holdId: "` + active + `", amount: "10.01", idempotencyKey: "x"`, domain.CaptureExceedsHold, "amount", "the hold keeps 10.00 EUR; choose at most that"},
		{"captureHold", `holdId: "` + active + `", amount: "1.001", idempotencyKey: "x"`, domain.InvalidAmount, "amount", ""},
		{"captureHold", `holdId: "` + held + `", idempotencyKey: "x"`, domain.AccountSuspended, "holdId", ""},
		{"voidHold", `holdId: "` + nobody + `", idempotencyKey: "x"`, domain.HoldNotFound, "holdId", ""},
		{"voidHold", `holdId: "` + voided + `", idempotencyKey: "x"`, domain.HoldNotActive, "holdId", ""},
		{"changeAccountStatus", `accountId: "asleep", status: CLOSED, reason: "test", idempotencyKey: "x"`, domain.AccountNotEmpty, "status", ""},
		{"changeAccountLimits", `accountId: "ann", limits: {minBalance: "100"}, reason: "test", idempotencyKey: "x"`, domain.BalanceLimitExceeded, "limits.minBalance", ""},
		{"createAccount", `id: "ann", ownerId: "o", currency: "EUR", idempotencyKey: "x"`, domain.AccountExists, "id", ""},
	} {
		t.Run(c.name+" "+string(c.code), func(t *testing.T) {
			out := a.mutate(c.name, c.input)
			expect(t, out, map[string]any{
				"userErrors.0.code": c.code, "userErrors.0.field": append([]string{"input"}, strings.Split(c.field, ".")...), "account": nil,
			})
			if c.message != "" {
				expect(t, out, map[string]any{"userErrors.0.message": c.message})
			}
			if len(out.Errors) > 0 {
				t.Errorf("got %+v", out.Errors)
			}
		})
	}
	// Nothing of this changed anything.
	expect(t, a.get(`{ account(id: "ann", atLeastVersion: 7) { version balance held } }`), map[string]any{"account.version": 7, "account.balance": "91.00", "account.held": "10.00"})
}

func TestAnExpiryOutOfBoundsIsRefused(t *testing.T) {
	a := funded(t)
	for name, at := range map[string]time.Time{"past": time.Now().Add(-time.Second), "far": time.Now().Add(367 * 24 * time.Hour)} {
		out := a.mutate("authorizeHold", `accountId: "ann", toAccountId: "bob", amount: "1.00", currency: "EUR", expiresAt: "`+
			at.UTC().Format(time.RFC3339)+`", idempotencyKey: "`+name+`"`)
		if out.code() != "BAD_USER_INPUT" || fmt.Sprint(out.Errors[0].Extensions.Field) != "[input expiresAt]" {
			t.Errorf("%s: got %+v", name, out.Errors)
		}
	}
}
