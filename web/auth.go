package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"idlepush/netguard"
	"idlepush/registry"
)

// access is a set of those whom a route admits.
type access int

// device is a token of device scope, full a session or a token of full scope, admin the admin token, which is no user.
const (
	device access = 1 << iota
	full
	admin

	anyone access = 0
)

// caller is who makes a request.
type caller struct {
	scope   access
	user    registry.User  // zero for the admin token and where no token is needed
	token   registry.Token // zero likewise
	former  registry.Token // of a browser that is about to begin a session: the one that it is in
	address string         // the client's, for limits
	browser string         // what the client calls itself
	home    string         // the origin that the request was made to
	secure  bool           // that is https
	local   bool           // that is the machine which the browser runs on
}

// sees reports whether the caller may see the account.
func (c caller) sees(a registry.Account) bool { return c.scope == admin || a.Visible(c.user.ID) }

// owns reports whether a thing of the user is the caller's to see and change.
func (c caller) owns(user string) bool { return c.scope == admin || c.user.ID == user }

// session is the id of the caller's session; empty: it has none.
func (c caller) session() string {
	if !c.token.Session {
		return ""
	}
	return c.token.ID
}

// callerKey is the one key of ours in a context: huma offers no other way from a middleware to a handler.
type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// guard finds out who makes a request, and from where.
type guard struct {
	users   registry.Users
	admin   []byte            // SHA-256 of the admin token; nil if there is no admin token
	proxies netguard.Networks // trusted reverse proxies
	origins *http.CrossOriginProtection
}

func newGuard(c Config) *guard {
	g := &guard{users: c.Users, proxies: c.TrustedProxies, origins: http.NewCrossOriginProtection()}
	if c.AdminToken != "" {
		g.admin = digest(string(c.AdminToken))
	}
	return g
}

// admit lets those in whom the route names, then reads the body.
func (s *server) admit(who access) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(hc)
		c, err := s.guard.authenticate(r, who)
		if err == nil {
			err = readBody(w, r)
		}
		if err != nil {
			s.refusal(hc.Operation(), err).write(w)
			return
		}
		c.address, c.browser, c.home, c.local = s.guard.clientAddress(r), browserName(r.UserAgent()), s.guard.originOf(r), isLocal(r.Host)
		c.secure = strings.HasPrefix(c.home, "https:")
		if c.session() != "" {
			s.limits.familiar.note(c.address, c.user.Name, time.Now())
		}
		next(huma.WithValue(hc, callerKey{}, c))
	}
}

// authenticate finds out who makes the request. A bearer token goes before a cookie. Requests without one may come from
// a browser that was led here by another site, so the ones that change something must come from our own.
func (g *guard) authenticate(r *http.Request, who access) (caller, error) {
	bearer, hasBearer := bearerToken(r)
	if !hasBearer {
		if err := g.origins.Check(r); err != nil {
			return caller{}, problem(http.StatusForbidden, "cross_origin", "This request comes from another site.")
		}
	}
	if who == anyone {
		cookie := sessionCookie(r)
		if cookie == "" {
			return caller{}, nil
		}
		here, err := g.session(cookie, true)
		if err != nil && !errors.Is(err, registry.ErrDenied) {
			return caller{}, err
		}
		return caller{former: here.token}, nil
	}
	var c caller
	var err error
	switch cookie := sessionCookie(r); {
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
		p := problem(http.StatusUnauthorized, "unauthorized", "Log in, or give a bearer token that is valid.")
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

// session gives the caller of a session's cookie or of a bearer token; neither passes for the other.
func (g *guard) session(token string, cookie bool) (caller, error) {
	u, t, err := g.users.Authenticate(token, time.Now())
	if err != nil {
		return caller{}, err
	}
	if t.Session != cookie {
		return caller{}, registry.ErrDenied
	}
	c := caller{scope: full, user: u, token: t}
	if t.Scope == registry.DeviceScope {
		c.scope = device
	}
	return c, nil
}

// ended tells the caller if something was not made because the session has ended, while a mail server
// or a push service was waited for.
func ended(err error) error {
	if errors.Is(err, registry.ErrDenied) {
		return problem(http.StatusUnauthorized, "unauthorized", "This session has ended. Log in.")
	}
	return err
}

func forbidden(scope access) *Problem {
	switch scope {
	case device:
		return problem(http.StatusForbidden, "scope", "A token of device scope is for devices, notifications and account names. Use one of full scope.")
	case admin:
		return problem(http.StatusForbidden, "no_user", "The admin token is no user: it has neither settings of its own nor any mail to see.")
	}
	return problem(http.StatusForbidden, "forbidden", "This is not for users.")
}

func bearerToken(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

// originOf is the origin that the request was made to: https where the browser names such an origin, or a trusted proxy says so. As where
// phones reach this server it is kept at setup only, which takes a secret: later requests could name any.
func (g *guard) originOf(r *http.Request) string {
	if u, err := url.Parse(r.Header.Get("Origin")); err == nil && u.Scheme == "https" && u.Host != "" {
		return "https://" + u.Host
	}
	if r.TLS != nil || g.throughProxy(r) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func digest(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}

// readBody takes the whole body into memory. The read deadline must not stand while a handler waits for a mail server or
// a push service: net/http takes its passing for a client that has gone, and ends the request's context. After a failure it stays:
// net/http reads the rest before it answers.
func readBody(w http.ResponseWriter, r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	conn := http.NewResponseController(w)
	conn.SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return tooLarge()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problem(http.StatusRequestTimeout, "request_timeout", "The request took too long to arrive.")
	}
	if err != nil {
		return problem(http.StatusBadRequest, "bad_request", "The request did not arrive whole.")
	}
	conn.SetReadDeadline(time.Time{})
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}
