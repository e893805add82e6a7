package soak

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"sync"

	"daybook/internal/bench/wire"
)

// The codes of what went wrong without an answer of the API.
const (
	codeConnection = "CONNECTION"  // The connection was lost, or there was none.
	codeUnreadable = "UNREADABLE"  // The answer is none of the API.
	codeLate       = "LATE"        // It was not sent, since more were due than all clients could send.
	codeBroken     = "FEED_BROKEN" // A subscription left a change out, or told one twice.
	codeEnded      = "FEED_ENDED"  // A subscription ended by itself.
	codeUnseen     = "UNSEEN"      // A node did not tell about itself.
)

// payload is what answers to all operations have in common.
type payload struct {
	Transaction *struct{ ID, Status string }
	Hold        *struct{ ID string }
	UserErrors  []struct{ Code, Message string }
	Results     []payload
}

type answer struct {
	Data   map[string]*payload
	Errors []struct {
		Message    string
		Extensions struct{ Code string }
	}
}

// client is a connection to one node. It serves one request at a time.
type client struct {
	host string
	wire *wire.Client
	body []byte
}

// send sends a request and reads its answer. It counts what went wrong in it.
func (c *client) send(r request, e *errors) {
	if c.wire == nil {
		var err error
		if c.wire, err = wire.Dial(c.host, "/graphql"); err != nil {
			e.add(codeConnection, err.Error())
			return
		}
	}
	c.body = append(c.body[:0], `{"query":`...)
	c.body = strconv.AppendQuote(c.body, r.query)
	c.body = append(append(append(c.body, `,"variables":`...), r.variables...), '}')
	raw, ok, err := c.wire.Post(c.body)
	if err != nil {
		e.add(codeConnection, err.Error())
		c.close()
		return
	}
	var a answer
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&a); err != nil || !ok && len(a.Errors) == 0 || len(a.Data) == 0 && len(a.Errors) == 0 {
		e.add(codeUnreadable, fmt.Sprintf("%.300s", raw))
		return
	}
	for _, failure := range a.Errors {
		e.add(failure.Extensions.Code, failure.Message)
	}
	for _, p := range a.Data {
		e.look(p, r.query)
		if p != nil && r.keep != nil {
			r.keep(p)
		}
	}
}

func (c *client) close() {
	if c.wire != nil {
		_ = c.wire.Close()
		c.wire = nil
	}
}

// maxCodes bounds how many codes are told apart.
const maxCodes = 100

// errors counts errors by code, and keeps the first message of each.
type errors struct {
	mu     sync.Mutex
	counts map[string]int64
	first  map[string]string
}

func newErrors() *errors { return &errors{counts: map[string]int64{}, first: map[string]string{}} }

func (e *errors) add(code, message string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.first[code]; !known {
		if len(e.first) >= maxCodes {
			code = "OTHER"
		}
		e.first[code] = message
	}
	e.counts[code]++
}

// look counts what one part of an answer says went wrong.
func (e *errors) look(p *payload, query string) {
	if p == nil {
		e.add("NULL", "nothing was answered to "+query)
		return
	}
	for _, failure := range p.UserErrors {
		e.add(failure.Code, failure.Message)
	}
	for i := range p.Results {
		e.look(&p.Results[i], query)
	}
}

// all are the counts so far, and the first message of each code.
func (e *errors) all() (counts map[string]int64, first map[string]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.counts), maps.Clone(e.first)
}
