package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/promise"
	"idlepush/registry"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
	"idlepush/ring"
)

// Values that the tests use. The marker must be in no answer and in no log line.
const (
	marker     = registrytest.SecretMarker
	password   = registrytest.Password
	wrong      = "wrong planted password"
	fcmToken   = "fcm:planted-1"
	apnsToken  = "a95planted000000000000000000000000000000000000000000000000000000"
	endpoint   = "https://push.example.net/planted/1"
	adminToken = "admin-planted-token"

	removedEndpoint = "https://permanently-removed.invalid/" // of a browser that has none
	p256dh          = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
	auth            = "BTBZMqHH6r4Tts7J_aSIgg" // with p256dh from RFC 8291 section 5
)

// transports are the transports of the program. A test of the program compares them with
// testdata/openapi.json.
var transports = []Transport{
	{Name: "fcm"},
	{Name: "apns", Params: []Param{
		{Name: "environment", Values: []string{"production", "sandbox"}, Learned: true,
			Doc: "the environment of the token; absent: not known, then each push asks production first and the sandbox where production does not know the token, until one has shown which it is"},
		{Name: "topic", MaxLength: 255, Doc: "the app's bundle id; absent: the server's"}}},
	{Name: "webpush", Subscription: true},
	{Name: "unifiedpush", Subscription: true},
}

// in returns the parameter for an environment of APNs, or nil if it is unknown ("").
func in(environment string) map[string]string {
	if environment == "" {
		return nil
	}
	return map[string]string{"environment": environment}
}

// learnedEnvironment returns what a push has shown of an environment.
func learnedEnvironment(environment string) *idlepush.Learned {
	if environment == "" {
		return nil
	}
	return &idlepush.Learned{Params: in(environment), Lane: "apns " + environment}
}

// person is a user with a token of each scope.
type person struct{ id, full, device string }

