package web

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// get gets what lies outside the API.
func (h *house) get(path string) answer {
	h.t.Helper()
	r, err := http.NewRequest("GET", h.url+path, nil)
	fatal(h.t, err)
	return h.send(r)
}

func TestThePageSaysWhatRunsAndWhereTheAPIIs(t *testing.T) {
	h := newHouse(t)
	a := h.get("/")
	for _, want := range []string{"idlepush", "running and ready", "<dd>test</dd>", "https://house.example.net/api/v1", `href="/api/v1/openapi.json"`, `name="viewport"`} {
		if !strings.Contains(a.raw, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if strings.Contains(a.raw, "<script") || strings.Contains(a.raw, "style=") {
		t.Error("the page needs what its policy forbids")
	}
	if css := h.get("/page.css"); css.status != 200 || !strings.HasPrefix(css.header.Get("Content-Type"), "text/css") {
		t.Errorf("its style is %d", css.status)
	}
}

func TestHealthIsToldWithoutReasons(t *testing.T) {
	h := newHouse(t)
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
	if a := h.get("/"); !strings.Contains(a.raw, "cannot do its work") {
		t.Errorf("the page says all is well")
	}
	if !strings.Contains(h.log.String(), "the disk is full") {
		t.Error("the log does not say why")
	}
}

func TestTheApplicationServerKeyIsForEverybody(t *testing.T) {
	h := newHouse(t)
	if a := h.call("", "GET", "/vapid", nil, 200); a.body["public_key"] != p256dh {
		t.Errorf("it is %s", a.raw)
	}
}
