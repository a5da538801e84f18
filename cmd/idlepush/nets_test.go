package main

import (
	"io"
	"net/netip"
	"testing"
)

func TestOnlyPublicAndAllowedAddressesAreDialled(t *testing.T) {
	t.Parallel()
	allowed := prefixes("192.168.7.0/24", "fd00:7::/32", "127.0.0.0/8")
	for _, c := range []struct {
		addr      string
		tls, bare bool // may be dialled with and without encryption
	}{
		{"93.184.215.14", true, false}, {"2606:2800:220:1::1", true, false}, {"::ffff:93.184.215.14", true, false},
		{"192.168.7.9", true, true}, {"::ffff:192.168.7.9", true, true}, {"fd00:7::1", true, true}, {"127.0.0.1", true, true},
		{"192.168.8.9", false, false}, {"10.0.0.1", false, false}, {"172.16.0.1", false, false}, {"172.31.255.255", false, false}, {"172.32.0.1", true, false},
		{"169.254.169.254", false, false}, {"100.64.0.1", false, false}, {"0.0.0.0", false, false}, {"255.255.255.255", false, false}, {"224.0.0.1", false, false},
		{"198.18.0.1", false, false}, {"192.0.0.8", false, false}, {"::1", false, false}, {"::", false, false}, {"fe80::1%eth0", false, false},
		{"fd00:8::1", false, false}, {"ff02::1", false, false}, {"64:ff9b::a00:1", false, false}, {"2002:a00:1::", false, false}, {"2001:0:1::", false, false},
		{"::a00:1", false, false}, {"::ffff:10.0.0.1", false, false}, {"::ffff:169.254.169.254", false, false}, {"2001:db8::1", false, false},
		{"::ffff:0:a00:1", false, false}, {"5f00::1", false, false}, {"100::1", false, false}, {"fec0::1", false, false},
	} {
		addr := netip.MustParseAddr(c.addr)
		if got := forbidden(allowed, addr, false) == ""; got != c.tls {
			t.Errorf("%s with TLS: %v", c.addr, got)
		}
		if got := forbidden(allowed, addr, true) == ""; got != c.bare {
			t.Errorf("%s in the clear: %v", c.addr, got)
		}
	}
}

func TestAnAllowedNetworkInMappedNotationCounts(t *testing.T) {
	t.Parallel()
	s, err := parse("serve", []string{"--allow-nets=::ffff:192.168.7.0/120"}, func(string) string { return "" }, io.Discard)
	if err != nil || forbidden(s.allowNets, netip.MustParseAddr("192.168.7.9"), true) != "" || forbidden(s.allowNets, netip.MustParseAddr("192.168.8.9"), false) == "" {
		t.Errorf("allowed is %v, %v", s.allowNets, err)
	}
}
