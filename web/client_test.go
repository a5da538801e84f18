package web

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestClients(t *testing.T) {
	t.Parallel()
	t.Run("only trusted proxies are believed", clientBehindProxies)
	t.Run("a client is an IPv4 address or an IPv6 network", clientAddresses)
}

func clientBehindProxies(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, row := range map[string]struct {
		remote, want string
		forwarded    []string
	}{
		"no proxy":                   {"192.0.2.1:443", "192.0.2.1", nil},
		"a stranger pretends":        {"192.0.2.1:443", "192.0.2.1", []string{"198.51.100.7"}},
		"a proxy":                    {"127.0.0.1:443", "198.51.100.7", []string{"198.51.100.7"}},
		"the client pretends":        {"127.0.0.1:443", "198.51.100.7", []string{"203.0.113.9, 198.51.100.7"}},
		"two proxies":                {"127.0.0.1:443", "198.51.100.7", []string{"203.0.113.9, 198.51.100.7, 10.1.2.3"}},
		"two lines":                  {"127.0.0.1:443", "198.51.100.7", []string{"203.0.113.9", "198.51.100.7,10.1.2.3"}},
		"a proxy by IPv6":            {"[fd00::1]:443", "2001:db8:1::/48", []string{"2001:db8:1:2::3"}},
		"a proxy that says nothing":  {"127.0.0.1:443", "127.0.0.1", nil},
		"a proxy that says nonsense": {"127.0.0.1:443", "127.0.0.1", []string{"unknown"}},
		"only proxies":               {"127.0.0.1:443", "10.0.0.9", []string{"10.0.0.9"}},
		"with a port":                {"127.0.0.1:443", "198.51.100.7", []string{"203.0.113.9:5, 198.51.100.7:49152, 10.1.2.3:80"}},
		"IPv6 with a port":           {"127.0.0.1:443", "2001:db8:1::/48", []string{"[2001:db8:1:2::3]:5"}},
		"IPv6 in brackets":           {"127.0.0.1:443", "2001:db8:1::/48", []string{"[2001:db8:1:2::3]"}},
		"RFC 7239":                   {"127.0.0.1:443", "2001:db8:1::/48", []string{`Forwarded: for=203.0.113.9, For="[2001:db8:1:2::3]:4711";proto=https;by=10.0.0.1, for=10.1.2.3`}},
		"RFC 7239, hidden":           {"127.0.0.1:443", "127.0.0.1", []string{"Forwarded: for=_hidden"}},
		"RFC 7239, of a stranger":    {"192.0.2.1:443", "192.0.2.1", []string{"Forwarded: for=198.51.100.7"}},
		"both forms":                 {"127.0.0.1:443", "198.51.100.7", []string{"Forwarded: for=203.0.113.9", "198.51.100.7"}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = row.remote
		for _, line := range row.forwarded {
			if value, ok := strings.CutPrefix(line, "Forwarded: "); ok {
				r.Header.Add("Forwarded", value)
				continue
			}
			r.Header.Add("X-Forwarded-For", line)
		}
		if got := (&guard{proxies: trusted}).clientAddress(r); got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
}

func clientAddresses(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"192.0.2.1:443":             "192.0.2.1",
		"[::ffff:192.0.2.1]:443":    "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1::/48",
		"[fe80::1%eth0]:80":         "fe80::/48",
		"@":                         "unknown",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		r.Header.Set("X-Forwarded-For", "198.51.100.7")
		if got := new(guard).clientAddress(r); got != want {
			t.Errorf("%s is %s, want %s", remote, got, want)
		}
	}
}
