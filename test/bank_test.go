package test

import (
	"testing"
	"time"
)

const (
	bankClients  = 32
	bankAccounts = 24
	bankAudits   = 3
	bankPause    = time.Second
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
		report := l.prove(n, watchers)
		l.mustHaveTriedAll(report)
		n.mustVerify()
	})
}
