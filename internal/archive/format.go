// Package archive keeps a log's topics in one file: every record with its key, value, headers, timestamp and offset, in
// checksummed frames. It writes an archive from a log, reads and checks one, and writes one into another log.
//
// A file is: the magic bytes, the format's version and their checksum; frames, the first with the header, the last with
// the totals; and the SHA-256 of all that. Between lie runs of entries, one partition after another. A frame is its
// kind, the lengths of its content as it is and compressed by zstd, a CRC-32C of all that and of the compressed content,
// and that content. Integers are big-endian.
package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"daybook/eventstore"
)

// Version is the version of the format that is written, and the newest that is read.
const Version = 1

// magic begins every archive; the last byte ends what a terminal shows of it.
const magic = "DAYBOOK\x1a"

const (
	prefaceBytes = len(magic) + 8
	frameHead    = 13
	// runBytes is where a run of entries is written, so that a partition's batches have about this size in a copy.
	runBytes = 1 << 20
	// maxContent bounds a frame's content: a run with the largest record.
	maxContent = eventstore.MaxEventBytes + 4<<20
)

type frameKind byte

const (
	frameHeader frameKind = 1 + iota
	frameRun
	frameEnd
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header says what an archive holds.
type Header struct {
	// Created is when the cut was taken, by the clock of who took it.
	Created time.Time `json:"created"`
	// Program is the version of the program that wrote the archive.
	Program string `json:"program"`
	// LogID is the identity of the log that was archived.
	LogID string `json:"logId"`
	// Partitions is the number of partitions of the topics of events.
	Partitions int32 `json:"partitions"`
	// Parts are the partitions of all topics, in the order in which they follow.
	Parts []Part `json:"parts"`
}

// Part is one partition from its beginning up to an end.
type Part struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// End is the offset after the last one.
	End int64 `json:"end"`
}

func (p Part) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Partition) }

// Offsets is how many offsets all parts have together.
func (h *Header) Offsets() (n int64) {
	for _, p := range h.Parts {
		n += p.End
	}
	return n
}

// Entry is what one offset holds: a record or, where an owner ruled a line in the log, a marker.
type Entry struct {
	eventstore.Message
	// Marker tells that the entry is a control record, of which only the offset counts.
	Marker bool
}

// Totals is what an archive adds up to.
type Totals struct {
	Records int64 `json:"records"`
	Markers int64 `json:"markers"`
	// Bytes is the size of all entries before compression.
	Bytes int64 `json:"bytes"`
}

// A DamageError says what is wrong with an archive and what to do.
type DamageError struct{ What string }

// Error implements error.
func (e *DamageError) Error() string { return e.What }

func damaged(at int64, format string, args ...any) error {
	return &DamageError{fmt.Sprintf("is damaged at byte %d: %s; use another copy of it", at, fmt.Sprintf(format, args...))}
}

// preface begins the file.
func preface() []byte {
	b := binary.BigEndian.AppendUint32([]byte(magic), Version)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func checkPreface(b []byte) error {
	if string(b[:len(magic)]) != magic {
		return &DamageError{"is no archive of Daybook, or its first bytes are damaged; name a file that daybook backup wrote"}
	}
	summed := len(magic) + 4
	if crc32.Checksum(b[:summed], castagnoli) != binary.BigEndian.Uint32(b[summed:]) {
		return damaged(int64(len(magic)), "the version does not fit its checksum")
	}
	if v := binary.BigEndian.Uint32(b[len(magic):]); v != Version {
		return &DamageError{fmt.Sprintf("has format %d and this program reads %d; use the version of Daybook that wrote it or a newer one", v, Version)}
	}
	return nil
}

// check refuses a header that no backup writes.
func (h *Header) check() error {
	seen := map[Part]bool{}
	for _, p := range h.Parts {
		place := Part{Topic: p.Topic, Partition: p.Partition}
		if p.Topic == "" || p.Partition < 0 || p.End < 0 || seen[place] {
			return fmt.Errorf("part %s is impossible", p)
		}
		seen[place] = true
	}
	if h.Partitions < 1 || len(h.Parts) == 0 {
		return errors.New("there are no partitions")
	}
	return nil
}
