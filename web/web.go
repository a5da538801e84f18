// Package web is the HTTP API and the page.
//
// It decides who may: every request is admitted by the access that its route names, before its body
// is read. What web needs of the other packages, such as trying an account's login or sending a
// proving push, the program hands it as functions in [Config].
//
// The file routes.go has the whole API as one table. The OpenAPI document is made from the types
// that the handlers take and return, so the two cannot differ. Errors are answered as a [Problem],
// which has a stable code.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"idlepush/netguard"
	"idlepush/registry"
)

// Config is what the API stands on. Every field is needed, except where it says otherwise. Functions may be called from several
// goroutines at once.
type Config struct {
	Users    registry.Users
	Accounts registry.Accounts
	Devices  registry.Devices
	History  registry.History
	Log      *slog.Logger
	Version  string

	// AdminToken is a bearer token with admin rights, for provisioning; empty: there is none. It is no user: it names
	// `user` in what it creates, sees states and never content.
	AdminToken registry.Secret

	// TrustedProxies are the networks whose X-Forwarded-For and X-Forwarded-Proto are believed; empty: nobody's are.
	TrustedProxies netguard.Networks

	// PublicURL is the https origin that phones reach this server at, for the page; empty: not known.
	PublicURL func() string

	// CheckAccount tries the login of an account. It blocks for as long as the mail server takes, at most 30 s, which ctx
	// bounds. An error that the person can mend is a *CheckError; any other is logged and answered with 500.
	CheckAccount func(ctx context.Context, a registry.Account) (Check, error)

	// Discover looks for the settings of a mail address, for at most 5 s. What is no address is a *FieldError.
	Discover func(ctx context.Context, email string) (Discovery, error)

	// Transports are the ways to devices.
	Transports []Transport

	// CheckAddress reports whether the address, the keys and the parameters of a device can be right, and
	// whether this server is set up for its transport. It sends nothing. An error that the person can
	// mend is a *FieldError.
	CheckAddress func(d registry.Device) error

	// Route returns the device with what its transport says of it: Lane and MustShow.
	Route func(d registry.Device) registry.Device

	// Prove sends one proving push, beside the queue. It returns when ctx ends, which is after 10 s at the latest. The device has
	// no id yet where it is new.
	Prove func(ctx context.Context, d registry.Device) registry.Outcome

	// Test sends a test push now, beside the queue, under the same bound.
	Test func(ctx context.Context, d registry.Device) registry.Outcome

	// Preview gives what the device's push service would receive for a sample mail, at the level that d.Content says, without its secrets; or
	// why there can be nothing. It sends nothing.
	Preview func(d registry.Device) (PushRequest, *registry.Outcome)

	// Live gives what is known of the account's session beside its row.
	Live func(account string) Live

	// VAPIDKey is the application server's public key (RFC 8292 section 3.2): 65 bytes, an uncompressed P-256 point.
	VAPIDKey []byte

	// Stopping is closed when the server begins to stop: streams end then. nil: it does not.
	Stopping <-chan struct{}

	// Ready says why the server cannot do its work; nil: it can.
	Ready func() error
}

// Live is what is known of an account's session beside its row. A zero time is one that is not known.
type Live struct {
	Connections                   int           // open now
	LastByte, Confirmed, LastMail time.Time     // from the server; that there is nothing more; to ring
	Interval                      time.Duration // how long the connection may be silent
	Why                           string        // the interval is that
}

// CheckError says why a login could not be done, in words for the person who gave the settings.
type CheckError struct {
	Field   string // host, port, security, username or password: what to change
	Code    string // stable, for programs, such as "wrong_password"
	Message string // what happened and what to do; never the server's raw answer
}

// Error gives the message.
func (e *CheckError) Error() string { return e.Message }

// The bounds on what a request may make the server wait for.
const (
	loginTime = 30 * time.Second // a login that is tried
	pushTime  = 10 * time.Second // a proving push or a test push
	bodyTime  = 10 * time.Second // a request body on its way in
	maxBody   = 64 << 10         // bytes
)

// server answers every request.
type server struct {
	Config
	mux     *http.ServeMux
	api     huma.API
	origins *http.CrossOriginProtection
	admin   []byte // SHA-256 of the admin token; nil: there is none

	streams   streams
	familiar  familiar
	addresses *limiter // password attempts by client address
	names     *limiter // password attempts by user name
	logins    *limiter // logins to mail servers by user
	pushes    *limiter // pushes beside the queue by user
}

