package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"daybook/engine"
	"daybook/eventstore/embedded"
	"daybook/projector"
	"daybook/projector/live"
	"daybook/server"
)

// Each case of the operations page's table of readiness, as the parts of a node tell it: the code, whether the node should
// get traffic, what to do, and the cause where the part knows one.
func TestEachTroubleIsToldByItsCodeAsTheOperationsPageHasIt(t *testing.T) {
	now := time.Now()
	settled := membership{restored: true, joined: true, settled: true}
	partition := func(with func(p *engine.PartitionStatus)) []engine.PartitionStatus {
		p := engine.PartitionStatus{Partition: 3, Assigned: true, Owned: true, Heard: now.Add(-silence)}
		with(&p)
		return []engine.PartitionStatus{{Partition: 2, Heard: now}, p}
	}
	well := partition(func(*engine.PartitionStatus) {})
	taking := partition(func(p *engine.PartitionStatus) { p.Owned, p.Error = false, "fencing failed" })
	lane := projector.Status{Topic: "billing.account.events", Partition: 1, Delay: behind, Lag: 7}
	interrupted, late := lane, lane
	interrupted.Error = "no such column"
	late.Delay++
	full := fmt.Errorf("%w: 3 MB are free", embedded.ErrFull)

	for _, c := range []struct {
		name, part string
		is         server.Component
		code       string // Empty for well.
		state      server.State
		cause      string // Part of it.
	}{
		{"all answer just in time", "log", logHealth(well, now), "", server.OK, ""},
		{"a partition is silent", "log", logHealth(partition(func(p *engine.PartitionStatus) { p.Heard, p.Error = now.Add(-silence-1), "dial: refused" }), now), "LOG_UNAVAILABLE", server.Degraded, "partition 3: dial: refused"},
		{"none has answered yet", "log", logHealth([]engine.PartitionStatus{{}}, now), "LOG_UNAVAILABLE", server.Degraded, ""},

		{"checkpoints are being restored", "partitions", partitionsHealth(well, membership{}), "RESTORING", server.Unready, ""},
		{"nothing is handed out", "partitions", partitionsHealth(well, membership{restored: true}), "STARTING", server.Unready, ""},
		{"first takeovers", "partitions", partitionsHealth(taking, membership{restored: true, joined: true}), "TAKING_OVER", server.Unready, "partition 3: fencing failed"},
		{"later takeovers", "partitions", partitionsHealth(taking, settled), "TAKING_OVER", server.Degraded, "partition 3: fencing failed"},
		{"a follower is stuck", "partitions", partitionsHealth(partition(func(p *engine.PartitionStatus) { p.Assigned, p.Owned, p.Error = false, false, "checksum" }), settled), "PARTITION_INTERRUPTED", server.Degraded, "checksum"},
		{"commands queue up", "partitions", partitionsHealth(partition(func(p *engine.PartitionStatus) { p.Refusing = true }), settled), "OVERLOADED", server.Degraded, ""},
		{"all is owned", "partitions", partitionsHealth(well, settled), "", server.OK, ""},

		{"the database is away", "readModel", readModelHealth([]projector.Status{interrupted}, errors.New("reset")), "READ_MODEL_UNAVAILABLE", server.Degraded, "no such column"},
		{"a projection fails", "readModel", readModelHealth([]projector.Status{interrupted, lane}, nil), "PROJECTION_INTERRUPTED", server.Degraded, "billing.account.events/1: no such column"},
		{"the read model is behind", "readModel", readModelHealth([]projector.Status{late, lane}, nil), "READ_MODEL_BEHIND", server.Degraded, ""},
		{"the read model is just in time", "readModel", readModelHealth([]projector.Status{lane}, nil), "", server.OK, ""},

		{"there is room", "disk", diskHealth(embedded.MinFreeBytes, nil), "", server.OK, ""},
		{"there is no room", "disk", diskHealth(3<<20, full), "DISK_FULL", server.Degraded, "3 MB are free"},
		{"a write failed, and there is no room", "disk", diskHealth(0, errors.New("could not be written")), "LOG_DAMAGED", server.Degraded, "could not be written"},

		{"the state is written", "state", stateHealth(nil), "", server.OK, ""},
		{"the state cannot be written", "state", stateHealth(errors.New("no space left")), "STATE_NOT_WRITTEN", server.Degraded, "no space left"},

		{"one more may subscribe", "live", liveHealth(live.Status{Subscribers: 4, Limit: 5}), "", server.OK, ""},
		{"nobody more may subscribe", "live", liveHealth(live.Status{Subscribers: 5, Limit: 5}), "SUBSCRIPTIONS_FULL", server.Degraded, ""},
		{"transactions are not followed", "live", liveHealth(live.Status{Limit: 5, Error: "fetch"}), "LIVE_INTERRUPTED", server.Degraded, "fetch"},
	} {
		if c.is.Code != c.code || c.is.State != c.state || !strings.Contains(c.is.Cause, c.cause) {
			t.Errorf("%s: %+v, want %s as %q and the cause %q", c.name, c.is, c.state, c.code, c.cause)
		}
		if (c.is.Message == "") != (c.code == "") {
			t.Errorf("%s: it is told what to do as %q", c.name, c.is.Message)
		}
		if c.code != "" {
			inPage(t, c.part, c.is)
		}
	}
}

// inPage checks that the operations page has a line for a trouble, with the status that the node answers then.
func inPage(t *testing.T, part string, c server.Component) {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	status := 200
	if c.State == server.Unready {
		status = 503
	}
	if line := fmt.Sprintf("| %d | %s: `%s` |", status, part, c.Code); !strings.Contains(string(page), line) {
		t.Errorf("docs/operations.md has no line with %q", line)
	}
}

// A node that has once owned all that it should stays in service when partitions move later on.
func TestANodeThatOwnedAllOnceStaysInService(t *testing.T) {
	node := &Main{}
	h := &health{node: node}
	owned := engine.PartitionStatus{Assigned: true, Owned: true}
	taken := engine.PartitionStatus{Assigned: true}
	for _, step := range []struct {
		joined  bool
		is      engine.PartitionStatus
		settled bool
	}{{false, owned, false}, {true, taken, false}, {true, owned, true}, {true, taken, true}} {
		node.joined.Store(step.joined)
		if m := h.membership([]engine.PartitionStatus{owned, step.is}); m.settled != step.settled || m.joined != step.joined {
			t.Errorf("%+v came to %+v", step, m)
		}
	}
}
