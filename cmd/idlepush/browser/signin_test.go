package browser

import (
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"idlepush"
	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
	"idlepush/watcher/oauth/oauthtest"
	"idlepush/web/browsertest"
)

const providerPassword = registrytest.SecretMarker + " of the provider"

// signInSystem is a daemon at an https address, with an OAuth provider whose tokens its mail server
// accepts.
type signInSystem struct {
	*system
	provider *oauthtest.Server
	public   string
}

// startSignIn starts it. client reports whether it is registered with the provider.
func startSignIn(t *testing.T, client bool) signInSystem {
	t.Helper()
	p, err := program()
	systemtest.Must(t, err)
	provider := oauthtest.New(t)
	s := signInSystem{&system{systemtest.New(t, p, provider.DovecotSettings(t))}, provider, ""}
	origin, err := url.Parse(s.Origin)
	systemtest.Must(t, err)
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(origin)
		r.SetXForwarded()
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(func() {
		proxy.CloseClientConnections() // event streams have no end
		proxy.Close()
	})
	s.public = proxy.URL
	var trusted strings.Builder
	for _, file := range []string{s.Mail.CAFile, provider.CAFile} {
		text, err := os.ReadFile(file)
		systemtest.Must(t, err)
		trusted.Write(text)
	}
	roots := filepath.Join(t.TempDir(), "roots.pem")
	systemtest.Must(t, os.WriteFile(roots, []byte(trusted.String()), 0o600))
	s.More = []string{"SSL_CERT_FILE=" + roots, "IDLEPUSH_PUBLIC_URL=" + s.public, "IDLEPUSH_TRUSTED_PROXIES=127.0.0.1/32"}
	if client {
		s.More = append(s.More, "IDLEPUSH_OAUTH_ISSUER="+provider.Issuer, "IDLEPUSH_OAUTH_CLIENT_ID=idlepush")
	}
	provider.Register("idlepush", "", s.public+"/oauth")
	provider.AddPerson(oauthtest.Person{Name: "Ann", Password: providerPassword, Mailboxes: []string{s.Mail.User, "other@example.org"}})
	s.Start(t)
	s.SetUp(t)
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/devices", object{"name": "iphone", "transport": "apns", "token": s.APNs.Register(nil)}, nil))
	return s
}

// find lets the page find the settings of addresses, of which those of the tests have none.
func (s signInSystem) find(t *testing.T, p *browsertest.Page) {
	t.Helper()
	p.Eval(t, nil, `(port, user, oauth) => {
		const real = window.fetch;
		window.fetch = (path, ...rest) => path === "/api/v1/accounts/discover" ? Promise.resolve(Response.json({ settings: [{ host: "127.0.0.1", port, security: "tls",
			username: user, source: "autoconfig", auth: ["oauth"], oauth }], notes: [] })) : real(path, ...rest);
	}`, s.Mail.TLSPort, s.Mail.User, s.provider.Issuer)
}

// findSignIn enters an address, for which the page offers to sign in.
func (s signInSystem) findSignIn(t *testing.T, p *browsertest.Page) {
	t.Helper()
	p.Navigate(t, s.public+"/#/add")
	p.WaitText(t, "Add a mailbox")
	s.find(t, p)
	p.Type(t, "Email address", "anna@example.org")
	p.Press(t, browsertest.Tab)
	p.WaitText(t, "Sign in with 127.0.0.1")
}

