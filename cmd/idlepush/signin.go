package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/watcher"
	"idlepush/watcher/oauth"
	"idlepush/web"
)

// Of an issuer, the metadata is used for issuerKept before it is read again. That takes at most
// issuerTimeout.
const (
	issuerKept    = 24 * time.Hour
	issuerTimeout = 20 * time.Second
)

// oauthClients finds the client of a provider: that of the settings, or else that of the store.
type oauthClients struct {
	settings   map[string]idlepush.OAuthClient
	accounts   registry.Accounts
	discoverer oauth.Discoverer

	mu   sync.Mutex // guards read
	read map[string]readIssuer
}

// readIssuer is a provider as its metadata was read.
type readIssuer struct {
	oauth.Provider
	at time.Time
}

func newOAuthClients(s settings, accounts registry.Accounts) *oauthClients {
	return &oauthClients{settings: s.oauth, accounts: accounts, read: make(map[string]readIssuer),
		discoverer: oauth.Discoverer{HTTP: oauth.NewHTTP(s.allowMail.Permit, nil), Permit: s.allowMail.Permit}}
}

// client returns the client of a provider for the watcher. An issuer whose metadata cannot be read
// just now has no endpoints: a request to it fails as unreachable, and is tried again.
func (c *oauthClients) client(provider string) (oauth.Client, bool) {
	client, ok, _ := c.find(provider)
	return client, ok
}

// find returns the client of a provider, which is the name of one in the table, or an issuer. ok is
// false if nobody has set it. The error is that of reading the metadata of the issuer.
func (c *oauthClients) find(provider string) (client oauth.Client, ok bool, err error) {
	set, ok := c.set(provider)
	if !ok {
		return client, false, nil
	}
	p, known := oauth.Named(provider)
	if !known {
		p, err = c.issuer(provider)
	}
	return oauth.Client{Provider: p, ID: set.ID, Secret: set.Secret, HTTP: c.discoverer.HTTP}, true, err
}

// all returns the clients that are set.
func (c *oauthClients) all() []idlepush.OAuthClient {
	stored, err := c.accounts.Clients()
	if err != nil {
		stored = nil // the store says so itself
	}
	stored = slices.DeleteFunc(stored, func(o idlepush.OAuthClient) bool {
		_, overruled := c.settings[o.Provider]
		return overruled
	})
	return append(slices.Collect(maps.Values(c.settings)), stored...)
}

// set returns the client that is set for a provider.
func (c *oauthClients) set(provider string) (idlepush.OAuthClient, bool) {
	for _, o := range c.all() {
		if provider == cmp.Or(o.Issuer, o.Provider) {
			return o, true
		}
	}
	return idlepush.OAuthClient{}, false
}

// providerOf returns the provider whose tokens are for a mail server: one of the table, an issuer
// for which a client is set, or "".
func (c *oauthClients) providerOf(host string) string {
	for _, p := range oauth.Table() {
		if p.Serves(host) {
			return p.Name
		}
	}
	for _, o := range c.all() {
		if o.Issuer != "" && (oauth.Provider{Issuer: o.Issuer}).Serves(host) {
			return o.Issuer
		}
	}
	return ""
}

// issuer returns the provider of that issuer, as its metadata says.
func (c *oauthClients) issuer(issuer string) (oauth.Provider, error) {
	c.mu.Lock()
	last := c.read[issuer]
	c.mu.Unlock()
	if age := time.Since(last.at); 0 <= age && age < issuerKept {
		return last.Provider, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), issuerTimeout)
	defer cancel()
	p, err := c.discoverer.Discover(ctx, issuer)
	if err != nil && last.TokenURL != "" {
		return last.Provider, nil // that of yesterday will do
	}
	if err != nil {
		return oauth.Provider{Name: issuer, Title: issuer, Issuer: issuer}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read[issuer] = readIssuer{p, time.Now()}
	return p, nil
}

// config returns what the API needs of providers.
func (c *oauthClients) config(pool *watcher.Pool, log *slog.Logger) web.OAuthConfig {
	config := web.OAuthConfig{
		Settings: slices.Collect(maps.Values(c.settings)),
		CheckIssuer: func(ctx context.Context, issuer string) error {
			_, err := c.discoverer.Discover(ctx, issuer)
			return asCheckError(err)
		},
		SignIn:      c.signIn,
		AskProvider: pool.AskProvider,
		CheckToken: func(ctx context.Context, a idlepush.Account, access idlepush.Secret) (web.Check, error) {
			able, err := pool.CheckToken(ctx, a, access)
			return checked(a, able, err, log)
		},
	}
	for _, p := range oauth.Table() {
		config.Providers = append(config.Providers, web.OAuthProvider{Name: p.Name, Title: p.Title, ClientID: p.ClientID, Example: p.Example, NeedsSecret: p.NeedsSecret})
	}
	config.Providers = append(config.Providers, web.OAuthProvider{Name: otherProvider})
	return config
}

// asCheckError returns an error of a provider in the form that the API needs.
func asCheckError(err error) error {
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		return &web.CheckError{Field: "oauth", Reason: e.Reason}
	}
	return err
}

// signIn begins the sign-in of a person to a mailbox.
func (c *oauthClients) signIn(ctx context.Context, a idlepush.Account, redirect, state string) (web.SignIn, error) {
	client, ok, err := c.find(a.OAuth)
	if !ok {
		return web.SignIn{}, errors.New("the OAuth client was removed just now")
	}
	if err != nil {
		return web.SignIn{}, asCheckError(err)
	}
	tokens := func(t oauth.Token, err error) (web.Tokens, error) {
		return web.Tokens{Access: t.Access, Refresh: t.Refresh}, asCheckError(err)
	}
	if redirect != "" {
		verifier := oauth.NewVerifier()
		return web.SignIn{URL: client.CodeURL(redirect, state, verifier, a.Email), Finish: func(ctx context.Context, answer url.Values) (web.Tokens, error) {
			code, err := client.Code(answer)
			if err != nil {
				return web.Tokens{}, asCheckError(err)
			}
			return tokens(client.Exchange(ctx, redirect, code, verifier))
		}}, nil
	}
	d, err := client.Device(ctx)
	if err != nil {
		return web.SignIn{}, asCheckError(err)
	}
	return web.SignIn{URL: d.URL, UserCode: d.UserCode, Expires: d.Expires, Finish: func(ctx context.Context, _ url.Values) (web.Tokens, error) {
		return tokens(client.Poll(ctx, d))
	}}, nil
}
