package web

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"

	"idlepush"
	"idlepush/registry"
)

// User is a person of the household or team.
type User struct {
	ID      string    `json:"id"`
	Name    string    `json:"name" doc:"Name to log in with"`
	Admin   bool      `json:"admin" doc:"Whether the person manages people"`
	Created time.Time `json:"created"`
}

func userOf(u idlepush.User) User {
	return User{ID: u.ID, Name: u.Name, Admin: u.Admin, Created: u.Created.UTC()}
}

func (h *userHandlers) getMe(_ context.Context, c caller, _ *struct{}) (*body[User], error) {
	return &body[User]{userOf(c.user)}, nil
}

// mePatch changes the fields that are present.
type mePatch struct {
	Name            string `json:"name,omitempty" minLength:"1" maxLength:"64"`
	Password        string `json:"password,omitempty" minLength:"10" maxLength:"1024" doc:"New password; ends all sessions"`
	CurrentPassword string `json:"current_password,omitempty" maxLength:"1024" doc:"Required to set a new password"`
}

func (h *userHandlers) patchMe(_ context.Context, c caller, in *body[mePatch]) (*body[User], error) {
	b := in.Body
	if err := checkName(b.Name); err != nil {
		return nil, err
	}
	if b.Password != "" {
		if err := h.limits.allowPassword(c, c.user.Name); err != nil {
			return nil, err
		}
	}
	u, err := h.users.UpdateOwn(c.user.ID, b.Name, b.CurrentPassword, b.Password)
	if errors.Is(err, registry.ErrDenied) {
		return nil, unprocessable("current_password", "wrong_password")
	}
	if err != nil {
		return nil, err
	}
	return &body[User]{userOf(u)}, nil
}

// checkName returns a FieldError for a name that could look like another.
func checkName(name string) error {
	if strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fault("name", "field_bad_name")
	}
	return nil
}
