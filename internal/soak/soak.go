// Package soak keeps a deployment busy for long and tells whether anything in it grows. It runs the built program as its
// users do and looks at it from outside; it needs the /proc of Linux.
package soak

import (
	"context"
	"encoding/json"
	stderrors "errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what is soaked, and for how long.
type Config struct {
	// Program is the built program, Dir an empty folder for the nodes' data, Out one for samples and logs.
	Program, Dir, Out string
	Backend           Backend
	// Nodes is how many, one when all is embedded.
	Nodes int
	// Time is how long the steady load goes on.
	Time time.Duration
	// Clients is how many connections send operations.
	Clients int
	// Rate is how many operations a second are sent; 0 is half of the maximum, which is measured first.
	Rate float64
	// Progress is told how it goes.
	Progress io.Writer
}

const (
	// shortestLook and longestLook bound the time between two samples.
	shortestLook, longestLook = time.Second, 10 * time.Second
	// longestMaximum bounds how long the maximum is measured, after a warm-up of half as long.
	longestMaximum = 30 * time.Second
	// restPatience bounds the wait until all is projected and what clients opened is closed.
	restPatience = 5 * time.Minute
	// tellEvery is the time between two lines of progress.
	tellEvery = time.Minute
)

// Run starts the nodes, measures the maximum load, keeps up half of it, and tells what came of it. An error means that it
// could not be carried out, or that a node or the comparison of read model and log failed.
func Run(ctx context.Context, c Config) (*Report, error) {
	r := &run{Config: c, began: time.Now(), report: &Report{Backend: c.Backend, Time: c.Time}}
	err := r.carryOut(ctx)
	for _, n := range r.nodes {
		n.kill()
	}
	if err != nil && r.load != nil {
		counts, first := r.load.errors.all()
		err = fmt.Errorf("%w; errors so far %v, such as %v", err, counts, first)
	}
	return r.report, err
}

type run struct {
	Config
	began  time.Time
	nodes  []*node
	load   *load
	pushed atomic.Int64
	report *Report
}

func (r *run) say(format string, args ...any) {
	fmt.Fprintf(r.Progress, "%6.0f s  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

func (r *run) carryOut(ctx context.Context) error {
	if err := r.start(ctx); err != nil {
		return err
	}
	defer r.load.close()
	if err := r.measure(ctx); err != nil {
		return err
	}
	var err error
	if r.report.RestBefore, err = r.rest(ctx, nil); err != nil {
		return err
	}
	if err := r.steady(ctx); err != nil {
		return err
	}
	r.report.Errors, r.report.FirstErrors = r.load.errors.all()
	if r.report.RestAfter, err = r.rest(ctx, r.report.RestBefore); err != nil {
		return err
	}
	for _, n := range r.nodes {
		err = stderrors.Join(err, n.stop())
	}
	if err != nil {
		return err
	}
	r.say("comparing the read model with the log")
	r.report.Verified, err = verify(ctx, r.Program, r.nodes[0].dir, r.Backend)
	return err
}

// start starts the nodes and opens accounts.
func (r *run) start(ctx context.Context) error {
	var hosts []string
	for i := range r.Nodes {
		name := fmt.Sprintf("node%d", i+1)
		n, err := startNode(ctx, r.Program, name, filepath.Join(r.Dir, name), r.Out, r.Backend)
		if err != nil {
			return err
		}
		r.nodes, hosts = append(r.nodes, n), append(hosts, n.host)
		r.say("%s is ready at http://%s/", name, n.host)
	}
	var err error
	if r.load, err = newLoad(hosts, r.Clients); err != nil {
		return err
	}
	_, err = r.rest(ctx, nil) // Queries are to find the accounts.
	return err
}

// measure finds the maximum load, and with it the rate.
func (r *run) measure(ctx context.Context) error {
	d := min(r.Time/4, longestMaximum)
	if _, err := r.load.most(ctx, d/2); err != nil {
		return err
	}
	maximum, err := r.load.most(ctx, d)
	if err != nil {
		return err
	}
	r.report.Maximum, r.report.Rate = maximum.PerSecond, r.Rate
	if r.Rate == 0 {
		r.report.Rate = maximum.PerSecond / 2
	}
	if r.report.Rate <= 0 {
		return stderrors.New("nothing was answered while the maximum was measured: give it more time, or a rate")
	}
	r.say("the maximum is %.0f/s, p50 %s, p99 %s; going on with %.0f/s", maximum.PerSecond, maximum.P50, maximum.P99, r.report.Rate)
	return nil
}

// rest closes what clients have open and waits until the read model has everything. With samples of before it also
// waits, a bounded time, until there are no more goroutines and open files than there were.
func (r *run) rest(ctx context.Context, before []NodeSample) ([]NodeSample, error) {
	r.load.close()
	ctx, cancel := context.WithTimeout(ctx, restPatience)
	defer cancel()
	settled := time.Now()
	for {
		now, err := r.look(ctx)
		if err != nil {
			return nil, err
		}
		behind, more := false, false
		for i, s := range now {
			behind = behind || s.LagOffsets > 0 || s.LagSeconds > 1
			more = more || before != nil && (s.Goroutines > before[i].Goroutines || s.FDs > before[i].FDs)
		}
		if behind {
			settled = time.Now()
		}
		// Transactions follow on the events of accounts with some delay, and connections close with some.
		if passed := time.Since(settled); passed > 2*time.Second && !more || passed > 15*time.Second {
			return now, nil
		}
		if !pause(ctx, pollEvery) {
			return nil, fmt.Errorf("the read model did not catch up within %s: %+v", restPatience, now)
		}
	}
}

// ended tells whether a node has ended by itself.
func (r *run) ended() error {
	for _, n := range r.nodes {
		if err := n.ended(); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) look(ctx context.Context) ([]NodeSample, error) {
	var all []NodeSample
	for _, n := range r.nodes {
		s, err := n.look(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// steady keeps the load up and takes samples.
func (r *run) steady(ctx context.Context) error {
	file, err := os.Create(filepath.Join(r.Out, "samples.jsonl"))
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // Each line was written or failed.
	loading, stop := context.WithTimeout(ctx, r.Time)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	began := time.Now()
	wg.Go(func() { r.load.keepUp(loading, r.report.Rate) })
	for i := range feeds {
		f := &feed{
			host: r.nodes[i%len(r.nodes)].host, account: r.load.mix.ids[i], socket: i/len(r.nodes)%2 == 0,
			errors: r.load.errors, pushed: &r.pushed,
		}
		wg.Go(func() { f.follow(loading) })
	}
	every := min(max(r.Time/360, shortestLook), longestLook)
	told := began
	for next := began.Add(every); pause(loading, time.Until(next)); next = next.Add(every) {
		s, err := r.sample(ctx, began)
		if ended := r.ended(); ended != nil || ctx.Err() != nil {
			return stderrors.Join(ended, ctx.Err())
		}
		if err != nil {
			r.load.errors.add(codeUnseen, err.Error())
			continue
		}
		line, err := json.Marshal(s)
		if err == nil {
			_, err = file.Write(append(line, '\n'))
		}
		if err != nil {
			return fmt.Errorf("writing samples: %w", err)
		}
		r.report.Samples = append(r.report.Samples, s)
		free, err := freeBytes(r.Dir)
		if err != nil {
			return err
		}
		if err := fits(r.report.Samples, r.Time, free); err != nil {
			return err
		}
		if time.Since(told) >= tellEvery {
			told = time.Now()
			r.tell(&s)
		}
	}
	return ctx.Err()
}

func (r *run) sample(ctx context.Context, began time.Time) (Sample, error) {
	s := Sample{Load: r.load.taken()}
	s.Load.Pushed = r.pushed.Swap(0)
	s.Errors, _ = r.load.errors.all()
	var err error
	if s.Nodes, err = r.look(ctx); err != nil {
		return s, err
	}
	for _, dir := range r.Backend.Dirs {
		size, _ := folder(dir)
		s.Disks = append(s.Disks, size)
	}
	s.Seconds = time.Since(began).Seconds()
	return s, nil
}

// spareBytes is what must be left of the disk at the end: nodes refuse commands when little is.
const spareBytes = 2 << 30

// fits tells, from a tenth of the time on, whether the disk will hold what is still to come.
func fits(samples []Sample, whole time.Duration, free int64) error {
	first, last := &samples[0], &samples[len(samples)-1]
	passed, left := last.Seconds-first.Seconds, whole.Seconds()-last.Seconds
	if last.Seconds < whole.Seconds()/10 || passed <= 0 || left <= 0 {
		return nil
	}
	more := int64(float64(last.disk()-first.disk()) / passed * left)
	if free-more >= spareBytes {
		return nil
	}
	return fmt.Errorf("the disk has %d MB, and %d MB more would be written: free some space, or name a lower rate or a shorter time", free>>20, more>>20)
}

// tell prints one line.
func (r *run) tell(s *Sample) {
	line := fmt.Sprintf("of %s: commands p50 %.1f p99 %.1f ms, queries p50 %.1f p99 %.1f ms",
		r.Time, float64(s.Load.CommandP50), float64(s.Load.CommandP99), float64(s.Load.QueryP50), float64(s.Load.QueryP99))
	for _, n := range s.Nodes {
		line += fmt.Sprintf("; %s RSS %d MB, heap %d MB, %d goroutines, %d files, lag %.1f s, disk %d MB",
			n.Node, n.RSS>>20, n.HeapLive>>20, n.Goroutines, n.FDs, n.LagSeconds, n.Disk>>20)
	}
	errors := "no errors"
	if len(s.Errors) > 0 {
		errors = fmt.Sprint("errors ", s.Errors)
	}
	r.say("%.0f s %s; %s", s.Seconds, line, errors)
}
