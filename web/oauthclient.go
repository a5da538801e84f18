package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"idlepush"
	"idlepush/cleantext"
	"idlepush/codes"
	"idlepush/registry"
)

// oauthClient is how this server is registered with a provider where people sign in to mailboxes.
type oauthClient struct {
	Provider    string `json:"provider" doc:"Name of the provider; other: the one of issuer"`
	Title       string `json:"title" doc:"What people call the provider; empty: it is not known yet"`
	Issuer      string `json:"issuer,omitempty" doc:"URL of the provider, of other only"`
	ClientID    string `json:"client_id,omitempty" doc:"Absent: there is no client"`
	NeedsSecret bool   `json:"needs_secret" doc:"Whether every client of the provider has a secret"`
	HasSecret   bool   `json:"has_secret" doc:"Whether the client has a secret, which is never returned"`
	Setting     bool   `json:"setting" doc:"Whether a setting of the server has the client; it cannot be changed here then"`
}

// oauthClientList is all providers with their clients.
type oauthClientList struct {
	Items       []oauthClient `json:"items"`
	RedirectURL string        `json:"redirect_url,omitempty" doc:"What to register with the providers; absent: the public URL is not known"`
}

// oauthClientPatch sets or removes a client.
type oauthClientPatch struct {
	Issuer       string  `json:"issuer,omitempty" maxLength:"500" doc:"URL of the provider (RFC 8414); required for other, forbidden for all others"`
	ClientID     string  `json:"client_id" maxLength:"500" doc:"Empty: the client is removed"`
	ClientSecret *string `json:"client_secret,omitempty" maxLength:"2000" doc:"Empty: it has none. Absent: the secret stays, unless client_id or issuer changes"`
}

// oauthClientHandlers serves the OAuth clients of this server to admins.
type oauthClientHandlers struct {
	logins    registry.Logins
	accounts  registry.Accounts
	oauth     OAuthConfig
	publicURL func() string
	limits    *limits
	codes     codes.Table
}

// redirectPath is where providers send the browser of a person who has consented.
const redirectPath = "/oauth"

// shown returns the client of a provider as admins see it.
func (h *oauthClientHandlers) shown(p OAuthProvider, stored []idlepush.OAuthClient) oauthClient {
	of := func(c idlepush.OAuthClient) bool { return c.Provider == p.Name }
	out := oauthClient{Provider: p.Name, Title: p.Title, NeedsSecret: p.NeedsSecret}
	i, list := slices.IndexFunc(h.oauth.Settings, of), h.oauth.Settings
	if out.Setting = i >= 0; !out.Setting {
		i, list = slices.IndexFunc(stored, of), stored
	}
	if i >= 0 {
		out.Issuer, out.ClientID, out.HasSecret = list[i].Issuer, list[i].ID, list[i].Secret != ""
	}
	return out
}

func (h *oauthClientHandlers) list(_ context.Context, c caller, _ *struct{}) (*body[oauthClientList], error) {
	if err := requireAdmin(c); err != nil {
		return nil, err
	}
	stored, err := h.accounts.Clients()
	if err != nil {
		return nil, err
	}
	out := oauthClientList{Items: []oauthClient{}}
	if u := h.publicURL(); u != "" {
		out.RedirectURL = u + redirectPath
	}
	for _, p := range h.oauth.Providers {
		out.Items = append(out.Items, h.shown(p, stored))
	}
	return &body[oauthClientList]{out}, nil
}

// byProvider is the input that changes the client of a provider.
type byProvider struct {
	Provider string `path:"provider"`
	Body     oauthClientPatch
}

func (h *oauthClientHandlers) change(ctx context.Context, c caller, in *byProvider) (*body[oauthClient], error) {
	if err := requireAdmin(c); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(h.oauth.Providers, func(p OAuthProvider) bool { return p.Name == in.Provider })
	if i < 0 {
		return nil, notFound()
	}
	if err := requireProof(c); err != nil {
		return nil, err
	}
	stored, err := h.accounts.Clients()
	if err != nil {
		return nil, err
	}
	now := h.shown(h.oauth.Providers[i], stored)
	if now.Setting {
		return nil, problem(http.StatusConflict, "client_by_setting")
	}
	next := idlepush.OAuthClient{Provider: in.Provider, Issuer: strings.TrimSpace(in.Body.Issuer), ID: strings.TrimSpace(in.Body.ClientID)}
	if in.Body.ClientSecret != nil {
		next.Secret = idlepush.Secret(strings.TrimSpace(*in.Body.ClientSecret))
	} else if next.ID == now.ClientID && next.Issuer == now.Issuer && now.ClientID != "" {
		next.Secret = stored[slices.IndexFunc(stored, func(c idlepush.OAuthClient) bool { return c.Provider == in.Provider })].Secret
	}
	if err := clientFaults(next, h.oauth.Providers[i]).err(); err != nil {
		return nil, err
	}
	if next.ID != "" && next.Issuer != "" && next.Issuer != now.Issuer {
		if err := h.checkIssuer(ctx, c, next.Issuer); err != nil {
			return nil, err
		}
	}
	if err := h.accounts.SetClient(next); err != nil {
		return nil, err
	}
	if next.ID != "" {
		h.oauth.AskProvider(cmp.Or(next.Issuer, next.Provider))
	}
	stored, err = h.accounts.Clients()
	return &body[oauthClient]{h.shown(h.oauth.Providers[i], stored)}, err
}

// checkIssuer returns a problem unless people can sign in at the provider of that URL.
func (h *oauthClientHandlers) checkIssuer(ctx context.Context, c caller, issuer string) error {
	if err := h.limits.allowLogin(c); err != nil {
		return err
	}
	err := h.oauth.CheckIssuer(ctx, issuer)
	if e, ok := errors.AsType[*CheckError](err); ok {
		return unprocessableOf(h.codes, "issuer", e.Reason)
	}
	if err != nil {
		return err
	}
	return stillAdmitted(h.logins, c)
}

// clientFaults returns the faults of a client that can be found without asking its provider.
func clientFaults(c idlepush.OAuthClient, p OAuthProvider) (f faults) {
	other := p.Title == ""
	switch {
	case other && c.Issuer == "" && c.ID != "":
		f.add(fault("issuer", "field_required"))
	case !other && c.Issuer != "":
		f.add(fault("issuer", "field_forbidden"))
	case !cleantext.IsVisible(c.Issuer):
		f.add(fault("issuer", "field_control_characters"))
	}
	switch {
	case !cleantext.IsVisible(c.ID):
		f.add(fault("client_id", "field_control_characters"))
	case c.ID != "" && p.ClientID != nil && !p.ClientID.MatchString(c.ID):
		f.add(fault("client_id", "field_bad_client_id").with("provider", p.Title).with("example", p.Example))
	}
	switch {
	case !cleantext.IsVisible(string(c.Secret)):
		f.add(fault("client_secret", "field_control_characters"))
	case c.ID != "" && c.Secret == "" && p.NeedsSecret:
		f.add(fault("client_secret", "field_required"))
	}
	return f
}
