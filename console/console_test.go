package console

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

var (
	script   = strings.Repeat("console.log('daybook');\n", 100)
	notBuilt = fstest.MapFS{missing: {Data: []byte("run make console")}}
	withPage = fstest.MapFS{
		missing:                 {Data: []byte("run make console")},
		"dist/index.html":       {Data: []byte("<title>Daybook</title>")},
		"dist/favicon.svg":      {Data: []byte("<svg/>")},
		"dist/assets/a-1234.js": {Data: []byte(script)},
		"dist/assets/f-1234.ttf": {Data: []byte{
			0x00, 0x01, 0x02, 0x9f, 0xd1, 0x33, 0x80, 0x41, 0x5c, 0xe7, 0x12, 0xfa, 0x6b, 0x90, 0x2d, 0xc8,
		}},
	}
)

func get(t *testing.T, h http.Handler, method, path string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, from io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func wantHeader(t *testing.T, res *http.Response, name, want string) {
	t.Helper()
	if got := res.Header.Get(name); got != want {
		t.Errorf("%s %q, want %q", name, got, want)
	}
}

func TestWithoutPlaygroundOnePageSaysHowToBuildIt(t *testing.T) {
	if built(notBuilt) {
		t.Error("taken for built")
	}
	h := newHandler(notBuilt)
	res := get(t, h, http.MethodGet, "/")
	if res.StatusCode != http.StatusOK || !strings.Contains(body(t, res.Body), "make console") {
		t.Errorf("status %d", res.StatusCode)
	}
	wantHeader(t, res, "Content-Type", "text/html; charset=utf-8")
	if res := get(t, h, http.MethodGet, "/assets/a-1234.js"); res.StatusCode != http.StatusNotFound {
		t.Errorf("an asset has status %d, want 404", res.StatusCode)
	}
}

func TestPlaygroundIsServed(t *testing.T) {
	if !built(withPage) {
		t.Error("not taken for built")
	}
	h := newHandler(withPage)
	for _, c := range []struct{ path, contentType, cache string }{
		{"/", "text/html; charset=utf-8", "no-cache"},
		{"/index.html", "text/html; charset=utf-8", "no-cache"},
		{"/favicon.svg", "image/svg+xml", "no-cache"},
		{"/assets/a-1234.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/assets/f-1234.ttf", "font/ttf", "public, max-age=31536000, immutable"},
	} {
		t.Run(c.path, func(t *testing.T) {
			res := get(t, h, http.MethodGet, c.path)
			if res.StatusCode != http.StatusOK {
				t.Fatalf("status %d, want 200", res.StatusCode)
			}
			wantHeader(t, res, "Content-Type", c.contentType)
			wantHeader(t, res, "Cache-Control", c.cache)
			wantHeader(t, res, "X-Content-Type-Options", "nosniff")
			wantHeader(t, res, "Content-Security-Policy", contentSecurityPolicy)
		})
	}
}

func TestOnlyFilesAreServed(t *testing.T) {
	h := newHandler(withPage)
	for _, path := range []string{
		"/assets", "/assets/", "/assets/none.js", "/dist/index.html", "/dist-missing.html", "/../console.go", "//index.html", "/%2e%2e/x",
	} {
		if res := get(t, h, http.MethodGet, path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s has status %d, want 404", path, res.StatusCode)
		}
	}
}

func TestOnlyReadingIsAllowed(t *testing.T) {
	h := newHandler(withPage)
	res := get(t, h, http.MethodPost, "/")
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST has status %d, want 405", res.StatusCode)
	}
	wantHeader(t, res, "Allow", "GET, HEAD")
	res = get(t, h, http.MethodHead, "/")
	if res.StatusCode != http.StatusOK || body(t, res.Body) != "" {
		t.Errorf("HEAD has status %d, want 200 and no body", res.StatusCode)
	}
}

func TestCompressedOnlyForThoseWhoAskAndWhereItHelps(t *testing.T) {
	h := newHandler(withPage)
	for _, c := range []struct{ path, accept, want string }{
		{"/assets/a-1234.js", "gzip, deflate, br", "gzip"},
		{"/assets/a-1234.js", "br, GZIP;q=0.5", "gzip"},
		{"/assets/a-1234.js", "gzip; q=0.0, br", ""},
		{"/assets/a-1234.js", "", ""},
		{"/assets/f-1234.ttf", "gzip", ""},
	} {
		res := get(t, h, http.MethodGet, c.path, "Accept-Encoding", c.accept)
		if got := res.Header.Get("Content-Encoding"); got != c.want {
			t.Errorf("%s for %q comes as %q, want %q", c.path, c.accept, got, c.want)
		}
	}
	res := get(t, h, http.MethodGet, "/assets/a-1234.js", "Accept-Encoding", "gzip")
	wantHeader(t, res, "Vary", "Accept-Encoding")
	unpacked, err := gzip.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if body(t, unpacked) != script {
		t.Error("unpacked it is another file")
	}
}

func TestUnchangedPageIsNotSentAgain(t *testing.T) {
	h := newHandler(withPage)
	for _, accept := range []string{"", "gzip"} {
		etag := get(t, h, http.MethodGet, "/", "Accept-Encoding", accept).Header.Get("ETag")
		res := get(t, h, http.MethodGet, "/", "Accept-Encoding", accept, "If-None-Match", etag)
		if etag == "" || res.StatusCode != http.StatusNotModified {
			t.Errorf("status %d for tag %s, want 304", res.StatusCode, etag)
		}
	}
}

// The page in the program itself, whichever of the two it is: all that it names is there, and nothing elsewhere.
func TestEmbeddedPageIsWhole(t *testing.T) {
	h := Handler()
	res := get(t, h, http.MethodGet, "/")
	page := body(t, res.Body)
	if res.StatusCode != http.StatusOK || !strings.Contains(page, "<title>Daybook</title>") {
		t.Fatalf("status %d, page:\n%s", res.StatusCode, page)
	}
	if !Built() {
		if !strings.Contains(page, "make console") {
			t.Error("the page does not say how to build the playground")
		}
		return
	}
	named := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(named) < 3 {
		t.Errorf("the page names %d files, want a script, a style sheet and an icon at least", len(named))
	}
	for _, m := range named {
		path, local := strings.CutPrefix(m[1], ".")
		if !local || get(t, h, http.MethodGet, path).StatusCode != http.StatusOK {
			t.Errorf("the page names %s, which is not served here", m[1])
		}
	}
}
