package webpush

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"

	"idlepush/netguard"
)

// client returns an HTTP client that dials only addresses that permit allows. plain is for http:
// endpoints.
func client(roots *x509.CertPool, permit netguard.Permit, plain bool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               nil, // a proxy would dial without asking permit
			DialContext:         netguard.Guard(net.Dialer{Timeout: sendTimeout}, permit, plain),
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
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
