package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// pageFiles are the files of the page as browsers get them. There is no build step, and nothing is
// loaded from elsewhere.
//
//go:embed page
var pageFiles embed.FS

// servePage serves each file of the page under its own name, and index.html at /. Browsers
// revalidate a file before each use.
func servePage(mux *http.ServeMux) {
	err := fs.WalkDir(pageFiles, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := pageFiles.ReadFile(name)
		if err != nil {
			return err
		}
		at := name[len("page"):]
		if at == "/index.html" {
			at = "/{$}"
		}
		mux.Handle("GET "+at, file(name, content))
		return nil
	})
	if err != nil {
		panic("read the embedded page: " + err.Error())
	}
}

// types holds the media types by extension. Those of the system may be incomplete.
var types = map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png", ".webmanifest": "application/manifest+json"}

func file(name string, content []byte) http.Handler {
	sum := sha256.Sum256(content)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", types[path.Ext(name)])
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
}
