package web

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// get requests a path outside the API.
func (h *testServer) get(path string) answer {
	h.t.Helper()
	r, err := http.NewRequest("GET", h.url+path, nil)
	fatal(h.t, err)
	return h.send(r)
}

// TestTexts checks that no text of the page has the name of another, which would replace it.
func TestTexts(t *testing.T) {
	t.Parallel()
	texts, err := os.ReadFile("page/texts.js")
	fatal(t, err)
	seen := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^\t(\w+):`).FindAllStringSubmatch(string(texts), -1) {
		if seen[m[1]] {
			t.Errorf("there are two texts %s", m[1])
		}
		seen[m[1]] = true
	}
	if len(seen) < 100 {
		t.Errorf("only %d texts were found", len(seen))
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	t.Run("every file is served, and nothing is loaded from elsewhere", pageServedWhole)
	t.Run("health and readiness have no reasons", pageHealth)
	t.Run("the application server key needs no login", pageVAPIDKey)
}

// Every file is served under its own name with its type. Nothing comes from elsewhere or violates
// the policy.
func pageServedWhole(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	fatal(t, fs.WalkDir(pageFiles, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		at := strings.TrimPrefix(name, "page")
		if at == "/index.html" {
			at = "/"
		}
		a := h.get(at)
		kind := a.header.Get("Content-Type")
		if a.status != 200 || kind == "" || kind != types[path.Ext(name)] || a.header.Get("X-Content-Type-Options") != "nosniff" ||
			a.header.Get("Cache-Control") != "no-cache" || !strings.HasPrefix(a.header.Get("Content-Security-Policy"), "default-src 'self';") {
			t.Errorf("%s is %d, %v", at, a.status, a.header)
		}
		r, err := http.NewRequest("GET", h.url+at, nil)
		fatal(t, err)
		r.Header.Set("If-None-Match", a.header.Get("ETag"))
		if again := h.send(r); again.status != 304 {
			t.Errorf("%s again is %d", at, again.status)
		}
		if kind := path.Ext(name); kind == ".png" || kind == ".svg" {
			return nil
		}
		for _, bad := range []string{"innerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=", "onclick=\"", "http://"} {
			if strings.Contains(a.raw, bad) && !strings.Contains(a.raw, bad+"www.w3.org/2000/svg") && !strings.Contains(a.raw, bad+"localhost") {
				t.Errorf("%s has %q", at, bad)
			}
		}
		for _, m := range regexp.MustCompile(`(?:src|href|from)\s*=?\s*"(//|https?:)`).FindAllString(a.raw, -1) {
			t.Errorf("%s loads from elsewhere: %s", at, m)
		}
		return nil
	}))
	// A proxy that asks for a login gives the manifest only to who has one.
	if a := h.get("/"); !strings.Contains(a.raw, `<link rel="manifest" href="/manifest.webmanifest" crossorigin="use-credentials">`) {
		t.Error("the manifest is fetched without credentials")
	}
	if a := h.get("/no-such.js"); a.status != 404 {
		t.Errorf("another file is %d", a.status)
	}
}

func pageHealth(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	if a := h.get("/healthz"); a.status != 200 || a.raw != "ok\n" {
		t.Errorf("%d %q", a.status, a.raw)
	}
	if a := h.get("/readyz"); a.status != 200 || a.raw != "ready\n" {
		t.Errorf("%d %q", a.status, a.raw)
	}
	h.set(func() { h.ready = errors.New("the disk is full") })
	if a := h.get("/readyz"); a.status != 503 || a.raw != "not ready\n" {
		t.Errorf("%d %q", a.status, a.raw)
	}
	if !strings.Contains(h.log.String(), "the disk is full") {
		t.Error("the log does not say why")
	}
}

func pageVAPIDKey(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	if a := h.call("", "GET", "/vapid", nil, 200); a.body["public_key"] != p256dh {
		t.Errorf("it is %s", a.raw)
	}
}
