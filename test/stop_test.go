package test

import "testing"

const (
	stopClients = 32
	// stopAfter is how many operations are acknowledged before a node is stopped.
	stopAfter = 1000
)

// A node is stopped in the middle of its work, as an operator does. It ends by itself with exit code 0, and whoever got
// an answer can rely on it.
func TestAPlannedStopLeavesNoDoubt(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		n := startNode(t, b)
		url := n.url
		l := newLoad(t, func() string { return url }, bankAccounts)
		l.once = true
		l.open()
		l.start(stopClients)
		l.await(stopAfter)
		if l.inFlight.Load() == 0 {
			t.Error("no operation was under way when the node was stopped")
		}
		n.stop()
		l.stop()
		l.mustBeDefinite()
		n.start()
		report := l.prove(n, nil)
		l.mustHaveTriedAll(report)
		n.mustVerify()
	})
}
