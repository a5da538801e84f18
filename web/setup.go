package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"idlepush/registry"
)

// Setup is a request to create the first admin.
type Setup struct {
	Session  bool   `json:"session,omitempty" doc:"Start a session, with a cookie, instead of creating a bearer token"`
	Token    string `json:"token" minLength:"1" maxLength:"100" doc:"The one-time token in the log and in the file setup-token of the data folder"`
	Name     string `json:"name" minLength:"1" maxLength:"64" doc:"Name to log in with"`
	Password string `json:"password" minLength:"10" maxLength:"1024"`
}

// SetupDone is the result of setup.
type SetupDone struct {
	User  User   `json:"user"`
	Token string `json:"token,omitempty" doc:"A bearer token of full scope, shown only once; absent: a session was started"`
}

// setupDone is SetupDone with the cookies of the session, if there is one.
type setupDone struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
	Body      SetupDone
}

// setupState is whether there is no user yet.
type setupState struct {
	Needed bool `json:"needed" doc:"Whether nobody is set up yet: the link for that is in the log"`
}

func (h *sessionHandlers) getSetup(context.Context, caller, *struct{}) (*body[setupState], error) {
	needed, err := h.users.NeedsSetup()
	return &body[setupState]{setupState{needed}}, err
}

func (h *sessionHandlers) setUp(ctx context.Context, c caller, in *body[Setup]) (*setupDone, error) {
	if err := h.limits.allowSecret(c); err != nil {
		return nil, err
	}
	b := in.Body
	if err := checkName(&b.Name); err != nil {
		return nil, err
	}
	if err := checkPassword("password", b.Name, b.Password); err != nil {
		return nil, err
	}
	var visit *registry.Visit
	if b.Session {
		visit = new(c.visit(true))
	}
	public := ""
	if c.secure {
		public = c.origin
	}
	done, err := h.limits.hashing(ctx, false)
	if err != nil {
		return nil, err
	}
	defer done()
	u, secret, err := h.users.Setup(b.Token, b.Name, b.Password, public, visit, time.Now())
	switch {
	case errors.Is(err, registry.ErrSetupDone):
		return nil, problem(http.StatusConflict, "setup_done")
	case errors.Is(err, registry.ErrDenied):
		return nil, unprocessable("token", "wrong_setup_token")
	case err != nil:
		return nil, err
	}
	h.log.Info("setup done")
	if !b.Session {
		return &setupDone{Body: SetupDone{userOf(u), secret}}, nil
	}
	return &setupDone{h.cookies(c, u, secret, true), SetupDone{User: userOf(u)}}, nil
}
