package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/ids"
	"daybook/projector"
)

// fillBatch is how many events one batch of the log has, as of an engine under load.
const fillBatch = 500

// Project fills the account topic with events of top-ups and transfers and measures how many a second the projector
// brings into the database, from its start until it has caught up. Beside it stands a bare insert of the very same rows
// in the same batches, prepared in memory, into the other database. Both databases are new.
func Project(ctx context.Context, client *kafka.Client, partitions int32, url, bareURL string, events int) (projectorPerSecond, barePerSecond float64, err error) {
	if err := fill(ctx, client, partitions, events); err != nil {
		return 0, 0, fmt.Errorf("filling the log: %w", err)
	}
	ends := map[int32]int64{}
	var total int64
	for p := range partitions {
		if ends[p], err = client.EndOffset(eventstore.AccountEvents, p); err != nil {
			return 0, 0, err
		}
		total += ends[p]
	}
	config := projector.Config{LogID: "bench", Clock: time.Now, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	took, err := project(ctx, client, config, url, ends)
	if err != nil {
		return 0, 0, fmt.Errorf("projecting: %w", err)
	}
	config.URL = bareURL
	rows, bare, err := projector.BareInsert(ctx, config, client, partitions)
	if err != nil {
		return 0, 0, fmt.Errorf("inserting: %w", err)
	}
	return float64(total) / took.Seconds(), float64(rows) / bare.Seconds(), nil
}

func project(ctx context.Context, client *kafka.Client, config projector.Config, url string, ends map[int32]int64) (time.Duration, error) {
	config.URL = url
	model, err := projector.Open(ctx, config)
	if err != nil {
		return 0, err
	}
	defer model.Close() //nolint:errcheck // A benchmark's rows are thrown away.
	p := projector.NewProjector(projector.ProjectorConfig{Log: client, Model: model, Partitions: int32(len(ends)), Logger: config.Logger})
	all := make([]int32, 0, len(ends))
	for id := range ends {
		all = append(all, id)
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	began := time.Now()
	p.Assign(all)
	go func() { ended <- p.Run(ctx) }()
	for !caughtUp(p, ends) && ctx.Err() == nil {
		wait(ctx, time.Millisecond)
	}
	took := time.Since(began)
	err = ctx.Err()
	stop()
	if runErr := <-ended; err == nil {
		err = runErr
	}
	return took, err
}

func caughtUp(p *projector.Projector, ends map[int32]int64) bool {
	for _, s := range p.Status() {
		if s.Topic == eventstore.AccountEvents && s.Position < ends[s.Partition] {
			return false
		}
	}
	return true
}

// fill writes accounts and then top-ups and transfers of random ones, in batches to each partition.
func fill(ctx context.Context, client *kafka.Client, partitions int32, events int) error {
	f := filler{client: client, states: map[string]account.State{}, waiting: map[int32][]eventstore.Message{}, partitions: partitions}
	run := strings.ReplaceAll(ids.New(), "-", "")
	names := make([]string, accounts)
	for i := range names {
		names[i] = fmt.Sprintf("bench-%s-%d", run, i)
		if err := f.record(ctx, names[i], &account.Created{OwnerID: "bench", Type: account.User, Currency: "EUR"}); err != nil {
			return err
		}
	}
	for n := accounts; n < events; {
		from, to := names[rand.IntN(accounts)], names[rand.IntN(accounts)]
		m := account.Movement{
			Amount: decimal.New(rand.Int64N(10_000)+1, -2), Currency: "EUR", TransactionID: ids.New(), TransactionType: account.Transfer,
			CounterpartyID: to, Reason: "Rent for December",
		}
		debit, err := account.DecideDebit(f.states[from], m)
		if from == to || err != nil {
			m.TransactionType, m.CounterpartyID, to = account.Topup, "external:bench:EUR", from
		} else {
			if err := f.record(ctx, from, debit); err != nil {
				return err
			}
			m.CounterpartyID = from
			n++
		}
		credit, err := account.DecideCredit(f.states[to], m)
		if err != nil {
			return err
		}
		if err := f.record(ctx, to, credit); err != nil {
			return err
		}
		n++
	}
	return f.flush(ctx, 1)
}

type filler struct {
	client     *kafka.Client
	partitions int32
	states     map[string]account.State
	waiting    map[int32][]eventstore.Message
}

func (f *filler) record(ctx context.Context, id string, data account.Event) error {
	now := time.Now().Truncate(time.Millisecond)
	s := f.states[id]
	f.states[id] = s.Apply(id, data, now)
	m, err := eventstore.Encode(&eventstore.Event{
		ID: ids.New(), AggregateID: id, Version: s.Version + 1, Timestamp: now, CorrelationID: ids.New(), CausationID: ids.New(),
		Metadata: eventstore.Metadata{ActorID: "user_123", ActorType: "api"}, IdempotencyKey: ids.New(), Data: data,
	})
	if err != nil {
		return err
	}
	p := eventstore.PartitionOf(id, f.partitions)
	f.waiting[p] = append(f.waiting[p], m)
	return f.flush(ctx, fillBatch)
}

// flush writes what waits for the partitions that have at least so much.
func (f *filler) flush(ctx context.Context, least int) error {
	for p, messages := range f.waiting {
		if len(messages) < least {
			continue
		}
		appender := f.client.OpenAppender(eventstore.AccountEvents, p)
		err := appender.Append(ctx, messages)
		_ = appender.Close()
		if err != nil {
			return err
		}
		f.waiting[p] = nil
	}
	return nil
}
