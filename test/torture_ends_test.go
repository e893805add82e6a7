package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"daybook/internal/testenv"
)

// selfEnd is one of a node's processes that nobody had asked for.
type selfEnd struct {
	// announced tells that the process had said where it answers, which it does when its start is over.
	announced bool
	words     string
}

// rightEnds are the words with which a node may end by itself: all are of a start that what it works on did not answer, for
// longer than a node waits. Once it serves, a node waits for ever. One ends for a disk that stays full, too, but none is
// really full here.
var rightEnds = regexp.MustCompile(`^daybook: (cannot reach Kafka at ` +
	`|asking Kafka for its (topics|brokers|identity): |asking for the settings of topic |waiting for the leaders of ` +
	`|the database \S+ cannot be used: (start the server or correct the address|see the server's log \((the database system is |terminating connection )))`)

func (e selfEnd) right() bool { return !e.announced && rightEnds.MatchString(e.words) }

// notice sees to a process that has ended by itself.
func (m *machine) notice() {
	if m.cmd == nil {
		return
	}
	select {
	case <-m.exited:
		m.cmd = nil
		m.ends = append(m.ends, m.lastEnd())
	default:
	}
}

// lastEnd is that of the present process, which is over.
func (m *machine) lastEnd() selfEnd {
	return selfEnd{announced: m.out.Len() > 0, words: lastWords(m.log.String()[m.logged:])}
}

// mostWords bounds what is told of an end.
const mostWords = 4000

// lastWords are what a process logged last: what the program says when it fails, which may take several lines, a panic with
// where it happened, or else the last line.
func lastWords(text string) string {
	text = strings.TrimSpace(text)
	at := strings.LastIndexByte(text, '\n') + 1
	if found := lastSaid.FindAllStringIndex(text, -1); found != nil {
		at = found[len(found)-1][0]
	}
	return text[at:min(len(text), at+mostWords)]
}

var lastSaid = regexp.MustCompile(`(?m)^(daybook|panic|fatal error): `)

// mustHaveLived fails the run for every process of a node that ended by itself, unless it may.
func (c *trial) mustHaveLived(m *machine) {
	for _, e := range m.ends {
		if e.right() {
			c.Logf("%s ended by itself, as it may: %s", m.name, e.words)
		} else {
			c.Errorf("%s ended by itself: %s", m.name, e.words)
		}
	}
}

func TestOnlyANodeThatStartsMayEndByItself(t *testing.T) {
	const nobody = "daybook: cannot reach Kafka at 127.0.0.1:20001: start it or correct the address (kafka: client has run out of available brokers to talk to: 2 errors occurred:\n\t* EOF\n\t* EOF\n)"
	for _, c := range []struct {
		name      string
		announced bool
		log       string
		right     bool
	}{
		{"brokers that cannot be reached", false, nobody, true},
		{"the same of a node that serves", true, nobody, false},
		{"brokers that do not tell their topics", false, "daybook: asking Kafka for its topics: read tcp 127.0.0.1:1->127.0.0.1:2: i/o timeout", true},
		{"brokers that do not tell who they are", false, "daybook: asking Kafka for its identity: EOF", true},
		{"a partition without leader", false, "daybook: waiting for the leaders of new topics: billing.account.events/1: kafka server: In the middle of a leadership election", true},
		{"topics of another program", false, "daybook: topic billing.account.events has retention.ms=1, which would delete history: set it to -1", false},
		{"a database that is away", false, "daybook: the database 127.0.0.1:2/postgres cannot be used: start the server or correct the address in its URL (connection refused)", true},
		{"a database that stops", false, "daybook: the database 127.0.0.1:2/postgres cannot be used: see the server's log (the database system is shutting down)", true},
		{"a database that refuses a statement", false, "daybook: the database 127.0.0.1:2/postgres cannot be used: see the server's log (deadlock detected)", false},
		{"a database of another log", false, "daybook: the database 127.0.0.1:2/postgres belongs to log a and not to log b: name an empty database, or the log it belongs to", false},
		{"a log that lost its end", false, "daybook: the local state of partition 1 is ahead of the log, or the log lost its beginning: restore the log", false},
		{"the same while it serves", true, "daybook: the local state of partition 1 is ahead of the log, or the log lost its beginning: restore the log", false},
		{"the group", true, "daybook: joining group daybook: kafka: invalid configuration", false},
		{"a panic", false, "panic: runtime error: index out of range\n\ngoroutine 1 [running]:\nmain.main()", false},
		{"a panic after trouble that is excused", false, nobody + "\npanic: runtime error: index out of range\n\ngoroutine 1 [running]:", false},
		{"an end without a reason", true, "time=2026 level=INFO msg=stopped took=1ms", false},
		{"an end without a word", false, "", false},
		{"what was only logged", false, `time=2026 level=WARN msg="Kafka does not answer" error="cannot reach Kafka at 127.0.0.1:1: start it"`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := selfEnd{announced: c.announced, words: lastWords("time=2026 level=INFO msg=before\n" + c.log + "\n")}
			if e.right() != c.right {
				t.Errorf("right %v, want %v, of %q", e.right(), c.right, e.words)
			}
		})
	}
}

// A process that ends is noticed with all its last words, also by whoever is about to end it, and fails the run.
func TestANodeThatEndsByItselfFailsTheTorture(t *testing.T) {
	for _, c := range []struct{ name, program, problem string }{
		{"excused", `echo "daybook: cannot reach Kafka at 127.0.0.1:1" >&2; exit 1`, ""},
		{"at its start", `echo "daybook: 2 errors:" >&2; echo "	* one" >&2; exit 1`, "node1 ended by itself: daybook: 2 errors:\n\t* one"},
		{"after its start", `echo "Daybook's playground"; echo "daybook: cannot reach Kafka at 127.0.0.1:1" >&2; exit 1`,
			"node1 ended by itself: daybook: cannot reach Kafka at 127.0.0.1:1"},
		{"without a fault", `echo "Daybook's playground"; echo level=INFO msg=stopped >&2`, "node1 ended by itself: level=INFO msg=stopped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := &trial{collector: &collector{TB: t}}
			m := &machine{name: "node1", node: &node{t: t, program: filepath.Join(t.TempDir(), "program"), log: &testenv.Buffer{}}}
			if err := os.WriteFile(m.program, []byte("#!/bin/sh\n"+c.program+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			m.launch()
			exit := <-m.exited
			m.exited <- exit
			if wrong := m.terminate(); wrong != "" {
				t.Errorf("it was ended by the test: %s", wrong)
			}
			run.mustHaveLived(m)
			if got := strings.Join(run.found(), "; "); got != c.problem {
				t.Errorf("the run has found %q, want %q", got, c.problem)
			}
		})
	}
}
