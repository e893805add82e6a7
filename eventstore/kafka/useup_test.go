package kafka_test

import (
	"context"
	"errors"
	"flag"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"daybook/eventstore"
)

var useUp = flag.Bool("use-up", false, "use all epochs of a producer id up on Apache Kafka, which takes minutes")

// nearTheEnd is an epoch that no owner is to have any more, and from which a broker soon comes to the next producer id.
const nearTheEnd = 32_700

// The embedded broker takes a batch's epoch for the last one when it is higher, so that few turns are needed; Apache Kafka
// has to hand all of them out.
func TestOwnersAreFencedThoughTheBrokersGoOnWithAnotherProducerID(t *testing.T) {
	eachLog(t, func(l *log) {
		old, line := l.writer(0)
		l.mustSend(old, messages("old", 1)...)
		if !l.real {
			l.mustSend(l.openWriter(0, eventstore.Marker{ProducerID: line.ProducerID, Epoch: nearTheEnd}), messages("jump", 1)...)
		} else if l.UseUp(line.Epoch); !*useUp {
			l.t.Skip("-use-up uses a producer id up on Apache Kafka")
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()

		began := time.Now()
		next, err := l.RuleLine(ctx, topic, 0)
		if err != nil {
			l.t.Fatal(err)
		}

		l.t.Logf("it took %s", time.Since(began))
		if next.ProducerID == line.ProducerID {
			l.t.Fatalf("%+v came after %+v: the next owners' epochs run out", next, line)
		}
		next = l.awaitMarker(0, next)
		if !fencedBefore(l.everything(0).Markers, line, next) {
			l.t.Errorf("%+v came after %+v, whose owners nothing fences", next, line)
		}
		if l.real { // The embedded broker forgets a producer id that it has used up, and its epochs.
			if _, err := await(send(old, messages("stale", 1)...)); !errors.Is(err, eventstore.ErrFenced) {
				l.t.Errorf("the old owner's batch: got %v, want ErrFenced", err)
			}
		}
		renewing, giveUp := context.WithTimeout(context.Background(), 10*time.Second)
		defer giveUp()
		if err := old.Renew(renewing); !errors.Is(err, sarama.ErrInvalidProducerIDMapping) || errors.Is(err, context.DeadlineExceeded) {
			l.t.Errorf("the old owner's renewal: got %v, want to be told at once that its producer id is not that of the writer", err)
		}
		l.mustSend(l.openWriter(0, next), messages("fresh", 1)...)
	})
}

// fencedBefore tells whether a marker keeps the owners out that have a line's producer id, before another line.
func fencedBefore(markers []eventstore.Marker, old, next eventstore.Marker) bool {
	for _, m := range markers {
		if m.ProducerID == old.ProducerID && m.Epoch > old.Epoch && m.Offset < next.Offset {
			return true
		}
	}
	return false
}
