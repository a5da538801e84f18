package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"idlepush"
	"idlepush/registry"
)

// Names of the cookies: of the session, and of the mark by which a browser is recognized. Browsers
// accept the prefix __Host- only over https, without a domain and for the whole site (RFC 6265bis
// section 4.1.3.2). The name without it is for http on the user's own machine.
const (
	cookieName = hostPrefix + "idlepush"
	markName   = hostPrefix + "idlepush-browser"
	hostPrefix = "__Host-"
)

// markLifetime is the longest for which browsers keep a cookie (RFC 6265bis section 5.5).
const markLifetime = 400 * 24 * time.Hour

// Login is a name and a password.
type Login struct {
	Name     string `json:"name" minLength:"1" maxLength:"64"`
	Password string `json:"password" minLength:"1" maxLength:"1024"`
	Stay     bool   `json:"stay,omitempty" doc:"Stay signed in: the session lasts up to 90 days without use, and at most a year. Otherwise it lasts up to 12 hours without use, at most 7 days, and until the browser is closed"`
}

// LoggedIn holds the user who has logged in.
type LoggedIn struct {
	User User `json:"user"`
}

// loggedIn is LoggedIn with the cookies of the session and of the browser.
type loggedIn struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      LoggedIn
}

// sessionHandlers serves setup and the sessions of browsers.
type sessionHandlers struct {
	users  registry.Users
	logins registry.Logins
	limits *limits
	log    *slog.Logger
}

func (h *sessionHandlers) logIn(ctx context.Context, c caller, in *body[Login]) (*loggedIn, error) {
	b := in.Body
	var u idlepush.User
	var session string
	err := onceTold(ctx, func() error {
		done, err := h.limits.allowPassword(ctx, c, b.Name)
		if err != nil {
			return err
		}
		defer done()
		u, session, err = h.logins.Login(b.Name, b.Password, c.visit(b.Stay), time.Now())
		return err
	})
	if errors.Is(err, registry.ErrDenied) {
		return nil, problem(http.StatusUnauthorized, "wrong_login")
	}
	if err != nil {
		return nil, err
	}
	return h.startSession(c, u, session, b.Stay)
}

// onceTold calls try, and again for a few seconds while the devices of the person are being told:
// mostly they are within one.
func onceTold(ctx context.Context, try func() error) error {
	for _, pause := range []time.Duration{300 * time.Millisecond, time.Second, 3 * time.Second} {
		if err := try(); !errors.Is(err, registry.ErrNotTold) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return try()
}

// startSession answers with a new session. If the browser was in a session of another user, it ends
// that session. It also removes its device, which would show mail of one user to the other.
func (h *sessionHandlers) startSession(c caller, u idlepush.User, session string, stay bool) (*loggedIn, error) {
	if c.previous.ID != "" && c.previous.User != u.ID {
		if err := h.logins.LogOut(c.previous.User, c.previous.ID); err != nil && !errors.Is(err, registry.ErrNotFound) {
			return nil, err
		}
	}
	return &loggedIn{h.cookies(c, u, session, stay), LoggedIn{userOf(u)}}, nil
}

// visit returns how the caller's browser will be known.
func (c caller) visit(stay bool) registry.Visit { return registry.Visit{Name: c.browser, Stay: stay} }

// cookies returns the cookie of a session, and that by which the browser is recognized at the next
// login of the user. It remembers the browser. If that fails, the session has begun all the same.
func (h *sessionHandlers) cookies(c caller, u idlepush.User, session string, stay bool) []http.Cookie {
	cookies := []http.Cookie{c.sessionCookie(session, stay)}
	mark, err := h.logins.Remember(u.ID, c.mark)
	if err != nil {
		h.log.Warn("a browser is not remembered", "err", err)
		return cookies
	}
	return append(cookies, c.cookie(markName, mark, markLifetime))
}

// sessionCookie returns the cookie of a session. It lasts until the browser is closed, or if stay
// is set as long as the session can.
func (c caller) sessionCookie(session string, stay bool) http.Cookie {
	if !stay {
		return c.cookie(cookieName, session, 0)
	}
	return c.cookie(cookieName, session, registry.StayLifetime)
}

// cookie returns a cookie that lasts until the browser is closed if lifetime is 0. It is
// SameSite=Lax, because a click on a notification opens the page from another site and needs the
// session. CrossOriginProtection guards the requests that change something.
func (c caller) cookie(name, value string, lifetime time.Duration) http.Cookie {
	k := http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(lifetime.Seconds())}
	if !c.secure {
		k.Name, k.Secure = plain(name), false
	}
	return k
}

