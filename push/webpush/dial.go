package webpush

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// notPermitted is the answer of Config.Permit.
type notPermitted struct{ error }

// client makes an HTTP client that asks permit about each address it dials.
func client(roots *x509.CertPool, permit func(netip.Addr) error) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               nil, // a proxy would dial in our place, unasked
			DialContext:         dialer(permit),
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: timeout,
			ForceAttemptHTTP2:   true,
			// A connection that a router forgot is found out by pings, not by the next notification.
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
			IdleConnTimeout:        90 * time.Second,
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    4,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true, // 4 KB are to be 4 KB
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// dialer dials only where permit lets it. The check is in the socket's own hands, after resolution and before the first
// packet, so no name that resolves differently a moment later and no second address gets around it.
func dialer(permit func(netip.Addr) error) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		var tried atomic.Bool
		d := net.Dialer{
			Timeout: timeout,
			Control: func(_, address string, _ syscall.RawConn) error {
				a, err := netip.ParseAddrPort(address)
				if err != nil {
					return notPermitted{err}
				}
				// With a zone or as IPv4-mapped IPv6, an address is in no network that lists are made of.
				if err := permit(a.Addr().Unmap().WithZone("")); err != nil {
					return notPermitted{err}
				}
				tried.Store(true)
				return nil
			},
		}
		conn, err := d.DialContext(ctx, network, address)
		if _, refused := errors.AsType[notPermitted](err); refused && tried.Load() {
			// Of several addresses one was permitted and did not answer, which is worth another try.
			return nil, errNoAnswer
		}
		return conn, err
	}
}

var errNoAnswer = errors.New("no permitted address answered")
