package discover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/codes"
	"idlepush/netguard"
)

func TestFind(t *testing.T) {
	t.Parallel()
	t.Run("a large provider is known without a request", knownProvider)
	t.Run("the best source comes first", bestSourceFirst)
	t.Run("the provider of a person's own domain is known by its mail server", ownDomain)
	t.Run("the address is sent to its own domain only", addressToOwnDomain)
	t.Run("a redirect does not pass on the address", redirectHidesAddress)
	t.Run("hostile answers lead to nothing", hostileAnswers)
	t.Run("a silent server is waited for five seconds and no longer", silentServer)
	t.Run("a server is guessed that answers at its second address", guessSecondAddress)
	t.Run("private addresses are not dialed", privateAddresses)
	t.Run("a text that is no address is refused", noAddress)
}

func find(t *testing.T, f *Finder, email string) Result {
	t.Helper()
	r, err := f.Find(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// hosts are the servers with their sources, best first.
func hosts(r Result) string {
	var list []string
	for _, s := range r.Settings {
		list = append(list, string(s.Source)+" "+s.Host)
	}
	return strings.Join(list, ", ")
}

func knownProvider(t *testing.T) {
	t.Parallel()
	f := &Finder{Resolver: newTestNet(t), dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("a server got a request")
		return nil, errors.New("no")
	}}
	for email, want := range map[string]struct {
		host, user string
		note       codes.Code
	}{
		"ann@gmail.com":      {"imap.gmail.com", "ann@gmail.com", "app_password"},
		"Ann@GoogleMail.com": {"imap.gmail.com", "Ann@googlemail.com", "app_password"},
		"ann@icloud.com":     {"imap.mail.me.com", "ann", "app_password"},
		"ann@yahoo.co.uk":    {"imap.mail.yahoo.com", "ann@yahoo.co.uk", "app_password"},
		"ann@gmx.de":         {"imap.gmx.net", "ann@gmx.de", "imap_switch"},
		"ann@qq.com":         {"imap.qq.com", "ann@qq.com", "authorization_code"},
		"ann@posteo.de":      {"posteo.de", "ann@posteo.de", ""},
		"ann@yahoo.co.jp":    {"imap.mail.yahoo.co.jp", "ann", "imap_switch"},
		"ann@hotmail.fr":     {"outlook.office365.com", "ann@hotmail.fr", "oauth2"},
		"ann@live.com":       {"outlook.office365.com", "ann@live.com", "oauth2"},
		"ann@proton.me":      {"", "", "bridge"},
	} {
		r := find(t, f, email)
		var host, user string
		var note codes.Code
		if len(r.Settings) > 0 {
			host, user = r.Settings[0].Host, r.Settings[0].Username
		}
		if len(r.Notes) > 0 {
			note = r.Notes[0].Code
		}
		if host != want.host || user != want.user || note != want.note || r.Name == "" {
			t.Errorf("%s: %+v", email, r)
		}
	}
	if r := find(t, f, "ann@gmail.com"); !strings.Contains(r.Link, "{message_id}") || r.Notes[0].URL == "" || r.Notes[0].Params["provider"] != "Gmail" {
		t.Errorf("what to do is not said: %+v", r)
	}
}

func TestProviders(t *testing.T) {
	t.Parallel()
	sentences := codes.Join(Codes)
	seen := make(map[string]string)
	for _, p := range table {
		auth := strings.Fields(p.auth)
		if p.name == "" || p.domains == "" && p.mx == "" || p.host != "" && !netguard.IsHostName(p.host) {
			t.Errorf("%+v", p)
		}
		if (p.host == "") != (len(auth) == 0) || len(auth) == 0 && len(p.notes) == 0 {
			t.Errorf("%s: there is no way in, and no note says so; or there is one, and no server", p.name)
		}
		if slices.ContainsFunc(auth, func(way string) bool { return !slices.Contains([]string{Password, AppPassword, Code, OAuth}, way) }) ||
			!slices.Equal(auth, slices.Compact(slices.Clone(auth))) {
			t.Errorf("%s: %s are no ways to log in", p.name, p.auth)
		}
		if slices.Contains(auth, OAuth) != (p.oauth != "") || p.oauth != "" && titleOf(p.oauth) == p.oauth {
			t.Errorf("%s: people cannot sign in at %q", p.name, p.oauth)
		}
		for _, n := range p.notes {
			u, err := url.Parse(n.URL)
			if sentences.Check(n.Code, n.Params) != nil || n.URL != "" && (err != nil || u.Scheme != "https" || !netguard.IsHostName(u.Host)) {
				t.Errorf("%s: %+v", p.name, n)
			}
		}
		for domain := range strings.FieldsSeq(p.domains) {
			if seen[domain] != "" || !netguard.IsHostName(strings.TrimSuffix(domain, ".*")) {
				t.Errorf("%s is there twice, or not valid", domain)
			}
			seen[domain] = p.name
		}
	}
	for _, domain := range []string{"example.org", "notgmail.com", "gmail.com.evil.example.org", "yahoo.evil.example.org", "live.at.somewhere.example"} {
		if p := providerOf(domain); p != nil {
			t.Errorf("%s is taken for %s", domain, p.name)
		}
	}
}

func bestSourceFirst(t *testing.T) {
	t.Parallel()
	everything := func() *testNet {
		tn := newTestNet(t)
		tn.pages["autoconfig.example.org"] = servesConfig("own.example.org")
		tn.pages["example.org"] = servesConfig("known.example.org")
		tn.pages["autoconfig.thunderbird.net"] = servesConfig("listed.example.net")
		tn.pages["autoconfig.host.example"] = servesConfig("hosted.host.example")
		tn.mx["example.org"] = []*net.MX{{Host: "backup.other.example.", Pref: 20}, {Host: "mx1.host.example.", Pref: 10}}
		tn.srv["imaps example.org"] = []*net.SRV{{Target: "record.example.org.", Port: 993}}
		tn.srv["imap example.org"] = []*net.SRV{{Target: "."}}
		tn.imap = []string{"mail.example.org"}
		return tn
	}
	steps := []struct {
		goes func(tn *testNet)
		want string
	}{
		{func(*testNet) {}, "autoconfig own.example.org"},
		{func(tn *testNet) { delete(tn.pages, "autoconfig.example.org") }, "well_known known.example.org"},
		{func(tn *testNet) { delete(tn.pages, "example.org") }, "ispdb listed.example.net"},
		{func(tn *testNet) { delete(tn.pages, "autoconfig.thunderbird.net") }, "mx hosted.host.example"},
		{func(tn *testNet) { delete(tn.mx, "example.org") }, "srv record.example.org"},
		{func(tn *testNet) { tn.srv["imaps example.org"][0].Target = "record_1.example.org." }, "srv record_1.example.org"},
		{func(tn *testNet) { tn.srv["imaps example.org"][0].Target = "192.168.1.1." }, "guess mail.example.org"},
		{func(tn *testNet) { delete(tn.srv, "imaps example.org") }, "guess mail.example.org"},
		{func(tn *testNet) { tn.imap = nil }, ""},
	}
	for i, step := range steps {
		// Requests that were canceled may still be looking at the last one.
		tn := everything()
		for _, s := range steps[:i+1] {
			s.goes(tn)
		}
		r := find(t, tn.finder(), "ann@example.org")
		note := codes.Code("")
		if len(r.Notes) > 0 {
			note = r.Notes[0].Code
		}
		if first, _, _ := strings.Cut(hosts(r), ", "); first != step.want || (note == "none_found") != (step.want == "") {
			t.Errorf("it is %s, %v; want %s first", hosts(r), r.Notes, step.want)
		}
	}
}

func ownDomain(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]struct {
		name, host string
		note       codes.Code
	}{
		"aspmx.l.google.com.":                      {"Gmail", "mx imap.gmail.com", "app_password"},
		"example-org.mail.protection.outlook.com.": {"Outlook", "mx outlook.office365.com", "oauth2"},
		"in1-smtp.messagingengine.com.":            {"Fastmail", "mx imap.fastmail.com", "app_password"},
		"mx00.kundenserver.de.":                    {"IONOS", "mx imap.ionos.de", ""},
		"evil-google.com.":                         {"", "", "none_found"},
	} {
		tn := newTestNet(t)
		tn.mx["example.org"] = []*net.MX{{Host: host, Pref: 10}}
		tn.srv["imaps example.org"] = []*net.SRV{}
		r := find(t, tn.finder(), "ann@example.org")
		note := codes.Code("")
		if len(r.Notes) > 0 {
			note = r.Notes[0].Code
		}
		if r.Name != want.name || hosts(r) != want.host || note != want.note || len(r.Settings) > 0 && r.Settings[0].Username != "ann@example.org" {
			t.Errorf("%s: %+v", host, r)
		}
	}
}

