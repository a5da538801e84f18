package web

import (
	"net/http"
	"net/netip"
	"strings"

	"idlepush/netguard"
)

// peer is the address that the connection comes from; invalid where there is none.
func peer(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return netguard.Canonical(at.Addr())
}

// throughProxy reports whether a proxy that is trusted passed the request on.
func (g *guard) throughProxy(r *http.Request) bool { return g.proxies.Contains(peer(r)) }

// clientAddress is the address that the request comes from, of an IPv6 one the first 48 bits: a household is given up to that many to choose
// the rest freely. What a proxy says of it is believed of those that are trusted only, each for the one before it.
func (g *guard) clientAddress(r *http.Request) string {
	address := peer(r)
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(forwarded) - 1; i >= 0 && g.proxies.Contains(address); i-- {
		before, err := netip.ParseAddr(strings.TrimSpace(forwarded[i]))
		if err != nil {
			break
		}
		address = netguard.Canonical(before)
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
