package engine

import (
	"encoding/json"
	"log/slog"
	"slices"
	"testing"
	"time"

	"daybook/domain"
	"daybook/engine/ledger"
	"daybook/eventstore"
	"daybook/internal/ids"
)

func TestAShortQueueIsNeverTooLong(t *testing.T) {
	var p pace
	p.saw(100_000, 1000*time.Second, time.Now()) // A hundred a second.
	if p.tooLong(fewWaiting - 1) {
		t.Error("it was refused")
	}
}

func TestNothingIsTooLongBeforeManyWaited(t *testing.T) {
	var p pace
	p.saw(fewAhead-1, time.Hour, time.Now()) // One that waited for something else.
	if p.tooLong(1 << 20) {
		t.Error("it was refused")
	}
}

func TestWhatWouldWaitLongerThanASecondIsTooLong(t *testing.T) {
	var p pace
	p.saw(2000, time.Second, time.Now())
	if p.tooLong(2000) || !p.tooLong(2001) {
		t.Error("the limit is not at a second")
	}
}

// A partition that stood still is taken for a slow one until a few batches have been answered at its own pace.
func TestThePaceIsFoundAgainAfterAStandstill(t *testing.T) {
	var p pace
	p.saw(2000, 10*time.Second, time.Now())
	if !p.tooLong(2000) {
		t.Fatal("a standstill changes nothing")
	}
	batches := 0
	for ; p.tooLong(2000); batches++ {
		if batches > 20 {
			t.Fatal("the pace is not found again")
		}
		p.saw(fewWaiting-1, 100*time.Millisecond, time.Now())
	}
}

// What an owner left in flight is settled by the takeover, and is not ahead of anybody any more: else a slow partition would
// refuse for good.
func TestNothingIsAheadAfterAnOwnersEnd(t *testing.T) {
	p := &partition{}
	o := &owner{partition: p, inFlight: []*batch{{requests: make([]*request, 2*fewWaiting)}}}
	o.keepPace(nil)
	p.pace.saw(fewAhead, time.Minute, time.Now())
	if !p.pace.tooLong(p.ahead()) {
		t.Fatal("what is in flight is not counted")
	}
	p.leave(o)
	if p.pace.tooLong(p.ahead()) {
		t.Error("it is still refused")
	}
}

// apart is a node that owns nothing. What it sends nobody carries but the test, which also moves its clock.
type apart struct {
	*Engine
	t   *testing.T
	now time.Time
	seq int64
}

func newApart(t *testing.T) *apart {
	a := &apart{t: t, now: time.Unix(1_800_000_000, 0)}
	a.Engine = New(Config{
		Partitions: 1, NodeID: "apart", Clock: func() time.Time { return a.now }, NewID: ids.New, Logger: slog.New(slog.DiscardHandler),
	}, nil, nil)
	a.forwarder.runs = 1
	return a
}

func (a *apart) way() *way { return a.forwarder.ways[0] }

// submit gives the node so many commands together.
func (a *apart) submit(count int) error {
	g := &group{}
	for range count {
		r := newRequest(&ledger.TopUp{Meta: ledger.Meta{IdempotencyKey: ids.New()}, AccountID: "a", Currency: "EUR"}, ids.New)
		r.group = g
		g.requests = append(g.requests, r)
	}
	return a.partitions[0].submit(g.requests[0])
}

// send submits commands, and carries them to the owner.
func (a *apart) send(count int) *parcel {
	a.t.Helper()
	if err := a.submit(count); err != nil {
		a.t.Fatal(err)
	}
	return a.carry()
}

// carry takes what was put into the outbox to the owner.
func (a *apart) carry() *parcel {
	a.t.Helper()
	a.seq++
	select {
	case p := <-a.way().outbox:
		if _, ok := a.forwarder.pack(p, a.seq); ok {
			return p
		}
	default:
	}
	a.t.Fatal("nothing was sent")
	return nil
}