// testServer is a running server over a real store, with two users: Anna, the admin, and Ben.
type testServer struct {
	t        testing.TB
	store    *registry.Store
	server   *Server
	handlers *handlers
	url      string
	via      http.RoundTripper // sends requests to the server
	logger   *slog.Logger
	log      *registrytest.Log
	anna     person
	ben      person
	doc      *document

	mu      sync.Mutex // guards the fields below, which handlers read
	check   func(ctx context.Context, a idlepush.Account) (Check, error)
	outcome registry.Outcome      // of every push
	during  func(idlepush.Device) // called during each push; may be nil
	before  func() error          // called before each transaction; its error prevents that
	preview func(idlepush.Device) (PushRequest, *registry.Outcome)
	proved  int // proving pushes sent
	tested  int // test pushes sent
	tried   int // logins tried
	ready   error
	broken  []promise.Broken
	recent  func(ctx context.Context, a idlepush.Account) ([]ring.Mail, error)
	signIn  func(a idlepush.Account, redirect, state string) (SignIn, error)
	stop    chan struct{}
	asked   string // the providers whose mailboxes are tried

	untrusted func(idlepush.Account) error // why its certificate is not trusted; nil: it is
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newTestServer starts a server with a new store.
func newTestServer(t testing.TB) *testServer {
	t.Helper()
	dir, anna, ben := registrytest.DirWithUsers(t)
	return testServerAt(t, dir).withTokens(anna, ben)
}

// newBoundedServer is newTestServer with the bounds of the program on what a user may have.
func newBoundedServer(t testing.TB) *testServer {
	t.Helper()
	dir, anna, ben := registrytest.DirWithUsers(t)
	h := &testServer{t: t, store: registrytest.OpenBounded(t, dir)}
	return h.serve().withTokens(anna, ben)
}

// withTokens gives tokens to the two users.
func (h *testServer) withTokens(anna, ben idlepush.User) *testServer {
	h.t.Helper()
	for user, p := range map[string]*person{anna.ID: &h.anna, ben.ID: &h.ben} {
		p.id = user
		for scope, token := range map[idlepush.Scope]*string{idlepush.ScopeFull: &p.full, idlepush.ScopeDevice: &p.device} {
			var err error
			_, *token, err = h.store.Logins.AddToken(user, string(scope), scope, "", time.Now())
			fatal(h.t, err)
			_, t, err := h.store.Logins.Authenticate(*token, time.Now()) // its first use is written
			fatal(h.t, err)
			fatal(h.t, h.store.Logins.Prove(user, t.ID, registry.Proof{Password: password}, time.Now()))
		}
	}
	return h
}

// testServerAt starts a server with the data folder dir.
func testServerAt(t testing.TB, dir string) *testServer {
	t.Helper()
	h := &testServer{t: t}
	h.store = registrytest.OpenFailing(t, dir, h.transaction)
	return h.serve()
}

// serve starts the server over its store.
func (h *testServer) serve() *testServer {
	t := h.t
	t.Helper()
	h.check, h.recent, h.signIn, h.preview, h.stop, h.outcome = accept, noMail, signIn, sample, make(chan struct{}), registry.Outcome{Result: registry.ResultDelivered}
	h.logger, h.log = registrytest.NewLog(t)
	h.server, h.handlers = newServer(h.config())
	running, stop := context.WithCancel(context.Background())
	var signIns sync.WaitGroup
	signIns.Go(func() { h.server.Run(running) })
	web := httptest.NewServer(h)
	h.url, h.via = web.URL, deadlineTransport{h, web.Client().Transport}
	var err error
	h.doc, err = documented()
	fatal(t, err)
	t.Cleanup(func() {
		web.Close()
		stop()
		signIns.Wait()
		fatal(t, h.store.Close())
		h.noSecrets("the log", h.log.String())
	})
	return h
}

// deadlineTransport cancels requests at the deadline of the test.
type deadlineTransport struct {
	h         *testServer
	transport http.RoundTripper
}

func (p deadlineTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return p.transport.RoundTrip(r.WithContext(testenv.Context(p.h.t)))
}

// transaction returns the error that prevents a transaction of the store, or nil.
func (h *testServer) transaction() error {
	h.mu.Lock()
	before := h.before
	h.mu.Unlock()
	if before == nil {
		return nil
	}
	return before()
}

// at calls happen before the n-th transaction from now, which fails with its error. If n is 0 it is
// never called. count returns the number of transactions so far.
func (h *testServer) at(n int64, happen func() error) (count func() int64) {
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

// inside sends all further requests without a connection, as a client at that address. Tests use it
// in a synctest bubble, whose test is t.
func (h *testServer) inside(t testing.TB, address string) *testServer {
	h.t, h.via = t, handlerTransport{h, address + ":443"}
	return h
}

// handlerTransport calls a handler directly.
type handlerTransport struct {
	handler http.Handler
	remote  string
}

func (d handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	r = r.Clone(r.Context()) // the handler replaces the body
	r.RemoteAddr = d.remote
	d.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

func (h *testServer) config() Config {
	key, _ := base64.RawURLEncoding.DecodeString(p256dh)
	return Config{
		Users: h.store.Users, Logins: h.store.Logins, Accounts: h.store.Accounts, Devices: h.store.Devices, History: h.store.History, Version: "test", AdminToken: adminToken,
		Log:       h.logger,
		Codes:     allCodes,
		PublicURL: func() string { return "https://house.example.net" },
		Mail: MailConfig{Check: h.checkLogin, Discover: discovered, Examine: func(context.Context, idlepush.Account) []idlepush.Step { return nil }, Recent: h.recentMail, Live: func(string) Live {
			return Live{Connections: 1, LastByte: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Interval: 9 * time.Minute, Why: idlepush.Reason{Code: "interval_default"}, Tour: 30 * time.Second}
		}},
		OAuth: h.oauthConfig(),
		Push: PushConfig{Transports: transports, CheckAddress: checkAddress, Route: routed, Prove: h.prove, Replay: replay, VAPIDKey: key,
			Preview: func(d idlepush.Device) (PushRequest, *registry.Outcome) {
				h.mu.Lock()
				defer h.mu.Unlock()
				return h.preview(d)
			}},
		Stopping: h.stop,
		Broken: func() []promise.Broken {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.broken
		},
		Ready: func() error {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.ready
		},
	}
}

// set changes what the handlers read.
func (h *testServer) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// answer is an answer of the server.
type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// send sends a request. It checks that the answer is as the OpenAPI document says and has no
// secret.
func (h *testServer) send(r *http.Request) answer {
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

func (h *testServer) noSecrets(where string, texts ...string) {
	h.t.Helper()
	for _, text := range texts {
		for _, secret := range []string{marker, auth} {
			if strings.Contains(text, secret) {
				h.t.Errorf("%s holds a secret: %s", where, text)
			}
		}
	}
}

// request returns a request below /api/v1, without a token if that is "". body is text or a value
// to encode as JSON.
func (h *testServer) request(token, method, path string, body any) *http.Request {
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

// call sends a request and fails the test unless the answer has the status.
func (h *testServer) call(token, method, path string, body any, want int) answer {
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
		e := e.(map[string]any)
		got = append(got, e["field"].(string))
		params := make(map[string]string)
		given, _ := e["params"].(map[string]any)
		for name, value := range given {
			params[name] = value.(string)
		}
		code := codes.Code(e["code"].(string))
		if err := allCodes.Check(code, params); err != nil || e["message"] != allCodes.Sentence(code, params) {
			t.Errorf("its message is no sentence of its code, %v: %s", err, a.raw)
		}
	}
	if strings.Join(got, " ") != strings.Join(fields, " ") {
		t.Errorf("the problem names %q, want %q: %s", got, fields, a.raw)
	}
}

func (a answer) id() string { return a.body["id"].(string) }

func (a answer) state() any { return a.body["status"].(map[string]any)["state"] }

// object is a JSON object.
type object map[string]any

// with returns a copy with one field replaced, or removed if value is nil.
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
