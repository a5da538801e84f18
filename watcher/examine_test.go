package watcher

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/watcher/imaptest"
	"idlepush/watcher/imaptest/servers"
	"idlepush/watcher/oauth"
	"idlepush/watcher/oauth/oauthtest"
)

func TestExamine(t *testing.T) {
	t.Parallel()
	t.Run("each step is told, up to the one that fails", examineSteps)
	t.Run("each address family is tried", examineFamilies)
	t.Run("it waits for a mail, and tells whether and when the server told of it", examineWaits)
	t.Run("no server brings the password into a step", examineSecret)
	t.Run("Dovecot", examineDovecot)
}

// steps returns the steps of an examination, as "verdict code" with the case of the code, and fails
// the test if one has no sentence.
func steps(t *testing.T, list []idlepush.Step) (got []string) {
	t.Helper()
	for _, s := range list {
		if err := sentences.Check(s.Code, s.Params); err != nil {
			t.Error(err)
		}
		text := string(s.Verdict) + " " + string(s.Code)
		if c := s.Params[codes.Case]; c != "" {
			text += "/" + c
		}
		got = append(got, text)
	}
	return got
}

// examined examines the account.
func examined(ctx context.Context, d Dialer, a idlepush.Account, wait time.Duration) (list []idlepush.Step) {
	d.Examine(ctx, a, wait, func(s idlepush.Step) { list = append(list, s) })
	return list
}

// toldGood are the steps with a Script that keeps to the protocol.
var toldGood = []string{"ok examined_connect", "ok examined_greeting", "look examined_plain", "ok examined_mechanisms", "ok examined_login",
	"ok examined_capabilities", "ok examined_idle", "ok examined_folders", "ok examined_opened"}

func silent(command string) func(*imaptest.Script) {
	return func(s *imaptest.Script) {
		s.On = map[string]func(*imaptest.Talk, string){command: func(t *imaptest.Talk, _ string) { t.Silence() }}
	}
}

