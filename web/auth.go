package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/registry"
)

// access is a set of kinds of callers that a route admits.
type access int

// The kinds of callers. device is a token of device scope. full is a session or a token of full
// scope, and given is one of a user whose password an admin chose. admin is the admin token, which
// belongs to no user.
const (
	device access = 1 << iota
	full
	given
	admin

	anyone access = 0
)

// caller is the sender of a request.
type caller struct {
	scope    access
	user     idlepush.User  // zero for the admin token, and on routes that need no token
	token    registry.Token // zero likewise
	previous registry.Token // session of a browser that is about to start another
	address  string         // of the client, for limits
	mark     string         // secret by which the browser is recognized, or ""
	asked    string         // secret of the browser that has asked for a challenge, or ""
	browser  string         // name of the client, from its User-Agent
	origin   string         // origin that the request was sent to
	secure   bool           // origin is https
}

// sees reports whether the caller may see the account.
func (c caller) sees(a idlepush.Account) bool { return c.scope == admin || a.Visible(c.user.ID) }

// owns reports whether the caller may see and change the things of the user.
func (c caller) owns(user string) bool { return c.scope == admin || c.user.ID == user }

// session returns the id of the caller's session, or "" if there is no session.
func (c caller) session() string {
	if !c.token.Session {
		return ""
	}
	return c.token.ID
}

// callerKey is the context key of the caller. huma has no other way to hand a value from a
// middleware to a handler.
type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// guard finds the caller and the client address of a request.
type guard struct {
	logins  registry.Logins
	admin   []byte            // SHA-256 of the admin token; nil without one
	proxies netguard.Networks // trusted reverse proxies
	origins *http.CrossOriginProtection
	log     *slog.Logger

	untrusted atomic.Pointer[netip.Prefix] // see noteProxy
}

func newGuard(c Config) *guard {
	g := &guard{logins: c.Logins, proxies: c.TrustedProxies, origins: http.NewCrossOriginProtection(), log: c.Log}
	if c.AdminToken != "" {
		g.admin = digest(string(c.AdminToken))
	}
	return g
}

// admit returns a middleware that admits the callers whom the route names, and then reads the body.
func (s *Server) admit(who access) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(hc)
		origin := s.guard.originOf(r)
		c, err := s.guard.admit(r, who, origin)
		if err == nil {
			err = readBody(w, r)
		}
		if err == nil && r.Body != nil && r.Body != http.NoBody && who != anyone {
			c, err = s.guard.authenticate(r, who) // it may have ended while the body came
		}
		if err != nil {
			s.problemOf(hc.Operation(), err).write(w)
			return
		}
		c.address, c.browser, c.mark = s.guard.clientAddress(r), browserName(r.UserAgent()), cookieOf(r, markName)
		c.asked = cookieOf(r, askedName)
		c.origin, c.secure = origin, isSecure(origin)
		next(huma.WithValue(hc, callerKey{}, c))
	}
}

// admit returns the caller of a request to an origin, if its secrets were safe on the way.
func (g *guard) admit(r *http.Request, who access, origin string) (caller, error) {
	if !isSecure(origin) && !isHere(r) && hasSecret(r, who) {
		return caller{}, problem(http.StatusForbidden, "https_needed")
	}
	return g.authenticate(r, who)
}

func isSecure(origin string) bool { return strings.HasPrefix(origin, "https:") }

// hasSecret reports whether a request has a secret that anybody on the way could read without
// https. Whoever may ask without a login sends a password or a code. All others send a token, or a
// cookie that browsers keep to https themselves.
func hasSecret(r *http.Request, who access) bool {
	_, hasBearer := bearerToken(r)
	return hasBearer || who == anyone && r.Method != http.MethodGet && r.Method != http.MethodHead
}

