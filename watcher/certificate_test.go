package watcher

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/watcher/imaptest"
)

func TestCertificate(t *testing.T) {
	t.Parallel()
	t.Run("what a server at home shows is offered, and accepted once it is pinned", certificateAtHome)
	t.Run("the sentence for one without names has the command that makes a better one", certificateCommand)
	t.Run("if a pinned one changes, its people are told at once, and no password is sent", certificateChanges)
	t.Run("one that never worked is not tried again", certificateNeverWorked)
}

// homemade returns a certificate that signs itself.
func homemade(t *testing.T, template x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func fingerprintOf(c tls.Certificate) idlepush.Fingerprint {
	return idlepush.CertificateOf(c.Leaf).Fingerprint
}

// serveTLS serves a script that shows the certificate, with this kind of connection.
func serveTLS(t *testing.T, security idlepush.Security, certificate tls.Certificate) (port int) {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	if security == idlepush.SecurityStartTLS {
		return serve(t, &imaptest.Script{TLS: config})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { new(imaptest.Script).ServeAll(tls.NewListener(l, config)) })
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}

// asPublic permits loopback as a public address: only encrypted.
func asPublic(at netguard.Target) error {
	if at.Plain {
		return netguard.ErrPlain
	}
	return nil
}

func certificateAtHome(t *testing.T) {
	t.Parallel()
	allowed, err := netguard.ParseMail("127.0.0.0/8:*")
	if err != nil {
		t.Fatal(err)
	}
	ours := []net.IP{net.IPv4(127, 0, 0, 1)}
	long := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	good, another := homemade(t, x509.Certificate{IPAddresses: ours}), fingerprintOf(homemade(t, x509.Certificate{}))
	for name, c := range map[string]struct {
		certificate tls.Certificate
		code        codes.Code
		offered     bool
	}{
		"signed by itself":        {good, "certificate_untrusted", true},
		"for another host":        {homemade(t, x509.Certificate{DNSNames: []string{"nas"}}), "certificate_wrong_host", true},
		"with its name in the CN": {homemade(t, x509.Certificate{Subject: pkix.Name{CommonName: "127.0.0.1"}}), "certificate_without_names", true},
		"expired":                 {homemade(t, x509.Certificate{IPAddresses: ours, NotBefore: long, NotAfter: long.AddDate(1, 0, 0)}), "certificate_expired", true},
		"not valid yet":           {homemade(t, x509.Certificate{IPAddresses: ours, NotBefore: time.Now().AddDate(1, 0, 0), NotAfter: time.Now().AddDate(2, 0, 0)}), "certificate_not_yet_valid", false},
	} {
		for _, security := range []idlepush.Security{idlepush.SecurityTLS, idlepush.SecurityStartTLS} {
			t.Run(name+", "+string(security), func(t *testing.T) {
				own := fingerprintOf(c.certificate)
				a := idlepush.Account{Host: "127.0.0.1", Port: serveTLS(t, security, c.certificate), Security: security, Username: "anna", Password: "p", Folders: []string{"INBOX"}}
				check := func(permit netguard.Permit, pin idlepush.Fingerprint) *Failure {
					t.Helper()
					pinned := a
					pinned.Pin = pin
					_, err := Dialer{Permit: permit, TLS: &tls.Config{RootCAs: x509.NewCertPool()}}.Check(t.Context(), pinned)
					f, _ := errors.AsType[*Failure](err)
					if (f == nil) != (err == nil) || f != nil && sentences.Check(f.Code, f.Params) != nil {
						t.Fatalf("it fails as %v", err)
					}
					return f
				}
				if f := check(allowed.Permit, ""); f == nil || f.Code != c.code || f.Field != "host" || (f.Certificate != nil) != c.offered || c.offered && f.Certificate.Fingerprint != own {
					t.Errorf("at first it is %+v", f)
				}
				if f := check(allowed.Permit, own); f != nil {
					t.Errorf("once it is pinned: %+v", f)
				}
				if f := check(allowed.Permit, another); f == nil || f.Code != "certificate_changed" || f.Params["trusted"] != string(another) || f.Params["shown"] != string(own) ||
					f.Field != "certificate" || f.Certificate == nil || f.Certificate.Fingerprint != own {
					t.Errorf("with another one pinned: %+v", f)
				}
				for _, pin := range []idlepush.Fingerprint{"", own, another} {
					if f := check(asPublic, pin); f == nil || f.Code != c.code || f.Params[codes.Case] == atHome || f.Certificate != nil {
						t.Errorf("in the public internet, with the pin %q: %+v", pin, f)
					}
				}
			})
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(good.Leaf)
	a := idlepush.Account{Host: "127.0.0.1", Port: serveTLS(t, idlepush.SecurityTLS, good), Security: idlepush.SecurityTLS, Username: "anna", Password: "p", Folders: []string{"INBOX"}, Pin: another}
	if _, err := (Dialer{Permit: allowed.Permit, TLS: &tls.Config{RootCAs: roots}}).Check(t.Context(), a); err != nil {
		t.Errorf("one that verifies, with another one pinned: %v", err)
	}
}

func certificateCommand(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{"nas.home.arpa": "-subj /CN=nas.home.arpa -addext subjectAltName=DNS:nas.home.arpa ", "192.168.1.10": "subjectAltName=IP:192.168.1.10 ", "fd00::10": "subjectAltName=IP:fd00::10 "} {
		bare := homemade(t, x509.Certificate{Subject: pkix.Name{CommonName: host}})
		f := tlsFailure(bare.Leaf.VerifyHostname(host), time.Now())
		if f.Code != "certificate_without_names" || !strings.Contains(f.Error(), want) {
			t.Errorf("for %s it says %s", host, f.Error())
		}
	}
}

// certificateServer is a mail server at home whose certificate can be changed.
type certificateServer struct {
	script  *imaptest.Script
	serving sync.WaitGroup

	mu     sync.Mutex
	shown  tls.Certificate
	logins int
	tries  []time.Time
}

func newCertificateServer(shown tls.Certificate) *certificateServer {
	s := &certificateServer{shown: shown}
	s.script = &imaptest.Script{Messages: []imaptest.Message{{UID: 1, Header: subject("old")}}, At: func(_ *imaptest.Talk, moment string) {
		if moment == "before LOGIN" {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.logins++
		}
	}}
	return s
}

// show has the server show another certificate, and ends its connections.
func (s *certificateServer) show(c tls.Certificate) {
	s.mu.Lock()
	s.shown = c
	s.mu.Unlock()
	s.script.Renumber()
}

func (s *certificateServer) seen() (logins int, tries []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins, s.tries
}

func (s *certificateServer) dial(context.Context, string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries = append(s.tries, time.Now())
	config := &tls.Config{Certificates: []tls.Certificate{s.shown}}
	client, peer := net.Pipe()
	s.serving.Go(func() { s.script.Serve(tls.Server(peer, config)) })
	return client, nil
}

// watch watches an account at the server that pins a certificate, and whose password has logged in
// before; zero: it has not.
func (s *certificateServer) watch(t *testing.T, pinned tls.Certificate, loggedIn time.Time) (h *harness, stop func()) {
	t.Helper()
	a := scriptedAccount
	a.Pin, a.Status.LoggedIn = fingerprintOf(pinned), loggedIn
	h = newHarness(t, a)
	h.trustIdle(t)
	_, end := h.watch(t, Dialer{Permit: permitAll, TLS: &tls.Config{RootCAs: x509.NewCertPool()}, Dial: s.dial})
	return h, func() {
		end()
		s.serving.Wait()
	}
}

func certificateChanges(t *testing.T) {
	t.Parallel()
	first, second := homemade(t, x509.Certificate{}), homemade(t, x509.Certificate{})
	for name, end := range map[string]func(*testing.T, *harness, *certificateServer){
		"the first one is back": func(t *testing.T, _ *harness, s *certificateServer) { s.show(first) },
		"the new one is accepted": func(t *testing.T, h *harness, s *certificateServer) {
			a, err := h.store.Accounts.Get(h.account.ID)
			if err != nil {
				t.Fatal(err)
			}
			a.Pin = fingerprintOf(second)
			if h.account, err = h.store.Accounts.UpdateChecked(a, "", time.Now(), time.Now()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newCertificateServer(first)
				h, stop := s.watch(t, first, time.Now())
				defer stop()
				time.Sleep(time.Minute)
				synctest.Wait()
				h.allWatching(t)
				logins, before := s.seen()
				s.script.Deliver(imaptest.Message{Header: subject("in between")})
				time.Sleep(time.Minute)
				s.show(second)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				st, said := h.status(t), h.attentions(t)
				if advice, prints, _ := strings.Cut(sentences.Sentence(st.Code, st.Params), "so do not."); !strings.Contains(prints, st.Params["shown"]) || strings.Contains(advice, ":") {
					t.Errorf("a push, which cuts off the end, says %q", advice)
				}
				if st.State != idlepush.StateAttention || st.Code != "certificate_changed" || st.Params["trusted"] != string(fingerprintOf(first)) || st.Params["shown"] != string(fingerprintOf(second)) {
					t.Errorf("at once it is %+v", st)
				}
				if len(said) != 1 || !strings.Contains(sentences.Sentence(said[0].Code, said[0].Params), string(fingerprintOf(second))) {
					t.Errorf("its people are told %+v", said)
				}
				time.Sleep(48 * time.Hour)
				synctest.Wait()
				after, tries := s.seen()
				if after != logins || len(tries)-len(before) < 5 || len(tries)-len(before) > 50 {
					t.Errorf("%d passwords were sent in %d tries", after-logins, len(tries)-len(before))
				}
				h.reported(t, 1)
				s.script.Deliver(imaptest.Message{Header: subject("during that")})
				end(t, h, s)
				time.Sleep(3 * time.Hour)
				synctest.Wait()
				h.allWatching(t)
				if said := h.attentions(t); len(said) != 1 || said[0].Cleared.IsZero() {
					t.Errorf("afterwards its people were told %+v", said)
				}
				if got := subjects(h.mails(t)); len(got) != 2 {
					t.Errorf("these rang: %q", got)
				}
			})
		})
	}
}

func certificateNeverWorked(t *testing.T) {
	t.Parallel()
	first, second := homemade(t, x509.Certificate{}), homemade(t, x509.Certificate{})
	synctest.Test(t, func(t *testing.T) {
		s := newCertificateServer(second)
		h, stop := s.watch(t, first, time.Time{})
		defer stop()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if st := h.status(t); !st.Ended() || st.Code != "certificate_changed" {
			t.Errorf("it is %+v", st)
		}
		if logins, tries := s.seen(); logins > 0 || len(tries) != 1 {
			t.Errorf("%d passwords were sent in %d tries", logins, len(tries))
		}
	})
}
