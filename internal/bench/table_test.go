package bench

import (
	"strings"
	"testing"
	"time"
)

func TestATableHasMediansAndOnlyTheColumnsItNeeds(t *testing.T) {
	var table Table
	for run, perSecond := range []float64{100, 300, 200} {
		measured := Result{PerSecond: perSecond, Crossing: 0.5}
		table.Add("a", measured, "b", &Result{PerSecond: 100, P50: time.Duration(run+1) * time.Millisecond})
		table.Add("a", measured, "c", &Result{PerSecond: perSecond})
		table.Add("d", measured, "nothing", nil)
	}
	var out strings.Builder
	table.Write(&out)
	want := `| measured | a second | beside | a second | p50 | ratio | crossing |
|---|---|---|---|---|---|---|
| a | 200 | b | 100 | 2.00 ms | 2.00 | 50.0 % |
| a | 200 | c | 200 |  | 1.00 | 50.0 % |
| d | 200 |  |  |  |  | 50.0 % |
`
	if out.String() != want {
		t.Errorf("written:\n%s\nnot:\n%s", out.String(), want)
	}
}
