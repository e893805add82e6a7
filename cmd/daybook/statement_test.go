package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/projector"
)

// uncounted has two changes, and takes too long to count them.
type uncounted struct{ asked int }

func (u *uncounted) Statement(context.Context, string, time.Time, time.Time) (projector.Statement, error) {
	return projector.Statement{AccountID: "a", Currency: "EUR", Version: 3, Closing: decimal.NewNullDecimal(decimal.New(2, 0))}, nil
}

func (u *uncounted) CountChanges(context.Context, projector.ChangesQuery) (int64, error) {
	u.asked++
	return 0, domain.Refuse(domain.ReadTimeout, "", "the query takes too long")
}

func (u *uncounted) EachChange(_ context.Context, _ projector.ChangesQuery, use func(*projector.Change) error) error {
	for i := range int64(2) {
		change := account.BalanceChanged{ChangeType: account.Credit, ChangeAmount: decimal.New(1, 0), NewBalance: decimal.New(i+1, 0), Currency: "EUR"}
		if err := use(&projector.Change{AccountID: "a", Version: i + 2, BalanceChanged: change}); err != nil {
			return err
		}
	}
	return nil
}

func TestAStatementDoesNotHangOnTheCountOfItsChanges(t *testing.T) {
	terminal, err := os.Create(filepath.Join(t.TempDir(), "terminal"))
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	for name, c := range map[string]struct {
		shown         *progress
		counts        int
		told, missing string
	}{
		"somebody looks": {&progress{to: terminal, unit: "changes written"}, 1, "1 changes written", " of "},
		"nobody looks":   {&progress{}, 0, "", "written"},
	} {
		if err := terminal.Truncate(0); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		u := &uncounted{}
		err := writeStatement(t.Context(), u, projector.ChangesQuery{AccountID: "a"}, c.shown, &out)
		if rows := strings.Split(strings.TrimSpace(out.String()), "\n"); err != nil || len(rows) != 5 || !strings.HasPrefix(rows[4], ",,CLOSING BALANCE,,,,2.00,EUR") {
			t.Errorf("%s: %v, got\n%s", name, err, out.String())
		}
		told, err := os.ReadFile(terminal.Name())
		if err != nil || u.asked != c.counts || !strings.Contains(string(told), c.told) || strings.Contains(string(told), c.missing) {
			t.Errorf("%s: counted %d times, %v, told %q", name, u.asked, err, told)
		}
	}
}
