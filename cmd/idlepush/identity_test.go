package main

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"idlepush"
	"idlepush/registry/testenv"
)

func TestIdentity(t *testing.T) {
	t.Parallel()
	own := new(identity)
	var asked []string
	site := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		own.wrap(http.NotFoundHandler()).ServeHTTP(w, r)
	}))
	status := func(status int, to string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if to != "" {
				w.Header().Set("Location", to)
			}
			w.WriteHeader(status)
		})
	}
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(strings.TrimPrefix(r.URL.Path, identityPath)))
	})
	client := site.Client() // all servers of httptest have one certificate
	for name, c := range map[string]struct {
		origin string
		client *http.Client
		want   idlepush.Verdict
		text   string
	}{
		"this process":           {site.URL, client, "ok", "leads to this idlepush"},
		"another process":        {server(t, new(identity).wrap(http.NotFoundHandler())).URL, client, "wrong", "another server or another idlepush answers"},
		"one that echoes":        {server(t, echo).URL, client, "wrong", "another server or another idlepush answers"},
		"a redirect":             {server(t, status(302, "https://www.example.org/path?x=1")).URL, client, "wrong", "sends to another address, www.example.org: "},
		"a proxy that is closed": {server(t, status(401, "")).URL, client, "wrong", "wants a login"},
		"a proxy without a way":  {server(t, status(502, "")).URL, client, "wrong", "does not reach idlepush"},
		"a strange certificate":  {site.URL, &http.Client{Transport: &http.Transport{}}, "wrong", "is not trusted"},
		"nobody":                 {"https://127.0.0.1:" + strconv.Itoa(testenv.Port(t)), client, "look", "nobody answers"},
		"an unknown name":        {"https://no-such-host.invalid", client, "wrong", "the DNS does not know the host"},
	} {
		f := own.check(t.Context(), c.origin, c.client)
		if len(f.list) != 1 || f.list[0].Verdict != c.want || !strings.Contains(f.list[0].Text, c.text) || strings.Contains(f.list[0].Text, identityPath) {
			t.Errorf("%s: %+v", name, f.list)
		}
	}
	if len(asked) == 0 || !strings.HasPrefix(asked[0], identityPath) {
		t.Fatalf("asked %q", asked)
	}
	for _, path := range append(asked, identityPath, identityPath+"x", "/") {
		w := httptest.NewRecorder()
		own.wrap(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("afterwards %s is answered with %d", path, w.Code)
		}
	}
	own.set("question", "answer")
	for method, want := range map[string]int{"GET": 200, "POST": 404, "HEAD": 404} {
		w := httptest.NewRecorder()
		own.wrap(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest(method, identityPath+"question", nil))
		if w.Code != want {
			t.Errorf("%s is answered with %d", method, w.Code)
		}
	}
}
