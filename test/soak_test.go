package test

import (
	"strings"
	"testing"
	"time"

	"daybook/internal/soak"
)

// A soak of a moment finds nothing wrong, whatever it says of what is flat: that takes longer.
func TestASoakInMiniatureHasNoErrors(t *testing.T) {
	report, err := soak.Run(t.Context(), soak.Config{
		Program: binary, Dir: t.TempDir(), Out: t.TempDir(), Nodes: 1, Time: 6 * time.Second, Clients: 16, Progress: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Errors) > 0 {
		t.Errorf("errors %v, such as %v", report.Errors, report.FirstErrors)
	}
	if !strings.Contains(report.Verified, "no differences") {
		t.Errorf("verify says %q", report.Verified)
	}
	pushed := int64(0)
	for _, s := range report.Samples {
		pushed += s.Load.Pushed
		if n := s.Nodes[0]; n.RSS == 0 || n.HeapLive == 0 || n.Goroutines == 0 || n.FDs == 0 || n.Disk == 0 || n.LogBatches == 0 {
			t.Errorf("not everything was measured: %+v", n)
		}
	}
	if len(report.Samples) == 0 || pushed == 0 {
		t.Errorf("%d samples, %d changes pushed", len(report.Samples), pushed)
	}
	t.Log(report.Table())
}
