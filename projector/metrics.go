package projector

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"daybook/eventstore"
	"daybook/internal/observe"
)

// metrics are what a projector counts for the lanes of one topic.
type metrics struct {
	lag, write       prometheus.Observer
	events, failures prometheus.Counter
}

// newMetrics registers the metrics, nowhere when to is nil.
func newMetrics(to prometheus.Registerer) map[string]*metrics {
	register := promauto.With(to)
	topic := []string{"topic"}
	lag := register.NewHistogramVec(prometheus.HistogramOpts{
		Name: "daybook_projection_seconds", Buckets: observe.Seconds,
		Help: "Time from an event's timestamp to the commit of its rows, for the oldest event of each SQL transaction.",
	}, topic)
	write := register.NewHistogramVec(prometheus.HistogramOpts{
		Name: "daybook_projection_write_seconds", Help: "Time that one SQL transaction took.", Buckets: observe.Seconds,
	}, topic)
	events := register.NewCounterVec(prometheus.CounterOpts{
		Name: "daybook_projection_events_total", Help: "Events projected.",
	}, topic)
	failures := register.NewCounterVec(prometheus.CounterOpts{
		Name: "daybook_projection_failures_total", Help: "How often the projection was interrupted.",
	}, topic)
	of := map[string]*metrics{}
	for _, t := range []string{eventstore.AccountEvents, eventstore.TransactionEvents} {
		of[t] = &metrics{lag.WithLabelValues(t), write.WithLabelValues(t), events.WithLabelValues(t), failures.WithLabelValues(t)}
	}
	return of
}

// projected counts and traces a run that was committed, in a transaction begun at a moment.
func (l *lane) projected(r *run, began time.Time) {
	if len(r.events) == 0 {
		return
	}
	now := l.cfg.Model.cfg.Clock()
	l.asOf(r.events[len(r.events)-1].Timestamp)
	l.metrics.write.Observe(now.Sub(began).Seconds())
	l.metrics.lag.Observe(max(0, now.Sub(r.events[0].Timestamp).Seconds()))
	l.metrics.events.Add(float64(len(r.events)))
	if l.cfg.Tracer == nil {
		return
	}
	for i := range r.events {
		observe.Span(l.cfg.Tracer, r.events[i].Traceparent, "project", began, now)
	}
}

// asOf notes that the read model shows the partition as it was at a moment: the latest one, as long as the database keeps
// what it has.
func (l *lane) asOf(moment time.Time) {
	if last := l.shown.Load(); l.setBack.Swap(false) || last == nil || moment.After(*last) {
		l.shown.Store(&moment)
	}
}

// caughtUp notes that nothing more than what is projected was in the log.
func (l *lane) caughtUp(next int64) {
	if l.position.Load() == next {
		l.asOf(l.cfg.Model.cfg.Clock())
	}
}

// laneGauges tell of the assigned partitions at the moment they are asked for.
type laneGauges struct {
	projector              *Projector
	offset, offsets, delay *prometheus.Desc
}

func newLaneGauges(p *Projector) *laneGauges {
	gauge := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("daybook_projection_"+name, help, []string{"topic", "partition"}, nil)
	}
	return &laneGauges{
		projector: p,
		offset:    gauge("offset", "The offset of the first event that is not projected."),
		offsets:   gauge("lag_offsets", "How many offsets the read model was behind the end of the partition when that was last read."),
		delay:     gauge("lag_seconds", "How old the state of the log is that the read model shows, in seconds; up to half a second when nothing happens."),
	}
}

// Describe implements prometheus.Collector.
func (g *laneGauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.offset, g.offsets, g.delay} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (g *laneGauges) Collect(to chan<- prometheus.Metric) {
	for _, s := range g.projector.Status() {
		tell := func(d *prometheus.Desc, value float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, s.Topic, strconv.Itoa(int(s.Partition)))
		}
		tell(g.offset, float64(s.Position))
		tell(g.offsets, float64(s.Lag))
		tell(g.delay, s.Delay.Seconds())
	}
}
