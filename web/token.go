package web

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"idlepush"

	"idlepush/codes"
	"idlepush/registry"
)

// Token is a bearer token, without its value.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name" doc:"What the token is for"`
	Scope   string    `json:"scope" enum:"full,device" doc:"full: everything that its user may do; device: the one device that it registers, its notifications, names of accounts"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero" doc:"Approximate time of its last use; absent: not used yet"`
}

// madeToken is a new token with its secret.
type madeToken struct {
	Token
	Secret string   `json:"token" doc:"The bearer token; shown only once"`
	URL    string   `json:"url" doc:"Address of this server for the app: public-url, or the origin of the request"`
	Reach  string   `json:"reach" enum:"https,this_machine,no_https" doc:"Where url works, as in the answer to a new invite"`
	QR     []string `json:"qr" doc:"For the app to scan: a JSON object of url and token, as a QR code like that of an invite"`
}

// newToken is a request for a token.
type newToken struct {
	Name  string `json:"name" minLength:"1" maxLength:"100"`
	Scope string `json:"scope" enum:"full,device"`
	User  string `json:"user,omitempty" doc:"Owner of the token; required with the admin token, forbidden without"`
}

// tokenHandlers serves bearer tokens.
type tokenHandlers struct {
	users     registry.Users
	logins    registry.Logins
	publicURL func() string
}

func tokenOf(t registry.Token) Token {
	return Token{ID: t.ID, Name: t.Name, Scope: string(t.Scope), Created: t.Created.UTC(), Used: utc(t.Used)}
}

func (h *tokenHandlers) listTokens(_ context.Context, c caller, in *pageOf) (*body[List[Token]], error) {
	tokens, err := h.logins.Tokens(c.user.ID)
	if err != nil {
		return nil, err
	}
	return listOf(tokens, func(t registry.Token) place { return placeOf(t.Created, t.ID) }, *in, func(t registry.Token) (Token, error) { return tokenOf(t), nil })
}

func (h *tokenHandlers) createToken(_ context.Context, c caller, in *body[newToken]) (*body[madeToken], error) {
	b := in.Body
	user, err := userFor(h.users, c, b.User)
	if err != nil {
		return nil, err
	}
	name := labelOf(b.Name)
	if name == "" || strings.TrimSpace(b.Name) != b.Name {
		return nil, badLabel()
	}
	b.Name = name
	t, secret, err := h.addToken(c, user, b)
	if err != nil {
		return nil, notAdded(err, "too_many_tokens")
	}
	origin := originFor(h.publicURL, c)
	made := madeToken{Token: tokenOf(t), Secret: secret, URL: origin, Reach: reach(origin)}
	text, err := json.Marshal(appCode{made.URL, secret})
	if err != nil {
		return nil, err
	}
	made.QR, err = qrRows(string(text))
	return &body[madeToken]{made}, err
}

// appCode is what an app scans to reach this server.
type appCode struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// addToken adds the token of the request. The admin token can make only one of device scope, of
// which it tells the user.
func (h *tokenHandlers) addToken(c caller, user string, b newToken) (registry.Token, string, error) {
	scope := idlepush.Scope(b.Scope)
	switch {
	case c.scope == admin && scope != idlepush.ScopeDevice:
		return registry.Token{}, "", fault("scope", "field_forbidden").with(codes.Case, caseAdminScope)
	case c.scope == admin:
		return h.logins.AddTokenByAdmin(user, b.Name, time.Now())
	case scope == idlepush.ScopeFull:
		if err := requireProof(c); err != nil {
			return registry.Token{}, "", err
		}
	}
	return h.logins.AddToken(user, b.Name, scope, c.token.ID, time.Now())
}

func (h *tokenHandlers) deleteToken(_ context.Context, c caller, in *byID) (*struct{}, error) {
	return nil, h.logins.RemoveToken(c.user.ID, in.ID, c.token.ID)
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
