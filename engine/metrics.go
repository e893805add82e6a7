package engine

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"daybook/domain"
	"daybook/engine/ledger"
	"daybook/internal/observe"
)

// metrics are what an engine counts. What depends on a label is resolved once: a command costs no look-up unless it is
// refused.
type metrics struct {
	commands [len(commandNames)]prometheus.Observer
	refused  *prometheus.CounterVec
	// A command's time by part. All but the queue's is observed once for a batch.
	queue, decide, write, answer prometheus.Observer
	batchCommands, batchBytes    prometheus.Observer
	takeover                     prometheus.Observer
	takeovers                    []prometheus.Counter
}

// newMetrics registers the metrics, nowhere when to is nil.
func newMetrics(to prometheus.Registerer, partitions int32) *metrics {
	register := promauto.With(to)
	commands := register.NewHistogramVec(prometheus.HistogramOpts{
		Name: "daybook_command_seconds", Buckets: observe.Seconds,
		Help: "Time from a command's arrival at the engine to its answer, whatever the answer is.",
	}, []string{"command"})
	stages := register.NewHistogramVec(prometheus.HistogramOpts{
		Name: "daybook_command_stage_seconds", Buckets: observe.Seconds,
		Help: "Time of commands by part: queue for each command; decide, write and answer once for each batch.",
	}, []string{"stage"})
	m := &metrics{
		refused: register.NewCounterVec(prometheus.CounterOpts{
			Name: "daybook_commands_refused_total", Help: "Commands that were not carried out, or of which a caller who waited was told that it is not known, by code.",
		}, []string{"code"}),
		queue: stages.WithLabelValues("queue"), decide: stages.WithLabelValues("decide"),
		write: stages.WithLabelValues("write"), answer: stages.WithLabelValues("answer"),
		batchCommands: register.NewHistogram(prometheus.HistogramOpts{
			Name: "daybook_batch_commands", Help: "Clients' commands decided in one batch.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 13),
		}),
		batchBytes: register.NewHistogram(prometheus.HistogramOpts{
			Name: "daybook_batch_bytes", Help: "Size of the batches written to the log, in bytes.",
			Buckets: prometheus.ExponentialBuckets(512, 4, 9),
		}),
		takeover: register.NewHistogram(prometheus.HistogramOpts{
			Name: "daybook_takeover_seconds", Help: "Time that taking a partition over took.", Buckets: observe.Seconds,
		}),
	}
	for i, name := range commandNames {
		m.commands[i] = commands.WithLabelValues(name)
	}
	// Those that alarms are about exist from the start: a rate does not see the first of a new series.
	for _, code := range []domain.Code{domain.Overloaded, domain.Unavailable, domain.OutcomeUnknown, domain.Internal} {
		m.refused.WithLabelValues(string(code))
	}
	takeovers := register.NewCounterVec(prometheus.CounterOpts{
		Name: "daybook_takeovers_total", Help: "How often this node took the partition over.",
	}, []string{"partition"})
	for p := range partitions {
		m.takeovers = append(m.takeovers, takeovers.WithLabelValues(strconv.Itoa(int(p))))
	}
	return m
}

// answered counts a command and what it was answered. That a caller hung up while its command was on its way is no sign that
// the log does not answer, which is what the count of unknown outcomes is about.
func (e *Engine) answered(ctx context.Context, c ledger.Command, began time.Time, err error) {
	e.metrics.commands[kindOf(c)].Observe(e.since(began))
	if err == nil {
		return
	}
	code := domain.CodeOf(err)
	if code != domain.OutcomeUnknown || !errors.Is(ctx.Err(), context.Canceled) {
		e.metrics.refused.WithLabelValues(string(code)).Inc()
	}
	e.cfg.Logger.Debug("a command was refused", "command", commandNames[kindOf(c)], "code", code)
}

func (e *Engine) since(t time.Time) float64 { return e.cfg.Clock().Sub(t).Seconds() }

