package test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/shopspring/decimal"

	"daybook/internal/audit"
)

// The checkers of this package are trusted because they find what is planted here. Those of the log are tested beside
// package audit, those of the read model beside projector.Verify.

func push(w *watcher, version int64, before, after string) error {
	raw, err := json.Marshal(map[string]any{"data": map[string]any{"balanceChanged": change{
		AccountID: "alice", Version: version, PreviousBalance: before, NewBalance: after,
	}}})
	if err != nil {
		return err
	}
	return w.take(raw)
}

func TestAWatcherFindsPlantedFaults(t *testing.T) {
	sound := func() *watcher {
		w := &watcher{account: "alice"}
		for _, err := range []error{push(w, 2, "0.00", "1.00"), push(w, 4, "1.00", "3.00")} {
			if err != nil {
				t.Fatalf("a sound chain was refused: %v", err)
			}
		}
		return w
	}
	if err := push(sound(), 4, "1.00", "3.00"); err == nil {
		t.Error("a repeated change was not noticed")
	}
	if err := push(sound(), 2, "0.00", "1.00"); err == nil {
		t.Error("an old change after a new one was not noticed")
	}
	if err := push(sound(), 6, "4.00", "5.00"); err == nil {
		t.Error("a missing change was not noticed")
	}
	w := sound()
	w.account = "bob"
	if err := push(w, 5, "3.00", "4.00"); err == nil {
		t.Error("another account's change was not noticed")
	}
}

func TestTheEndOfAWatchFindsPlantedFaults(t *testing.T) {
	want := &audit.Account{ID: "alice", Version: 3, Changes: 2, Balance: decimal.RequireFromString("3.00")}
	seen := []change{{Version: 2, NewBalance: "1.00"}, {Version: 3, PreviousBalance: "1.00", NewBalance: "3.00"}}
	if err := reaches(seen, want); err != nil {
		t.Errorf("a whole chain was refused: %v", err)
	}
	if reaches(seen[:1], want) == nil {
		t.Error("a missing last change was not noticed")
	}
	if reaches(seen[1:], want) == nil {
		t.Error("a missing first change was not noticed")
	}
	if reaches(nil, want) == nil {
		t.Error("a silent subscription was not noticed")
	}
}

func TestAnswersThatTheLogDoesNotBearOutAreFound(t *testing.T) {
	key := func(n int) audit.Key { return audit.Key{AccountID: "alice", Key: fmt.Sprint(n)} }
	report := &audit.Report{Keys: map[audit.Key]audit.Effect{
		key(1): {Version: 2, Balance: decimal.RequireFromString("1.00"), TransactionID: "a"},
		key(2): {Version: 3, Balance: decimal.RequireFromString("2.00"), TransactionID: "b"},
	}}
	acknowledged := func(version int64, balance, tx string) payload {
		return payload{Account: &accountAnswer{Version: version, Balance: balance}, Transaction: &transactionAnswer{ID: tx}}
	}
	right := []*operation{
		{key: "1", to: "alice", settled: true, answer: acknowledged(2, "1.00", "a")},
		{key: "2", to: "alice", settled: true, answer: acknowledged(3, "2.00", "b")},
	}
	for name, c := range map[string]struct {
		change func() []*operation
		sound  bool
	}{
		"nothing planted":    {func() []*operation { return right }, true},
		"an unknown outcome": {func() []*operation { return []*operation{right[0], {key: "2", to: "alice"}} }, true},
		"nobody asked":       {func() []*operation { return right[:1] }, false},
		"acknowledged, not done": {func() []*operation {
			return append(right[:2:2], &operation{key: "3", to: "alice", settled: true, answer: acknowledged(4, "3.00", "c")})
		}, false},
		"refused, done": {func() []*operation {
			return []*operation{right[0], {key: "2", to: "alice", settled: true, answer: payload{UserErrors: []userError{{Code: "INSUFFICIENT_BALANCE"}}}}}
		}, false},
		"another balance": {func() []*operation {
			return []*operation{right[0], {key: "2", to: "alice", settled: true, answer: acknowledged(3, "2.01", "b")}}
		}, false},
		"another version": {func() []*operation {
			return []*operation{right[0], {key: "2", to: "alice", settled: true, answer: acknowledged(4, "2.00", "b")}}
		}, false},
	} {
		l := &load{t: t, operations: c.change()}
		if problems := report.Compare(l.answers()); (len(problems) == 0) != c.sound {
			t.Errorf("%s: %v", name, problems)
		}
	}
}
