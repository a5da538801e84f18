package oauth_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/netguard"
	"idlepush/watcher/oauth"
	"idlepush/watcher/oauth/oauthtest"
)

const (
	rfc8414 = "/.well-known/oauth-authorization-server"
	openID  = "/.well-known/openid-configuration"
)

// publisher is a server that publishes metadata, at a loopback address that may be dialled.
type publisher struct {
	*httptest.Server
	*http.ServeMux
	oauth.Discoverer
}

func publish(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{ServeMux: http.NewServeMux()}
	p.Server = httptest.NewTLSServer(p.ServeMux)
	t.Cleanup(p.Close)
	permit := netguard.At(p.Listener.Addr()).Permit
	p.Discoverer = oauth.Discoverer{HTTP: oauth.NewHTTP(permit, p.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs), Permit: permit,
		Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			if host == "home.example.org" {
				return []netip.Addr{netip.MustParseAddr("93.184.215.14"), netip.MustParseAddr("192.168.0.1")}, nil
			}
			return []netip.Addr{netip.MustParseAddr("93.184.215.14")}, nil
		}}
	return p
}

// metadata is valid, but for the changes. A nil value takes one away.
func (p *publisher) metadata(issuer string, changes map[string]any) map[string]any {
	m := map[string]any{"issuer": issuer, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "response_types_supported": []string{"code", "token"}}
	maps.Copy(m, changes)
	maps.DeleteFunc(m, func(_ string, value any) bool { return value == nil })
	return m
}