// New makes the handler of the API under /api/v1, of the page at /, and of /healthz and /readyz. The http.Server that serves
// it bounds requests that are refused before their body is read (ReadTimeout, at least 20 s) and allows an answer 45 s (WriteTimeout).
func New(c Config) http.Handler {
	s := &server{
		Config:    c,
		mux:       http.NewServeMux(),
		origins:   http.NewCrossOriginProtection(),
		streams:   streams{count: make(map[string]int)},
		familiar:  familiar{seen: make(map[string]time.Time)},
		addresses: newLimiter(10, 6*time.Second),
		names:     newLimiter(20, 3*time.Second),
		logins:    newLimiter(20, 3*time.Second),
		pushes:    newLimiter(30, 2*time.Second),
	}
	if c.AdminToken != "" {
		s.admin = digest(string(c.AdminToken))
	}
	s.routes()
	return s
}

// ServeHTTP answers one request and logs it in one line, which holds the route and never the path as it was asked for.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	if strings.HasPrefix(r.URL.Path, "/api/") {
		h.Set("Cache-Control", "no-store")
	}
	handler, pattern := s.mux.Handler(r)
	// The mux would redirect a path that is not clean; apps are told instead.
	if pattern == "" || path.Clean(r.URL.Path) != r.URL.Path {
		pattern = ""
		refuse(rec, r, handler)
	} else {
		s.mux.ServeHTTP(rec, r)
	}
	_, route, _ := strings.Cut(pattern, " ")
	level := slog.LevelDebug
	if r.Method != http.MethodGet && r.Method != http.MethodHead || rec.status >= 500 {
		level = slog.LevelInfo
	}
	s.Log.Log(r.Context(), level, "request", "method", method(r), "path", route,
		"status", rec.status, "duration", time.Since(start).Round(time.Microsecond), "remote", s.clientAddress(r))
}

// method is the request's method, which a client may choose freely, as far as it is one to be logged.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// refuse answers what no route takes: the mux knows whether that is 404 or 405, and which methods would do.
func refuse(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	verdict := &verdict{header: http.Header{}}
	handler.ServeHTTP(verdict, r)
	p := notFound()
	if verdict.status == http.StatusMethodNotAllowed {
		p = problem(verdict.status, "method_not_allowed", "This address does not take that method.")
		p.header = http.Header{"Allow": verdict.header["Allow"]}
	}
	p.write(w)
}

// verdict keeps the status and headers of an answer and drops its text.
type verdict struct {
	header http.Header
	status int
}

func (v *verdict) Header() http.Header         { return v.header }
func (v *verdict) Write(b []byte) (int, error) { return len(b), nil }
func (v *verdict) WriteHeader(status int)      { v.status = status }

// recorder keeps the status for the log.
type recorder struct {
	http.ResponseWriter
	status int
}

func (rec *recorder) WriteHeader(status int) {
	rec.status = status
	rec.ResponseWriter.WriteHeader(status)
}

// Write reports success also where the client has gone: that is nobody's fault, and huma would panic.
func (rec *recorder) Write(b []byte) (int, error) {
	rec.ResponseWriter.Write(b)
	return len(b), nil
}

// Unwrap lets http.ResponseController reach the connection.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// refusal is what a handler's error becomes: a problem, or 500 without details and a line in the log.
func (s *server) refusal(op *huma.Operation, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if f, ok := errors.AsType[*FieldError](err); ok {
		return invalid(*f)
	}
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return notFound()
	case errors.Is(err, registry.ErrTaken):
		return unprocessable("name", "taken", "Another user has this name.")
	case errors.Is(err, registry.ErrLastAdmin):
		return problem(http.StatusConflict, "last_admin", "Somebody must be an admin. Make another person one first.")
	}
	if errors.Is(err, context.Canceled) {
		return problem(http.StatusRequestTimeout, "request_timeout", "The client has gone.")
	}
	s.Log.Error("request failed", "method", op.Method, "path", op.Path, "err", err)
	return problem(http.StatusInternalServerError, "internal", "Something went wrong on the server. Its log says what.")
}
