package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"daybook/engine"
	"daybook/eventstore/embedded"
	"daybook/projector"
	"daybook/projector/live"
	"daybook/server"
)

const (
	// silence is after how long without an answer the log counts as away; it is asked about every second.
	silence = 5 * time.Second
	// behind is how old the state that the read model shows may be.
	behind = 30 * time.Second
)

// health tells how the parts of a node are. A part that is away makes the node degraded as long as it serves the rest:
// the other nodes have the same log and database, so that taking this one out of service would help nobody.
type health struct {
	node *Main

	mu sync.Mutex
	// settled tells that this node has once owned all that was assigned to it.
	settled bool

	database pulse
}

func newHealth(node *Main) *health {
	return &health{node: node, database: pulse{ask: node.model.Ping, clock: node.clock}}
}

// Check implements server.Config's Health.
func (h *health) Check(ctx context.Context) server.Health {
	partitions := h.node.engine.Status()
	parts := server.Health{
		"log":        {State: server.OK}, // Before the restore's end nothing has been asked of it.
		"partitions": partitionsHealth(partitions, h.membership(partitions)),
		"readModel":  readModelHealth(h.node.projector.Status(), h.database.check(ctx)),
		"live":       liveHealth(h.node.feed.Status()),
		"state":      stateHealth(h.node.store.Trouble()),
	}
	if h.node.isRestored() {
		parts["log"] = logHealth(partitions, h.node.clock())
	}
	if b := h.node.cluster.broker; b != nil {
		free, _ := b.FreeBytes() // What hinders the answer is told by Healthy.
		parts["disk"] = diskHealth(free, b.Healthy())
	}
	return parts
}

// logHealth tells whether the log answers.
func logHealth(partitions []engine.PartitionStatus, now time.Time) server.Component {
	var silent []int32
	for _, p := range partitions {
		if now.Sub(p.Heard) > silence {
			silent = append(silent, p.Partition)
		}
	}
	if len(silent) == 0 {
		return server.Component{State: server.OK}
	}
	return server.Component{
		State: server.Degraded, Code: "LOG_UNAVAILABLE", Details: map[string]any{"partitions": silent}, Cause: troubles(partitions),
		Message: "the log does not answer and commands are refused; look whether the brokers run and can be reached",
	}
}

func troubles(partitions []engine.PartitionStatus) string {
	var all []string
	for _, p := range partitions {
		if p.Error != "" {
			all = append(all, fmt.Sprintf("partition %d: %s", p.Partition, p.Error))
		}
	}
	return strings.Join(all, "; ")
}

// membership is how far a node has come since its start.
type membership struct {
	// restored tells that its local state is there, joined that the group has handed out partitions, and settled that it
	// has once owned all that was assigned to it.
	restored, joined, settled bool
}

func (h *health) membership(partitions []engine.PartitionStatus) membership {
	m := membership{restored: h.node.isRestored(), joined: h.node.joined.Load()}
	taking := slices.ContainsFunc(partitions, func(p engine.PartitionStatus) bool { return p.Assigned && !p.Owned })
	h.mu.Lock()
	defer h.mu.Unlock()
	h.settled = h.settled || (m.joined && !taking)
	m.settled = h.settled
	return m
}

