// Package systemtest runs the daemon as a process, with a Dovecot as its mail server and with fake
// push services. It is a package of its own because the program must not import testing. The tests
// of the program and those of its page use it.
package systemtest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"idlepush"
	"idlepush/cmd/idlepush/api"
	"idlepush/push/pushtest"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest/servers"
)

// object is a JSON object.
type object = map[string]any

// Password is the login password of Anna, the first admin. Like all secrets it begins with
// [registrytest.SecretMarker].
const Password = registrytest.SecretMarker + "-login-password"

// sentFolder is a setting of Dovecot: the folder Sent, once it is created, has that special use.
const sentFolder = "namespace inbox {\n inbox = yes\n mailbox Sent {\n special_use = \\Sent\n }\n}"

// Program is the command that runs the daemon.
type Program struct {
	Path string
	Env  []string // variables beside those of the tests
}

// System is a daemon with its mail server and push services. It belongs to one test and one
// goroutine. Its methods end the test if they fail.
type System struct {
	*Services
	Mail   *servers.Server
	Origin string   // of the daemon, on loopback, so that browsers need no TLS
	Push   []string // host:port of more push services that the daemon may push to
	Data   string   // the data folder of the daemon
	Client *api.Client
	More   []string         // more settings of the daemon, as NAME=value
	Log    registrytest.Log // of all runs of the daemon

	program  Program
	dir      string
	address  string   // of its listener
	process  *process // nil: the daemon does not run
	vapidKey string
}

// process is one run of the program.
type process struct {
	cmd     *exec.Cmd
	waiting sync.WaitGroup // for the goroutine that waits for its end
	ended   chan struct{}  // closed when the process has ended
	err     error          // of Wait, once ended is closed
}

// New starts the mail server, with these settings of Dovecot beside its own, and the push services,
// but not yet the daemon. At the end of the test
// it kills the daemon, and checks its log and the requests to the push services.
func New(t *testing.T, program Program, mail ...string) *System {
	t.Helper()
	s := &System{Mail: servers.Dovecot(t, append([]string{sentFolder}, mail...)...), Services: startServices(t), program: program, dir: t.TempDir()}
	s.Data = filepath.Join(s.dir, "data")
	s.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(testenv.Port(t)))
	s.Origin = "http://" + s.address
	s.Client = &api.Client{Base: s.Origin + "/api/v1"}
	t.Cleanup(func() {
		if s.process != nil {
			s.Kill(t)
		}
		s.checkViolations(t)
		for _, wrong := range []string{"WARNING: DATA RACE", "panic: ", "unknown environment variable"} {
			if strings.Contains(s.Log.String(), wrong) {
				t.Errorf("the daemon's log contains %q", wrong)
			}
		}
		if t.Failed() {
			t.Log(s.Log.String())
		}
	})
	return s
}

// Command returns the command that starts the daemon. settings, such as
// "IDLEPUSH_LISTEN=127.0.0.1:0", override the defaults. Settings in the environment of the tests
// are ignored.
func (s *System) Command(t *testing.T, settings ...string) *exec.Cmd {
	t.Helper()
	credentials, key := filepath.Join(s.dir, "fcm.json"), filepath.Join(s.dir, "apns.p8")
	for path, content := range map[string][]byte{credentials: s.FCM.Credentials(s.fcmOrigin), key: s.APNs.Key} {
		Must(t, os.WriteFile(path, content, 0o600))
	}
	_, web, _ := strings.Cut(s.WebOrigin, "://")
	c := exec.Command(s.program.Path, "serve")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "IDLEPUSH_") {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(c.Env, s.program.Env...)
	c.Env = append(c.Env, "SSL_CERT_FILE="+s.Mail.CAFile,
		"IDLEPUSH_LISTEN="+s.address, "IDLEPUSH_DATA="+s.Data, "IDLEPUSH_ALLOW_MAIL=127.0.0.0/8:*", "IDLEPUSH_ALLOW_PUSH="+strings.Join(append([]string{web}, s.Push...), ","), "IDLEPUSH_LOG_LEVEL=debug",
		"IDLEPUSH_BURST_LIMIT=0", // every phone gets every mail
		"IDLEPUSH_FCM_CREDENTIALS_FILE="+credentials, "IDLEPUSH_FCM_ENDPOINT="+s.fcmOrigin+"/v1",
		"IDLEPUSH_APNS_KEY_FILE="+key, "IDLEPUSH_APNS_KEY_ID="+s.APNs.KeyID, "IDLEPUSH_APNS_TEAM_ID="+s.APNs.TeamID,
		"IDLEPUSH_APNS_TOPIC="+s.APNs.Topic, "IDLEPUSH_APNS_ENDPOINT="+s.apnsOrigin)
	c.Env = append(append(c.Env, s.More...), settings...)
	return c
}

