package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/netguard"
)

// Security is how a connection is encrypted.
type Security string

// The ways to connect: TLS from the first byte (port 993), TLS after STARTTLS (port 143), or none.
const (
	TLS      Security = "tls"
	StartTLS Security = "starttls"
	None     Security = "none"
)

// Endpoint is where to connect to.
type Endpoint struct {
	Host     string // a name or an address
	Port     int
	Security Security
	// Permit decides which addresses of Host may be dialed: once all are known, and again at the
	// socket of each. If none is left, Dial wraps its error in a *netguard.ForbiddenError. Nil
	// permits all.
	Permit netguard.Permit
	// TLS is copied: roots, session cache. Nil is the default. The name that is verified is Host,
	// unless it has one.
	TLS *tls.Config
	// Trust reports whether a certificate that does not verify is accepted all the same from a
	// server at that address. With it, no TLS session is resumed. Nil: none is accepted.
	Trust func(*x509.Certificate, netguard.Target) bool
	// Families orders the addresses by which worked before, and remembers which works. Nil:
	// unknown.
	Families *Families
	// Trace is called after each part of a Dial, by the goroutine that called it. Nil: it is not.
	Trace func(Traced)
	// Resolve takes the place of the DNS and Dial that of the network, for tests. Without Resolve,
	// Dial is given Host as it is and Permit is not asked. Nil: DNS and network.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	Dial    func(ctx context.Context, address string) (net.Conn, error)
}

// Part is one part of a Dial.
type Part string

// The parts: a TCP connection; TLS, which with StartTLS follows the greeting; the server's greeting
// and capabilities.
const (
	Connect   Part = "connect"
	Handshake Part = "handshake"
	Greeting  Part = "greeting"
)

// Traced is a part that is over. A Connect is followed by the other parts at its address.
type Traced struct {
	Part
	Address string // of a Connect, with the port
	Took    time.Duration
	TLS     tls.ConnectionState // of a Handshake that succeeded
	Err     error
}

func (e Endpoint) trace(t Traced) {
	if e.Trace != nil {
		e.Trace(t)
	}
}

// unacknowledged is how long the kernel waits for the other side to acknowledge data that was sent
// (TCP_USER_TIMEOUT), on systems that support it.
const unacknowledged = 60 * time.Second

// The kernel asks a connection that is silent for keepaliveIdle for a sign of life, and again after
// each keepaliveInterval. With unacknowledged the second question ends it.
const (
	keepaliveIdle     = 60 * time.Second
	keepaliveInterval = 20 * time.Second
)

// Dial resolves, connects, makes the connection secure and greets. Each of these steps may take as
// long as timeout. If STARTTLS is not possible the error is a *StartTLSError: there is no fallback
// to plain text. A failed handshake is a *TLSError. ctx is the life of the connection, as in New.
//
// If Host has several addresses, at most four of each family, they are tried until one greets or
// refuses by itself (BYE, no STARTTLS). A step at an address takes a third of timeout then, unless
// it is the last, and none is begun once timeout has passed. They cost at most twice timeout
// more than a single one. Of their failures the one that tells most is returned.
func Dial(ctx context.Context, e Endpoint, limits Limits, timeout time.Duration) (*Conn, error) {
	switch e.Security {
	case TLS, StartTLS, None:
	default:
		return nil, fmt.Errorf("security %q: want tls, starttls or none", e.Security)
	}
	targets, err := e.targets(ctx, timeout)
	if err != nil {
		return nil, causeOr(ctx, err)
	}
	began, connecting := time.Now(), timeout
	var failure dialFailure
	for len(targets) > 0 && ctx.Err() == nil {
		var raw net.Conn
		var at target
		raw, at, targets = e.connect(ctx, targets, connecting, &failure)
		if raw == nil {
			break
		}
		opening := timeout / 3
		if len(targets) == 0 || time.Since(began) >= timeout {
			opening, targets = timeout, nil
		}
		c := New(ctx, raw, limits)
		err := c.open(e, opening)
		if err == nil {
			e.Families.remember(e.address(), at.v4)
			return c, nil
		}
		c.Close()
		if isAnswer(err) {
			return nil, causeOr(ctx, err)
		}
		failure.unopened(err, at)
		connecting = timeout / 3
	}
	return nil, causeOr(ctx, failure.err)
}

