package test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"
)

// The kinds of fault.
const (
	nodeKilled       = "node killed"
	nodeStopped      = "node stopped and woken"
	linkCut          = "connections cut"
	linkDelayed      = "connections delayed"
	brokerKilled     = "broker that leads killed"
	brokerStopped    = "broker that leads stopped and woken"
	databaseRestart  = "PostgreSQL restarted"
	diskFull         = "disk full"
	clockSet         = "clock set"
	nodesRestarted   = "rolling restart"
	diskLost         = "node that lost its disk"
	killEvery        = 1500 * time.Millisecond
	faultEvery       = 2500 * time.Millisecond
	faultsAtOnce     = 3
	longestClock     = 5 * time.Second
	deadLongerThan   = 6 * time.Second // sessionTimeout: the others take over.
	fullLongEnough   = 500 * time.Millisecond
	toxicPatience    = 5 * time.Second
	rollingPatience  = 20 * time.Second
	longestStop      = 12 * time.Second
	longestStopAlone = 4 * time.Second // Where no other node takes over meanwhile.
)

// fault is one that happened, with the times since the run began.
type fault struct {
	kind, what string
	begin, end time.Duration
}

// tormentor draws faults and lets them happen.
type tormentor struct {
	g     *ground
	seed  uint64
	begun time.Time
	// busy is held by what happens to brokers, so that two of three are never away at once.
	busy   sync.Mutex
	atOnce chan struct{}
	wg     sync.WaitGroup

	mu     sync.Mutex
	faults []*fault
	// wrong is what did not go as it must.
	wrong []string
}

func newTormentor(g *ground, seed uint64, begun time.Time) *tormentor {
	return &tormentor{g: g, seed: seed, begun: begun, atOnce: make(chan struct{}, faultsAtOnce)}
}

func (x *tormentor) begin(kind, format string, args ...any) *fault {
	f := &fault{kind: kind, what: fmt.Sprintf(format, args...), begin: time.Since(x.begun)}
	x.g.t.Logf("%7.2f s  %s: %s", f.begin.Seconds(), kind, f.what)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.faults = append(x.faults, f)
	return f
}

func (x *tormentor) over(f *fault) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f.end = time.Since(x.begun)
}

func (x *tormentor) complain(format string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.wrong = append(x.wrong, fmt.Sprintf(format, args...))
}

// counts are the faults by kind.
func (x *tormentor) counts() map[string]int {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := map[string]int{}
	for _, f := range x.faults {
		all[f.kind]++
	}
	return all
}

// kills are the processes killed.
func (x *tormentor) kills() int {
	counts := x.counts()
	return counts[nodeKilled] + counts[brokerKilled] + counts[diskLost]
}

// run lets faults happen until ctx ends, and then heals what it did.
func (x *tormentor) run(ctx context.Context) {
	if drawn(nodeKilled) {
		x.wg.Go(func() { x.killNodes(ctx) })
	}
	x.wg.Go(func() { x.draw(ctx) })
	<-ctx.Done()
	x.wg.Wait()
}

// drawn tells whether faults of the kind are asked for; of connections, the kind says between what.
func drawn(kind string) bool { return regexp.MustCompile(*tortureOnly).MatchString(kind) }

// killNodes kills one node after the other. Most are started again at once, some after the others have taken over.
func (x *tormentor) killNodes(ctx context.Context) {
	random := rand.New(rand.NewPCG(x.seed, 1))
	for pause(ctx, killEvery/2+between(random, 0, killEvery)) {
		m := x.g.nodes[random.IntN(len(x.g.nodes))]
		dead := between(random, 0, 300*time.Millisecond)
		if n := random.IntN(10); n == 0 && x.g.cluster != nil {
			dead += deadLongerThan
		} else if n < 3 {
			dead *= 6
		}
		x.wg.Go(func() {
			if !m.mu.TryLock() {
				return // It is stopped, or being restarted.
			}
			defer m.mu.Unlock()
			if m.notice(); m.cmd == nil {
				return
			}
			f := x.begin(nodeKilled, "%s for %s", m.name, dead.Round(time.Millisecond))
			m.kill()
			pause(ctx, dead)
			m.launch()
			x.over(f)
		})
	}
}

// between draws a time.
func between(random *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(random.Int64N(int64(most-least)+1))
}

