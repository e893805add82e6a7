package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/domain"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/eventstore"
	"daybook/internal/audit"
	"daybook/internal/testenv"
)

// heldLog takes batches, tells of each, and answers none of them from holding on until release.
type heldLog struct {
	*faultyLog
	holding atomic.Bool
	sent    chan struct{}
	release func()
}

func newHeldLog() *heldLog {
	open := make(chan struct{})
	h := &heldLog{sent: make(chan struct{}, 100)}
	h.release = sync.OnceFunc(func() {
		h.holding.Store(false)
		close(open)
	})
	h.faultyLog = &faultyLog{
		gate: func() {
			if h.holding.Load() {
				<-open
			}
		},
		onAppend: func(int32, int, []eventstore.Message) fault {
			if h.holding.Load() {
				h.sent <- struct{}{}
			}
			return none
		},
	}
	return h
}

// stuckNode has batches in flight in partition 0 whose answers do not come until release is called, and nothing more
// is taken from its queue.
func stuckNode(t *testing.T, brokers []string, options ...option) (n *node, id string, release func()) {
	t.Helper()
	h := newHeldLog()
	n = startNode(t, brokers, t.TempDir(), all, append(options, faulty(h.faultyLog))...)
	id = inPartition(0, "alice")
	n.create(id)
	h.holding.Store(true)
	var wg sync.WaitGroup
	for i := range 3 { // As many as are let fly at once.
		wg.Go(func() {
			if _, err := n.execute(topUp(id, "1.00", fmt.Sprintf("stuck%d", i))); err != nil {
				t.Errorf("a command on its way: %v", err)
			}
		})
		<-h.sent
	}
	return n, id, func() {
		h.release()
		wg.Wait()
	}
}

func TestACommandGivenUpInTheQueueIsNotDone(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	n, id, release := stuckNode(t, brokers)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()

	_, err := n.engine.Execute(ctx, topUp(id, "1.00", "given up"))

	if domain.CodeOf(err) != domain.Unavailable {
		t.Fatalf("told %v", err)
	}
	release()
	n.topUp(id, "1.00", "next")
	if _, ok := soundLog(t, brokers).Keys[audit.Key{AccountID: id, Key: "given up"}]; ok {
		t.Fatal("it was done")
	}
}

func TestACommandGivenUpOnItsWayIsOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	sent := make(chan struct{})
	open := make(chan struct{})
	f := &faultyLog{onAppend: once(none, func(messages []eventstore.Message) bool {
		if !carries("given up")(messages) {
			return false
		}
		close(sent)
		<-open
		return true
	})}
	n := startNode(t, brokers, t.TempDir(), all, faulty(f))
	n.create("alice")
	ctx, cancel := context.WithCancel(context.Background())
	answer := make(chan error, 1)
	go func() {
		_, err := n.engine.Execute(ctx, topUp("alice", "1.00", "given up"))
		answer <- err
	}()
	<-sent
	cancel()
	if err := <-answer; domain.CodeOf(err) != domain.OutcomeUnknown {
		t.Fatalf("told %v", err)
	}
	close(open)
	// The same key tells the outcome.
	if r := n.topUp("alice", "1.00", "given up"); r.Account.Version != 2 {
		t.Fatalf("answered %+v", r.Account)
	}
	soundLog(t, brokers)
}

func TestAKeySentAgainWhileItIsOnItsWayHasOneEffect(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	open, sent := make(chan struct{}), make(chan struct{})
	var holding atomic.Bool
	inFlight := sync.OnceFunc(func() {
		holding.Store(true)
		close(sent)
	})
	f := &faultyLog{
		gate: func() {
			if holding.Load() {
				<-open
			}
		},
		onAppend: func(_ int32, _ int, messages []eventstore.Message) fault {
			if carries("k")(messages) {
				inFlight()
			}
			return none
		},
	}
	n := startNode(t, brokers, t.TempDir(), all, faulty(f))
	n.create("alice")
	results := make([]ledger.Result, 10)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			var err error
			if results[i], err = n.execute(topUp("alice", "1.00", "k")); err != nil {
				t.Error(err)
			}
		})
		if i == 0 {
			<-sent // The others find it in flight.
		}
	}
	another := make(chan error, 1)
	go func() {
		_, err := n.execute(topUp("alice", "2.00", "k"))
		another <- err
	}()
	close(open)
	wg.Wait()
	if err := <-another; domain.CodeOf(err) != domain.IdempotencyConflict {
		t.Errorf("another payload: %v", err)
	}
	for _, r := range results {
		if r.Transaction == nil || r.Account.Version != 2 || r.Transaction.ID != results[0].Transaction.ID {
			t.Errorf("answered %+v and %+v", results[0], r)
		}
	}
	if got := soundLog(t, brokers).Accounts["alice"]; got.Version != 2 {
		t.Errorf("the log has %+v", got)
	}
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	n, id, release := stuckNode(t, brokers, with(func(c *engine.Config) { c.QueueLength = 2 }))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var overloaded, waiting atomic.Int64
	for i := range 10 {
		wg.Go(func() {
			_, err := n.engine.Execute(ctx, topUp(id, "1.00", fmt.Sprintf("k%d", i)))
			switch domain.CodeOf(err) {
			case domain.Overloaded:
				overloaded.Add(1)
			case domain.Unavailable:
				waiting.Add(1)
			default:
				t.Errorf("told %v", err)
			}
		})
	}
	testenv.Eventually(t, func() error {
		if overloaded.Load() != 8 {
			return fmt.Errorf("%d are told OVERLOADED", overloaded.Load())
		}
		return nil
	})
	cancel()
	wg.Wait()
	if waiting.Load() != 2 {
		t.Errorf("%d waited in a queue of 2", waiting.Load())
	}
	release()
	soundLog(t, brokers)
}

