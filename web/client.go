package web

import (
	"net/http"
	"net/netip"
	"strings"

	"idlepush/netguard"
)

// peer returns the address of the other end of the connection, or the zero Addr if it is unknown.
func peer(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return netguard.Canonical(at.Addr())
}

// throughProxy reports whether a trusted proxy forwarded the request.
func (g *guard) throughProxy(r *http.Request) bool { return g.proxies.Contains(peer(r)) }

// clientAddress returns the address that the request comes from, or "unknown". Of an IPv6 address
// it is the /48 network: a customer of a provider can choose the rest freely. Forwarded addresses
// are read from their end, as long as the address before is a trusted proxy.
func (g *guard) clientAddress(r *http.Request) string {
	address := peer(r)
	forwarded := forwardedFor(r)
	for i := len(forwarded) - 1; i >= 0 && g.proxies.Contains(address); i-- {
		before := nodeAddress(forwarded[i])
		if !before.IsValid() {
			break
		}
		address = before
	}
	if !address.IsValid() {
		return "unknown"
	}
	if address.Is4() {
		return address.String()
	}
	prefix, _ := address.Prefix(48)
	return prefix.String()
}

// forwardedFor returns the nodes that proxies have named: the client first, and then each proxy but
// the last.
func forwardedFor(r *http.Request) []string {
	if lines := r.Header.Values("X-Forwarded-For"); len(lines) > 0 {
		return strings.Split(strings.Join(lines, ","), ",")
	}
	return forwardedParam(r, "for")
}

// forwardedProto returns the scheme by which the client has asked the first proxy, or "".
func forwardedProto(r *http.Request) string {
	list := forwardedParam(r, "proto")
	if lines := r.Header.Values("X-Forwarded-Proto"); len(lines) > 0 {
		list = strings.Split(lines[0], ",")
	}
	if len(list) == 0 {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(list[0]))
}

// forwardedParam returns a parameter of each element of Forwarded (RFC 7239 section 4). It is not
// read beside the older headers: a proxy that sets those may pass on what the client has sent.
func forwardedParam(r *http.Request, name string) (values []string) {
	if r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("X-Forwarded-Proto") != "" {
		return nil
	}
	for element := range strings.SplitSeq(strings.Join(r.Header.Values("Forwarded"), ","), ",") {
		for pair := range strings.SplitSeq(element, ";") {
			if key, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && strings.EqualFold(key, name) {
				values = append(values, strings.Trim(value, `"`))
			}
		}
	}
	return values
}

// nodeAddress returns the address of a node, which may have a port, or the zero Addr if the text is
// no address.
func nodeAddress(text string) netip.Addr {
	text = strings.TrimSpace(text)
	if at, err := netip.ParseAddrPort(text); err == nil {
		return netguard.Canonical(at.Addr())
	}
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		return netip.Addr{}
	}
	return netguard.Canonical(address)
}

// noteProxy remembers and logs the first peer that forwards requests without being trusted. Its
// address must not be public: from there anybody could send such a header, to be advised to trust.
func (g *guard) noteProxy(r *http.Request) {
	at := peer(r)
	if g.untrusted.Load() != nil || len(forwardedFor(r)) == 0 || !at.IsValid() || netguard.IsPublic(at) || g.proxies.Contains(at) {
		return
	}
	network := netip.PrefixFrom(at, at.BitLen())
	if g.untrusted.CompareAndSwap(nil, &network) {
		g.log.Warn("a proxy forwards requests but is not trusted: all its clients count as one, and guesses of one lock out the others; if it is yours, set trusted-proxies",
			"address", at.String(), "trusted-proxies", network.String())
	}
}