// pause waits; false when ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// draw lets faults of the other kinds happen, a few at once.
func (x *tormentor) draw(ctx context.Context) {
	random := rand.New(rand.NewPCG(x.seed, 2))
	deck := x.deck()
	if len(deck) == 0 {
		return
	}
	for n := 0; pause(ctx, faultEvery/2+between(random, 0, faultEvery)); n++ {
		if n %= len(deck); n == 0 {
			random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		do := deck[n].draw(random)
		select {
		case x.atOnce <- struct{}{}:
		case <-ctx.Done():
			return
		}
		x.wg.Go(func() {
			defer func() { <-x.atOnce }()
			do(ctx)
		})
	}
}

// card is a fault to be drawn.
type card struct {
	kind string
	draw func(*rand.Rand) func(context.Context)
}

// deck has every fault that can happen here once, those of connections once for each sort of connection: even a short run
// is to meet them all.
func (x *tormentor) deck() []card {
	deck := []card{{nodeStopped, x.stop}, {clockSet, x.setClock}, {nodesRestarted, x.restartNodes}}
	sorts := map[string][]*link{}
	for _, l := range x.g.links {
		sorts[l.sort()] = append(sorts[l.sort()], l)
	}
	for _, sort := range slices.Sorted(maps.Keys(sorts)) {
		links := sorts[sort]
		deck = append(deck, card{linkCut + ": " + sort, func(r *rand.Rand) func(context.Context) { return x.cut(r, links) }},
			card{linkDelayed + ": " + sort, func(r *rand.Rand) func(context.Context) { return x.delay(r, links) }})
	}
	if x.g.cluster == nil {
		deck = append(deck, card{diskFull, x.fillDisk})
	} else {
		deck = append(deck, card{brokerKilled, x.killBroker}, card{brokerStopped, x.stopBroker},
			card{databaseRestart, x.restartDatabase}, card{diskLost, x.loseDisk})
	}
	return slices.DeleteFunc(deck, func(c card) bool { return !drawn(c.kind) })
}

// stop stops a node with SIGSTOP and wakes it.
func (x *tormentor) stop(random *rand.Rand) func(context.Context) {
	m := x.g.nodes[random.IntN(len(x.g.nodes))]
	most := longestStop
	if x.g.cluster == nil {
		most = longestStopAlone
	}
	d := most/10 + between(random, 0, between(random, 0, most*9/10)) // Often short.
	return func(ctx context.Context) {
		if !m.mu.TryLock() {
			return // It is away already.
		}
		defer m.mu.Unlock()
		if m.notice(); m.cmd == nil {
			return
		}
		f := x.begin(nodeStopped, "%s for %s", m.name, d.Round(time.Millisecond))
		m.signal(syscall.SIGSTOP)
		pause(ctx, d)
		m.signal(syscall.SIGCONT)
		x.over(f)
	}
}

// loseDisk kills a node and starts it again without its state, which it restores from checkpoints, half of the time also
// without its name, so that it is another member of the group.
func (x *tormentor) loseDisk(random *rand.Rand) func(context.Context) {
	m := x.g.nodes[random.IntN(len(x.g.nodes))]
	what, lost := "the state", filepath.Join(m.dir, "state")
	if random.IntN(2) == 0 {
		what, lost = "everything", m.dir
	}
	return func(context.Context) {
		if !m.mu.TryLock() {
			return // It is stopped, or being restarted.
		}
		defer m.mu.Unlock()
		if m.notice(); m.cmd == nil {
			return
		}
		f := x.begin(diskLost, "%s, %s", m.name, what)
		m.kill()
		if err := os.RemoveAll(lost); err != nil {
			x.complain("%v", err)
		}
		m.launch()
		x.over(f)
	}
}

func (x *tormentor) restartDatabase(random *rand.Rand) func(context.Context) {
	d := between(random, 0, 3*time.Second)
	return func(ctx context.Context) {
		f := x.begin(databaseRestart, "away for %s", d.Round(time.Millisecond))
		defer x.over(f)
		db := x.g.database
		if _, err := tryScript("postgres", "stop", "--dir", db.dir); err != nil {
			x.complain("PostgreSQL does not stop: %v", err)
		}
		pause(ctx, d)
		if _, err := tryScript("postgres", "start", "--dir", db.dir, "--port", fmt.Sprint(db.port)); err != nil {
			x.complain("PostgreSQL does not start: %v", err)
		}
	}
}

// setClock moves a node's clock by some seconds, and later back.
func (x *tormentor) setClock(random *rand.Rand) func(context.Context) {
	m := x.g.nodes[random.IntN(len(x.g.nodes))]
	by := between(random, -longestClock, longestClock).Round(time.Millisecond)
	d := between(random, time.Second, 6*time.Second)
	return func(ctx context.Context) {
		f := x.begin(clockSet, "%s by %s for %s", m.name, by, d.Round(time.Millisecond))
		defer x.over(f)
		x.write(m.clock, by.String())
		pause(ctx, d)
		x.write(m.clock, "0s")
	}
}

func (x *tormentor) write(path, text string) {
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		x.complain("%v", err)
	}
}

func (x *tormentor) fillDisk(random *rand.Rand) func(context.Context) {
	m := x.g.nodes[random.IntN(len(x.g.nodes))]
	d := between(random, 2*fullLongEnough, 4*time.Second)
	return func(ctx context.Context) {
		if !m.filling.TryLock() {
			return // The one that ends first would make room for the other.
		}
		defer m.filling.Unlock()
		f := x.begin(diskFull, "%s for %s", m.name, d.Round(time.Millisecond))
		x.write(m.full, "")
		pause(ctx, d)
		x.over(f)
		_ = os.Remove(m.full)
	}
}

// restartNodes restarts one node after the other, as an operator does for a new version.
func (x *tormentor) restartNodes(*rand.Rand) func(context.Context) {
	return func(ctx context.Context) {
		f := x.begin(nodesRestarted, "%d nodes", len(x.g.nodes))
		defer x.over(f)
		for _, m := range x.g.nodes {
			m.mu.Lock()
			if wrong := m.terminate(); wrong != "" {
				x.complain("%s", wrong)
			}
			m.launch()
			m.mu.Unlock()
			for deadline := time.Now().Add(rollingPatience); time.Now().Before(deadline) && m.ready() != nil; {
				if !pause(ctx, 50*time.Millisecond) {
					return
				}
			}
		}
	}
}
