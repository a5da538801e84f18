package oauth

import (
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Provider is an authorization server that gives tokens for mail.
type Provider struct {
	Name      string // in the table of providers, such as "microsoft"; of another: its issuer
	Title     string // for people, such as "Microsoft"
	Issuer    string // a URL (RFC 8414 section 2)
	AuthURL   string // of the page on which people consent
	TokenURL  string
	DeviceURL string // empty: it has no device code for mail
	// Scopes are those of mail and of a refresh token.
	Scopes []string
	// Params are what AuthURL wants beside the parameters of RFC 6749.
	Params map[string]string
	// Hosts are the mail servers that its tokens are for. One that begins with a dot stands for all
	// hosts that end with it.
	Hosts []string
	// ClientID is the form of all client IDs that it gives out, with an example; nil: not known.
	ClientID *regexp.Regexp
	Example  string
	// NeedsSecret means that it gives out no client without a secret.
	NeedsSecret bool
	// Basic means that a client's secret goes into the header Authorization, not into the form
	// (RFC 6749 section 2.3.1).
	Basic bool
	// NamesItself means that a consent comes back with the parameter iss, which must be Issuer
	// (RFC 9207).
	NamesItself bool
}

// Serves reports whether a token may be sent to the mail server: it is in Hosts or, if that is
// empty, the host of the issuer or one below the same registered domain.
func (p Provider) Serves(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if len(p.Hosts) > 0 {
		return slices.ContainsFunc(p.Hosts, func(own string) bool {
			return own == host || strings.HasPrefix(own, ".") && strings.HasSuffix(host, own)
		})
	}
	issuer, err := url.Parse(p.Issuer)
	if err != nil || host == "" {
		return false
	}
	own := strings.ToLower(issuer.Hostname())
	return host == own || registered(host) != "" && registered(host) == registered(own)
}

// registered returns the domain below which a host's owner may name hosts, or "".
func registered(host string) string {
	if net.ParseIP(host) != nil {
		return ""
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return ""
	}
	return domain
}

// Named returns a provider of the table.
func Named(name string) (Provider, bool) {
	i := slices.IndexFunc(table, func(p Provider) bool { return p.Name == name })
	if i < 0 {
		return Provider{}, false
	}
	return table[i].clone(), true
}

// Table returns all providers whose endpoints and scopes are known, in the order in which people
// are shown them.
func Table() []Provider {
	all := make([]Provider, len(table))
	for i, p := range table {
		all[i] = p.clone()
	}
	return all
}

// clone returns the provider with maps and slices of its own.
func (p Provider) clone() Provider {
	p.Scopes, p.Hosts, p.Params = slices.Clone(p.Scopes), slices.Clone(p.Hosts), maps.Clone(p.Params)
	return p
}