// consent lets Ann sign in at the provider, and allow one of her mailboxes.
func (s signInSystem) consent(t *testing.T, p *browsertest.Page, mailbox string) {
	t.Helper()
	p.WaitText(t, "Name")
	p.Type(t, "Name", "Ann")
	p.Type(t, "Password", providerPassword)
	p.Click(t, "Next")
	p.Click(t, mailbox)
	p.Click(t, "Allow")
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s := startSignIn(t, true)
	host := "127.0.0.1" // as people call the provider
	p := chromium.Open(t, s.public+"/#/login")
	p.SetViewport(t, 320, 640)
	enterLogin(t, p, "Log in", "anna", systemtest.Password)
	p.WaitText(t, "No mailbox is watched yet.")
	add := func(t *testing.T) {
		t.Helper()
		s.findSignIn(t, p)
		p.Wait(t, "it asks for no password", `() => !document.querySelector("[name=password]").checkVisibility()`)
		p.CheckOverflow(t)
		p.CheckAccessible(t)
		p.Click(t, "Sign in with "+host)
	}
	t.Run("it is offered for a server that is typed in", func(t *testing.T) {
		p.Navigate(t, s.public+"/#/add")
		p.Type(t, "Email address", "anna@example.org")
		p.Press(t, browsertest.Tab)
		p.WaitText(t, "No settings were found")
		for _, server := range []string{host, "localhost", host} { // its tokens are for host
			p.Type(t, "Mail server (IMAP)", server)
			p.Press(t, browsertest.Tab)
			p.Wait(t, "it is offered or not", `offered => [...document.querySelectorAll("main button")].some(b => b.textContent.startsWith("Sign in with")) === offered`, server == host)
		}
		p.Type(t, "Port", strconv.Itoa(s.Mail.TLSPort))
		p.Type(t, "User name", s.Mail.User)
		p.Click(t, "Sign in with "+host)
		s.consent(t, p, s.Mail.User)
		p.WaitText(t, "Which folders ring?")
	})
	t.Run("another mailbox than the one that was asked for is refused", func(t *testing.T) {
		add(t)
		s.consent(t, p, "other@example.org")
		p.WaitText(t, "Sign in again with")
		p.WaitText(t, "The mail server does not accept the sign-in")
		p.CheckOverflow(t)
		p.CheckAccessible(t)
	})
	t.Run("a mailbox is found, signed in to, watched, and rings", func(t *testing.T) {
		p.Click(t, "Sign in again with "+host)
		s.consent(t, p, s.Mail.User)
		p.WaitText(t, "Which folders ring?")
		p.CheckOverflow(t)
		p.CheckAccessible(t)
		p.Click(t, "Watch this mailbox")
		p.WaitText(t, "anna@example.org")
		s.WaitWatched(t, 1)
		before := len(s.APNs.Messages())
		s.Deliver(t, "after the sign-in")
		testenv.Await(t, "the phone rings", func() error {
			if got := len(s.APNs.Messages()); got == before {
				return fmt.Errorf("%d messages", got)
			}
			return nil
		})
	})
	t.Run("the way back works once", func(t *testing.T) {
		p.Navigate(t, s.public+"/oauth?state=forged&code=forged")
		p.WaitText(t, "Nothing was stored.")
		p.CheckOverflow(t)
		p.CheckAccessible(t)
	})
	t.Run("it is renewed on the page of the mailbox", func(t *testing.T) {
		p.Navigate(t, s.public+"/#/mailbox/"+s.ids(t, "/accounts")[0])
		p.WaitText(t, "Opened by signing in with")
		p.Click(t, "Opened by signing in with "+host)
		p.Click(t, "Sign in again with "+host)
		s.consent(t, p, s.Mail.User)
		p.WaitText(t, "Signed in.")
		s.WaitWatched(t, 1)
	})
	t.Run("elsewhere a code is entered", func(t *testing.T) {
		home := chromium.OpenIsolated(t, s.Origin+"/#/login")
		home.SetViewport(t, 320, 640)
		enterLogin(t, home, "Log in", "anna", systemtest.Password)
		home.WaitText(t, "anna@example.org")
		home.Navigate(t, s.Origin+"/#/mailbox/"+s.ids(t, "/accounts")[0])
		home.Click(t, "Opened by signing in with "+host)
		home.Click(t, "Sign in again with "+host)
		home.WaitText(t, "Waiting until the code is entered.")
		home.CheckOverflow(t)
		home.CheckAccessible(t)
		var code, at string
		home.Eval(t, &code, `() => document.querySelector("code.code").textContent`)
		home.Eval(t, &at, `() => document.querySelector("main a[target=_blank]").href`)
		phone := chromium.OpenIsolated(t, at)
		phone.Type(t, "Code", code)
		s.consent(t, phone, s.Mail.User)
		phone.WaitText(t, "Done.")
		home.WaitText(t, "Signed in.")
	})
	s.CheckNoSecrets(t)
}