// moments are when what happened to a batch. Of a parcel that other nodes answered there is only when it came back.
type moments struct{ began, decided, written, back time.Time }

// deciding and the methods that follow note how far a batch has come.
func (o *owner) deciding(b *batch) { b.moments = &moments{began: o.engine.cfg.Clock()} }

func (o *owner) decided(b *batch) {
	m := o.engine.metrics
	b.moments.decided = o.engine.cfg.Clock()
	m.decide.Observe(b.moments.decided.Sub(b.moments.began).Seconds())
	for _, r := range b.requests {
		if !r.entered.IsZero() {
			// What comes while a batch is being decided has not waited.
			m.queue.Observe(max(0, b.moments.began.Sub(r.entered).Seconds()))
		}
	}
	if len(b.requests) > 0 {
		m.batchCommands.Observe(float64(len(b.requests)))
	}
	if b.bytes > 0 {
		m.batchBytes.Observe(float64(b.bytes))
	}
}

func (o *owner) written(b *batch) {
	b.moments.written = o.engine.cfg.Clock()
	o.engine.metrics.write.Observe(b.moments.written.Sub(b.moments.decided).Seconds())
}

// answering is for before the requests' callers go on, which from then on read of it.
func (o *owner) answering(b *batch) {
	if b.moments.written.IsZero() { // Nothing was to be written.
		b.moments.written = o.engine.cfg.Clock()
	}
	if o.engine.cfg.Tracer == nil {
		return
	}
	for _, r := range b.requests {
		r.moments = b.moments
	}
}

func (o *owner) answeredAll(b *batch) {
	o.engine.metrics.answer.Observe(o.engine.since(b.moments.written))
}

// tookOver counts a takeover.
func (p *partition) tookOver(took time.Duration) {
	p.engine.metrics.takeover.Observe(took.Seconds())
	p.engine.metrics.takeovers[p.id].Inc()
}

// partitionGauges tell of the partitions at the moment they are asked for.
type partitionGauges struct {
	engine                                                       *Engine
	assigned, owned, followed, end, lag, coordinator, queued, up *prometheus.Desc
}

func newPartitionGauges(e *Engine) *partitionGauges {
	gauge := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("daybook_partition_"+name, help, []string{"partition"}, nil)
	}
	return &partitionGauges{
		engine:      e,
		assigned:    gauge("assigned", "1 when this node should own the partition."),
		owned:       gauge("owned", "1 when this node owns the partition."),
		followed:    gauge("followed_offset", "The offset up to which this node has folded the account events."),
		end:         gauge("end_offset", "Where the account events ended when this node last asked."),
		lag:         gauge("lag_offsets", "How many offsets this node's copy of the partition is behind."),
		coordinator: gauge("coordinator_lag_offsets", "How many offsets the coordinator of an owned partition is behind."),
		queued:      gauge("queue_commands", "About how many commands wait to be decided."),
		up:          gauge("log_silent_seconds", "For how long the log has not answered for the partition."),
	}
}

// Describe implements prometheus.Collector.
func (g *partitionGauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.assigned, g.owned, g.followed, g.end, g.lag, g.coordinator, g.queued, g.up} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (g *partitionGauges) Collect(to chan<- prometheus.Metric) {
	for _, s := range g.engine.Status() {
		label := strconv.Itoa(int(s.Partition))
		tell := func(d *prometheus.Desc, value float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, label)
		}
		tell(g.assigned, truth(s.Assigned))
		tell(g.owned, truth(s.Owned))
		tell(g.followed, float64(s.Followed))
		tell(g.end, float64(s.End))
		tell(g.lag, float64(s.End-s.Followed))
		tell(g.coordinator, float64(s.Uncoordinated))
		tell(g.queued, float64(s.Waiting))
		if !s.Heard.IsZero() {
			tell(g.up, g.engine.since(s.Heard))
		}
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
