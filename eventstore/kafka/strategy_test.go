package kafka

import (
	"slices"
	"testing"

	"github.com/IBM/sarama"
)

const topic = "commands"

func given(partitions ...int32) *sarama.ConsumerGroupMemberAssignment {
	return &sarama.ConsumerGroupMemberAssignment{Topics: map[string][]int32{topic: partitions, "another": {7}}}
}

// What is told after each assignment of one session, and of a new one.
func TestAMemberGoesOnInAPartitionUntilItIsGivenToTheNextOwner(t *testing.T) {
	var told []int32
	s, err := newStrategy(topic, func(partitions []int32) { told = slices.Sorted(slices.Values(partitions)) })
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		given []int32
		want  []int32
		anew  bool
	}{
		{nil, nil, true}, // All is withheld at first.
		{[]int32{0, 1, 2}, []int32{0, 1, 2}, false}, // It is given.
		{[]int32{0, 1}, []int32{0, 1, 2}, false},    // Partition 2 is withheld from both.
		{[]int32{0, 1}, []int32{0, 1}, false},       // The other one has it.
		{[]int32{1, 3}, []int32{0, 1, 3}, false},    // 3 comes from one who left, and 0 is to go.
		{[]int32{1}, []int32{1, 3}, false},          // 0 is another's; 3 is to go, too.
		{[]int32{1}, []int32{1}, false},
		{[]int32{2}, []int32{2}, true}, // Put out and in again: whatever it had is others'.
		{nil, []int32{2}, false},
		{nil, nil, false},
	} {
		if step.anew {
			s.begin()
		}
		s.OnAssignment(given(step.given...), int32(i))
		if !slices.Equal(told, step.want) {
			t.Errorf("step %d, given %v: told %v, want %v", i, step.given, told, step.want)
		}
	}
}
