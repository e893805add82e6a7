package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"daybook/internal/bench"
	"daybook/internal/bench/baseline"
)

// benchPart is what can be measured by itself.
type benchPart struct {
	name, what string
	measure    func(b *backendBench, ctx context.Context) error
}

var benchParts = []benchPart{
	{"topups", "(a) top-ups through the engine", (*backendBench).topUps},
	{"http", "(b) top-ups over HTTP and (c) their way to subscribers", (*backendBench).http},
	{"projector", "(d) the projector by itself", (*backendBench).project},
	{"transfers", "(e) transfers through the engine and (f) over HTTP", (*backendBench).transfers},
	{"batch", "(g) many transfers a request", (*backendBench).batches},
	{"completed", "(h) the time until a transfer between partitions is completed", (*backendBench).completed},
	{"sustained", "(i) transfers for long, with the projector keeping up", (*backendBench).sustained},
	{"snapshot", "(j) state restored from checkpoints, on Apache Kafka", (*backendBench).snapshot},
	{"overload", "(k) more transfers over HTTP than a node takes", (*backendBench).overload},
}

// Pushes are measured at half of what the first number of clients reach.
var (
	engineCallers   = [...]int{64, 512}
	topUpClients    = [...]int{64, 256}
	transferClients = [...]int{64, 512}
	// With more clients the large batches only wait longer, and the small ones are no faster.
	batchLoads       = [...]batchLoad{{size: 100, clients: 16}, {size: 1000, clients: 4}}
	completedCallers = [...]int{8, 64}
	// The first number is what transfers are measured with; a node executes 2,048 requests at once.
	overloadClients = [...]int{512, 2000, 8000}
)

// batchLoad is how many clients at once send batches of a size.
type batchLoad struct{ size, clients int }

