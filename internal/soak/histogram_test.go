package soak

import (
	"math"
	"testing"
	"time"
)

func TestQuantilesAreWithinTwoPercent(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	count, p50, p99 := h.take()
	if count != 1000 || math.Abs(p50/500-1) > 0.02 || math.Abs(p99/990-1) > 0.02 {
		t.Errorf("of 1 to 1000 ms: %d, p50 %v, p99 %v", count, p50, p99)
	}
	if count, p50, _ := h.take(); count != 0 || !math.IsNaN(p50) {
		t.Errorf("it was not empty afterwards: %d, %v", count, p50)
	}
	h.add(0)
	h.add(time.Hour)
	if count, _, p99 := h.take(); count != 2 || p99 < 60_000 {
		t.Errorf("the shortest and the longest: %d, p99 %v", count, p99)
	}
}
