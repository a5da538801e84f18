package browser

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

// TestEdges has what happens between the page and the server, and between two views.
func TestEdges(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *browsertest.Browser{
		"chromium": func(t *testing.T) *browsertest.Browser { return browsertest.Chromium(t) },
		"firefox":  func(t *testing.T) *browsertest.Browser { return browsertest.Firefox(t, nil) },
	} {
		t.Run("behind nginx, an error page of the proxy is the offline page, which recovers, in "+name, func(t *testing.T) {
			t.Parallel()
			edgesBehindNginx(t, start(t))
		})
		t.Run("a first request that fails shows no log-in form, in "+name, func(t *testing.T) {
			t.Parallel()
			edgesFirstRequest(t, start(t))
		})
		t.Run("a question and a message end with their view, in "+name, func(t *testing.T) {
			t.Parallel()
			edgesBetweenViews(t, start(t))
		})
	}
	t.Run("Brave is told what to switch on", edgesBrave)
}

// logInAt logs Anna in on a page of that address, on which no mailbox is watched yet.
func (s *system) logInAt(t *testing.T, b *browsertest.Browser, origin string) *browsertest.Page {
	t.Helper()
	s.SetUp(t)
	p := b.Open(t, origin)
	enterLogin(t, p, "Log in", "anna", systemtest.Password)
	p.WaitText(t, "No mailbox is watched yet.")
	return p
}

// nginx starts an nginx that forwards to the daemon, and returns its origins: one forwards as
// docs/install.md says, and the other has nothing but proxy_pass.
func (s *system) nginx(t *testing.T) (good, bare string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx"
	}
	if _, err := os.Stat(program); err != nil {
		testenv.Missing(t, "nginx is not installed")
	}
	dir := t.TempDir()
	ports := [2]int{testenv.Port(t), testenv.Port(t)}
	config := fmt.Sprintf(`daemon off; master_process off; pid nginx.pid; error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
	server { listen 127.0.0.1:%[1]d; location / {
		proxy_pass %[3]s;
		proxy_http_version 1.1;
		proxy_buffering off;
		proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-For $remote_addr;
		proxy_set_header X-Forwarded-Proto $scheme;
	} }
	server { listen 127.0.0.1:%[2]d; location / { proxy_pass %[3]s; } }
}`, ports[0], ports[1], s.Origin)
	systemtest.Must(t, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600))
	cmd := exec.Command(program, "-p", dir, "-c", "nginx.conf", "-e", "stderr")
	var log bytes.Buffer
	cmd.Stderr = &log
	systemtest.Must(t, cmd.Start())
	var running sync.WaitGroup
	running.Go(func() { cmd.Wait() })
	t.Cleanup(func() {
		cmd.Process.Kill()
		running.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	origin := func(port int) string { return fmt.Sprintf("http://localhost:%d", port) }
	testenv.Await(t, "nginx answers", func() error {
		answer, err := http.Get(origin(ports[0]) + "/healthz")
		if err == nil {
			answer.Body.Close()
		}
		return err
	})
	return origin(ports[0]), origin(ports[1])
}

func edgesBehindNginx(t *testing.T, b *browsertest.Browser) {
	s := startSystem(t)
	good, bare := s.nginx(t)
	p := s.logInAt(t, b, good)
	p.Wait(t, "the service worker is there", `() => navigator.serviceWorker.ready.then(r => r.active.state === "activated")`)
	p.Navigate(t, good+"/#/people")
	p.WaitText(t, "A proxy at 127.0.0.1 forwards requests, but idlepush does not trust it.")
	p.WaitText(t, "set trusted-proxies to 127.0.0.1/32")

	// A script that asks the other one might be anywhere.
	answer, err := http.Post(bare+"/api/v1/login", "application/json", strings.NewReader(`{"name":"anna","password":"`+systemtest.Password+`"}`))
	systemtest.Must(t, err)
	text, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden || !bytes.Contains(text, []byte("https_needed")) {
		t.Errorf("a script behind a proxy that hides it gets %d, %s", answer.StatusCode, text)
	}

	s.Stop(t)
	p.Reload(t)
	p.WaitText(t, "No connection")
	if text := p.Text(t); strings.Contains(text, "Bad Gateway") {
		t.Errorf("the page is %q", text)
	}
	s.Start(t)
	p.WaitText(t, "Invite somebody")
	b.TakeErrors() // about the answers of nginx
}

// flaky forwards requests to the daemon, unless they are for GET /me and it is not to answer these.
type flaky struct {
	*httputil.ReverseProxy
	broken, asked atomic.Int64 // how it is broken: see brokenWays
}

var brokenWays = []struct {
	name   string
	status int // 0: the connection is closed
}{{"works", 200}, {"no answer", 0}, {"a proxy's page", 502}, {"Cloudflare's page", 523}}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	way := brokenWays[f.broken.Load()]
	switch {
	case r.URL.Path != "/api/v1/me" || way.status == 200:
		f.ReverseProxy.ServeHTTP(w, r)
		return
	case way.status == 0:
		f.asked.Add(1)
		panic(http.ErrAbortHandler)
	}
	f.asked.Add(1)
	w.WriteHeader(way.status)
	io.WriteString(w, "<h1>Bad Gateway</h1>")
}

