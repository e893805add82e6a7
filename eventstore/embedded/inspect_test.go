package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const topic = "billing.account.events"

// writtenSegment is the path, without its ending, of a segment that the broker wrote, a few batches long.
func writtenSegment(t *testing.T) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	b, err := Open(dir, quiet())
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addresses()...), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	wanted := kmsg.NewCreateTopicsRequestTopic()
	wanted.Topic, wanted.NumPartitions, wanted.ReplicationFactor = topic, 1, 1
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Topics = append(create.Topics, wanted)
	if _, err := create.RequestWith(context.Background(), client); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		records := []*kgo.Record{{Value: fmt.Appendf(nil, `{"number":%d}`, i)}, {Value: []byte("a second one of the batch")}}
		if err := client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	client.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	logDir := filepath.Join(dir, "log")
	return logDir, filepath.Join(logDir, "partitions", topic+"-0", "0")
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func mustWrite(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What the broker writes is what is taken for whole, its index too.
func TestWhatTheBrokerWroteIsLeftAlone(t *testing.T) {
	dir, path := writtenSegment(t)
	before, index := mustRead(t, path+".dat"), mustRead(t, path+".idx")
	if err := inspect(dir, quiet()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, mustRead(t, path+".dat")) || !bytes.Equal(index, mustRead(t, path+".idx")) {
		t.Error("the files are not what they were")
	}
}

// Each byte of a segment, one after the other, is another one. Only a batch's epoch of the leader means nothing.
func TestEveryFlippedByteOfASegmentIsFound(t *testing.T) {
	dir, path := writtenSegment(t)
	content := mustRead(t, path+".dat")
	begins := map[int]bool{}
	for at, next := 0, int64(0); at < len(content); next += 2 {
		size, why := checkBatch(content[at:], next)
		if why != "" {
			t.Fatal(why)
		}
		begins[at] = true
		at += size
	}
	begin := 0
	for at := range content {
		if begins[at] {
			begin = at
		}
		for _, by := range []byte{1, 0x80, 0xff} {
			content[at] ^= by
			mustWrite(t, path+".dat", content)
			err := inspect(dir, quiet())
			if unused := at-begin >= batchBody && at-begin < batchMagic; !unused && !errors.Is(err, ErrDamaged) {
				t.Fatalf("byte %d of the batch at %d, xor %#x: %v", at-begin, begin, by, err)
			}
			content[at] ^= by
		}
	}
}

// Bytes of the index are others. It is written anew as it was.
func TestADamagedIndexIsMended(t *testing.T) {
	dir, path := writtenSegment(t)
	content := mustRead(t, path+".idx")
	damages := map[string][]byte{"cut off": content[:indexEntry+3], "empty": {}}
	for at := range content {
		flipped := bytes.Clone(content)
		flipped[at] ^= 1
		damages[fmt.Sprintf("byte %d", at)] = flipped
	}
	for name, damage := range damages {
		mustWrite(t, path+".idx", damage)
		if err := inspect(dir, quiet()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := mustRead(t, path+".idx")
		if len(got) != len(content) {
			t.Fatalf("%s: the index has %d bytes, want %d", name, len(got), len(content))
		}
		for at := 0; at < len(got); at += indexEntry {
			if got[at+indexEntry-1] != content[at+indexEntry-1] || !validIndexEntry(got, at) {
				t.Errorf("%s: the entry at %d is %x, was %x", name, at, got[at:at+indexEntry], content[at:at+indexEntry])
			}
		}
	}
}

// The segment ends early. What was cut out of the last batch can be a write that a crash cut short; what is missing before
// it cannot.
func TestOnlyTheLastBatchCanBeUnfinished(t *testing.T) {
	dir, path := writtenSegment(t)
	content, index := mustRead(t, path+".dat"), mustRead(t, path+".idx")
	var ends []int
	for at, next := 0, int64(0); at < len(content); next += 2 {
		size, _ := checkBatch(content[at:], next)
		at += size
		ends = append(ends, at)
	}
	for length := range content {
		mustWrite(t, path+".dat", content[:length])
		mustWrite(t, path+".idx", index)
		err := inspect(dir, quiet())
		unfinished := length >= ends[len(ends)-2]
		if unfinished != (err == nil) || (err != nil && !errors.Is(err, ErrDamaged)) {
			t.Fatalf("cut at %d of %d: %v", length, len(content), err)
		}
	}
}
