// Package web serves the HTTP API and the page.
//
// It decides who may do what: a route names the callers that it admits, which is checked before the
// body is read. The program hands it what it needs of other packages as functions in [Config], such
// as trying a login or sending a test push.
//
// routes.go holds the whole API as one table. The OpenAPI document is generated from the types that
// the handlers take and return, so the two cannot differ. An error is answered with a [Problem],
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

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
)

// CheckError describes why a login failed, for the person who entered the settings.
type CheckError struct {
	Field       string // field to change: host, port, security, username, password or certificate
	Reason      idlepush.Reason
	Certificate *idlepush.Certificate // what the person can trust instead; nil: that would not help
}

// Error returns the code.
func (e *CheckError) Error() string { return string(e.Reason.Code) }

// Bounds on requests.
const (
	loginTimeout = 30 * time.Second // to try a login
	pushTimeout  = 10 * time.Second // to send a test push
	bodyTimeout  = 10 * time.Second // to read a request body
	maxBody      = 64 << 10         // bytes of a request body
)

// Server answers every request.
type Server struct {
	log    *slog.Logger
	codes  codes.Table
	ready  func() error
	mux    *http.ServeMux
	api    huma.API
	guard  *guard
	limits *limits
	signIn *consentHandlers

	publicURL func() string // see Config
}

// New returns the handler of the API under /api/v1, of the page at /, and of /healthz and /readyz.
// The http.Server that serves it needs a ReadTimeout of at least 20 s, which bounds requests that
// are refused before their body is read. Its WriteTimeout must allow an answer 45 s.
func New(c Config) *Server {
	s, _ := newServer(c)
	return s
}

func newServer(c Config) (*Server, *handlers) {
	l := newLimits(c.Logins)
	s := &Server{log: c.Log, codes: c.Codes, ready: c.Ready, mux: http.NewServeMux(), guard: newGuard(c), limits: l, publicURL: c.PublicURL}
	h := newHandlers(c, s.guard, l)
	s.signIn = h.consents
	s.routes(h, c)
	return s, h
}

// Run does what people wait for who sign in to a mailbox at its provider. It returns when ctx ends,
// after all of that has ended. Without it, no sign-in comes to an end.
func (s *Server) Run(ctx context.Context) { s.signIn.run(ctx) }

// ServeHTTP answers one request and logs it in one line. The line has the route and never the path
// of the request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	s.guard.noteProxy(r)
	rec := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()")
	if s.isHTTPS(r) {
		h.Set("Strict-Transport-Security", "max-age=31536000") // a year
	}
	if strings.HasPrefix(r.URL.Path, "/api/") {
		h.Set("Cache-Control", "no-store")
	}
	handler, pattern := s.mux.Handler(r)
	// The mux would redirect a path that is not clean. Apps get an error instead.
	if pattern == "" || path.Clean(r.URL.Path) != r.URL.Path {
		pattern = ""
		answerUnrouted(rec, r, handler)
	} else {
		s.mux.ServeHTTP(rec, r)
	}
	_, route, _ := strings.Cut(pattern, " ")
	level := slog.LevelDebug
	if r.Method != http.MethodGet && r.Method != http.MethodHead || rec.status >= 500 {
		level = slog.LevelInfo
	}
	s.log.Log(r.Context(), level, "request", "method", method(r), "path", route,
		"status", rec.status, "duration", time.Since(start).Round(time.Microsecond), "remote", s.guard.clientAddress(r))
}

// isHTTPS reports whether the request was made by https, as far as can be known. One to the host of
// the public URL counts as such, because that is https. Browsers ignore the header over http.
func (s *Server) isHTTPS(r *http.Request) bool {
	return strings.HasPrefix(s.guard.originOf(r), "https:") || "https://"+r.Host == s.publicURL()
}

// method returns the request's method for the log, or "other" if it is not a common one. A client
// can send any text.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// answerUnrouted answers a request that no route takes. The mux knows whether that is 404 or 405,
// and which methods are allowed.
func answerUnrouted(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	rec := &headerRecorder{header: http.Header{}}
	handler.ServeHTTP(rec, r)
	p := notFound()
	if rec.status == http.StatusMethodNotAllowed {
		p = problem(rec.status, "method_not_allowed")
		p.header = http.Header{"Allow": rec.header["Allow"]}
	}
	p.write(w)
}

// headerRecorder keeps the status and the headers of an answer and drops its body.
type headerRecorder struct {
	header http.Header
	status int
}

func (rec *headerRecorder) Header() http.Header         { return rec.header }
func (rec *headerRecorder) Write(b []byte) (int, error) { return len(b), nil }
func (rec *headerRecorder) WriteHeader(status int)      { rec.status = status }

// statusRecorder keeps the status for the log.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (rec *statusRecorder) WriteHeader(status int) {
	rec.status = status
	rec.ResponseWriter.WriteHeader(status)
}

// Write always reports success. A client that is gone is no error of the server, and huma would
// panic.
func (rec *statusRecorder) Write(b []byte) (int, error) {
	rec.ResponseWriter.Write(b)
	return len(b), nil
}

// Unwrap lets http.ResponseController reach the connection.
func (rec *statusRecorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// toldRetry is when somebody may come again whom the devices of a person are being told of, in
// seconds.
const toldRetry = "5"

// problemOf returns the problem for an error of a handler. An unexpected error becomes 500 without
// details, and is logged.
func (s *Server) problemOf(op *huma.Operation, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if f, ok := errors.AsType[FieldError](err); ok {
		return invalid(s.codes, f)
	}
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return notFound()
	case errors.Is(err, registry.ErrTaken):
		return unprocessable("name", "taken")
	case errors.Is(err, registry.ErrLooksTaken):
		return unprocessableOf(sentences, "name", idlepush.Reason{Code: "taken"}.With(codes.Case, caseLooks))
	case errors.Is(err, registry.ErrStale):
		return problem(http.StatusConflict, "changed")
	case errors.Is(err, registry.ErrLast):
		return problem(http.StatusConflict, "last_admin")
	case errors.Is(err, registry.ErrNotTold):
		p := problem(http.StatusConflict, "devices_first")
		p.header = http.Header{"Retry-After": {toldRetry}}
		return p
	}
	if errors.Is(err, context.Canceled) {
		return problem(http.StatusRequestTimeout, "request_timeout").with(codes.Case, caseGone)
	}
	s.log.Error("request failed", "method", op.Method, "path", op.Path, "err", err)
	return problem(http.StatusInternalServerError, "internal")
}
