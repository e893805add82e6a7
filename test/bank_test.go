package test

import (
	"testing"
	"time"
)

const (
	bankClients  = 32
	bankAccounts = 24
	bankAudits   = 5
	bankPause    = 1500 * time.Millisecond
)

// Many clients move little money among few accounts of all partitions. While they do, and after it, every promise about
// the log, the read model, the answers and the subscriptions holds.
func TestABankKeepsItsPromises(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		n := startNode(t, b)
		l := newLoad(t, func() string { return n.url }, bankAccounts)
		l.read = true
		l.open()
		watchers, stopWatching := l.watchAll()
		defer stopWatching()
		l.start(bankClients)
		for range bankAudits {
			time.Sleep(bankPause) // How long the load runs between two audits.
			mustAudit(t, n)
		}
		l.stop()
		l.prove(n, watchers)
		acknowledged, refused := l.count()
		if acknowledged == 0 || refused == 0 {
			t.Fatalf("%d acknowledged and %d refused: the load did not try both", acknowledged, refused)
		}
		t.Logf("%d acknowledged, %d refused", acknowledged, refused)
		n.stop()
		if out, err := n.command("verify"); err != nil {
			t.Fatalf("verify: %v\n%s", err, out)
		}
	})
}