// authenticate returns the caller of a request. A bearer token takes precedence over a cookie. A
// request without a bearer token that is checked may come from a browser that another site has sent
// here. If it changes something, its origin must be our own.
func (g *guard) authenticate(r *http.Request, who access) (caller, error) {
	bearer, hasBearer := bearerToken(r)
	if !hasBearer || who == anyone {
		if err := g.origins.Check(r); err != nil {
			return caller{}, problem(http.StatusForbidden, "cross_origin")
		}
	}
	if who == anyone {
		cookie := cookieOf(r, cookieName)
		if cookie == "" {
			return caller{}, nil
		}
		here, err := g.session(cookie, true)
		if err != nil && !errors.Is(err, registry.ErrDenied) {
			return caller{}, err
		}
		return caller{previous: here.token}, nil
	}
	var c caller
	var err error
	switch cookie := cookieOf(r, cookieName); {
	case hasBearer && g.admin != nil && subtle.ConstantTimeCompare(digest(bearer), g.admin) == 1:
		c.scope = admin
	case hasBearer:
		c, err = g.session(bearer, false)
	case cookie != "":
		c, err = g.session(cookie, true)
	default:
		err = registry.ErrDenied
	}
	if errors.Is(err, registry.ErrDenied) {
		p := problem(http.StatusUnauthorized, "unauthorized")
		p.header = http.Header{"Www-Authenticate": {"Bearer"}}
		return caller{}, p
	}
	if err != nil {
		return caller{}, err
	}
	if c.scope&who == 0 {
		return caller{}, forbidden(c.scope)
	}
	return c, nil
}

// session returns the caller with a session cookie or a bearer token. It returns registry.ErrDenied
// if one is used as the other.
func (g *guard) session(token string, cookie bool) (caller, error) {
	u, t, err := g.logins.Authenticate(token, time.Now())
	if err != nil {
		return caller{}, err
	}
	if t.Session != cookie {
		return caller{}, registry.ErrDenied
	}
	c := caller{scope: full, user: u, token: t}
	switch {
	case t.Scope == idlepush.ScopeDevice:
		c.scope = device
	case u.PasswordGiven:
		c.scope = given
	}
	return c, nil
}

// stillAdmitted returns a problem if the caller's session or token ended while the request waited.
func stillAdmitted(logins registry.Logins, c caller) error {
	if c.scope == admin {
		return nil
	}
	return sessionEnded(logins.Check(c.user.ID, c.token.ID, time.Now()))
}

// sessionEnded returns a problem for registry.ErrDenied if the session ended while the request
// waited for a mail server or a push service.
func sessionEnded(err error) error {
	if errors.Is(err, registry.ErrDenied) {
		return problem(http.StatusUnauthorized, "unauthorized").with(codes.Case, caseEnded)
	}
	return err
}

// notAdded returns the problem if a user has as many of something as a user may have, and
// sessionEnded for other errors.
func notAdded(err error, code codes.Code) error {
	if full, ok := errors.AsType[*registry.FullError](err); ok {
		return problem(http.StatusConflict, code).with("limit", strconv.Itoa(full.Max))
	}
	return sessionEnded(err)
}

// forbidden returns the problem for a caller whom the route does not admit. All that need a token
// admit full.
func forbidden(scope access) *Problem {
	switch scope {
	case admin:
		return problem(http.StatusForbidden, "no_user")
	case given:
		return problem(http.StatusForbidden, "own_password_first")
	}
	return problem(http.StatusForbidden, "scope")
}

func bearerToken(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

// originOf returns the origin that the request was sent to. It is https if the browser names an
// https origin or a trusted proxy says so. Only setup, which takes a secret, keeps it as the
// address of this server: later requests could name any.
func (g *guard) originOf(r *http.Request) string {
	if u, err := url.Parse(r.Header.Get("Origin")); err == nil && u.Scheme == "https" && u.Host != "" {
		return "https://" + u.Host
	}
	if r.TLS != nil || g.throughProxy(r) && forwardedProto(r) == "https" {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func digest(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}

// readBody reads the whole body into memory, within bodyTimeout. It clears the read deadline
// afterwards: net/http would take a deadline that passes while a handler waits for a client that is
// gone, and cancel the request. After an error the deadline stays, because net/http reads the rest
// before it answers.
func readBody(w http.ResponseWriter, r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	conn := http.NewResponseController(w)
	conn.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return tooLarge()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problem(http.StatusRequestTimeout, "request_timeout")
	}
	if err != nil {
		return problem(http.StatusBadRequest, "bad_request").with(codes.Case, caseIncomplete)
	}
	conn.SetReadDeadline(time.Time{})
	// huma takes a body without a type for JSON. A form of another site has one of its own.
	if len(body) > 0 && r.Header.Get("Content-Type") == "" {
		return problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}
