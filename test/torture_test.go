package test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"daybook/internal/audit"
	"daybook/internal/tally"
	"daybook/internal/testenv"
)

var (
	tortureTime    = flag.Duration("torture", 0, "how long nodes are tortured; 0 is the short run that is part of all tests")
	tortureSeed    = flag.Uint64("seed", 0, "what the faults of a torture are drawn from; 0 draws it too")
	tortureKills   = flag.Int("kills", 0, "go on torturing until so many processes were killed")
	tortureTally   = flag.String("tally", "", "the file to add to what each run of a torture came to")
	tortureOnly    = flag.String("only", "", "the faults to draw, by a regular expression that their kinds match")
	tortureKeep    = flag.Bool("keep", false, "keep everything of a torture that went well, too")
	tortureBackend = flag.String("backend", "", "the backends to look for planted bugs on, by a regular expression")
	tortureBug     = flag.String("bug", "", "the planted bug to find, or all")
)

const (
	shortTorture = 40 * time.Second
	// longestRun bounds one run: it ends with all checks, and the next one begins with an empty log.
	longestRun = 5 * time.Minute
	// calm is how long the load goes on before the first fault, and after the last.
	calm          = 3 * time.Second
	progressEvery = 10 * time.Second
)

// Nodes, and what they work on, are tortured while many clients move money. Whatever happens, every promise about the
// log, the answers, the read model and the subscriptions holds, and in the end all is well again.
//
// Without flags this takes a minute; see make torture.
func TestTortureEmbedded(t *testing.T) { tortureAll(t, "embedded") }

// As above, with three nodes on three brokers and PostgreSQL, which it starts for itself.
func TestTortureKafka(t *testing.T) {
	if *tortureTime == 0 && *tortureBug == "" {
		testenv.Kafka(t) // Where it is not there, neither are its programs.
	}
	tortureAll(t, "kafka")
}

func tortureAll(t *testing.T, name string) {
	if *tortureBug != "" {
		t.Skip("a bug is looked for")
	}
	seed := *tortureSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	if *tortureTime == 0 {
		torture(t, name, seed, shortTorture, "")
		return
	}
	kills := 0
	for left := *tortureTime; left > 0 || kills < *tortureKills; seed++ {
		length := longestRun
		if left > 0 {
			length = min(left, longestRun)
		}
		left -= length
		t.Run(fmt.Sprint(seed), func(t *testing.T) { kills += torture(t, name, seed, length, "").Kills })
		if t.Failed() {
			return
		}
	}
}

// torture is one run. It returns what the run came to, whose problems have failed the test unless a bug was planted.
func torture(t *testing.T, name string, seed uint64, length time.Duration, bug string) *tally.Run {
	t.Logf("torturing %s for %s; -seed %d draws the same faults", name, length, seed)
	c := &trial{collector: &collector{TB: t}, run: &tally.Run{Backend: name, Seed: seed, Began: time.Now(), Planted: bug}}
	c.try(func() { c.carryOut(length) })
	c.run.Problems = c.found()
	if bug == "" {
		for _, problem := range c.run.Problems[:min(20, len(c.run.Problems))] {
			t.Error(problem)
		}
	}
	if c.g != nil && (*tortureKeep || len(c.run.Problems) > 0 && bug == "") {
		c.preserve()
	}
	t.Logf("%d problems\n%s", len(c.run.Problems), tally.Table([]tally.Run{*c.run}))
	if *tortureTally != "" {
		if err := c.run.Append(*tortureTally); err != nil {
			t.Error(err)
		}
	}
	return c.run
}

// trial is one run under way.
type trial struct {
	*collector
	run *tally.Run
	g   *ground
	l   *torment
	x   *tormentor
	// report is the last audit.
	report *audit.Report
}

// carryOut starts everything, lets faults happen for so long, and judges what came of it.
func (c *trial) carryOut(length time.Duration) {
	c.g = newGround(c, c.run.Backend, tortureProgram(c), "DAYBOOK_PLANTED_BUG="+c.run.Planted)
	slack := clockSlack
	clockSlack = int64(2*longestClock + time.Second)
	c.Cleanup(func() { clockSlack = slack })

	living, stopLiving := context.WithCancel(context.Background())
	var tending sync.WaitGroup
	defer tending.Wait()
	defer stopLiving()
	for _, m := range c.g.nodes {
		tending.Go(func() { m.tend(living) })
	}
	c.l = newTorment(c.g, c.run.Seed)
	for _, m := range c.g.nodes {
		c.l.eventually("starting "+m.name, m.ready)
	}
	c.l.openAll()
	watchers, stopWatching := c.watch()
	defer stopWatching()
	c.x = newTormentor(c.g, c.run.Seed, c.l.begun)
	c.l.begin()
	from := time.Since(c.l.begun)
	time.Sleep(calm) // See calm.
	c.rage(length)
	to := time.Since(c.l.begun)
	time.Sleep(calm) // See calm.
	c.l.stopped.Store(true)
	c.l.wg.Wait()
	c.Logf("%7.0f s  all clients have ended", time.Since(c.l.begun).Seconds())
	c.run.Seconds = (to - from).Seconds()
	c.l.serve(c.run, from, to)
	c.try(func() { c.judge(watchers) })
	stopWatching()
	stopLiving()
	tending.Wait()
	c.mustStop()
}

