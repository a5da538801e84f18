package main

import (
	"net/netip"
	"slices"
)

// special are the networks that are no part of the public internet (IANA special-purpose registries). Of IPv6 only 2000::/3 is,
// without those in which an IPv4 address may hide.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/3", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "4000::/2", "8000::/1",
)

// nat64 is how a network without IPv4 reaches all of it: the last 32 bits of an address are the IPv4
// address (RFC 6052 section 2.1).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range list {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// forbidden is why an address must not be dialled; empty where it may. What users name (mail servers, push endpoints) may
// lie on the public internet or in an allowed network, and without encryption in an allowed network only. It is asked for the address
// itself before it is dialled, so no name can lead elsewhere after it was looked at. A NAT64 address
// is judged by the IPv4 address in it, whether the networks allowed hold the NAT64 address or not.
func forbidden(allowed []netip.Prefix, addr netip.Addr, plain bool) string {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		sixteen := addr.As16()
		addr = netip.AddrFrom4([4]byte(sixteen[12:]))
	}
	within := func(p netip.Prefix) bool { return p.Contains(addr) }
	switch {
	case slices.ContainsFunc(allowed, within):
		return ""
	case slices.ContainsFunc(special, within):
		return "it lies in a private network, which the admin of this server can allow with allow-nets"
	case plain:
		return "it is not encrypted, which is only allowed inside allow-nets"
	}
	return ""
}
