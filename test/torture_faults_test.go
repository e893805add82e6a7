package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
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
	databaseRestart  = "PostgreSQL restarted"
	diskFull         = "disk full"
	clockSet         = "clock set"
	nodesRestarted   = "rolling restart"
	killEvery        = 1500 * time.Millisecond
	faultEvery       = 3500 * time.Millisecond
	faultsAtOnce     = 2
	longestClock     = 5 * time.Second
	wholePatience    = 90 * time.Second
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
	return counts[nodeKilled] + counts[brokerKilled]
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

// drawn tells whether faults of the kind are asked for.
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
			if m.cmd == nil {
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
	type kind struct {
		name   string
		weight int
		draw   func(*rand.Rand) func(context.Context)
	}
	kinds := []kind{{linkCut, 6, x.cut}, {linkDelayed, 5, x.delay}, {nodeStopped, 4, x.stop}, {clockSet, 3, x.setClock}, {nodesRestarted, 1, x.restartNodes}}
	if x.g.cluster == nil {
		kinds = append(kinds, kind{diskFull, 2, x.fillDisk})
	} else {
		kinds = append(kinds, kind{brokerKilled, 3, x.killBroker}, kind{databaseRestart, 2, x.restartDatabase})
	}
	kinds = slices.DeleteFunc(kinds, func(k kind) bool { return !drawn(k.name) })
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	if total == 0 {
		return
	}
	for pause(ctx, faultEvery/2+between(random, 0, faultEvery)) {
		n := random.IntN(total)
		for _, k := range kinds {
			if n -= k.weight; n >= 0 {
				continue
			}
			do := k.draw(random)
			select {
			case x.atOnce <- struct{}{}:
			case <-ctx.Done():
				return
			}
			x.wg.Go(func() {
				defer func() { <-x.atOnce }()
				do(ctx)
			})
			break
		}
	}
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
		if m.cmd == nil {
			return
		}
		f := x.begin(nodeStopped, "%s for %s", m.name, d.Round(time.Millisecond))
		m.signal(syscall.SIGSTOP)
		pause(ctx, d)
		m.signal(syscall.SIGCONT)
		x.over(f)
	}
}

// The ways to cut a connection: by silence, by a refusal, by a reset.
var cuts = []string{"silent", "silent upstream", "silent downstream", "refused", "reset"}

func (x *tormentor) cut(random *rand.Rand) func(context.Context) {
	l := x.g.links[random.IntN(len(x.g.links))]
	way := cuts[random.IntN(len(cuts))]
	d := between(random, 200*time.Millisecond, 8*time.Second)
	return func(ctx context.Context) {
		x.onLink(l, func() {
			f := x.begin(linkCut, "%s, %s, for %s", l.name, way, d.Round(time.Millisecond))
			defer x.over(f)
			if way == "refused" {
				l.proxy.Stop()
				pause(ctx, d)
				x.mustStart(l)
				return
			}
			stream := strings.TrimSpace(strings.TrimPrefix(way, "silent"))
			if way == "reset" {
				x.poison(ctx, l, d, `{"type": "reset_peer", "stream": "upstream", "attributes": {"timeout": 0}}`)
				return
			}
			var toxics []string
			for _, s := range []string{"upstream", "downstream"} {
				if stream == "" || stream == s {
					toxics = append(toxics, fmt.Sprintf(`{"type": "timeout", "stream": %q, "attributes": {"timeout": 0}}`, s))
				}
			}
			x.poison(ctx, l, d, toxics...)
		})
	}
}

// mustStart lets a proxy listen again.
func (x *tormentor) mustStart(l *link) {
	deadline := time.Now().Add(toxicPatience)
	for {
		err := l.proxy.Start()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			x.complain("the proxy of %s cannot listen again: %v", l.name, err)
			return
		}
		time.Sleep(clientPause)
	}
}

func (x *tormentor) delay(random *rand.Rand) func(context.Context) {
	l := x.g.links[random.IntN(len(x.g.links))]
	d := between(random, time.Second, 6*time.Second)
	late := 20 + random.IntN(800)
	streams := []string{"upstream", "downstream"}[random.IntN(2):]
	narrow := random.IntN(4) == 0
	return func(ctx context.Context) {
		x.onLink(l, func() {
			var toxics []string
			for _, s := range streams {
				if narrow {
					toxics = append(toxics, fmt.Sprintf(`{"type": "bandwidth", "stream": %q, "attributes": {"rate": %d}}`, s, 2+late/50))
					continue
				}
				toxics = append(toxics, fmt.Sprintf(`{"type": "latency", "stream": %q, "attributes": {"latency": %d, "jitter": %d}}`, s, late, late/2))
			}
			how := fmt.Sprintf("by about %d ms", late)
			if narrow {
				how = fmt.Sprintf("to %d kB/s", 2+late/50)
			}
			f := x.begin(linkDelayed, "%s, %v, %s, for %s", l.name, streams, how, d.Round(time.Millisecond))
			x.poison(ctx, l, d, toxics...)
			x.over(f)
		})
	}
}

// onLink does something to a link that nothing else happens to. One between brokers counts as a broker.
func (x *tormentor) onLink(l *link, do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.HasPrefix(l.name, "brokers") {
		if !x.busy.TryLock() {
			return
		}
		defer x.busy.Unlock()
		if x.g.cluster.whole() != nil {
			return
		}
	}
	do()
}

// poison gives a link toxics for a time.
func (x *tormentor) poison(ctx context.Context, l *link, d time.Duration, toxics ...string) {
	for i, text := range toxics {
		text = fmt.Sprintf(`{"name": "%d", "toxicity": 1, `, i) + text[1:]
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
			x.complain("no toxic %s on %s: %v", text, l.name, err)
		}
	}
	pause(ctx, d)
	heal, cancel := context.WithTimeout(context.Background(), toxicPatience)
	defer cancel()
	l.proxy.Toxics.ResetToxics(heal)
}

func (x *tormentor) killBroker(random *rand.Rand) func(context.Context) {
	which, d := random.IntN(defaultPartitions), between(random, 500*time.Millisecond, 6*time.Second)
	return func(ctx context.Context) {
		if !x.busy.TryLock() {
			return
		}
		defer x.busy.Unlock()
		c := x.g.cluster
		leaders, err := c.leaders()
		if err != nil || c.whole() != nil {
			return
		}
		broker := leaders[which%len(leaders)]
		f := x.begin(brokerKilled, "broker%d for %s", broker, d.Round(time.Millisecond))
		if err := c.kill(broker); err != nil {
			x.complain("broker%d cannot be killed: %v", broker, err)
			return
		}
		pause(ctx, d)
		if err := c.revive(); err != nil {
			x.complain("broker%d does not start again: %v", broker, err)
		}
		x.over(f)
		x.awaitWhole()
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
