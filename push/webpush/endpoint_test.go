package webpush_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/push/pushtest"
	"idlepush/push/webpush"
	"idlepush/registry"
)

func TestEndpoint(t *testing.T) {
	t.Run("an address that is not permitted is never connected to", endpointForbidden)
	t.Run("a name is refused only if none of its addresses is permitted", endpointName)
	t.Run("a redirect is not followed", endpointRedirect)
	t.Run("a proxy of the environment is not used", endpointProxy)
	t.Run("an invalid one makes its device suspect and is not quoted", endpointInvalid)
	t.Run("a device without good keys is suspect", endpointKeys)
}

func endpointForbidden(t *testing.T) {
	var mu sync.Mutex
	touched := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		touched++
	}))
	defer server.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	for _, host := range []string{"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "localhost", "LOCALHOST", "inside.example.org", "both.example.org", "0.0.0.0", "[::]",
		"169.254.169.254", "[fe80::1%25lo]"} {
		for _, scheme := range []string{"http", "https"} {
			c := config(t)
			c.Permit = func(at netguard.Target) error {
				a := at.Addr.Addr()
				if at.Plain != (scheme == "http") || strconv.Itoa(int(at.Addr.Port())) != port {
					t.Errorf("%s: asked about %+v", scheme, at)
				}
				if a.Is4In6() || a.Zone() != "" {
					t.Errorf("asked about %v, which no network holds", a)
				}
				if a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() {
					return errors.New("not in allow-push")
				}
				return nil
			}
			device := pointedAt(t, scheme+"://"+host+":"+port)
			o := webpush.New(c).Send(t.Context(), device, message())
			expect(t, o, retry, "webpush_endpoint_not_allowed", device)
			if !o.Suspect {
				t.Error("the device is not suspect")
			}
			if !strings.Contains(sentence(o), "allow-push") {
				t.Errorf("%q says not what to do", sentence(o))
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if touched != 0 {
		t.Errorf("the server was reached %d times", touched)
	}
}

func endpointName(t *testing.T) {
	listener := httptest.NewServer(nil)
	_, port, _ := strings.Cut(strings.TrimPrefix(listener.URL, "http://"), ":")
	listener.Close()
	for either, want := range map[bool]struct {
		result registry.Result
		code   codes.Code
	}{
		true:  {retry, "webpush_unreachable"}, // one is permitted, and nobody listens there
		false: {retry, "webpush_endpoint_not_allowed"},
	} {
		var asked atomic.Int32
		c := config(t)
		c.Permit = func(netguard.Target) error {
			if asked.Add(1) == 1 || !either {
				return errors.New("not in allow-push")
			}
			return nil
		}
		device := pointedAt(t, "http://both.example.org:"+port)
		expect(t, webpush.New(c).Send(t.Context(), device, message()), want.result, want.code, device)
		if asked.Load() != 2 {
			t.Errorf("asked about %d addresses", asked.Load())
		}
	}
}

func endpointRedirect(t *testing.T) {
	s := serve(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s.Fail("", pushtest.Fault{Status: status, Header: http.Header{"Location": {s.origin + "/elsewhere"}}, Times: 1})
		before := s.Requests()
		o := s.sender.Send(t.Context(), s.device, message())
		expect(t, o, retry, "webpush_redirect", s.device)
		if made := s.Requests() - before; !o.Suspect || made != 1 {
			t.Errorf("%d: %+v after %d requests", status, o, made)
		}
	}
}

func endpointProxy(t *testing.T) {
	for _, origin := range []string{"http://push.example.org", "https://push.example.org"} {
		device := pointedAt(t, origin)
		// Through the proxy of TestMain it would be unreachable.
		expect(t, webpush.New(config(t)).Send(t.Context(), device, message()), retry, "webpush_endpoint_not_allowed", device)
	}
}

func endpointInvalid(t *testing.T) {
	for _, endpoint := range []string{"", "nonsense-secret", "ftp://h/secret", "file:///etc/secret", "https://", "https:///secret",
		"https://user:secret@h/x", "https://h:port/secret", "//h/secret", "https://h/%zz-secret", "unix:/secret"} {
		device := pointedAt(t, "")
		device.Address = idlepush.Secret(endpoint)
		o := webpush.New(config(t)).Send(t.Context(), device, message())
		expect(t, o, retry, "webpush_endpoint_invalid", device)
		if !o.Suspect || strings.Contains(sentence(o), "secret") {
			t.Errorf("%q: suspect %v: %s", endpoint, o.Suspect, sentence(o))
		}
	}
}

func endpointKeys(t *testing.T) {
	sender := webpush.New(config(t))
	device := pointedAt(t, "https://push.example.org")
	device.Keys.Auth = "c2hvcnQ"
	for code, d := range map[codes.Code]idlepush.Device{"webpush_keys_invalid": device, "webpush_subscription_missing": {Transport: "webpush"}} {
		o := sender.Send(t.Context(), d, message())
		if expect(t, o, retry, code, d); !o.Suspect {
			t.Errorf("%s does not make the device suspect", code)
		}
	}
}