func examineSteps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		odd      func(*imaptest.Script)
		password idlepush.Secret // default: the right one
		folders  []string
		good     int // how many steps of toldGood come first
		then     []string
		within   time.Duration
	}{
		"keeps to the protocol":     {good: 9},
		"does not greet":            {odd: silent("greeting"), good: 1, then: []string{"wrong server_silent"}, within: examineStep},
		"does not answer the login": {odd: silent("LOGIN"), good: 4, then: []string{"wrong server_silent"}, within: timeout},
		"does not list":             {odd: silent("LIST"), good: 7, then: []string{"wrong server_silent"}, within: timeout},
		"does not open a folder":    {odd: silent("EXAMINE"), good: 8, then: []string{"wrong server_silent"}, within: timeout},
		"is something else":         {odd: func(s *imaptest.Script) { answersGreeting(s, "220 smtp\r\n") }, good: 1, then: []string{"wrong server_faulty"}},
		"refuses the password":      {odd: func(s *imaptest.Script) { s.Password = "another" }, good: 4, then: []string{"wrong login_refused"}},
		"offers no IDLE":            {odd: func(s *imaptest.Script) { s.Caps = "IMAP4rev1" }, good: 6, then: []string{"look examined_no_idle", "ok examined_folders", "ok examined_opened"}},
		"takes only OAuth":          {odd: func(s *imaptest.Script) { s.Caps = "IMAP4rev1 LOGINDISABLED AUTH=XOAUTH2" }, good: 3, then: []string{"ok examined_mechanisms/only_oauth", "wrong oauth_required"}},
		"takes OAuth and passwords": {odd: func(s *imaptest.Script) { s.Caps = "IMAP4rev1 IDLE AUTH=PLAIN AUTH=OAUTHBEARER" }, good: 3, then: slices.Concat([]string{"ok examined_mechanisms/password_or_oauth"}, toldGood[4:])},
		"takes no password":         {odd: func(s *imaptest.Script) { s.Caps = "IMAP4rev1 LOGINDISABLED" }, good: 3, then: []string{"look examined_mechanisms/no_password", "wrong password_not_accepted"}},
		"is not given a password":   {password: "none", good: 4, then: []string{"look examined_no_password"}},
		"does not have a watched folder": {folders: []string{"INBOX", "Nowhere"}, odd: func(s *imaptest.Script) {
			s.On = map[string]func(*imaptest.Talk, string){"EXAMINE": func(t *imaptest.Talk, args string) {
				if strings.Contains(args, "Nowhere") {
					t.Say("%s NO no such mailbox\r\n", t.Tag)
					return
				}
				t.Answer("EXAMINE", args)
			}}
		}, good: 8, then: []string{"wrong folder_unavailable/one_of_several", "ok examined_opened"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := &imaptest.Script{User: "anna", Password: "planted-password"}
				if c.odd != nil {
					c.odd(script)
				}
				h, dialer, w := harnessAt(t, script, c.folders...)
				switch c.password {
				case "":
				case "none":
					h.account.Password = ""
				default:
					h.account.Password = c.password
				}
				began := time.Now()
				list := examined(t.Context(), dialer, h.account, 0)
				w.serving.Wait()
				if got, want := steps(t, list), slices.Concat(toldGood[:c.good], c.then); !slices.Equal(got, want) {
					t.Errorf("told %q,\nwant %q", got, want)
				}
				if took := time.Since(began); took > c.within {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func answersGreeting(s *imaptest.Script, text string) {
	s.On = map[string]func(*imaptest.Talk, string){"greeting": func(t *imaptest.Talk, _ string) {
		t.Say("%s", text)
		t.Silence()
	}}
}

func examineFamilies(t *testing.T) {
	t.Parallel()
	six, four, other := netip.MustParseAddr("2001:db8::6"), netip.MustParseAddr("192.0.2.4"), netip.MustParseAddr("192.0.2.5")
	dns := &net.DNSError{Err: "no such host", IsNotFound: true}
	for name, c := range map[string]struct {
		addrs   []netip.Addr
		err     error
		refused []netip.Addr
		want    []string
	}{
		"both work":                        {addrs: []netip.Addr{six, four}, want: slices.Concat([]string{"ok examined_dns"}, toldGood[:3], []string{"ok examined_connect"}, toldGood[3:])},
		"one does not":                     {addrs: []netip.Addr{six, four}, refused: []netip.Addr{six}, want: slices.Concat([]string{"ok examined_dns", "look examined_family_fails/refused"}, toldGood)},
		"neither does":                     {addrs: []netip.Addr{six, four}, refused: []netip.Addr{six, four}, want: []string{"ok examined_dns", "wrong connection_failed/refused", "wrong connection_failed/refused"}},
		"one address of a family does not": {addrs: []netip.Addr{four, other}, refused: []netip.Addr{four}, want: slices.Concat([]string{"ok examined_dns", "look examined_address_fails"}, toldGood)},
		"the name is unknown":              {err: dns, want: []string{"wrong host_unknown"}},
		"the name has no address":          {want: []string{"wrong host_unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, dialer, w := harnessAt(t, &imaptest.Script{}, "INBOX")
				serve := dialer.Dial
				dialer.resolve = func(context.Context, string) ([]netip.Addr, error) { return slices.Clone(c.addrs), c.err }
				dialer.Dial = func(ctx context.Context, address string) (net.Conn, error) {
					if slices.Contains(c.refused, netip.MustParseAddrPort(address).Addr()) {
						return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
					}
					return serve(ctx, "mail.example.org:993")
				}
				list := examined(t.Context(), dialer, h.account, 0)
				w.serving.Wait()
				if got := steps(t, list); !slices.Equal(got, c.want) {
					t.Errorf("told %q,\nwant %q", got, c.want)
				}
			})
		})
	}
}

func examineWaits(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	for name, c := range map[string]struct {
		odd  func(*imaptest.Script)
		mail func(now time.Time) *imaptest.Message // after a minute; nil: none
		want []string
		took time.Duration
	}{
		"a mail comes":                   {mail: comes(0), want: []string{"ok examined_told/dated"}, took: minute},
		"one with an earlier date":       {mail: comes(-time.Hour), want: []string{"look examined_told/dated_before"}, took: minute},
		"one with a later date":          {mail: comes(time.Hour), want: []string{"look examined_told/dated_ahead"}, took: minute},
		"none comes":                     {want: []string{"look examined_no_mail"}, took: 5 * minute},
		"one comes, and nothing is told": {odd: func(s *imaptest.Script) { s.Mute = true }, mail: comes(0), want: []string{"wrong examined_not_told"}, took: 5 * minute},
		"the server ends IDLE by itself": {odd: func(s *imaptest.Script) {
			s.Beat = imaptest.Beat{Every: 10 * time.Second, Do: func(t *imaptest.Talk, _ int) {
				t.OK("enough")
				t.EndIdle()
			}}
		}, mail: comes(0), want: []string{"ok examined_told/dated"}, took: minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := &imaptest.Script{Messages: []imaptest.Message{{UID: 7}}}
				if c.odd != nil {
					c.odd(script)
				}
				h, dialer, w := harnessAt(t, script, "INBOX")
				var at, last time.Time
				var list []idlepush.Step
				dialer.Examine(t.Context(), h.account, 5*minute, func(s idlepush.Step) {
					if s.Code == "examined_waiting" {
						at = time.Now()
						if c.mail != nil {
							time.AfterFunc(minute, func() { script.Deliver(*c.mail(time.Now())) })
						}
					}
					list, last = append(list, s), time.Now()
				})
				w.serving.Wait()
				if got, want := steps(t, list), slices.Concat(toldGood, []string{"ok examined_waiting"}, c.want); !slices.Equal(got, want) {
					t.Errorf("told %q,\nwant %q", got, want)
				}
				if took := last.Sub(at).Round(time.Second); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
			})
		})
	}
}

