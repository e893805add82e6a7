package snapshot

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"daybook/internal/observe"
)

// Reasons why a checkpoint is refused, as the metrics tell them.
const (
	// reasonDamaged: it is not whole, or contradicts itself.
	reasonDamaged = "damaged"
	// reasonOther: it is of another log, partition or number of partitions.
	reasonOther = "other_log"
	// reasonVersion: another version of the program wrote it.
	reasonVersion = "other_version"
	// reasonShort: the log does not reach its offset.
	reasonShort = "log_short"
	// reasonDiffers: the log does not hold what it was folded from.
	reasonDiffers = "log_differs"
)

// Metrics are what is counted of checkpoints.
type Metrics struct {
	written, failed, restored []prometheus.Counter
	refused                   *prometheus.CounterVec
	write, restore            prometheus.Observer
}

// NewMetrics registers the metrics, nowhere when to is nil.
func NewMetrics(to prometheus.Registerer, partitions int32) *Metrics {
	register := promauto.With(to)
	counters := func(name, help string) (all []prometheus.Counter) {
		v := register.NewCounterVec(prometheus.CounterOpts{Name: "daybook_checkpoints_" + name + "_total", Help: help}, []string{"partition"})
		for p := range partitions {
			all = append(all, v.WithLabelValues(strconv.Itoa(int(p))))
		}
		return all
	}
	seconds := register.NewHistogramVec(prometheus.HistogramOpts{
		Name: "daybook_checkpoint_seconds", Buckets: observe.Seconds,
		Help: "Time that writing a checkpoint or restoring a partition from one took, by stage: write or restore.",
	}, []string{"stage"})
	m := &Metrics{
		written:  counters("written", "Checkpoints that this node wrote."),
		failed:   counters("failed", "How often this node could not write a checkpoint."),
		restored: counters("restored", "How often this node restored the partition from a checkpoint."),
		refused: register.NewCounterVec(prometheus.CounterOpts{
			Name: "daybook_checkpoints_refused_total", Help: "Checkpoints that this node could not be restored from, by reason.",
		}, []string{"reason"}),
		write: seconds.WithLabelValues("write"), restore: seconds.WithLabelValues("restore"),
	}
	for _, reason := range []string{reasonDamaged, reasonOther, reasonVersion, reasonShort, reasonDiffers} {
		m.refused.WithLabelValues(reason)
	}
	return m
}