// TestRegistration signs in at a provider with which the server is not registered yet.
func TestRegistration(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s := startSignIn(t, false)
	s.invite(t, "ben", "planted-login-of-ben")
	const begin = "Sign in with 127.0.0.1"
	open := func(t *testing.T, name, password string) *browsertest.Page {
		t.Helper()
		p := chromium.OpenIsolated(t, s.public+"/#/login")
		enterLogin(t, p, "Log in", name, password)
		p.WaitText(t, "No mailbox is watched yet.")
		s.findSignIn(t, p)
		p.Click(t, begin)
		p.WaitText(t, "This server is not registered with 127.0.0.1 yet.")
		checkSizes(t, p)
		return p
	}
	ben := open(t, "ben", "planted-login-of-ben")
	ben.WaitText(t, "Ask its admin to do that")
	anna := open(t, "anna", systemtest.Password)
	t.Run("an admin is told in three steps what to do", func(t *testing.T) {
		anna.WaitText(t, "That is done once:")
		anna.WaitText(t, s.public+"/oauth")
		anna.Wait(t, "there are three steps", `() => document.querySelectorAll("main ol li").length === 3`)
	})
	t.Run("with the client, the sign-in goes on", func(t *testing.T) {
		anna.Click(t, "Enter the client")
		anna.WaitText(t, s.public+"/oauth")
		checkSizes(t, anna)
		anna.Wait(t, "its address is there", `issuer => document.querySelector("[name=issuer]").value === issuer`, s.provider.Issuer)
		anna.Type(t, "Client id", "idlepush")
		anna.Click(t, "Save")
		s.consent(t, anna, s.Mail.User)
		anna.WaitText(t, "Which folders ring?")
		anna.Click(t, "Watch this mailbox")
		s.WaitWatched(t, 1)
	})
	t.Run("a client of another issuer is not taken for this one's", func(t *testing.T) {
		anna.Navigate(t, s.public+"/#/client/https%3A%2F%2Fother.example.org")
		anna.WaitText(t, "this one replaces that of "+s.provider.Issuer)
		anna.Wait(t, "the form is empty", `() => document.querySelector("[name=client_id]").value === "" && document.querySelector("[name=issuer]").value === "https://other.example.org"`)
		checkSizes(t, anna)
	})
	t.Run("a member goes on where they were", func(t *testing.T) {
		ben.Click(t, begin)
		s.consent(t, ben, s.Mail.User)
		ben.WaitText(t, "Which folders ring?")
	})
	s.CheckNoSecrets(t)
}

// TestSignInAtHome signs in to a mail server that takes tokens, and has a certificate that nobody
// knows.
func TestSignInAtHome(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s := startSignIn(t, true)
	fingerprint := idlepush.CertificateOf(s.Mail.ReplaceCertificate(t)).Fingerprint
	p := chromium.Open(t, s.public+"/#/login")
	enterLogin(t, p, "Log in", "anna", systemtest.Password)
	p.WaitText(t, "No mailbox is watched yet.")
	s.findSignIn(t, p)
	p.Click(t, "Sign in with 127.0.0.1")
	s.consent(t, p, s.Mail.User)
	p.WaitText(t, "Do you trust this certificate?")
	p.WaitText(t, string(fingerprint))
	checkSizes(t, p)
	p.Click(t, "Trust this certificate")
	s.consent(t, p, s.Mail.User)
	p.WaitText(t, "Which folders ring?")
	p.Click(t, "Watch this mailbox")
	s.WaitWatched(t, 1)
	s.CheckNoSecrets(t)
}