// comes returns a mail whose date is that long after it comes.
func comes(by time.Duration) func(now time.Time) *imaptest.Message {
	return func(now time.Time) *imaptest.Message { return &imaptest.Message{Date: now.Add(by)} }
}

// examineSecret has a server put the password wherever it can.
func examineSecret(t *testing.T) {
	t.Parallel()
	const secret = "planted-password"
	for _, refuse := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			script := &imaptest.Script{Caps: "IMAP4rev1 IDLE AUTH=" + secret, On: map[string]func(*imaptest.Talk, string){
				"LOGIN": func(t *imaptest.Talk, _ string) {
					if refuse {
						t.Say("* OK [ALERT] not %s\r\n%s NO not %[1]s\r\n", secret, t.Tag)
						return
					}
					t.Say("* CAPABILITY IMAP4rev1 IDLE %s\r\n%s OK [CAPABILITY IMAP4rev1 %[1]s] in\r\n", secret, t.Tag)
				},
				"EXAMINE": func(t *imaptest.Talk, _ string) { t.Say("%s NO [ALERT] not %s\r\n", t.Tag, secret) },
			}}
			h, dialer, w := harnessAt(t, script, "INBOX")
			list := examined(t.Context(), dialer, h.account, time.Minute)
			w.serving.Wait()
			if text := fmt.Sprintf("%+v", list); strings.Contains(text, secret) || len(list) < 5 {
				t.Errorf("told %s", text)
			}
		})
	}
}

func examineDovecot(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t, "imap_idle_notify_interval = 1s")
	dovecot := func(security idlepush.Security, edit func(*idlepush.Account, *Dialer)) []idlepush.Step {
		a, d := accountAt(s.Endpoint, security), dialerTo(s.Endpoint)
		a.Folders = []string{"INBOX"}
		edit(&a, &d)
		var list []idlepush.Step
		d.Examine(t.Context(), a, time.Minute, func(step idlepush.Step) {
			list = append(list, step)
			if step.Code == "examined_waiting" {
				s.Deliver(t, s.User, "INBOX", mail("a@example.org", "words", ""))
			}
		})
		return list
	}
	rest := []string{"ok examined_mechanisms", "ok examined_login", "ok examined_capabilities", "ok examined_idle", "ok examined_folders", "ok examined_opened", "ok examined_waiting", "ok examined_told/dated"}
	for name, c := range map[string]struct {
		security idlepush.Security
		edit     func(*idlepush.Account, *Dialer)
		want     []string
	}{
		"TLS":                  {"tls", func(*idlepush.Account, *Dialer) {}, append([]string{"ok examined_connect", "look examined_tls/ends_soon", "ok examined_greeting"}, rest...)},
		"STARTTLS":             {"starttls", func(*idlepush.Account, *Dialer) {}, append([]string{"ok examined_connect", "ok examined_greeting", "look examined_tls/ends_soon"}, rest...)},
		"a wrong password":     {"tls", func(a *idlepush.Account, _ *Dialer) { a.Password = "no" }, []string{"ok examined_connect", "look examined_tls/ends_soon", "ok examined_greeting", "ok examined_mechanisms", "wrong login_refused"}},
		"an unknown authority": {"tls", func(_ *idlepush.Account, d *Dialer) { d.TLS = &tls.Config{} }, []string{"ok examined_connect", "look examined_certificate/home", "wrong certificate_untrusted/home"}},
		"a certificate that is pinned": {"tls", func(a *idlepush.Account, d *Dialer) {
			d.TLS, a.Pin = &tls.Config{}, shownAt(t, a)
		}, append([]string{"ok examined_connect", "ok examined_tls/pinned", "ok examined_greeting"}, rest...)},
		"an unknown authority in the public internet": {"tls", func(_ *idlepush.Account, d *Dialer) { d.TLS, d.Permit = &tls.Config{}, asPublic },
			[]string{"ok examined_connect", "look examined_certificate", "wrong certificate_untrusted"}},
		"a forbidden address": {"tls", func(_ *idlepush.Account, d *Dialer) { d.Permit = forbidAll }, []string{"wrong address_not_allowed"}},
		"TLS at another port": {"starttls", func(a *idlepush.Account, _ *Dialer) { a.Security = "tls" }, []string{"ok examined_connect", "wrong tls_failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := steps(t, dovecot(c.security, c.edit)); !slices.Equal(got, c.want) {
				t.Errorf("told %q,\nwant %q", got, c.want)
			}
		})
	}
}

