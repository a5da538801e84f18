package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
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
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	nameless := httptest.NewUnstartedServer(http.NotFoundHandler())
	nameless.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	nameless.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return nil, errors.New("no certificate for that name")
	}}
	nameless.StartTLS()
	defer nameless.Close()
	saysOnly := func(text string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				conn.Read(make([]byte, 1))
				conn.Write([]byte(text))
				conn.Close()
			}
		}()
		return "https://" + l.Addr().String()
	}
	fails := func(err error) *http.Client {
		return &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, err }}}
	}
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
		"a strange certificate":  {site.URL, &http.Client{Transport: &http.Transport{}}, "wrong", "answers, but its certificate is not trusted ("},
		"a server without TLS":   {strings.Replace(plain.URL, "http:", "https:", 1), client, "wrong", "answers, but without TLS"},
		"no server of the web":   {saysOnly("220 mail.example.org ESMTP\r\n"), client, "wrong", "answers, but without TLS"},
		"no certificate":         {nameless.URL, client, "wrong", "answers, but offers no TLS for this name ("},
		"one that hangs up":      {saysOnly(""), client, "wrong", "takes the connection and ends it"},
		"nobody":                 {"https://127.0.0.1:" + strconv.Itoa(testenv.Port(t)), client, "look", "the connection is refused"},
		"silence":                {site.URL, fails(context.DeadlineExceeded), "look", "no answer came"},
		"no way":                 {site.URL, fails(&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}), "look", "no route to host"},
		"no DNS":                 {site.URL, fails(&net.DNSError{Err: "server misbehaving", IsTemporary: true}), "look", "the DNS does not answer"},
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
