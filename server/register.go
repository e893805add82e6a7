package server

import (
	"bytes"
	"encoding/json"
	"strconv"
	"sync"
)

// maxOperationID bounds the id that a client gives an operation, in bytes.
const maxOperationID = 128

// register knows the operations of one connection. gqlgen sees ids that are never used twice: a client may use an id
// again as soon as it has ended an operation, while that is still on its way out.
type register struct {
	limit int

	mu       sync.Mutex
	last     int64
	internal map[string]string // by the client's id, of what the client takes to be running
	clients  map[string]string // the client's id by ours, of what runs; empty when the client has ended it
}

type verdict int

const (
	entered verdict = iota
	duplicate
	full
)

func newRegister(limit int) register {
	return register{limit: limit, internal: map[string]string{}, clients: map[string]string{}}
}

func (r *register) enter(id string) (string, verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, running := r.internal[id]; running {
		return "", duplicate
	}
	if len(r.clients) >= r.limit {
		return "", full
	}
	r.last++
	ours := strconv.FormatInt(r.last, 10)
	r.internal[id], r.clients[ours] = ours, id
	return ours, entered
}

// silence is the client's end of an operation: nothing more of it is sent.
func (r *register) silence(id string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ours, running := r.internal[id]
	if running {
		delete(r.internal, id)
		r.clients[ours] = ""
	}
	return ours, running
}

// The ends of messages as encoding/json writes a frame, and gqlgen's messages too.
var (
	idMark    = []byte(`"id":"`)
	typeMark  = []byte(`","type":"`)
	frameEnd  = []byte(`"}`)
	completes = []byte("complete")
	fails     = []byte("error")
)

// translate puts the client's id into a message of gqlgen's, or returns nothing when the client is not to see it.
func (r *register) translate(message []byte) []byte {
	kindAt := bytes.LastIndex(message, typeMark)
	idAt := bytes.LastIndex(message, idMark)
	// The id stands right before the type; a payload before it may contain anything.
	if kindAt < 0 || idAt < 0 || !bytes.HasSuffix(message, frameEnd) {
		return message
	}
	ours := message[idAt+len(idMark) : max(kindAt, idAt+len(idMark))]
	kind := message[kindAt+len(typeMark) : len(message)-len(frameEnd)]
	if !isNumber(ours) || bytes.IndexByte(kind, '"') >= 0 {
		return message
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id, running := r.clients[string(ours)]
	if !running {
		return nil
	}
	if bytes.Equal(kind, completes) || bytes.Equal(kind, fails) {
		delete(r.clients, string(ours))
		if id != "" {
			delete(r.internal, id)
		}
	}
	if id == "" {
		return nil
	}
	quoted, err := json.Marshal(id)
	if err != nil {
		// Any string can be written.
		panic(err)
	}
	out := make([]byte, 0, len(message)+len(quoted))
	out = append(out, message[:idAt+len(idMark)-1]...)
	out = append(out, quoted...)
	return append(out, message[kindAt+1:]...)
}

func isNumber(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}