// partitionsHealth tells whether this node owns what it should. Until it first does, it is not ready: a rolling restart
// waits for that. Later the partitions that it does own are served meanwhile.
func partitionsHealth(partitions []engine.PartitionStatus, m membership) server.Component {
	owned, taking, crowded := []int32{}, []int32{}, false
	for _, p := range partitions {
		if p.Owned {
			owned = append(owned, p.Partition)
		} else if p.Assigned {
			taking = append(taking, p.Partition)
		}
		crowded = crowded || p.Refusing
	}
	c := server.Component{State: server.OK, Cause: troubles(partitions), Details: map[string]any{"owned": owned, "takingOver": taking}}
	switch {
	case !m.restored:
		c.State, c.Code = server.Unready, "RESTORING"
		c.Message = "local state is being restored from checkpoints; wait, and read in the log how far it is"
	case !m.joined:
		c.State, c.Code = server.Unready, "STARTING"
		c.Message = "the group has not handed out the partitions yet; wait, and if it lasts look whether the brokers run"
	case !m.settled:
		c.State, c.Code = server.Unready, "TAKING_OVER"
		c.Message = "partitions are being taken over for the first time; wait, and if it lasts read the cause"
	case len(taking) > 0:
		c.State, c.Code = server.Degraded, "TAKING_OVER"
		c.Message = "commands of the partitions being taken over wait or are refused; if it lasts read the cause"
	case c.Cause != "":
		c.State, c.Code = server.Degraded, "PARTITION_INTERRUPTED"
		c.Message = "this node's copy of a partition does not follow the log; read the cause and look whether the brokers run"
	case crowded:
		c.State, c.Code = server.Degraded, "OVERLOADED"
		c.Message = "more commands come than a partition takes and some are refused; send fewer, or in batches"
	}
	return c
}

// readModelHealth tells whether queries are answered, and with how old a state. away is what the database answers when it
// is asked how it is.
func readModelHealth(lanes []projector.Status, away error) server.Component {
	var cause string
	var delay time.Duration
	var lag int64
	for _, s := range lanes {
		delay, lag = max(delay, s.Delay), lag+s.Lag
		if s.Error != "" {
			cause = fmt.Sprintf("%s/%d: %s", s.Topic, s.Partition, s.Error)
		}
	}
	c := server.Component{
		State: server.OK, Cause: cause, Details: map[string]any{"lagOffsets": lag, "lagSeconds": delay.Round(time.Millisecond).Seconds()},
	}
	switch {
	case away != nil:
		c.State, c.Code = server.Degraded, "READ_MODEL_UNAVAILABLE"
		c.Message = "queries are refused, commands and live feeds go on; look whether the database runs and can be reached"
	case cause != "":
		c.State, c.Code = server.Degraded, "PROJECTION_INTERRUPTED"
		c.Message = "queries show an old state; read the cause, and replace this node if its version is older than the tables"
	case delay > behind:
		c.State, c.Code = server.Degraded, "READ_MODEL_BEHIND"
		c.Message = "queries show an old state; wait if it shrinks, else give the database more room or send fewer commands"
	}
	return c
}

// stateHealth tells whether the local state is written to disk.
func stateHealth(trouble error) server.Component {
	if trouble != nil {
		return server.Component{
			State: server.Degraded, Code: "STATE_NOT_WRITTEN", Cause: trouble.Error(),
			Message: "the node ends in a few seconds and others take its partitions; free disk space, then start it again",
		}
	}
	return server.Component{State: server.OK}
}

func liveHealth(s live.Status) server.Component {
	c := server.Component{State: server.OK, Cause: s.Error, Details: map[string]any{"subscriptions": s.Subscribers, "limit": s.Limit}}
	switch {
	case s.Subscribers >= s.Limit:
		c.State, c.Code = server.Degraded, "SUBSCRIPTIONS_FULL"
		c.Message = "new subscriptions are refused; start more nodes, or let clients close what they do not need"
	case s.Error != "":
		c.State, c.Code = server.Degraded, "LIVE_INTERRUPTED"
		c.Message = "transactions' updates come late; read the cause and look whether the brokers run"
	}
	return c
}

// diskHealth tells whether the embedded log can be written.
func diskHealth(free uint64, unhealthy error) server.Component {
	c := server.Component{State: server.OK, Details: map[string]any{"freeBytes": free}}
	switch {
	case errors.Is(unhealthy, embedded.ErrFull):
		c.State, c.Code, c.Cause = server.Degraded, "DISK_FULL", unhealthy.Error()
		c.Message = "commands are refused until space is free, queries go on; free some space"
	case unhealthy != nil:
		c.State, c.Code, c.Cause = server.Degraded, "LOG_DAMAGED", unhealthy.Error()
		c.Message = "commands are refused since the log could not be written, queries go on; free space or replace the disk, then restart"
	}
	return c
}
