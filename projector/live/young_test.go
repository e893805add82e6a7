package live

import (
	"testing"
	"time"

	"daybook/domain"
	"daybook/internal/ids"
)

// An acknowledgement does not wait for the transaction to be recorded, so a young id may be right though it is not there.
func TestAYoungTransactionThatIsNotThereMayComeYet(t *testing.T) {
	id := ids.New()
	drawn, ok := ids.Time(id)
	if !ok {
		t.Fatalf("%s does not tell its time", id)
	}
	for _, c := range []struct {
		name string
		id   string
		age  time.Duration
		want domain.Code
	}{
		{"just drawn", id, 0, domain.Unavailable},
		{"minutes old", id, recordedWithin - time.Second, domain.Unavailable},
		{"drawn by a clock that is ahead", id, time.Second - recordedWithin, domain.Unavailable},
		{"old", id, recordedWithin, domain.TransactionNotFound},
		{"of another kind", "8a3e1e2c-6c1f-4f0e-9a55-0f6cfa1d3a11", 0, domain.TransactionNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := newWorld().config()
			cfg.SettleWait, cfg.CatchUpWait = time.Nanosecond, time.Minute
			cfg.Clock = func() time.Time { return drawn.Add(c.age) }
			f := New(cfg)
			if _, err := f.Transaction(t.Context(), c.id); domain.CodeOf(err) != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
			assertEmpty(t, f)
		})
	}
}
