package web

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"idlepush/registry"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
)

// What the tests plant: whatever holds the marker must come back in no answer and in no log line.
const (
	marker     = registrytest.SecretMarker
	password   = registrytest.Password
	wrong      = "wrong planted password"
	fcmToken   = "fcm:planted-1"
	apnsToken  = "a95planted000000000000000000000000000000000000000000000000000000"
	endpoint   = "https://push.example.net/planted/1"
	adminToken = "admin-planted-token"
	p256dh     = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4" // RFC 8291 section 5
	auth       = "BTBZMqHH6r4Tts7J_aSIgg"
)

// transports are those of the program; a test of the program holds testdata/openapi.json to them.
var transports = []Transport{
	{Name: "fcm"},
	{Name: "apns", Params: []Param{
		{Name: "environment", Values: []string{"production", "sandbox"}, Learned: true,
			Doc: "the environment of the token; absent: not known, then each push asks production first and the sandbox where production does not know the token, until one has shown which it is"},
		{Name: "topic", MaxLength: 255, Doc: "the app's bundle id; absent: the server's"}}},
	{Name: "webpush", Subscription: true},
	{Name: "unifiedpush", Subscription: true},
}

func isEndpoint(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
}

// in is the parameter that names an environment of APNs; empty: it is not known.
func in(environment string) map[string]string {
	if environment == "" {
		return nil
	}
	return map[string]string{"environment": environment}
}

// taught is what a push has shown of it.
func taught(environment string) *registry.Learned {
	if environment == "" {
		return nil
	}
	return &registry.Learned{Params: in(environment), Lane: "apns " + environment}
}

// person is a user of the house with a token of each scope.
type person struct{ id, full, device string }

// house is a running server over a real store, with two users: Anna, the admin, and Ben.
type house struct {
	t        testing.TB
	store    *registry.Store
	server   *server
	handlers *handlers
	url      string
	via      http.RoundTripper // what takes requests to the server
	logger   *slog.Logger
	log      *registrytest.Log
	anna     person
	ben      person
	doc      *document

	mu      sync.Mutex // guards what follows: handlers run on goroutines of their own
	check   func(ctx context.Context, a registry.Account) (Check, error)
	outcome registry.Outcome      // of every push
	during  func(registry.Device) // what happens while a push is under way; nil: nothing
	before  func() error          // asked before each transaction of the store; nil: all may begin
	preview func(registry.Device) (PushRequest, *registry.Outcome)
	proved  int // proving pushes sent
	tested  int // test pushes sent
	tried   int // logins tried
	ready   error
	stop    chan struct{}
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newHouse starts a server over a store of its own.
func newHouse(t testing.TB) *house {
	t.Helper()
	dir, anna, ben := registrytest.DirWithUsers(t)
	h := houseAt(t, dir)
	for user, p := range map[string]*person{anna.ID: &h.anna, ben.ID: &h.ben} {
		p.id = user
		for scope, token := range map[registry.Scope]*string{registry.FullScope: &p.full, registry.DeviceScope: &p.device} {
			var err error
			_, *token, err = h.store.Users.AddToken(user, string(scope), scope, "", time.Now())
			fatal(t, err)
		}
	}
	return h
}

// houseAt starts a server over the data folder dir.
func houseAt(t testing.TB, dir string) *house {
	t.Helper()
	h := &house{t: t, check: accept, preview: sample, stop: make(chan struct{}), outcome: registry.Outcome{Result: registry.ResultDelivered}}
	h.logger, h.log = registrytest.NewLog(t)
	h.store = registrytest.OpenFailing(t, dir, h.transaction)
	h.server, h.handlers = newServer(h.config())
	web := httptest.NewServer(h)
	h.url, h.via = web.URL, patient{h, web.Client().Transport}
	var err error
	h.doc, err = documented()
	fatal(t, err)
	t.Cleanup(func() {
		web.Close()
		fatal(t, h.store.Close())
		h.noSecrets("the log", h.log.String())
	})
	return h
}

// patient gives requests up that take too long for the time that is left to the tests.
type patient struct {
	h         *house
	transport http.RoundTripper
}

func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	return p.transport.RoundTrip(r.WithContext(testenv.Context(p.h.t)))
}

