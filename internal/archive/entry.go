package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"time"

	"daybook/eventstore"
)

const (
	tagRecord = 0
	tagMarker = 1
)

// appendEntry renders an entry without its offset, which follows from those before it.
func appendEntry(b []byte, e *Entry) []byte {
	if e.Marker {
		return append(b, tagMarker)
	}
	b = append(b, tagRecord)
	b = binary.AppendVarint(b, e.Time.UnixMilli())
	b = appendBytes(b, e.Key)
	b = appendBytes(b, e.Value)
	b = binary.AppendUvarint(b, uint64(len(e.Headers)))
	for i := range e.Headers {
		b = appendBytes(b, []byte(e.Headers[i].Key))
		b = appendBytes(b, e.Headers[i].Value)
	}
	return b
}

// appendBytes tells no bytes from null, as Kafka does.
func appendBytes(b, content []byte) []byte {
	if content == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(content))+1)
	return append(b, content...)
}

var errEntry = errors.New("an entry cannot be read")

// decoder reads entries back. After an error it gives zero values.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) entry(offset int64) Entry {
	e := Entry{}
	e.Offset = offset
	switch d.byte() {
	case tagMarker:
		e.Marker = true
		return e
	case tagRecord:
	default:
		d.err = errEntry
		return e
	}
	e.Time = time.UnixMilli(d.varint()).UTC()
	e.Key, e.Value = d.bytes(), d.bytes()
	count := d.uvarint()
	if count > uint64(len(d.rest)) { // Each header takes two bytes or more.
		d.err = errEntry
		return e
	}
	if count > 0 {
		e.Headers = make([]eventstore.Header, count)
		for i := range e.Headers {
			e.Headers[i].Key, e.Headers[i].Value = string(d.bytes()), d.bytes()
		}
	}
	return e
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.err = errEntry
		return 0
	}
	b := d.rest[0]
	d.rest = d.rest[1:]
	return b
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	return took(d, v, n)
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	return took(d, v, n)
}

func took[T int64 | uint64](d *decoder, v T, n int) T {
	if n <= 0 {
		d.err, d.rest = errEntry, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) bytes() []byte {
	length := d.uvarint()
	if length == 0 {
		return nil
	}
	if length--; length > uint64(len(d.rest)) {
		d.err, d.rest = errEntry, nil
		return nil
	}
	content := d.rest[:length:length]
	d.rest = d.rest[length:]
	return content
}

// digest sums up a partition: two with the same digest hold the same at the same offsets.
type digest struct {
	sum     hash.Hash
	scratch []byte
}

func newDigest() *digest { return &digest{sum: sha256.New()} }

func (d *digest) add(e *Entry) {
	d.scratch = binary.BigEndian.AppendUint64(d.scratch[:0], uint64(e.Offset))
	d.scratch = appendEntry(d.scratch, e)
	d.sum.Write(d.scratch)
}

// Digests sum up an archive's parts, in their order.
type Digests [][sha256.Size]byte

func sums(all []*digest) Digests {
	d := make(Digests, len(all))
	for i := range all {
		all[i].sum.Sum(d[i][:0])
	}
	return d
}

func newDigests(n int) []*digest {
	all := make([]*digest, n)
	for i := range all {
		all[i] = newDigest()
	}
	return all
}
