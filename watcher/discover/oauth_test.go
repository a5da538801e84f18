package discover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"idlepush/codes"
	"idlepush/watcher/oauth"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	t.Run("every provider where people sign in is one of package oauth, whose tokens are for its server", sameProviders)
	t.Run("a provider that takes nothing else has a note that says what to do", whatToDo)
	t.Run("a domain that Google or Microsoft hosts has their ways to log in", hostedSignIn)
	t.Run("the element oAuth2 of a configuration file is read", elementRead)
	t.Run("tokens of a provider are for its own servers", strangersServer)
	t.Run("a server that a person names is looked up, and nobody is asked", namedServer)
	t.Run("people sign in to a server that was found if there are tokens for it", foundServer)
	t.Run("an issuer is a URL of https or a host name", issuerForms)
}

func sameProviders(t *testing.T) {
	t.Parallel()
	var known []string
	for _, p := range oauth.Table() {
		known = append(known, p.Name+" "+p.Title)
		used := func(l provider) bool { return l.oauth == p.Name && p.Serves(l.host) }
		if !slices.ContainsFunc(table, used) {
			t.Errorf("no provider in the table has mail at one of %v", p.Hosts)
		}
		if s := signInAt(p.Issuer); s == nil || s.name != p.Name {
			t.Errorf("the issuer %s is not known as %s", p.Issuer, p.Name)
		}
	}
	for _, p := range table {
		if o, ok := oauth.Named(p.oauth); p.oauth != "" && (!ok || !o.Serves(p.host)) {
			t.Errorf("%s has tokens of %s, which are not for %s", p.name, p.oauth, p.host)
		}
	}
	for _, s := range signIns {
		if !slices.Contains(known, s.name+" "+s.title) {
			t.Errorf("package oauth has no %s with the title %s", s.name, s.title)
		}
	}
}

// way is how one logs in at the best settings.
func way(r Result) string {
	if len(r.Settings) == 0 {
		return "none"
	}
	s := r.Settings[0]
	return strings.TrimSpace(fmt.Sprint(s.Host, " ", s.Auth, " ", s.OAuth))
}

func notes(r Result) string {
	var list []string
	for _, n := range r.Notes {
		list = append(list, strings.Join(strings.Fields(fmt.Sprint(n.Code, " ", n.Params["provider"], " ", n.Params[codes.Case])), " "))
	}
	return strings.Join(list, ", ")
}

func whatToDo(t *testing.T) {
	t.Parallel()
	tn := newTestNet(t)
	tn.pages["autoconfig.example.org"] = servesOAuth("OAuth2", "auth.example.org", "mail")
	f, sentences := tn.finder(), codes.Join(Codes)
	for _, c := range []struct {
		email, client, want string
	}{
		{"ann@outlook.com", "", "oauth2 Microsoft no_client"},
		{"ann@outlook.com", "google", "oauth2 Microsoft no_client"},
		{"ann@outlook.com", "microsoft", "oauth2 Microsoft"},
		{"ann@gmail.com", "google", "app_password Gmail"},
		{"ann@gmail.com", "", "app_password Gmail"},
		{"ann@example.org", "", "oauth2 auth.example.org no_client"},
		{"ann@example.org", "https://auth.example.org", "oauth2 auth.example.org"},
	} {
		f.HasClient = nil
		if c.client != "" {
			f.HasClient = func(provider string) bool { return provider == c.client }
		}
		r := find(t, f, c.email)
		if got := notes(r); got != c.want {
			t.Errorf("%s with a client for %q has the notes %q; want %q", c.email, c.client, got, c.want)
		}
		if s := r.Settings[0]; s.Client != (c.client == s.OAuth) {
			t.Errorf("%s with a client for %q: people can sign in: %v", c.email, c.client, s.Client)
		}
		for _, n := range r.Notes {
			if err := sentences.Check(n.Code, n.Params); err != nil {
				t.Error(err)
			}
		}
	}
}