// causeOr returns why ctx has ended, or err if it has not.
func causeOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (e Endpoint) dial(ctx context.Context, address string) (net.Conn, error) {
	if e.Dial != nil {
		return e.Dial(ctx, address)
	}
	dialer := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepaliveIdle, Interval: keepaliveInterval, Count: 3},
		Control:         func(_, _ string, raw syscall.RawConn) error { return setUserTimeout(raw, unacknowledged) },
	}
	return netguard.Guard(dialer, e.permit, e.Security == None)(ctx, "tcp", address)
}

func (c *Conn) open(e Endpoint, timeout time.Duration) error {
	if e.Security == TLS {
		if err := c.handshake(e, timeout); err != nil {
			return err
		}
	}
	began := time.Now()
	err := c.Greet(timeout)
	e.trace(Traced{Part: Greeting, Took: time.Since(began), Err: err})
	if err != nil {
		return err
	}
	if e.Security == StartTLS {
		return c.startTLS(e, timeout)
	}
	return nil
}

// startTLS makes a greeted connection secure (RFC 3501 section 6.2.1). It forgets what the server
// sent before, and fails if bytes came together with the OK: an attacker may have sent them.
func (c *Conn) startTLS(e Endpoint, timeout time.Duration) error {
	if c.Preauth() {
		return c.fail(&StartTLSError{&ProtocolError{"it greets with PREAUTH, after which STARTTLS is not allowed"}})
	}
	if !c.Has("STARTTLS") {
		return c.fail(&StartTLSError{errors.New("the server does not offer it")})
	}
	if err := c.Do("STARTTLS", timeout); err != nil {
		if _, refused := errors.AsType[*imap.Error](err); refused {
			err = &StartTLSError{err}
		}
		return c.fail(err)
	}
	if n := c.frame.buffered(); n > 0 {
		return c.fail(&StartTLSError{&ProtocolError{fmt.Sprintf("%d bytes came unencrypted after the answer to STARTTLS", n)}})
	}
	if err := c.handshake(e, timeout); err != nil {
		return err
	}
	c.reset()
	return c.askCaps(timeout)
}

func (c *Conn) handshake(e Endpoint, timeout time.Duration) error {
	config := new(tls.Config)
	if e.TLS != nil {
		config = e.TLS.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = strings.TrimSuffix(e.Host, ".")
	}
	raw := c.conn
	at := e.reached(raw)
	if e.Trust != nil {
		e.verifyOrTrust(config, at)
	}
	secure := tls.Client(raw, config)
	began := time.Now()
	raw.SetDeadline(began.Add(timeout))
	err := secure.Handshake()
	raw.SetDeadline(time.Time{})
	switch {
	case err == nil:
		c.conn = secure
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = c.fail(&TimeoutError{"the TLS handshake"})
	default:
		err = c.fail(&TLSError{err, at})
	}
	if e.Trace != nil {
		e.Trace(Traced{Part: Handshake, Took: time.Since(began), TLS: secure.ConnectionState(), Err: err})
	}
	return err
}

// reached returns the address that a connection has reached; none if it is not one of a network.
func (e Endpoint) reached(conn net.Conn) netguard.Target {
	addr, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	return netguard.Target{Host: e.Host, Addr: addr}
}

// verifyOrTrust has a handshake verify the certificate as it would anyway, and then ask Trust.
// Nothing is resumed, because a session is not bound to what Trust accepts now, and other users of
// the cache do not accept it.
func (e Endpoint) verifyOrTrust(config *tls.Config, at netguard.Target) {
	config.ClientSessionCache = nil
	config.InsecureSkipVerify = true // this does it instead:
	config.VerifyConnection = func(state tls.ConnectionState) error {
		certificates := state.PeerCertificates
		options := x509.VerifyOptions{Roots: config.RootCAs, DNSName: config.ServerName, Intermediates: x509.NewCertPool()}
		for _, c := range certificates[1:] {
			options.Intermediates.AddCert(c)
		}
		_, err := certificates[0].Verify(options)
		if err == nil || e.Trust(certificates[0], at) {
			return nil
		}
		return &tls.CertificateVerificationError{UnverifiedCertificates: certificates, Err: err}
	}

}
