package audit

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/shopspring/decimal"
)

// Verdict is what a client was told about a command.
type Verdict int

// The verdicts. Of an unknown outcome the client knows that it does not know.
const (
	Acknowledged Verdict = iota
	Refused
	Unknown
)

// Answer is the last that a client was told about an idempotency key. Version, Balance and the ids matter when it was
// acknowledged; TransactionID is empty for what moves no money, HoldID for what concerns no hold.
type Answer struct {
	Verdict       Verdict
	Version       int64
	Balance       decimal.Decimal
	TransactionID string
	HoldID        string
}

// Compare checks what clients were told against the log: what was acknowledged is there with that very result, what
// was refused is not, and nothing is there that nobody asked for. The answers must be all that were given.
func (r *Report) Compare(answers map[Key]Answer) []string {
	var problems []string
	for key, answer := range answers {
		effect, there := r.Keys[key]
		switch {
		case answer.Verdict == Acknowledged && !there:
			problems = append(problems, fmt.Sprintf("%v was acknowledged with version %d and is not in the log", key, answer.Version))
		case answer.Verdict == Acknowledged && !effect.agrees(answer):
			problems = append(problems, fmt.Sprintf("%v was acknowledged with %+v, the log has %+v", key, answer, effect))
		case answer.Verdict == Refused && there:
			problems = append(problems, fmt.Sprintf("%v was refused, and the log has %+v", key, effect))
		}
	}
	for key, effect := range r.Keys {
		if _, ok := answers[key]; !ok {
			problems = append(problems, fmt.Sprintf("%v is in the log (%s version %d) and nobody asked for it", key, effect.EventType, effect.Version))
		}
	}
	slices.SortFunc(problems, cmp.Compare[string])
	return problems
}

func (e *Effect) agrees(a Answer) bool {
	return e.Version == a.Version && e.Balance.Equal(a.Balance) && e.TransactionID == a.TransactionID && e.HoldID == a.HoldID
}
