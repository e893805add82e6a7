package engine

import (
	"testing"
	"time"
)

func TestAShortQueueIsNeverTooLong(t *testing.T) {
	var p pace
	p.saw(100_000, 1000*time.Second) // A hundred a second.
	if p.tooLong(fewWaiting - 1) {
		t.Error("it was refused")
	}
}

func TestNothingIsTooLongBeforeManyWaited(t *testing.T) {
	var p pace
	p.saw(fewAhead-1, time.Hour) // One that waited for something else.
	if p.tooLong(1 << 20) {
		t.Error("it was refused")
	}
}

func TestWhatWouldWaitLongerThanASecondIsTooLong(t *testing.T) {
	var p pace
	p.saw(2000, time.Second)
	if p.tooLong(2000) || !p.tooLong(2001) {
		t.Error("the limit is not at a second")
	}
}

// A partition that stood still is taken for a slow one until a few batches have been answered at its own pace.
func TestThePaceIsFoundAgainAfterAStandstill(t *testing.T) {
	var p pace
	p.saw(2000, 10*time.Second)
	if !p.tooLong(2000) {
		t.Fatal("a standstill changes nothing")
	}
	batches := 0
	for ; p.tooLong(2000); batches++ {
		if batches > 20 {
			t.Fatal("the pace is not found again")
		}
		p.saw(fewWaiting-1, 100*time.Millisecond)
	}
}

// What an owner left in flight is settled by the takeover, and is not ahead of anybody any more: else a slow partition would
// refuse for good.
func TestNothingIsAheadAfterAnOwnersEnd(t *testing.T) {
	p := &partition{}
	o := &owner{partition: p, inFlight: []*batch{{requests: make([]*request, 2*fewWaiting)}}}
	o.keepPace(nil)
	p.pace.saw(fewAhead, time.Minute)
	if !p.pace.tooLong(p.ahead()) {
		t.Fatal("what is in flight is not counted")
	}
	p.leave(o)
	if p.pace.tooLong(p.ahead()) {
		t.Error("it is still refused")
	}
}
