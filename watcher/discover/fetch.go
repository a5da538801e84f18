package discover

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"

	"idlepush/netguard"
	"idlepush/watcher/wire"
)

const (
	maxAnswer    = 64 << 10 // bytes
	maxRedirects = 3
)

func escape(text string) string { return url.QueryEscape(text) }

// dialer returns what connects to permitted addresses only.
func (f *Finder) dialer() func(ctx context.Context, network, address string) (net.Conn, error) {
	if f.dial != nil {
		return f.dial
	}
	return netguard.Guard(net.Dialer{Timeout: within}, f.Permit, false)
}

// get returns the content of an https address: the body of a 200 OK with at most maxAnswer.
func (f *Finder) get(ctx context.Context, address string) ([]byte, error) {
	transport := &http.Transport{DialContext: f.dialer(), TLSClientConfig: &tls.Config{RootCAs: f.roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10, TLSHandshakeTimeout: within}
	client := http.Client{Transport: transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if r.URL.Scheme != "https" || len(via) > maxRedirects {
			return errors.New("too many redirects, or not to https")
		}
		r.Header.Del("Referer") // it has the address, which only the domain's own server may see
		return nil
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err == nil && (answer.StatusCode != http.StatusOK || len(body) > maxAnswer) {
		err = errors.New("expected 200 OK with at most 64 KiB")
	}
	return body, err
}

// config reads a configuration file from an address.
func (f *Finder) config(ctx context.Context, source Source, address, email string) found {
	body, err := f.get(ctx, address)
	if err != nil {
		return found{} // most domains have none
	}
	return parseConfig(body, source, email)
}

// answers reports whether an IMAP server with a certificate for its name is there, on port 993.
func (f *Finder) answers(ctx context.Context, host string) bool {
	e := wire.Endpoint{Host: host, Port: 993, Security: wire.TLS, Permit: f.Permit, Resolve: f.resolve,
		TLS: &tls.Config{RootCAs: f.roots, MinVersion: tls.VersionTLS12}}
	if f.dial != nil {
		e.Dial = func(ctx context.Context, address string) (net.Conn, error) { return f.dial(ctx, "tcp", address) }
	}
	conn, err := wire.Dial(ctx, e, wire.DefaultLimits, within)
	if err != nil {
		return false
	}
	defer conn.Close()
	return !conn.Preauth() // who lets everybody in is no mailbox's server
}
