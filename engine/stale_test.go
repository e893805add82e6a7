package engine

import (
	"errors"
	"testing"
	"time"
)

func TestAFenceThatMayBeForgottenIsNotRenewed(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)
	o := &owner{engine: &Engine{cfg: Config{Clock: func() time.Time { return now }}}, renewed: now.Add(-fenceTrust - time.Second)}
	if err := o.renew(t.Context()); !errors.Is(err, errStale) {
		t.Fatalf("renewed: %v", err)
	}
}
