package engine

import (
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"daybook/engine/ledger"
)

// namespace seeds the ids that are derived rather than drawn.
var namespace = uuid.MustParse("8c1f6f0e-5f0b-5d63-9a54-7d1c35b0a5d1")

// The states of a request. It goes from queued to taken, or from queued to abandoned; a taken one whose caller went
// away is left.
const (
	queued int32 = iota
	taken
	abandoned
	left
)

// request is a client's command on its way through an owner.
type request struct {
	ledger.Request
	// group is what the request was submitted with; nil when by itself.
	group *group
	// home is where the answer goes when another node sent the request.
	home  *home
	state atomic.Int32
	// since is when this node queued the request, and ahead how many waited then.
	since time.Time
	ahead int64
	// arrived numbers the requests of a partition as they come to this node.
	arrived int64
	// ordered tells of a leading request that all that came before it on any way has been decided.
	ordered bool
	// closed tells of a leading request that another under the same key was refused for good: it is not carried out any more.
	closed bool
	// entered is when the request was queued; moments, where traced, how its batch went on, set before done is closed.
	entered time.Time
	moments *moments

	// result and err are set before done is closed.
	result ledger.Result
	err    error
	done   chan struct{}
}

// group is requests of one partition that are queued together, by their first. An atomic one goes through as one
// wherever it waits; the others are each by themselves once the group was taken from the queue.
type group struct {
	requests []*request
	atomic   bool
}

func newRequest(c ledger.Command, newID func() string) *request {
	m := c.Common()
	if create, ok := c.(*ledger.CreateAccount); ok && create.ID == "" {
		create.ID = uuid.NewSHA1(namespace, []byte(m.Actor.ActorID+"\x00"+m.IdempotencyKey)).String()
	}
	if m.CorrelationID == "" {
		m.CorrelationID = newID()
	}
	return &request{
		Request: ledger.Request{Command: c, CommandID: newID(), SubjectID: newID(), Fingerprint: ledger.Fingerprint(c)},
		done:    make(chan struct{}),
	}
}

// flag is the state of the request, which an atomic group has in common.
func (r *request) flag() *atomic.Int32 { return &r.leader().state }

func (r *request) inAtomic() bool { return r.group != nil && r.group.atomic }

// leader is the request, or the first of its atomic group.
func (r *request) leader() *request {
	if r.inAtomic() {
		return r.group.requests[0]
	}
	return r
}

// leads tells whether the request stands for itself or for its atomic group.
func (r *request) leads() bool { return r.leader() == r }

// take claims the request for deciding; false when its caller has gone.
func (r *request) take() bool {
	return r.flag().CompareAndSwap(queued, taken) || r.flag().Load() == taken
}

// withdraw gives the request up; true when it was never taken, so that nothing was done.
func (r *request) withdraw() bool {
	return r.flag().CompareAndSwap(queued, abandoned) || r.flag().Load() == abandoned
}

// leave says that nobody waits for a taken request any more: what was not written of it is not decided anew.
func (r *request) leave() { r.flag().CompareAndSwap(taken, left) }

func (r *request) answer() {
	close(r.done)
	if r.home != nil {
		r.home.answered()
	}
}

func (r *request) refuse(err error) {
	r.result, r.err = ledger.Result{}, err
	r.answer()
}

// unpack gives what is to be decided of what was queued under one request: each by itself, or an atomic group by its
// first.
func unpack(r *request) []*request {
	if r.group == nil || r.group.atomic {
		return []*request{r}
	}
	return r.group.requests
}

// whole gives all requests that one which leads stands for.
func whole(r *request) []*request {
	if r.inAtomic() {
		return r.group.requests
	}
	return []*request{r}
}

// together gives all requests that were queued under one.
func together(r *request) []*request {
	if r.group != nil {
		return r.group.requests
	}
	return []*request{r}
}
