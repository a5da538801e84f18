package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
)

// Discoverer reads the metadata of authorization servers. Its fields are not changed after the
// first use.
type Discoverer struct {
	Permit netguard.Permit // asked for the addresses of all endpoints
	HTTP   *http.Client    // as NewHTTP makes it; nil: one that dials what Permit allows
	// Resolve looks up the addresses of a host; nil: as the system does.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

// metadata is what a server publishes of itself (RFC 8414 section 2, RFC 8628 section 4, RFC 9207
// section 3).
type metadata struct {
	Issuer      string   `json:"issuer"`
	AuthURL     string   `json:"authorization_endpoint"`
	TokenURL    string   `json:"token_endpoint"`
	DeviceURL   string   `json:"device_authorization_endpoint"`
	Scopes      []string `json:"scopes_supported"`
	Responses   []string `json:"response_types_supported"`
	Challenges  []string `json:"code_challenge_methods_supported"`
	Methods     []string `json:"token_endpoint_auth_methods_supported"`
	NamesItself bool     `json:"authorization_response_iss_parameter_supported"`
}

const maxRedirects = 3

var (
	errOtherHost  = errors.New("the request was sent to another host, or in circles")
	errNoMetadata = errors.New("there is no metadata")
)

// Discover reads the metadata of an issuer (RFC 8414), or that of OpenID Connect if the server has
// only that. It takes at most 40 s. The provider's Scopes are the usual ones of mail that the
// metadata names, and Hosts is empty; the admin may know better. The error is an *Error, or that of
// ctx.
func (d *Discoverer) Discover(ctx context.Context, issuer string) (Provider, error) {
	p := Provider{Name: issuer, Title: issuer, Issuer: issuer}
	u, err := url.Parse(issuer)
	if err != nil || !isHTTPS(issuer) || u.RawQuery != "" || u.Fragment != "" || !netguard.IsHost(u.Hostname()) {
		return Provider{}, &Error{Reason: idlepush.Reason{Code: "issuer_invalid"}, Remedy: Admin}
	}
	p.Title = u.Hostname()
	m, err := d.metadata(ctx, *u)
	if err != nil {
		return Provider{}, p.unread(ctx, err)
	}
	if wrong := d.check(ctx, m, issuer); wrong != "" {
		return Provider{}, p.faulty(wrong)
	}
	p.Name, p.Issuer = m.Issuer, m.Issuer
	p.AuthURL, p.TokenURL, p.DeviceURL, p.NamesItself = m.AuthURL, m.TokenURL, m.DeviceURL, m.NamesItself
	p.Scopes = mailScopes(m.Scopes)
	// The default is client_secret_basic (RFC 8414 section 2).
	p.Basic = !slices.Contains(m.Methods, "client_secret_post")
	return p, nil
}

// metadata reads the metadata from the first address that has any. Only if no address has, do the
// other answers count: many servers send strangers to a login page.
func (d *Discoverer) metadata(ctx context.Context, issuer url.URL) (metadata, error) {
	failed := errNoMetadata
	for _, address := range addresses(issuer) {
		m, err := d.read(ctx, address)
		if err == nil {
			return m, nil
		}
		if failed == errNoMetadata {
			failed = err
		}
	}
	return metadata{}, failed
}

// addresses returns the URLs at which an issuer's metadata may be: RFC 8414 section 3.1 puts the
// well-known name between host and path, OpenID Connect Discovery 1.0 section 4 after the path.
func addresses(issuer url.URL) []string {
	path := strings.TrimSuffix(issuer.Path, "/")
	at := func(path string) string {
		u := issuer
		u.Path, u.RawPath = path, ""
		return u.String()
	}
	return []string{at("/.well-known/oauth-authorization-server" + path), at(path + "/.well-known/openid-configuration")}
}

// read reads metadata. Redirects stay on the host.
func (d *Discoverer) read(ctx context.Context, address string) (metadata, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return metadata{}, errNoMetadata
	}
	r.Header.Set("Accept", "application/json")
	client := d.HTTP
	if client == nil {
		client = NewHTTP(d.Permit, nil)
	}
	status, _, body, err := do(client, r, func(next *http.Request, via []*http.Request) error {
		if next.URL.Scheme != "https" || next.URL.Host != r.URL.Host || len(via) > maxRedirects {
			return errOtherHost
		}
		return nil
	})
	var m metadata
	switch {
	case err != nil:
		return metadata{}, err
	case status == http.StatusTooManyRequests || status >= 500:
		return metadata{}, errUnavailable
	case status != http.StatusOK || json.Unmarshal(body, &m) != nil || m.Issuer == "":
		return metadata{}, errNoMetadata
	}
	return m, nil
}

var errUnavailable = errors.New("the provider has a temporary problem")

// unread returns the Error of metadata that could not be read.
func (p Provider) unread(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errNoMetadata):
		return p.failure("issuer_without_metadata", Admin)
	case errors.Is(err, errUnavailable):
		return p.failure("provider_unavailable", Retry).to(asksCode)
	case errors.Is(err, errOtherHost):
		return p.faulty(otherHost)
	case errors.Is(err, errFaulty):
		return p.faulty(tooMuch)
	}
	return p.unanswered(ctx, err, asksCode)
}

// faulty returns the Error of metadata that cannot be used.
func (p Provider) faulty(variant string) *Error {
	e := p.failure("issuer_faulty", Admin)
	e.Reason = e.With(codes.Case, variant)
	return e
}

// check returns the case of issuer_faulty; empty: the metadata can be used.
// A slash at the end of the issuer does not count, because people get it wrong.
func (d *Discoverer) check(ctx context.Context, m metadata, issuer string) string {
	if strings.TrimSuffix(m.Issuer, "/") != strings.TrimSuffix(issuer, "/") {
		return otherIssuer
	}
	endpoints := []string{m.AuthURL, m.TokenURL}
	if m.DeviceURL != "" {
		endpoints = append(endpoints, m.DeviceURL)
	}
	for _, endpoint := range endpoints {
		if !isHTTPS(endpoint) || !d.reachable(ctx, endpoint) {
			return badEndpoint
		}
	}
	if m.Challenges != nil && !slices.Contains(m.Challenges, "S256") || m.Responses != nil && !slices.Contains(m.Responses, "code") {
		return noSuchGrant
	}
	return ""
}

// reachable reports whether all addresses of an endpoint's host may be dialed. The browser goes to
// one of the endpoints, and must not be sent into the local network either.
func (d *Discoverer) reachable(ctx context.Context, endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if u.Port() == "" {
		port, err = 443, nil
	}
	if err != nil {
		return false
	}
	found, err := d.lookUp(ctx, u.Hostname())
	if err != nil {
		return false
	}
	for _, addr := range found {
		if d.Permit.Check(netguard.Target{Host: u.Hostname(), Addr: netip.AddrPortFrom(addr, uint16(port))}) != nil {
			return false
		}
	}
	return len(found) > 0
}

func (d *Discoverer) lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	if d.Resolve != nil {
		return d.Resolve(ctx, host)
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// usualScopes are for reading mail and for a refresh token. draft-ietf-mailmaint-oauth-public has
// the first one; openid and email tell a mail server whose token it is.
var usualScopes = []string{"urn:ietf:params:oauth:scope:mail", "imap", "openid", "email", "offline_access"}

// mailScopes returns those of a server's scopes that are for mail. A server that names none gives
// what the client is registered for.
func mailScopes(supported []string) []string {
	return slices.DeleteFunc(slices.Clone(usualScopes), func(scope string) bool { return !slices.Contains(supported, scope) })
}
