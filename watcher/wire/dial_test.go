package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/netguard"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
)

func TestDial(t *testing.T) {
	t.Parallel()
	t.Run("on a connection of each kind mail is reported and fetched", dialAllWays)
	t.Run("STARTTLS never falls back to plain text", noPlainFallback)
	t.Run("failures of TLS have different errors", tlsFailures)
	t.Run("a forbidden address gets no byte", forbiddenAddress)
	t.Run("a silent listener is given up", silentListener)
	t.Run("cancelling ends Dial and its connection", cancelDial)
}

// realTimeout returns a timeout for steps that must work however busy the machine is.
func realTimeout(t testing.TB) time.Duration {
	t.Helper()
	end, _ := testenv.Context(t).Deadline()
	return time.Until(end)
}

// listening serves a script on a port of this machine.
func listening(t *testing.T, script *imaptest.Script, secure *tls.Config) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	var wg sync.WaitGroup
	wg.Go(func() { script.ServeAll(l) })
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return port
}

func trusted(certificate tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	return &tls.Config{RootCAs: roots, ServerName: "mail.test"}
}

func dialAllWays(t *testing.T) {
	t.Parallel()
	certificate := testCertificate(t)
	secure := &tls.Config{Certificates: []tls.Certificate{certificate}}
	for _, security := range []Security{TLS, StartTLS, None} {
		t.Run(string(security), func(t *testing.T) {
			script := &imaptest.Script{Caps: "IMAP4rev1 IDLE XBEFORE"}
			listenerTLS := secure
			if security != TLS {
				script.TLS, listenerTLS = secure, nil
			}
			first := true
			script.At = func(talk *imaptest.Talk, moment string) {
				if moment == "after STARTTLS" {
					script.Caps = "IMAP4rev1 IDLE XAFTER"
				}
				if moment == "within IDLE" && first {
					first = false
					talk.Deliver(imaptest.Message{})
				}
			}
			port := listening(t, script, listenerTLS)
			c, err := Dial(t.Context(), Endpoint{Host: "127.0.0.1", Port: port, Security: security, TLS: trusted(certificate)}, DefaultLimits, realTimeout(t))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if security == StartTLS && (c.Has("XBEFORE") || !c.Has("XAFTER")) {
				t.Errorf("capabilities from before TLS are still there: %v", c.Caps())
			}
			f := follower{conn: c, timeout: realTimeout(t), next: 1}
			if err := f.open(); err != nil {
				t.Fatal(err)
			}
			if err := f.follow(1, 3); err != nil || len(f.got) != 1 {
				t.Errorf("%v, got %v", err, f.got)
			}
		})
	}
}

