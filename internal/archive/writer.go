package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
)

// writer writes an archive, part by part and offset by offset. After an error it is of no more use.
type writer struct {
	to      io.Writer
	sum     hash.Hash
	encoder *zstd.Encoder
	parts   []Part
	// part and next are the place that the next entry must have; run holds count entries of it that are not written yet.
	part    int
	next    int64
	run     []byte
	count   int
	totals  Totals
	written int64
	frame   []byte
}

func newWriter(to io.Writer, h *Header) (*writer, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("preparing compression: %w", err)
	}
	w := &writer{sum: sha256.New(), encoder: encoder, parts: h.Parts}
	w.to = io.MultiWriter(to, w.sum)
	if err := w.write(preface()); err != nil {
		return nil, err
	}
	content, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encoding the header: %w", err)
	}
	return w, w.writeFrame(frameHeader, content)
}

// add takes the next entry of the present part.
func (w *writer) add(e *Entry) error {
	if e.Offset != w.next {
		return fmt.Errorf("offset %d of %s comes where %d is due", e.Offset, w.parts[w.part], w.next)
	}
	before := len(w.run)
	w.run = appendEntry(w.run, e)
	w.totals.Bytes += int64(len(w.run) - before)
	if e.Marker {
		w.totals.Markers++
	} else {
		w.totals.Records++
	}
	w.count++
	w.next++
	if len(w.run) >= runBytes {
		return w.flush()
	}
	return nil
}

// endPart goes on to the next part.
func (w *writer) endPart() error {
	if w.next != w.parts[w.part].End {
		return fmt.Errorf("%s ends at %d and not at %d", w.parts[w.part], w.next, w.parts[w.part].End)
	}
	err := w.flush()
	w.part, w.next = w.part+1, 0
	return err
}

func (w *writer) flush() error {
	if w.count == 0 {
		return nil
	}
	head := binary.AppendUvarint(nil, uint64(w.part))
	head = binary.AppendUvarint(head, uint64(w.next)-uint64(w.count))
	head = binary.AppendUvarint(head, uint64(w.count))
	content := append(head, w.run...)
	w.run, w.count = w.run[:0], 0
	return w.writeFrame(frameRun, content)
}

// finish ends the archive.
func (w *writer) finish() (Totals, error) {
	content, err := json.Marshal(w.totals)
	if err == nil {
		err = w.writeFrame(frameEnd, content)
	}
	if err == nil {
		err = w.write(w.sum.Sum(nil))
	}
	return w.totals, err
}

func (w *writer) writeFrame(kind frameKind, content []byte) error {
	if len(content) > maxContent {
		return fmt.Errorf("a record of %s is too large for an archive: %d bytes", w.parts[w.part], len(content))
	}
	w.frame = append(w.frame[:0], make([]byte, frameHead)...)
	w.frame = w.encoder.EncodeAll(content, w.frame)
	w.frame[0] = byte(kind)
	binary.BigEndian.PutUint32(w.frame[1:], uint32(len(content)))
	binary.BigEndian.PutUint32(w.frame[5:], uint32(len(w.frame)-frameHead))
	binary.BigEndian.PutUint32(w.frame[9:], frameSum(w.frame))
	return w.write(w.frame)
}

// frameSum covers all of a frame but the place of the sum itself.
func frameSum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:9], castagnoli), castagnoli, frame[frameHead:])
}

func (w *writer) write(b []byte) error {
	n, err := w.to.Write(b)
	w.written += int64(n)
	if err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	return nil
}
