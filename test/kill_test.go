package test

import (
	"math/rand/v2"
	"testing"
	"time"
)

const (
	kills       = 30
	killClients = 16
	// killWithin is how long after it is ready a node lives at most.
	killWithin = 600 * time.Millisecond
)

// The process is killed again and again, every third time while it still starts or takes over, as clients repeat what
// they have no definite answer to. Whatever was acknowledged is in the log once, with the answer that was given;
// nothing else is.
func TestNothingIsLostWhenTheProcessIsKilled(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		n := startNode(t, b)
		url := n.url // It stays: a node that starts again listens where it did.
		l := newLoad(t, func() string { return url }, bankAccounts)
		l.open()
		watchers, stopWatching := l.watchAll()
		defer stopWatching()
		l.start(killClients)
		random := rand.New(rand.NewPCG(l.seed, 0))
		within := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
		startUp := time.Second
		lives, fruitful := 0, 0
		for i := range kills {
			if i%3 == 2 {
				n.launch()
				time.Sleep(within(startUp)) // The moment of the kill is the point.
				n.kill()
				continue
			}
			if i > 0 {
				begin := time.Now()
				n.start()
				startUp = time.Since(begin)
			}
			before := l.done.Load()
			time.Sleep(within(killWithin)) // As above.
			n.kill()
			lives++
			if l.done.Load() > before {
				fruitful++
			}
		}
		n.start()
		l.stop()
		report := l.prove(n, watchers)
		l.mustHaveTriedAll(report)
		t.Logf("%d kills, %d of %d lives acknowledged something, %d acknowledged in all", kills, fruitful, lives, l.done.Load())
		if 2*fruitful <= lives {
			t.Errorf("only %d of %d lives acknowledged something: the kills tried too little", fruitful, lives)
		}
		for _, w := range watchers {
			if w.sessions() < 2 {
				t.Errorf("the subscription to %s was never resumed", w.account)
			}
		}
		n.mustVerify()
	})
}
