package eventstore

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// The file was written by Kafka's own client: scripts/murmur2. Each run of scripts/test asks that client again.
func TestKeysGoWhereKafkasJavaClientSendsThem(t *testing.T) {
	content, err := os.ReadFile("testdata/murmur2.tsv")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		count++
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		id, err := strconv.Unquote(fields[0])
		if err != nil || len(fields) != 5 {
			t.Fatalf("unreadable line %q: %v", line, err)
		}
		if got := int32(murmur2(id)); strconv.Itoa(int(got)) != fields[1] {
			t.Errorf("murmur2(%q) is %d, want %s", id, got, fields[1])
		}
		for i, partitions := range []int32{3, 12, 1000} {
			if got := PartitionOf(id, partitions); strconv.Itoa(int(got)) != fields[2+i] {
				t.Errorf("%q goes to partition %d of %d, want %s", id, got, partitions, fields[2+i])
			}
		}
	}
	if count < 300 {
		t.Errorf("only %d ids were compared", count)
	}
}
