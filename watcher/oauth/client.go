package oauth

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"idlepush"
)

// Client is this program as the provider knows it: registered there by the admin.
type Client struct {
	Provider Provider
	ID       string
	Secret   idlepush.Secret // empty: a public client
	HTTP     *http.Client    // as NewHTTP makes it; nil: one that reaches the public internet only
}

// Token is what a provider gives for a consent.
type Token struct {
	Access  idlepush.Secret
	Refresh idlepush.Secret // of Client.Refresh: empty if the old one stays valid
	Expires time.Time       // of Access, by this machine's wall clock
}

// NewVerifier returns a random secret for one consent (RFC 7636 section 4.1).
func NewVerifier() string { return oauth2.GenerateVerifier() }

// CodeURL returns the URL at which a person consents. The provider then sends the browser to
// redirect, with a code and the state. redirect is the one that the client was registered with.
// state and verifier are random and for this one consent. email is the mailbox that the provider
// suggests to the person; it may be empty.
func (c Client) CodeURL(redirect, state, verifier, email string) string {
	config := oauth2.Config{ClientID: c.ID, RedirectURL: redirect, Scopes: c.Provider.Scopes, Endpoint: oauth2.Endpoint{AuthURL: c.Provider.AuthURL}}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier)}
	if email != "" {
		options = append(options, oauth2.SetAuthURLParam("login_hint", email))
	}
	for name, value := range c.Provider.Params {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	return config.AuthCodeURL(state, options...)
}

// Code returns the code that a browser has brought back, from the query of the redirect. The caller
// has compared the state. The error is an *Error.
func (c Client) Code(query url.Values) (string, error) {
	p := c.Provider
	switch code := query.Get("code"); {
	case p.NamesItself && query.Get("iss") != p.Issuer:
		return "", p.failure("consent_mixed_up", Consent)
	case query.Has("error"):
		return "", p.refused(answer{json: true, Error: strings.ToLower(query.Get("error")), Description: query.Get("error_description")}, asksCode)
	case code == "":
		return "", p.failure("provider_faulty", Retry).to(asksCode)
	default:
		return code, nil
	}
}

// Exchange trades the code of a consent for tokens. redirect and verifier are those of CodeURL. The
// error is an *Error, or that of ctx.
func (c Client) Exchange(ctx context.Context, redirect, code, verifier string) (Token, error) {
	return c.token(ctx, asksCode, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier},
	})
}

// Refresh gets a new access token. If Token.Refresh is not empty, it takes the place of refresh,
// and refresh must not be used again. The error is an *Error, or that of ctx.
func (c Client) Refresh(ctx context.Context, refresh idlepush.Secret) (Token, error) {
	token, err := c.token(ctx, asksRefresh, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {string(refresh)}})
	if token.Refresh == refresh {
		token.Refresh = ""
	}
	return token, err
}

// token asks TokenURL. It measures the life of the access token from before it asks, so that the
// token has expired by our clock when it has by the provider's.
func (c Client) token(ctx context.Context, what asked, form url.Values) (Token, error) {
	began := time.Now().Round(0)
	a, err := c.post(ctx, c.Provider.TokenURL, form)
	if err != nil {
		return Token{}, c.Provider.unanswered(ctx, err, what)
	}
	switch {
	case what == asksDevice && a.Error == "authorization_pending":
		return Token{}, errPending
	case what == asksDevice && a.Error == "slow_down":
		return Token{}, errSlowDown
	case a.refused():
		return Token{}, c.Provider.refused(a, what)
	}
	token := Token{Access: idlepush.Secret(a.Access), Refresh: idlepush.Secret(a.Refresh), Expires: began.Add(a.life())}
	switch {
	case !a.usable():
		return Token{}, c.Provider.failure("provider_faulty", Retry).to(what)
	case a.Refresh == "" && what != asksRefresh:
		return Token{}, c.Provider.failure("no_refresh_token", Admin)
	}
	return token, nil
}

// usable reports whether text may be a token: RFC 6749 appendix A.12 allows the visible characters
// of ASCII and the space. Others would change the meaning of the command to a mail server.
func usable(text string) bool {
	for _, r := range []byte(text) {
		if r < 0x20 || r > 0x7e {
			return false
		}
	}
	return text != ""
}