// transaction says whether a transaction of the store may begin.
func (h *house) transaction() error {
	h.mu.Lock()
	before := h.before
	h.mu.Unlock()
	if before == nil {
		return nil
	}
	return before()
}

// at calls happen before the n-th transaction from now, which fails with the error of happen; 0
// calls it before none. It gives a function that says how many transactions there were.
func (h *house) at(n int64, happen func() error) (count func() int64) {
	var seen atomic.Int64
	h.set(func() {
		h.before = func() error {
			if seen.Add(1) == n {
				return happen()
			}
			return nil
		}
	})
	return seen.Load
}

// inside makes all further requests without a connection, as a client at that address, so that
// they can be made in a bubble, whose test is t.
func (h *house) inside(t testing.TB, address string) *house {
	h.t, h.via = t, handed{h, address + ":443"}
	return h
}

// handed hands requests to a handler.
type handed struct {
	handler http.Handler
	remote  string
}

func (d handed) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	r = r.Clone(r.Context()) // the handler takes the body's place
	r.RemoteAddr = d.remote
	d.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

func (h *house) config() Config {
	key, _ := base64.RawURLEncoding.DecodeString(p256dh)
	return Config{
		Users: h.store.Users, Accounts: h.store.Accounts, Devices: h.store.Devices, History: h.store.History, Version: "test", AdminToken: adminToken,
		Log:       h.logger,
		PublicURL: func() string { return "https://house.example.net" },
		Mail: MailConfig{Check: h.checkLogin, Discover: discovered, Live: func(string) Live {
			return Live{Connections: 1, LastByte: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Interval: 9 * time.Minute, Why: "this is usual"}
		}},
		Push: PushConfig{Transports: transports, CheckAddress: checkAddress, Route: routed, Prove: h.prove, VAPIDKey: key,
			Preview: func(d registry.Device) (PushRequest, *registry.Outcome) {
				h.mu.Lock()
				defer h.mu.Unlock()
				return h.preview(d)
			}},
		Stopping: h.stop,
		Ready: func() error {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.ready
		},
	}
}

// testPush is the context key of requests that send a test push, not a proving push.
type testPush struct{}

// ServeHTTP answers as the server, and marks requests for a test push.
func (h *house) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/test") {
		r = r.WithContext(context.WithValue(r.Context(), testPush{}, true))
	}
	h.server.ServeHTTP(w, r)
}

func (h *house) prove(ctx context.Context, d registry.Device) registry.Outcome {
	h.mu.Lock()
	if ctx.Value(testPush{}) != nil {
		h.tested++
	} else {
		h.proved++
	}
	outcome, during := h.outcome, h.during
	h.mu.Unlock()
	if during != nil {
		during(d)
	}
	return outcome
}

func (h *house) checkLogin(ctx context.Context, a registry.Account) (Check, error) {
	h.mu.Lock()
	h.tried++
	check := h.check
	h.mu.Unlock()
	return check(ctx, a)
}

func discovered(_ context.Context, email string) (Discovery, error) {
	if !strings.Contains(email, "@") {
		return Discovery{}, &FieldError{"email", "is no mail address"}
	}
	return Discovery{Provider: &Provider{Name: "Example"}, Settings: []Settings{{"imap.example.net", 993, "tls", email, "table"}}}, nil
}

func checkAddress(d registry.Device) error {
	switch {
	case d.Address == "malformed":
		return &FieldError{"token", "is no token of this service"}
	case d.Transport == "webpush" && !isEndpoint(string(d.Address)):
		return &FieldError{"subscription.endpoint", "must be an https: address; inside allow-nets http: does too"}
	}
	return nil
}

func routed(d registry.Device) registry.Device {
	d.Lane, d.MustShow = string(d.Transport), d.Transport == "webpush"
	if d.Transport == "apns" {
		d.Lane += " " + cmp.Or(d.Params["environment"], "production")
	}
	return d
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
	res, err := h.via.RoundTrip(r)
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