// Third parties see the domain alone.
func addressToOwnDomain(t *testing.T) {
	t.Parallel()
	tn := newTestNet(t)
	nothing := http.NotFound
	for _, host := range []string{"autoconfig.example.org", "example.org", "autoconfig.thunderbird.net", "autoconfig.host.example"} {
		tn.pages[host] = nothing
	}
	tn.mx["example.org"] = []*net.MX{{Host: "mx1.host.example.", Pref: 10}}
	find(t, tn.finder(), "secret+name@example.org")
	want := []string{
		"autoconfig.example.org/mail/config-v1.1.xml?emailaddress=secret%2Bname%40example.org",
		"autoconfig.host.example/mail/config-v1.1.xml",
		"autoconfig.thunderbird.net/v1.1/example.org",
		"autoconfig.thunderbird.net/v1.1/host.example",
		"example.org/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=secret%2Bname%40example.org",
	}
	if got := tn.requests(); got != strings.Join(want, "\n") {
		t.Errorf("asked were\n%s", got)
	}
}

func redirectHidesAddress(t *testing.T) {
	t.Parallel()
	tn := newTestNet(t)
	tn.pages["autoconfig.example.org"] = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://hoster.example/config.xml", http.StatusFound)
	}
	sent := ""
	tn.pages["hoster.example"] = func(w http.ResponseWriter, r *http.Request) {
		sent = fmt.Sprint(r.URL, r.Header)
		servesConfig("own.example.org")(w, r)
	}
	if r := find(t, tn.finder(), "secret@example.org"); hosts(r) != "autoconfig own.example.org" || strings.Contains(sent, "secret") {
		t.Errorf("%s, after the hoster got %s", hosts(r), sent)
	}
}