// watch subscribes to every account, on one node after the other.
func (c *trial) watch() ([]*watcher, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var all []*watcher
	for i, id := range c.l.accounts {
		w := &watcher{account: id, transport: streaming[i%len(streaming)], longest: time.Duration(4+i%9) * time.Second}
		all = append(all, w)
		wg.Go(func() { w.follow(ctx, c.l.url) })
	}
	return all, func() {
		cancel()
		wg.Wait()
	}
}

// rage lets faults happen, and tells every ten seconds how it goes.
func (c *trial) rage(length time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { c.x.run(ctx) })
	before := int64(0)
	for pause(ctx, progressEvery) {
		c.x.mu.Lock()
		faults := len(c.x.faults)
		c.x.mu.Unlock()
		c.l.tmu.Lock()
		heard := fmt.Sprint(c.l.heard)
		c.l.tmu.Unlock()
		done := c.l.done.Load()
		c.Logf("%7.0f s  %d killed, %d faults, %d acknowledged (%d/s), tries %s", time.Since(c.l.begun).Seconds(), c.x.kills(), faults,
			done, (done-before)/int64(progressEvery/time.Second), heard)
		before = done
	}
	wg.Wait()
}

// judge checks everything once all is well again.
func (c *trial) judge(watchers []*watcher) {
	for _, problem := range c.x.wrong {
		c.Errorf("%s", problem)
	}
	for _, m := range c.g.nodes {
		c.l.eventually(m.name+" being ready again", m.ready)
	}
	brokers := c.g.direct.brokers
	if c.g.cluster == nil {
		brokers = []string{c.g.nodes[0].embeddedBroker()}
	}
	report := c.l.atRest(brokers)
	if report == nil {
		return
	}
	c.report = report
	c.Logf("%7.0f s  nothing is on its way any more", time.Since(c.l.begun).Seconds())
	answers := c.l.answered()
	count(c.run, report, answers)
	for _, problems := range [][]string{report.Problems, report.Compare(answers), c.l.wrongStatuses(report), c.l.halves(report), c.l.onFullDisk(c.x.faults)} {
		for _, problem := range problems {
			c.Errorf("%s", problem)
		}
	}
	late, wrong := c.l.lateOnes(report)
	c.run.Late = late
	for _, problem := range wrong {
		c.run.Resurrected++
		c.Errorf("%s", problem)
	}
	c.l.repeatAll(settlePatience)
	c.l.mustRead(report)
	c.run.Resumed = c.l.mustHaveWatched(report, watchers)
	c.run.Histories, c.run.Undecided = c.mustBeLinearizable(report)
	c.Logf("%7.0f s  all is checked", time.Since(c.l.begun).Seconds())
	for _, fault := range c.l.faults {
		c.Errorf("%v", fault)
	}
	c.l.mustHaveTried(report)
	c.sum()
}

// sum puts what there is to count into the run.
func (c *trial) sum() {
	c.run.Events, c.run.Tries, c.run.Elsewhere = c.report.Events, c.l.tries, c.l.elsewhere
	c.run.TakenBack, c.run.Repeats = c.l.takenBack(), c.l.repeats
	count := func(o *operation) {
		c.run.Commands++
		if o.acknowledged() {
			c.run.Acknowledged++
		} else {
			c.run.Refused++
		}
	}
	for _, o := range c.l.commands {
		count(o.operation)
	}
	for _, h := range c.l.histories {
		for _, r := range h.records {
			if r.kind != looked && r.kind != lookedLast {
				count(&r.operation)
				c.run.Tries += r.tries
			}
		}
	}
	c.run.Faults, c.run.Slowest, c.run.Kills = c.x.counts(), c.l.recovered(c.x.faults), c.x.kills()
}

// mustStop stops every node as an operator does, compares the read model with the log, and looks through what the nodes
// have logged.
func (c *trial) mustStop() {
	for _, m := range c.g.nodes {
		m.mu.Lock()
		if wrong := m.terminate(); wrong != "" {
			c.Errorf("in the end %s", wrong)
		}
		m.mu.Unlock()
		for _, sign := range []string{"panic: ", "fatal error: ", "WARNING: DATA RACE"} {
			if at := strings.Index(m.log.String(), sign); at >= 0 {
				c.Errorf("%s logged: %s", m.name, m.log.String()[at:min(at+4000, m.log.Len())])
			}
		}
		if n := strings.Count(m.log.String(), "partition restored from a checkpoint"); n > 0 {
			c.Logf("%s restored a partition from a checkpoint %d times", m.name, n)
		}
		c.mustHaveLived(m)
	}
	first := *c.g.nodes[0].node
	first.backend = c.g.direct
	if out, err := first.command("verify"); err != nil || !strings.Contains(out, "no differences") {
		c.Errorf("verify: %v\n%s", err, out)
	}
}

// tortureProgram builds the program that can be broken, once, with the race detector where RACE is set.
func tortureProgram(t testing.TB) string {
	tortureBuild.Do(func() {
		tortureBinary = filepath.Join(filepath.Dir(binary), "daybook-planted")
		args := []string{"build", "-tags", "planted", "-o", tortureBinary}
		if os.Getenv("RACE") != "" {
			args = append(args, "-race")
		}
		if out, err := exec.Command("go", append(args, "daybook/cmd/daybook")...).CombinedOutput(); err != nil {
			tortureBuildError = fmt.Errorf("building the program: %w\n%s", err, out)
		}
	})
	if tortureBuildError != nil {
		t.Fatal(tortureBuildError)
	}
	return tortureBinary
}

var (
	tortureBuild      sync.Once
	tortureBinary     string
	tortureBuildError error
)
