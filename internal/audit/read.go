package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// read folds both topics up to where they end. The ends are taken in the order of cause and effect reversed, so that
// what is read has its causes among what is read.
func (a *auditor) read(ctx context.Context, brokers []string) error {
	// Markers are kept: an offset has to be seen before the end is reached.
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.KeepControlRecords(), kgo.FetchMaxWait(maxPoll))
	if err != nil {
		return err
	}
	defer client.Close()
	transactionEnds, err := ends(ctx, client, transactionTopic)
	if err != nil {
		return err
	}
	if a.certain, err = ends(ctx, client, accountTopic); err != nil {
		return err
	}
	accountEnds, err := ends(ctx, client, accountTopic)
	if err != nil {
		return err
	}
	a.partitions = int32(len(accountEnds))
	if err := consume(ctx, client, accountTopic, accountEnds, a.accountRecord); err != nil {
		return err
	}
	return consume(ctx, client, transactionTopic, transactionEnds, a.transactionRecord)
}

// ends returns the offset after the last record of every partition.
func ends(ctx context.Context, client *kgo.Client, topic string) (map[int32]int64, error) {
	ask := kmsg.NewPtrMetadataRequest()
	named := kmsg.NewMetadataRequestTopic()
	named.Topic = &topic
	ask.Topics = append(ask.Topics, named)
	metadata, err := ask.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("asking for the partitions of %s: %w", topic, err)
	}
	if err := kerr.ErrorForCode(metadata.Topics[0].ErrorCode); err != nil {
		return nil, fmt.Errorf("asking for the partitions of %s: %w", topic, err)
	}
	list := kmsg.NewPtrListOffsetsRequest()
	wanted := kmsg.NewListOffsetsRequestTopic()
	wanted.Topic = topic
	for _, p := range metadata.Topics[0].Partitions {
		end := kmsg.NewListOffsetsRequestTopicPartition()
		end.Partition, end.Timestamp = p.Partition, -1
		wanted.Partitions = append(wanted.Partitions, end)
	}
	list.Topics = append(list.Topics, wanted)
	res, err := list.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("asking for the ends of %s: %w", topic, err)
	}
	all := map[int32]int64{}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("asking for the end of %s/%d: %w", topic, p.Partition, err)
			}
			all[p.Partition] = p.Offset
		}
	}
	return all, nil
}

// consume hands every record below the ends over, each partition in order.
func consume(ctx context.Context, client *kgo.Client, topic string, ends map[int32]int64, use func(*kgo.Record)) error {
	offsets, open := map[int32]kgo.Offset{}, map[int32]int64{}
	for p, end := range ends {
		if end > 0 {
			offsets[p], open[p] = kgo.NewOffset().At(0), end
		}
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets})
	defer client.PurgeTopicsFromConsuming(topic)
	next := map[int32]int64{}
	for len(open) > 0 {
		fetches := client.PollFetches(ctx)
		var failed error
		fetches.EachError(func(t string, p int32, err error) {
			failed = errors.Join(failed, fmt.Errorf("reading %s/%d: %w", t, p, err))
		})
		if failed != nil {
			return failed
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, ok := open[r.Partition]
			if !ok || r.Offset >= end {
				return
			}
			if r.Offset != next[r.Partition] {
				failed = errors.Join(failed, fmt.Errorf("%s/%d has offset %d after %d: a part of the log is gone", topic, r.Partition, r.Offset, next[r.Partition]-1))
			}
			next[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				use(r)
			}
			if r.Offset == end-1 {
				delete(open, r.Partition)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}
