// Package console serves the playground, a web page to run operations of the API in.
//
// The page is built from the files beside this one into dist, which is embedded when it is there. A program built
// without it starts all the same and says how to build it.
package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// The pattern matches dist-missing.html always and the folder dist when it was built, so that a build never depends on
// Node.js, nor the build folder on a committed placeholder.
//
//go:embed all:dist*
var embedded embed.FS

const (
	index   = "index.html"
	missing = "dist-missing.html"

	// The build puts the content's hash into the names of these files, so what a name stands for never changes.
	hashed = "assets/"
)

// contentTypes are set here rather than asked of the machine, whose tables differ.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".svg":  "image/svg+xml",
	".ttf":  "font/ttf",
}

// contentSecurityPolicy lets the page reach nothing but the server it came from. The editor writes styles into the
// page as it goes, and its style sheet carries its fonts.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"font-src 'self' data:; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Built tells whether the program carries the playground.
func Built() bool {
	return built(embedded)
}

func built(files fs.FS) bool {
	_, err := fs.Stat(files, "dist/"+index)
	return err == nil
}

// Handler serves the playground, to be mounted at "/". Without a built playground it serves one page that says so.
// It answers GET and HEAD, and 404 for any file it does not have.
func Handler() http.Handler {
	return newHandler(embedded)
}

type handler struct {
	files map[string]func() *file
}

// file is one file as it is sent.
type file struct {
	content     []byte
	compressed  []byte // empty when gzip does not make it much smaller
	contentType string
	cache       string
	etag        string
}

// newHandler panics when files cannot be read, which files embedded in the program always can.
func newHandler(files fs.FS) http.Handler {
	h := &handler{files: map[string]func() *file{}}
	if !built(files) {
		h.add(files, missing, index)
		return h
	}
	err := fs.WalkDir(files, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			h.add(files, name, strings.TrimPrefix(name, "dist/"))
		}
		return err
	})
	if err != nil {
		panic(fmt.Errorf("listing the playground's files: %w", err))
	}
	return h
}

// add makes one file known under the path it is served at. It is read and compressed when first asked for, once.
func (h *handler) add(files fs.FS, name, served string) {
	h.files[served] = sync.OnceValue(func() *file {
		content, err := fs.ReadFile(files, name)
		if err != nil {
			panic(fmt.Errorf("reading the playground's %s: %w", name, err))
		}
		return newFile(served, content)
	})
}

func newFile(served string, content []byte) *file {
	f := &file{content: content, contentType: contentTypes[path.Ext(served)], cache: "no-cache"}
	if f.contentType == "" {
		f.contentType = "application/octet-stream"
	}
	if strings.HasPrefix(served, hashed) {
		f.cache = "public, max-age=31536000, immutable"
	}
	sum := sha256.Sum256(content)
	f.etag = hex.EncodeToString(sum[:16])
	f.compressed = compress(content)
	return f
}

// compress returns nothing where it would save less than a tenth, as for fonts and pictures.
func compress(content []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(content)
	if err := errors.Join(err, w.Close()); err != nil {
		panic(fmt.Errorf("compressing in memory: %w", err))
	}
	if b.Len() > len(content)/10*9 {
		return nil
	}
	return b.Bytes()
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", contentSecurityPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")

	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "The playground answers GET and HEAD only. The API is at /graphql.", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = index
	}
	load, found := h.files[name]
	if !found {
		http.Error(w, "There is no such page. The playground is at /, the API at /graphql.", http.StatusNotFound)
		return
	}
	load().send(w, r)
}

func (f *file) send(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", f.contentType)
	header.Set("Cache-Control", f.cache)
	content, etag := f.content, f.etag
	if f.compressed != nil {
		header.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			header.Set("Content-Encoding", "gzip")
			content, etag = f.compressed, f.etag+"-gzip"
		}
	}
	// A different tag for each encoding, as each is a representation of its own.
	header.Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// acceptsGzip reads the plain forms of the header that browsers send.
func acceptsGzip(r *http.Request) bool {
	for _, coding := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, parameters, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return !isZero(parameters)
		}
	}
	return false
}

func isZero(parameters string) bool {
	quality, found := strings.CutPrefix(strings.ReplaceAll(parameters, " ", ""), "q=")
	return found && strings.Trim(quality, "0.") == ""
}
