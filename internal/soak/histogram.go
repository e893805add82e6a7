package soak

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// histogramFrom is the upper end of the first bucket, histogramStep by how much each is wider than the one before.
	// The last ends beyond a minute and takes all that took longer.
	histogramFrom    = 50 * time.Microsecond
	histogramStep    = 1.02
	histogramBuckets = 720
)

// histogram counts latencies in fixed buckets, so that it grows with nothing. Many may add to it at once.
type histogram struct {
	buckets [histogramBuckets]atomic.Int64
}

func (h *histogram) add(d time.Duration) {
	i := 0
	if d > histogramFrom {
		i = int(math.Log(float64(d)/float64(histogramFrom)) / math.Log(histogramStep))
	}
	h.buckets[min(i, histogramBuckets-1)].Add(1)
}

// take empties the histogram and tells how many it held, and two quantiles in milliseconds, NaN of none.
func (h *histogram) take() (count int64, p50, p99 float64) {
	var counts [histogramBuckets]int64
	for i := range h.buckets {
		counts[i] = h.buckets[i].Swap(0)
		count += counts[i]
	}
	return count, quantile(&counts, count, 0.5), quantile(&counts, count, 0.99)
}

func quantile(counts *[histogramBuckets]int64, count int64, q float64) float64 {
	if count == 0 {
		return math.NaN()
	}
	left := int64(math.Ceil(float64(count) * q))
	i := 0
	for left -= counts[0]; left > 0; left -= counts[i] {
		i++
	}
	middle := float64(histogramFrom) * math.Pow(histogramStep, float64(i)+0.5)
	return middle / float64(time.Millisecond)
}
