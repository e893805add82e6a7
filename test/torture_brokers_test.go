package test

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"
)

const (
	// brokerSession is how long a silent broker goes on leading in the eyes of the others: see scripts/kafka.
	brokerSession = 5 * time.Second
	// deposePatience bounds how long it then takes until others lead, an election among the controllers included.
	deposePatience = 60 * time.Second
	wholePatience  = 90 * time.Second
)

func (x *tormentor) killBroker(random *rand.Rand) func(context.Context) {
	which, d := random.IntN(defaultPartitions), between(random, 500*time.Millisecond, 6*time.Second)
	return func(ctx context.Context) {
		x.onLeader(which, func(broker int) {
			f := x.begin(brokerKilled, "broker%d for %s", broker, d.Round(time.Millisecond))
			if err := x.g.cluster.kill(broker); err != nil {
				x.complain("broker%d cannot be killed: %v", broker, err)
				return
			}
			pause(ctx, d)
			if err := x.g.cluster.revive(); err != nil {
				x.complain("broker%d does not start again: %v", broker, err)
			}
			x.over(f)
		})
	}
}

// stopBroker stops a broker that leads with SIGSTOP, and wakes it when others lead in its place. What was sent to it
// meanwhile it then takes as the leader that it believes to be until it has heard of the others.
func (x *tormentor) stopBroker(random *rand.Rand) func(context.Context) {
	which, d := random.IntN(defaultPartitions), between(random, brokerSession, 2*brokerSession)
	return func(ctx context.Context) {
		x.onLeader(which, func(broker int) {
			f := x.begin(brokerStopped, "broker%d for %s, and until it is deposed", broker, d.Round(time.Millisecond))
			defer x.over(f)
			if err := x.g.cluster.signal(broker, syscall.SIGSTOP); err != nil {
				x.complain("broker%d cannot be stopped: %v", broker, err)
				return
			}
			if pause(ctx, d) {
				x.awaitDeposed(ctx, broker)
			}
			if err := x.g.cluster.signal(broker, syscall.SIGCONT); err != nil {
				x.complain("broker%d cannot be woken: %v", broker, err)
			}
		})
	}
}

// onLeader does something to the broker that leads a partition of account events, and waits until all are whole again. It
// does nothing while they are not.
func (x *tormentor) onLeader(which int, do func(broker int)) {
	if !x.busy.TryLock() {
		return
	}
	defer x.busy.Unlock()
	leaders, err := x.g.cluster.leaders()
	if err != nil || x.g.cluster.whole() != nil {
		return
	}
	do(leaders[which%len(leaders)])
	x.awaitWhole()
}

// awaitDeposed waits until a broker that is stopped leads nothing any more.
func (x *tormentor) awaitDeposed(ctx context.Context, broker int) {
	for deadline := time.Now().Add(deposePatience); ; {
		err := x.g.cluster.deposed(broker)
		if err == nil || !pause(ctx, 100*time.Millisecond) { // Until the next look.
			return
		}
		if time.Now().After(deadline) {
			x.complain("broker%d is stopped and was not deposed within %s: %v", broker, deposePatience, err)
			return
		}
	}
}

// awaitWhole waits until every replica is in sync.
func (x *tormentor) awaitWhole() {
	deadline := time.Now().Add(wholePatience)
	for {
		err := x.g.cluster.whole()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			x.complain("the brokers did not come to be whole within %s: %v", wholePatience, err)
			return
		}
		time.Sleep(100 * time.Millisecond) // Until the next look.
	}
}
