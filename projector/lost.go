package projector

import (
	"context"
	"errors"
	"time"
)

// lookEvery is how often the positions in the database are compared with those that the lanes know.
const lookEvery = 2 * time.Second

// errLost means that the database lacks what was written to it.
var errLost = errors.New("the database is behind what was written to it, as after a crash or a failover of its server")

// watch ends the sessions that the database has fallen behind, until ctx ends. Batches do not wait for the disk, so a
// server that crashes can lose the last of them. Where an event comes, the next batch finds out; where none comes, nobody
// else would.
func (p *Projector) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.look(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// look compares all lanes by one query.
func (p *Projector) look(ctx context.Context) {
	known := map[*lane]int64{}
	for _, l := range p.lanes {
		if l.mine.Load() {
			known[l] = l.position.Load() // Committed before the query, which must therefore find it, or more.
		}
	}
	if len(known) == 0 {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	stored, err := storedPositions(bounded, p.model.db.read)
	if err != nil {
		return // It is away, or ctx has ended: the next look will tell.
	}
	for l, position := range known {
		if stored[place{l.topic, l.partition}] < position && l.position.Load() == position {
			l.end(errLost)
		}
	}
}
