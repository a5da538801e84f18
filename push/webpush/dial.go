package webpush

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"

	"idlepush/netguard"
)

// client returns an HTTP client that dials only addresses that permit allows. plain: for http:.
func client(roots *x509.CertPool, permit netguard.Permit, plain bool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               nil, // a proxy would dial in our place, unasked
			DialContext:         netguard.Guard(net.Dialer{Timeout: timeout}, permit, plain),
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: timeout,
			ForceAttemptHTTP2:   true,
			// A connection that a router forgot is found out by pings, not by the next
			// notification.
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
