package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const typename = `{"query":"{ __typename }"}`

func TestPlacesAnswer(t *testing.T) {
	s := start(t)

	if a := s.do(t, "GET", "/", ""); a.status != 200 || a.body != "console" {
		t.Errorf("the playground answers %d %q", a.status, a.body)
	}
	if a := s.do(t, "GET", "/healthz", ""); a.status != 200 || a.body != "ok\n" {
		t.Errorf("/healthz answers %d %q", a.status, a.body)
	}
	if a := s.do(t, "GET", "/readyz", ""); a.status != 200 {
		t.Errorf("/readyz answers %d %q", a.status, a.body)
	}
	if a := s.do(t, "POST", "/healthz", ""); a.status != 405 || a.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /healthz answers %d", a.status)
	}
}

func TestRequestsGetTheStatusOfTheProtocol(t *testing.T) {
	s := start(t)
	const modern, legacy = "application/graphql-response+json", "application/json"
	for _, c := range []struct {
		name, method, body, contentType, accept string
		status                                  int
		code, answered                          string
	}{
		{"query", "POST", typename, "application/json", "", 200, "", modern},
		{"charset", "POST", typename, "application/json; charset=UTF-8", "*/*", 200, "", modern},
		{"legacy", "POST", typename, "application/json", legacy, 200, "", legacy},
		{"explorer", "POST", typename, "application/json", "application/json, multipart/mixed", 200, "", legacy},
		{"weights", "POST", typename, "application/json", "application/json;q=0.9, application/graphql-response+json", 200, "", modern},
		{"nothing we have", "POST", typename, "application/json", "text/html", 200, "", modern},
		{"null members", "POST", `{"query":"{ __typename }","variables":null,"operationName":null,"extensions":null}`, "application/json", "", 200, "", modern},
		{"extra members", "POST", `{"query":"{ __typename }","x":[1]}`, "application/json", "", 200, "", modern},
		{"syntax", "POST", `{"query":"{"}`, "application/json", "", 400, "BAD_USER_INPUT", modern},
		{"syntax, legacy", "POST", `{"query":"{"}`, "application/json", legacy, 200, "BAD_USER_INPUT", legacy},
		{"invalid", "POST", `{"query":"{ x }"}`, "application/json", "", 400, "BAD_USER_INPUT", modern},
		{"no such operation", "POST", `{"query":"query A { __typename }","operationName":"B"}`, "application/json", "", 400, "BAD_USER_INPUT", modern},
		{"no query", "POST", `{}`, "application/json", "", 400, "BAD_USER_INPUT", modern},
		{"not JSON", "POST", `{"query":`, "application/json", legacy, 400, "BAD_USER_INPUT", legacy},
		{"empty", "POST", ``, "application/json", "", 400, "BAD_USER_INPUT", modern},
		{"two values", "POST", typename + typename, "application/json", "", 400, "BAD_USER_INPUT", modern},
		{"a batch", "POST", "[" + typename + "]", "application/json", "", 400, "BAD_USER_INPUT", modern},
		{"a string", "POST", `"x"`, "application/json", "", 400, "BAD_USER_INPUT", modern},
		{"query a number", "POST", `{"query":5}`, "application/json", "", 400, "BAD_USER_INPUT", modern},
		{"variables a list", "POST", `{"query":"{ __typename }","variables":[]}`, "application/json", "", 400, "BAD_USER_INPUT", modern},
		{"not UTF-8", "POST", "{\"query\":\"{ __typename #\xff }\"}", "application/json", "", 400, "BAD_USER_INPUT", modern},
		{"null byte", "POST", "{\"query\":\"\x00\"}", "application/json", "", 400, "BAD_USER_INPUT", modern},
		{"deep JSON", "POST", `{"query":"{ __typename }","variables":` + strings.Repeat(`{"a":`, 20_000), "application/json", "", 400, "BAD_USER_INPUT", modern},
		{"a form", "POST", "query=x", "application/x-www-form-urlencoded", "", 415, "BAD_USER_INPUT", modern},
		{"plain text", "POST", typename, "text/plain", "", 415, "BAD_USER_INPUT", modern},
		{"no type", "POST", typename, "", "", 415, "BAD_USER_INPUT", modern},
		{"another charset", "POST", typename, "application/json; charset=utf-16", "", 415, "BAD_USER_INPUT", modern},
		{"subscription", "POST", `{"query":"subscription { balanceChanged(accountId: \"a\") { version } }"}`, "application/json", "", 406, "BAD_USER_INPUT", modern},
		{"GET", "GET", "", "", "", 405, "BAD_USER_INPUT", modern},
		{"PUT", "PUT", typename, "application/json", "", 405, "BAD_USER_INPUT", modern},
	} {
		t.Run(c.name, func(t *testing.T) {
			headers := []string{"Content-Type", c.contentType, "Accept", c.accept}
			a := s.do(t, c.method, "/graphql", c.body, headers...)
			if a.status != c.status || a.code() != c.code {
				t.Errorf("got %d %q, want %d %q: %.300s", a.status, a.code(), c.status, c.code, a.body)
			}
			if got, _, _ := strings.Cut(a.header.Get("Content-Type"), ";"); got != c.answered {
				t.Errorf("the answer is %q, want %q", got, c.answered)
			}
			if c.status == 405 && a.header.Get("Allow") != "POST, OPTIONS" {
				t.Errorf("Allow is %q", a.header.Get("Allow"))
			}
			if len(a.Errors) > 0 && strings.Contains(a.body, `"data"`) {
				t.Errorf("nothing was executed, but there is data: %s", a.body)
			}
		})
	}
}

