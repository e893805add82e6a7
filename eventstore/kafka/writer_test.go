package kafka_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	eachLog(t, func(l *log) {
		w, _ := l.writer(2)
		sent := []eventstore.Message{
			{
				Key: []byte("account-1"), Value: []byte(`{"a":1}`), Time: at,
				Headers: []eventstore.Header{{Key: "eventType", Value: []byte("AccountCreated")}, {Key: "empty", Value: []byte{}}},
			},
			{Key: []byte("再见"), Value: []byte{0, 255, 10}, Time: at.Add(time.Hour)},
			// Earlier than the first of its batch: another account's clock.
			{Key: []byte("account-3"), Value: []byte("{}"), Time: at.Add(-time.Millisecond), Headers: []eventstore.Header{{Key: "x", Value: []byte("y")}}},
		}

		first := l.mustSend(w, sent...)

		got := l.everything(2).Messages
		for i := range sent {
			sent[i].Offset = first + int64(i)
		}
		if !reflect.DeepEqual(normal(got), normal(sent)) {
			l.t.Errorf("read\n%+v\nwant\n%+v", got, sent)
		}
	})
}

// normal makes empty values and no values alike: Kafka tells them apart, nobody here needs it.
func normal(messages []eventstore.Message) []eventstore.Message {
	all := slices.Clone(messages)
	for i := range all {
		all[i].Headers = slices.Clone(all[i].Headers)
		for j := range all[i].Headers {
			if len(all[i].Headers[j].Value) == 0 {
				all[i].Headers[j].Value = nil
			}
		}
		if len(all[i].Headers) == 0 {
			all[i].Headers = nil
		}
	}
	return all
}

func TestABatchIsInTheLogWholeAndInOrder(t *testing.T) {
	eachLog(t, func(l *log) {
		w, _ := l.writer(0)
		const size = 5000

		first := l.mustSend(w, messages("m", size)...)

		got := l.everything(0).Messages
		if len(got) != size {
			l.t.Fatalf("%d messages are in the log, want %d", len(got), size)
		}
		for i, m := range got {
			if m.Offset != first+int64(i) || string(m.Value) != fmt.Sprintf("m-%d", i) {
				l.t.Fatalf("message %d is %q at offset %d", i, m.Value, m.Offset)
			}
		}
	})
}

func TestSeveralBatchesMayBeOnTheirWay(t *testing.T) {
	eachLog(t, func(l *log) {
		w, _ := l.writer(0)
		var answers []<-chan answer
		var want []string
		for i := range 50 {
			batch := messages(fmt.Sprint("b", i), 3)
			want = append(want, values(batch)...)
			answers = append(answers, send(w, batch...))
		}

		last := int64(-1)
		for i, a := range answers {
			first, err := await(a)
			if err != nil {
				l.t.Fatalf("batch %d: %v", i, err)
			}
			if last >= 0 && first != last+3 {
				l.t.Errorf("batch %d begins at %d, the one before it at %d", i, first, last)
			}
			last = first
		}
		mustHold(l, 0, want...)
	})
}

func TestARepeatedBatchIsAnsweredWithItsFirstOffset(t *testing.T) {
	eachLog(t, func(l *log) {
		w, marker := l.writer(0)
		first := l.mustSend(w, messages("once", 2)...)
		second := l.mustSend(w, messages("then", 1)...)

		// A lost answer: the same batch again, over the same and over another connection.
		w.Renumber(-3)
		if again := l.mustSend(w, messages("once", 2)...); again != first {
			l.t.Errorf("the repeat is answered with %d, want %d", again, first)
		}
		other := l.openWriter(0, marker)
		other.Renumber(2)
		if again := l.mustSend(other, messages("then", 1)...); again != second {
			l.t.Errorf("the repeat is answered with %d, want %d", again, second)
		}

		mustHold(l, 0, "once-0", "once-1", "then-0")
	})
}

func TestABatchIsNotInTheLogWithoutTheOneBeforeIt(t *testing.T) {
	eachLog(t, func(l *log) {
		w, _ := l.writer(0)
		l.mustSend(w, messages("first", 1)...)

		w.Renumber(1) // As if one had been lost.
		_, err := await(send(w, messages("third", 1)...))

		if !errors.Is(err, sarama.ErrOutOfOrderSequenceNumber) {
			l.t.Errorf("got %v", err)
		}
		mustHold(l, 0, "first-0")
	})
}

