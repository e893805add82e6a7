package projector

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/money"
	"daybook/eventstore"
)

// maxDifferences bounds how many differences a report keeps; all are counted.
const maxDifferences = 100

// VerifyConfig is what Verify works with. All but Progress is required.
type VerifyConfig struct {
	Log   Log
	Model *ReadModel
	// Partitions is the number of partitions of the event topics.
	Partitions int32
	// Progress, when set, is called now and then with the number of offsets read and to be read.
	Progress func(done, total int64)
}

// Difference is one thing that is not as it must be.
type Difference struct {
	// Subject is the id of an account, hold or transaction, a currency, or "ledger".
	Subject string
	// Partition and Offset tell where in the log it shows; Offset is -1 when it shows in the read model only.
	Partition int32
	Offset    int64
	// Message is a sentence that says what is wrong.
	Message string
}

// InTransit is what has left source accounts and has not arrived, which is not wrong while transfers are going on.
type InTransit struct {
	Currency  money.Currency
	Amount    decimal.Decimal
	Transfers int64
}

// Report is the outcome of a verification.
type Report struct {
	// Accounts, Events, Holds and Transactions count what the log holds up to the positions of the read model.
	Accounts, Events, Holds, Transactions int64
	// Unfinished counts the transactions among them that are neither completed nor compensated.
	Unfinished int64
	// InTransit tells, for each currency that has some, what unfinished transfers hold.
	InTransit []InTransit
	// UncheckedIDs counts the events beyond the number whose ids can be remembered: a repeat among them is only noticed
	// by its version.
	UncheckedIDs int64
	// Differences are the first ones found; Found counts all.
	Differences []Difference
	Found       int64
}

// OK tells whether nothing is wrong.
func (r *Report) OK() bool { return r.Found == 0 }

func (r *Report) differ(d Difference) {
	if r.Found++; len(r.Differences) < maxDifferences {
		r.Differences = append(r.Differences, d)
	}
}

// Verify folds the log up to the positions of the read model and compares the two, account by account and event by
// event; holds, transactions and the sums of the ledger too. It also checks the log's own promises. It may run beside
// everything else: the read model is seen as it was at one moment. It keeps in memory one state and one sum per account,
// one state per hold, one sum per payment that was refunded, the transfers on their way, the hashes of event ids (a
// bounded number), and one sum per bucket of the ledger and per transaction of the partition at hand.
func Verify(ctx context.Context, cfg VerifyConfig) (Report, error) {
	s, err := cfg.Model.snapshot(ctx)
	if err != nil {
		return Report{}, err
	}
	defer s.close()
	positions, err := s.positions(ctx)
	if err != nil {
		return Report{}, err
	}
	v := &verifier{cfg: cfg, positions: positions, snapshot: s, report: &Report{}, books: newBooks(cfg.Partitions)}
	v.books.differ = v.report.differ
	for at, next := range positions {
		if at.partition < 0 || at.partition >= cfg.Partitions {
			v.report.differ(Difference{Subject: at.topic, Partition: at.partition, Offset: -1,
				Message: fmt.Sprintf("the read model has a partition that the topic, with %d, has not", cfg.Partitions)})
			continue
		}
		v.total += next
	}
	for _, step := range []func(context.Context) error{
		v.foldAccounts, v.compareEvents, v.checkRefunds, v.compareHolds, v.compareLedger, v.compareAccounts, v.compareTransactions, v.settle,
	} {
		if err := step(ctx); err != nil {
			return Report{}, err
		}
	}
	v.finish()
	return *v.report, nil
}

type verifier struct {
	cfg         VerifyConfig
	positions   map[place]int64
	snapshot    *snapshot
	report      *Report
	books       *books
	done, total int64
}

// source reads one partition up to an offset.
type source struct {
	place
	reader     eventstore.Reader
	next, end  int64
	lastMoment time.Time
}

func (v *verifier) open(topic string, partition int32, from, end int64) (*source, error) {
	reader, err := v.cfg.Log.OpenReader(topic, partition)
	if err != nil {
		return nil, fmt.Errorf("reading %s/%d: %w", topic, partition, err)
	}
	return &source{place: place{topic, partition}, reader: reader, next: from, end: end}, nil
}

// read gives the next events before the end. It fails when the log ends before that.
func (v *verifier) read(ctx context.Context, s *source) ([]eventstore.Recorded, error) {
	before := s.next
	chunk, err := s.reader.Read(ctx, s.next, pollWait)
	if err != nil {
		return nil, fmt.Errorf("reading %s/%d: %w", s.topic, s.partition, err)
	}
	if chunk.HighWater < s.end {
		return nil, fmt.Errorf("the log of %s/%d ends at offset %d and the read model is at %d: it belongs to another log, or the log lost its end",
			s.topic, s.partition, chunk.HighWater, s.end)
	}
	var events []eventstore.Recorded
	for i := range chunk.Messages {
		m := &chunk.Messages[i]
		if m.Offset >= s.end {
			break
		}
		e, err := eventstore.Decode(m)
		if err == nil && !ofTopic(s.topic, &e) {
			err = fmt.Errorf("the event at offset %d is a %s and does not belong there", m.Offset, e.Data.EventType())
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s/%d: %w", s.topic, s.partition, err)
		}
		events = append(events, eventstore.Recorded{Event: e, Partition: s.partition, Offset: m.Offset})
		s.lastMoment = e.Timestamp
	}
	s.next = min(chunk.Next, s.end)
	v.progress(s.next - before)
	return events, nil
}

