package webpush

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"idlepush/netguard"
)

// client returns an HTTP client that dials only addresses that c permits. plain is for http:
// endpoints.
func client(c Config, plain bool) *http.Client {
	dial := c.Dial
	if dial == nil {
		dial = netguard.Guard(net.Dialer{Timeout: sendTimeout}, c.Permit, plain)
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               nil, // a proxy would dial without asking permit
			DialContext:         dial,
			TLSClientConfig:     &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: sendTimeout,
			ForceAttemptHTTP2:   true,
			// Pings find a connection that a router has forgotten before the next notification uses
			// it.
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
			IdleConnTimeout:        90 * time.Second,
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    4,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true, // so that maxAnswer bounds the bytes that are sent
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
