package main

import "testing"

func TestGarbageIsBoundedAsWhatLivesGrows(t *testing.T) {
	for live, want := range map[uint64]uint64{
		0: 0, 10 << 20: 50 << 20, 32 << 20: 160 << 20, 64 << 20: 192 << 20, 128 << 20: 256 << 20, 1 << 30: 2 << 30,
	} {
		if got := live + live*uint64(collectorPercent(live))/100; got != want {
			t.Errorf("with %d MB the heap grows to %d MB, want %d", live>>20, got>>20, want>>20)
		}
	}
}
