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

	"idlepush/registry"
)

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
	log    *slog.Logger
	ready  func() error
	mux    *http.ServeMux
	api    huma.API
	guard  *guard
	limits *limits
}

// New returns the handler of the API under /api/v1, of the page at /, and of /healthz and /readyz.
// The http.Server that serves it needs a ReadTimeout of at least 20 s, which bounds requests that are
// refused before their body is read. Its WriteTimeout must allow an answer 45 s.
func New(c Config) http.Handler {
	s, _ := newServer(c)
	return s
}

func newServer(c Config) (*server, *handlers) {
	l := newLimits()
	s := &server{log: c.Log, ready: c.Ready, mux: http.NewServeMux(), guard: newGuard(c), limits: l}
	h := newHandlers(c, s.guard, l)
	s.routes(h, c.Version)
	return s, h
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
	s.log.Log(r.Context(), level, "request", "method", method(r), "path", route,
		"status", rec.status, "duration", time.Since(start).Round(time.Microsecond), "remote", s.guard.clientAddress(r))
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
	s.log.Error("request failed", "method", op.Method, "path", op.Path, "err", err)
	return problem(http.StatusInternalServerError, "internal", "Something went wrong on the server. Its log says what.")
}
