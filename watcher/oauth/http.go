package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"idlepush/netguard"
)

const (
	within    = 20 * time.Second // for one request
	maxAnswer = 64 << 10         // bytes
)

// errFaulty means that whatever answers is not an authorization server.
var errFaulty = errors.New("the answer is too large or was cut off")

// NewHTTP returns a client for [Client] and [Discoverer] that dials only addresses that permit
// allows. It trusts the certificate authorities in roots; nil: those of the system.
func NewHTTP(permit netguard.Permit, roots *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                  nil, // a proxy would dial without asking permit
		DialContext:            netguard.Guard(net.Dialer{Timeout: within}, permit, false),
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    within,
		DisableKeepAlives:      true, // there is about one request an hour
		MaxResponseHeaderBytes: 16 << 10,
		DisableCompression:     true, // so that maxAnswer bounds the bytes that are sent
	}}
}

// public reaches the public internet only.
var public = NewHTTP(netguard.Allowed(nil).Permit, nil)

// post asks an endpoint in the client's name. It follows no redirect.
func (c Client) post(ctx context.Context, endpoint string, form url.Values) (answer, error) {
	if !c.Provider.Basic || c.Secret == "" {
		form.Set("client_id", c.ID)
		if c.Secret != "" {
			form.Set("client_secret", string(c.Secret))
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, errFaulty
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if !form.Has("client_id") {
		r.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(string(c.Secret)))
	}
	client := c.HTTP
	if client == nil {
		client = public
	}
	status, header, body, err := do(client, r, func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse })
	if err != nil {
		return answer{}, err
	}
	return parseAnswer(status, header, body, time.Now()), nil
}

// do sends a request and reads the whole answer, in bounded time and size.
func do(client *http.Client, r *http.Request, redirect func(*http.Request, []*http.Request) error) (int, http.Header, []byte, error) {
	bounded := &http.Client{Transport: client.Transport, CheckRedirect: redirect}
	ctx, cancel := context.WithTimeout(r.Context(), within)
	defer cancel()
	got, err := bounded.Do(r.WithContext(ctx))
	if err != nil {
		return 0, nil, nil, err
	}
	defer got.Body.Close()
	body, err := io.ReadAll(io.LimitReader(got.Body, maxAnswer+1))
	switch {
	case ctx.Err() != nil:
		return 0, nil, nil, ctx.Err()
	case err != nil || len(body) > maxAnswer:
		return 0, nil, nil, errFaulty
	}
	return got.StatusCode, got.Header, body, nil
}

func isHTTPS(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && len(text) <= 2048
}