// TestPasswordsEnd moves a mailbox from its password to a sign-in, once its server takes no
// passwords any more.
func TestPasswordsEnd(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s := startSignIn(t, true)
	mailbox := s.Account()
	mailbox["host"] = "127.0.0.1"
	var made struct {
		ID     string
		Status struct{ Code string }
	}
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/accounts", mailbox, &made))
	s.WaitWatched(t, 1)
	rings := func(subject string) {
		t.Helper()
		before := len(s.APNs.Messages())
		s.Deliver(t, subject)
		testenv.Await(t, "the phone rings", func() error {
			if got := len(s.APNs.Messages()); got == before {
				return fmt.Errorf("%d messages", got)
			}
			return nil
		})
	}
	rings("planted-by-password")
	s.Mail.EndPasswords(t)
	testenv.Await(t, "the password is refused", func() error {
		if err := s.Client.Get(testenv.Context(t), "/accounts/"+made.ID, &made); err != nil || made.Status.Code != "oauth_required" {
			return fmt.Errorf("the code is %q: %w", made.Status.Code, err)
		}
		return nil
	})
	p := chromium.Open(t, s.public+"/#/mailbox/"+made.ID)
	enterLogin(t, p, "Log in", "anna", systemtest.Password)
	p.WaitText(t, "The provider takes no passwords for this mailbox any more")
	checkSizes(t, p)
	p.Click(t, "Sign in with the provider")
	s.consent(t, p, s.Mail.User)
	p.WaitText(t, "Signed in.")
	s.WaitWatched(t, 1)
	rings("planted-by-token")
	p.WaitText(t, "Opened by signing in with 127.0.0.1")
	s.CheckNoSecrets(t)
}

// TestClients sets the client of a provider, with the page alone.
func TestClients(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s, anna := openFurnished(t, chromium)
	anna.SetViewport(t, 320, 640)
	s.openView(t, anna, "people", "Sign-in with mail providers")
	anna.CheckOverflow(t)
	order := func(want ...string) {
		t.Helper()
		s.openView(t, anna, "add", "Add a mailbox")
		anna.Type(t, "Email address", "papa@gmail.com")
		anna.Press(t, browsertest.Tab)
		anna.WaitText(t, "create an app password here")
		checkSizes(t, anna)
		checkLayout(t, anna)
		var got []string
		anna.Eval(t, &got, `() => [...document.querySelectorAll("main :is(.card p:first-child, label, button)")].filter(page.shown).map(e => page.words(e.textContent))`)
		got = slices.DeleteFunc(got, func(text string) bool { return !slices.Contains(want, text) })
		if !slices.Equal(got, want) {
			t.Errorf("the page shows %q, want %q", got, want)
		}
		anna.SetViewport(t, 320, 640)
	}
	const hint = "Gmail: create an app password here, and enter that one instead of your own."
	order("Email address", hint, "App password", "Sign in with Google", "Continue")
	if anna.Has(t, "css:.primary:not(form > .buttons > *)") {
		t.Error("signing in stands out, although there is no client")
	}
	s.openView(t, anna, "people", "Sign-in with mail providers")
	anna.Click(t, "Google")
	anna.Type(t, "Client id", "17.apps.example.org")
	if strings.Contains(anna.Text(t), "Leave it empty if there is none.") {
		t.Error("the secret seems to be optional")
	}
	anna.Click(t, "css:main details[open] button")
	anna.WaitText(t, "This is required.")
	anna.Type(t, "Client secret", registrytest.SecretMarker+" of the client")
	anna.Click(t, "css:main details[open] button")
	anna.WaitText(t, "Saved.")
	anna.CheckAccessible(t)
	anna.Wait(t, "it is set", `async () => (await (await fetch("/api/v1/clients")).json()).items.some(c => c.provider === "google" && c.client_id === "17.apps.example.org" && c.has_secret)`)
	order("Email address", hint, "Sign in with Google", "App password", "Continue")
	s.CheckNoSecrets(t)
}