// shownAt returns the fingerprint of the certificate that the server of the account shows.
func shownAt(t *testing.T, a *idlepush.Account) idlepush.Fingerprint {
	t.Helper()
	conn, err := tls.Dial("tcp", net.JoinHostPort(a.Host, strconv.Itoa(a.Port)), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return idlepush.CertificateOf(conn.ConnectionState().PeerCertificates[0]).Fingerprint
}

func forbidAll(netguard.Target) error { return errors.New("no") }

func accessExamined(t *testing.T) {
	t.Parallel()
	begun := slices.Concat([]string{"ok examined_token"}, toldGood[:3], []string{"ok examined_mechanisms/only_oauth"})
	again := append(slices.Clone(begun), "look examined_token_refused")
	for name, c := range map[string]struct {
		spoil func(p *provided)
		kept  bool // an access token is kept, from a check before that
		want  []string
	}{
		"consent":      {func(*provided) {}, false, slices.Concat(begun, toldGood[4:])},
		"a kept token": {func(*provided) {}, true, slices.Concat(begun, toldGood[4:])},
		"a kept token that the server takes no more": {func(p *provided) { p.provider.EndAccess("anna") }, true,
			slices.Concat(again, []string{"ok examined_token"}, toldGood[4:])},
		"a kept token of a consent that has ended": {func(p *provided) { p.provider.Revoke("anna") }, true,
			slices.Concat(again, []string{"wrong consent_ended"})},
		"consent that has ended": {func(p *provided) { p.provider.Revoke("anna") }, false,
			slices.Concat([]string{"wrong consent_ended"}, toldGood[:3], []string{"ok examined_mechanisms/only_oauth", "look examined_no_password"})},
		"a server that takes no token": {func(p *provided) { p.denies.Store(true) }, false,
			slices.Concat(again, []string{"ok examined_token", "wrong login_refused/token"})},
		"a token for another server": {func(p *provided) {
			of := p.dialer.Client
			p.dialer.Client = func(name string) (oauth.Client, bool) {
				client, ok := of(name)
				client.Provider.Hosts = []string{"imap.example.net"}
				return client, ok
			}
		}, false, slices.Concat(begun, []string{"wrong token_for_others"})},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProvided(t, oauthtest.Strict, nil)
				pool := &Pool{Store: p.store.Mail, Dialer: p.dialer, Log: p.log}
				if c.kept {
					if _, err := pool.Check(t.Context(), p.account); err != nil {
						t.Fatal(err)
					}
				}
				c.spoil(p)
				pool.Dialer = p.dialer
				a, err := p.store.Accounts.Get(p.account.ID)
				if err != nil {
					t.Fatal(err)
				}
				var list []idlepush.Step
				pool.Examine(t.Context(), a, 0, func(s idlepush.Step) { list = append(list, s) })
				p.net.serving.Wait()
				if got := steps(t, list); !slices.Equal(got, c.want) {
					t.Errorf("told %q,\nwant %q", got, c.want)
				}
			})
		})
	}
}
