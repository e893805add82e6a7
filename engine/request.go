package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"sync/atomic"

	"github.com/google/uuid"

	"daybook/domain/money"
	"daybook/eventstore"
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
	command     Command
	commandID   string
	transaction string
	fingerprint eventstore.Fingerprint
	state       atomic.Int32

	// result and err are set before done is closed.
	result Result
	err    error
	done   chan struct{}
}

func newRequest(c Command, newID func() string) *request {
	m := c.meta()
	if create, ok := c.(*CreateAccount); ok && create.ID == "" {
		create.ID = uuid.NewSHA1(namespace, []byte(m.Actor.ActorID+"\x00"+m.IdempotencyKey)).String()
	}
	if m.CorrelationID == "" {
		m.CorrelationID = newID()
	}
	return &request{
		command: c, commandID: newID(), transaction: newID(), fingerprint: fingerprint(c), done: make(chan struct{}),
	}
}

// take claims the request for deciding; false when its caller has gone.
func (r *request) take() bool {
	return r.state.CompareAndSwap(queued, taken) || r.state.Load() == taken
}

// withdraw gives the request up; true when it was never taken, so that nothing was done.
func (r *request) withdraw() bool { return r.state.CompareAndSwap(queued, abandoned) }

// leave says that nobody waits for a taken request any more: what was not written of it is not decided anew.
func (r *request) leave() { r.state.CompareAndSwap(taken, left) }

func (r *request) answer() { close(r.done) }

func (r *request) refuse(err error) {
	r.result, r.err = Result{}, err
	close(r.done)
}

// fingerprint covers the whole input of a command, so that a key reused with other input is noticed.
func fingerprint(c Command) eventstore.Fingerprint {
	b := make([]byte, 0, 256)
	field := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	version := func(v *int64) {
		if v == nil {
			field("")
			return
		}
		field(strconv.FormatInt(*v, 10))
	}
	switch c := c.(type) {
	case *CreateAccount:
		upper := ""
		if c.Limits.Max.Valid {
			upper = money.Format(c.Limits.Max.Decimal, c.Currency)
		}
		for _, s := range []string{"create", c.ID, c.OwnerID, string(c.Type), string(c.Currency), money.Format(c.Limits.Min, c.Currency), upper} {
			field(s)
		}
	case *TopUp:
		for _, s := range []string{"topup", c.AccountID, money.Format(c.Amount, c.Currency), string(c.Currency), c.External, c.Reason} {
			field(s)
		}
	case *Transfer:
		for _, s := range []string{"transfer", c.FromID, c.ToID, money.Format(c.Amount, c.Currency), string(c.Currency), c.Reason} {
			field(s)
		}
	case *ChangeStatus:
		for _, s := range []string{"status", c.AccountID, string(c.Status), c.Reason} {
			field(s)
		}
	case *ChangeLimits:
		upper := ""
		if c.Limits.Max.Valid {
			upper = c.Limits.Max.Decimal.String()
		}
		for _, s := range []string{"limits", c.AccountID, c.Limits.Min.String(), upper, c.Reason} {
			field(s)
		}
	}
	version(c.meta().ExpectedVersion)
	sum := sha256.Sum256(b)
	return eventstore.Fingerprint(sum[:16])
}
