package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"idlepush/push/pushtest"
	"idlepush/registry"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
)

// asProgram makes the test binary the program itself, so that tests can start it, and kill it, as a process of its own.
const asProgram = "TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// street is a Dovecot, the stand-ins of all push services, and the daemon as a process between them.
type street struct {
	mail    *imaptest.Server
	fcm     *pushtest.FCM
	apns    *pushtest.APNs
	web     *pushtest.WebPush
	origins map[http.Handler]string
	dir     string
	address string
	log     *bytes.Buffer // of all runs; to be read while no process runs
	client  *apiClient
	process *exec.Cmd
	vapid   string
	vendors overheard
}

// overheard is all that FCM and APNs were sent.
type overheard struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *overheard) listen(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, err := httputil.DumpRequest(r, true); err == nil { // else the daemon has broken off, and the stand-in sees no more either
			o.mu.Lock()
			o.text.Write(text)
			o.mu.Unlock()
		}
		h.ServeHTTP(w, r)
	})
}

func (o *overheard) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func newStreet(t *testing.T) *street {
	t.Helper()
	s := &street{mail: imaptest.Dovecot(t), dir: t.TempDir(), log: new(bytes.Buffer), web: pushtest.NewWebPush(), origins: make(map[http.Handler]string)}
	var err error
	if s.fcm, err = pushtest.NewFCM("street"); err != nil {
		t.Fatal(err)
	}
	if s.apns, err = pushtest.NewAPNs("org.example.mail"); err != nil {
		t.Fatal(err)
	}
	s.origins[s.fcm] = serveStandIn(t, s.vendors.listen(s.fcm))
	s.origins[s.apns] = serveStandIn(t, s.vendors.listen(s.apns))
	s.origins[s.web] = serveStandIn(t, s.web)
	s.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(testenv.Port(t)))
	s.client = &apiClient{base: "http://" + s.address + "/api/v1"}
	t.Cleanup(func() {
		if s.process != nil {
			s.kill(t)
		}
		for service, violations := range map[string][]string{"fcm": s.fcm.Violations(), "apns": s.apns.Violations(), "web push": s.web.Violations()} {
			for _, v := range violations {
				t.Errorf("%s would not have taken it: %s", service, v)
			}
		}
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	return s
}

func serveStandIn(t *testing.T, h http.Handler) (origin string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := pushtest.Serve(ctx, l, h); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		serving.Wait()
	})
	return "http://" + l.Addr().String()
}

// start runs the daemon and returns when it is ready.
func (s *street) start(t *testing.T) {
	t.Helper()
	credentials, key := filepath.Join(s.dir, "fcm.json"), filepath.Join(s.dir, "apns.p8")
	for path, content := range map[string][]byte{credentials: s.fcm.Credentials(s.origins[s.fcm]), key: s.apns.Key} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.process = exec.Command(self, "serve")
	s.process.Env = append(os.Environ(), asProgram+"=1", "SSL_CERT_FILE="+s.mail.CAFile,
		"IDLEPUSH_LISTEN="+s.address, "IDLEPUSH_DATA="+filepath.Join(s.dir, "data"), "IDLEPUSH_ALLOW_NETS=127.0.0.0/8", "IDLEPUSH_LOG_LEVEL=debug",
		"IDLEPUSH_BURST_LIMIT=0", // every mail is to be seen on every phone
		"IDLEPUSH_FCM_CREDENTIALS_FILE="+credentials, "IDLEPUSH_FCM_ENDPOINT="+s.origins[s.fcm]+"/v1",
		"IDLEPUSH_APNS_KEY_FILE="+key, "IDLEPUSH_APNS_KEY_ID="+s.apns.KeyID, "IDLEPUSH_APNS_TEAM_ID="+s.apns.TeamID,
		"IDLEPUSH_APNS_TOPIC="+s.apns.Topic, "IDLEPUSH_APNS_ENDPOINT="+s.origins[s.apns])
	s.process.Stdout, s.process.Stderr = s.log, s.log
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the daemon is ready", func() bool {
		resp, err := http.Get("http://" + s.address + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// kill ends the daemon as a power cut would.
func (s *street) kill(t *testing.T) {
	t.Helper()
	s.process.Process.Kill()
	s.process.Wait()
	s.process = nil
}

// stop ends the daemon with SIGTERM and holds it to a clean exit.
func (s *street) stop(t *testing.T) {
	t.Helper()
	s.process.Process.Signal(syscall.SIGTERM)
	if err := s.process.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	s.process = nil
}

// furnish sets up the first admin, the account and a device of each transport, over the API.
func (s *street) furnish(t *testing.T) {
	t.Helper()
	s.setUp(t)
	s.must(t, s.client.post(t.Context(), "/accounts", s.account(), nil))
	s.register(t)
	s.watching(t, 1)
}

func (s *street) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *street) setUp(t *testing.T) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(s.dir, "data", "setup-token"))
	s.must(t, err)
	var made struct{ Token string }
	s.must(t, s.client.post(t.Context(), "/setup", object{"token": strings.TrimSpace(string(token)), "name": "anna", "password": "planted-login-password"}, &made))
	s.client.token = made.Token
}