func noPlainFallback(t *testing.T) {
	t.Parallel()
	certificate := testCertificate(t)
	secure := &tls.Config{Certificates: []tls.Certificate{certificate}}
	inject := func(text string) func(*imaptest.Talk, string) {
		return func(talk *imaptest.Talk, _ string) { talk.Say("%s OK begin\r\n%s", talk.Tag, text) }
	}
	for name, script := range map[string]*imaptest.Script{
		"not offered": {},
		"refused":     {TLS: secure, On: map[string]func(*imaptest.Talk, string){"STARTTLS": func(talk *imaptest.Talk, _ string) { talk.Say("%s NO not today\r\n", talk.Tag) }}},
		"injected":    {TLS: secure, On: map[string]func(*imaptest.Talk, string){"STARTTLS": inject("* OK [CAPABILITY IMAP4rev1] trust me\r\n")}},
		"half a line": {TLS: secure, On: map[string]func(*imaptest.Talk, string){"STARTTLS": inject("* ")}},
		"preauth":     {TLS: secure, On: map[string]func(*imaptest.Talk, string){"greeting": func(talk *imaptest.Talk, _ string) { talk.Say("* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n") }}},
	} {
		t.Run(name, func(t *testing.T) {
			port := listening(t, script, nil)
			_, err := Dial(t.Context(), Endpoint{Host: "127.0.0.1", Port: port, Security: StartTLS, TLS: trusted(certificate)}, DefaultLimits, realTimeout(t))
			if _, ok := errors.AsType[*StartTLSError](err); !ok {
				t.Errorf("error %T %v", err, err)
			}
			_, injected := errors.AsType[*ProtocolError](err)
			if want := name == "injected" || name == "half a line" || name == "preauth"; injected != want {
				t.Errorf("error %v", err)
			}
			if _, refused := errors.AsType[*imap.Error](err); refused != (name == "refused") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func tlsFailures(t *testing.T) {
	t.Parallel()
	certificate := testCertificate(t)
	secure := &tls.Config{Certificates: []tls.Certificate{certificate}}
	encrypted, plain := listening(t, &imaptest.Script{}, secure), listening(t, &imaptest.Script{}, nil)
	starttls := listening(t, &imaptest.Script{TLS: secure}, nil)
	other := trusted(certificate)
	other.ServerName = "other.test"
	for name, test := range map[string]struct {
		port        int
		security    Security
		config      *tls.Config
		certificate bool
	}{
		"unknown authority":          {encrypted, TLS, nil, true},
		"other name":                 {encrypted, TLS, other, true},
		"unknown authority STARTTLS": {starttls, StartTLS, nil, true},
		"no TLS on this port":        {plain, TLS, trusted(certificate), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Dial(t.Context(), Endpoint{Host: "127.0.0.1", Port: test.port, Security: test.security, TLS: test.config}, DefaultLimits, realTimeout(t))
			if _, ok := errors.AsType[*TLSError](err); !ok {
				t.Fatalf("error %T %v", err, err)
			}
			if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok != test.certificate {
				t.Errorf("error %v", err)
			}
			if _, ok := errors.AsType[tls.RecordHeaderError](err); ok == test.certificate {
				t.Errorf("error %v", err)
			}
		})
	}
}

func forbiddenAddress(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	forbidden := errors.New("not there")
	for _, security := range []Security{TLS, StartTLS, None} {
		var asked netip.Addr
		endpoint := Endpoint{Host: "localhost", Port: l.Addr().(*net.TCPAddr).Port, Security: security, Permit: func(at netguard.Target) error {
			asked = at.Addr.Addr()
			if at.Plain != (security == None) || at.Host != "localhost" || int(at.Addr.Port()) != l.Addr().(*net.TCPAddr).Port {
				t.Errorf("%s: asked about %+v", security, at)
			}
			return forbidden
		}}
		if _, err := Dial(t.Context(), endpoint, DefaultLimits, realTimeout(t)); !errors.Is(err, forbidden) || !asked.IsLoopback() {
			t.Errorf("%s: %v, asked for %v", security, err, asked)
		}
	}
	// Permit decides again at the socket.
	asked := 0
	endpoint := Endpoint{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Security: None, Permit: func(netguard.Target) error {
		if asked++; asked > 1 {
			return forbidden
		}
		return nil
	}}
	if _, err := Dial(t.Context(), endpoint, DefaultLimits, realTimeout(t)); !errors.Is(err, forbidden) || asked != 2 {
		t.Errorf("forbidden at the second time: %v, asked %d times", err, asked)
	}
	own, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if first.RemoteAddr().String() != own.LocalAddr().String() {
		t.Error("a connection was made")
	}
}

func silentListener(t *testing.T) {
	t.Parallel()
	for security, waiting := range map[Security]string{TLS: "the TLS handshake", StartTLS: "the greeting", None: "the greeting"} {
		synctest.Test(t, func(t *testing.T) {
			dial := func(context.Context, string) (net.Conn, error) {
				client, server := net.Pipe()
				go io.Copy(io.Discard, server)
				return client, nil
			}
			began := time.Now()
			_, err := Dial(t.Context(), Endpoint{Host: "mail.test", Port: 993, Security: security, Dial: dial}, DefaultLimits, testTimeout)
			if timedOut, ok := errors.AsType[*TimeoutError](err); !ok || timedOut.Waiting != waiting {
				t.Errorf("%s: %v, want waiting for %s", security, err, waiting)
			}
			if waited := time.Since(began); waited != testTimeout {
				t.Errorf("%s: given up after %v", security, waited)
			}
		})
	}
}

func cancelDial(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, security := range []Security{TLS, StartTLS, None} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		_, err := Dial(ctx, Endpoint{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Security: security}, DefaultLimits, time.Hour)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", security, err)
		}
	}
	certificate := testCertificate(t)
	port := listening(t, &imaptest.Script{}, &tls.Config{Certificates: []tls.Certificate{certificate}})
	ctx, cancel := context.WithCancel(t.Context())
	c, err := Dial(ctx, Endpoint{Host: "127.0.0.1", Port: port, Security: TLS, TLS: trusted(certificate)}, DefaultLimits, realTimeout(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := c.Idle(time.Hour, time.Hour, IdleOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("idle: %v", err)
	}
}
