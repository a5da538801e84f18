package web

import (
	"context"
	"errors"
	"time"

	"idlepush/codes"
	"idlepush/registry"
)

// Token is a bearer token, without its value.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name" doc:"What the token is for"`
	Scope   string    `json:"scope" enum:"full,device" doc:"full: everything that its user may do; device: own devices, own notifications, names of accounts"`
	Created time.Time `json:"created"`
}

// MadeToken is a new token with its secret.
type MadeToken struct {
	Token
	Secret string `json:"token" doc:"The bearer token; shown only once"`
}

// newToken is a request for a token.
type newToken struct {
	Name  string `json:"name" minLength:"1" maxLength:"100"`
	Scope string `json:"scope" enum:"full,device"`
	User  string `json:"user,omitempty" doc:"Owner of the token; required with the admin token, forbidden without"`
}

// tokenHandlers serves bearer tokens.
type tokenHandlers struct{ users registry.Users }

func tokenOf(t registry.Token) Token {
	return Token{ID: t.ID, Name: t.Name, Scope: string(t.Scope), Created: t.Created.UTC()}
}

func (h *tokenHandlers) listTokens(_ context.Context, c caller, in *pageOf) (*body[List[Token]], error) {
	tokens, err := h.users.Tokens(c.user.ID)
	if err != nil {
		return nil, err
	}
	return listOf(tokens, func(t registry.Token) place { return placeOf(t.Created, t.ID) }, *in, func(t registry.Token) (Token, error) { return tokenOf(t), nil })
}

func (h *tokenHandlers) createToken(_ context.Context, c caller, in *body[newToken]) (*body[MadeToken], error) {
	user, err := userFor(h.users, c, in.Body.User)
	if err != nil {
		return nil, err
	}
	if err := checkName(in.Body.Name); err != nil {
		return nil, err
	}
	t, secret, err := h.users.AddToken(user, in.Body.Name, registry.Scope(in.Body.Scope), c.session(), time.Now())
	if err != nil {
		return nil, notAdded(err, "too_many_tokens")
	}
	return &body[MadeToken]{MadeToken{tokenOf(t), secret}}, nil
}

func (h *tokenHandlers) deleteToken(_ context.Context, c caller, in *byID) (*struct{}, error) {
	return nil, h.users.RemoveToken(c.user.ID, in.ID)
}

// userFor returns the user for whom the caller creates something: itself, or the user whom a
// request with the admin token names.
func userFor(users registry.Users, c caller, named string) (string, error) {
	if c.scope != admin {
		if named != "" {
			return "", fault("user", "field_forbidden").with(codes.Case, caseAdminToken)
		}
		return c.user.ID, nil
	}
	if named == "" {
		return "", fault("user", "field_required").with(codes.Case, caseAdminToken)
	}
	return named, checkUser(users, "user", named)
}

// checkUser returns a FieldError if there is no such user.
func checkUser(users registry.Users, field, id string) error {
	_, err := users.Get(id)
	if errors.Is(err, registry.ErrNotFound) {
		return fault(field, "field_unknown_user")
	}
	return err
}
