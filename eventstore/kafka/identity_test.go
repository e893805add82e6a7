package kafka

import (
	"errors"
	"testing"

	"github.com/IBM/sarama"
)

func TestALogIsKnownOnlyByItsTopicsRealID(t *testing.T) {
	cluster := "cluster"
	answer := func(t sarama.TopicMetadata) *sarama.MetadataResponse {
		t.Name = "topic"
		return &sarama.MetadataResponse{ClusterID: &cluster, Topics: []*sarama.TopicMetadata{{Name: "other", Uuid: sarama.Uuid{9}}, &t}}
	}

	got, err := logID(answer(sarama.TopicMetadata{Uuid: sarama.Uuid{1}}), "topic")

	if err != nil || got != "cluster/AQAAAAAAAAAAAAAAAAAAAA" {
		t.Errorf("got %q, %v", got, err)
	}
	for name, lagging := range map[string]*sarama.MetadataResponse{
		"an unknown topic":    answer(sarama.TopicMetadata{Err: sarama.ErrUnknownTopicOrPartition}),
		"an id of zeros":      answer(sarama.TopicMetadata{}),
		"a leader missing":    answer(sarama.TopicMetadata{Err: sarama.ErrLeaderNotAvailable, Uuid: sarama.Uuid{1}}),
		"no word of the name": {ClusterID: &cluster},
	} {
		if got, err := logID(lagging, "topic"); !unsettled(err) {
			t.Errorf("%s: got %q and %v, want to ask again", name, got, err)
		}
	}
	if got, err := logID(&sarama.MetadataResponse{}, "topic"); err == nil || unsettled(err) {
		t.Errorf("no cluster: got %q and %v", got, err)
	}
}

func TestWhatIsNewToABrokerIsAskedAgain(t *testing.T) {
	asked := 0
	err := settle(func() error {
		if asked++; asked < 3 {
			return sarama.ErrNotLeaderForPartition
		}
		return nil
	})
	if err != nil || asked != 3 {
		t.Errorf("asked %d times: %v", asked, err)
	}

	asked = 0
	refused := errors.New("refused")
	if err := settle(func() error { asked++; return refused }); !errors.Is(err, refused) || asked != 1 {
		t.Errorf("what will not change was asked %d times: %v", asked, err)
	}
}
