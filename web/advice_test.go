package web

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestProxyNotTrusted(t *testing.T) {
	t.Parallel()
	trusted := netip.MustParsePrefix("10.0.0.2/32")
	for name, row := range map[string]struct {
		peer, header, value, want string // want is the network to trust, or ""
	}{
		"a proxy in the own network": {"192.168.1.5:443", "X-Forwarded-For", "198.51.100.7", "192.168.1.5/32"},
		"one on the same machine":    {"127.0.0.1:443", "X-Forwarded-For", "198.51.100.7", "127.0.0.1/32"},
		"one by IPv6":                {"[fd00::5]:443", "X-Forwarded-For", "198.51.100.7", "fd00::5/128"},
		"one that says Forwarded":    {"10.0.0.1:443", "Forwarded", "for=198.51.100.7;proto=https", "10.0.0.1/32"},
		"one that is trusted":        {"10.0.0.2:443", "X-Forwarded-For", "198.51.100.7", ""},
		"anybody on the internet":    {"8.8.8.8:443", "X-Forwarded-For", "198.51.100.7", ""},
		"a client without a proxy":   {"192.168.1.5:443", "X-Other", "198.51.100.7", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestServer(t)
			h.server.guard.proxies = []netip.Prefix{trusted}
			h.via = handlerTransport{h, row.peer}
			for range 3 {
				r := h.request("", "GET", "/vapid", nil)
				r.Header.Set(row.header, row.value)
				h.send(r)
			}
			logged := strings.Count(h.log.String(), "set trusted-proxies")
			items := h.call(h.anna.full, "GET", "/advice", nil, 200).body["items"].([]any)
			if row.want == "" {
				if len(items) != 0 || logged != 0 {
					t.Errorf("it advises %v, and the log %d times", items, logged)
				}
				return
			}
			if len(items) != 1 || logged != 1 || !strings.Contains(h.log.String(), "trusted-proxies="+row.want) {
				t.Fatalf("it advises %v, and the log %d times: %s", items, logged, h.log.String())
			}
			hint := items[0].(map[string]any)
			if hint["code"] != "proxy_not_trusted" || !strings.Contains(hint["reason"].(string), "set trusted-proxies to "+row.want+" ") {
				t.Errorf("it advises %v", hint)
			}
			h.call(adminToken, "GET", "/advice", nil, 200)
			if a := h.call(h.ben.full, "GET", "/advice", nil, http.StatusForbidden); a.body["code"] != "not_admin" {
				t.Errorf("a member gets %s", a.raw)
			}
		})
	}
}
