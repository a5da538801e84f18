package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"idlepush/registry"
)

// The session cookie's names. Browsers take one with the prefix only over https, without a domain and for the whole site (RFC 6265bis section
// 4.1.3.2). Without it, it is for http on the own machine.
const (
	cookieName      = "__Host-idlepush"
	plainCookieName = "idlepush"
)

// Login is a name and a password.
type Login struct {
	Name     string `json:"name" minLength:"1" maxLength:"64"`
	Password string `json:"password" minLength:"1" maxLength:"1024"`
	Stay     bool   `json:"stay,omitempty" doc:"Stay signed in: the session lasts for 90 days without use, at most a year; else for 12 hours without use, at most 7 days, and only until the browser is closed"`
}

// LoggedIn is who has logged in.
type LoggedIn struct {
	User User `json:"user"`
}

// loggedIn is LoggedIn with the session's cookie.
type loggedIn struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
	Body      LoggedIn
}

// sessionHandlers serves the sessions of browsers, and setup.
type sessionHandlers struct {
	users  registry.Users
	limits *limits
	log    *slog.Logger
}

func (h *sessionHandlers) logIn(_ context.Context, c caller, in *body[Login]) (*loggedIn, error) {
	b := in.Body
	visit, err := c.visit(b.Stay)
	if err != nil {
		return nil, err
	}
	if err := h.limits.allowPassword(c, b.Name); err != nil {
		return nil, err
	}
	u, session, err := h.users.Login(b.Name, b.Password, visit, time.Now())
	if errors.Is(err, registry.ErrDenied) {
		return nil, problem(http.StatusUnauthorized, "wrong_login", "The name or the password is wrong.")
	}
	if err != nil {
		return nil, err
	}
	return h.begun(c, u, session, b.Stay)
}

// begun answers with a new session. Where the browser was in another user's, that one ends, and its device with it: it would show one's mail to the other.
func (h *sessionHandlers) begun(c caller, u registry.User, session string, stay bool) (*loggedIn, error) {
	h.limits.familiar.note(c.address, u.Name, time.Now())
	if c.former.ID != "" && c.former.User != u.ID {
		if err := h.users.RemoveSession(c.former.User, c.former.ID); err != nil && !errors.Is(err, registry.ErrNotFound) {
			return nil, err
		}
	}
	return &loggedIn{c.cookie(session, stay), LoggedIn{userOf(u)}}, nil
}

// visit is how the caller's browser will be known. Over http a session is for the own machine: anywhere else whoever is between could take it.
func (c caller) visit(stay bool) (registry.Visit, error) {
	if !c.secure && !c.local {
		return registry.Visit{}, problem(http.StatusForbidden, "https_needed", "Passwords and phones need https. Open this server by its https address.")
	}
	return registry.Visit{Name: c.browser, Stay: stay}, nil
}

// cookie makes the session's cookie, which lasts until the browser is closed or, where the person stays signed in, as long as the session can. Lax: a click
// on a notification opens the page from elsewhere and must find the session; what changes something is guarded by CrossOriginProtection.
func (c caller) cookie(session string, stay bool) http.Cookie {
	k := http.Cookie{Name: cookieName, Value: session, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if !c.secure {
		k.Name, k.Secure = plainCookieName, false
	}
	if stay {
		k.MaxAge = int(registry.StayLifetime.Seconds())
	}
	return k
}

// sessionCookie is the session of the request, empty where there is none. A browser that sends the plain cookie to another host than the own machine was given it by
// somebody else.
func sessionCookie(r *http.Request) string {
	if k, err := r.Cookie(cookieName); err == nil {
		return k.Value
	}
	if k, err := r.Cookie(plainCookieName); err == nil && isLocal(r.Host) {
		return k.Value
	}
	return ""
}

// isLocal reports whether the host, with or without a port, is the machine that the browser runs on.
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

// loggedOut takes the cookie away.
type loggedOut struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

func (h *sessionHandlers) logOut(_ context.Context, c caller, _ *struct{}) (*loggedOut, error) {
	if !c.token.Session {
		return nil, problem(http.StatusForbidden, "no_session", "A bearer token is no session. End it with DELETE /tokens.")
	}
	if err := h.users.RemoveSession(c.user.ID, c.token.ID); err != nil {
		return nil, err
	}
	gone := c.cookie("", false)
	gone.MaxAge = -1
	return &loggedOut{gone}, nil
}

// Session is a browser in which the user is logged in.
type Session struct {
	ID      string    `json:"id"`
	Name    string    `json:"name" doc:"Which browser it is, as it calls itself"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used" doc:"About when it was last used"`
	Expires time.Time `json:"expires" doc:"When it ends at the latest"`
	Stay    bool      `json:"stay" doc:"Whether the person stays signed in there"`
	Current bool      `json:"current" doc:"Whether it is the one that asks"`
}

func (h *sessionHandlers) listSessions(_ context.Context, c caller, in *pageOf) (*body[List[Session]], error) {
	sessions, err := h.users.Sessions(c.user.ID, time.Now())
	if err != nil {
		return nil, err
	}
	return listOf(sessions, func(t registry.Token) place { return placeOf(t.Created, t.ID) }, *in, func(t registry.Token) (Session, error) {
		return Session{t.ID, t.Name, t.Created.UTC(), t.Used.UTC(), t.Expires.UTC(), t.Stay, t.ID == c.session()}, nil
	})
}

func (h *sessionHandlers) deleteSession(_ context.Context, c caller, in *byID) (*struct{}, error) {
	return nil, h.users.RemoveSession(c.user.ID, in.ID)
}

// browserName is what a browser's User-Agent says of it, in the words of people. They all pretend to be others, so the order counts.
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
	system := first([][2]string{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"}, {"Windows", "Windows"}, {"Macintosh", "Mac"}, {"Linux", "Linux"}})
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
