package engine

import (
	"sync/atomic"
	"time"

	"daybook/eventstore"
)

const (
	// longWait is how long a command may be expected to wait for its answer; later ones are refused at once.
	longWait = time.Second
	// fewWaiting is how many wait before that is asked, and fewAhead how many must be ahead of a command for its wait to say
	// how fast the partition works rather than how long one batch takes.
	fewWaiting = 512
	fewAhead   = 256
	// paceWeight is the weight of the newest sample.
	paceWeight = 0.2
	// paceLife is how long an estimate is believed that nothing bears out. Large groups give no samples while they are
	// refused, so that one from a standstill would refuse them for good.
	paceLife = 5 * time.Second
)

// pace estimates how long a partition's next command would wait, here or on its way to another node: the number before it,
// over the number answered per second as those before it met with. Nothing is estimated, and nothing refused, before enough have waited at once.
type pace struct {
	// flying counts the commands that are decided and not answered yet. The owner sets it; on a way it is not used.
	flying atomic.Int64
	// perSecond is read by everybody; only the owner, or who hears the answers of a way, sets it.
	perSecond atomic.Int64
	// learntAt is when perSecond was learnt; it is for who sets it.
	learntAt time.Time
}

// tooLong tells whether a command behind so many others would wait too long.
func (p *pace) tooLong(ahead int64) bool {
	perSecond := p.perSecond.Load()
	return perSecond > 0 && ahead >= fewWaiting && time.Duration(ahead)*time.Second/time.Duration(perSecond) > longWait
}

// saw learns from a command that had so many others before it and was answered now, after a while.
func (p *pace) saw(ahead int64, waited time.Duration, now time.Time) {
	if now.Sub(p.learntAt) > paceLife {
		p.perSecond.Store(0)
	}
	if ahead < fewAhead || waited <= 0 {
		return
	}
	sample := float64(ahead) / waited.Seconds()
	if before := p.perSecond.Load(); before > 0 {
		sample = paceWeight*sample + (1-paceWeight)*float64(before)
	}
	p.perSecond.Store(max(1, int64(sample)))
	p.learntAt = now
}

// ahead counts the commands that wait before the next one.
func (p *partition) ahead() int64 {
	return int64(len(p.queue)) + p.grouped.Load() + p.pace.flying.Load()
}

// keepPace counts what is in flight, and learns from a batch that was just answered.
func (o *owner) keepPace(settled *batch) {
	flying := 0
	for _, b := range o.inFlight {
		flying += len(b.requests)
	}
	o.partition.pace.flying.Store(int64(flying))
	if settled != nil && len(settled.requests) > 0 {
		r, now := settled.requests[0], o.engine.cfg.Clock()
		o.partition.pace.saw(r.ahead, now.Sub(r.since), now)
	}
}

// keepPace learns from the answer to a parcel: from the first that counts of those heard together, as an owner does from one
// of each batch, or a moment's standstill would soon be all that is known. An answer of another turn of ownership than the
// parcel was sent to waited for a takeover, and says nothing of the pace.
func (f *forwarder) keepPace(p *parcel, answered eventstore.Marker) {
	w := f.ways[p.partition]
	if w.learnt == f.runs || p.Line != lineOf(answered) {
		return
	}
	if p.ahead >= fewAhead {
		w.learnt = f.runs
	}
	now := f.engine.cfg.Clock()
	w.pace.saw(p.ahead, now.Sub(p.since), now)
}
