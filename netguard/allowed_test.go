package netguard_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"idlepush/netguard"
)

func mail(t *testing.T, list string) netguard.Allowed {
	t.Helper()
	if list == "" {
		return nil
	}
	allowed, err := netguard.ParseMail(list)
	if err != nil {
		t.Fatal(err)
	}
	return allowed
}

func TestAllowedNetworks(t *testing.T) {
	t.Parallel()
	const home = "192.168.7.0/24:*, [fd00:7::]/32:*, 127.0.0.0/8:*"
	for _, c := range []struct {
		allowed, addr string
		tls, plain    bool // permitted with and without encryption
	}{
		{"", "93.184.215.14", true, false},
		{"", "::ffff:93.184.215.14", true, false},
		{"", "2606:2800:220:1::1", true, false},
		{"", "192.168.7.9", false, false},
		{"", "fe80::1%eth0", false, false},
		{home, "93.184.215.14", true, false},
		{home, "2606:2800:220:1::1", true, false},
		{home, "192.168.7.9", true, true},
		{home, "::ffff:192.168.7.9", true, true},
		{home, "fd00:7::1", true, true},
		{home, "fd00:7::1%eth0", true, true},
		{home, "127.0.0.1", true, true},
		{home, "192.168.8.9", false, false},
		{home, "::ffff:192.168.8.9", false, false},
		{home, "fd00:8::1", false, false},
		{home, "::1", false, false},
		{"93.184.215.0/24:*", "93.184.215.14", true, true},
		{"[fe80::]/10:*", "fe80::1%eth0", true, true},
		{"[::ffff:192.168.7.0]/120:*", "192.168.7.9", true, true},
		{"[::ffff:192.168.7.0]/120:*", "192.168.8.9", false, false},

		// A NAT64 address counts as the IPv4 address in it (RFC 6052 section 2.1).
		{"", "64:ff9b::8.8.8.8", true, false},
		{"", "64:ff9b::10.0.0.1", false, false},
		{"", "64:ff9b::169.254.169.254", false, false},
		{"", "64:ff9b::127.0.0.1", false, false},
		{"", "64:ff9b::0.0.0.0", false, false},
		{"", "64:ff9b::10.0.0.1%eth0", false, false},
		{"[64:ff9b::]/96:*", "64:ff9b::8.8.8.8", true, false},
		{"[64:ff9b::]/96:*", "64:ff9b::10.0.0.1", false, false},
		{"[64:ff9b::]/96:*", "64:ff9b::169.254.169.254", false, false},
		{"[::]/0:*", "64:ff9b::10.0.0.1", false, false},
		{"10.0.0.0/8:*", "64:ff9b::10.0.0.1", true, true},
		{"10.0.0.0/8:*", "64:ff9b::192.168.0.1", false, false},
		// RFC 8215 leaves this prefix to each network.
		{"", "64:ff9b:1::8.8.8.8", false, false},
		{"[64:ff9b:1::]/48:*", "64:ff9b:1::10.0.0.1", true, true},
		{"", "64:ff9b::1:8.8.8.8", false, false},
	} {
		permit, at := mail(t, c.allowed).Permit, netguard.Target{Host: c.addr, Addr: netip.AddrPortFrom(netip.MustParseAddr(c.addr), 7)}
		if err := permit(at); (err == nil) != c.tls {
			t.Errorf("%s with TLS, allowed %q: %v", c.addr, c.allowed, err)
		}
		at.Plain = true
		if err := permit(at); (err == nil) != c.plain {
			t.Errorf("%s without encryption, allowed %q: %v", c.addr, c.allowed, err)
		}
	}
}

