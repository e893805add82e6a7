package engine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"daybook/eventstore"
)

// picky takes all batches but those with the message "large", after so many tries whose answer is lost.
type picky struct {
	lost  int
	taken []string
}

func (a *picky) Append(_ context.Context, messages []eventstore.Message) error {
	if a.lost > 0 {
		a.lost--
		return errors.New("no answer")
	}
	if slices.ContainsFunc(messages, func(m eventstore.Message) bool { return string(m.Value) == "large" }) {
		return eventstore.ErrTooLarge
	}
	for i := range messages {
		a.taken = append(a.taken, string(messages[i].Value))
	}
	return nil
}

func (a *picky) Close() error { return nil }

// post posts one message that is too large among others, and returns the numbers of those that were refused.
func (a *picky) post(t *testing.T) []int {
	t.Helper()
	f := &forwarder{engine: &Engine{cfg: Config{Clock: time.Now, CommandTimeout: time.Minute}}}
	var messages []eventstore.Message
	for _, value := range []string{"a", "b", "large", "c", "d", "e"} {
		messages = append(messages, eventstore.Message{Value: []byte(value)})
	}
	var refused []int
	err := f.post(t.Context(), a, messages, func(bool) bool { return true }, func(i int, _ error) { refused = append(refused, i) })
	if err != nil {
		t.Fatal(err)
	}
	return refused
}

func TestWhatIsTooLargeIsRefusedAndItsNeighboursAreSent(t *testing.T) {
	to := &picky{}
	refused := to.post(t)
	if !slices.Equal(refused, []int{2}) || !slices.Equal(to.taken, []string{"a", "b", "c", "d", "e"}) {
		t.Errorf("refused %v, sent %v", refused, to.taken)
	}
}

func TestNothingIsSaidToBeRefusedThatMayHaveBeenSentBefore(t *testing.T) {
	to := &picky{lost: 1}
	refused := to.post(t)
	if len(refused) > 0 || !slices.Equal(to.taken, []string{"a", "b", "c", "d", "e"}) {
		t.Errorf("refused %v, sent %v", refused, to.taken)
	}
}

// appending is a log that has an appender and nothing else.
type appending struct {
	Log
	to *picky
}

func (l appending) OpenAppender(string, int32) eventstore.Appender { return l.to }

func TestAnswersThatAreLostTogetherAreSpokenOfOnce(t *testing.T) {
	var said bytes.Buffer
	f := &forwarder{replies: make(chan eventstore.Message, 3), engine: &Engine{log: appending{to: &picky{}}, cfg: Config{
		Clock: time.Now, CommandTimeout: time.Minute, Logger: slog.New(slog.NewTextHandler(&said, nil)),
	}}}
	for range 3 {
		f.replies <- eventstore.Message{Value: []byte("large")}
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	f.sendReplies(stopped) // It writes what waits, and ends.
	if got := strings.Count(said.String(), "answers for other nodes are lost"); got != 1 {
		t.Errorf("said %d times:\n%s", got, &said)
	}
}
