package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
)

// Preface is the beginning of an archive, before its first frame.
func Preface(content []byte) []byte { return content[:prefaceBytes] }

// Frames takes an archive apart.
func Frames(content []byte) (frames [][]byte) {
	for rest := content[prefaceBytes : len(content)-sha256.Size]; len(rest) > 0; {
		n := frameHead + int(binary.BigEndian.Uint32(rest[5:]))
		frames, rest = append(frames, rest[:n]), rest[n:]
	}
	return frames
}

// Sealed appends the sum of all.
func Sealed(content []byte) []byte {
	sum := sha256.Sum256(content)
	return append(content, sum[:]...)
}

// OfVersion makes an archive say that it has another version.
func OfVersion(content []byte, v uint32) []byte {
	b := append([]byte(nil), content[:len(content)-sha256.Size]...)
	binary.BigEndian.PutUint32(b[len(magic):], v)
	binary.BigEndian.PutUint32(b[len(magic)+4:], crc32.Checksum(b[:len(magic)+4], castagnoli))
	return Sealed(b)
}
