package kafka_test

import (
	"errors"
	"strings"
	"testing"

	"daybook/eventstore"
)

func TestTheLineThatIsRuledCanBeReadBack(t *testing.T) {
	eachLog(t, func(l *log) {
		before, err := l.EndOffset(topic, 0)
		if err != nil {
			l.t.Fatal(err)
		}

		ruled := l.ruleLine(0)

		found := l.awaitMarker(0, ruled)
		if found.Offset < before {
			l.t.Errorf("the marker lies at %d, before the old end %d", found.Offset, before)
		}
		if all := l.everything(0); len(all.Messages) != 0 || len(all.Markers) != 1 {
			l.t.Errorf("the log holds %+v, want one marker", all)
		}
	})
}

func TestEachTakeoverRaisesTheEpoch(t *testing.T) {
	eachLog(t, func(l *log) {
		last := l.ruleLine(0)
		for range 3 {
			next := l.ruleLine(0)
			if next.ProducerID != last.ProducerID || next.Epoch <= last.Epoch {
				l.t.Errorf("%+v came after %+v", next, last)
			}
			last = next
		}
	})
}

func TestPartitionsAreFencedApart(t *testing.T) {
	eachLog(t, func(l *log) {
		first, _ := l.writer(0)
		second, _ := l.writer(1)

		l.mustSend(first, messages("a", 1)...)
		l.mustSend(second, messages("b", 1)...)
	})
}

func TestAllThatAStaleWriterWroteLiesBeforeTheLine(t *testing.T) {
	eachLog(t, func(l *log) {
		old, _ := l.writer(0)
		last := l.mustSend(old, messages("old", 3)...) + 2

		line := l.awaitMarker(0, l.ruleLine(0))

		if line.Offset <= last {
			l.t.Errorf("the line lies at %d, the old writer's last message at %d", line.Offset, last)
		}
	})
}

// The embedded broker refuses a stale epoch in Produce as Apache Kafka does; what it gets wrong is InitProducerID,
// which this code does not use with an epoch.
func TestAStaleWriterIsRefusedBeforeAndAfterTheNewOnesFirstBatch(t *testing.T) {
	eachLog(t, func(l *log) {
		old, oldMarker := l.writer(0)
		l.mustSend(old, messages("old", 1)...)
		fresh, _ := l.writer(0)

		if _, err := await(send(old, messages("stale", 1)...)); !errors.Is(err, eventstore.ErrFenced) {
			l.t.Errorf("before the first batch: got %v, want ErrFenced", err)
		}
		l.mustSend(fresh, messages("fresh", 1)...)
		for name, sequence := range map[string]int32{"from the first sequence": 0, "with the next sequence": 1} {
			stale := l.openWriter(0, oldMarker)
			stale.Renumber(sequence)
			if _, err := await(send(stale, messages("stale", 1)...)); !errors.Is(err, eventstore.ErrFenced) {
				l.t.Errorf("after the first batch, %s: got %v, want ErrFenced", name, err)
			}
		}
		if err := old.Renew(l.ctx()); !errors.Is(err, eventstore.ErrFenced) {
			l.t.Errorf("renewing: got %v, want ErrFenced", err)
		}

		l.mustSend(fresh, messages("fresh again", 1)...)
		mustHold(l, 0, "old-0", "fresh-0", "fresh again-0")
	})
}

func TestRenewingKeepsTheFence(t *testing.T) {
	eachLog(t, func(l *log) {
		old, _ := l.writer(0)
		w, line := l.writer(0)
		l.mustSend(w, messages("before", 2)...)

		for range 2 {
			if err := w.Renew(l.ctx()); err != nil {
				l.t.Fatal(err)
			}
		}

		l.mustSend(w, messages("after", 1)...)
		if _, err := await(send(old, messages("stale", 1)...)); !errors.Is(err, eventstore.ErrFenced) {
			l.t.Errorf("the stale writer got %v, want ErrFenced", err)
		}
		mustHold(l, 0, "before-0", "before-1", "after-0")
		lines := 0
		for _, m := range l.everything(0).Markers {
			if m.ProducerID == line.ProducerID && m.Epoch == line.Epoch {
				lines++
			}
		}
		if lines != 3 {
			l.t.Errorf("the line was ruled %d times, want once and renewed twice", lines)
		}
	})
}

func TestTheProofOfTheFenceHoldsAndLeavesNothingBehind(t *testing.T) {
	eachLog(t, func(l *log) {
		before := l.topics()

		if err := l.ProveFence(l.ctx()); err != nil {
			l.t.Error(err)
		}

		for name := range l.topics() {
			// Brokers make their own when they are first needed.
			if _, ok := before[name]; !ok && !strings.HasPrefix(name, "__") {
				l.t.Errorf("the proof left topic %s", name)
			}
		}
	})
}

// mustHold asserts what partition p holds, markers aside.
func mustHold(l *log, p int32, want ...string) {
	l.t.Helper()
	got := values(l.everything(p).Messages)
	if len(got) != len(want) {
		l.t.Errorf("the log holds %q, want %q", got, want)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			l.t.Errorf("the log holds %q, want %q", got, want)
			return
		}
	}
}
