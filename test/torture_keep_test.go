package test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// mostProblems bounds what is collected: the first tell the most.
const mostProblems = 500

// collector takes what would fail a test and keeps it, so that a run goes on, and one with a planted bug can be looked
// through for what it has to have found.
type collector struct {
	testing.TB
	mu       sync.Mutex
	problems []string
}

func (c *collector) found() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.problems...)
}

// Errorf implements testing.TB.
func (c *collector) Errorf(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.problems) < mostProblems {
		c.problems = append(c.problems, fmt.Sprintf(format, args...))
	}
}

// Error implements testing.TB.
func (c *collector) Error(args ...any) { c.Errorf("%s", fmt.Sprintln(args...)) }

// Fatalf implements testing.TB: it ends the goroutine.
func (c *collector) Fatalf(format string, args ...any) {
	c.Errorf(format, args...)
	runtime.Goexit()
}

// Fatal implements testing.TB.
func (c *collector) Fatal(args ...any) { c.Fatalf("%s", fmt.Sprintln(args...)) }

// FailNow implements testing.TB.
func (c *collector) FailNow() { c.Fatalf("it failed") }

// Failed implements testing.TB.
func (c *collector) Failed() bool { return len(c.found()) > 0 }

// try runs something that may end early.
func (c *collector) try(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if wrong := recover(); wrong != nil {
				c.Errorf("the test itself fails: %v\n%s", wrong, debug.Stack())
			}
		}()
		do()
	}()
	<-done
}

// preserve keeps what is needed to find out what went wrong.
func (c *trial) preserve() {
	c.g.keep = true
	write := func(name string, fill func(*json.Encoder) error) {
		f, err := os.Create(filepath.Join(c.g.dir, name))
		if err == nil {
			err = fill(json.NewEncoder(f))
		}
		if err != nil {
			c.Logf("%s is not kept: %v", name, err)
			return
		}
		_ = f.Close()
	}
	for _, m := range c.g.nodes {
		if err := os.WriteFile(filepath.Join(c.g.dir, m.name+".log"), []byte(m.log.String()), 0o644); err != nil {
			c.Logf("%v", err)
		}
	}
	text := fmt.Sprintf("seed %d\n", c.run.Seed)
	if c.x != nil {
		for _, f := range c.x.faults {
			text += fmt.Sprintf("%8.3f to %8.3f s  %s: %s\n", f.begin.Seconds(), f.end.Seconds(), f.kind, f.what)
		}
	}
	text += "\n" + strings.Join(c.run.Problems, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(c.g.dir, "faults.txt"), []byte(text), 0o644); err != nil {
		c.Logf("%v", err)
	}
	if c.l != nil {
		write("commands.jsonl", c.l.writeCommands)
	}
	if c.g.cluster != nil {
		write("events.jsonl", c.g.writeEvents)
	}
	c.TB.Logf("all that is needed to find out why is in %s: faults.txt, what the nodes logged, what the clients sent and heard (commands.jsonl), "+
		"and the events, or the embedded node's data", c.g.dir)
}

// writeCommands writes what every client sent and heard, a command a line.
func (l *torment) writeCommands(to *json.Encoder) error {
	type line struct {
		Begun    time.Time
		Account  string
		Key      string
		Input    map[string]any
		Answer   payload
		Error    string
		Settled  bool
		Attempts []attempt
		Kind     string `json:",omitempty"`
	}
	for _, c := range l.commands {
		if err := to.Encode(line{l.begun, c.account, c.key, c.input, c.answer, fmt.Sprint(c.err), c.settled, c.attempts, ""}); err != nil {
			return err
		}
	}
	for _, h := range l.histories {
		for _, r := range h.records {
			one := attempt{At: time.Duration(r.call), Took: time.Duration(r.ret - r.call), Heard: fmt.Sprintf("unknown %v, lost %v", r.unknown, r.lost), Code: r.code}
			if err := to.Encode(line{h.begun, r.step.account, r.key, r.input, r.answer, fmt.Sprint(r.err), r.settled, []attempt{one}, r.kind}); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeEvents writes both topics of events, a record a line.
func (g *ground) writeEvents(to *json.Encoder) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(g.direct.brokers...), kgo.KeepControlRecords(),
		kgo.ConsumeTopics("billing.account.events", "billing.transaction.events"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		fetches := client.PollFetches(ctx)
		cancel()
		if fetches.NumRecords() == 0 {
			return nil
		}
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			headers := map[string]string{}
			for _, h := range r.Headers {
				headers[h.Key] = string(h.Value)
			}
			value := json.RawMessage(r.Value)
			if r.Attrs.IsControl() {
				value = json.RawMessage(`"a line"`)
			}
			line := map[string]any{
				"topic": r.Topic, "partition": r.Partition, "offset": r.Offset, "producer": r.ProducerID, "epoch": r.ProducerEpoch,
				"headers": headers, "event": value,
			}
			if err := to.Encode(line); err != nil && failed == nil {
				failed = err
			}
		})
		if failed != nil {
			return failed
		}
	}
}
