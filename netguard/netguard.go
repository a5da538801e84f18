// Package netguard holds the rules for reaching hosts that users name: which addresses may be
// dialed, a dialer that checks each of them, and what a host name is. Mail servers, push endpoints
// and the servers of discovery share it, so that none of them reaches what another must not. It is
// a package of its own because watcher, push and web may not import each other.
package netguard

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// special are the networks that are not part of the public internet (IANA special-purpose address
// registries). In IPv6 only 2000::/3 is public, without the networks that may hide an IPv4 address.
var special = mustParse("0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12," +
	"192.0.0.0/24, 192.0.2.0/24, 192.88.99.0/24, 192.168.0.0/16, 198.18.0.0/15, 198.51.100.0/24, 203.0.113.0/24," +
	"224.0.0.0/4, 240.0.0.0/4, ::/3, 2001::/23, 2001:db8::/32, 2002::/16, 3fff::/20, 4000::/2, 8000::/1")

// nat64 is the prefix through which a network without IPv4 reaches IPv4: the last 32 bits of an
// address are the IPv4 address (RFC 6052 section 2.1).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// Networks is a list of networks.
type Networks []netip.Prefix

// Parse reads networks in CIDR notation, separated by commas. IPv4-mapped ones count as IPv4.
func Parse(list string) (Networks, error) {
	var networks Networks
	for part := range strings.SplitSeq(list, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("parse networks: %w", err)
		}
		networks = append(networks, unmapped(p))
	}
	return networks, nil
}

// unmapped returns p without the bits of addresses in it, and as IPv4 if it is IPv4-mapped.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

func mustParse(list string) Networks {
	networks, err := Parse(list)
	if err != nil {
		panic(err)
	}
	return networks
}

// Contains reports whether addr is in one of the networks. The zone of addr is ignored, and an
// IPv4-mapped address counts as IPv4.
func (n Networks) Contains(addr netip.Addr) bool {
	addr = Canonical(addr)
	return slices.ContainsFunc(n, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// IsPublic reports whether addr is on the public internet.
func IsPublic(addr netip.Addr) bool { return addr.IsValid() && !special.Contains(destination(addr)) }

// Canonical returns addr without its zone, and as IPv4 if it is IPv4-mapped. With a zone or mapped,
// an address is in no netip.Prefix of the networks it belongs to.
func Canonical(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// destination returns the address that a packet to addr reaches behind NAT64, in canonical form.
func destination(addr netip.Addr) netip.Addr {
	addr = Canonical(addr)
	if !nat64.Contains(addr) {
		return addr
	}
	bytes := addr.As16()
	return netip.AddrFrom4([4]byte(bytes[12:]))
}
