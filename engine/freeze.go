package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// freezeLimit bounds how long owners stand still: commands wait meanwhile.
const freezeLimit = 2 * time.Second

var errFreezeEnded = fmt.Errorf("looking at the log took longer than the %s for which commands can wait; try again when the node has less to do", freezeLimit)

// Freeze lets look see the log while no partition's events change: no owner has a batch on its way or begins another
// until look returns. Commands wait meanwhile, at most 2 s; then they go on, whatever look does, its context ends, and
// Freeze returns an error. It is for the owner of all partitions, and refused to others.
//
// The coordinators go on. They write only what follows from events that are recorded, so the ends that look sees are a
// cut of the log that holds the cause of everything in it; and all that an event tells to be done or recorded, such as
// its position in the command topic, was so before the event.
func (e *Engine) Freeze(ctx context.Context, look func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, freezeLimit, errFreezeEnded)
	defer cancel()
	over := make(chan struct{})
	end := sync.OnceFunc(func() { close(over) })
	defer end()
	errs := make([]error, len(e.partitions))
	var wg sync.WaitGroup
	for i, p := range e.partitions {
		wg.Go(func() { errs[i] = p.awaitFrozen(ctx, over) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	thaw := context.AfterFunc(ctx, end)
	err := look(ctx)
	if !thaw() { // Owners may have gone on while look still looked.
		err = errors.Join(context.Cause(ctx), err)
	}
	return err
}

// freeze asks an owner to stand still.
type freeze struct {
	// stands takes nil once nothing is on its way and nothing is begun, or why it could not come to that.
	stands chan error
	// over is closed when the owner may go on.
	over <-chan struct{}
}

// awaitFrozen waits until the partition's owner stands still. One that fails instead takes the partition over, and is
// asked again.
func (p *partition) awaitFrozen(ctx context.Context, over <-chan struct{}) error {
	for {
		if !p.mine() {
			return fmt.Errorf("partition %d belongs to another node", p.id)
		}
		f := freeze{stands: make(chan error, 1), over: over}
		select {
		case p.freezes <- f:
		case <-ctx.Done():
			return fmt.Errorf("partition %d does not stand still: %w", p.id, context.Cause(ctx))
		}
		select {
		case err := <-f.stands:
			if err == nil {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("partition %d does not stand still: %w", p.id, context.Cause(ctx))
		}
	}
}

// freeze waits for what is on its way and then for the end of the freeze. It does not end with the owner's turn, else the
// next owner could begin to write.
func (o *owner) freeze(f freeze) error {
	err := o.drain()
	f.stands <- err
	if err == nil {
		<-f.over
	}
	return err
}
