package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrDamaged means that files of the log are not as the broker left them, and more than the end of an unfinished write
// is missing.
var ErrDamaged = errors.New("the embedded log is damaged")

func damaged(path, format string, args ...any) error {
	return fmt.Errorf("%w: %s %s: put a backup in the place of the data directory (daybook restore), or this file's copy from one made since the last command",
		ErrDamaged, path, fmt.Sprintf(format, args...))
}

// topicFile is what the broker knows of its topics.
type topicFile struct {
	Version int `json:"version"`
	Topics  []struct {
		Name       string            `json:"name"`
		ID         topicID           `json:"id"`
		Partitions int               `json:"partitions"`
		Replicas   int               `json:"replicas"`
		Configs    map[string]string `json:"configs"`
	} `json:"topics"`
}

// topicID is how the broker writes the 16 bytes of an id.
type topicID []byte

// UnmarshalJSON implements json.Unmarshaler.
func (id *topicID) UnmarshalJSON(text []byte) error {
	if err := json.Unmarshal(text, (*[]byte)(id)); err != nil {
		return err
	}
	if len(*id) != 16 {
		return fmt.Errorf("a topic's id has %d bytes", len(*id))
	}
	return nil
}

// inspect reads the broker's files before the broker does, which would cut the log off at the first damaged byte and go
// on. It returns ErrDamaged unless the log is whole, but for the end of a write that a crash cut short and nobody was
// answered. What can be told from the log is mended: the indexes are written anew where they differ, and what the broker
// keeps to start faster, and would trust, is removed.
func inspect(dir string, log *slog.Logger) error {
	folders, err := os.ReadDir(filepath.Join(dir, "partitions"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the embedded log: %w", err)
	}
	if len(folders) > 0 {
		if err := inspectMeta(dir); err != nil {
			return err
		}
	}
	known, err := inspectTopics(dir, len(folders) > 0)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		path := filepath.Join(dir, "partitions", folder.Name())
		if !known[folder.Name()] {
			return damaged(filepath.Join(dir, "topics.json"), "does not name the partition of %s", path)
		}
		if err := inspectPartition(path, log); err != nil {
			return err
		}
		if err := forget(path, "snapshot.json"); err != nil {
			return err
		}
	}
	// Nobody but this process works on the broker, and its settings are this program's.
	return forget(dir, "session_state.json", "seq_windows.json", "acls.json", "sasl.json", "quotas.json", "broker_configs.json")
}

func forget(dir string, names ...string) error {
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("tidying the embedded log: %w", err)
		}
	}
	return nil
}

// inspectMeta looks at the file without which the broker would begin an empty log.
func inspectMeta(dir string) error {
	path := filepath.Join(dir, "meta.json")
	var meta struct {
		ClusterID string `json:"cluster_id"`
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return damaged(path, "is missing")
	}
	if err != nil {
		return fmt.Errorf("reading the embedded log: %w", err)
	}
	if json.Unmarshal(content, &meta) != nil || meta.ClusterID != clusterID {
		return damaged(path, "cannot be read, or is another cluster's")
	}
	return nil
}

// inspectTopics returns the folders of all partitions.
func inspectTopics(dir string, wanted bool) (map[string]bool, error) {
	path := filepath.Join(dir, "topics.json")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !wanted {
			return nil, nil
		}
		return nil, damaged(path, "is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the embedded log: %w", err)
	}
	var file topicFile
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		return nil, damaged(path, "cannot be read (%v)", err)
	}
	known := map[string]bool{}
	for _, topic := range file.Topics {
		// The broker acts on these at once, before anybody could look at the topic.
		for _, name := range []string{"retention.ms", "retention.bytes"} {
			if v := topic.Configs[name]; v != "" && v != "-1" {
				return nil, damaged(path, "gives %s %s=%s, which would delete history", topic.Name, name, v)
			}
		}
		if v := topic.Configs["cleanup.policy"]; v != "" && v != "delete" {
			return nil, damaged(path, "gives %s cleanup.policy=%s, which would remove history", topic.Name, v)
		}
		for p := range min(topic.Partitions, maxPartitions) {
			known[url.PathEscape(topic.Name)+"-"+strconv.Itoa(p)] = true
		}
	}
	return known, nil
}

// inspectPartition looks at the segments of one partition, which follow one another from offset 0 on.
func inspectPartition(dir string, log *slog.Logger) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading the embedded log: %w", err)
	}
	var bases []int64 // In no order.
	for _, file := range files {
		name, isIndex := strings.CutSuffix(file.Name(), ".idx")
		base, err := strconv.ParseInt(strings.TrimSuffix(name, ".dat"), 10, 64)
		if err != nil {
			continue
		}
		if !isIndex {
			bases = append(bases, base)
			continue
		}
		segment := filepath.Join(dir, name+".dat")
		info, err := file.Info()
		if err != nil {
			return fmt.Errorf("reading the embedded log: %w", err)
		}
		if _, err := os.Stat(segment); errors.Is(err, fs.ErrNotExist) && info.Size() > 0 {
			return damaged(segment, "is missing")
		}
	}
	slices.Sort(bases)
	next := int64(0)
	for i, base := range bases {
		s := segment{path: filepath.Join(dir, strconv.FormatInt(base, 10)), last: i == len(bases)-1}
		if base != next {
			return damaged(s.path+".dat", "begins at offset %d, but the one before it ends at %d, so that one is missing or cut off", base, next)
		}
		if next, err = s.inspect(next, log); err != nil {
			return err
		}
	}
	return nil
}
