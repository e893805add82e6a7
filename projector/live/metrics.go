package live

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"daybook/eventstore"
	"daybook/internal/observe"
	"daybook/projector"
)

// metrics are what a feed counts.
type metrics struct {
	push                prometheus.Observer
	live, history       prometheus.Counter
	resumed, fellBehind prometheus.Counter
	refused             prometheus.Counter
}

// newMetrics registers the metrics, nowhere when to is nil.
func newMetrics(to prometheus.Registerer, f *Feed) *metrics {
	register := promauto.With(to)
	register.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "daybook_subscriptions", Help: "Open subscriptions.",
	}, func() float64 { return float64(f.subscribers.Load()) })
	register.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "daybook_subscriptions_limit", Help: "How many subscriptions may be open at once.",
	}, func() float64 { return float64(f.cfg.MaxSubscribers) })
	pushes := register.NewCounterVec(prometheus.CounterOpts{
		Name: "daybook_pushes_total", Help: "Balance changes handed to subscribers, by where they came from: live or history.",
	}, []string{"source"})
	fallbacks := register.NewCounterVec(prometheus.CounterOpts{
		Name: "daybook_history_fallbacks_total",
		Help: "How often a subscriber went to the history: resume at its beginning, slow when it had fallen behind.",
	}, []string{"reason"})
	return &metrics{
		push: register.NewHistogram(prometheus.HistogramOpts{
			Name: "daybook_push_seconds", Help: "Time from a change's being recorded to its being handed to a subscriber, of live ones.",
			Buckets: observe.Seconds,
		}),
		live: pushes.WithLabelValues("live"), history: pushes.WithLabelValues("history"),
		resumed: fallbacks.WithLabelValues("resume"), fellBehind: fallbacks.WithLabelValues("slow"),
		refused: register.NewCounter(prometheus.CounterOpts{
			Name: "daybook_subscriptions_refused_total", Help: "Subscriptions refused because too many were open.",
		}),
	}
}

// pushed is a change on its way to the subscribers of its account.
type pushed struct {
	projector.Change
	// recorded is when this node heard of it, traceparent the trace of what caused it.
	recorded    time.Time
	traceparent string
}

// handedOver counts and traces a change that a subscriber got live.
func (f *Feed) handedOver(p *pushed) {
	now := f.cfg.Clock()
	f.metrics.live.Inc()
	f.metrics.push.Observe(now.Sub(p.recorded).Seconds())
	observe.Span(f.cfg.Tracer, p.traceparent, "push", p.recorded, now)
}

// fellBack counts that a subscriber begins to read the history.
func (c *ChangeFeed) fellBack() {
	if c.reading {
		return
	}
	c.reading = true
	if c.at == nil {
		c.feed.metrics.resumed.Inc()
	} else {
		c.feed.metrics.fellBehind.Inc()
	}
}

// Status is how the feed is.
type Status struct {
	// Subscribers are open; at Limit more are refused.
	Subscribers, Limit int
	// Error is what keeps transaction events from being followed; empty when nothing does.
	Error string
}

// Status tells how the feed is.
func (f *Feed) Status() Status {
	s := Status{Subscribers: int(f.subscribers.Load()), Limit: f.cfg.MaxSubscribers}
	select {
	case <-f.transactions.watching():
	default:
		return s // What nobody wants is not followed, and any trouble was before.
	}
	for i := range f.trouble {
		if text := f.trouble[i].Load(); text != nil {
			s.Error = eventstore.TransactionEvents + ": " + *text
		}
	}
	return s
}
