package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"daybook/internal/testenv"
)

// ground is what is tortured: nodes, and what they work on, with a proxy between each pair.
type ground struct {
	t testing.TB
	// dir keeps it all, and is kept when a run fails.
	dir  string
	keep bool
	// direct leads to the log and the read model past the proxies.
	direct   backend
	nodes    []*machine
	cluster  *cluster  // nil when embedded
	database *database // nil when embedded
	server   *toxiproxy.ApiServer
	links    []*link
}

// link is a proxy between two.
type link struct {
	name  string
	proxy *toxiproxy.Proxy
	mu    sync.Mutex
}

// sort is between what the link is.
func (l *link) sort() string {
	from, to, _ := strings.Cut(l.name, " – ")
	return strings.TrimRight(from, "0123456789") + " – " + strings.TrimRight(to, "0123456789")
}

const tortureNodes = 3

// tortureCheckpoints makes checkpoints so many that each partition has some in a short run.
const tortureCheckpoints = "DAYBOOK_PLANTED_CHECKPOINTS=20"

// newGround starts everything: one embedded node, or three on three brokers and PostgreSQL.
func newGround(t testing.TB, name, program string, environment ...string) *ground {
	zerolog.SetGlobalLevel(zerolog.Disabled) // Some toxics write to standard output.
	g := &ground{t: t, direct: backend{name: name}, server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())}
	var err error
	if g.dir, err = os.MkdirTemp("", "daybook-torture-"); err == nil {
		err = os.Chmod(g.dir, 0o711) // PostgreSQL goes through it as another user.
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.end)
	count := 1
	if name == "kafka" {
		count = tortureNodes
		g.database = startDatabase(t, filepath.Join(g.dir, "postgres"))
		g.cluster = startCluster(g, filepath.Join(g.dir, "kafka"))
		g.direct.brokers, g.direct.database = g.cluster.addresses, g.database.url(g.database.port)
	}
	for i := range count {
		g.addNode(fmt.Sprintf("node%d", i+1), program, environment)
	}
	return g
}

// end stops what runs. What it kept is deleted when nothing went wrong.
func (g *ground) end() {
	for _, m := range g.nodes {
		m.mu.Lock()
		m.kill()
		m.mu.Unlock()
	}
	for _, l := range g.links {
		l.proxy.Stop()
	}
	if g.cluster != nil {
		for broker := range tortureBrokers {
			_ = g.cluster.kill(broker + 1) // They would take long to end by themselves.
		}
		script(g.t, "kafka", "stop", "--dir", g.cluster.dir)
		script(g.t, "postgres", "stop", "--dir", g.database.dir)
	}
	if !g.keep {
		_ = os.RemoveAll(g.dir)
	}
}

// script runs one of the scripts that start services.
func script(t testing.TB, name string, args ...string) string {
	out, err := tryScript(name, args...)
	if err != nil {
		t.Fatalf("scripts/%s %v: %v", name, args, err)
	}
	return out
}

func tryScript(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join("..", "scripts", name), args...)
	var said strings.Builder
	cmd.Stderr = &said
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// link puts a proxy between two.
func (g *ground) link(name, listen, upstream string) *link {
	l := &link{name: name, proxy: toxiproxy.NewProxy(g.server, name, listen, upstream)}
	if err := l.proxy.Start(); err != nil {
		g.t.Fatalf("a proxy for %s: %v", name, err)
	}
	g.links = append(g.links, l)
	return l
}

// freePort finds one below those the system hands out by itself, so that it stays free while nobody listens.
func freePort(t testing.TB) int {
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("there is no free port")
	return 0
}

// machine is a node that faults happen to.
type machine struct {
	*node
	name string
	// front is where clients find it; some go there directly.
	front  *link
	public string
	// clock and full are the files that tell the node's clock and disk what to be.
	clock, full string
	// filling is held while its disk is full.
	filling sync.Mutex

	// mu is held by whoever starts, stops or ends the process.
	mu sync.Mutex
	// ends are those of processes that ended by themselves.
	ends []selfEnd
	// halted tells that it is not to run.
	halted bool
}

func (g *ground) addNode(name, program string, environment []string) {
	b := g.direct
	if g.cluster != nil {
		listener := strings.ToUpper(name)
		b.brokers = g.cluster.routes[listener]
		to := g.link(name+" – PostgreSQL", "127.0.0.1:0", fmt.Sprintf("127.0.0.1:%d", g.database.port))
		b.database = g.database.url(to.proxy.Listen)
	}
	n := &node{
		t: g.t, backend: b, dir: filepath.Join(g.dir, name), log: &testenv.Buffer{}, program: program,
		listen: fmt.Sprintf("127.0.0.1:%d", freePort(g.t)),
	}
	m := &machine{node: n, name: name, clock: n.dir + ".clock", full: n.dir + ".full"}
	n.url = "http://" + n.listen + "/"
	n.more = append([]string{"DAYBOOK_PLANTED_CLOCK=" + m.clock, "DAYBOOK_PLANTED_FULL=" + m.full, tortureCheckpoints}, environment...)
	m.front = g.link("clients – "+name, "127.0.0.1:0", n.listen)
	m.public = "http://" + m.front.proxy.Listen + "/"
	g.nodes = append(g.nodes, m)
}

// tend starts the node whenever its process has ended by itself, as whoever looks after it would.
func (m *machine) tend(ctx context.Context) {
	for ctx.Err() == nil {
		m.mu.Lock()
		if m.notice(); !m.halted && m.cmd == nil {
			m.launch()
		}
		m.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond): // Until the next look.
		}
	}
}

// terminate ends the process as an operator does, and kills it when it does not end. It tells whether it ended well.
func (m *machine) terminate() string {
	m.notice()
	if m.cmd == nil {
		return ""
	}
	m.signal(syscall.SIGTERM)
	select {
	case err := <-m.exited:
		m.cmd = nil
		end := m.lastEnd()
		early := !end.announced && exitCode(err) < 0 // It was told before it had begun to listen for that.
		if err != nil && !early && !end.right() {
			return fmt.Sprintf("%s ended with %v: %s", m.name, err, end.words)
		}
	case <-time.After(stopPatience):
		m.signal(syscall.SIGQUIT) // Its log then says where it hangs.
		time.Sleep(time.Second)   // For that.
		m.kill()
		return fmt.Sprintf("%s did not end within %s", m.name, stopPatience)
	}
	return ""
}

// embeddedBroker is where the node's own broker listens at present.
func (m *machine) embeddedBroker() string {
	all := embeddedBroker.FindAllStringSubmatch(m.log.String(), -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1][1]
}

// database is a PostgreSQL server.
type database struct {
	dir  string
	port int
}

func startDatabase(t testing.TB, dir string) *database {
	d := &database{dir: dir, port: freePort(t)}
	d.start(t)
	return d
}

func (d *database) start(t testing.TB) {
	script(t, "postgres", "start", "--dir", d.dir, "--port", fmt.Sprint(d.port))
}

// url leads to the database by a port, or by an address.
func (d *database) url(at any) string {
	address := fmt.Sprint(at)
	if port, ok := at.(int); ok {
		address = fmt.Sprintf("127.0.0.1:%d", port)
	}
	return "postgres://daybook@" + address + "/postgres?sslmode=disable"
}