func TestOddRequestsAreReadAlikeOverEveryTransport(t *testing.T) {
	s := start(t)
	const ask = `{"query":"query($id: ID!) { account(id: $id) { id } }",`
	for _, c := range []struct{ name, body, code string }{
		{"extensions a list", ask + `"variables":{"id":"alice"},"extensions":[]}`, ""},
		{"extensions a string", ask + `"variables":{"id":"alice"},"extensions":"x"}`, ""},
		{"variables twice", ask + `"variables":{"id":5},"variables":{"id":"alice"}}`, ""},
		{"variables twice, the last empty", ask + `"variables":{"id":"alice"},"variables":{}}`, "BAD_USER_INPUT"},
		{"variables twice, the first a list", ask + `"variables":[],"variables":{"id":"alice"}}`, ""},
		{"variables null", `{"query":"{ __typename }","variables":null,"operationName":null}`, ""},
	} {
		for transport, send := range transports {
			if a := send(s, t, c.body); a.code() != c.code || (c.code == "" && len(a.Errors) > 0) {
				t.Errorf("%s over %s: got %s, want the code %q", c.name, transport, a.body, c.code)
			}
		}
	}
}

func TestAnEncodedBodyIsRefused(t *testing.T) {
	s := start(t)
	for coding, want := range map[string]int{"": 200, "identity": 200, "Identity": 200, "gzip": 415, "identity, br": 415, "x": 415} {
		a := s.post(t, typename, "Content-Encoding", coding)
		if a.status != want {
			t.Errorf("%q: got %d %s, want %d", coding, a.status, a.body, want)
		}
		if want == 415 && (a.code() != "BAD_USER_INPUT" || !strings.Contains(a.body, "send the body uncompressed") || a.header.Get("Accept-Encoding") != "identity") {
			t.Errorf("%q: got %s", coding, a.body)
		}
	}
}

