package netguard_test

import (
	"net/netip"
	"testing"

	"idlepush/netguard"
)

func parse(t *testing.T, list string) netguard.Networks {
	t.Helper()
	if list == "" {
		return nil
	}
	networks, err := netguard.Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	return networks
}

func TestIsPublic(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"1.1.1.1":              true,
		"93.184.215.14":        true,
		"::ffff:93.184.215.14": true,
		"172.15.255.255":       true,
		"172.32.0.1":           true,
		"100.63.255.255":       true,
		"100.128.0.0":          true,
		"2606:2800:220:1::1":   true,
		"2606:4700::1111":      true,
		"2001:200::1":          true,
		"64:ff9b::8.8.8.8":     true, // NAT64

		"0.0.0.0":         false, // this network (RFC 1122)
		"0.1.2.3":         false,
		"10.0.0.1":        false, // private (RFC 1918)
		"172.16.0.1":      false,
		"172.31.255.255":  false,
		"192.168.8.9":     false,
		"100.64.0.1":      false, // shared by a provider's customers (RFC 6598)
		"100.127.255.255": false,
		"127.0.0.1":       false, // loopback
		"127.255.255.255": false,
		"169.254.169.254": false, // link-local
		"192.0.0.8":       false, // protocol assignments (RFC 6890)
		"192.0.2.1":       false, // documentation (RFC 5737)
		"198.51.100.1":    false,
		"203.0.113.1":     false,
		"192.88.99.1":     false, // 6to4 relays (RFC 7526)
		"198.18.0.1":      false, // benchmarks (RFC 2544)
		"198.19.255.255":  false,
		"224.0.0.1":       false, // multicast
		"240.0.0.1":       false, // reserved (RFC 1112)
		"255.255.255.255": false,

		"::":                     false,
		"::1":                    false,
		"::a00:1":                false, // IPv4-compatible
		"::127.0.0.1":            false,
		"::ffff:10.0.0.1":        false, // IPv4-mapped
		"::ffff:7f00:1":          false,
		"::ffff:169.254.169.254": false,
		"::ffff:0:a00:1":         false, // IPv4-translated (RFC 2765)
		"64:ff9b::10.0.0.1":      false, // NAT64
		"64:ff9b::127.0.0.1":     false,
		"64:ff9b::100.64.0.1":    false,
		"64:ff9b::192.0.2.1":     false,
		"64:ff9b:1::8.8.8.8":     false, // NAT64 of one network (RFC 8215)
		"64:ff9b::1:8.8.8.8":     false, // outside the /96
		"100::1":                 false, // discarded (RFC 6666)
		"2001::1":                false, // Teredo
		"2001:0:1::":             false,
		"2001:20::1":             false, // ORCHIDv2
		"2001:db8::1":            false, // documentation (RFC 3849)
		"2002:a00:1::":           false, // 6to4
		"2002:808:808::":         false,
		"3fff::1":                false, // documentation (RFC 9637)
		"5f00::1":                false, // segment routing
		"fd00:8::1":              false, // private (RFC 4193)
		"fe80::1":                false, // link-local
		"fe80::1%eth0":           false,
		"fec0::1":                false, // site-local
		"ff02::1":                false, // multicast
	} {
		if got := netguard.IsPublic(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	if netguard.IsPublic(netip.Addr{}) {
		t.Error("the zero Addr is public")
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"", ",", "10.0.0.1", "10.0.0.0/8,", "10.0.0.0/33", "fe80::%eth0/10", "example.org", "10.0.0.0/8 fd00::/8"} {
		if got, err := netguard.Parse(list); err == nil {
			t.Errorf("%q: %v, want an error", list, got)
		}
	}
	got := parse(t, "10.1.2.3/8, fd00::1/8,::ffff:192.168.7.0/120")
	want := []string{"10.0.0.0/8", "fd00::/8", "192.168.7.0/24"}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i].String() != want[i] {
			t.Errorf("got %v, want %s", got[i], want[i])
		}
	}
}
