package test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"daybook/internal/audit"
)

// The checkers of the torture's own are trusted because they find what is wrong in histories that are made up here.

// logged is a log that holds the effects of these keys of alice.
func logged(keys ...string) *audit.Report {
	r := &audit.Report{Keys: map[audit.Key]audit.Effect{}}
	for i, key := range keys {
		r.Keys[audit.Key{AccountID: "alice", Key: key}] = audit.Effect{Version: int64(2 + i)}
	}
	return r
}

func TestAnAtomicBatchOfWhichAPartIsInTheLogIsFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		log   *audit.Report
		found string
	}{
		{"whole", logged("a", "b", "c", "alone"), ""},
		{"not at all", logged("alone"), ""},
		{"without its last", logged("a", "b"), "of the 3 commands of the atomic batch of a on alice, 2 are in the log"},
		{"without its first", logged("b", "c"), "of the 3 commands of the atomic batch of a on alice, 2 are in the log"},
		{"its first alone", logged("a"), "of the 3 commands of the atomic batch of a on alice, 1 are in the log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, group := &torment{}, &bundle{}
			for _, key := range []string{"a", "b", "c"} {
				group.commands = append(group.commands, &order{operation: &operation{key: key, account: "alice"}, group: group})
			}
			alone := &order{operation: &operation{key: "alone", account: "alice"}}
			other := &bundle{commands: []*order{{operation: &operation{key: "a", account: "bob"}}}}
			other.commands[0].group = other
			l.commands = append(append(l.commands, group.commands...), alone, other.commands[0])
			if got := strings.Join(l.halves(c.log), "; "); got != c.found {
				t.Errorf("found %q, want %q", got, c.found)
			}
		})
	}
}

func TestWhatIsDoneAfterItWasRefusedIsFound(t *testing.T) {
	refusal := payload{UserErrors: []userError{{Code: "INSUFFICIENT_BALANCE"}}}
	done := payload{Account: &accountAnswer{ID: "alice"}}
	tried := func(heard ...string) (all []attempt) {
		for _, h := range heard {
			all = append(all, attempt{Heard: h})
		}
		return all
	}
	tooLate := append(tried(heardUnknown), attempt{Heard: heardRefused, Code: "BAD_USER_INPUT"})
	for _, c := range []struct {
		name     string
		log      *audit.Report
		answer   payload
		settled  bool
		attempts []attempt
		late     int
		found    string
	}{
		{"acknowledged", logged("a"), done, true, tried(heardLost, heardUnknown, heardAck), 0, ""},
		{"refused", logged(), refusal, true, tried(heardRefused), 0, ""},
		{"refused after an unknown outcome", logged(), refusal, true, tried(heardUnknown, heardRefused), 0, ""},
		{"never answered, and done", logged("a"), payload{}, false, tried(heardUnknown, heardNothing), 0, ""},
		{"refused after a lost answer, and done", logged("a"), refusal, true, tried(heardLost, heardRefused), 1, ""},
		{"refused after a lost answer and an unknown outcome, and done", logged("a"), refusal, true, tried(heardLost, heardUnknown, heardRefused), 1, ""},
		{"refused for its time after an unknown outcome, and done", logged("a"), payload{}, true, tooLate, 1, ""},
		{"refused after an unknown outcome, and done", logged("a"), refusal, true, tried(heardUnknown, heardRefused), 1, "a on alice was refused after an unknown outcome"},
		{"the same with other tries between", logged("a"), refusal, true, tried(heardNothing, heardUnknown, heardNothing, heardRefused), 1,
			"a on alice was refused after an unknown outcome"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &operation{key: "a", account: "alice", answer: c.answer, settled: c.settled}
			if c.answer.Account == nil && c.answer.UserErrors == nil {
				o.err = &failure{Message: "a top-level error"}
			}
			l := &torment{commands: []*order{{operation: o, attempts: c.attempts}}}
			late, wrong := l.lateOnes(c.log)
			if got := strings.Join(wrong, "; "); late != c.late || !strings.HasPrefix(got, c.found) || (got == "") != (c.found == "") {
				t.Errorf("found %d and %q, want %d and %q", late, got, c.late, c.found)
			}
		})
	}
}

// answering is a node that gives the next answer to each command, the last one again and again; to one with another amount
// than was acknowledged it gives the answer to conflicts.
type answering struct {
	answers  []string
	conflict string
	// asked and conflicts count the commands.
	asked, conflicts atomic.Int64
}

func (n *answering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Variables struct{ Input map[string]any }
	}
	answer := n.conflict
	if err := json.NewDecoder(r.Body).Decode(&request); err == nil && request.Variables.Input["amount"] != "123.45" {
		answer = n.answers[min(n.asked.Add(1), int64(len(n.answers)))-1]
	} else {
		n.conflicts.Add(1)
	}
	if answer == "" { // The answer is lost.
		panic(http.ErrAbortHandler)
	}
	_, _ = fmt.Fprint(w, answer)
}

