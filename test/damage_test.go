package test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"daybook/internal/testenv"
)

// flips is how many damaged copies of a node are started; make it large for a thorough run.
var flips = flag.Int("flips", 40, "how many damaged copies of a node to start")

const (
	damageAccounts = 6
	damageCommands = 60
)

// askBooks asks for all there is of an account, and of the books.
const askBooks = `query($id: ID!, $version: Int!) {
	account(id: $id, atLeastVersion: $version) { ` + askAccount + `
		events(first: 100) { edges { node { eventId version type timestamp offset balance amount changeType transactionId } } }
		holds(first: 100) { edges { node { id status remaining } } } } }`

const askLedger = `{ trialBalance { lines { currency account debit credit } unfinished { currency amount transactions } }
	transactions(first: 100) { edges { node { id status amount failureCode } } } }`

// specimen is a small node's data directory after its end, with what it answered before.
type specimen struct {
	dir string
	// earlier is a copy from the middle of its work, when it was stopped too.
	earlier  string
	versions map[string]int64
	answers  map[string]string
}

// takeSpecimen lets a node work and ends it, cleanly or by a kill.
func takeSpecimen(t *testing.T, cleanly bool) *specimen {
	t.Helper()
	n := startNode(t, embeddedBackend())
	a, must := newAPI(n.url), mustDo(t)
	s := &specimen{dir: n.dir, versions: map[string]int64{}}
	id := func(i int) string { return fmt.Sprintf("account-%d", i%damageAccounts) }
	for i := range damageAccounts {
		must(a.create(id(i)))
	}
	for i := range damageAccounts {
		must(a.topUp(id(i), "100.00", "first"))
		must(a.mutate(holdMutation, map[string]any{
			"accountId": id(i), "toAccountId": id(i + 1), "amount": "1.50", "currency": "EUR", "idempotencyKey": "hold",
		}))
	}
	for i := range damageCommands {
		if i == damageCommands/2 {
			n.stop()
			s.earlier = filepath.Join(t.TempDir(), "earlier")
			mustCopy(t, s.earlier, n.dir)
			n.start()
			a = newAPI(n.url)
		}
		must(a.transfer(id(i), id(i+1+i/damageAccounts%(damageAccounts-1)), fmt.Sprintf("0.%02d", 1+i), fmt.Sprint(i)))
	}
	report := auditAtRest(t, n)
	for id, account := range report.Accounts {
		s.versions[id] = account.Version
	}
	// The read model has all when it shows no transaction as under way.
	testenv.Eventually(t, func() (err error) {
		if s.answers, err = s.ask(a); err == nil && strings.Contains(s.answers["ledger"], "PENDING") {
			err = errors.New("transactions are under way")
		}
		return err
	})
	if cleanly {
		n.stop()
	} else {
		n.kill()
		if err := os.Remove(filepath.Join(n.dir, "backup.sock")); err != nil { // Only files can be copied.
			t.Fatal(err)
		}
	}
	return s
}

// ask reads everything, once the read model has caught up.
func (s *specimen) ask(a *api) (map[string]string, error) {
	answers := map[string]string{}
	for id, version := range s.versions {
		var data json.RawMessage
		if err := a.query(askBooks, map[string]any{"id": id, "version": version}, &data); err != nil {
			return nil, fmt.Errorf("asking for %s: %w", id, err)
		}
		answers[id] = string(data)
	}
	var data json.RawMessage
	if err := a.query(askLedger, nil, &data); err != nil {
		return nil, err
	}
	answers["ledger"] = string(data)
	return answers, nil
}

// copied is a copy of the directory.
func (s *specimen) copied(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	mustCopy(t, dir, s.dir)
	return dir
}