func (b *backendBench) topUps(ctx context.Context) error {
	all, err := bench.SampleTopUp(true)
	if err != nil {
		return err
	}
	accountEvents, err := bench.SampleTopUp(false)
	if err != nil {
		return err
	}
	for _, callers := range engineCallers {
		b.say("top-ups, %d callers", callers)
		err := b.fresh(func(c *cluster, partitions int32, dir string) error {
			rawAll, err := bench.Raw(ctx, c.client, partitions, all, callers, b.lab.duration)
			if err != nil {
				return err
			}
			measured, err := bench.Engine(ctx, c.client, partitions, filepath.Join(dir, "state"), callers, b.lab.duration)
			if err != nil {
				return err
			}
			rawAccountEvents, err := bench.Raw(ctx, c.client, partitions, accountEvents, callers, b.lab.duration)
			if err != nil {
				return err
			}
			name := fmt.Sprintf("(a) top-ups, %d callers", callers)
			b.table.Add(name, measured, "raw, the same bytes", &rawAll)
			b.table.Add(name+", account events only", measured, "raw, without transaction events", &rawAccountEvents)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *backendBench) http(ctx context.Context) error {
	b.say("top-ups over HTTP, and pushes")
	return b.node(ctx, func(n bench.Node) error {
		for i, callers := range topUpClients {
			empty, err := bench.EmptyHTTP(ctx, callers, b.lab.duration)
			if err != nil {
				return err
			}
			measured, err := bench.HTTP(ctx, n.URL, callers, b.lab.duration)
			if err != nil {
				return err
			}
			b.table.Add(fmt.Sprintf("(b) top-ups over HTTP, %d clients", callers), measured, "gqlgen, empty mutation", &empty)
			if i > 0 {
				continue
			}
			pushed, err := bench.Push(ctx, n.URL, measured.PerSecond/2, b.lab.duration)
			if err != nil {
				return err
			}
			b.table.Add("(c) decision to push, half load", pushed, "", nil)
		}
		return nil
	})
}

func (b *backendBench) project(ctx context.Context) error {
	b.say("projector")
	err := b.fresh(func(c *cluster, partitions int32, dir string) error {
		return b.scratch(ctx, dir, func(url string) error {
			return b.scratch(ctx, dir, func(bareURL string) error {
				projected, bare, err := bench.Project(ctx, c.client, partitions, url, bareURL, b.lab.events)
				if err != nil {
					return err
				}
				b.table.Add("(d) account events projected", projected, "bare bulk insert", &bare)
				return nil
			})
		})
	})
	if err != nil {
		return err
	}
	return b.fresh(func(c *cluster, partitions int32, dir string) error {
		return b.scratch(ctx, dir, func(url string) error {
			transfers, events, err := bench.ProjectTransfers(ctx, c.client, partitions, url, b.lab.events/4)
			if err != nil {
				return err
			}
			b.table.Add("(d) transfers projected", transfers, "", nil)
			b.table.Add("(d) their events", events, "", nil)
			return nil
		})
	})
}

func (b *backendBench) transfers(ctx context.Context) error {
	sample, err := bench.SampleTransfer()
	if err != nil {
		return err
	}
	for _, callers := range engineCallers {
		b.say("transfers, %d callers", callers)
		err := b.fresh(func(c *cluster, partitions int32, dir string) error {
			raw, err := bench.Raw(ctx, c.client, partitions, sample, callers, b.lab.duration)
			if err != nil {
				return err
			}
			measured, err := bench.Transfers(ctx, c.client, partitions, filepath.Join(dir, "state"), callers, b.lab.duration)
			b.table.Add(fmt.Sprintf("(e) transfers, %d callers", callers), measured, "raw, the same bytes", &raw)
			return err
		})
		if err != nil {
			return err
		}
	}
	var behindHTTP, direct [len(transferClients)]*bench.Result
	for i, clients := range transferClients {
		if behindHTTP[i], err = b.baselineHTTP(ctx, clients, b.lab.duration); err != nil {
			return err
		}
		direct[i], err = b.baseline(ctx, fmt.Sprintf("PostgreSQL, %d callers", clients), func(url string) (bench.Result, error) {
			return baseline.Transfers(ctx, url, clients, b.lab.duration)
		})
		if err != nil {
			return err
		}
	}
	return b.node(ctx, func(n bench.Node) error {
		for i, clients := range transferClients {
			b.say("transfers over HTTP, %d clients", clients)
			measured, err := bench.HTTPTransfers(ctx, n.URL, n.Partitions, clients, b.lab.duration)
			if err != nil {
				return err
			}
			name := fmt.Sprintf("(f) transfers over HTTP, %d clients", clients)
			b.table.Add(name, measured, "PostgreSQL behind HTTP", behindHTTP[i])
			if direct[i] != nil {
				b.table.Add(name, measured, "PostgreSQL from Go", direct[i])
			}
		}
		return nil
	})
}

func (b *backendBench) batches(ctx context.Context) error {
	sample, err := bench.SampleTransfer()
	if err != nil {
		return err
	}
	first, last, err := b.bulk(ctx, b.lab.duration)
	if err != nil {
		return err
	}
	var raw [len(batchLoads)]bench.Result
	for i, load := range batchLoads {
		b.say("batches of %d", load.size)
		err := b.fresh(func(c *cluster, partitions int32, dir string) error {
			var err error
			if raw[i], err = bench.RawBatches(ctx, c.client, partitions, sample, load.size, load.clients, b.lab.duration); err != nil {
				return err
			}
			measured, err := bench.Batches(ctx, c.client, partitions, filepath.Join(dir, "state"), load.size, load.clients, b.lab.duration)
			b.table.Add(fmt.Sprintf("(g) transfers, %d a batch, %d callers", load.size, load.clients), measured, "raw, the same bytes", &raw[i])
			return err
		})
		if err != nil {
			return err
		}
	}
	return b.node(ctx, func(n bench.Node) error {
		for i, load := range batchLoads {
			b.say("batches of %d over HTTP", load.size)
			measured, err := bench.HTTPBatches(ctx, n.URL, n.Partitions, load.size, load.clients, b.lab.duration)
			if err != nil {
				return err
			}
			name := fmt.Sprintf("(g) transfers over HTTP, %d a request, %d clients", load.size, load.clients)
			b.table.Add(name, measured, "raw, the same bytes", &raw[i])
			b.addBulk(name, measured, first, last)
		}
		return nil
	})
}

func (b *backendBench) completed(ctx context.Context) error {
	for _, callers := range completedCallers {
		b.say("time until completed, %d callers", callers)
		err := b.fresh(func(c *cluster, partitions int32, dir string) error {
			if partitions < 2 {
				return nil // Nothing lies between them.
			}
			completed, commit, err := bench.Completion(ctx, c.client, partitions, filepath.Join(dir, "state"), callers, b.lab.duration)
			b.table.Add(fmt.Sprintf("(h) completed between partitions, %d callers", callers), completed, "within one, in the same load", &commit)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *backendBench) sustained(ctx context.Context) error {
	d := b.lab.sustained
	if d == 0 || b.run > 1 {
		return nil
	}
	clients, load := transferClients[len(transferClients)-1], batchLoads[len(batchLoads)-1]
	behindHTTP, err := b.baselineHTTP(ctx, clients, d)
	if err != nil {
		return err
	}
	first, last, err := b.bulk(ctx, d)
	if err != nil {
		return err
	}
	b.say("transfers over HTTP for %s, %d clients", d, clients)
	err = b.node(ctx, func(n bench.Node) error {
		tell, done := b.passing()
		defer done()
		measured, err := bench.SustainedTransfers(ctx, n, clients, d, tell)
		b.table.Add(fmt.Sprintf("(i) sustained transfers over HTTP, %d clients", clients), measured, "PostgreSQL behind HTTP, as long", behindHTTP)
		return err
	})
	if err != nil {
		return err
	}
	b.say("batches of %d over HTTP for %s", load.size, d)
	return b.node(ctx, func(n bench.Node) error {
		tell, done := b.passing()
		defer done()
		measured, err := bench.SustainedBatches(ctx, n, load.size, load.clients, d, tell)
		name := fmt.Sprintf("(i) sustained transfers over HTTP, %d a request, %d clients", load.size, load.clients)
		if first == nil {
			b.table.Add(name, measured, "", nil)
			return err
		}
		b.addBulk(name, measured, first, last)
		return err
	})
}

func (b *backendBench) overload(ctx context.Context) error {
	return b.node(ctx, func(n bench.Node) error {
		for _, clients := range overloadClients {
			b.say("transfers over HTTP, %d clients", clients)
			accepted, refused, err := bench.Overload(ctx, n.URL, n.Partitions, clients, b.lab.duration)
			if err != nil {
				return err
			}
			b.table.Add(fmt.Sprintf("(k) transfers accepted, %d clients", clients), accepted, "refused as OVERLOADED", &refused)
		}
		return nil
	})
}

// passing shows how much of a long load has passed.
func (b *backendBench) passing() (tell func(passed time.Duration), done func()) {
	p := newProgress(b.lab.progress, "seconds")
	return func(passed time.Duration) { p.show(int64(passed.Seconds()), int64(b.lab.sustained.Seconds())) }, p.end
}

func (b *backendBench) baselineHTTP(ctx context.Context, clients int, d time.Duration) (*bench.Result, error) {
	return b.baseline(ctx, fmt.Sprintf("PostgreSQL behind HTTP for %s, %d clients", d, clients), func(url string) (bench.Result, error) {
		return baseline.TransfersHTTP(ctx, url, clients, d)
	})
}

// bulk measures the baseline's statements with many transfers, in both orders.
func (b *backendBench) bulk(ctx context.Context, d time.Duration) (lockFirst, lockLast *bench.Result, err error) {
	measure := func(name string, order baseline.Order) (*bench.Result, error) {
		return b.baseline(ctx, fmt.Sprintf("PostgreSQL, %d a statement for %s, %s", baseline.BulkTransfers, d, name), func(url string) (bench.Result, error) {
			return baseline.Bulk(ctx, url, order, d)
		})
	}
	if lockFirst, err = measure("locking first", baseline.LockFirst); err != nil {
		return nil, nil, err
	}
	lockLast, err = measure("locking last", baseline.LockLast)
	return lockFirst, lockLast, err
}

func (b *backendBench) addBulk(name string, measured bench.Result, lockFirst, lockLast *bench.Result) {
	if lockFirst != nil {
		beside := fmt.Sprintf("PostgreSQL, %d a statement, locking ", baseline.BulkTransfers)
		b.table.Add(name, measured, beside+"first", lockFirst)
		b.table.Add(name, measured, beside+"last", lockLast)
	}
}
