package test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"daybook/eventstore"
	"daybook/internal/audit"
	"daybook/internal/testenv"
)

const (
	fenceClients = 128
	fenceAfter   = 1000
	// beyondTimeout is more than a command waits for its answer.
	beyondTimeout = 12 * time.Second
)

// The owner is stopped in the middle of its work, long enough for another node to take over. Woken, it is refused, and
// its clients are told definitely what became of their commands, which it sends to the new owner if need be.
func TestAStoppedOwnerIsFenced(t *testing.T) {
	for _, c := range []struct {
		name string
		stop time.Duration
	}{
		{"after a takeover", 0},
		{"after a takeover and every timeout", beyondTimeout},
	} {
		t.Run(c.name, func(t *testing.T) { mustFence(t, c.stop) })
	}
}

// mustFence stops the owner until another node has taken every account over, and at least for the given time.
func mustFence(t *testing.T, least time.Duration) {
	b := kafkaBackend(t)
	first := startNode(t, b)
	l := newLoad(t, func() string { return first.url }, bankAccounts)
	l.once, l.most = true, ""
	l.open()
	l.start(fenceClients)
	l.await(fenceAfter)
	first.signal(syscall.SIGSTOP)
	awake := time.After(least)

	second := startNode(t, b)
	taken := takeOver(t, newAPI(second.url), l.accounts)
	<-awake
	if l.inFlight.Load() == 0 {
		t.Error("no operation was under way when the node was stopped")
	}
	first.signal(syscall.SIGCONT)
	testenv.Eventually(t, func() error {
		if !strings.Contains(first.log.String(), fencedOff) {
			return fmt.Errorf("the woken node does not say %q", fencedOff)
		}
		return nil
	})
	l.stop()
	l.mustBeDefinite()
	report := auditAtRest(t, second)
	answers := l.answers()
	for _, key := range taken {
		effect, ok := report.Keys[key]
		if !ok {
			t.Fatalf("%v was acknowledged by the second node and is not in the log", key)
		}
		answers[key] = audit.Answer{Verdict: audit.Acknowledged, Version: effect.Version, Balance: effect.Balance, TransactionID: effect.TransactionID}
	}
	mustHaveNone(t, "answers that the log does not bear out", report.Compare(answers))
	t.Logf("%d acknowledged by the first node; errors: %v", l.done.Load(), l.heard())
	mustServeBoth(t, first, second, l.accounts)
}

// fencedOff is what an owner says that finds itself replaced.
var fencedOff = eventstore.ErrFenced.Error()

// takeOver moves money on every account through a node that has to become their owner first. It returns the keys.
func takeOver(t *testing.T, a *api, accounts []string) []audit.Key {
	t.Helper()
	var taken []audit.Key
	for _, id := range accounts {
		key := audit.Key{AccountID: id, Key: "after-the-takeover"}
		testenv.Eventually(t, func() error {
			p, err := a.topUp(id, "1.00", key.Key)
			if err == nil && len(p.UserErrors) > 0 {
				err = errors.New(p.UserErrors[0].Code)
			}
			return err
		})
		taken = append(taken, key)
	}
	return taken
}

// mustServeBoth checks that each of the two nodes takes commands for every account, and both answer the same.
func mustServeBoth(t *testing.T, first, second *node, accounts []string) {
	t.Helper()
	apis := []*api{newAPI(first.url), newAPI(second.url)}
	for _, id := range accounts {
		var version int64
		for i, a := range apis {
			testenv.Eventually(t, func() error {
				p, err := a.topUp(id, "1.00", fmt.Sprintf("to-node-%d", i))
				if err == nil && len(p.UserErrors) > 0 {
					err = errors.New(p.UserErrors[0].Code)
				}
				if err == nil {
					version = p.Account.Version
				}
				return err
			})
		}
		for _, a := range apis {
			if got, err := a.account(id, version); err != nil || got.Version < version {
				t.Fatalf("%s at version %d is read as %+v, %v", id, version, got, err)
			}
		}
	}
}
