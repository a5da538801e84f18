package netguard

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// The reasons of Allowed.Permit, as clauses about "it", the host.
var (
	ErrPrivate = errors.New("it lies in a private network and is not allowed")
	ErrPlain   = errors.New("it is not encrypted and not allowed without")
)

// Allowed is what may be dialed beside the public internet, also without encryption. Nil allows
// nothing.
type Allowed []rule

// rule allows a named host or the addresses of a network, at some ports.
type rule struct {
	host  string       // in lower case, without a final dot; empty if the rule is for network
	in    netip.Prefix // invalid if the rule is for host
	ports []uint16     // nil means all ports
}

// ParseMail reads a list of hosts, addresses and networks in CIDR notation, separated by commas.
// Each may end with a port or with :* for all ports. Without one, the ports are those of IMAP, 143
// and 993. IPv6 is in brackets. Errors count the entries and do not quote them.
func ParseMail(list string) (Allowed, error) {
	return parseAllowed(list, "want hosts, addresses or networks, such as nas.example.org, 192.168.1.10:1993, 192.168.1.0/24 or [fd00::]/8:*, separated by commas", parseMail)
}

// ParsePush reads a list of hosts and addresses, each with its port, separated by commas. IPv6 is
// in brackets. Errors count the entries and do not quote them.
func ParsePush(list string) (Allowed, error) {
	return parseAllowed(list, "want host:port, such as ntfy.example.org:443, 192.168.1.10:8080 or [fd00::10]:8080, separated by commas", parsePush)
}

// At returns an Allowed of one address and port, those of a listener.
func At(listener net.Addr) Allowed {
	at, err := netip.ParseAddrPort(listener.String())
	if err != nil {
		return nil
	}
	addr := Canonical(at.Addr())
	return Allowed{{in: netip.PrefixFrom(addr, addr.BitLen()), ports: []uint16{at.Port()}}}
}

func parseAllowed(list, form string, parse func(string) (rule, error)) (Allowed, error) {
	var allowed Allowed
	for entry := range strings.SplitSeq(list, ",") {
		r, err := parse(strings.TrimSpace(entry))
		if err != nil {
			return nil, fmt.Errorf("entry %d %w: %s", len(allowed)+1, err, form)
		}
		allowed = append(allowed, r)
	}
	return allowed, nil
}

func parseMail(entry string) (rule, error) {
	where, port, err := splitPort(entry)
	if err != nil {
		return rule{}, err
	}
	r, err := parseWhere(where)
	switch {
	case err != nil:
		return rule{}, err
	case port == "":
		r.ports = []uint16{143, 993}
	case port != "*":
		r.ports, err = parsePort(port)
	}
	return r, err
}

func parsePush(entry string) (rule, error) {
	where, port, err := splitPort(entry)
	if err != nil {
		return rule{}, err
	}
	switch {
	case strings.Contains(where, "/"):
		return rule{}, errors.New("is a network")
	case port == "":
		return rule{}, errors.New("has no port")
	}
	r, err := parseWhere(where)
	if err == nil {
		r.ports, err = parsePort(port)
	}
	return r, err
}

// splitPort returns the host, address or network and the port of an entry. Without a colon the port
// is empty.
func splitPort(entry string) (where, port string, err error) {
	if entry == "" {
		return "", "", errors.New("is empty")
	}
	if strings.Contains(entry, "://") {
		return "", "", errors.New("is a URL")
	}
	end := strings.LastIndexByte(entry, ']') + 1
	where, port, found := strings.Cut(entry[end:], ":")
	switch {
	case end == 0 && strings.Contains(port, ":"):
		return "", "", errors.New("is not readable, and IPv6 is written in brackets")
	case found && port == "":
		return "", "", errors.New("has a colon and no port")
	}
	return entry[:end] + where, port, nil
}

func parsePort(text string) ([]uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return nil, errors.New("has no valid port")
	}
	return []uint16{uint16(n)}, nil
}

// parseWhere reads a host name, an address or a network. An address becomes a network of its own.
func parseWhere(text string) (rule, error) {
	address, bits, network := strings.Cut(text, "/")
	inner, bracketed := strings.CutPrefix(address, "[")
	if bracketed {
		var closed bool
		if inner, closed = strings.CutSuffix(inner, "]"); !closed {
			return rule{}, errors.New("is not readable")
		}
	}
	addr, err := netip.ParseAddr(inner)
	switch {
	case err == nil && (addr.Is6() != bracketed || addr.Zone() != ""):
		return rule{}, errors.New("is no address of the right form")
	case err == nil && network:
		p, err := netip.ParsePrefix(inner + "/" + bits)
		if err != nil {
			return rule{}, errors.New("is no network")
		}
		return rule{in: unmapped(p)}, nil
	case err == nil:
		return rule{in: unmapped(netip.PrefixFrom(addr, addr.BitLen()))}, nil
	}
	host := hostName(text)
	if !IsHostName(host) || numeric(host) {
		return rule{}, errors.New("is no host, address or network")
	}
	return rule{host: host}, nil
}

// numeric reports whether the last label of host is a number, as in an address that is misspelt.
func numeric(host string) bool {
	return !strings.ContainsFunc(host[strings.LastIndexByte(host, '.')+1:], func(r rune) bool { return r < '0' || r > '9' })
}

func hostName(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// Permit returns an error if t must not be dialed: it is neither public nor in a, or it is not
// encrypted and not in a. A rule for a host name applies to the name that is dialed, whatever it
// resolves to; a rule for a network applies to the address, whatever its name. A NAT64 address
// counts as the IPv4 address in it, even if the NAT64 address is in a. The error is ErrPrivate or
// ErrPlain.
func (a Allowed) Permit(t Target) error {
	addr := destination(t.Addr.Addr())
	switch {
	case slices.ContainsFunc(a, func(r rule) bool { return r.allows(hostName(t.Host), addr, t.Addr.Port()) }):
		return nil
	case special.Contains(addr):
		return ErrPrivate
	case t.Plain:
		return ErrPlain
	}
	return nil
}

func (r rule) allows(host string, addr netip.Addr, port uint16) bool {
	there := r.in.IsValid() && r.in.Contains(addr) || r.host != "" && r.host == host
	return there && (r.ports == nil || slices.Contains(r.ports, port))
}
