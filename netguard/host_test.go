package netguard_test

import (
	"strings"
	"testing"

	"idlepush/netguard"
)

func TestHostNames(t *testing.T) {
	t.Parallel()
	label63 := strings.Repeat("a", 63)
	name253 := strings.Repeat(label63+".", 3) + strings.Repeat("b", 61)
	for _, c := range []struct {
		text       string
		host, name bool
	}{
		{"example.org", true, true},
		{"localhost", true, true},
		{"IMAP.Example.ORG", true, true},
		{"xn--bcher-kva.example", true, true},
		{"imap-1.example.org", true, true},
		{"imap_1.example.org", true, true},
		{"_imaps.example.org", true, true},
		{"1and1.com", true, true},
		{label63 + ".org", true, true},
		{name253, true, true},
		{"example.org.", true, false},
		{name253 + ".", true, false},

		{"192.168.1.1", true, false},
		{"::1", true, false},
		{"::ffff:10.0.0.1", true, false},
		{"fe80::1%eth0", true, false},
		{"fe80::1%eth0.100", true, false},
		{"fe80::1%a b", false, false},
		{"fe80::1%a\nb", false, false},
		{"192.168.1.1.", false, false},
		{"[::1]", false, false},

		{"", false, false},
		{".", false, false},
		{".example.org", false, false},
		{"example.org..", false, false},
		{"a..b", false, false},
		{"-x.example", false, false},
		{"x-.example", false, false},
		{"bücher.example", false, false},
		{"exa mple.org", false, false},
		{"imap.\x00example.org", false, false},
		{"example.org:993", false, false},
		{"example.org/path", false, false},
		{"%EMAILDOMAIN%", false, false},
		{label63 + "a.org", false, false},
		{name253 + "b", false, false},
	} {
		if got := netguard.IsHost(c.text); got != c.host {
			t.Errorf("IsHost(%q) is %v", c.text, got)
		}
		if got := netguard.IsHostName(c.text); got != c.name {
			t.Errorf("IsHostName(%q) is %v", c.text, got)
		}
	}
}
