// Package street runs the daemon as a process between a Dovecot and stand-ins for all push services.
// It is a package of its own because the tests of the program and those of its page need it, and
// because the program must not import testing.
package street

import (
	"bytes"
	"context"
	"errors"
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

	"idlepush/cmd/idlepush/api"
	"idlepush/push/pushtest"
	"idlepush/registry"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
)

// object is a JSON object.
type object = map[string]any

// Password is Anna's, the first admin's. All secrets begin with "planted", which NoSecrets looks for.
const Password = "planted-login-password"

// Program is the command that runs the daemon.
type Program struct {
	Path string
	Env  []string // added to the environment of the tests
}

// Street is a Dovecot, stand-ins for all push services, and the daemon between them. It belongs to one
// test and one goroutine. Its methods end the test if they fail.
type Street struct {
	Mail   *imaptest.Server
	FCM    *pushtest.FCM
	APNs   *pushtest.APNs
	Web    *pushtest.WebPush
	WebAt  string // the origin of Web
	Origin string // of the daemon, on loopback, so that browsers need no TLS
	Data   string // the daemon's data folder
	Client *api.Client
	Log    registrytest.Log // of all the daemon's runs

	program       Program
	dir           string
	fcmAt, apnsAt string // their origins
	address       string
	daemon        *daemon // nil: it does not run
	vapid         string
	vendors       registrytest.Log // all that FCM and APNs were sent
}

// daemon is one run of the program.
type daemon struct {
	run   *exec.Cmd
	ended chan struct{} // closed when it has
	err   error         // how, once it has
}

// New makes a street on which the daemon does not run yet.
func New(t *testing.T, program Program) *Street {
	t.Helper()
	s := &Street{Mail: imaptest.Dovecot(t), Web: pushtest.NewWebPush(), program: program, dir: t.TempDir()}
	s.Data = filepath.Join(s.dir, "data")
	var err error
	if s.FCM, err = pushtest.NewFCM("street"); err != nil {
		t.Fatal(err)
	}
	if s.APNs, err = pushtest.NewAPNs("org.example.mail"); err != nil {
		t.Fatal(err)
	}
	s.fcmAt = serve(t, s.overheard(s.FCM))
	s.apnsAt = serve(t, s.overheard(s.APNs))
	s.WebAt = serve(t, s.Web)
	s.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(testenv.Port(t)))
	s.Origin = "http://" + s.address
	s.Client = &api.Client{Base: s.Origin + "/api/v1"}
	t.Cleanup(func() {
		if s.daemon != nil {
			s.Kill(t)
		}
		for service, violations := range map[string][]string{"fcm": s.FCM.Violations(), "apns": s.APNs.Violations(), "web push": s.Web.Violations()} {
			for _, v := range violations {
				t.Errorf("%s would not have taken it: %s", service, v)
			}
		}
		for _, wrong := range []string{"WARNING: DATA RACE", "panic: ", "this variable is no setting"} {
			if strings.Contains(s.Log.String(), wrong) {
				t.Errorf("the daemon's log says %q", wrong)
			}
		}
		if t.Failed() {
			t.Log(s.Log.String())
		}
	})
	return s
}

// overheard returns h, which also copies each request to s.vendors.
func (s *Street) overheard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, err := httputil.DumpRequest(r, true); err == nil { // else the daemon has broken off, and the stand-in sees no more either
			s.vendors.Write(text)
		}
		h.ServeHTTP(w, r)
	})
}

