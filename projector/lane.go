package projector

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"daybook/eventstore"
)

// Pauses after a failure.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 10 * time.Second
)

// lane projects one partition of one topic.
type lane struct {
	cfg       ProjectorConfig
	log       *slog.Logger
	topic     string
	partition int32

	mine      atomic.Bool
	changed   chan struct{} // The assignment has changed.
	mu        sync.Mutex
	stop      context.CancelCauseFunc // Ends the session that runs, if one does.
	position  atomic.Int64
	highWater atomic.Int64
	trouble   atomic.Pointer[string]
	shown     atomic.Pointer[time.Time] // The read model shows the partition as it was then.
	setBack   atomic.Bool               // The database lost its end, and shows an earlier moment than that.
	metrics   *metrics
}

func newLane(cfg ProjectorConfig, topic string, partition int32, m *metrics) *lane {
	return &lane{
		cfg: cfg, topic: topic, partition: partition, metrics: m,
		changed: make(chan struct{}, 1),
		log:     cfg.Logger.With("topic", topic, "partition", partition),
	}
}

func (l *lane) assign(mine bool) {
	if l.mine.Swap(mine) == mine {
		return
	}
	if !mine {
		l.end(context.Canceled)
	}
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// end ends the session that runs, if one does, for a reason.
func (l *lane) end(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop != nil {
		l.stop(why)
	}
}

func (l *lane) status() Status {
	s := Status{Topic: l.topic, Partition: l.partition, Position: l.position.Load()}
	s.Lag = max(0, l.highWater.Load()-s.Position)
	if shown := l.shown.Load(); shown != nil {
		s.Delay = max(0, l.cfg.Model.cfg.Clock().Sub(*shown))
	}
	if text := l.trouble.Load(); text != nil {
		s.Error = *text
	}
	return s
}

// run holds a session while the partition is assigned, and begins another one after every failure.
func (l *lane) run(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		if !l.mine.Load() {
			l.trouble.Store(nil)
			select {
			case <-l.changed:
			case <-ctx.Done():
			}
			continue
		}
		session, stop := context.WithCancelCause(ctx)
		l.mu.Lock()
		l.stop = stop
		l.mu.Unlock()
		var wrote bool
		var err error
		if l.mine.Load() { // Not taken away just before stop was there to be called.
			wrote, err = l.session(session)
		}
		ended := session.Err() != nil
		if errors.Is(context.Cause(session), errLost) {
			ended, err = false, errLost
		}
		stop(nil)
		if wrote {
			pause = firstPause
		}
		if ended || err == nil {
			continue
		}
		l.fail(err)
		timer := time.NewTimer(pause)
		select {
		case <-l.changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		pause = min(2*pause, lastPause)
	}
}

// fail makes an error visible, and logs it when it is another one than before.
func (l *lane) fail(err error) {
	l.metrics.failures.Inc()
	text := err.Error()
	last := l.trouble.Swap(&text)
	if last != nil && *last == text {
		return
	}
	if errors.Is(err, errStale) || errors.Is(err, errLost) {
		l.log.Warn("the projection begins anew from the position in the database; nothing is to be done unless this lasts", "error", err)
		return
	}
	l.log.Error("the projection waits and queries show an old state; trying again; look whether database and brokers run", "error", err)
}

func (l *lane) recover() {
	if l.trouble.Swap(nil) != nil {
		l.log.Info("the projection goes on")
	}
}

// session projects from the position in the database on until something fails or ctx ends. It tells whether it wrote
// anything.
func (l *lane) session(ctx context.Context) (wrote bool, err error) {
	position, err := l.cfg.Model.position(ctx, l.topic, l.partition)
	if err != nil {
		return false, err
	}
	if position < l.position.Swap(position) {
		l.setBack.Store(true)
	}
	reader, err := l.cfg.Log.OpenReader(l.topic, l.partition)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	runs := make(chan run)
	ahead := readAhead{reader: reader, lane: l, out: runs}
	var wg sync.WaitGroup
	wg.Go(func() { ahead.read(ctx, position) })
	defer func() {
		cancel()
		wg.Wait()
		_ = reader.Close()
	}()

	f := newFold(l.cfg.Model, l.topic, l.partition)
	for {
		var r run
		select {
		case r = <-runs:
		case <-ctx.Done():
			return wrote, ctx.Err()
		}
		if r.err != nil {
			return wrote, r.err
		}
		if r.next > position {
			b, err := f.batch(ctx, r.events, position, r.next)
			if err != nil {
				return wrote, err
			}
			began := l.cfg.Model.cfg.Clock()
			if err := l.cfg.Model.write(ctx, b); err != nil {
				return wrote, err
			}
			position, wrote = r.next, true
			l.position.Store(position)
			l.projected(&r, began)
		}
		l.recover()
	}
}

// ofTopic tells whether the event's data belongs in the topic.
func ofTopic(topic string, e *eventstore.Event) bool {
	return (topic == eventstore.TransactionEvents) == isTransaction(e)
}