func edgesFirstRequest(t *testing.T, b *browsertest.Browser) {
	s := startSystem(t)
	target, err := url.Parse(s.Origin)
	systemtest.Must(t, err)
	f := &flaky{ReverseProxy: &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}}
	proxy := httptest.NewServer(f)
	t.Cleanup(proxy.Close)
	t.Cleanup(proxy.CloseClientConnections)
	p := s.logInAt(t, b, proxy.URL)
	for i := range brokenWays[1:] {
		f.broken.Store(int64(i + 1))
		f.asked.Store(0)
		p.Reload(t)
		p.WaitText(t, "No connection")
		p.WaitText(t, "The server cannot be reached. Check your connection, then try again.")
		p.Eval(t, nil, `() => { location.hash = "#/me"; }`)
		testenv.Await(t, "the page tries again", func() error {
			if n := f.asked.Load(); n < 2 {
				return fmt.Errorf("it has asked %d times", n)
			}
			return nil
		})
		if p.Has(t, "css:form") || !strings.Contains(p.Text(t), "No connection") {
			t.Errorf("%s: the page is %q", brokenWays[i+1].name, p.Text(t))
		}
		f.broken.Store(0)
		p.WaitText(t, "Where you are logged in")
		p.Eval(t, nil, `() => { location.hash = "#/"; }`)
		p.WaitText(t, "No mailbox is watched yet.")
	}
	b.TakeErrors() // about the answers that are none
}

func edgesBetweenViews(t *testing.T, b *browsertest.Browser) {
	s := startSystem(t)
	p := s.logInAt(t, b, s.Origin)
	s.openView(t, p, "me", "Where you are logged in")
	p.Click(t, "Log out here")
	p.Wait(t, "it asks", `() => document.querySelector("dialog[open]")`)
	p.Eval(t, nil, `() => history.back()`)
	p.WaitText(t, "No mailbox is watched yet.")
	p.Wait(t, "the question is gone", `() => !document.querySelector("dialog")`)
	s.openView(t, p, "me", "Where you are logged in")

	told := func(want string) {
		t.Helper()
		p.Wait(t, "what is told is "+want, `(want) => document.getElementById("status").textContent === want`, want)
	}
	p.Click(t, "Save")
	told("Saved.")
	s.openView(t, p, "people", "Invite somebody")
	told("")
	// What the page tells before it opens a view itself is to be read there.
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/accounts", s.Account(), nil))
	s.openView(t, p, "mailbox/"+s.ids(t, "/accounts")[0], "Connection details")
	p.Click(t, "Pause")
	p.WaitText(t, "Add a mailbox")
	told("Saved.")
	s.openView(t, p, "people", "Invite somebody")
	told("")

	// The session ends elsewhere while a question is open.
	s.openView(t, p, "me", "Where you are logged in")
	p.Click(t, "Log out here")
	var sessions struct{ Items []struct{ ID string } }
	systemtest.Must(t, s.Client.Get(testenv.Context(t), "/sessions", &sessions))
	systemtest.Must(t, s.Client.Call(testenv.Context(t), "DELETE", "/sessions/"+first(t, sessions.Items).ID, nil, nil))
	p.Eval(t, nil, `async () => { (await import("/api.js")).call("GET", "/me").catch(() => {}); }`)
	p.WaitText(t, "Stay signed in")
	p.Wait(t, "the question is gone", `() => !document.querySelector("dialog")`)
	b.TakeErrors() // about the session that has ended
}

func edgesBrave(t *testing.T) {
	t.Parallel()
	b := browsertest.Chromium(t)
	s := startSystem(t)
	p := s.logInAt(t, b, s.Origin)
	s.openView(t, p, "devices", "Another phone")
	p.Eval(t, nil, `() => {
		Object.defineProperty(navigator, "brave", { value: {} });
		Notification.requestPermission = async () => "granted";
		PushManager.prototype.subscribe = async () => { throw new DOMException("Registration failed - push service error", "AbortError"); };
	}`)
	p.Click(t, "Ring this device")
	p.WaitText(t, "Use Google services for push messaging")
	p.WaitText(t, "brave://settings/privacy")
}
