package oauth_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"idlepush/netguard"
	"idlepush/watcher/oauth"
)

func TestTable(t *testing.T) {
	t.Parallel()
	hosts := make(map[string]string)
	for _, p := range oauth.Table() {
		if !regexp.MustCompile(`^[a-z]+$`).MatchString(p.Name) || p.Title == "" || len(p.Scopes) == 0 || len(p.Hosts) == 0 || p.NamesItself {
			t.Errorf("%+v lacks something", p)
		}
		for _, address := range []string{p.Issuer, p.AuthURL, p.TokenURL, p.DeviceURL} {
			u, err := url.Parse(address)
			if address != "" && (err != nil || u.Scheme != "https" || !netguard.IsHostName(u.Hostname()) || u.RawQuery != "" || u.Fragment != "" || u.Port() != "") {
				t.Errorf("%s: %q is no address of an endpoint", p.Name, address)
			}
		}
		for _, host := range p.Hosts {
			if !netguard.IsHostName(strings.TrimPrefix(host, ".")) || host != strings.ToLower(host) || hosts[host] != "" {
				t.Errorf("%s: %q is no host of its own", p.Name, host)
			}
			hosts[host] = p.Name
		}
		for name := range p.Params {
			if slices.Contains([]string{"client_id", "response_type", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method", "login_hint"}, name) {
				t.Errorf("%s sets %s", p.Name, name)
			}
		}
		if got, ok := oauth.Named(p.Name); !ok || got.TokenURL != p.TokenURL {
			t.Errorf("%s is not found by its name", p.Name)
		}
	}
	if len(hosts) < 10 {
		t.Errorf("the table has %d hosts", len(hosts))
	}
	if _, ok := oauth.Named("nobody"); ok {
		t.Error("nobody is in the table")
	}
	google, _ := oauth.Named("google")
	google.Params["prompt"], google.Scopes[0] = "none", ""
	if again, _ := oauth.Named("google"); again.Params["prompt"] != "consent" || again.Scopes[0] == "" {
		t.Error("who gets a provider can change the table")
	}
}

func TestServes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		issuer, host string
		hosts        []string
		want         bool
	}{
		{"https://login.example.org/realm", "imap.example.org", nil, true},
		{"https://login.example.org", "IMAP.Example.org.", nil, true},
		{"https://login.example.org", "example.org", nil, true},
		{"https://login.example.org", "imap.example.com", nil, false},
		{"https://login.example.org", "imap.evil-example.org", nil, false},
		{"https://login.example.co.uk", "imap.other.co.uk", nil, false},
		{"https://login.example.co.uk", "imap.example.co.uk", nil, true},
		{"https://ann.github.io", "bob.github.io", nil, false},
		{"https://nas", "nas", nil, true},
		{"https://nas", "box", nil, false},
		{"https://127.0.0.1:8443", "127.0.0.1", nil, true},
		{"https://192.168.0.1", "192.168.0.2", nil, false},
		{"https://10.0.0.1", "20.0.0.1", nil, false},
		{"https://login.example.org", "", nil, false},
		{"", "imap.example.org", nil, false},
		{"https://login.example.org", "imap.example.com", []string{"imap.example.com"}, true},
		{"https://login.example.org", "imap.example.org", []string{"imap.example.com"}, false},
		{"https://login.example.org", "a.imap.example.com", []string{".imap.example.com"}, true},
		{"https://login.example.org", "aimap.example.com", []string{".imap.example.com"}, false},
		{"https://login.example.org", "imap.example.com", []string{".imap.example.com"}, false},
		{"https://login.example.org", "a.imap.example.com", []string{"imap.example.com"}, false},
	} {
		if got := (oauth.Provider{Issuer: c.issuer, Hosts: c.hosts}).Serves(c.host); got != c.want {
			t.Errorf("a token of %s for %v goes to %q: %v", c.issuer, c.hosts, c.host, got)
		}
	}
	google, _ := oauth.Named("google")
	for host, want := range map[string]bool{"imap.gmail.com": true, "imap.googlemail.com": true, "mail.google.com": false, "imap.gmail.com.example.org": false} {
		if got := google.Serves(host); got != want {
			t.Errorf("Google's tokens go to %s: %v", host, got)
		}
	}
}
