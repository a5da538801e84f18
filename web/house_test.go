package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"idlepush/registry"
)

// What the tests plant: whatever holds the marker must come back in no answer and in no log line.
const (
	marker     = "s3cret"
	password   = "correct horse s3cret"
	wrong      = "wrong horse s3cret"
	fcmToken   = "fcm:s3cret-1"
	apnsToken  = "a95s3cret0000000000000000000000000000000000000000000000000000000"
	endpoint   = "https://push.example.net/s3cret/1"
	adminToken = "admin-s3cret-token"
	p256dh     = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4" // RFC 8291 section 5
	auth       = "BTBZMqHH6r4Tts7J_aSIgg"
)

// person is a user of the house with a token of each scope.
type person struct{ id, full, device string }

// house is a running server over a real store, with two users: Anna, the admin, and Ben.
type house struct {
	t      testing.TB
	store  *registry.Store
	server *server
	url    string
	log    *log
	anna   person
	ben    person
	doc    *document

	mu      sync.Mutex // guards what follows: handlers run on goroutines of their own
	check   func(ctx context.Context, a registry.Account) (Check, error)
	outcome registry.Outcome      // of every push
	during  func(registry.Device) // what happens while a push is under way; nil: nothing
	preview func(registry.Device) (PushRequest, *registry.Outcome)
	proved  int // proving pushes sent
	tested  int // test pushes sent
	tried   int // logins tried
	ready   error
	stop    chan struct{}
}

// log keeps all lines.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// furnished is a data folder with Anna and Ben, made once: argon2 is slow on purpose.
var furnished struct {
	once      sync.Once
	files     map[string][]byte
	anna, ben person
}

func fill(t testing.TB) {
	dir := t.TempDir()
	s := open(t, dir)
	token, err := s.SetupToken()
	fatal(t, err)
	u, _, err := s.Setup(token, "Anna", password, "https://house.example.net", nil, time.Now())
	fatal(t, err)
	ben, err := s.AddUser("Ben", password, false, time.Now())
	fatal(t, err)
	people := [2]person{{id: u.ID}, {id: ben.ID}}
	for i := range people {
		_, people[i].full, err = s.AddToken(people[i].id, "full", registry.FullScope, time.Now())
		fatal(t, err)
		_, people[i].device, err = s.AddToken(people[i].id, "device", registry.DeviceScope, time.Now())
		fatal(t, err)
	}
	fatal(t, s.Close())
	furnished.anna, furnished.ben = people[0], people[1]
	furnished.files = make(map[string][]byte)
	fatal(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			furnished.files[path], err = os.ReadFile(filepath.Join(dir, path))
		}
		return err
	}))
}

func open(t testing.TB, dir string) *registry.Store {
	s, err := registry.Open(dir, registry.Options{})
	fatal(t, err)
	return s
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newHouse starts a server over a copy of the template.
func newHouse(t testing.TB) *house {
	furnished.once.Do(func() { fill(t) })
	dir := t.TempDir()
	for path, data := range furnished.files {
		fatal(t, os.WriteFile(filepath.Join(dir, path), data, 0o600))
	}
	h := houseAt(t, dir)
	h.anna, h.ben = furnished.anna, furnished.ben
	return h
}

// houseAt starts a server over the data folder dir.
func houseAt(t testing.TB, dir string) *house {
	h := &house{t: t, store: open(t, dir), log: &log{}, check: accept, preview: sample, stop: make(chan struct{}), outcome: registry.Outcome{Result: registry.ResultDelivered}}
	h.server = New(h.config()).(*server)
	web := httptest.NewServer(h.server)
	h.url = web.URL
	h.doc = h.document()
	t.Cleanup(func() {
		web.Close()
		fatal(t, h.store.Close())
		h.noSecrets("the log", h.log.String())
	})
	return h
}

func (h *house) config() Config {
	key, _ := base64.RawURLEncoding.DecodeString(p256dh)
	return Config{
		Store: h.store, Version: "test", AdminToken: adminToken, VAPIDKey: key,
		Log:       slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		PublicURL: func() string { return "https://house.example.net" },
		CheckAccount: func(ctx context.Context, a registry.Account) (Check, error) {
			h.mu.Lock()
			h.tried++
			check := h.check
			h.mu.Unlock()
			return check(ctx, a)
		},
		Discover: func(_ context.Context, email string) (Discovery, error) {
			if !strings.Contains(email, "@") {
				return Discovery{}, &FieldError{"email", "is no mail address"}
			}
			return Discovery{Provider: &Provider{Name: "Example"}, Settings: []Settings{{"imap.example.net", 993, "tls", email, "table"}}}, nil
		},
		Prove: func(_ context.Context, d registry.Device) registry.Outcome { return h.push(d, &h.proved) },
		Test:  func(_ context.Context, d registry.Device) registry.Outcome { return h.push(d, &h.tested) },
		Preview: func(d registry.Device) (PushRequest, *registry.Outcome) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.preview(d)
		},
		CheckAddress: func(d registry.Device) error {
			if d.Token == "malformed" {
				return &FieldError{"token", "is no token of this service"}
			}
			return nil
		},
		Live: func(string) Live {
			return Live{Connections: 1, LastByte: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Interval: 9 * time.Minute, Why: "this is usual"}
		},
		Stopping: h.stop,
		Ready: func() error {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.ready
		},
	}
}

