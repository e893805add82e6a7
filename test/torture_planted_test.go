package test

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// plantedBugs are bugs that the program can be given (see internal/planted), with what the short run says of them.
var plantedBugs = []struct {
	name string
	// backends are where the bug can show.
	backends []string
	found    string
	// only are the faults that the short run draws; empty means all. It is for bugs that need two faults at the right time.
	only string
}{
	{"fence skipped", []string{"kafka"}, `follows on version|begins at .*, the balance was|was acknowledged`, ""},
	{"marker not awaited", []string{"kafka"}, `follows on version|begins at .*, the balance was|was acknowledged|has the idempotency key of`, "node killed|connections cut: brokers"},
	{"answer before write", []string{"kafka", "embedded"}, `was acknowledged`, ""},
	{"sequence reused", []string{"kafka", "embedded"}, `was acknowledged`, ""},
	{"clock trusted", []string{"kafka", "embedded"}, `is dated`, ""},
	{"offset apart from rows", []string{"kafka", "embedded"}, `verify: |reads .* where the log has`, ""},
	{"version not awaited", []string{"kafka", "embedded"}, `Illegal|reads .* where the log has`, ""},
	{"resumed from now", []string{"kafka", "embedded"}, `the subscription to .* begins at`, ""},
	{"reply misdelivered", []string{"kafka"}, `was acknowledged`, "rolling restart"},
	{"snapshot one event short", []string{"kafka"}, `follows on version|begins at .*, the balance was|was acknowledged|has the idempotency key of`, "lost its disk"},
	{"disk ignored", []string{"embedded"}, `the disk was full`, ""},
}

// The torture is trusted because its short run finds every planted bug. It is for make torture BUG=all, or the name of
// one: it takes a minute for each bug and backend.
func TestTortureFindsPlantedBugs(t *testing.T) {
	if *tortureBug == "" {
		t.Skip("-bug all, or the name of one, looks for planted bugs")
	}
	known := false
	for _, bug := range plantedBugs {
		if *tortureBug != "all" && *tortureBug != bug.name {
			continue
		}
		known = true
		for _, backend := range bug.backends {
			if !regexp.MustCompile(*tortureBackend).MatchString(backend) {
				continue
			}
			t.Run(strings.ReplaceAll(bug.name, " ", "_")+"/"+backend, func(t *testing.T) {
				seed := *tortureSeed
				if seed == 0 {
					seed = uint64(time.Now().UnixNano())
				}
				if *tortureOnly == "" {
					*tortureOnly = bug.only
					defer func() { *tortureOnly = "" }()
				}
				run := torture(t, backend, seed, shortTorture, bug.name)
				told := strings.Join(run.Problems, "\n")
				t.Logf("%d problems, such as\n%s", len(run.Problems), told[:min(1500, len(told))])
				if !regexp.MustCompile(bug.found).MatchString(told) {
					t.Errorf("%q was planted, and none of %d problems tells of it", bug.name, len(run.Problems))
				}
			})
		}
	}
	if !known {
		t.Errorf("no bug is called %q", *tortureBug)
	}
}
