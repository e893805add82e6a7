package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"daybook/internal/testenv"
)

// daybook runs the program, which must succeed, and returns what it prints.
func daybook(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("daybook %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// transfersOn keeps clients busy with transfers among new accounts until the returned function is called.
func transfersOn(t *testing.T, n *node, name string) (stop func()) {
	t.Helper()
	const accounts = 12
	id := func(i int) string { return fmt.Sprintf("%s-%d", name, i%accounts) }
	a := newAPI(n.url)
	for i := range accounts {
		if p, err := a.create(id(i)); err != nil || len(p.UserErrors) > 0 {
			t.Fatal(p, err)
		}
		if p, err := a.topUp(id(i), "1000.00", "fill"); err != nil || len(p.UserErrors) > 0 {
			t.Fatal(p, err)
		}
	}
	stopping := make(chan struct{})
	var wg sync.WaitGroup
	for client := range 16 {
		wg.Go(func() {
			a := newAPI(n.url)
			for i := 0; ; i++ {
				select {
				case <-stopping:
					return
				default:
				}
				from := rand.IntN(accounts)
				if p, err := a.transfer(id(from), id(from+1+rand.IntN(accounts-1)), "0.01", fmt.Sprintf("%d-%d", client, i)); err != nil || len(p.UserErrors) > 0 {
					t.Errorf("a transfer was refused: %+v, %v", p, err)
					return
				}
			}
		})
	}
	return func() { close(stopping); wg.Wait() }
}

func TestABackupOfABusyNodeIsServedAgainWithAllThatWasAcknowledged(t *testing.T) {
	n := startNode(t, embeddedBackend())
	a := newAPI(n.url)
	stop := transfersOn(t, n, "busy")
	if p, err := a.create("alice"); err != nil || len(p.UserErrors) > 0 {
		t.Fatal(p, err)
	}
	if p, err := a.topUp("alice", "12.34", "before"); err != nil || len(p.UserErrors) > 0 {
		t.Fatal(p, err)
	}
	file := filepath.Join(t.TempDir(), "archive")
	out := daybook(t, "backup", "--data-dir", n.dir, "--to", file)
	if !strings.Contains(out, "commands of the running node waited") {
		t.Errorf("the pause is not told:\n%s", out)
	}
	if p, err := a.topUp("alice", "1.00", "after"); err != nil || len(p.UserErrors) > 0 {
		t.Fatal(p, err)
	}
	stop()
	if out := daybook(t, "backup", "--check", file); !strings.Contains(out, "is whole") {
		t.Errorf("check:\n%s", out)
	}
	mustRefuse(t, "is there already", "backup", "--data-dir", n.dir, "--to", file)

	copied := newNode(t, embeddedBackend())
	mustRefuse(t, "is not empty", "restore", "--from", file, "--data-dir", n.dir)
	daybook(t, "restore", "--from", file, "--data-dir", copied.dir) // An empty directory.
	copied.start()
	got, err := newAPI(copied.url).account("alice", 2)
	if err != nil || got == nil || got.Balance != "12.34" {
		t.Fatalf("alice has %+v, %v", got, err)
	}
	// The key of what was acknowledged is known there, and what came later is not.
	if p, err := newAPI(copied.url).topUp("alice", "12.34", "before"); err != nil || p.Account.Version != 2 {
		t.Errorf("a repeat is answered with %+v, %v", p, err)
	}
	auditAtRest(t, copied)
	copied.mustVerify()
	n.stop()

	// Without a node, everything is taken in; the topics are alike.
	all := filepath.Join(t.TempDir(), "archive")
	daybook(t, "export", "--data-dir", n.dir, "--to", all)
	again := newNode(t, embeddedBackend())
	again.dir = filepath.Join(again.dir, "absent")
	daybook(t, "restore", "--from", all, "--data-dir", again.dir)
	n.start()
	before := endsOfLog(t, n.brokers())
	settings := topicSettings(t, n.brokers())
	n.stop()
	again.start()
	for at, end := range endsOfLog(t, again.brokers()) {
		// Both have ruled a line in each partition meanwhile. What follows from the last events may be recorded again.
		if at.topic == "billing.account.events" && before[at] != end {
			t.Errorf("%v ends at %d in the copy, and at %d", at, end, before[at])
		}
	}
	if copied := topicSettings(t, again.brokers()); copied != settings {
		t.Errorf("the topics have\n%s\nand were\n%s", copied, settings)
	}
	if got, err := newAPI(again.url).account("alice", 3); err != nil || got == nil || got.Balance != "13.34" {
		t.Errorf("alice has %+v, %v", got, err)
	}
	auditAtRest(t, again)
	again.mustVerify()
}

func TestAKilledBackupOrRestoreLeavesNothingThatLooksValid(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	n := startNode(t, embeddedBackend())
	stop := transfersOn(t, n, "busy")
	defer func() { n.mustVerify() }()
	defer stop()
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	took := killedAfter(t, -1, "backup", "--data-dir", n.dir, "--to", whole)
	finished := 0
	for i := range 12 {
		file := filepath.Join(dir, fmt.Sprint("archive", i/3)) // Others find what was left.
		if _, err := os.Stat(file); err == nil {
			continue
		}
		killedAfter(t, time.Duration(r.Int64N(int64(2*took))), "backup", "--data-dir", n.dir, "--to", file)
		if _, err := os.Stat(file); err == nil {
			daybook(t, "backup", "--check", file)
			finished++
		}
	}
	t.Logf("a backup takes %s; %d were finished before the kill", took, finished)

	took = killedAfter(t, -1, "restore", "--from", whole, "--data-dir", filepath.Join(dir, "reference"))
	finished = 0
	for i := range 12 {
		to := filepath.Join(dir, fmt.Sprint("restored", i/3))
		if _, err := os.Stat(to); err == nil {
			continue
		}
		killedAfter(t, time.Duration(r.Int64N(int64(2*took))), "restore", "--from", whole, "--data-dir", to)
		if _, err := os.Stat(to); err == nil {
			daybook(t, "backup", "--data-dir", to, "--to", to+".archive")
			finished++
			continue
		}
		if _, err := os.Stat(filepath.Join(to+".partial", "restore-unfinished")); err == nil {
			mustRefuse(t, "run daybook restore again", "serve", "--data-dir", to+".partial", "--listen", "127.0.0.1:0")
		}
	}
	t.Logf("a restore takes %s; %d were finished before the kill", took, finished)
	last := filepath.Join(dir, "restored0")
	if _, err := os.Stat(last); err != nil {
		daybook(t, "restore", "--from", whole, "--data-dir", last)
	}
}

// killedAfter runs the program and kills it after a time, negative for never. It returns how long it ran.
func killedAfter(t *testing.T, after time.Duration, args ...string) time.Duration {
	t.Helper()
	began := time.Now()
	if after < 0 {
		daybook(t, args...)
		return time.Since(began)
	}
	cmd := exec.Command(binary, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(after, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
	_ = cmd.Wait()
	return time.Since(began)
}

func TestWhatCannotBeRestoredIsRefusedAndLeavesNothing(t *testing.T) {
	n := startNode(t, embeddedBackend())
	if p, err := newAPI(n.url).create("alice"); err != nil || len(p.UserErrors) > 0 {
		t.Fatal(p, err)
	}
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	daybook(t, "backup", "--data-dir", n.dir, "--to", whole)
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), content...)
	flipped[len(content)/2] ^= 4
	for says, damaged := range map[string][]byte{
		"cut off; use another copy":                             content[:len(content)-1],
		"does not fit its checksum; use another copy":           flipped,
		"something follows the end; use another copy":           append(append([]byte(nil), content...), 1),
		"is no archive of Daybook":                              []byte(strings.Repeat("something else", 9)),
		"is damaged at byte 8: the version does not fit its ch": append([]byte("DAYBOOK\x1a\x00\x00\x00\x02"), content[12:]...),
	} {
		file, to := filepath.Join(dir, "damaged"), filepath.Join(dir, "to")
		if err := os.WriteFile(file, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		mustRefuse(t, says, "backup", "--check", file)
		mustRefuse(t, says, "restore", "--from", file, "--data-dir", to)
		mustRefuse(t, says, "import", "--from", file, "--kafka-brokers", "127.0.0.1:1")
		mustBeMissing(t, to)
		mustBeMissing(t, to+".partial")
	}
	mustRefuse(t, "no such file", "restore", "--from", filepath.Join(dir, "missing"), "--data-dir", filepath.Join(dir, "to"))
	mustRefuse(t, "there is no embedded log", "backup", "--data-dir", filepath.Join(dir, "missing"), "--to", filepath.Join(dir, "b"))
	mustBeMissing(t, filepath.Join(dir, "b.partial"))
	mustRefuse(t, "name either the file to write with --to", "backup", "--data-dir", n.dir)
	mustRefuse(t, "\"kafka-brokers\" not set", "import", "--from", whole)
	if err := os.MkdirAll(filepath.Join(dir, "other.partial", "mine"), 0o700); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, "was not left by an unfinished restore", "restore", "--from", whole, "--data-dir", filepath.Join(dir, "other"))
	if _, err := os.Stat(filepath.Join(dir, "other.partial", "mine")); err != nil {
		t.Errorf("what was not left by a restore is gone: %v", err)
	}
}

func TestAnEmbeddedLogMovesToAClusterUnchanged(t *testing.T) {
	b := kafkaBackend(t)
	n := startNode(t, embeddedBackend(), "--partitions", "5")
	transfersOn(t, n, "busy")()
	if p, err := newAPI(n.url).create("alice"); err != nil || len(p.UserErrors) > 0 {
		t.Fatal(p, err)
	}
	stop := transfersOn(t, n, "moving")
	file := filepath.Join(t.TempDir(), "archive")
	daybook(t, "export", "--data-dir", n.dir, "--to", file)
	stop()
	brokers := strings.Join(b.brokers, ",")
	out := daybook(t, "import", "--from", file, "--kafka-brokers", brokers)
	t.Log(out)
	mustRefuse(t, "holds events already", "import", "--from", file, "--kafka-brokers", brokers)
	for _, topic := range []string{"billing.account.commands retention.ms=2592000000", "billing.account.events retention.ms=-1"} {
		if settings := topicSettings(t, b.brokers); !strings.Contains(settings, topic) {
			t.Errorf("%s is not among\n%s", topic, settings)
		}
	}
	moved := startNode(t, b)
	a := newAPI(moved.url)
	if p, err := a.topUp("alice", "1.00", "there"); err != nil || len(p.UserErrors) > 0 || p.Account.Version != 2 {
		t.Fatal(p, err)
	}
	report := auditAtRest(t, moved)
	transfersOn(t, moved, "later")()
	if after := auditAtRest(t, moved); after.Events <= report.Events {
		t.Errorf("there are %d events and were %d", after.Events, report.Events)
	}
	moved.mustVerify()
}

func TestAClusterWithOtherPartitionsIsRefused(t *testing.T) {
	n := startNode(t, embeddedBackend(), "--partitions", "2")
	file := filepath.Join(t.TempDir(), "archive")
	daybook(t, "export", "--data-dir", n.dir, "--to", file)
	brokers := testenv.Kafka(t)
	createTopic(t, brokers, "billing.account.events", map[string]string{"retention.ms": "-1"})
	mustRefuse(t, "partitions and the archive's 2", "import", "--from", file, "--kafka-brokers", strings.Join(brokers, ","))
}

// topicSettings lists those settings of Daybook's topics that it chooses, and their partitions.
func topicSettings(t *testing.T, brokers []string) string {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	metadata, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	ask := kmsg.NewPtrDescribeConfigsRequest()
	for _, topic := range metadata.Topics {
		if !strings.HasPrefix(*topic.Topic, "billing.") {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s partitions=%d", *topic.Topic, len(topic.Partitions)))
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, *topic.Topic
		resource.ConfigNames = []string{"cleanup.policy", "retention.ms", "retention.bytes", "min.insync.replicas", "max.message.bytes"}
		ask.Resources = append(ask.Resources, resource)
	}
	res, err := ask.RequestWith(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range res.Resources {
		for _, c := range topic.Configs {
			if c.Value != nil {
				lines = append(lines, fmt.Sprintf("%s %s=%s", topic.ResourceName, c.Name, *c.Value))
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
