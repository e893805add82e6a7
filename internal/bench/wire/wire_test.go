package wire

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// TestAnswersOfAnyLengthAreReadOneAfterAnother answers with as many letters as the request says: long ones come in
// chunks.
func TestAnswersOfAnyLengthAreReadOneAfterAnother(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n, err := strconv.Atoi(string(body))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = w.Write(bytes.Repeat([]byte("x"), n))
	}))
	defer server.Close()
	c, err := Dial(strings.TrimPrefix(server.URL, "http://"), "/")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // Every answer has been read.
	for _, length := range []int{0, 5, 100_000, 1, 5000} {
		answer, ok, err := c.Post([]byte(strconv.Itoa(length)))
		if err != nil || !ok || len(answer) != length {
			t.Errorf("of %d letters %d came, %v, %v", length, len(answer), ok, err)
		}
	}
	if _, ok, err := c.Post([]byte("many")); ok || err != nil {
		t.Errorf("a refusal was taken for %v, %v", ok, err)
	}
	if _, _, err := c.Post([]byte(strconv.Itoa(maxBodyLength + 1))); err == nil {
		t.Error("an answer without bound was read")
	}
}
