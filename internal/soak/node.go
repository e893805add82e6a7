package soak

import (
	"context"
	stderrors "errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// startPatience bounds how long a node may take to be ready, stopPatience to end, verifyPatience the comparison of
	// the read model with the log.
	startPatience, stopPatience = 2 * time.Minute, time.Minute
	verifyPatience              = time.Hour
	pollEvery                   = 100 * time.Millisecond
)

// Backend is where nodes keep their log and their read model. The zero value is one node with all of it embedded.
type Backend struct {
	// Brokers are Kafka's addresses, separated by commas.
	Brokers string
	// Database is the URL of a PostgreSQL database.
	Database string
	// Dirs are folders in which Kafka and PostgreSQL keep their data, of which the size is told.
	Dirs []string
}

func (b Backend) embedded() bool { return b.Brokers == "" }

// arguments are those of a command that works on a data folder and the backend.
func (b Backend) arguments(command, dir string) []string {
	args := []string{command, "--data-dir", dir}
	if !b.embedded() {
		args = append(args, "--kafka-brokers", b.Brokers, "--database-url", b.Database)
	}
	return args
}

// node is a running process of the program.
type node struct {
	name, dir, log string
	host           string
	cmd            *exec.Cmd
	exited         chan error
}

var announced = regexp.MustCompile(`playground is at http://(\S+)/ `)

// startNode starts the program as a user would, and waits until it is ready. What it logs goes into a file in out.
func startNode(ctx context.Context, program, name, dir, out string, b Backend) (*node, error) {
	n := &node{name: name, dir: dir, log: filepath.Join(out, name+".log"), exited: make(chan error, 1)}
	log, err := os.Create(n.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // The process has a handle of its own.
	printed := &firstLines{}
	n.cmd = exec.Command(program, append(b.arguments("serve", dir), "--listen", "127.0.0.1:0", "--log-level", "warn")...)
	n.cmd.Stdout, n.cmd.Stderr = printed, log
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() { n.exited <- n.cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		if found := announced.FindStringSubmatch(printed.String()); found != nil {
			n.host = found[1]
			if _, err = get(ctx, "http://"+n.host+"/readyz"); err == nil {
				return n, nil
			}
		}
		select {
		case exit := <-n.exited:
			n.cmd = nil
			return nil, fmt.Errorf("%s ended before it was ready (%v): read %s", name, exit, n.log)
		default:
		}
		if !pause(ctx, pollEvery) {
			n.kill()
			return nil, fmt.Errorf("%s is not ready: %w; read %s", name, stderrors.Join(err, ctx.Err()), n.log)
		}
	}
}

// ended tells whether the process has ended by itself.
func (n *node) ended() error {
	select {
	case exit := <-n.exited:
		n.cmd = nil
		return fmt.Errorf("%s ended by itself (%v): read %s", n.name, exit, n.log)
	default:
		return nil
	}
}

// stop ends the process as an operator does; it must end well.
func (n *node) stop() error {
	if n.cmd == nil {
		return nil
	}
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-n.exited:
		n.cmd = nil
		if err != nil {
			return fmt.Errorf("%s did not end well: %w; read %s", n.name, err, n.log)
		}
		return nil
	case <-time.After(stopPatience):
		n.kill()
		return fmt.Errorf("%s did not end within %s; read %s", n.name, stopPatience, n.log)
	}
}

func (n *node) kill() {
	if n.cmd != nil {
		_ = n.cmd.Process.Kill()
		<-n.exited
		n.cmd = nil
	}
}

// verify compares the read model with the log, while no node runs.
func verify(ctx context.Context, program, dir string, b Backend) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, verifyPatience)
	defer cancel()
	var said strings.Builder
	cmd := exec.CommandContext(ctx, program, b.arguments("verify", dir)...)
	cmd.Stderr = &said
	printed, err := cmd.Output()
	text := strings.TrimSpace(string(printed))
	if err == nil && !strings.Contains(text, "no differences") {
		err = stderrors.New("it says nothing of differences")
	}
	if err != nil {
		return "", fmt.Errorf("daybook verify: %w\n%.2000s\n%.2000s", err, text, said.String())
	}
	return text, nil
}

// asking bounds how long a node may take to tell about itself.
var asking = &http.Client{Timeout: 20 * time.Second}

// get reads a page, at most 4 MB of it.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := asking.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // It was read.
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %d: %.300s", url, res.StatusCode, body)
	}
	return body, err
}

// firstLines keeps the beginning of what a process prints.
type firstLines struct {
	mu   sync.Mutex
	kept []byte
}

// Write implements io.Writer.
func (f *firstLines) Write(p []byte) (int, error) {
	const most = 64 << 10
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = append(f.kept, p[:min(len(p), most-len(f.kept))]...)
	return len(p), nil
}

// String is what was kept.
func (f *firstLines) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return string(f.kept)
}