func (v *verifier) progress(n int64) {
	v.done = min(v.done+n, v.total)
	if v.cfg.Progress != nil {
		v.cfg.Progress(v.done, v.total)
	}
}

// foldAccounts folds the account events of all partitions, always going on where time has come least far: so what is
// remembered of transfers between partitions is little more than what was on its way at one moment.
func (v *verifier) foldAccounts(ctx context.Context) error {
	var sources []*source
	defer func() {
		for _, s := range sources {
			_ = s.reader.Close()
		}
	}()
	for p := range v.cfg.Partitions {
		s, err := v.open(eventstore.AccountEvents, p, 0, v.positions[place{eventstore.AccountEvents, p}])
		if err != nil {
			return err
		}
		sources = append(sources, s)
	}
	for {
		var earliest *source
		for _, s := range sources {
			if s.next < s.end && (earliest == nil || s.lastMoment.Before(earliest.lastMoment)) {
				earliest = s
			}
		}
		if earliest == nil {
			return nil
		}
		events, err := v.read(ctx, earliest)
		if err != nil {
			return err
		}
		for i := range events {
			if err := v.books.post(&events[i]); err != nil {
				return err
			}
		}
	}
}

// compareEvents takes every row of account_events off its account's sum, in whatever order they come.
func (v *verifier) compareEvents(ctx context.Context) error {
	return v.snapshot.events(ctx, func(r *eventRow) error {
		a := v.books.accounts[r.AccountID]
		if a == nil {
			v.report.differ(onlyModel(r.AccountID, r.Partition, fmt.Sprintf("the read model has an event, version %d, of an account of which the log has none", r.Version)))
			return nil
		}
		a.rows++
		e, err := r.event()
		if err != nil {
			v.report.differ(onlyModel(r.AccountID, r.Partition, fmt.Sprintf("the row of version %d cannot be read: %s", r.Version, err)))
			return nil
		}
		v.books.receive(&e)
		sum, err := v.books.digest(&eventstore.Recorded{Event: e, Partition: r.Partition, Offset: r.LogOffset}, r.Balance)
		a.sum -= sum
		return err
	})
}

// compareAccounts compares the rows of accounts with the fold, and then what compareEvents has left.
func (v *verifier) compareAccounts(ctx context.Context) error {
	err := v.snapshot.accounts(ctx, func(r *accountRow) error {
		a := v.books.accounts[r.ID]
		if a == nil {
			v.report.differ(onlyModel(r.ID, r.Partition, "the read model has an account of which the log has no event"))
			return nil
		}
		a.seen = true
		want := newAccountRow(&a.state, a.partition)
		if d := differences(accountRows{want}, accountRows{*r}, &accountsTable); d != "" {
			v.report.differ(onlyModel(r.ID, r.Partition, "the account differs: "+d))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for id, a := range v.books.accounts {
		switch {
		case !a.seen:
			v.report.differ(onlyModel(id, a.partition, "the read model lacks the account"))
		case a.rows != a.events:
			v.report.differ(onlyModel(id, a.partition, fmt.Sprintf("the log has %d events of the account and the read model %d", a.events, a.rows)))
		case a.sum != 0:
			v.report.differ(onlyModel(id, a.partition, "the account's events in the read model are not those in the log"))
		}
		v.report.Events += a.events
	}
	v.report.Accounts = int64(len(v.books.accounts))
	v.books.accounts = nil // The transactions need the memory.
	return nil
}

func onlyModel(subject string, partition int32, message string) Difference {
	return Difference{Subject: subject, Partition: partition, Offset: -1, Message: message}
}

// differences names the columns in which two rows differ, with what the log and the read model have; empty when none.
func differences(log, model rowSource, t *table) string {
	var all []string
	for i, column := range t.columns {
		if a, b := log.value(0, i), model.value(0, i); a != b {
			all = append(all, fmt.Sprintf("%s is %s by the log and %s in the read model", column.name, a.show(), b.show()))
		}
	}
	return strings.Join(all, ", ")
}

func (v value) show() string {
	if v.isNumber {
		return fmt.Sprint(v.number)
	}
	return fmt.Sprintf("%q", v.text)
}

// finish reports what is in transit, and what the sums say.
func (v *verifier) finish() {
	v.report.UncheckedIDs = v.books.uncheckedIDs
	v.report.InTransit = v.books.inTransit()
	v.books.balance()
	slices.SortStableFunc(v.report.Differences, func(a, b Difference) int { return strings.Compare(a.Subject, b.Subject) })
}