func mustCopy(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// files are the paths below a directory of all files that hold something, in order.
func files(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "lock" {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > 0 {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

var errEnded = errors.New("it ended by itself")

// tryDamaged starts a node on damaged storage. Either it answers as before, also to commands, or it ends by itself,
// having said what is damaged and what to do: where that is only to start it again, it is started again.
func (s *specimen) tryDamaged(t *testing.T, dir, damage string) string {
	t.Helper()
	n := newNode(t, embeddedBackend())
	n.dir = dir
	result, compared := "as before", false
	for range 2 {
		n.launch()
		err := s.outcome(n, &compared)
		n.kill()
		switch log := n.log.String(); {
		case err == nil:
			return result
		case errors.Is(err, errEnded) && strings.Contains(log, "start again, and it is built anew from the log"):
			result = "as before when started again"
		case errors.Is(err, errEnded) && saysWhatToDo(log):
			return "refused"
		default:
			t.Errorf("%s: %v\n%s", damage, err, n.log.Tail(1500))
			return "wrong"
		}
	}
	t.Errorf("%s: starting again did not help:\n%s", damage, n.log.Tail(1500))
	return "wrong"
}

// await waits until the node is ready.
func (s *specimen) await(n *node) (*api, error) {
	deadline := time.Now().Add(startPatience)
	for {
		select {
		case exit := <-n.exited:
			n.exited <- exit
			return nil, fmt.Errorf("%w: %v", errEnded, exit)
		case <-time.After(5 * time.Millisecond):
		}
		if found := announced.FindStringSubmatch(n.out.String()); found != nil {
			n.url = found[1]
			if n.ready() == nil {
				return newAPI(n.url), nil
			}
		}
		if time.Now().After(deadline) {
			return nil, errors.New("it is neither ready nor ended")
		}
	}
}

// compare asks until the read model has caught up, and compares the answers.
func (s *specimen) compare(n *node, a *api) error {
	deadline := time.Now().Add(startPatience)
	var answers map[string]string
	for {
		var err error
		if answers, err = s.ask(a); err == nil && answers["ledger"] == s.answers["ledger"] {
			break
		}
		select {
		case exit := <-n.exited:
			n.exited <- exit
			return fmt.Errorf("%w: %v", errEnded, exit)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the ledger is not what it was: %v\n%s\nwas\n%s", err, answers["ledger"], s.answers["ledger"])
		}
	}
	for what, was := range s.answers {
		if answers[what] != was {
			return fmt.Errorf("the answer about %s is\n%s\nand was\n%s", what, answers[what], was)
		}
	}
	return nil
}

// outcome compares what the node answers, unless it has done so before the node ended in the middle of the commands that
// follow. Those have the same keys again.
func (s *specimen) outcome(n *node, compared *bool) error {
	a, err := s.await(n)
	if err == nil && !*compared {
		err = s.compare(n, a)
	}
	if err != nil {
		return err
	}
	*compared = true
	for id, version := range s.versions {
		p, err := a.topUp(id, "0.01", "after the damage")
		if err != nil && codeOf(err) == "" { // The connection broke.
			select {
			case exit := <-n.exited:
				n.exited <- exit
				return fmt.Errorf("%w: %v", errEnded, exit)
			case <-time.After(stopPatience):
			}
		}
		if err != nil {
			return fmt.Errorf("a top-up of %s: %w", id, err)
		}
		if len(p.UserErrors) > 0 || p.Account.Version != version+1 {
			return fmt.Errorf("a top-up of %s at version %d: %+v", id, version, p)
		}
	}
	return nil
}

// saysWhatToDo tells whether a log's end names what is damaged and what helps.
func saysWhatToDo(log string) bool {
	for _, sentence := range []string{
		"daybook restore", "name an empty database", "start the newer version", "it can be deleted, and is built again",
	} {
		if strings.Contains(log, sentence) {
			return true
		}
	}
	return false
}

// A byte somewhere in the data directory is another one. The node answers as before, or refuses and says what is damaged;
// it never answers anything else.
func TestNoFlippedByteChangesAnAnswer(t *testing.T) {
	random := rand.New(rand.NewPCG(testenv.Seed(t), 0))
	specimens := []*specimen{takeSpecimen(t, true), takeSpecimen(t, false)}
	outcomes := map[string]int{}
	for i := range *flips {
		s := specimens[i%2]
		t.Run(fmt.Sprintf("%d of %s", i, [...]string{"a stopped node", "a killed node"}[i%2]), func(t *testing.T) {
			dir := s.copied(t)
			path := s.pick(t, random)
			content, err := os.ReadFile(filepath.Join(dir, path))
			if err != nil {
				t.Fatal(err)
			}
			at, by := random.IntN(len(content)), byte(1+random.IntN(255))
			content[at] ^= by
			if err := os.WriteFile(filepath.Join(dir, path), content, 0o600); err != nil {
				t.Fatal(err)
			}
			outcomes[s.tryDamaged(t, dir, fmt.Sprintf("byte %d of %s, xor %#x", at, path, by))]++
		})
	}
	t.Logf("outcomes: %v", outcomes)
}

// pick chooses a file: the log, the local state and the read model are damaged equally often.
func (s *specimen) pick(t *testing.T, random *rand.Rand) string {
	t.Helper()
	kinds := map[string][]string{}
	for _, path := range files(t, s.dir) {
		kind, _, _ := strings.Cut(path, "/")
		kind, _, _ = strings.Cut(kind, ".db")
		kinds[kind] = append(kinds[kind], path)
	}
	names := slices.Sorted(maps.Keys(kinds))
	paths := kinds[names[random.IntN(len(names))]]
	return paths[random.IntN(len(paths))]
}
