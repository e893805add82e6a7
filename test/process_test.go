package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"daybook/internal/testenv"
)

const (
	// startPatience bounds how long a node may take to be ready.
	startPatience = 60 * time.Second
	stopPatience  = 30 * time.Second
	// sessionTimeout is how long a node that ended keeps its partitions on Kafka, whose brokers ask for as much: the
	// next test's node waits for it.
	sessionTimeout = "6s"
	// commandPatience bounds any other command of the program.
	commandPatience = 2 * time.Minute
)

// probe asks a node whether it is ready.
var probe = &http.Client{Timeout: 5 * time.Second}

// node is one running process of the program, which can be stopped, killed and started again at the same place.
type node struct {
	t        testing.TB
	backend  backend
	dir      string
	settings []string
	listen   string
	// program is what runs, and with more environment, as it is for all nodes unless a test says otherwise.
	program string
	more    []string
	// environment, when set, configures the node in place of flags.
	environment []string

	cmd    *exec.Cmd
	exited chan error
	// out is what the present process printed, log what all of them logged; the present one's begins at logged.
	out    *testenv.Buffer
	log    *testenv.Buffer
	logged int
	url    string
	broker string
}

// newNode describes a node on a data directory of its own; start starts it.
func newNode(t testing.TB, b backend, settings ...string) *node {
	n := &node{t: t, backend: b, dir: t.TempDir(), settings: settings, program: binary, listen: "127.0.0.1:0", log: &testenv.Buffer{}}
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			t.Logf("the end of the node's log:\n%s", n.log.Tail(6000))
		}
	})
	return n
}

// startNode starts a node and waits until it is ready.
func startNode(t testing.TB, b backend, settings ...string) *node {
	n := newNode(t, b, settings...)
	n.start()
	return n
}

// arguments are those of a command that works on the node's storage.
func (n *node) arguments(command string) []string {
	args := []string{command, "--data-dir", n.dir}
	if len(n.backend.brokers) > 0 {
		args = append(args, "--kafka-brokers", strings.Join(n.backend.brokers, ","))
	}
	if n.backend.database != "" {
		args = append(args, "--database-url", n.backend.database)
	}
	return args
}

var (
	announced      = regexp.MustCompile(`playground is at (http://\S+/) `)
	embeddedBroker = regexp.MustCompile(`address=(127\.0\.0\.1:\d+)`)
)

// start starts the process and waits until it is ready.
func (n *node) start() {
	n.t.Helper()
	n.launch()
	n.awaitReady()
}

// awaitReady waits until the process that was launched is ready.
func (n *node) awaitReady() {
	n.t.Helper()
	n.wait(startPatience, func() error {
		found := announced.FindStringSubmatch(n.out.String())
		if found == nil {
			return errors.New("it has not announced itself")
		}
		n.url = found[1]
		if at := embeddedBroker.FindStringSubmatch(n.log.String()[n.logged:]); at != nil {
			n.broker = at[1]
		}
		return n.ready()
	})
	n.listen = strings.TrimSuffix(strings.TrimPrefix(n.url, "http://"), "/")
}

// launch starts the process and waits for nothing.
func (n *node) launch() {
	n.t.Helper()
	args := append(append(n.arguments("serve"), "--listen", n.listen, "--session-timeout", sessionTimeout), n.settings...)
	if n.environment != nil {
		args = []string{"serve"}
	}
	cmd := exec.Command(n.program, args...)
	cmd.Env = append(append(os.Environ(), n.environment...), n.more...)
	n.out, n.logged = &testenv.Buffer{}, n.log.Len()
	cmd.Stdout, cmd.Stderr = n.out, n.log
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	n.cmd, n.exited = cmd, exited
}

func (n *node) ready() error {
	res, err := probe.Get(n.url + "readyz")
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // It was read.
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("readyz answers %d: %s", res.StatusCode, body)
	}
	return nil
}

// wait polls a condition; a node that ends meanwhile fails the test at once.
func (n *node) wait(patience time.Duration, condition func() error) {
	n.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case exit := <-n.exited:
			n.exited <- exit
			n.t.Fatalf("the node ended (%v) while waited for: %v\n%s", exit, err, n.log.Tail(3000))
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("not within %s: %v", patience, err)
		}
	}
}

// kill ends the process as a crash does.
func (n *node) kill() {
	if n.cmd == nil {
		return
	}
	n.signal(syscall.SIGKILL)
	n.signal(syscall.SIGCONT)
	<-n.exited
	n.cmd = nil
}

// stop ends the process as an operator does; it must end cleanly.
func (n *node) stop() {
	n.t.Helper()
	n.signal(syscall.SIGTERM)
	n.mustEnd()
}

// mustEnd waits until the process, told to stop, has ended cleanly.
func (n *node) mustEnd() {
	n.t.Helper()
	select {
	case err := <-n.exited:
		n.cmd = nil
		if err != nil {
			n.t.Fatalf("the node did not end cleanly: %v\n%s", err, n.log.Tail(3000))
		}
	case <-time.After(stopPatience):
		n.t.Fatalf("the node did not end within %s", stopPatience)
	}
}

func (n *node) signal(s syscall.Signal) {
	if n.cmd != nil {
		_ = n.cmd.Process.Signal(s)
	}
}

// brokers are where the node's log can be read.
func (n *node) brokers() []string {
	if n.broker != "" {
		return []string{n.broker}
	}
	return n.backend.brokers
}

// command runs another command of the program on the node's storage and returns what it prints.
func (n *node) command(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, append(n.arguments(name), args...)...).CombinedOutput()
	return string(out), errors.Join(err, ctx.Err())
}

// exitCode is that of a process that ended by itself, -1 for any other end.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	default:
		return -1
	}
}

// mustVerify stops the node and compares its read model with its log.
func (n *node) mustVerify() {
	n.t.Helper()
	n.stop()
	if out, err := n.command("verify"); err != nil || !strings.Contains(out, "no differences") {
		n.t.Fatalf("verify: %v\n%s", err, out)
	}
}
