package push

import (
	"mime"
	"net/http"
	"strings"
)

// IsPage reports whether an answer is a page for people, as web servers and proxies send it: HTML,
// or the text of Go's http.NotFound, which Traefik and others send too. No push service means
// anything by it.
func IsPage(h http.Header, body string) bool {
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	text := strings.ToLower(strings.TrimSpace(strings.TrimPrefix(body, "\ufeff")))
	if text == "404 page not found" || media == "text/html" && !strings.HasPrefix(text, "{") && text != "" {
		return true
	}
	for _, start := range []string{"<!doctype html", "<html", "<head", "<body", "<center"} {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	return false
}
