package kafka

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/IBM/sarama"
)

func TestABrokerThatIsAwayIsTriedAgainAndAnotherErrorIsNot(t *testing.T) {
	for _, away := range []error{
		io.EOF, &net.OpError{Op: "dial", Err: errors.New("refused")}, sarama.ErrOutOfBrokers, sarama.ErrNotController,
	} {
		tries := 0
		err := persevere(func() error {
			if tries++; tries < 3 {
				return fmt.Errorf("asking: %w", away)
			}
			return nil
		})
		if err != nil || tries != 3 {
			t.Errorf("%v: after %d tries %v", away, tries, err)
		}
	}
	tries := 0
	err := persevere(func() error { tries++; return setupError("it is wrong") })
	if err == nil || tries != 1 {
		t.Errorf("a wrong setting: after %d tries %v", tries, err)
	}
}
