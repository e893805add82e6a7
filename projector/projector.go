package projector

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"daybook/eventstore"
)

// Log is what the projector needs of the cluster; package eventstore/kafka provides it.
type Log interface {
	OpenReader(topic string, partition int32) (eventstore.Reader, error)
}

// ProjectorConfig is what a projector works with. All but Registerer and Tracer is required.
type ProjectorConfig struct {
	Log   Log
	Model *ReadModel
	// Partitions is the number of partitions of the event topics.
	Partitions int32
	Logger     *slog.Logger
	// Registerer takes the projector's metrics, Tracer makes its spans. Nil means none.
	Registerer prometheus.Registerer
	Tracer     trace.Tracer
}

// Projector writes the events of the assigned partitions into the read model. The assignment saves work and is not
// what makes it safe: that is the position, which only one of several at once can move.
type Projector struct {
	model *ReadModel
	lanes []*lane
}

// NewProjector makes a projector; Run starts it.
func NewProjector(cfg ProjectorConfig) *Projector {
	p, metrics := &Projector{model: cfg.Model}, newMetrics(cfg.Registerer)
	for partition := range cfg.Partitions {
		for _, topic := range []string{eventstore.AccountEvents, eventstore.TransactionEvents} {
			p.lanes = append(p.lanes, newLane(cfg, topic, partition, metrics[topic]))
		}
	}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(newLaneGauges(p))
	}
	return p
}

// Assign says which partitions to project from now on. It may be called at any time.
func (p *Projector) Assign(partitions []int32) {
	for _, l := range p.lanes {
		l.assign(slices.Contains(partitions, l.partition))
	}
}

// Run projects until ctx ends. Failures are tried again, with growing pauses; no event is ever passed over.
func (p *Projector) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { p.watch(ctx) })
	for _, l := range p.lanes {
		wg.Go(func() { l.run(ctx) })
	}
	wg.Wait()
	return nil
}

// Status is how far an assigned partition of a topic is projected.
type Status struct {
	Topic     string
	Partition int32
	// Position is the offset of the first event that is not projected.
	Position int64
	// Lag is how many offsets lie between the position and the end of the partition, as last seen.
	Lag int64
	// Delay is how old the state of the log is that the read model shows; zero before any was read.
	Delay time.Duration
	// Error is what keeps the partition from going on; empty when nothing does.
	Error string
}

// Status tells of every assigned partition, that of account events before that of transaction events.
func (p *Projector) Status() []Status {
	var all []Status
	for _, l := range p.lanes {
		if l.mine.Load() {
			all = append(all, l.status())
		}
	}
	return all
}

// Ready returns nil when every assigned partition is projected without trouble.
func (p *Projector) Ready() error {
	for _, s := range p.Status() {
		if s.Error != "" {
			return fmt.Errorf("%s/%d is not projected: %s", s.Topic, s.Partition, s.Error)
		}
	}
	return nil
}