func hostedSignIn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mx, srv, file, want string
	}{
		"Google by MX":                   {"aspmx.l.google.com.", "", "", "imap.gmail.com [app_password oauth] google"},
		"Microsoft by MX":                {"example-org.mail.protection.outlook.com.", "", "", "outlook.office365.com [oauth] microsoft"},
		"Google by MX, with an old file": {"aspmx.l.google.com.", "", "mail.example.org", "imap.gmail.com [app_password oauth] google"},
		"Proton by MX, with an old file": {"mail.protonmail.ch.", "", "mail.example.org", "none"},
		"Google by SRV":                  {"", "imap.gmail.com.", "", "imap.gmail.com [app_password oauth] google"},
		"Microsoft by its own file":      {"", "", "outlook.office365.com", "outlook.office365.com [oauth] microsoft"},
		"a server that nobody knows":     {"", "imap.example.org.", "", "imap.example.org [password]"},
	} {
		tn := newTestNet(t)
		if c.mx != "" {
			tn.mx["example.org"] = []*net.MX{{Host: c.mx, Pref: 10}}
		}
		if c.srv != "" {
			tn.srv["imaps example.org"] = []*net.SRV{{Target: c.srv, Port: 993}}
		}
		if c.file != "" {
			tn.pages["autoconfig.example.org"] = servesConfig(c.file)
		}
		r := find(t, tn.finder(), "ann@example.org")
		if got := way(r); got != c.want || c.mx != "" && len(r.Settings) > 0 && r.Settings[0].Source != MX || (r.Name == "") != strings.Contains(got, "example.org") {
			t.Errorf("%s: %s, of %q", name, got, r.Name)
		}
	}
}

func elementRead(t *testing.T) {
	t.Parallel()
	const element = `<oAuth2><issuer>auth.example.org</issuer><scope>imap  offline_access</scope><authURL>https://evil.example/a</authURL><tokenURL>https://evil.example/t</tokenURL></oAuth2>`
	server := func(methods ...string) string {
		text := `<incomingServer type="imap"><hostname>imap.example.org</hostname><port>993</port><socketType>SSL</socketType><username>%EMAILADDRESS%</username>`
		for _, m := range methods {
			text += "<authentication>" + m + "</authentication>"
		}
		return text + "</incomingServer>"
	}
	file := func(inside, after string) string {
		return "<clientConfig><emailProvider>" + inside + "</emailProvider>" + after + "</clientConfig>"
	}
	for name, c := range map[string]struct {
		file, want, notes string
	}{
		"after the provider":          {file(server("OAuth2"), element), "imap.example.org [oauth] https://auth.example.org", "oauth2 auth.example.org no_client"},
		"in the provider":             {file(server(" OAuth2 ")+element, ""), "imap.example.org [oauth] https://auth.example.org", "oauth2 auth.example.org no_client"},
		"beside a password":           {file(server("OAuth2", "password-cleartext"), element), "imap.example.org [password oauth] https://auth.example.org", ""},
		"for nobody":                  {file(server("password-encrypted"), element), "imap.example.org [password]", ""},
		"without a method":            {file(server(), element), "imap.example.org [password]", ""},
		"missing":                     {file(server("OAuth2"), ""), "none", "oauth2 no_issuer"},
		"missing beside a password":   {file(server("OAuth2", "password-cleartext"), ""), "imap.example.org [password]", ""},
		"empty":                       {file(server("OAuth2"), "<oAuth2><issuer/></oAuth2>"), "none", "oauth2 no_issuer"},
		"of a method that we lack":    {file(server("GSSAPI"), element), "none", "none_found"},
		"for one server of two":       {file(server("GSSAPI")+server("OAuth2"), element), "imap.example.org [oauth] https://auth.example.org", "oauth2 auth.example.org no_client"},
		"without scopes, with a path": {file(server("OAuth2"), "<oAuth2><issuer>https://auth.example.org/realms/mail/</issuer></oAuth2>"), "imap.example.org [oauth] https://auth.example.org/realms/mail/", "oauth2 auth.example.org no_client"},
	} {
		tn := newTestNet(t)
		tn.pages["autoconfig.example.org"] = func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, c.file) }
		r := find(t, tn.finder(), "ann@example.org")
		if way(r) != c.want || notes(r) != c.notes || strings.Contains(fmt.Sprintf("%+v", r), "evil") {
			t.Errorf("%s: %s, with the notes %q", name, way(r), notes(r))
		}
	}
}

// A domain must not get Google's token by a file that names its own server and Google's issuer.
func strangersServer(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{"accounts.google.com", "https://Accounts.Google.com", "https://login.microsoftonline.com/common/v2.0", "o2.mail.ru"} {
		tn := newTestNet(t)
		tn.pages["autoconfig.example.org"] = servesOAuth("OAuth2", issuer, "https://mail.google.com/")
		if r := find(t, tn.finder(), "ann@example.org"); way(r) != "none" || notes(r) != "oauth2 no_issuer" {
			t.Errorf("%s: %s, with the notes %q", issuer, way(r), notes(r))
		}
	}
}

// home is an issuer for which this server has a client.
const home = "https://login.example.org/realms/home"

// tokensFor is what the program knows of providers, with that client.
func tokensFor(host string) string {
	for _, p := range append(oauth.Table(), oauth.Provider{Name: home, Issuer: home}) {
		if p.Serves(host) {
			return p.Name
		}
	}
	return ""
}