// The answers of the node, the first of which the client heard.
const (
	toldFirst    = `{"data": {"payload": {"account": {"id": "alice", "balance": "3.00", "version": 4}, "transaction": {"id": "t", "status": "PENDING"}}}}`
	toldLater    = `{"data": {"payload": {"account": {"id": "alice", "balance": "3.00", "version": 4}, "transaction": {"id": "t", "status": "COMPLETED"}}}}`
	toldHigher   = `{"data": {"payload": {"account": {"id": "alice", "balance": "5.00", "version": 5}, "transaction": {"id": "t"}}}}`
	toldOther    = `{"data": {"payload": {"account": {"id": "alice", "balance": "3.00", "version": 4}, "transaction": {"id": "u"}}}}`
	toldLess     = `{"data": {"payload": {"account": {"id": "alice", "balance": "3.00", "version": 4}}}}`
	toldMore     = `{"data": {"payload": {"account": {"id": "alice", "balance": "3.00", "version": 4}, "transaction": {"id": "t"}, "hold": {"id": "h"}}}}`
	toldBob      = `{"data": {"payload": {"account": {"id": "bob", "balance": "3.00", "version": 4}, "transaction": {"id": "t"}}}}`
	toldNothing  = `{"data": {"payload": {"userErrors": []}}}`
	toldRefused  = `{"data": {"payload": {"userErrors": [{"code": "INSUFFICIENT_BALANCE"}]}}}`
	toldConflict = `{"data": {"payload": {"userErrors": [{"code": "IDEMPOTENCY_CONFLICT"}]}}}`
	toldBroken   = `{"errors": [{"message": "broken", "extensions": {"code": "INTERNAL"}}]}`
	toldAway     = `{"errors": [{"message": "away", "extensions": {"code": "UNAVAILABLE"}}]}`
	toldUnknown  = `{"errors": [{"message": "who knows", "extensions": {"code": "OUTCOME_UNKNOWN"}}]}`
)

// tormentOf is a torment of this node, by which one transfer was acknowledged with toldFirst.
func tormentOf(t *testing.T, n *answering) *torment {
	server := httptest.NewServer(n)
	t.Cleanup(server.Close)
	var first struct{ Data struct{ Payload payload } }
	if err := json.Unmarshal([]byte(toldFirst), &first); err != nil {
		t.Fatal(err)
	}
	g := &ground{t: t, nodes: []*machine{{name: "node1", node: &node{url: server.URL + "/"}, public: server.URL + "/"}}}
	l := newTorment(g, 1)
	l.acknowledged = []*order{{operation: &operation{
		key: "a", account: "alice", document: transferMutation, input: map[string]any{"idempotencyKey": "a", "amount": "2.00"},
		answer: first.Data.Payload, settled: true,
	}}}
	return l
}

func TestARepeatWithAnotherAnswerIsFound(t *testing.T) {
	for _, c := range []struct {
		name             string
		answer, conflict string
		wrong            bool
	}{
		{"the same", toldFirst, toldConflict, false},
		{"a transaction that went on", toldLater, toldConflict, false},
		{"nothing done", toldAway, toldAway, false},
		{"an unknown outcome", toldUnknown, toldUnknown, false},
		{"a lost answer", "", "", false},
		{"done once more", toldHigher, toldConflict, true},
		{"another transaction", toldOther, toldConflict, true},
		{"no transaction", toldLess, toldConflict, true},
		{"a hold that there was not", toldMore, toldConflict, true},
		{"another account", toldBob, toldConflict, true},
		{"nothing at all", toldNothing, toldConflict, true},
		{"a refusal", toldRefused, toldConflict, true},
		{"a conflict where there is none", toldConflict, toldConflict, true},
		{"a top-level error", toldBroken, toldConflict, true},
		{"another amount, done", toldFirst, toldHigher, true},
		{"another amount, answered as the first", toldFirst, toldFirst, true},
		{"another amount, refused for something else", toldFirst, toldRefused, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := &answering{answers: []string{c.answer}, conflict: c.conflict}
			l, a, random := tormentOf(t, n), newAPI(""), rand.New(rand.NewPCG(1, 1))
			enough := func() bool { // Some tries are given up soon.
				switch {
				case c.wrong:
					return len(l.faults) > 0
				case c.conflict == toldConflict:
					return l.repeats > 0 && l.conflicts > 0
				}
				return n.asked.Load() > 0 && n.conflicts.Load() > 0
			}
			for tries := 0; tries < 200 && !enough(); tries++ {
				l.repeat(a, random)
			}
			if !enough() || len(l.faults) > 0 != c.wrong {
				t.Errorf("%d repeats and %d conflicts were counted, and found %v", l.repeats, l.conflicts, l.faults)
			}
			if c.conflict != toldConflict && !c.wrong && l.repeats+l.conflicts > 0 {
				t.Errorf("%d repeats and %d conflicts were counted without an answer", l.repeats, l.conflicts)
			}
		})
	}
}

func TestARepeatInTheEndWithAnotherAnswerIsFound(t *testing.T) {
	for _, c := range []struct {
		name     string
		answers  []string
		patience time.Duration
		found    string
	}{
		{"the same", []string{toldFirst}, settlePatience, ""},
		{"a transaction that went on", []string{toldLater}, settlePatience, ""},
		{"the same, later", []string{toldAway, toldUnknown, "", toldFirst}, settlePatience, ""},
		{"done once more", []string{toldHigher}, settlePatience, "sent again in the end, answered"},
		{"done once more, later", []string{toldAway, "", toldHigher}, settlePatience, "sent again in the end, answered"},
		{"another transaction", []string{toldOther}, settlePatience, "sent again in the end, answered"},
		{"no transaction", []string{toldLess}, settlePatience, "sent again in the end, answered"},
		{"a refusal", []string{toldRefused}, settlePatience, "sent again in the end, answered"},
		{"a conflict", []string{toldConflict}, settlePatience, "sent again in the end, answered"},
		{"never", []string{toldAway}, 0, "sent again in the end, has no answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := tormentOf(t, &answering{answers: c.answers})
			l.repeatAll(c.patience)
			got := fmt.Sprint(l.faults)
			if (len(l.faults) > 0) != (c.found != "") || !strings.Contains(got, c.found) {
				t.Errorf("found %s, want %q", got, c.found)
			}
			if c.found == "" && l.repeats != 1 {
				t.Errorf("%d repeats were counted", l.repeats)
			}
		})
	}
}