func (h *house) push(d registry.Device, count *int) registry.Outcome {
	h.mu.Lock()
	*count++
	outcome, during := h.outcome, h.during
	h.mu.Unlock()
	if during != nil {
		during(d)
	}
	return outcome
}

// set changes what the handlers read.
func (h *house) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// accept is a mail server with one good password.
func accept(_ context.Context, a registry.Account) (Check, error) {
	if a.Password != password {
		return Check{}, &CheckError{"password", "wrong_password", "The server refuses the password. Enter it again."}
	}
	return Check{Capabilities: []string{"IDLE", "IMAP4rev1"}, Folders: []Folder{{Name: "INBOX"}, {Name: "Family"}, {Name: "Schule & Sport", Use: "archive"}}, Idle: true}, nil
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// send makes a request and checks of any answer that it is as the OpenAPI document says and holds no secret.
func (h *house) send(r *http.Request) answer {
	h.t.Helper()
	res, err := http.DefaultTransport.RoundTrip(r)
	fatal(h.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	fatal(h.t, err)
	a := answer{status: res.StatusCode, header: res.Header, raw: string(raw)}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/") {
		if err := json.Unmarshal(raw, &a.body); err != nil {
			h.t.Fatalf("%s %s: no JSON: %q", r.Method, r.URL.Path, raw)
		}
	}
	h.noSecrets("an answer", a.raw, fmt.Sprint(a.header))
	if h.doc != nil && strings.HasPrefix(r.URL.Path, prefix) {
		h.doc.check(h.t, r.Method, r.URL.Path, a)
	}
	return a
}

func (h *house) noSecrets(where string, texts ...string) {
	h.t.Helper()
	for _, text := range texts {
		for _, secret := range []string{marker, auth} {
			if strings.Contains(text, secret) {
				h.t.Errorf("%s holds a secret: %s", where, text)
			}
		}
	}
}

// request makes a request below /api/v1; token "" gives none. body is text, or what is to be JSON.
func (h *house) request(token, method, path string, body any) *http.Request {
	h.t.Helper()
	text, ok := body.(string)
	if !ok && body != nil {
		b, err := json.Marshal(body)
		fatal(h.t, err)
		text = string(b)
	}
	r, err := http.NewRequest(method, h.url+prefix+path, strings.NewReader(text))
	fatal(h.t, err)
	if text != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// call makes a request and wants a status.
func (h *house) call(token, method, path string, body any, want int) answer {
	h.t.Helper()
	a := h.send(h.request(token, method, path, body))
	if a.status != want {
		h.t.Fatalf("%s %s: got %d, want %d: %s", method, path, a.status, want, a.raw)
	}
	return a
}

// wantFields checks which fields a problem names.
func (a answer) wantFields(t testing.TB, fields ...string) {
	t.Helper()
	var got []string
	list, _ := a.body["errors"].([]any)
	for _, e := range list {
		got = append(got, e.(map[string]any)["field"].(string))
	}
	if strings.Join(got, " ") != strings.Join(fields, " ") {
		t.Errorf("the problem names %q, want %q: %s", got, fields, a.raw)
	}
}

func (a answer) id() string { return a.body["id"].(string) }

func (a answer) state() any { return a.body["status"].(map[string]any)["state"] }

// object is a JSON object; with gives a copy with one more field, or, where value is nil, one less.
type object map[string]any

func (o object) with(field string, value any) object {
	c := object{field: value}
	for k, v := range o {
		if k != field {
			c[k] = v
		}
	}
	if value == nil {
		delete(c, field)
	}
	return c
}

func mailbox() object {
	return object{"email": "anna@example.net", "host": "imap.example.net", "username": "anna", "password": password}
}

func fcmDevice() object { return object{"name": "Phone", "transport": "fcm", "token": fcmToken} }

func apnsDevice() object { return object{"name": "iPhone", "transport": "apns", "token": apnsToken} }

func browser() object {
	return object{"name": "Laptop", "transport": "webpush", "subscription": object{
		"endpoint": endpoint, "expirationTime": nil, "keys": object{"p256dh": p256dh, "auth": auth}}}
}