func TestAStoppedNodeRefusesAtOnce(t *testing.T) {
	t.Parallel()
	// A command that is queued is answered by its timeout, which here never comes.
	n := startNode(t, testenv.Embedded(t), t.TempDir(), all, with(func(c *engine.Config) { c.CommandTimeout = time.Hour }))
	n.create("alice")
	n.stop()
	answer := make(chan error, 1)
	go func() {
		_, err := n.execute(topUp("alice", "1.00", "k"))
		answer <- err
	}()
	testenv.Eventually(t, func() error {
		select {
		case err := <-answer:
			if domain.CodeOf(err) != domain.Unavailable {
				t.Fatalf("told %v", err)
			}
			return nil
		default:
			return errors.New("no answer")
		}
	})
}

func TestAPlannedStopAnswersWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	n := startNode(t, brokers, t.TempDir(), all)
	n.create("alice")
	answers := map[audit.Key]audit.Answer{{AccountID: "alice", Key: "create"}: {Version: 1}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var stopped atomic.Bool
	for c := range 32 {
		wg.Go(func() {
			for i := 0; !stopped.Load(); i++ {
				key := fmt.Sprintf("%d-%d", c, i)
				r, err := n.execute(topUp("alice", "1.00", key))
				if err != nil && domain.CodeOf(err) != domain.Unavailable {
					t.Errorf("told %v", err)
				}
				mu.Lock()
				answers[audit.Key{AccountID: "alice", Key: key}] = answerOf(r, err)
				mu.Unlock()
			}
		})
	}
	testenv.Eventually(t, func() error {
		if len(n.recorded()) < 1000 {
			return errors.New("no load yet")
		}
		return nil
	})
	n.stop()
	stopped.Store(true)
	wg.Wait()

	startNode(t, brokers, t.TempDir(), all)
	for _, problem := range soundLog(t, brokers).Compare(answers) {
		t.Error(problem)
	}
}

func TestTimeNeverRunsBackwardsInTheLog(t *testing.T) {
	t.Parallel()
	brokers, dir := testenv.Embedded(t), t.TempDir()
	var offset atomic.Int64
	clock := with(func(c *engine.Config) {
		c.Clock = func() time.Time {
			return time.Now().Add(time.Duration(offset.Load())).In(time.FixedZone("", 5*3600+1800))
		}
	})
	n := startNode(t, brokers, dir, all, clock)
	n.create("alice")
	first := n.topUp("alice", "1.00", "k1").Account.UpdatedAt
	offset.Store(int64(-time.Hour))
	if at := n.topUp("alice", "1.00", "k2").Account.UpdatedAt; at.Before(first) || at.Location() != time.UTC || at.Nanosecond()%1e6 != 0 {
		t.Errorf("%s after %s", at, first)
	}
	n.stop()
	n = startNode(t, brokers, dir, all, clock)
	if at := n.topUp("alice", "1.00", "k3").Account.UpdatedAt; at.Before(first) {
		t.Errorf("%s after %s, over a restart", at, first)
	}
	soundLog(t, brokers)
}

func TestAFenceThatMayBeForgottenIsPlantedAnewBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	var offset atomic.Int64
	f := &faultyLog{}
	n := startNode(t, brokers, t.TempDir(), []int32{0}, faulty(f), with(func(c *engine.Config) {
		c.Clock = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	}))
	id := inPartition(0, "alice")
	n.create(id)
	before := f.ruled.Load()
	offset.Store(int64(4 * time.Hour)) // The machine slept.
	n.topUp(id, "1.00", "k")
	if got := f.ruled.Load() - before; got != 1 {
		t.Fatalf("%d lines were ruled", got)
	}
	soundLog(t, brokers)
}