// plain returns the name that a cookie has over http.
func plain(name string) string { return strings.TrimPrefix(name, hostPrefix) }

// cookieOf returns the cookie of that name, or "". It ignores a plain cookie on any host but the
// user's own machine: somebody else must have set it.
func cookieOf(r *http.Request, name string) string {
	if k, err := r.Cookie(name); err == nil {
		return k.Value
	}
	if k, err := r.Cookie(plain(name)); err == nil && isHere(r) {
		return k.Value
	}
	return ""
}

// isHere reports whether the request comes from a browser on the machine that it names. A proxy
// that does not pass the host on names its own machine, whoever asks. It is known by what it
// forwards, or by HTTP/1.0, which only proxies speak, such as nginx by default.
func isHere(r *http.Request) bool {
	from := func(node string) bool { return !nodeAddress(node).IsLoopback() }
	return isLocal(r.Host) && r.ProtoAtLeast(1, 1) && !slices.ContainsFunc(forwardedFor(r), from)
}

// isLocal reports whether the host, with or without a port, is the machine on which the browser
// runs.
func isLocal(host string) bool {
	if at, err := netip.ParseAddrPort(host); err == nil {
		return at.Addr().IsLoopback()
	}
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return addr.IsLoopback()
	}
	name, _, _ := strings.Cut(strings.ToLower(host), ":")
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// loggedOut removes the cookie.
type loggedOut struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

func (h *sessionHandlers) logOut(_ context.Context, c caller, _ *struct{}) (*loggedOut, error) {
	if !c.token.Session {
		return nil, problem(http.StatusForbidden, "no_session")
	}
	if err := h.logins.LogOut(c.user.ID, c.token.ID); err != nil {
		return nil, err
	}
	gone := c.cookie(cookieName, "", 0)
	gone.MaxAge = -1
	return &loggedOut{gone}, nil
}

// Session is a session of the user in one browser.
type Session struct {
	ID      string    `json:"id"`
	Name    string    `json:"name" doc:"Name of the browser, from its User-Agent"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used" doc:"Approximate time of its last use"`
	Expires time.Time `json:"expires" doc:"When it ends at the latest"`
	Stay    bool      `json:"stay" doc:"Whether the user stays signed in"`
	Current bool      `json:"current" doc:"Whether it sent this request"`
}

func (h *sessionHandlers) listSessions(_ context.Context, c caller, in *pageOf) (*body[List[Session]], error) {
	sessions, err := h.logins.Sessions(c.user.ID, time.Now())
	if err != nil {
		return nil, err
	}
	return listOf(sessions, func(t registry.Token) place { return placeOf(t.Created, t.ID) }, *in, func(t registry.Token) (Session, error) {
		return Session{t.ID, t.Name, t.Created.UTC(), t.Used.UTC(), t.Expires.UTC(), t.Stay, t.ID == c.session()}, nil
	})
}

func (h *sessionHandlers) deleteSession(_ context.Context, c caller, in *byID) (*struct{}, error) {
	return nil, h.logins.RemoveSession(c.user.ID, in.ID, c.token.ID)
}

// browserName returns a readable name for a User-Agent. Browsers pretend to be others, so the order
// matters.
func browserName(agent string) string {
	first := func(known [][2]string) string {
		for _, k := range known {
			if strings.Contains(agent, k[0]) {
				return k[1]
			}
		}
		return ""
	}
	browser := first([][2]string{{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"FxiOS/", "Firefox"}, {"Firefox/", "Firefox"},
		{"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}, {"AppleWebKit/", "Web app"}})
	system := first([][2]string{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"},
		{"Windows", "Windows"}, {"Macintosh", "Mac"}, {"Linux", "Linux"}})
	switch {
	case browser == "" && system == "":
		return "Another program"
	case browser == "":
		return system
	case system == "":
		return browser
	}
	return browser + " on " + system
}
