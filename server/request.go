package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"daybook/domain"
	"daybook/resolvers"
)

// refusal is why a request is answered before its query is looked at.
type refusal struct {
	status int
	err    *gqlerror.Error
}

func refuse(status int, code domain.Code, format string, args ...any) *refusal {
	return &refusal{status: status, err: resolvers.NewError(code, format, args...)}
}

func overloaded() *gqlerror.Error {
	return resolvers.NewError(domain.Overloaded, "this request did nothing: too many requests are being served; try again later")
}

// bodies are reused: most requests are small and alike.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// read takes a request's body apart.
func (s *Server) read(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, *refusal) {
	if !isJSON(r.Header) {
		return nil, refuse(http.StatusUnsupportedMediaType, domain.BadUserInput, "send the request as application/json in UTF-8")
	}
	if encoded(r.Header) {
		w.Header().Set("Accept-Encoding", "identity")
		return nil, refuse(http.StatusUnsupportedMediaType, domain.BadUserInput, "send the body uncompressed")
	}
	if r.ContentLength > s.limits.Body {
		abandonBody(w, r)
		return nil, s.tooLarge()
	}
	if r.ContentLength < 0 || r.ContentLength > usualBody {
		if !s.largeBodies.acquire() {
			// What is not kept takes no place: a client that is heard out gets its answer.
			_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, s.limits.Body))
			return nil, &refusal{http.StatusServiceUnavailable, overloaded()}
		}
		defer s.largeBodies.release()
	}
	body := bodies.Get().(*bytes.Buffer)
	defer func() {
		if body.Cap() <= usualBody {
			body.Reset()
			bodies.Put(body)
		}
	}()
	if _, err := io.Copy(body, http.MaxBytesReader(w, r.Body, s.limits.Body)); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, s.tooLarge()
		}
		w.Header().Set("Connection", "close")
		return nil, refuse(http.StatusBadRequest, domain.BadUserInput, "the body did not arrive whole or in time; send it again")
	}
	params, err := readParams(body.Bytes(), s.limits)
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, err}
	}
	params.Headers = r.Header
	return params, nil
}

// arrival is how long the first byte of a body that is not wanted is waited for.
const arrival = 100 * time.Millisecond

// abandonBody leaves a body unread. The HTTP server then ends the connection such that a client that is still sending
// gets its answer, if it sees that some of it has come. One that asked first has not begun to send.
func abandonBody(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	if r.Header.Get("Expect") == "" {
		_ = http.NewResponseController(w).SetReadDeadline(soon(arrival))
		_, _ = http.MaxBytesReader(w, r.Body, 0).Read(make([]byte, 1))
	}
}

func (s *Server) tooLarge() *refusal {
	return refuse(http.StatusRequestEntityTooLarge, domain.QueryTooCostly, "a request must be at most %d bytes", s.limits.Body)
}

// wireParams is an operation as it is sent, and all that is read of a request.
type wireParams struct {
	Query         string          `json:"query"`
	OperationName string          `json:"operationName,omitempty"`
	Variables     json.RawMessage `json:"variables,omitempty"`
}

// readParams reads an operation. Its errors never repeat the body.
func readParams(body []byte, limits Limits) (*graphql.RawParams, *gqlerror.Error) {
	wire, err := readWire(body, limits)
	if err != nil {
		return nil, err
	}
	params := &graphql.RawParams{Query: wire.Query, OperationName: wire.OperationName}
	if len(wire.Variables) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(wire.Variables))
		decoder.UseNumber()
		if decoder.Decode(&params.Variables) != nil {
			return nil, badInput(nil, "the variables are not valid JSON")
		}
	}
	return params, nil
}

// readWire reads an operation and leaves its variables, which are an object or null, as they are.
func readWire(body []byte, limits Limits) (wire wireParams, refused *gqlerror.Error) {
	// The decoder would replace what is not UTF-8, so that different texts become one.
	if !utf8.Valid(body) {
		return wire, badInput(nil, "the request must be UTF-8")
	}
	switch first := bytes.TrimLeft(body, " \t\r\n"); {
	case len(first) > 0 && first[0] == '[':
		return wire, badInput(nil, "send one operation in a request; lists of operations are not served")
	case len(first) == 0 || first[0] != '{':
		return wire, badInput(nil, `the request must be a JSON object such as {"query": "{ __typename }"}`)
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		var mistyped *json.UnmarshalTypeError
		if errors.As(err, &mistyped) {
			return wire, badInput(nil, "query and operationName must be strings")
		}
		return wire, badInput(nil, "the request is not valid JSON")
	}
	switch variables := wire.Variables; {
	case len(variables) > limits.Variables:
		return wire, tooCostly(nil, "the variables must be at most %d bytes", limits.Variables)
	case len(variables) > limits.Values && values(variables) > limits.Values:
		return wire, tooCostly(nil, "the variables must hold at most %d values", limits.Values)
	case len(variables) > 0 && variables[0] != '{' && variables[0] != 'n':
		return wire, badInput(nil, "variables must be an object")
	}
	return wire, nil
}

// values counts the values in valid JSON, those in lists and objects too; an empty list or object counts for two.
func values(valid []byte) int {
	n, quoted := 1, false
	for i := 0; i < len(valid); i++ {
		switch c := valid[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && (c == ',' || c == '[' || c == '{'):
			n++
		}
	}
	return n
}

// isJSON asks for application/json in UTF-8. A page of another site cannot send that without asking first.
func isJSON(h http.Header) bool {
	sent := h.Get("Content-Type")
	if sent == "application/json" {
		return true
	}
	kind, params, err := mime.ParseMediaType(sent)
	if err != nil || kind != "application/json" {
		return false
	}
	charset, given := params["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}

// encoded tells whether a body is compressed or the like: what it comes to could be far above every limit.
func encoded(h http.Header) bool {
	return slices.ContainsFunc(h["Content-Encoding"], func(coding string) bool {
		return coding != "" && !strings.EqualFold(coding, "identity")
	})
}

const (
	legacyJSON  = "application/json"
	graphqlJSON = "application/graphql-response+json"
	eventStream = "text/event-stream"
)

// accepted is what a client takes as an answer.
type accepted struct {
	// json is the media type of an answer in JSON.
	json string
	// stream tells whether events are taken, onlyStream that nothing else is.
	stream, onlyStream bool
}

// accept reads the Accept header: of the JSON types the one with the greatest weight, the modern one where that does
// not decide.
func accept(h http.Header) accepted {
	header := h.Get("Accept")
	switch header {
	case "", "*/*":
		return accepted{json: graphqlJSON}
	case legacyJSON:
		return accepted{json: legacyJSON}
	}
	var a accepted
	best := map[string]float64{}
	for part := range strings.SplitSeq(header, ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		weight := 1.0
		if q, given := params["q"]; given {
			if weight, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		if kind == "*/*" || kind == "application/*" {
			kind = graphqlJSON
		}
		best[kind] = max(best[kind], weight)
	}
	a.stream = best[eventStream] > 0
	a.onlyStream = a.stream && best[graphqlJSON] == 0 && best[legacyJSON] == 0
	a.json = graphqlJSON
	if best[legacyJSON] > best[graphqlJSON] {
		a.json = legacyJSON
	}
	return a
}
