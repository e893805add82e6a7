package archive_test

import (
	"errors"
	"strings"
	"testing"

	"daybook/internal/archive"
)

func TestFlippedBitsAndTruncationsAreNoticedWhereverTheyAre(t *testing.T) {
	r := random(t)
	content := archived(t, randomLog(t, r, 2))
	if err := check(content); err != nil {
		t.Fatal(err)
	}
	mustNotice := func(content []byte, what string, at int) {
		t.Helper()
		err := check(content)
		var damage *archive.DamageError
		if !errors.As(err, &damage) {
			t.Errorf("%s at byte %d is answered with %v", what, at, err)
		}
	}
	const places = 3000 // All of a small archive.
	for at := range content {
		if r.IntN(len(content)) >= places {
			continue
		}
		bit := byte(1) << r.IntN(8)
		content[at] ^= bit
		mustNotice(content, "a flipped bit", at)
		content[at] ^= bit
		mustNotice(content[:at:at], "a cut", at)
	}
	for range 200 {
		at := r.IntN(len(content))
		b := byte(1 + r.IntN(255))
		content[at] ^= b
		mustNotice(content, "another byte", at)
		content[at] ^= b
	}
	mustNotice(append(content[:len(content):len(content)], 0), "one byte more", len(content))
	if err := check(content); err != nil {
		t.Fatal("the archive was not put right again:", err)
	}
}

// Frames that are whole, but not those that belong there.
func TestMissingRepeatedAndExchangedFramesAreNoticed(t *testing.T) {
	content := archived(t, randomLog(t, random(t), 8))
	frames := archive.Frames(content)
	if len(frames) < 4 {
		t.Fatalf("%d frames are too few", len(frames))
	}
	join := func(order ...[]byte) []byte {
		all := append([]byte(nil), archive.Preface(content)...)
		for _, f := range order {
			all = append(all, f...)
		}
		return archive.Sealed(all)
	}
	if err := check(join(frames...)); err != nil {
		t.Fatal("frames put together again:", err)
	}
	last := len(frames) - 1
	for i := 1; i < last; i++ {
		if err := check(join(append(append([][]byte{}, frames[:i]...), frames[i+1:]...)...)); err == nil {
			t.Errorf("frame %d is missing, and nobody noticed", i)
		}
		twice := append(append([][]byte{}, frames[:i+1]...), frames[i:]...)
		if err := check(join(twice...)); err == nil {
			t.Errorf("frame %d is there twice, and nobody noticed", i)
		}
		if i+1 < last {
			exchanged := append([][]byte{}, frames...)
			exchanged[i], exchanged[i+1] = exchanged[i+1], exchanged[i]
			if err := check(join(exchanged...)); err == nil {
				t.Errorf("frames %d and %d are exchanged, and nobody noticed", i, i+1)
			}
		}
	}
}

func TestWhatIsNoArchiveOfThisVersionIsRefusedWithAReason(t *testing.T) {
	content := archived(t, randomLog(t, random(t), 2))
	for what, c := range map[string]struct {
		content []byte
		want    string
	}{
		"another file":  {append([]byte("PK\x03\x04"), content[4:]...), "is no archive of Daybook"},
		"nothing":       {nil, "cut off"},
		"newer version": {archive.OfVersion(content, archive.Version+1), "has format 2 and this program reads 1; use the version"},
	} {
		if err := check(c.content); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s is answered with %v", what, err)
		}
	}
}
