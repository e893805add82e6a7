package kafka_test

import (
	"testing"

	"daybook/eventstore"
)

func TestAClusterAsItComesIsFitToKeepMoneyIn(t *testing.T) {
	eachLog(t, func(l *log) {
		if !l.real { // The embedded broker has no such settings.
			return
		}
		l.ruleLine(0) // From here on brokers have their topic of transactions.

		settings, err := l.CheckSettings(0)
		if err != nil {
			l.t.Fatal(err)
		}

		found := map[string]string{}
		for _, s := range settings {
			found[s.Of+" "+s.Name] = s.Value
			if s.Problem != "" {
				l.t.Errorf("%+v", s)
			}
		}
		for _, want := range []string{
			"topic " + eventstore.AccountEvents + " replication.factor", "topic __transaction_state replication.factor",
			"topic " + eventstore.TransactionEvents + " unclean.leader.election.enable",
			"broker " + l.brokers[0] + " producer.id.expiration.ms",
		} {
			if found[want] == "" {
				l.t.Errorf("%s was not looked at: %v", want, found)
			}
		}
	})
}
