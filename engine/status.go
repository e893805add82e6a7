package engine

import "time"

// PartitionStatus is what one partition is to this node.
type PartitionStatus struct {
	Partition int32
	// Assigned tells whether this node should own the partition, Owned whether it does.
	Assigned, Owned bool
	// Followed is the offset up to which this node has folded the log, End where the log ended when it was last asked.
	Followed, End int64
	// Waiting is about how many commands wait here to be decided. Refusing tells whether the next one is refused, because it
	// would be too many or wait for too long, here or on its way to the owner.
	Waiting  int
	Refusing bool
	// Uncoordinated is how many offsets lie between what this node's coordinator has handled and the end of the log; zero
	// for a partition that it does not own.
	Uncoordinated int64
	// Heard is when the log last answered for the partition; zero before it first did.
	Heard time.Time
	// Error is what keeps the partition from going on; empty when nothing does.
	Error string
}

// Status tells of every partition.
func (e *Engine) Status() []PartitionStatus {
	all := make([]PartitionStatus, len(e.partitions))
	for i, p := range e.partitions {
		all[i] = p.status()
	}
	return all
}

func (p *partition) status() PartitionStatus {
	s := PartitionStatus{
		Partition: p.id, Assigned: p.mine(), Owned: p.owned.Load(), Followed: p.followed.Load(),
		Waiting: max(len(p.queue), int(p.grouped.Load())),
	}
	if f := p.engine.forwarder; f != nil && !s.Assigned {
		s.Refusing = f.ways[p.id].crowded(cap(p.queue))
	} else {
		s.Refusing = s.Waiting >= cap(p.queue) || p.pace.tooLong(p.ahead())
	}
	s.End = max(p.end.Load(), s.Followed)
	if heard := p.heardAt.Load(); heard != nil {
		s.Heard = *heard
	}
	if text := p.lastErr.Load(); text != nil {
		s.Error = *text
	}
	if c := p.coordinator.Load(); c != nil {
		s.Uncoordinated = max(0, c.written.Load()-c.position.Load())
	}
	return s
}

// heard notes that the log has answered, and where it ends.
func (p *partition) heard(end int64) {
	now := p.engine.cfg.Clock()
	p.heardAt.Store(&now)
	p.end.Store(end)
}