func TestABatchThatTheTopicDoesNotTakeIsTooLarge(t *testing.T) {
	eachBroker(t, func(l *log) {
		l.create(topic, 1, map[string]string{"retention.ms": "-1", "max.message.bytes": "2000"})
		w, _ := l.writer(0)
		large := eventstore.Message{Key: []byte("k"), Value: bytes.Repeat([]byte("x"), 3000), Time: at}

		_, err := await(send(w, large))
		if !errors.Is(err, eventstore.ErrTooLarge) {
			l.t.Errorf("the writer got %v, want ErrTooLarge", err)
		}
		a := l.OpenAppender(topic, 0)
		defer a.Close() //nolint:errcheck // The test is over.
		if err := a.Append(l.ctx(), []eventstore.Message{large}); !errors.Is(err, eventstore.ErrTooLarge) {
			l.t.Errorf("the appender got %v, want ErrTooLarge", err)
		}
		mustHold(l, 0)
	})
}

// The embedded broker does not ask for the time: it has the node's own clock.
func TestAClockFarAheadIsNamed(t *testing.T) {
	eachLog(t, func(l *log) {
		if !l.real {
			return
		}
		w, _ := l.writer(0)
		ahead := eventstore.Message{Key: []byte("k"), Value: []byte("{}"), Time: time.Now().Add(2 * time.Hour)}

		if _, err := await(send(w, ahead)); !errors.Is(err, eventstore.ErrClock) {
			l.t.Errorf("the writer got %v, want ErrClock", err)
		}
		a := l.OpenAppender(eventstore.AccountEvents, 0)
		defer a.Close() //nolint:errcheck // The test is over.
		if err := a.Append(l.ctx(), []eventstore.Message{ahead}); !errors.Is(err, eventstore.ErrClock) {
			l.t.Errorf("the appender got %v, want ErrClock", err)
		}
		mustHold(l, 0)
	})
}

func TestTheLargestEventGoesThrough(t *testing.T) {
	eachLog(t, func(l *log) {
		event := eventstore.Event{
			ID: "e", AggregateID: "account-1", Version: 2, Timestamp: at, CorrelationID: "c", Data: &account.StatusChanged{
				PreviousStatus: account.Active, NewStatus: account.Closed, Reason: strings.Repeat("x", eventstore.MaxEventBytes-1000),
			},
		}
		w, _ := l.writer(0)
		large, err := eventstore.Encode(&event)
		if err != nil {
			l.t.Fatal(err)
		}

		first := l.mustSend(w, large)
		l.mustSend(w, messages("after", 1)...)

		got := l.everything(0).Messages
		if len(got) != 2 || got[0].Offset != first || !bytes.Equal(got[0].Value, large.Value) || string(got[1].Value) != "after-0" {
			l.t.Errorf("%d messages were read, want the large one and the one after it", len(got))
		}
	})
}

func TestAnEventThatIsTooLargeIsRefused(t *testing.T) {
	_, err := eventstore.Encode(&eventstore.Event{ID: "e", AggregateID: "a", Version: 2, Timestamp: at, Data: &account.StatusChanged{
		Reason: strings.Repeat("x", eventstore.MaxEventBytes),
	}})
	var refusal *domain.Refusal
	if !errors.As(err, &refusal) || refusal.Code != domain.BadUserInput {
		t.Errorf("got %v, want %s", err, domain.BadUserInput)
	}
}

func TestAnAppenderNeedsNoFenceAndSurvivesABrokenConnection(t *testing.T) {
	eachLog(t, func(l *log) {
		a := l.OpenAppender(topic, 0)
		defer a.Close() //nolint:errcheck // The test is over.

		for i := range 3 {
			if err := a.Append(l.ctx(), messages(fmt.Sprint("m", i), 2)); err != nil {
				l.t.Fatal(err)
			}
			a.(interface{ Cut() }).Cut()
		}

		mustHold(l, 0, "m0-0", "m0-1", "m1-0", "m1-1", "m2-0", "m2-1")
	})
}

func TestAWriterThatIsClosedTellsThoseWhoWait(t *testing.T) {
	eachLog(t, func(l *log) {
		w, _ := l.writer(0)
		if err := w.Close(); err != nil {
			l.t.Fatal(err)
		}
		if _, err := await(send(w, messages("late", 1)...)); err == nil {
			l.t.Error("a closed writer wrote")
		}
		mustHold(l, 0)
	})
}

func TestReadingGoesOnWhileOthersWrite(t *testing.T) {
	eachLog(t, func(l *log) {
		w, _ := l.writer(0)
		go func() {
			for i := range 100 {
				send(w, messages(fmt.Sprint("m", i), 10)...)
			}
		}()

		r, next, count := l.reader(0), int64(0), 0
		testenv.Eventually(l.t, func() error {
			chunk, err := r.Read(l.ctx(), next, 100*time.Millisecond)
			if err != nil {
				return err
			}
			for _, m := range chunk.Messages {
				if want := fmt.Sprintf("m%d-%d", count/10, count%10); string(m.Value) != want {
					l.t.Fatalf("read %q, want %q", m.Value, want)
				}
				count++
			}
			next = chunk.Next
			if count < 1000 {
				return fmt.Errorf("%d of 1000 were read", count)
			}
			return nil
		})
	})
}
