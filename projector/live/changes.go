package live

import (
	"context"
	"fmt"
	"time"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/eventstore"
	"daybook/internal/planted"
	"daybook/projector"
)

// A subscriber that is behind looks into the history again after pauses that grow between these.
const (
	firstPause   = 2 * time.Millisecond
	longestPause = 250 * time.Millisecond
)

// ChangeFeed gives an account's changes in order, none missing, none twice. It is for one goroutine.
//
// Its place is a version. What comes next is taken from the account's recent events where they reach back to that
// place, and from the read model where they do not: at the start of a feed that resumes, and whenever the subscriber
// was too slow. The versions of an account's events have no gaps, so the two cannot be joined wrongly.
type ChangeFeed struct {
	feed    *Feed
	id      string
	watched *watched
	// at is the last moment that this subscriber arrived at.
	at *moment

	// seen is the version up to which all was given out.
	seen int64
	// known is a version that the account has, whether or not it was published since.
	known int64

	// page is what was read from the history and not given out; with its end all is given out up to pageEnd.
	page    []projector.Change
	pageEnd int64
	// reading tells that the subscriber has gone to the history and not come back.
	reading bool
}

// Changes begins a feed of an account's changes: those after the given version, or those to come when it is nil.
// Refusals: ACCOUNT_NOT_FOUND, BAD_USER_INPUT for a version that is negative or that the account does not have yet,
// UNAVAILABLE when this node cannot tell that yet or cannot feed, OVERLOADED. Close the feed when it is of no more use.
func (f *Feed) Changes(ctx context.Context, accountID string, after *int64) (*ChangeFeed, error) {
	if after != nil && *after < 0 {
		return nil, domain.Refuse(domain.BadUserInput, "afterVersion", "afterVersion must not be negative; give the last version you saw, or 0 for all")
	}
	if f.cfg.Admit != nil {
		if err := f.cfg.Admit(); err != nil {
			return nil, err
		}
	}
	if err := f.enter(); err != nil {
		return nil, err
	}
	c := &ChangeFeed{feed: f, id: accountID, watched: f.accounts.watch(accountID)}
	state, err := f.present(ctx, accountID, after)
	if err != nil {
		c.Close()
		return nil, err
	}
	c.known, c.seen = state.Version, state.Version
	if after != nil && !planted.Bug("resumed from now") {
		c.seen = *after
	}
	return c, nil
}

// present returns the account's state, which must have the version if there is one. What this node's copy of the partition
// holds of it is enough when it has the version. Otherwise the copy has to come to the end of the log first: it can lag,
// even on the partition's owner, which may have been replaced without hearing of it, and then it neither tells that
// something is not there nor where the present is.
func (f *Feed) present(ctx context.Context, id string, after *int64) (account.State, error) {
	if after != nil {
		state, err := f.lookUp(id)
		if err != nil || (state.Exists() && state.Version >= *after) {
			return state, err
		}
	}
	if err := f.catchUp(ctx, id); err != nil {
		return account.State{}, err
	}
	state, err := f.lookUp(id)
	switch {
	case err != nil:
		return state, err
	case !state.Exists():
		return state, domain.Refuse(domain.AccountNotFound, "accountId", "no account has this id; create it first or correct the id")
	case after != nil && state.Version < *after:
		return state, domain.Refuse(domain.BadUserInput, "afterVersion",
			"the account is at version %d; afterVersion must not be above it", state.Version)
	}
	return state, nil
}

func (f *Feed) lookUp(id string) (account.State, error) {
	state, err := f.cfg.Accounts.Account(id)
	if err != nil {
		return state, fmt.Errorf("looking up an account to watch: %w", err)
	}
	return state, nil
}

// catchUp waits, a bounded time, until this node's copy of the account's partition has come to the end of the log.
func (f *Feed) catchUp(ctx context.Context, id string) error {
	bounded, cancel := context.WithTimeout(ctx, f.cfg.CatchUpWait)
	defer cancel()
	err := f.cfg.Accounts.CatchUp(bounded, eventstore.PartitionOf(id, f.cfg.Partitions))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Next waits for the next change. It ends with the context's error, or with a *domain.Refusal: UNAVAILABLE when the
// history cannot be read or does not go on in time. The feed can then be resumed after the last version it gave.
func (c *ChangeFeed) Next(ctx context.Context) (projector.Change, error) {
	for {
		if err := ctx.Err(); err != nil {
			return projector.Change{}, err
		}
		if change, ok := c.fromPage(); ok {
			c.feed.metrics.history.Inc()
			return change, nil
		}
		m := c.watched.now.Load()
		if change, found := m.after(c.seen); found {
			c.seen++
			if c.reading = false; change != nil {
				c.feed.handedOver(change)
				return change.Change, nil
			}
			continue
		}
		if c.seen < max(c.known, m.last) {
			c.fellBack()
			if err := c.readHistory(ctx); err != nil {
				return projector.Change{}, err
			}
			continue
		}
		if c.at != m {
			c.at, c.reading = m, false
			c.watched.arrive(m)
		}
		select {
		case <-m.over:
		case <-ctx.Done():
		}
	}
}

// Close lets go of what the feed holds. It is for once, and after Next has returned.
func (c *ChangeFeed) Close() {
	c.feed.accounts.unwatch(c.watched, c.at)
	c.feed.leave()
}

// fromPage gives out what was read from the history.
func (c *ChangeFeed) fromPage() (projector.Change, bool) {
	for len(c.page) > 0 {
		change := c.page[0]
		c.page = c.page[1:]
		if change.Version > c.seen {
			c.seen = change.Version
			return change, true
		}
	}
	c.page = nil
	c.seen = max(c.seen, c.pageEnd)
	return projector.Change{}, false
}

// readHistory reads the next page, again and again while the read model has nothing new yet, unless what follows is
// published meanwhile: the account's state has an event a moment before.
func (c *ChangeFeed) readHistory(ctx context.Context) error {
	patient, cancel := context.WithTimeout(ctx, c.feed.cfg.Patience)
	defer cancel()
	waits := pauses{firstPause, longestPause}
	for again := true; again; again = waits.wait(patient) {
		err := c.feed.read(patient, func() error { return c.readPage(patient) })
		switch {
		case err == nil && c.hasMore():
			return nil
		case err != nil && patient.Err() == nil && !passing(err):
			return fmt.Errorf("reading the changes of an account: %w", err)
		}
		if _, published := c.watched.now.Load().after(c.seen); published {
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return domain.Refuse(domain.Unavailable, "",
		"the history needed to go on is not available; subscribe again later with afterVersion %d", c.seen)
}

// hasMore tells whether the page takes the feed on. It counts on nothing: a page that does not must not be asked for
// again and again without a pause.
func (c *ChangeFeed) hasMore() bool {
	return c.pageEnd > c.seen || (len(c.page) > 0 && c.page[len(c.page)-1].Version > c.seen)
}

// readPage keeps nothing of what earlier pages told of the read model: it can go back, as when a database comes back from a
// crash or is filled anew.
func (c *ChangeFeed) readPage(ctx context.Context) error {
	page, version, err := c.feed.cfg.History.ChangesAfter(ctx, c.id, c.seen, c.feed.cfg.PageSize)
	if err != nil {
		return err
	}
	c.page, c.pageEnd = page.Changes, 0
	if !page.More {
		c.pageEnd = version
	}
	return nil
}
