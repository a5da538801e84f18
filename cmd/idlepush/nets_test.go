package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"net/netip"
	"testing"

	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/push/webpush"
	"idlepush/registry"
	"idlepush/watcher"
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

// RFC 6052 section 2.1: the last 32 bits are the IPv4 address.
func TestANAT64AddressIsJudgedByTheIPv4AddressInIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		allowed, addr string
		tls, bare     bool // may be dialled with and without encryption
	}{
		{"", "64:ff9b::8.8.8.8", true, false}, {"", "64:ff9b::10.0.0.1", false, false},
		{"", "64:ff9b::169.254.169.254", false, false}, {"", "64:ff9b::127.0.0.1", false, false},
		{"", "64:ff9b::0.0.0.0", false, false}, {"", "64:ff9b::10.0.0.1%eth0", false, false},
		{"64:ff9b::/96", "64:ff9b::8.8.8.8", true, false}, {"64:ff9b::/96", "64:ff9b::10.0.0.1", false, false},
		{"64:ff9b::/96", "64:ff9b::169.254.169.254", false, false}, {"::/0", "64:ff9b::10.0.0.1", false, false},
		{"10.0.0.0/8", "64:ff9b::10.0.0.1", true, true}, {"10.0.0.0/8", "64:ff9b::192.168.0.1", false, false},
		// Only that one prefix; RFC 8215 leaves this one to each network.
		{"", "64:ff9b:1::8.8.8.8", false, false}, {"64:ff9b:1::/48", "64:ff9b:1::10.0.0.1", true, true},
		{"", "64:ff9b::1:8.8.8.8", false, false},
	} {
		var allowed []netip.Prefix
		if c.allowed != "" {
			allowed = prefixes(c.allowed)
		}
		addr := netip.MustParseAddr(c.addr)
		if got := forbidden(allowed, addr, false) == ""; got != c.tls {
			t.Errorf("%s with TLS where %q is allowed: %v", c.addr, c.allowed, got)
		}
		if got := forbidden(allowed, addr, true) == ""; got != c.bare {
			t.Errorf("%s in the clear where %q is allowed: %v", c.addr, c.allowed, got)
		}
	}
}

func TestAPrivateAddressBehindNAT64IsDialledByNobody(t *testing.T) {
	t.Parallel()
	s := settings{allowNets: prefixes("64:ff9b::/96")}
	vapid, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := webpush.ApplicationServerKey(&vapid.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sender := webpush.New(webpush.Config{VAPID: vapid, Permit: s.permitPush, Subject: func() string { return "mailto:a@example.org" }})
	for _, host := range []string{"64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254"} {
		_, err := watcher.Dialer{Permit: s.permitMail}.Check(t.Context(), registry.Account{Host: host, Port: 993, Security: registry.TLS})
		if f, ok := errors.AsType[*watcher.Failure](err); !ok || f.Code != "address_not_allowed" {
			t.Errorf("a mail server at %s: %v", host, err)
		}
		sub, err := pushtest.NewWebPush().Subscribe("https://["+host+"]", key)
		if err != nil {
			t.Fatal(err)
		}
		device := registry.Device{Transport: registry.WebPush, Subscription: &sub}
		if o := sender.Send(t.Context(), device, push.Message{Kind: registry.TestKind, Title: "Test", Neutral: "Test", Payload: []byte("{}")}); o.Code != "webpush_endpoint_not_allowed" {
			t.Errorf("a push endpoint at %s: %+v", host, o)
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
