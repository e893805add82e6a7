package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

// readBytes is how much of the file is read at once.
const readBytes = 64 << 10

// Reader reads an archive and checks everything in it. Errors in the content are DamageErrors.
type Reader struct {
	from    *bufio.Reader
	sum     hash.Hash
	decoder *zstd.Decoder
	header  Header
	// at is the byte to read next, part and next the place of the entry that must come next.
	at      int64
	part    int
	next    int64
	totals  Totals
	frame   []byte
	content []byte
	entries []Entry
}

// NewReader reads the beginning of an archive.
func NewReader(from io.Reader) (*Reader, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxContent))
	if err != nil {
		return nil, fmt.Errorf("preparing decompression: %w", err)
	}
	r := &Reader{from: bufio.NewReaderSize(from, readBytes), sum: sha256.New(), decoder: decoder}
	first := make([]byte, prefaceBytes)
	if err := r.read(first); err != nil {
		return nil, err
	}
	if err := checkPreface(first); err != nil {
		return nil, err
	}
	kind, content, err := r.readFrame()
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, &r.header); err != nil || kind != frameHeader {
		return nil, damaged(int64(prefaceBytes), "the header cannot be read")
	}
	if err := r.header.check(); err != nil {
		return nil, damaged(int64(prefaceBytes), "the header cannot be: %s", err)
	}
	return r, nil
}

// Header is what the archive says it holds.
func (r *Reader) Header() *Header { return &r.header }

// Totals is what was read so far.
func (r *Reader) Totals() Totals { return r.totals }

// Each hands over all entries in runs, each of the part with the given index, which may be used until use returns. It
// returns nil only when use was given the whole of an undamaged archive.
func (r *Reader) Each(use func(part int, entries []Entry) error) error {
	for {
		at := r.at
		kind, content, err := r.readFrame()
		if err != nil {
			return err
		}
		switch kind {
		case frameRun:
			if err := r.takeRun(content); err != nil {
				return damaged(at, "%s", err)
			}
			if err := use(r.part, r.entries); err != nil {
				return err
			}
		case frameEnd:
			return r.end(at, content)
		case frameHeader:
			return damaged(at, "a second header")
		default:
			return damaged(at, "a frame of unknown kind %d", kind)
		}
	}
}

// takeRun decodes a run, which must follow on the one before.
func (r *Reader) takeRun(content []byte) error {
	d := decoder{rest: content}
	part, first, count := d.uvarint(), d.uvarint(), d.uvarint()
	for r.next == r.header.Parts[r.part].End && r.part+1 < len(r.header.Parts) {
		r.part, r.next = r.part+1, 0
	}
	place := r.header.Parts[r.part]
	if d.err != nil || part != uint64(r.part) || first != uint64(r.next) {
		return fmt.Errorf("what follows is not %s from offset %d", place, r.next)
	}
	if count == 0 || count > uint64(place.End-r.next) || count > uint64(len(content)) {
		return fmt.Errorf("%s has another number of entries", place)
	}
	r.entries = r.entries[:0]
	for i := range int64(count) {
		r.entries = append(r.entries, d.entry(r.next+i))
		if d.err != nil {
			return fmt.Errorf("%s offset %d: %w", place, r.next+i, d.err)
		}
		if r.entries[i].Marker {
			r.totals.Markers++
		} else {
			r.totals.Records++
		}
	}
	if len(d.rest) > 0 {
		return fmt.Errorf("%s has bytes after offset %d", place, r.next+int64(count))
	}
	head := len(content) - len(binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, part), first), count))
	r.totals.Bytes += int64(head)
	r.next += int64(count)
	return nil
}

// end checks that nothing is missing and nothing follows.
func (r *Reader) end(at int64, content []byte) error {
	for r.next == r.header.Parts[r.part].End && r.part+1 < len(r.header.Parts) {
		r.part, r.next = r.part+1, 0
	}
	if place := r.header.Parts[r.part]; r.next != place.End {
		return damaged(at, "%s ends at offset %d and not at %d", place, r.next, place.End)
	}
	var totals Totals
	if err := json.Unmarshal(content, &totals); err != nil || totals != r.totals {
		return damaged(at, "the totals are not those of what was read")
	}
	want := r.sum.Sum(nil)
	at = r.at
	got := make([]byte, sha256.Size)
	if err := r.read(got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return damaged(at, "the SHA-256 is not that of the archive")
	}
	if _, err := r.from.ReadByte(); err == nil {
		return damaged(r.at, "something follows the end")
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the archive: %w", err)
	}
	return nil
}

// readFrame returns the next frame's content, valid until the next call.
func (r *Reader) readFrame() (frameKind, []byte, error) {
	at := r.at
	if cap(r.frame) < frameHead {
		r.frame = make([]byte, frameHead)
	}
	head := r.frame[:frameHead]
	if err := r.read(head); err != nil {
		return 0, nil, err
	}
	length, stored := binary.BigEndian.Uint32(head[1:]), binary.BigEndian.Uint32(head[5:])
	// Zstandard adds little to what it cannot compress.
	if length > maxContent || stored > maxContent+maxContent/64 {
		return 0, nil, damaged(at, "a frame has an impossible length")
	}
	if need := frameHead + int(stored); cap(r.frame) < need {
		r.frame = append(make([]byte, 0, need), head...)
	}
	r.frame = r.frame[:frameHead+int(stored)]
	if err := r.read(r.frame[frameHead:]); err != nil {
		return 0, nil, err
	}
	if frameSum(r.frame) != binary.BigEndian.Uint32(r.frame[9:]) {
		return 0, nil, damaged(at, "a frame does not fit its checksum")
	}
	content, err := r.decoder.DecodeAll(r.frame[frameHead:], r.content[:0])
	if err != nil || len(content) != int(length) {
		return 0, nil, damaged(at, "a frame cannot be decompressed")
	}
	r.content = content
	return frameKind(r.frame[0]), content, nil
}

func (r *Reader) read(to []byte) error {
	n, err := io.ReadFull(r.from, to)
	r.at += int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged(r.at, "it ends there, and is cut off")
	}
	if err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	r.sum.Write(to)
	return nil
}
