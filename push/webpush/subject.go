package webpush

import (
	"errors"
	"net/mail"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/idna"

	"idlepush/netguard"
)

// unroutable are domains that do not exist on the internet: those of RFC 6761, RFC 6762 and RFC
// 8375, the one that ICANN reserves for private use, and those of home routers.
var unroutable = []string{"localhost", "local", "internal", "lan", "home.arpa", "test", "example", "invalid"}

// CheckSubject returns an error unless push services would accept the text as the contact of a
// VAPID token (RFC 8292 section 2.1). They accept one mailto: address or an https: address, of a
// host that can be on the internet. Apple checks both. The error describes a valid one, without the
// text.
func CheckSubject(subject string) error {
	u, err := url.Parse(subject)
	if err != nil {
		return errors.New("want mailto:you@example.org or an https: address")
	}
	host := ""
	switch u.Scheme {
	case "mailto":
		address, err := mail.ParseAddress(u.Opaque)
		if err != nil || address.Address != u.Opaque || u.RawQuery != "" || u.Fragment != "" {
			return errors.New("want exactly one address after mailto:, such as mailto:you@example.org")
		}
		host = u.Opaque[strings.LastIndexByte(u.Opaque, '@')+1:]
	case "https":
		host = u.Hostname()
	default:
		return errors.New("want mailto:you@example.org or an https: address")
	}
	if !routable(strings.ToLower(host)) {
		return errors.New("want a host that the internet knows, such as in mailto:you@example.org, and none that only your own network or this machine does")
	}
	return nil
}

// routable reports whether the host, in lower case, can be on the internet. It does not look it up.
func routable(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return netguard.IsPublic(address)
	}
	for _, name := range unroutable {
		if strings.HasSuffix("."+host, "."+name) {
			return false
		}
	}
	ascii, err := idna.ToASCII(host)
	return err == nil && netguard.IsHostName(ascii) && strings.Contains(ascii, ".")
}