// serve serves a stand-in until the test ends.
func serve(t *testing.T, h http.Handler) (origin string) {
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

// Command returns the command that starts the daemon, with further settings such as
// "IDLEPUSH_LISTEN=127.0.0.1:0", which win. Settings in the environment of the tests do not count.
func (s *Street) Command(t *testing.T, settings ...string) *exec.Cmd {
	t.Helper()
	credentials, key := filepath.Join(s.dir, "fcm.json"), filepath.Join(s.dir, "apns.p8")
	for path, content := range map[string][]byte{credentials: s.FCM.Credentials(s.fcmAt), key: s.APNs.Key} {
		Must(t, os.WriteFile(path, content, 0o600))
	}
	c := exec.Command(s.program.Path, "serve")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "IDLEPUSH_") {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(c.Env, s.program.Env...)
	c.Env = append(c.Env, "SSL_CERT_FILE="+s.Mail.CAFile,
		"IDLEPUSH_LISTEN="+s.address, "IDLEPUSH_DATA="+s.Data, "IDLEPUSH_ALLOW_NETS=127.0.0.0/8", "IDLEPUSH_LOG_LEVEL=debug",
		"IDLEPUSH_BURST_LIMIT=0", // every mail is to be seen on every phone
		"IDLEPUSH_FCM_CREDENTIALS_FILE="+credentials, "IDLEPUSH_FCM_ENDPOINT="+s.fcmAt+"/v1",
		"IDLEPUSH_APNS_KEY_FILE="+key, "IDLEPUSH_APNS_KEY_ID="+s.APNs.KeyID, "IDLEPUSH_APNS_TEAM_ID="+s.APNs.TeamID,
		"IDLEPUSH_APNS_TOPIC="+s.APNs.Topic, "IDLEPUSH_APNS_ENDPOINT="+s.apnsAt)
	c.Env = append(c.Env, settings...)
	return c
}

// Start runs the daemon and waits until it is ready. It first waits for a line of its log, so that no
// other process answers in its place.
func (s *Street) Start(t *testing.T) {
	t.Helper()
	before := len(s.Log.String())
	d := &daemon{run: s.Command(t), ended: make(chan struct{})}
	d.run.Stdout, d.run.Stderr = &s.Log, &s.Log
	Must(t, d.run.Start())
	go func() {
		d.err = d.run.Wait()
		close(d.ended)
	}()
	s.daemon = d
	ready, err := http.NewRequestWithContext(testenv.Context(t), http.MethodGet, s.Origin+"/readyz", nil)
	Must(t, err)
	testenv.Await(t, "the daemon is ready", func() error {
		select {
		case <-d.ended:
			t.Fatalf("the daemon has ended at once: %v", d.err)
		default:
		}
		if said := s.Log.String()[before:]; !strings.Contains(said, "idlepush serves") {
			return fmt.Errorf("it has only said %q", said)
		}
		resp, err := http.DefaultClient.Do(ready)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}

// Kill ends the daemon as a power cut would.
func (s *Street) Kill(t *testing.T) {
	t.Helper()
	s.daemon.run.Process.Kill()
	<-s.daemon.ended
	s.daemon = nil
}

// Stop ends the daemon with SIGTERM and checks that it exits cleanly.
func (s *Street) Stop(t *testing.T) {
	t.Helper()
	s.daemon.run.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.daemon.ended:
	case <-testenv.Context(t).Done():
		t.Fatal("the daemon does not end after SIGTERM")
	}
	if err := s.daemon.err; err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	s.daemon = nil
}

// Furnish sets up the first admin, the account and a device of each transport, over the API.
func (s *Street) Furnish(t *testing.T) {
	t.Helper()
	s.SetUp(t)
	Must(t, s.Client.Post(testenv.Context(t), "/accounts", s.Account(), nil))
	s.register(t)
	s.Watching(t, 1)
}

// Must ends the test unless err is nil.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// SetupToken returns the token with which the first person sets up the daemon.
func (s *Street) SetupToken(t *testing.T) string {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(s.Data, "setup-token"))
	Must(t, err)
	return strings.TrimSpace(string(token))
}

// SetUp makes Anna the first admin; the client's requests are hers from then on.
func (s *Street) SetUp(t *testing.T) {
	t.Helper()
	var made struct{ Token string }
	Must(t, s.Client.Post(testenv.Context(t), "/setup", object{"token": s.SetupToken(t), "name": "anna", "password": Password}, &made))
	s.Client.Token = made.Token
}

// Account is the mailbox of the mail server's first user, as the API takes it.
func (s *Street) Account() map[string]any {
	return object{"email": "anna@example.org", "host": "localhost", "port": s.Mail.TLSPort, "security": "tls",
		"username": s.Mail.User, "password": s.Mail.Password}
}

func (s *Street) register(t *testing.T) {
	t.Helper()
	pixel, err := pushtest.NewReceiver()
	Must(t, err)
	s.learnVAPID(t)
	s.device(t, object{"name": "pixel", "transport": "fcm", "token": s.FCM.Register(pixel), "encryption": api.Keys(pixel.Keys())})
	s.device(t, object{"name": "iphone", "transport": "apns", "token": s.APNs.Register(nil)})
	s.subscribe(t, "firefox", "webpush", registry.Subject)
	s.subscribe(t, "fairphone", "unifiedpush", registry.Preview)
}

func (s *Street) learnVAPID(t *testing.T) {
	t.Helper()
	var key struct {
		PublicKey string `json:"public_key"`
	}
	Must(t, s.Client.Get(testenv.Context(t), "/vapid", &key))
	s.vapid = key.PublicKey
}

func (s *Street) device(t *testing.T, d object) {
	t.Helper()
	Must(t, s.Client.Post(testenv.Context(t), "/devices", d, nil))
}

func (s *Street) subscribe(t *testing.T, name string, transport registry.Transport, content registry.Level) (endpoint registry.Secret) {
	t.Helper()
	sub, err := s.Web.Subscribe(s.WebAt, s.vapid)
	Must(t, err)
	s.device(t, object{"name": name, "transport": transport, "content": content,
		"subscription": object{"endpoint": string(sub.Endpoint), "keys": api.Keys(sub.Keys)}})
	return sub.Endpoint
}

// Watching waits until count accounts are watched.
func (s *Street) Watching(t *testing.T, count int) {
	t.Helper()
	ctx := testenv.Context(t)
	testenv.Await(t, "the accounts are watched", func() error {
		var list struct {
			Items []struct{ Status struct{ State string } }
		}
		if err := s.Client.Get(ctx, "/accounts", &list); err != nil {
			return err
		}
		watched := 0
		for _, a := range list.Items {
			if a.Status.State == string(registry.Watching) {
				watched++
			}
		}
		if watched != count || len(list.Items) != count {
			return fmt.Errorf("%+v", list.Items)
		}
		return nil
	})
}

// Deliver delivers a mail to the account's inbox.
func (s *Street) Deliver(t *testing.T, subject string) {
	t.Helper()
	s.Mail.Deliver(t, s.Mail.User, "INBOX", fmt.Appendf(nil, "From: Planted Sender <berta@example.org>\r\nSubject: %s\r\nMessage-ID: <%s@example.org>\r\n"+
		"Date: %s\r\nContent-Type: text/plain\r\n\r\nPlanted words of the body\r\n", subject, subject, time.Now().Format(time.RFC1123Z)))
}

// NoSecrets checks that no secret, and none of these words of mail, was logged or stored.
func (s *Street) NoSecrets(t *testing.T, words ...string) {
	t.Helper()
	secrets := append(words, "planted", "Planted", s.Mail.Password)
	if s.Client.Token != "" {
		secrets = append(secrets, s.Client.Token)
	}
	for _, m := range s.Web.Messages() {
		_, path, _ := strings.Cut(strings.TrimPrefix(string(m.Endpoint), "http://"), "/")
		secrets = append(secrets, path, m.Token)
	}
	for _, m := range s.FCM.Messages() {
		secrets = append(secrets, string(m.Token))
	}
	for _, m := range s.APNs.Messages() {
		secrets = append(secrets, string(m.Token))
	}
	store, err := os.ReadFile(filepath.Join(s.Data, "idlepush.db"))
	Must(t, err)
	for name, text := range map[string][]byte{"the log": []byte(s.Log.String()), "the store": store} {
		if len(text) == 0 {
			t.Errorf("%s is empty", name)
		}
		for _, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s holds a secret that begins with %.8q", name, secret)
			}
		}
	}
}
