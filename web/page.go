package web

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS []byte

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// page serves the page: what runs, and where the API is.
func (s *server) page() {
	s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		var html bytes.Buffer
		data := struct {
			Version, API, PublicURL string
			Ready                   bool
		}{s.Version, prefix, s.PublicURL(), s.Ready() == nil}
		if err := pageTemplate.Execute(&html, data); err != nil {
			s.Log.Error("page failed", "err", err)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		w.Write(html.Bytes())
	})
	s.mux.HandleFunc("GET /page.css", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		w.Write(pageCSS)
	})
}
