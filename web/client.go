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
// it is the /48 network: a customer of a provider can choose the rest freely. X-Forwarded-For is
// read from its end, as long as the address before is a trusted proxy.
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
