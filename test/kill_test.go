package test

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
)

const (
	kills       = 30
	killClients = 16
	// killWithin is how long after it is ready a node lives at most.
	killWithin = 600 * time.Millisecond
)

// The process is killed again and again while clients repeat what they have no definite answer to. Whatever was
// acknowledged is in the log once, with the answer that was given; nothing else is.
func TestNothingIsLostWhenTheProcessIsKilled(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		n := startNode(t, b)
		url := &atomic.Pointer[string]{}
		url.Store(&n.url)
		l := newLoad(t, func() string { return *url.Load() }, bankAccounts)
		l.open()
		watchers, stopWatching := l.watchAll()
		defer stopWatching()
		l.start(killClients)
		random := rand.New(rand.NewPCG(l.seed, 0))
		for range kills {
			time.Sleep(time.Duration(random.Int64N(int64(killWithin)))) // The moment of the kill is the point.
			n.kill()
			n.start()
			again := n.url
			url.Store(&again)
		}
		l.stop()
		l.prove(n, watchers)
		acknowledged, refused := l.count()
		if acknowledged == 0 {
			t.Fatal("nothing was acknowledged between the kills")
		}
		t.Logf("%d kills, %d acknowledged, %d refused", kills, acknowledged, refused)
		n.stop()
		if out, err := n.command("verify"); err != nil {
			t.Fatalf("verify: %v\n%s", err, out)
		}
	})
}
