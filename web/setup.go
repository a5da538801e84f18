package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"

	"idlepush/registry"
)

// User is a person of the household or team.
type User struct {
	ID      string    `json:"id"`
	Name    string    `json:"name" doc:"What the person logs in with"`
	Admin   bool      `json:"admin" doc:"Whether the person manages people"`
	Created time.Time `json:"created"`
}

func userOf(u registry.User) User {
	return User{ID: u.ID, Name: u.Name, Admin: u.Admin, Created: u.Created.UTC()}
}

// Setup makes the first admin.
type Setup struct {
	Token    string `json:"token" minLength:"1" maxLength:"100" doc:"The one-time token in the log and in the file setup-token of the data folder"`
	Name     string `json:"name" minLength:"1" maxLength:"64" doc:"What to log in with"`
	Password string `json:"password" minLength:"10" maxLength:"1024"`
}

// SetupDone is what setup gives.
type SetupDone struct {
	User  User   `json:"user"`
	Token string `json:"token" doc:"A bearer token of full scope, shown only now"`
}

func (s *server) setUp(_ context.Context, c caller, in *body[Setup]) (*body[SetupDone], error) {
	if err := s.passwordTried(c, ""); err != nil {
		return nil, err
	}
	b := in.Body
	if err := checkName(b.Name); err != nil {
		return nil, err
	}
	u, token, err := s.Store.Setup(b.Token, b.Name, b.Password, c.origin, time.Now())
	switch {
	case errors.Is(err, registry.ErrSetupDone):
		return nil, problem(http.StatusConflict, "setup_done", "This server has an admin already. Log in.")
	case errors.Is(err, registry.ErrDenied):
		return nil, unprocessable("token", "wrong_setup_token", "This is not the setup token. The newest one is in the log.")
	case err != nil:
		return nil, err
	}
	s.Log.Info("setup done")
	return &body[SetupDone]{SetupDone{userOf(u), token}}, nil
}

// checkName refuses names that look like another.
func checkName(name string) error {
	if strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return &FieldError{"name", "must be printable, without a space at either end"}
	}
	return nil
}

// Login is a name and a password.
type Login struct {
	Name     string `json:"name" minLength:"1" maxLength:"64"`
	Password string `json:"password" minLength:"1" maxLength:"1024"`
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

func (s *server) logIn(_ context.Context, c caller, in *body[Login]) (*loggedIn, error) {
	if err := s.passwordTried(c, in.Body.Name); err != nil {
		return nil, err
	}
	u, session, err := s.Store.Login(in.Body.Name, in.Body.Password, time.Now())
	if errors.Is(err, registry.ErrDenied) {
		return nil, problem(http.StatusUnauthorized, "wrong_login", "The name or the password is wrong.")
	}
	if err != nil {
		return nil, err
	}
	return &loggedIn{SetCookie: cookie(session, registry.SessionLifetime), Body: LoggedIn{userOf(u)}}, nil
}

// cookie makes the session's cookie; a negative lifetime takes it away. Lax: a click on a notification opens the page
// from elsewhere and must find the session; what changes something is guarded by CrossOriginProtection.
func cookie(session string, lifetime time.Duration) http.Cookie {
	return http.Cookie{Name: cookieName, Value: session, Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, MaxAge: int(lifetime.Seconds())}
}

// loggedOut takes the cookie away.
type loggedOut struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

func (s *server) logOut(_ context.Context, c caller, _ *struct{}) (*loggedOut, error) {
	if !c.token.Session {
		return nil, problem(http.StatusForbidden, "no_session", "A bearer token is no session. End it with DELETE /tokens.")
	}
	if err := s.Store.RemoveToken(c.user.ID, c.token.ID); err != nil {
		return nil, err
	}
	return &loggedOut{cookie("", -time.Second)}, nil
}

func (s *server) getMe(_ context.Context, c caller, _ *struct{}) (*body[User], error) {
	return &body[User]{userOf(c.user)}, nil
}

// MePatch changes what is given.
type MePatch struct {
	Name            string `json:"name,omitempty" minLength:"1" maxLength:"64"`
	Password        string `json:"password,omitempty" minLength:"10" maxLength:"1024" doc:"A new one; ends all sessions"`
	CurrentPassword string `json:"current_password,omitempty" maxLength:"1024" doc:"Needed to set a new one"`
}

func (s *server) patchMe(_ context.Context, c caller, in *body[MePatch]) (*body[User], error) {
	b := in.Body
	if err := checkName(b.Name); err != nil {
		return nil, err
	}
	if b.Password != "" {
		if err := s.passwordTried(c, c.user.Name); err != nil {
			return nil, err
		}
	}
	u, err := s.Store.UpdateUser(c.user.ID, b.Name, b.CurrentPassword, b.Password)
	switch {
	case errors.Is(err, registry.ErrTaken):
		return nil, unprocessable("name", "taken", "Another user has this name.")
	case errors.Is(err, registry.ErrDenied):
		return nil, unprocessable("current_password", "wrong_password", "The current password is wrong.")
	case err != nil:
		return nil, err
	}
	return &body[User]{userOf(u)}, nil
}
