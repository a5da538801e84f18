package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
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
	// Permit is asked for each address that Host resolves to, before a byte is sent there; its error forbids the address and is wrapped in Dial's.
	// plain means that nothing will be encrypted. Nil permits all.
	Permit func(addr netip.Addr, plain bool) error
	// TLS is copied: roots, session cache. Nil is the default. The name that is verified is Host, unless it has one.
	TLS *tls.Config
	// Dial takes the place of the network, for tests; Permit is not asked then. Nil: the network.
	Dial func(ctx context.Context, address string) (net.Conn, error)
}

// unacknowledged is how long the kernel waits for the other side to acknowledge what was sent (TCP_USER_TIMEOUT), where it can be told.
const unacknowledged = 60 * time.Second

// Dial resolves, connects, makes the connection secure and greets. Each of these steps may take as long as patience. STARTTLS that is not to be had
// is a *StartTLSError: there is no way back to plain text. A failed handshake is a *TLSError. ctx is the life of the connection, as in New.
func Dial(ctx context.Context, e Endpoint, limits Limits, patience time.Duration) (*Conn, error) {
	switch e.Security {
	case TLS, StartTLS, None:
	default:
		return nil, fmt.Errorf("security %q: want tls, starttls or none", e.Security)
	}
	dialer := net.Dialer{
		Timeout:         patience,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 60 * time.Second, Interval: 20 * time.Second, Count: 3},
		Control: func(_, address string, raw syscall.RawConn) error {
			if err := e.permit(address); err != nil {
				return err
			}
			return setUserTimeout(raw, unacknowledged)
		},
	}
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", address)
	}
	if e.Dial != nil {
		dial = e.Dial
	}
	raw, err := dial(ctx, net.JoinHostPort(e.Host, strconv.Itoa(e.Port)))
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() && ctx.Err() == nil {
		return nil, &TimeoutError{"the connection"}
	}
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := New(ctx, raw, limits)
	if err := c.open(e, patience); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (e Endpoint) permit(address string) error {
	if e.Permit == nil {
		return nil
	}
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	return e.Permit(addr.Addr().Unmap(), e.Security == None)
}

func (c *Conn) open(e Endpoint, patience time.Duration) error {
	if e.Security == TLS {
		if err := c.handshake(e, patience); err != nil {
			return err
		}
	}
	if err := c.Greet(patience); err != nil {
		return err
	}
	if e.Security == StartTLS {
		return c.startTLS(e, patience)
	}
	return nil
}

// startTLS makes a greeted connection secure (RFC 3501 section 6.2.1). What the server said before is forgotten, and what came in the same breath as
// its OK is refused: somebody in between may have said it.
func (c *Conn) startTLS(e Endpoint, patience time.Duration) error {
	if c.preauth {
		return c.fail(&StartTLSError{&ProtocolError{"it greets with PREAUTH, after which STARTTLS is not allowed"}})
	}
	if !c.Has("STARTTLS") {
		return c.fail(&StartTLSError{errors.New("the server does not offer it")})
	}
	if err := c.Do("STARTTLS", patience); err != nil {
		return c.fail(&StartTLSError{err})
	}
	if n := c.frame.rest(); n > 0 {
		return c.fail(&StartTLSError{&ProtocolError{fmt.Sprintf("%d bytes came unencrypted after the answer to STARTTLS", n)}})
	}
	if err := c.handshake(e, patience); err != nil {
		return err
	}
	c.mu.Lock()
	c.caps, c.news, c.alert = "", News{}, ""
	c.mu.Unlock()
	return c.askCaps(patience)
}

// handshake runs on a goroutine of its own: it needs a deep stack, and the caller's, which is kept for the life of the session, hardly ever shrinks.
func (c *Conn) handshake(e Endpoint, patience time.Duration) error {
	config := new(tls.Config)
	if e.TLS != nil {
		config = e.TLS.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = strings.TrimSuffix(e.Host, ".")
	}
	raw := c.conn
	secure := tls.Client(raw, config)
	raw.SetDeadline(time.Now().Add(patience))
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { err = secure.Handshake() })
	wg.Wait()
	raw.SetDeadline(time.Time{})
	switch {
	case err == nil:
		c.conn = secure
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c.fail(&TimeoutError{"the TLS handshake"})
	}
	return c.fail(&TLSError{err})
}
