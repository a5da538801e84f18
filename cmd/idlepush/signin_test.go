package main

import (
	"errors"
	"net/url"
	"testing"

	"idlepush"
	"idlepush/netguard"
	"idlepush/registry"
	"idlepush/watcher/oauth"
	"idlepush/watcher/oauth/oauthtest"
	"idlepush/web"
)

func TestOAuthClients(t *testing.T) {
	t.Parallel()
	t.Run("a setting wins over what an admin has set", clientOfSettings)
	t.Run("a mail server has the provider whose tokens are for it", providerOfHost)
	t.Run("an issuer inside the house is refused unless allow-mail names it", clientOfIssuer)
	t.Run("a sign-in takes only the code of its own browser", signInByCode)
}

func storedClients(t *testing.T, list ...idlepush.OAuthClient) registry.Accounts {
	t.Helper()
	store, err := registry.Open(t.TempDir(), registry.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	for _, c := range list {
		if err := store.Accounts.SetClient(c); err != nil {
			t.Fatal(err)
		}
	}
	return store.Accounts
}

func clientOfSettings(t *testing.T) {
	t.Parallel()
	accounts := storedClients(t, idlepush.OAuthClient{Provider: "google", ID: "stored"}, idlepush.OAuthClient{Provider: "yahoo", ID: "stored"},
		idlepush.OAuthClient{Provider: "other", Issuer: "https://stored.example", ID: "stored"})
	c := newOAuthClients(settings{oauth: map[string]idlepush.OAuthClient{
		"google": {Provider: "google", ID: "set", Secret: "secret"},
		"other":  {Provider: "other", Issuer: "https://set.example", ID: "set"},
	}}, accounts)
	for provider, want := range map[string]string{
		"google": "set", "yahoo": "stored", "microsoft": "", "other": "", "": "",
		"https://set.example": "set", "https://stored.example": "", "https://set.example/": "",
	} {
		if got, ok := c.set(provider); got.ID != want || ok != (want != "") {
			t.Errorf("%q has the client %q, %v", provider, got.ID, ok)
		}
	}
	client, ok := c.client("google")
	if !ok || client.ID != "set" || client.Secret != "secret" || client.Provider.Title != "Google" {
		t.Errorf("the watcher gets %+v, %v", client, ok)
	}
}

func providerOfHost(t *testing.T) {
	t.Parallel()
	accounts := storedClients(t, idlepush.OAuthClient{Provider: "other", Issuer: "https://login.stored.example", ID: "stored"})
	for name, row := range map[string]struct {
		settings map[string]idlepush.OAuthClient
		want     map[string]string // by host
	}{
		"the admin's": {nil, map[string]string{"mail.stored.example": "https://login.stored.example", "mail.set.example": "",
			"outlook.office365.com": "microsoft", "imap.googlemail.com": "google", "imap.gmx.net": "", "192.168.1.2": ""}},
		"a setting's": {map[string]idlepush.OAuthClient{"other": {Provider: "other", Issuer: "https://login.set.example", ID: "set"}},
			map[string]string{"mail.stored.example": "", "mail.set.example": "https://login.set.example", "imap.gmail.com": "google"}},
	} {
		c := newOAuthClients(settings{oauth: row.settings}, accounts)
		for host, want := range row.want {
			if got := c.providerOf(host); got != want {
				t.Errorf("with %s issuer, %s has %q, want %q", name, host, got, want)
			}
		}
	}
}

// issuerClients has a client of the provider, and believes its certificate.
func issuerClients(t *testing.T, provider *oauthtest.Server, allowed netguard.Allowed) *oauthClients {
	t.Helper()
	c := newOAuthClients(settings{allowMail: allowed, oauth: map[string]idlepush.OAuthClient{
		"other": {Provider: "other", Issuer: provider.Issuer, ID: "idlepush"},
	}}, storedClients(t))
	c.discoverer.HTTP = oauth.NewHTTP(allowed.Permit, provider.Roots)
	return c
}

func clientOfIssuer(t *testing.T) {
	t.Parallel()
	provider := oauthtest.New(t)
	allowed, err := netguard.ParseMail("127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	a := idlepush.Account{Email: "ann@example.org", Host: "127.0.0.1", Username: "ann", OAuth: provider.Issuer}
	inside := issuerClients(t, provider, nil)
	_, err = inside.signIn(t.Context(), a, "https://push.example/oauth", "state")
	if e, ok := errors.AsType[*web.CheckError](err); !ok || e.Reason.Code != "provider_forbidden" {
		t.Errorf("it is refused: %v", err)
	}
	if client, ok := inside.client(provider.Issuer); !ok || client.Provider.TokenURL != "" {
		t.Errorf("the watcher gets %+v, %v", client, ok)
	}
	if s, err := issuerClients(t, provider, allowed).signIn(t.Context(), a, "https://push.example/oauth", "state"); err != nil || s.URL == "" || s.UserCode != "" {
		t.Errorf("it is allowed: %+v, %v", s, err)
	}
}

func signInByCode(t *testing.T) {
	t.Parallel()
	provider := oauthtest.New(t)
	provider.Register("idlepush", "", "https://push.example/oauth")
	allowed, err := netguard.ParseMail("127.0.0.1:*")
	if err != nil {
		t.Fatal(err)
	}
	c := issuerClients(t, provider, allowed)
	s, err := c.signIn(t.Context(), idlepush.Account{OAuth: provider.Issuer}, "https://push.example/oauth", "state")
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]url.Values{
		"a forged code":    {"code": {"forged"}, "iss": {provider.Issuer}},
		"nothing":          {"iss": {provider.Issuer}},
		"an error":         {"error": {"access_denied"}, "iss": {provider.Issuer}},
		"another issuer":   {"code": {"forged"}, "iss": {"https://evil.example"}},
		"an error as code": {"error": {"<b>"}},
	} {
		tokens, err := s.Finish(t.Context(), answer)
		if e, ok := errors.AsType[*web.CheckError](err); !ok || tokens != (web.Tokens{}) || allCodes().Sentence(e.Reason.Code, e.Reason.Params) == "" {
			t.Errorf("%s: %+v, %v", name, tokens, err)
		}
	}
}
