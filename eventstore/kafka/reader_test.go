package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"daybook/eventstore"
)

func TestReadingCanBeginInTheMiddleOfABatch(t *testing.T) {
	eachLog(t, func(l *log) {
		w, line := l.writer(0)
		line = l.awaitMarker(0, line)
		first := l.mustSend(w, messages("m", 5)...)

		chunk, err := l.reader(0).Read(l.ctx(), first+3, time.Second)

		if err != nil {
			l.t.Fatal(err)
		}
		if got := values(chunk.Messages); !slices.Equal(got, []string{"m-3", "m-4"}) || chunk.Messages[0].Offset != first+3 {
			l.t.Errorf("read %q from offset %d", got, chunk.Messages[0].Offset)
		}
		if chunk.Next != first+5 || chunk.HighWater != first+5 || len(chunk.Markers) != 0 {
			l.t.Errorf("read %+v after the line at %d", chunk, line.Offset)
		}
	})
}

func TestNothingToReadIsAnEmptyChunk(t *testing.T) {
	eachLog(t, func(l *log) {
		w, _ := l.writer(0)
		end := l.mustSend(w, messages("m", 2)...) + 2
		if got, err := l.EndOffset(topic, 0); err != nil || got != end {
			l.t.Errorf("the end is %d, want %d: %v", got, end, err)
		}

		for _, wait := range []time.Duration{0, 50 * time.Millisecond} {
			chunk, err := l.reader(0).Read(l.ctx(), end, wait)
			if err != nil || len(chunk.Messages) != 0 || len(chunk.Markers) != 0 || chunk.Next != end || chunk.HighWater != end {
				l.t.Errorf("waiting %s: read %+v, %v", wait, chunk, err)
			}
		}
	})
}

func TestAReaderAtTheEndGetsWhatComes(t *testing.T) {
	eachLog(t, func(l *log) {
		w, _ := l.writer(0)
		end, err := l.EndOffset(topic, 0)
		if err != nil {
			l.t.Fatal(err)
		}
		r := l.reader(0)
		came := make(chan []string, 1)
		go func() {
			for l.t.Context().Err() == nil {
				chunk, err := r.Read(l.t.Context(), end, 10*time.Second)
				if err == nil && len(chunk.Messages) > 0 {
					came <- values(chunk.Messages)
					return
				}
			}
		}()

		l.mustSend(w, messages("m", 2)...)

		select {
		case got := <-came:
			if !slices.Equal(got, []string{"m-0", "m-1"}) {
				l.t.Errorf("read %q", got)
			}
		case <-l.ctx().Done():
			l.t.Error("nothing came")
		}
	})
}

func TestOffsetsThatTheLogDoesNotHoldAreGone(t *testing.T) {
	eachLog(t, func(l *log) {
		w, _ := l.writer(0)
		first := l.mustSend(w, messages("m", 3)...)
		l.mustSend(w, messages("n", 3)...)
		r := l.reader(0)
		gone := func(offset int64) {
			l.t.Helper()
			if _, err := r.Read(l.ctx(), offset, 0); !errors.Is(err, eventstore.ErrOffsetGone) {
				l.t.Errorf("offset %d: got %v, want ErrOffsetGone", offset, err)
			}
		}

		gone(first + 7)
		gone(1_000_000)
		gone(-1)
		if err := l.admin().DeleteRecords(topic, map[int32]int64{0: first + 3}); err != nil {
			l.t.Fatal(err)
		}
		gone(0)
		gone(first + 2)
		if start, err := l.StartOffset(topic, 0); err != nil || start != first+3 {
			l.t.Errorf("the log begins at %d, want %d: %v", start, first+3, err)
		}
		mustHold(l, 0, "n-0", "n-1", "n-2")
	})
}

