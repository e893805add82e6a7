package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"github.com/urfave/cli/v3"

	"daybook/domain/money"
	"daybook/eventstore"
	"daybook/projector"
)

const (
	flagAccount = "account"
	flagFrom    = "from"
	flagTo      = "to"
	flagOutput  = "output"
)

func statementCommand() *cli.Command {
	return &cli.Command{
		Name:  "statement",
		Usage: "export an account's statement as CSV",
		Description: "Writes the opening balance, every change with --from <= time < --to, and the closing balance, as the read\n" +
			"model has them. Beside a running node it reads what that node has projected so far.\n\n" +
			"Example:\n" +
			"  daybook statement --account alice --from 2026-01-01 --to 2026-02-01 --output january.csv",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: flagAccount, Required: true, Usage: "the `ID` of the account"},
			&cli.StringFlag{Name: flagFrom, Usage: "the first `MOMENT`: a date (midnight UTC), or RFC 3339 with a zone", DefaultText: "the beginning"},
			&cli.StringFlag{Name: flagTo, Usage: "the `MOMENT` before which it ends", DefaultText: "now"},
			&cli.StringFlag{Name: flagOutput, Usage: "the `FILE` to write, which must not exist", DefaultText: "standard output"},
		}, storageFlags()...),
		Action: runStatement,
	}
}

func runStatement(ctx context.Context, c *cli.Command) (err error) {
	cfg, err := readConfig(c)
	if err != nil {
		return err
	}
	q := projector.ChangesQuery{AccountID: c.String(flagAccount)}
	if q.From, err = readMoment(c, flagFrom); err != nil {
		return err
	}
	if q.To, err = readMoment(c, flagTo); err != nil {
		return err
	}
	if !q.From.IsZero() && !q.To.IsZero() && q.From.After(q.To) {
		return fmt.Errorf("--%s must not be after --%s", flagFrom, flagTo)
	}
	model, err := existingModel(ctx, cfg, "", cfg.logger(os.Stderr))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, model.Close()) }()
	progress := newProgress(os.Stderr, "changes written")
	to := c.Root().Writer
	path := c.String(flagOutput)
	if path == "" {
		return writeStatement(ctx, model, q, progress, to)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making the file for --%s: %w", flagOutput, err)
	}
	if err := errors.Join(writeStatement(ctx, model, q, progress, file), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path)) // Half a statement is none.
	}
	return nil
}

// readMoment reads a date or a moment; its zero value when the flag is not given.
func readMoment(c *cli.Command, flag string) (time.Time, error) {
	text := c.String(flag)
	if text == "" && !c.IsSet(flag) {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("--%s must be a date such as 2026-01-31 or a moment such as 2026-01-31T12:00:00Z", flag)
}

var statementColumns = []string{
	"time", "version", "type", "counterparty", "reason", "amount", "balance", "currency", "transaction_id", "hold_id", "refund_of",
}

// statements is what a statement is read from.
type statements interface {
	Statement(ctx context.Context, accountID string, from, to time.Time) (projector.Statement, error)
	CountChanges(ctx context.Context, q projector.ChangesQuery) (int64, error)
	EachChange(ctx context.Context, q projector.ChangesQuery, use func(*projector.Change) error) error
}

func writeStatement(ctx context.Context, model statements, q projector.ChangesQuery, progress *progress, to io.Writer) error {
	s, err := model.Statement(ctx, q.AccountID, q.From, q.To)
	if err != nil {
		return err
	}
	if s.Currency == "" {
		return errors.New("the read model has no such account: check its id, or name the database that daybook serve works on")
	}
	// What is projected from here on is not part of it: the changes fit the closing balance.
	q.ThroughVersion = s.Version
	total := int64(unknown)
	if progress.shows() { // Counting a long history can take too long, beside a busy node above all. That it is written does not hang on it.
		if n, err := model.CountChanges(ctx, q); err == nil {
			total = n
		}
	}
	out := csv.NewWriter(to)
	defer progress.end()
	rows := [][]string{statementColumns, balanceRow("OPENING BALANCE", q.From, s.Opening, s.Currency)}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("writing the statement: %w", err)
	}
	var done int64
	err = model.EachChange(ctx, q, func(c *projector.Change) error {
		done++
		progress.show(done, total)
		return out.Write(changeRow(c))
	})
	if err != nil {
		return err
	}
	if err := out.WriteAll([][]string{balanceRow("CLOSING BALANCE", q.To, s.Closing, s.Currency)}); err != nil {
		return fmt.Errorf("writing the statement: %w", err)
	}
	return nil
}

// balanceRow is a line of the statement that is no change. Before the account was created there is no balance.
func balanceRow(kind string, at time.Time, balance decimal.NullDecimal, c money.Currency) []string {
	row := make([]string, len(statementColumns))
	if !at.IsZero() {
		row[0] = eventstore.FormatTime(at)
	}
	row[2], row[7] = kind, string(c)
	if balance.Valid {
		row[6] = money.Format(balance.Decimal, c)
	}
	return row
}

func changeRow(c *projector.Change) []string {
	kind := string(c.TransactionType)
	if c.Reversal {
		kind += " REVERSAL"
	}
	return []string{
		eventstore.FormatTime(c.Timestamp), strconv.FormatInt(c.Version, 10), kind, c.CounterpartyID, plain(c.Reason),
		money.Format(c.SignedAmount(), c.Currency), money.Format(c.NewBalance, c.Currency), string(c.Currency), c.TransactionID, c.HoldID, c.RefundOf,
	}
}

// plain keeps a spreadsheet from taking a client's text for a formula.
func plain(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
