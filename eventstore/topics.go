package eventstore

import "time"

// The topics. Events live for ever; commands and replies only as long as somebody may still need them, and checkpoints of
// state until there are newer ones.
const (
	AccountEvents     = "billing.account.events"
	TransactionEvents = "billing.transaction.events"
	AccountCommands   = "billing.account.commands"
	CommandReplies    = "billing.command.replies"
	AccountSnapshots  = "billing.account.snapshots"
)

// LeastCommandRetention is how long commands are kept at the least: a topic that deletes earlier is refused.
const LeastCommandRetention = 7 * 24 * time.Hour

// PartitionOf returns the partition of a key as the default partitioner of Kafka's Java client does: murmur2.
func PartitionOf(key string, partitions int32) int32 {
	return int32(murmur2(key)&0x7fffffff) % partitions
}

// murmur2 is the 32-bit hash of org.apache.kafka.common.utils.Utils, seed included.
func murmur2(key string) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
		r    = 24
	)
	h := uint32(seed) ^ uint32(len(key))
	i := 0
	for ; i+4 <= len(key); i += 4 {
		k := uint32(key[i]) | uint32(key[i+1])<<8 | uint32(key[i+2])<<16 | uint32(key[i+3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h *= m
		h ^= k
	}
	switch len(key) - i {
	case 3:
		h ^= uint32(key[i+2]) << 16
		fallthrough
	case 2:
		h ^= uint32(key[i+1]) << 8
		fallthrough
	case 1:
		h ^= uint32(key[i])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}