func hostileAnswers(t *testing.T) {
	t.Parallel()
	redirects := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	text := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, text) }
	}
	for name, page := range map[string]http.HandlerFunc{
		"an endless body": func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		},
		"a loop":          redirects("https://autoconfig.example.org/mail/config-v1.1.xml"),
		"a way to http":   redirects("http://autoconfig.example.org/"),
		"a way to a file": redirects("file:///etc/passwd"),
		"an error page": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			fmt.Fprint(w, configFile("x.example.org"))
		},
		"a page for people":      text("<html><body>Welcome</body></html>"),
		"nothing":                text(""),
		"an entity bomb":         text(`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><clientConfig><emailProvider><incomingServer type="imap"><hostname>&b;</hostname></incomingServer></emailProvider></clientConfig>`),
		"depth":                  text(strings.Repeat("<a>", 15000)),
		"a server by address":    text(configFile("192.168.1.1")),
		"a server with a port":   text(configFile("x.example.org:99")),
		"a server with a path":   text(configFile("x.example.org/../y")),
		"a server without name":  text(configFile("")),
		"another network's file": redirects("https://169.254.169.254/latest/"),
	} {
		tn := newTestNet(t)
		tn.pages["autoconfig.example.org"] = page
		if r := find(t, tn.finder(), "ann@example.org"); len(r.Settings) > 0 || len(r.Notes) != 1 || r.Notes[0].Code != "none_found" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// A domain whose servers are silent must not keep a person waiting; what others know is answered.
func silentServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tn := newTestNet(t)
		tn.pages["autoconfig.example.org"] = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		tn.pages["autoconfig.thunderbird.net"] = servesConfig("listed.example.net")
		f := tn.finder()
		began := time.Now()
		r := find(t, f, "ann@example.org")
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
		if hosts(r) != "ispdb listed.example.net" {
			t.Errorf("it is %s", hosts(r))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began = time.Now()
		if _, err := f.Find(ctx, "ann@example.org"); err != nil || time.Since(began) > 0 {
			t.Errorf("after the person has gone: %v, %v", err, time.Since(began))
		}
	})
}

func guessSecondAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		six, four := netip.MustParseAddr("2001:db8::6"), netip.MustParseAddr("192.0.2.4")
		tn := newTestNet(t)
		tn.imap = []string{"imap.example.org"}
		f := tn.finder()
		testNet := f.dial
		f.resolve = func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{six, four}, nil }
		f.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			switch address {
			case "[2001:db8::6]:993":
				client, server := net.Pipe()
				go io.Copy(io.Discard, server)
				return client, nil
			case "192.0.2.4:993":
				return testNet(ctx, network, "imap.example.org:993")
			}
			return testNet(ctx, network, address)
		}
		began := time.Now()
		if r := find(t, f, "ann@example.org"); hosts(r) != "guess imap.example.org" || time.Since(began) > within/2 {
			t.Errorf("it is %s after %v", hosts(r), time.Since(began))
		}
	})
}

func privateAddresses(t *testing.T) {
	t.Parallel()
	asked := make(chan netip.Addr, 10)
	f := &Finder{Resolver: newTestNet(t), Permit: func(at netguard.Target) error {
		asked <- at.Addr.Addr()
		return errors.New("it lies in a private network")
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := f.get(t.Context(), "https://"+l.Addr().String()+"/"); err == nil || !strings.Contains(err.Error(), "private network") {
		t.Errorf("%v", err)
	}
	if a := <-asked; !a.IsLoopback() {
		t.Errorf("asked for %v", a)
	}
}

func noAddress(t *testing.T) {
	t.Parallel()
	for _, email := range []string{"", "ann", "@example.org", "ann@", "ann@example", "ann@192.168.1.1", "ann@[::1]", "ann@exa mple.org", "ann@example..org", "ann@-x.org", "ann@localhost",
		"ann\n@example.org", strings.Repeat("a", 250) + "@example.org", "ann@example.org/path", "ann@example.org:993"} {
		if _, err := new(Finder).Find(t.Context(), email); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %v", email, err)
		}
	}
	if local, domain, err := parse("ann@Bücher.Example"); err != nil || local != "ann" || domain != "xn--bcher-kva.example" {
		t.Errorf("%s %s %v", local, domain, err)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(configFile("imap.example.org")), "ann@example.org")
	f.Add([]byte(strings.Replace(configFile("imap.example.org"), "password-cleartext", "OAuth2", 1)), "ann@example.org")
	f.Add([]byte("<clientConfig>"), "a@b.c")
	f.Fuzz(func(t *testing.T, file []byte, email string) {
		for _, s := range parseConfig(file, Autoconfig, email).settings {
			if !netguard.IsHostName(s.Host) || s.Port < 1 || s.Port > 65535 || s.Security != "tls" && s.Security != "starttls" || s.Username == "" || len(s.Auth) == 0 || slices.Contains(s.Auth, OAuth) != (s.OAuth != "") {
				t.Errorf("%+v", s)
			}
		}
	})
}
