package test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"daybook/internal/audit"
	"daybook/internal/testenv"
)

const fenceClients = 16

// The owner is stopped in the middle of its work, long enough for another node to take over. Woken, it is refused, and
// its clients are told definitely what became of their commands.
func TestAStoppedOwnerIsFenced(t *testing.T) {
	b := kafkaBackend(t)
	first := startNode(t, b, "--session-timeout", "6s")
	l := newLoad(t, func() string { return first.url }, bankAccounts)
	l.once = true
	l.open()
	l.start(fenceClients)
	time.Sleep(time.Second) // How long the load runs before the stop.
	first.signal(syscall.SIGSTOP)
	l.stopped.Store(true)

	second := startNode(t, b, "--session-timeout", "6s")
	a := newAPI(second.url)
	taken := map[audit.Key]bool{}
	for _, id := range l.accounts {
		testenv.Eventually(t, func() error {
			p, err := a.topUp(id, "1.00", "after-the-takeover")
			if err == nil && len(p.UserErrors) > 0 {
				err = errors.New(p.UserErrors[0].Code)
			}
			return err
		})
		taken[audit.Key{AccountID: id, Key: "after-the-takeover"}] = true
	}
	first.signal(syscall.SIGCONT)
	l.wg.Wait()
	// The connection of a client can break over the stop, but an answer that came is definite.
	for _, o := range l.operations {
		if o.err != nil && !o.settled {
			t.Errorf("%s was answered %v", o.key, o.err)
		}
	}
	report := auditAtRest(t, second)
	answers := l.answers()
	for key := range taken {
		effect, ok := report.Keys[key]
		if !ok {
			t.Fatalf("%v was acknowledged by the second node and is not in the log", key)
		}
		answers[key] = audit.Answer{Verdict: audit.Acknowledged, Version: effect.Version, Balance: effect.Balance, TransactionID: effect.TransactionID}
	}
	mustHaveNone(t, "answers that the log does not bear out", report.Compare(answers))
	acknowledged, refused := l.count()
	t.Logf("%d acknowledged, %d refused by the first node", acknowledged, refused)
	mustServeBoth(t, first, second, l.accounts)
}

// mustServeBoth checks that between them the two nodes take commands for every account, and answer the same.
func mustServeBoth(t *testing.T, first, second *node, accounts []string) {
	t.Helper()
	apis := []*api{newAPI(first.url), newAPI(second.url)}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, id := range accounts {
		var version int64
		testenv.Eventually(t, func() error {
			var last error
			for _, a := range apis {
				p, err := a.topUp(id, "1.00", "to-either")
				if err == nil && len(p.UserErrors) == 0 {
					version = p.Account.Version
					return nil
				}
				last = fmt.Errorf("%+v, %w", p, errors.Join(err, ctx.Err()))
			}
			return last
		})
		for _, a := range apis {
			if got, err := a.account(id, version); err != nil || got.Version < version {
				t.Fatalf("%s at version %d is read as %+v, %v", id, version, got, err)
			}
		}
	}
}