func (p *publisher) serve(path string, m map[string]any) {
	p.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(m) })
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	t.Run("a server is found, and a person can consent there", func(t *testing.T) {
		s := oauthtest.New(t)
		c := known(s)
		d := oauth.Discoverer{HTTP: s.HTTP(), Permit: everywhere}
		found, err := d.Discover(t.Context(), s.Issuer)
		if err != nil {
			t.Fatal(err)
		}
		want := s.Provider()
		if found.Name != s.Issuer || found.Title != "127.0.0.1" || found.AuthURL != want.AuthURL || found.TokenURL != want.TokenURL || found.DeviceURL != want.DeviceURL ||
			!slices.Equal(found.Scopes, want.Scopes) || !found.NamesItself || found.Basic {
			t.Errorf("found %+v", found)
		}
		c.Provider = found
		consented(t, s, c, ann)
	})
	t.Run("metadata is where RFC 8414 and OpenID Connect put it", func(t *testing.T) {
		for _, path := range []string{rfc8414 + "/realms/home", "/realms/home" + openID} {
			p := publish(t)
			issuer := p.URL + "/realms/home"
			p.serve(path, p.metadata(issuer, map[string]any{"scopes_supported": []string{"phone", "email", "offline_access", "openid"}}))
			found, err := p.Discover(t.Context(), issuer)
			if err != nil || found.TokenURL != p.URL+"/token" || found.DeviceURL != "" || !found.Basic || !slices.Equal(found.Scopes, []string{"openid", "email", "offline_access"}) {
				t.Errorf("%s: found %+v, %v", path, found, err)
			}
		}
	})
	t.Run("a slash at the end is as the server writes it", func(t *testing.T) {
		p := publish(t)
		p.serve(rfc8414, p.metadata(p.URL+"/", nil))
		if found, err := p.Discover(t.Context(), p.URL); err != nil || found.Issuer != p.URL+"/" || found.Name != found.Issuer {
			t.Errorf("found %+v, %v", found, err)
		}
	})
	t.Run("a page for strangers at the first address does not hide the second", func(t *testing.T) {
		p := publish(t)
		p.serve(openID, p.metadata(p.URL, nil))
		p.Handle("/", http.RedirectHandler("https://login.example.org/", http.StatusFound))
		if _, err := p.Discover(t.Context(), p.URL); err != nil {
			t.Error(err)
		}
	})
	t.Run("a redirect on the same host is followed", func(t *testing.T) {
		p := publish(t)
		p.Handle(rfc8414, http.RedirectHandler("/elsewhere", http.StatusFound))
		p.serve("/elsewhere", p.metadata(p.URL, nil))
		if _, err := p.Discover(t.Context(), p.URL); err != nil {
			t.Error(err)
		}
	})
	t.Run("what is no issuer is refused", func(t *testing.T) {
		var d oauth.Discoverer
		for _, issuer := range []string{"", "login.example.org", "http://login.example.org", "https://", "https://login.example.org/?a=b", "https://login.example.org/#a",
			"https://ann:planted@login.example.org", "https://lo gin.example.org", "javascript:alert(1)", "https://login.example.org/" + strings.Repeat("a", 3000)} {
			_, err := d.Discover(t.Context(), issuer)
			failed(t, err, "issuer_invalid", "", oauth.Admin)
		}
	})
	t.Run("an issuer inside the house is not asked", func(t *testing.T) {
		p := publish(t)
		d := oauth.Discoverer{Permit: netguard.Allowed(nil).Permit}
		for _, issuer := range []string{p.URL, "https://localhost:1"} {
			_, err := d.Discover(t.Context(), issuer)
			failed(t, err, "provider_forbidden", "", oauth.Admin)
		}
	})
	t.Run("a server that does not answer is asked for 40 s", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := oauthtest.InMemory(t)
			s.Fail(oauthtest.MetadataPath, oauthtest.Fault{Hang: true})
			d := oauth.Discoverer{HTTP: s.HTTP(), Permit: everywhere}
			began := time.Now()
			_, err := d.Discover(t.Context(), s.Issuer)
			failed(t, err, "provider_silent", "person_waits", oauth.Retry)
			if took := time.Since(began); took > 40*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	})
	t.Run("a context that ends is no failure of the provider", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p := publish(t)
		if _, err := p.Discover(ctx, p.URL); err != context.Canceled {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestDiscoverRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		changes map[string]any
		variant string
	}{
		{"another issuer", map[string]any{"issuer": "https://other.example.org"}, "other_issuer"},
		{"an issuer on another path", map[string]any{"issuer": "https://127.0.0.1/other"}, "other_issuer"},
		{"an endpoint without encryption", map[string]any{"token_endpoint": "http://login.example.org/token"}, "bad_endpoint"},
		{"no endpoint", map[string]any{"token_endpoint": nil}, "bad_endpoint"},
		{"no page to consent", map[string]any{"authorization_endpoint": nil}, "bad_endpoint"},
		{"an endpoint with a password", map[string]any{"token_endpoint": "https://ann:planted@login.example.org/token"}, "bad_endpoint"},
		{"a page to consent that is a script", map[string]any{"authorization_endpoint": "javascript:alert(1)"}, "bad_endpoint"},
		{"an endpoint at an address in the house", map[string]any{"token_endpoint": "https://192.168.0.1/token"}, "bad_endpoint"},
		{"a page to consent in the house", map[string]any{"authorization_endpoint": "https://[fd00::1]/"}, "bad_endpoint"},
		{"an endpoint whose name leads into the house", map[string]any{"device_authorization_endpoint": "https://home.example.org/device"}, "bad_endpoint"},
		{"an endpoint at another port of an allowed host", map[string]any{"token_endpoint": "https://127.0.0.1:1/token"}, "bad_endpoint"},
		{"only plain challenges", map[string]any{"code_challenge_methods_supported": []string{"plain"}}, "no_such_grant"},
		{"no codes", map[string]any{"response_types_supported": []string{"token"}}, "no_such_grant"},
	} {
		t.Run("metadata with "+c.name+" is refused", func(t *testing.T) {
			p := publish(t)
			p.serve(rfc8414, p.metadata(p.URL, c.changes))
			_, err := p.Discover(t.Context(), p.URL)
			failed(t, err, "issuer_faulty", c.variant, oauth.Admin)
			if strings.Contains(err.Error(), marker) {
				t.Error(err)
			}
		})
	}
	for _, c := range []struct {
		name, variant string
		answer        http.HandlerFunc
	}{
		{"another host", "other_host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://other.example.org"+r.URL.Path, http.StatusFound)
		}},
		{"another port", "other_host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://127.0.0.1:1"+r.URL.Path, http.StatusFound)
		}},
		{"no encryption", "other_host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+r.Host+r.URL.Path, http.StatusFound)
		}},
		{"itself", "other_host", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }},
		{"too much", "too_much", func(w http.ResponseWriter, _ *http.Request) {
			for { // without end
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}},
	} {
		t.Run("a server whose metadata leads to "+c.name+" is refused", func(t *testing.T) {
			p := publish(t)
			var asked atomic.Int32
			p.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				c.answer(w, r)
			})
			_, err := p.Discover(t.Context(), p.URL)
			failed(t, err, "issuer_faulty", c.variant, oauth.Admin)
			if got := asked.Load(); got > 2*(1+3) {
				t.Errorf("it was asked %d times", got)
			}
		})
	}
	t.Run("a server without metadata is refused", func(t *testing.T) {
		for _, body := range []string{"", "<html>", "[]", "{}", `{"issuer":3}`} {
			p := publish(t)
			p.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) })
			_, err := p.Discover(t.Context(), p.URL)
			failed(t, err, "issuer_without_metadata", "", oauth.Admin)
		}
	})
	t.Run("a server with a problem is asked again", func(t *testing.T) {
		p := publish(t)
		p.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		_, err := p.Discover(t.Context(), p.URL)
		failed(t, err, "provider_unavailable", "person_waits", oauth.Retry)
	})
}
