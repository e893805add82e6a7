package archive_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"daybook/eventstore"
	"daybook/internal/archive"
	"daybook/internal/testenv"
)

func load(t *testing.T, content []byte, to logOn, prepare func(archive.Part, *archive.Entry) error) (archive.Digests, error) {
	t.Helper()
	r, err := archive.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return archive.Load(t.Context(), r, to, prepare, silent)
}

func TestACopyHoldsTheSameAtTheSameOffsets(t *testing.T) {
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		from := randomLog(t, random(t), 12)
		content, header := archived(t, from), cut(t, from)
		to := emptyLog(t, brokers)
		if err := archive.CheckEmpty(to, header.Parts); err != nil {
			t.Fatal(err)
		}
		written, err := load(t, content, to, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := archive.Compare(t.Context(), to, header, written, silent); err != nil {
			t.Error(err)
		}
		if err := archive.CheckEmpty(to, header.Parts); err == nil || !strings.Contains(err.Error(), "holds events already") {
			t.Errorf("the copy counts as empty: %v", err)
		}
		// Seen by another client.
		want, got := records(t, from, header), records(t, to, header)
		for _, part := range header.Parts {
			w, g := want[part.String()], got[part.String()]
			if int64(len(w)) != part.End || len(g) != len(w) {
				t.Errorf("%s has %d entries of %d, the copy %d", part, len(w), part.End, len(g))
				continue
			}
			for i := range w {
				if w[i] != g[i] {
					t.Errorf("%s: %s has become %s", part, w[i], g[i])
				}
			}
		}
	})
}

// records are all that every part holds, markers too, as another client reads them.
func records(t *testing.T, from logOn, h *archive.Header) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, part := range h.Parts {
		if part.End == 0 {
			continue
		}
		client, err := kgo.NewClient(kgo.SeedBrokers(from.brokers...), kgo.KeepControlRecords(), kgo.ConsumePartitions(
			map[string]map[int32]kgo.Offset{part.Topic: {part.Partition: kgo.NewOffset().At(0)}}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		for key := part.String(); int64(len(all[key])) < part.End; {
			fetches := client.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				shown := fmt.Sprintf("%d: a marker", r.Offset)
				if !r.Attrs.IsControl() {
					shown = fmt.Sprintf("%d: %#v %#v %#v %d", r.Offset, r.Key, r.Value, r.Headers, r.Timestamp.UnixMilli())
				}
				all[key] = append(all[key], shown)
			})
		}
		cancel()
		client.Close()
	}
	return all
}

func TestACopyThatDiffersAnywhereIsFound(t *testing.T) {
	r := random(t)
	from := randomLog(t, r, 4)
	content, header := archived(t, from), cut(t, from)
	want, err := digests(content)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*archive.Entry){
		"key":       func(e *archive.Entry) { e.Key = append([]byte("x"), e.Key...) },
		"no value":  func(e *archive.Entry) { e.Value = map[bool][]byte{true: {}, false: nil}[e.Value == nil] },
		"timestamp": func(e *archive.Entry) { e.Time = e.Time.Add(time.Millisecond) },
		"header":    func(e *archive.Entry) { e.Headers = append(e.Headers, eventstore.Header{Key: "more"}) },
	} {
		to := emptyLog(t, testenv.Embedded(t))
		changed := false
		written, err := load(t, content, to, func(p archive.Part, e *archive.Entry) error {
			if !changed && !e.Marker {
				changed = true
				change(e)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := archive.Compare(t.Context(), to, header, written, silent); err != nil {
			t.Errorf("%s: what was written is not what is there: %v", what, err)
		}
		if err := archive.Compare(t.Context(), to, header, want, silent); changed && (err == nil || !strings.Contains(err.Error(), "is not the same in the copy")) {
			t.Errorf("another %s is answered with %v", what, err)
		}
	}
}

func TestACopyIntoWhichOthersWriteIsRefused(t *testing.T) {
	from := randomLog(t, random(t), 4)
	to := emptyLog(t, testenv.Embedded(t))
	others := to.OpenAppender(eventstore.AccountEvents, 0)
	defer others.Close() //nolint:errcheck // The test ends.
	once := true
	_, err := load(t, archived(t, from), to, func(archive.Part, *archive.Entry) error {
		if once {
			once = false
			return others.Append(t.Context(), []eventstore.Message{{Value: []byte("x"), Time: time.UnixMilli(1.7e12)}})
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "something else writes there") {
		t.Errorf("it is answered with %v", err)
	}
}

func TestALogThatLostItsEndIsNotArchived(t *testing.T) {
	client := randomLog(t, random(t), 2)
	h := cut(t, client)
	h.Parts[0].End += 5
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := archive.Write(ctx, client, h, &bytes.Buffer{}, silent); err == nil {
		t.Error("it was archived")
	}
}