func (s *street) account() object {
	return object{"email": "anna@example.org", "host": "localhost", "port": s.mail.TLSPort, "security": "tls",
		"username": s.mail.User, "password": s.mail.Password}
}

func (s *street) register(t *testing.T) {
	t.Helper()
	pixel, err := pushtest.NewReceiver()
	s.must(t, err)
	s.learnVAPID(t)
	s.device(t, object{"name": "pixel", "transport": "fcm", "token": s.fcm.Register(pixel), "encryption": keys(pixel.Keys())})
	s.device(t, object{"name": "iphone", "transport": "apns", "token": s.apns.Register(nil)})
	s.subscribe(t, "firefox", registry.WebPush, registry.Subject)
	s.subscribe(t, "fairphone", registry.UnifiedPush, registry.Preview)
}

func (s *street) learnVAPID(t *testing.T) {
	t.Helper()
	var key struct {
		PublicKey string `json:"public_key"`
	}
	s.must(t, s.client.get(t.Context(), "/vapid", &key))
	s.vapid = key.PublicKey
}

func (s *street) device(t *testing.T, d object) {
	t.Helper()
	s.must(t, s.client.post(t.Context(), "/devices", d, nil))
}

func (s *street) subscribe(t *testing.T, name string, transport registry.Transport, content registry.Level) (endpoint registry.Secret) {
	t.Helper()
	sub, err := s.web.Subscribe(s.origins[s.web], s.vapid)
	s.must(t, err)
	s.device(t, object{"name": name, "transport": transport, "content": content,
		"subscription": object{"endpoint": string(sub.Endpoint), "keys": keys(sub.Keys)}})
	return sub.Endpoint
}

// watching waits until so many accounts are watched.
func (s *street) watching(t *testing.T, count int) {
	t.Helper()
	eventually(t, "the accounts are watched", func() bool {
		var list struct {
			Items []struct{ Status struct{ State string } }
		}
		if s.client.get(t.Context(), "/accounts", &list) != nil || len(list.Items) != count {
			return false
		}
		for _, a := range list.Items {
			if a.Status.State != "watching" {
				return false
			}
		}
		return true
	})
}

func (s *street) deliver(t *testing.T, subject string) {
	t.Helper()
	s.mail.Deliver(t, s.mail.User, "INBOX", fmt.Appendf(nil, "From: Planted Sender <berta@example.org>\r\nSubject: %s\r\nMessage-ID: <%s@example.org>\r\n"+
		"Date: %s\r\nContent-Type: text/plain\r\n\r\nPlanted words of the body\r\n", subject, subject, time.Now().Format(time.RFC1123Z)))
}

// eventually asks until it is so, and fails the test after 30 s.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !so() {
		select {
		case <-deadline.C:
			t.Fatalf("%s: still not so after 30 s", what)
		case <-again.C:
		}
	}
}