// A leader that was deposed and does not know it yet lacks what the present one has.
func TestThatAnOffsetIsGoneIsDoubtedForAWhile(t *testing.T) {
	eachLog(t, func(l *log) {
		w, _ := l.writer(0)
		last := l.mustSend(w, messages("m", 1)...)
		r := l.reader(0)
		l.Doubt(time.Minute)
		beyond := last + 3
		read := make(chan error, 1)
		go func() {
			chunk, err := r.Read(l.ctx(), beyond, time.Second)
			if err == nil && (len(chunk.Messages) == 0 || chunk.Messages[0].Offset != beyond) {
				err = fmt.Errorf("it has read %+v", chunk)
			}
			read <- err
		}()
		l.mustSend(w, messages("n", 3)...)
		if err := <-read; err != nil {
			l.t.Errorf("what came to be there was not read: %v", err)
		}

		l.Doubt(time.Nanosecond)
		if _, err := r.Read(l.ctx(), beyond+7, 0); !errors.Is(err, eventstore.ErrOffsetGone) {
			l.t.Errorf("in the end: got %v, want ErrOffsetGone", err)
		}
		ctx, cancel := context.WithCancel(l.ctx())
		cancel()
		l.Doubt(time.Minute)
		if _, err := r.Read(ctx, beyond+7, 0); !errors.Is(err, context.Canceled) {
			l.t.Errorf("of a reader that is to stop: got %v", err)
		}
	})
}

func TestAReaderSurvivesABrokenConnection(t *testing.T) {
	eachLog(t, func(l *log) {
		w, _ := l.writer(0)
		first := l.mustSend(w, messages("m", 2)...)
		r := l.reader(0)
		for range 3 {
			chunk, err := r.Read(l.ctx(), first, time.Second)
			if err != nil || len(chunk.Messages) != 2 {
				l.t.Fatalf("read %+v, %v", chunk, err)
			}
			r.Cut()
		}
	})
}

func TestReadingEndsWithItsContext(t *testing.T) {
	eachLog(t, func(l *log) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := l.reader(0).Read(ctx, 0, time.Second); !errors.Is(err, context.Canceled) {
			l.t.Errorf("got %v", err)
		}
	})
}

func TestALongPollEndsWithItsContextAndItsReaderReadsOn(t *testing.T) {
	eachLog(t, func(l *log) {
		w, _ := l.writer(0)
		first := l.mustSend(w, messages("m", 1)...)
		r := l.reader(0)
		for range 3 {
			chunk, err := r.Read(l.ctx(), first, time.Second)
			if err != nil || len(chunk.Messages) != 1 {
				l.t.Fatalf("read %+v, %v", chunk, err)
			}
			ctx, cancel := context.WithCancel(l.ctx())
			time.AfterFunc(10*time.Millisecond, cancel) // While it waits; before is the same.
			if chunk, err := r.Read(ctx, first+1, time.Second); !errors.Is(err, context.Canceled) {
				l.t.Errorf("read %+v, %v", chunk, err)
			}
		}
	})
}

func TestATopicThatIsNotThereIsAnError(t *testing.T) {
	eachLog(t, func(l *log) {
		r, err := l.OpenReader("billing.nowhere", 0)
		if err != nil {
			l.t.Fatal(err)
		}
		if _, err := r.Read(l.ctx(), 0, 0); err == nil {
			l.t.Error("a topic that is not there was read")
		}
		topics, err := l.admin().ListTopics()
		if _, created := topics["billing.nowhere"]; created || err != nil {
			l.t.Errorf("reading created the topic: %v", err)
		}
	})
}

func TestAllThatIsLargerThanOneAnswerIsReadInTurns(t *testing.T) {
	eachLog(t, func(l *log) {
		w, _ := l.writer(0)
		var want []string
		for i := range 4 {
			batch := messages(string(rune('a'+i)), 3)
			for j := range batch {
				batch[j].Value = append(batch[j].Value, make([]byte, 600<<10)...)
			}
			want = append(want, values(batch)...)
			l.mustSend(w, batch...)
		}

		if got := values(l.everything(0).Messages); !slices.Equal(got, want) {
			l.t.Errorf("%d messages were read, want %d in order", len(got), len(want))
		}
	})
}
