package snapshot

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"daybook/engine/store"
)

// formatVersion is that of manifests and of how chunks are made.
const formatVersion = 1

const manifestRecord = "manifest"

// unusableError says why a checkpoint can never be used.
type unusableError struct{ reason, text string }

// Error implements error.
func (e *unusableError) Error() string { return e.text }

func unusable(reason, format string, args ...any) error {
	return &unusableError{reason, fmt.Sprintf(format, args...)}
}

// reasonOf tells why a checkpoint cannot be used; nothing when the error is one of the cluster or the store.
func reasonOf(err error) string {
	var never *unusableError
	switch {
	case errors.As(err, &never):
		return never.reason
	case errors.Is(err, errNewer):
		return reasonVersion
	case errors.Is(err, errBeyond):
		return reasonShort
	}
	return ""
}

// isWrong tells an error of a checkpoint from one of the cluster.
func isWrong(err error) bool { return reasonOf(err) != "" }

var (
	// errNewer means that a newer version of the program wrote the checkpoint, which others may be able to use.
	errNewer = errors.New("another version of Daybook wrote it")
	// errBeyond means that the log does not reach the checkpoint's offset, or not yet.
	errBeyond = errors.New("the log does not reach its offset")
	// errChanged means that checkpoints were deleted and others written while they were read.
	errChanged = errors.New("newer checkpoints were written meanwhile")
	errSilent  = errors.New("the broker does not send what it holds")
)

// manifest says what a checkpoint's chunks are.
type manifest struct {
	Format int `json:"format"`
	// Values and Tables are the store's encoding.
	Values    int       `json:"values"`
	Tables    int       `json:"tables"`
	LogID     string    `json:"logId"`
	Partition int32     `json:"partition"`
	Position  position  `json:"position"`
	LastEvent lastEvent `json:"lastEvent"`
	Entries   int64     `json:"entries"`
	// FirstChunk is the offset of the first chunk in the topic of snapshots; all of them lie before the manifest.
	FirstChunk int64 `json:"firstChunk"`
	Chunks     int   `json:"chunks"`
	// TableBytes are the sizes of the tables that the chunks, put together, consist of.
	TableBytes []int64 `json:"tableBytes"`
	// SHA256 is over all chunks, in order.
	SHA256 string `json:"sha256"`
}

// position is a store.Position without its last event.
type position struct {
	Next        int64     `json:"next"`
	LastTime    time.Time `json:"lastTime"`
	Commands    int64     `json:"commands"`
	Coordinated int64     `json:"coordinated"`
	Partitions  int32     `json:"partitions"`
}

func positionOf(p store.Position) position {
	return position{p.Next, p.LastTime, p.Progress.Commands, p.Progress.Coordinated, p.Progress.Partitions}
}

// lastEvent is the last event folded. A log that lost its end and was written on has another in its place.
type lastEvent struct {
	Offset int64  `json:"offset"`
	SHA256 string `json:"sha256"`
}

func lastEventOf(e store.LastEvent) lastEvent {
	return lastEvent{Offset: e.Offset, SHA256: hex.EncodeToString(e.SHA256[:])}
}

func (m *manifest) bytes() (total int64) {
	for _, size := range m.TableBytes {
		total += size
	}
	return total
}

func parseManifest(value []byte) (*manifest, error) {
	m := &manifest{}
	if err := json.Unmarshal(value, m); err != nil {
		return nil, unusable(reasonDamaged, "its manifest is damaged")
	}
	return m, nil
}

// check tells whether the checkpoint is of this partition and log and can be read at all.
func (c *Config) check(partition int32, m *manifest) error {
	mine := c.Store.Encoding()
	switch {
	case m.Format > formatVersion || m.Values > mine.Values || m.Tables > mine.Tables:
		return errNewer
	case m.Format != formatVersion || !c.Store.Reads(store.Encoding{Values: m.Values, Tables: m.Tables}):
		return unusable(reasonVersion, "an older version of Daybook wrote it")
	case m.LogID != c.LogID:
		return unusable(reasonOther, "it is of another log, %s", m.LogID)
	case m.Partition != partition:
		return unusable(reasonOther, "it is of partition %d", m.Partition)
	case m.Position.Partitions != c.Partitions:
		return unusable(reasonOther, "it was written with %d partitions", m.Position.Partitions)
	}
	total := int64(0)
	for _, size := range m.TableBytes {
		if size <= 0 || size > int64(m.Chunks)*chunkBytes {
			return unusable(reasonDamaged, "its manifest contradicts itself")
		}
		total += size
	}
	if m.Chunks <= 0 || (total+chunkBytes-1)/chunkBytes != int64(m.Chunks) || m.Position.Next <= m.LastEvent.Offset {
		return unusable(reasonDamaged, "its manifest contradicts itself")
	}
	return nil
}
