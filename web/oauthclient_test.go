package web

import (
	"fmt"
	"strings"
	"testing"

	"idlepush"
)

func TestOAuthClients(t *testing.T) {
	t.Parallel()
	t.Run("an admin sets, changes and removes a client", clientSet)
	t.Run("what a provider cannot have given out is refused", clientOfAnother)
	t.Run("the secret stays only with its client and its issuer", clientSecretStays)
	t.Run("a client that a setting has cannot be changed", clientBySetting)
	t.Run("an issuer that cannot be used is not stored", clientIssuerRefused)
}

// client returns what the admin sees of a provider's client, in words.
func (h *testServer) client(provider string) string {
	h.t.Helper()
	a := h.call(h.anna.full, "GET", "/clients", nil, 200)
	if a.body["redirect_url"] != "https://house.example.net/oauth" {
		h.t.Errorf("the redirect URL is %v", a.body["redirect_url"])
	}
	for _, item := range a.body["items"].([]any) {
		if c := item.(map[string]any); c["provider"] == provider {
			return fmt.Sprint(c["title"], " ", c["issuer"], " ", c["client_id"], " secret ", c["has_secret"], " setting ", c["setting"])
		}
	}
	return ""
}

// secret returns the secret that is stored of a provider's client.
func (h *testServer) secret(provider string) idlepush.Secret {
	h.t.Helper()
	list, err := h.store.Accounts.Clients()
	fatal(h.t, err)
	for _, c := range list {
		if c.Provider == provider {
			return c.Secret
		}
	}
	return "none"
}

func clientSet(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	if got := h.client("google"); got != "Google <nil> <nil> secret false setting false" {
		t.Errorf("at first: %s", got)
	}
	h.call(h.anna.full, "PATCH", "/clients/google", object{"client_id": " 17 ", "client_secret": marker}, 200)
	if got := h.client("google"); got != "Google <nil> 17 secret true setting false" || h.secret("google") != marker {
		t.Errorf("once it is set: %s", got)
	}
	if h.asked != "google" {
		t.Errorf("mailboxes of %q are tried", h.asked)
	}
	h.call(h.anna.full, "PATCH", "/clients/google", object{"client_id": ""}, 200)
	if got := h.client("google"); got != "Google <nil> <nil> secret false setting false" {
		t.Errorf("after its end: %s", got)
	}
	h.call(h.anna.full, "PATCH", "/clients/unknown", object{"client_id": "17"}, 404)
	h.call(h.anna.full, "PATCH", "/clients/other", object{"client_id": "17", "issuer": "https://login.example.net"}, 200)
	if want := "google https://login.example.net"; h.asked != want {
		t.Errorf("mailboxes of %q are tried, want %q", h.asked, want)
	}
}

func clientOfAnother(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.call(h.anna.full, "PATCH", "/clients/microsoft", object{"client_id": "17", "client_secret": ""}, 422).wantFields(t, "client_secret")
	h.call(h.anna.full, "PATCH", "/clients/microsoft", object{"client_id": "17"}, 422).wantFields(t, "client_secret")
	if a := h.call(h.anna.full, "PATCH", "/clients/microsoft", object{"client_id": "of somebody else", "client_secret": marker}, 422); !strings.Contains(a.raw, `"field_bad_client_id"`) || !strings.Contains(a.raw, "such as 17") {
		t.Errorf("it says %s", a.raw)
	} else {
		a.wantFields(t, "client_id")
	}
	if got := h.client("microsoft"); got != "Microsoft <nil> <nil> secret false setting false" {
		t.Errorf("there is %s", got)
	}
	h.call(h.anna.full, "PATCH", "/clients/microsoft", object{"client_id": "17", "client_secret": marker}, 200)
	h.call(h.anna.full, "PATCH", "/clients/microsoft", object{"client_id": "17"}, 200)
	if h.secret("microsoft") != marker {
		t.Error("the secret is not kept")
	}
}

func clientSecretStays(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	first := object{"client_id": "17", "client_secret": marker, "issuer": "https://login.example.net"}
	for name, row := range map[string]struct {
		change object
		want   idlepush.Secret
	}{
		"the same client":     {first.with("client_secret", nil), marker},
		"no secret any more":  {first.with("client_secret", ""), ""},
		"another id":          {first.with("client_secret", nil).with("client_id", "18"), ""},
		"another issuer":      {first.with("client_secret", nil).with("issuer", "https://login.example.net/2"), ""},
		"another, and secret": {first.with("client_id", "18").with("client_secret", "new"), "new"},
	} {
		h.call(h.anna.full, "PATCH", "/clients/other", first, 200)
		h.call(h.anna.full, "PATCH", "/clients/other", row.change, 200)
		if got := h.secret("other"); got != row.want {
			t.Errorf("%s: the secret is kept: %v", name, got != "")
		}
	}
}

func clientBySetting(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	fatal(t, h.store.Accounts.SetClient(idlepush.OAuthClient{Provider: "yahoo", ID: "stored"}))
	if got := h.client("yahoo"); got != "Yahoo <nil> set secret true setting true" {
		t.Errorf("it is %s", got)
	}
	if a := h.call(h.anna.full, "PATCH", "/clients/yahoo", object{"client_id": "17"}, 409); a.body["code"] != "client_by_setting" {
		t.Errorf("it says %s", a.raw)
	}
}

func clientIssuerRefused(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	a := h.call(h.anna.full, "PATCH", "/clients/other", object{"client_id": "17", "issuer": "https://inside.example.net"}, 422)
	if a.wantFields(t, "issuer"); a.body["code"] != "issuer_invalid" || strings.Contains(a.raw, "inside") || h.secret("other") != "none" {
		t.Errorf("it says %s", a.raw)
	}
}
