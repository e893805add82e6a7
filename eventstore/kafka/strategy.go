package kafka

import (
	"errors"
	"slices"

	"github.com/IBM/sarama"
)

// cooperativeSticky is what sarama's strategy of that name does besides planning.
type cooperativeSticky interface {
	sarama.RebalanceProtocolBalanceStrategy
	sarama.SubscriptionUserDataBalanceStrategy
	sarama.OnAssignmentBalanceStrategy
}

// strategy shares partitions out as sarama's cooperative sticky strategy does, and tells the member what it gets: in a
// cooperative group the session goes on from one assignment to the next, and nothing else tells of them.
//
// A partition that moves is first withheld from both, and given to its next owner by a second rebalance that follows at
// once. The fence makes it needless to pause in between: this one is told to let go together with that one to take over.
type strategy struct {
	cooperativeSticky
	topic string
	tell  func([]int32)
	// given are the partitions of the last assignment, nil before the first one of a session.
	given []int32
}

func newStrategy(topic string, tell func([]int32)) (*strategy, error) {
	sticky, ok := sarama.NewBalanceStrategyCooperativeSticky().(cooperativeSticky)
	if !ok {
		return nil, errors.New("sarama's cooperative sticky strategy does not tell of assignments")
	}
	return &strategy{cooperativeSticky: sticky, topic: topic, tell: tell}, nil
}

// begin forgets what was given before the member joined anew: none of it is held, so no second rebalance will follow.
func (s *strategy) begin() { s.given = nil }

// OnAssignment implements sarama.OnAssignmentBalanceStrategy.
func (s *strategy) OnAssignment(assignment *sarama.ConsumerGroupMemberAssignment, generation int32) {
	s.cooperativeSticky.OnAssignment(assignment, generation)
	before := s.given
	s.given = slices.Clone(assignment.Topics[s.topic])
	all := slices.Clone(s.given)
	for _, p := range before {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	s.tell(all)
}