func namedServer(t *testing.T) {
	t.Parallel()
	f := &Finder{TokensFor: tokensFor, Resolver: newTestNet(t), dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("a server got a request")
		return nil, errors.New("no")
	}}
	for host, c := range map[string]struct {
		want, name, notes string
	}{
		"imap.gmail.com":           {"imap.gmail.com [app_password oauth] google", "Gmail", "app_password Gmail"},
		"IMAP.GMail.com.":          {"imap.gmail.com [app_password oauth] google", "Gmail", "app_password Gmail"},
		"imap.googlemail.com":      {"imap.googlemail.com [app_password oauth] google", "Gmail", "app_password Gmail"},
		"imap-mail.outlook.com":    {"imap-mail.outlook.com [oauth] microsoft", "Outlook", "oauth2 Microsoft no_client"},
		"eu.outlook.office365.com": {"eu.outlook.office365.com [oauth] microsoft", "Outlook", "oauth2 Microsoft no_client"},
		"imap.mail.att.net":        {"imap.mail.att.net [app_password oauth] yahoo", "AT&T", "app_password AT&T"},
		"imap.gmx.net":             {"imap.gmx.net [password app_password]", "GMX", "imap_switch GMX"},
		"mail.example.org":         {"mail.example.org [password oauth] " + home, "", ""},
		"mail.example.net":         {"none", "", ""},
		"gmail.com.evil.example":   {"none", "", ""},
		"192.168.1.2":              {"none", "", ""},
	} {
		r, err := f.At("ann@example.org", host)
		if err != nil || way(r) != c.want || r.Name != c.name || notes(r) != c.notes {
			t.Errorf("%s: %s, of %q, with the notes %q, %v", host, way(r), r.Name, notes(r), err)
		}
		for _, s := range r.Settings {
			if s.Port != 993 || s.Security != "tls" || s.Username != "ann@example.org" || s.Source != Named {
				t.Errorf("%s: %+v", host, s)
			}
		}
	}
	if _, err := f.At("ann", "imap.gmail.com"); !errors.Is(err, ErrAddress) {
		t.Errorf("what is no address has the error %v", err)
	}
}

func foundServer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		page http.HandlerFunc
		want string
	}{
		"at home":                        {servesConfig("mail.example.org"), "mail.example.org [password oauth] " + home},
		"at home, by an issuer misspelt": {servesOAuth("OAuth2", "login.example.org", "mail"), "x.example.org [oauth] " + home},
		"elsewhere":                      {servesConfig("mail.example.net"), "mail.example.net [password]"},
		"at Microsoft, by an old name":   {servesConfig("imap-mail.outlook.com"), "imap-mail.outlook.com [oauth] microsoft"},
	} {
		tn := newTestNet(t)
		tn.pages["autoconfig.example.org"] = c.page
		f := tn.finder()
		f.TokensFor = tokensFor
		if got := way(find(t, f, "ann@example.org")); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func issuerForms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"auth.example.org":                          "https://auth.example.org",
		"Auth.Example.Org":                          "https://auth.example.org",
		"https://auth.example.org":                  "https://auth.example.org",
		"https://auth.example.org:8443/realms/mail": "https://auth.example.org:8443/realms/mail",
		"http://auth.example.org":                   "",
		"https://192.168.1.1":                       "",
		"192.168.1.1":                               "",
		"https://[::1]/":                            "",
		"localhost":                                 "",
		"https://localhost/":                        "",
		"https://ann:secret@auth.example.org":       "",
		"ann@auth.example.org":                      "",
		"https://auth.example.org/?next=https://evil.example": "",
		"https://auth.example.org/#x":                         "",
		"https://auth.example.org/a b":                        "",
		"https://auth.example.org/\u00fc":                     "",
		"https:auth.example.org":                              "",
		"https:///auth.example.org":                           "",
		"//auth.example.org":                                  "",
		"javascript:alert(1)":                                 "",
		"file:///etc/passwd":                                  "",
		"":                                                    "",
		"https://auth.example.org/" + strings.Repeat("a", 256):   "",
		"https://auth.example.org:port":                          "",
		"https://auth.example.org/%zz":                           "",
		"https://xn--bcher-kva.example/.well-known/oauth-issuer": "https://xn--bcher-kva.example/.well-known/oauth-issuer",
	} {
		if got := issuerURL(text); got != want {
			t.Errorf("of %q the issuer is %q; want %q", text, got, want)
		}
	}
}

// servesOAuth is a page with a configuration file whose server is x.example.org, with an element
// oAuth2.
func servesOAuth(method, issuer, scope string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		file := strings.Replace(configFile("x.example.org"), "password-cleartext", method, 1)
		fmt.Fprint(w, strings.Replace(file, "</clientConfig>", "<oAuth2><issuer>"+issuer+"</issuer><scope>"+scope+"</scope></oAuth2></clientConfig>", 1))
	}
}
