package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
)

// The layout of a record batch, as Kafka's protocol defines it.
const (
	batchLength     = 8
	batchBody       = 12 // Where what the length counts begins.
	batchMagic      = 16
	batchCRC        = 17
	batchAttributes = 21
	batchLastDelta  = 23
	batchHeader     = 61

	magic           = 2
	attributeTx     = 0x10
	attributeMarker = 0x20
)

// The layout of the broker's index: a version, the low byte of a checksum of the rest, the leader's epoch, a timestamp
// that the broker works out anew, and whether the batch is of an open transaction.
const (
	indexEntry   = 15
	indexVersion = 1
)

const (
	sector = 512
	// zerosOfUnwritten is how many zeros make a part of a sector one that was never written.
	zerosOfUnwritten = 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segment is a file of record batches, path.dat, with its index, path.idx. Only the last one of a partition is written.
type segment struct {
	path string
	last bool
}

// inspect reads all batches from the offset on with which the segment begins, and returns the one after its end.
func (s *segment) inspect(next int64, log *slog.Logger) (int64, error) {
	content, err := os.ReadFile(s.path + ".dat")
	if err != nil {
		return 0, fmt.Errorf("reading the embedded log: %w", err)
	}
	index, err := os.ReadFile(s.path + ".idx")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("reading the embedded log: %w", err)
	}
	indexed := len(index) / indexEntry
	var wanted []byte
	count, at := 0, 0
	for ; at < len(content); count++ {
		size, why := checkBatch(content[at:], next)
		if why != "" {
			// One write is under way at a time, so what the index lists beyond this batch was there.
			if s.last && indexed <= count+1 && unfinished(content, at) {
				log.Warn("the end of a write that a crash cut short, and nobody was answered, is left out", "file", s.path+".dat", "bytes", len(content)-at)
				break
			}
			return 0, damaged(s.path+".dat", "is not as it was written at byte %d, offset %d (%s)", at, next, why)
		}
		batch := content[at : at+size]
		wanted = appendIndexEntry(wanted, batch, index)
		next += int64(int32(binary.BigEndian.Uint32(batch[batchLastDelta:]))) + 1
		at += size
	}
	// Batch and entry are written through together, so that a crash can leave the entry of one that did not arrive.
	if lost := indexed - count; at == len(content) && (lost > 1 || lost == 1 && !s.last) {
		return 0, damaged(s.path+".dat", "has lost its end: its index lists %d batches, and it holds %d", indexed, count)
	}
	return next, s.mendIndex(index, wanted, log)
}

// checkBatch returns the size of the batch that content begins with, or what is wrong with it.
func checkBatch(content []byte, offset int64) (int, string) {
	if len(content) < batchHeader {
		return 0, "it ends within a header"
	}
	size := int64(binary.BigEndian.Uint32(content[batchLength:])) + batchBody
	switch {
	case size < batchHeader || size > int64(len(content)):
		return 0, fmt.Sprintf("a batch of %d bytes where %d are left", size, len(content))
	case content[batchMagic] != magic:
		return 0, "an unknown format"
	case crc32.Checksum(content[batchAttributes:size], castagnoli) != binary.BigEndian.Uint32(content[batchCRC:]):
		return 0, "its checksum differs"
	case int64(binary.BigEndian.Uint64(content)) != offset:
		return 0, fmt.Sprintf("the batch says offset %d", int64(binary.BigEndian.Uint64(content)))
	}
	return int(size), ""
}

// unfinished tells whether what begins at a place, and is no batch, is the beginning of one: it ends early, or parts of
// it were never written, which file systems show as zeros. A batch that is all there and differs was written whole.
func unfinished(content []byte, at int) bool {
	rest := content[at:]
	if len(rest) < batchHeader {
		return true
	}
	size := int64(binary.BigEndian.Uint32(rest[batchLength:])) + batchBody
	if size > int64(len(rest)) {
		// Unless it is only the size that differs.
		whole := crc32.Checksum(rest[batchAttributes:], castagnoli) == binary.BigEndian.Uint32(rest[batchCRC:])
		return !whole
	}
	for from := at; from < len(content); {
		to := min(from/sector*sector+sector, len(content))
		if to-from >= zerosOfUnwritten && allZero(content[from:to]) {
			return true
		}
		from = to
	}
	return false
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// appendIndexEntry appends what the broker's index says of the next batch. The leader's epoch is the one that is there:
// the batch's checksum does not cover its own.
func appendIndexEntry(wanted, batch, index []byte) []byte {
	entry := make([]byte, indexEntry)
	entry[0] = indexVersion
	at := len(wanted)
	switch {
	case validIndexEntry(index, at):
		copy(entry[2:6], index[at+2:])
	case at > 0:
		copy(entry[2:6], wanted[at-indexEntry+2:])
	}
	attributes := binary.BigEndian.Uint16(batch[batchAttributes:])
	if attributes&attributeTx != 0 && attributes&attributeMarker == 0 {
		entry[indexEntry-1] = 1
	}
	entry[1] = byte(crc32.Checksum(entry[2:], castagnoli))
	return append(wanted, entry...)
}

func validIndexEntry(index []byte, at int) bool {
	return at+indexEntry <= len(index) && index[at+1] == byte(crc32.Checksum(index[at+2:at+indexEntry], castagnoli))
}

// mendIndex writes the index anew unless it says of every batch what the batch does. The timestamp is not compared.
func (s *segment) mendIndex(index, wanted []byte, log *slog.Logger) error {
	if sameIndex(index, wanted) {
		return nil
	}
	log.Warn("the index of a part of the embedded log differs from it, and is written anew", "file", s.path+".idx")
	temporary := s.path + ".idx.tmp"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("writing the embedded log's index: %w", err)
	}
	_, err = file.Write(wanted)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("writing the embedded log's index: %w", err)
	}
	if err := os.Rename(temporary, s.path+".idx"); err != nil {
		return fmt.Errorf("writing the embedded log's index: %w", err)
	}
	return nil
}

func sameIndex(index, wanted []byte) bool {
	if len(index) != len(wanted) {
		return false
	}
	for at := 0; at < len(wanted); at += indexEntry {
		last := at + indexEntry - 1
		if !validIndexEntry(index, at) || index[at] != wanted[at] || index[last] != wanted[last] {
			return false
		}
	}
	return true
}