func TestAllowedSpellings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list       string
		mail, push string // the error of each; empty: none
	}{
		{"nas.example.org", "", "has no port"},
		{"NAS.example.org.:993", "", ""},
		{"localhost:8080", "", ""},
		{"192.168.1.10", "", "has no port"},
		{"192.168.1.10:1993", "", ""},
		{"[fd00::10]:8080", "", ""},
		{"[fd00::10]", "", "has no port"},
		{"192.168.1.0/24", "", "is a network"},
		{"192.168.1.0/24:1143", "", "is a network"},
		{"127.0.0.0/8:*,[::1]/128:*", "", "is a network"},
		{"[fd00::]/8", "", "is a network"},
		{"a.example:1, b.example:2", "", ""},
		{"a.example:*", "", "has no valid port"},

		{"", "is empty", "is empty"},
		{"a.example:1,", "entry 2 is empty", "entry 2 is empty"},
		{"fd00::/8", "brackets", "brackets"},
		{"fd00::10", "brackets", "brackets"},
		{"fd00::10:8080", "brackets", "brackets"},
		{"[192.168.1.10]:80", "right form", "right form"},
		{"[fe80::1%eth0]:80", "right form", "right form"},
		{"[fd00::10", "brackets", "brackets"},
		{"[nas]:80", "no host", "no host"},
		{"192.168.1.0/33:80", "no network", "is a network"},
		{"192.168.1.300:80", "no host", "no host"},
		{"192.168.1:80", "no host", "no host"},
		{"nas/24", "no host", "is a network"},
		{"http://nas:80", "is a URL", "is a URL"},
		{"nas:0", "port", "port"},
		{"nas:65536", "port", "port"},
		{"nas:", "no port", "no port"},
		{"nas:http", "port", "port"},
		{"a b:80", "no host", "no host"},
	} {
		_, asMail := netguard.ParseMail(c.list)
		_, asPush := netguard.ParsePush(c.list)
		for form, e := range map[string]struct {
			err  error
			want string
		}{"mail": {asMail, c.mail}, "push": {asPush, c.push}} {
			if (e.err == nil) != (e.want == "") || e.err != nil && !strings.Contains(e.err.Error(), e.want) {
				t.Errorf("%s %q: %v, want %q", form, c.list, e.err, e.want)
			}
		}
	}
}

func TestAllowedPorts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list, host, addr string
		allowed          bool
	}{
		{"192.168.1.0/24", "nas", "192.168.1.10:993", true},
		{"192.168.1.0/24", "nas", "192.168.1.10:143", true},
		{"192.168.1.0/24", "nas", "192.168.1.10:2019", false},
		{"192.168.1.0/24:1143", "nas", "192.168.1.10:1143", true},
		{"192.168.1.0/24:1143", "nas", "192.168.1.10:993", false},
		{"192.168.1.0/24:*", "nas", "192.168.1.10:2019", true},
		{"192.168.1.10", "nas", "192.168.1.10:993", true},
		{"192.168.1.10", "nas", "192.168.1.11:993", false},
		{"[fd00::10]:80", "nas", "[fd00::10]:80", true},
		{"[::ffff:10.0.0.1]:80", "nas", "10.0.0.1:80", true},
		{"nas", "nas", "192.168.1.10:993", true},
		{"nas", "NAS.", "192.168.1.10:993", true},
		{"nas", "nas", "192.168.1.10:80", false},
		{"nas", "other", "192.168.1.10:993", false},
		{"nas", "192.168.1.10", "192.168.1.10:993", false},
		{"nas", "x.nas", "192.168.1.10:993", false},
	} {
		at := netguard.Target{Host: c.host, Addr: netip.MustParseAddrPort(c.addr)}
		if err := mail(t, c.list).Permit(at); (err == nil) != c.allowed {
			t.Errorf("%q, %s at %s: %v", c.list, c.host, c.addr, err)
		}
	}
}

func TestAllowedDials(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for text, hosts := range map[string]map[string]bool{
		"localhost:" + port: {"localhost": true, "127.0.0.1": false},
		"127.0.0.1:" + port: {"localhost": true, "127.0.0.1": true},
		"127.0.0.1:1":       {"localhost": false, "127.0.0.1": false},
	} {
		list, err := netguard.ParsePush(text)
		if err != nil {
			t.Fatal(err)
		}
		for host, allowed := range hosts {
			conn, err := netguard.Guard(net.Dialer{}, list.Permit, true)(t.Context(), "tcp4", net.JoinHostPort(host, port))
			if conn != nil {
				conn.Close()
			}
			if (err == nil) != allowed || err != nil && !errors.Is(err, netguard.ErrPrivate) {
				t.Errorf("%s, allowed %s: %v", host, text, err)
			}
		}
	}
}