func TestABodyOverTheLimitIsRefusedWithoutBeingRead(t *testing.T) {
	s := start(t)
	for name, header := range map[string]string{
		"announced": "Content-Length: 10000000000", "in chunks": "Transfer-Encoding: chunked",
	} {
		t.Run(name, func(t *testing.T) {
			// Given a client that sends a little more than is allowed of an endless body, and waits.
			conn, err := net.Dial("tcp", s.address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			fmt.Fprintf(conn, "POST /graphql HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%s\r\n\r\n", s.address, header)
			if name == "in chunks" {
				fmt.Fprintf(conn, "%x\r\n%s\r\n", 600<<10, strings.Repeat(" ", 600<<10))
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			if response.StatusCode != 413 || !strings.Contains(string(body), "QUERY_TOO_COSTLY") || !response.Close {
				t.Errorf("got %d %s, closing: %v", response.StatusCode, body, response.Close)
			}
		})
	}
	// A client that sends all before it reads gets its answer too.
	for range 10 {
		if a := s.post(t, strings.Repeat(" ", 4<<20)); a.status != 413 || a.code() != "QUERY_TOO_COSTLY" {
			t.Errorf("got %d %s", a.status, a.body)
		}
	}
	if a := s.post(t, strings.Replace(typename, "{", "{"+strings.Repeat(" ", 511<<10), 1)); a.status != 200 {
		t.Errorf("a body below the limit gets %d", a.status)
	}
}

func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	s := start(t, func(c *Config) { c.Origins = []string{"https://App.example.com/"} })
	port := s.address[strings.LastIndex(s.address, ":"):]
	for _, c := range []struct {
		origin, host string
		allowed      bool
	}{
		{"", s.address, true},
		{"http://" + s.address, s.address, true},
		{"http://localhost" + port, "localhost" + port, true},
		{"https://app.example.com", s.address, true},
		{"https://evil.example", s.address, false},
		{"http://app.example.com", s.address, false},
		{"https://app.example.com.evil.example", s.address, false},
		{"http://127.0.0.1:1", s.address, false},
		{"null", s.address, false},
		{"file://", s.address, false},
		// A name of the attacker's that points at this machine.
		{"http://evil.example" + port, "evil.example" + port, false},
	} {
		var headers []string
		if c.origin != "" {
			headers = []string{"Origin", c.origin}
		}
		a := s.post(t, typename, append(headers, "Host", c.host)...)
		if allowed := a.status == 200; allowed != c.allowed || (!allowed && (a.status != 403 || a.code() != "BAD_USER_INPUT")) {
			t.Errorf("POST from %q at %q: got %d %s", c.origin, c.host, a.status, a.body)
		}
		if !c.allowed && !strings.Contains(a.body, "--allow-origin") {
			t.Errorf("the refusal does not say how to allow it: %s", a.body)
		}
		conn, response, err := s.handshake(append(headers, "Host", c.host), modernProtocol)
		if (err == nil) != c.allowed {
			t.Errorf("WebSocket from %q at %q: got %v", c.origin, c.host, err)
		}
		if err == nil {
			conn.Close()
		} else if response.StatusCode != 403 {
			t.Errorf("WebSocket from %q: got %d", c.origin, response.StatusCode)
		}
	}
	if a := s.do(t, "OPTIONS", "/graphql", "", "Origin", "https://app.example.com"); a.status != 204 || a.header.Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("an allowed origin's preflight gets %d", a.status)
	}
	if a := s.do(t, "OPTIONS", "/graphql", "", "Origin", "https://evil.example"); a.status != 403 || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a foreign origin's preflight gets %d", a.status)
	}
}

func TestAPanicIsToldByItsIDOnly(t *testing.T) {
	s := start(t, func(c *Config) {
		c.Console = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a secret") })
	})

	// In a resolver, over every transport.
	for transport, ask := range transports {
		a := ask(s, t, request(`{ account(id: "panic") { id } }`, nil))
		if a.code() != "INTERNAL" || strings.Contains(a.body, "as asked") {
			t.Errorf("%s: got %s", transport, a.body)
		}
	}
	// In a handler.
	if a := s.do(t, "GET", "/", ""); a.status != 500 || a.code() != "INTERNAL" || strings.Contains(a.body, "secret") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := s.post(t, typename); a.status != 200 {
		t.Errorf("the server does not go on: %d", a.status)
	}
}

func TestRequestsBeyondThoseInFlightAreRefused(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.InFlight = 2 })
	waiting := request(`{ account(id: "wait") { id } }`, nil)
	var asking sync.WaitGroup
	for range 2 {
		asking.Go(func() {
			if a := s.post(t, waiting); a.status != 200 || len(a.Errors) != 0 {
				t.Errorf("a request within the limit got %d %s", a.status, a.body)
			}
		})
	}
	eventually(t, "two requests wait", func() bool { return s.feeds.waiting.Load() == 2 })

	for transport, ask := range transports {
		a := ask(s, t, typename)
		if a.code() != "OVERLOADED" || !strings.Contains(a.body, "this request did nothing") || (transport == "post" && (a.status != 503 || a.header.Get("Retry-After") == "")) {
			t.Errorf("%s: got %d %s", transport, a.status, a.body)
		}
	}
	close(s.feeds.proceed)
	asking.Wait()
	for transport, ask := range transports {
		for range 3 {
			if a := ask(s, t, typename); len(a.Errors) != 0 {
				t.Errorf("%s after the others ended: got %s", transport, a.body)
			}
		}
	}
}

func TestARequestThatTakesTooLongEnds(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.Request = 50 * time.Millisecond })
	for transport, ask := range transports {
		if a := ask(s, t, request(`{ account(id: "wait") { id } }`, nil)); a.code() != "UNAVAILABLE" {
			t.Errorf("%s: got %s", transport, a.body)
		}
	}
}

func TestASlowRequestIsCutOff(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.ReadHeader, c.Limits.Read = 50*time.Millisecond, 100*time.Millisecond })
	for name, sent := range map[string]string{
		"header": "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-",
		"body":   "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
	} {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, sent)
		// Then the server ends the connection.
		if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: %v", name, err)
		}
		conn.Close()
	}
}

func TestALongHeaderIsRefused(t *testing.T) {
	s := start(t)
	if a := s.post(t, typename, "X-Long", strings.Repeat("x", 21<<10)); a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d", a.status)
	}
}