// answer lets the node hear what an owner says of all that is in a parcel. Whatever it hears comes in one run.
func (a *apart) answer(p *parcel, owner eventstore.Marker, answer wireAnswer) {
	a.t.Helper()
	value, err := json.Marshal(reply{ID: p.ID, Owner: owner, Answers: slices.Repeat([]wireAnswer{answer}, len(p.Requests))})
	if err != nil {
		a.t.Fatal(err)
	}
	a.forwarder.deliver(&eventstore.Message{Value: value})
}

func TestWhatATakeoverHeldUpSaysNothingOfThePace(t *testing.T) {
	a := newApart(t)
	before, after := eventstore.Marker{Offset: 1, ProducerID: 7}, eventstore.Marker{Offset: 2, ProducerID: 7, Epoch: 1}
	a.way().learn(before)
	many, one := a.send(2*fewWaiting), a.send(1)
	a.now = a.now.Add(10 * time.Second)
	a.answer(one, after, wireAnswer{Result: &ledger.Result{}}) // The owner that was had done it.
	a.answer(many, after, wireAnswer{NotDone: true})
	if got := a.way().pace.perSecond.Load(); got != 0 {
		t.Fatalf("it is taken for %d a second", got)
	}
	again, next := a.carry(), a.send(1)
	if len(again.Requests) != 2*fewWaiting || again.Line != lineOf(after) {
		t.Fatalf("%d commands were sent to %v", len(again.Requests), again.Line)
	}
	a.now = a.now.Add(time.Second)
	a.answer(next, after, wireAnswer{Result: &ledger.Result{}})
	if got := a.way().pace.perSecond.Load(); got != 2*fewWaiting {
		t.Errorf("it is taken for %d a second, not %d", got, 2*fewWaiting)
	}
}

func TestWhatWasLetWaitIsSentToTheNextOwnerHoweverSlowItIs(t *testing.T) {
	a := newApart(t)
	before, after := eventstore.Marker{Offset: 1, ProducerID: 7}, eventstore.Marker{Offset: 2, ProducerID: 7, Epoch: 1}
	a.way().learn(before)
	a.send(2 * fewWaiting)
	one := a.send(1)
	a.way().pace.saw(fewAhead, time.Minute, a.now)
	if err := a.submit(1); domain.CodeOf(err) != domain.Overloaded {
		t.Fatalf("a new one is told %v", err)
	}
	a.answer(one, after, wireAnswer{NotDone: true})
	if again := a.carry(); again.Requests[0] != one.Requests[0] {
		t.Error("another was sent")
	}
}

// A moment's standstill meets all that is open: it counts once, as it does where an owner learns from its batches.
func TestAnswersThatAreHeardTogetherSayOnceHowFastTheOwnerIs(t *testing.T) {
	a := newApart(t)
	owner := eventstore.Marker{Offset: 1, ProducerID: 7}
	a.way().learn(owner)
	a.way().pace.saw(10_000, time.Second, a.now)
	parcels := []*parcel{a.send(fewAhead)}
	for range 100 {
		parcels = append(parcels, a.send(1))
	}
	a.now = a.now.Add(time.Second)
	for _, p := range parcels {
		a.answer(p, owner, wireAnswer{Result: &ledger.Result{}})
	}
	if got := a.way().pace.perSecond.Load(); got < 8000 {
		t.Errorf("it is taken for %d a second", got)
	}
}

// Groups of a thousand are either before nobody or behind too many, and teach nothing while they are refused.
func TestAnEstimateThatNothingBearsOutIsForgotten(t *testing.T) {
	var p pace
	now := time.Now()
	p.saw(1000, 5*time.Second, now)
	p.saw(0, 10*time.Millisecond, now.Add(paceLife))
	if !p.tooLong(1000) {
		t.Error("it is forgotten too soon")
	}
	p.saw(0, 10*time.Millisecond, now.Add(paceLife+1))
	if p.tooLong(1000) {
		t.Error("it still refuses")
	}
}