// Start starts the daemon and waits until it is ready. It first waits for a line of its log, in
// case another process listens on its address.
func (s *System) Start(t *testing.T) {
	t.Helper()
	before := len(s.Log.String())
	p := &process{cmd: s.Command(t), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &s.Log, &s.Log
	Must(t, p.cmd.Start())
	p.waiting.Go(func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	})
	s.process = p
	ready, err := http.NewRequestWithContext(testenv.Context(t), http.MethodGet, s.Origin+"/readyz", nil)
	Must(t, err)
	testenv.Await(t, "the daemon is ready", func() error {
		select {
		case <-p.ended:
			t.Fatalf("the daemon ended at its start: %v", p.err)
		default:
		}
		if text := s.Log.String()[before:]; !strings.Contains(text, "idlepush is running") {
			return fmt.Errorf("its log is %q", text)
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

// Kill kills the daemon, which gets no chance to save anything.
func (s *System) Kill(t *testing.T) {
	t.Helper()
	s.process.cmd.Process.Kill()
	s.process.waiting.Wait()
	s.process = nil
}

// Stop ends the daemon with SIGTERM and checks that it exits with status 0.
func (s *System) Stop(t *testing.T) {
	t.Helper()
	s.StopBy(t, syscall.SIGTERM)
}

// StopBy is Stop with another signal.
func (s *System) StopBy(t *testing.T, signal syscall.Signal) {
	t.Helper()
	s.process.cmd.Process.Signal(signal)
	select {
	case <-s.process.ended:
	case <-testenv.Context(t).Done():
		t.Fatalf("the daemon does not end after %v", signal)
	}
	if err := s.process.err; err != nil {
		t.Errorf("after %v: %v", signal, err)
	}
	s.process = nil
}

// Populate adds the first admin, an account and a device of each transport through the API. It
// waits until the account is watched.
func (s *System) Populate(t *testing.T) {
	t.Helper()
	s.SetUp(t)
	Must(t, s.Client.Post(testenv.Context(t), "/accounts", s.Account(), nil))
	s.addDevices(t)
	s.WaitWatched(t, 1)
}

// Must ends the test unless err is nil.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// SetupToken returns the token that the first admin needs to set up the daemon.
func (s *System) SetupToken(t *testing.T) string {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(s.Data, "setup-token"))
	Must(t, err)
	return strings.TrimSpace(string(token))
}

// SetUp makes Anna the first admin. From then on the client has her token.
func (s *System) SetUp(t *testing.T) {
	t.Helper()
	var made struct{ Token string }
	Must(t, s.Client.Post(testenv.Context(t), "/setup", object{"token": s.SetupToken(t), "name": "anna", "password": Password}, &made))
	s.Client.Token = made.Token
}

// Account returns the body of a request to add an account: the first user of the mail server.
func (s *System) Account() map[string]any {
	return object{"email": "anna@example.org", "host": "localhost", "port": s.Mail.TLSPort, "security": "tls",
		"username": s.Mail.User, "password": s.Mail.Password}
}

// addDevices adds a device of each transport.
func (s *System) addDevices(t *testing.T) {
	t.Helper()
	pixel, err := pushtest.NewReceiver()
	Must(t, err)
	s.fetchVAPIDKey(t)
	s.addDevice(t, object{"name": "pixel", "transport": "fcm", "token": s.FCM.Register(pixel), "encryption": api.Keys(pixel.Keys())})
	s.addDevice(t, object{"name": "iphone", "transport": "apns", "token": s.APNs.Register(nil)})
	s.subscribe(t, "firefox", "webpush", idlepush.LevelSubject)
	s.subscribe(t, "fairphone", "unifiedpush", idlepush.LevelPreview)
}

func (s *System) fetchVAPIDKey(t *testing.T) {
	t.Helper()
	var key struct {
		PublicKey string `json:"public_key"`
	}
	Must(t, s.Client.Get(testenv.Context(t), "/vapid", &key))
	s.vapidKey = key.PublicKey
}

func (s *System) addDevice(t *testing.T, d object) {
	t.Helper()
	Must(t, s.Client.Post(testenv.Context(t), "/devices", d, nil))
}

// subscribe adds a device of Web Push or UnifiedPush, which can be reached at endpoint.
func (s *System) subscribe(t *testing.T, name string, transport idlepush.Transport, content idlepush.Level) (endpoint idlepush.Secret) {
	t.Helper()
	sub, err := s.Web.Subscribe(s.WebOrigin, s.vapidKey)
	Must(t, err)
	s.addDevice(t, object{"name": name, "transport": transport, "content": content,
		"subscription": object{"endpoint": string(sub.Endpoint), "keys": api.Keys(sub.Keys)}})
	return sub.Endpoint
}

// WaitWatched waits until there are count accounts and all are watched.
func (s *System) WaitWatched(t *testing.T, count int) {
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
			if a.Status.State == string(idlepush.StateWatching) {
				watched++
			}
		}
		if watched != count || len(list.Items) != count {
			return fmt.Errorf("%+v", list.Items)
		}
		return nil
	})
}

// Deliver delivers a mail to the INBOX of the first user.
func (s *System) Deliver(t *testing.T, subject string) {
	t.Helper()
	s.Mail.Deliver(t, s.Mail.User, "INBOX", fmt.Appendf(nil, "From: Planted Sender <berta@example.org>\r\nSubject: %s\r\nMessage-ID: <%s@example.org>\r\n"+
		"Date: %s\r\nContent-Type: text/plain\r\n\r\nPlanted words of the body\r\n", subject, subject, time.Now().Format(time.RFC1123Z)))
}

// CheckNoSecrets checks that neither the log nor the store contains a secret, or one of these words
// of mails.
func (s *System) CheckNoSecrets(t *testing.T, words ...string) {
	t.Helper()
	secrets := append(words, registrytest.SecretMarker, "Planted", s.Mail.Password)
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
				t.Errorf("%s contains a secret that begins with %.8q", name, secret)
			}
		}
	}
}
