package webpush_test

import (
	"errors"
	"net/http"
	"testing"

	"idlepush/push"
	"idlepush/push/pushtest"
	"idlepush/push/webpush"
	"idlepush/registry"
)

func TestGone(t *testing.T) {
	t.Run("an address is gone if a known push service says so, and absent if another server does in words of its own", goneOrAbsent)
	t.Run("a device that was unsubscribed is gone", goneUnsubscribed)
	t.Run("what stands in front of a push server never removes a device", gonePages)
	t.Run("an endpoint that a browser has removed is gone", goneRemoved)
	t.Run("a device that was subscribed with another key is gone if a known push service says so", goneOtherKey)
}

// removals are answers about an address, and what follows from each if the host is one of the known
// services and if it is not.
var removals = map[string]struct {
	status           int
	body             string
	known, elsewhere follow
}{
	"404, empty: Caddy":               {404, "", removed, kept},
	"404, empty: unrouted, by actix":  {404, "", removed, kept},
	"404, a text":                     {404, "Not Found", removed, kept},
	"404, JSON of a gateway":          {404, `{"message":"no Route matched with those values"}`, removed, kept},
	"404, JSON of a framework":        {404, `{"detail":"Not Found"}`, removed, kept},
	"404, JSON that says no":          {404, `{"success":false}`, removed, kept},
	"404 of Mozilla's server":         {404, `{"code":404,"errno":102,"error":"Not Found","message":"Invalid token"}`, removed, absent},
	"404 of ntfy":                     {404, `{"code":40401,"http":404,"error":"page not found"}`, kept, kept},
	"410, empty: a rewriting proxy":   {410, "", removed, absent},
	"410, a text":                     {410, "push subscription has unsubscribed or expired.", removed, absent},
	"410 of Mozilla's server, user":   {410, `{"code":410,"errno":103,"error":"Gone","message":"UAID not found"}`, removed, absent},
	"410 of Mozilla's server, device": {410, `{"code":410,"errno":105,"error":"Gone"}`, removed, absent},
	"410 of Mozilla's server":         {410, `{"code":410,"errno":106,"error":"Gone","message":"No such subscription"}`, removed, absent},
	"410 of Apple":                    {410, `{"reason":"Unregistered"}`, removed, absent},
	"401 of NextPush":                 {401, `{"success":false}`, absent, absent},
	"another key":                     {400, `{"reason":"VapidPkHashMismatch"}`, removed, absent},
	"another key, in a text":          {403, "VapidPkHashMismatch", ours, ours},
	"507 of ntfy":                     {507, `{"code":50701,"http":507}`, kept, kept},
	"503 of Prosody":                  {503, "", kept, kept},
}

// follow is what follows from an answer for the device.
type follow string

const (
	removed follow = "removed"
	absent  follow = "removed once it is repeated for a day"
	kept    follow = "kept"
	ours    follow = "kept, and this server is at fault"
)

func followOf(o registry.Outcome) follow {
	switch {
	case o.Result == gone:
		return removed
	case o.Result == misconfigured:
		return ours
	case o.Absent:
		return absent
	}
	return kept
}

func goneOrAbsent(t *testing.T) {
	s := serve(t)
	ask := func(known bool, status int, body string) follow {
		if known {
			defer webpush.Know("127.0.0.1")()
		}
		defer s.ClearFaults()
		s.Fail("", pushtest.Fault{Status: status, Body: body})
		return followOf(s.sender.Send(t.Context(), s.device, message()))
	}
	for name, c := range removals {
		if got := ask(true, c.status, c.body); got != c.known {
			t.Errorf("%s, of a known service: %s, want %s", name, got, c.known)
		}
		if got := ask(false, c.status, c.body); got != c.elsewhere {
			t.Errorf("%s, of another host: %s, want %s", name, got, c.elsewhere)
		}
	}
	for status := 200; status < 1000; status++ {
		if status == http.StatusNotFound || status == http.StatusGone {
			continue
		}
		for _, known := range []bool{false, true} {
			if got := ask(known, status, ""); got == removed || got == absent {
				t.Errorf("%d, known %v: %s", status, known, got)
			}
		}
	}
}

func goneUnsubscribed(t *testing.T) {
	s := serve(t)
	s.Gone(s.device.Address)
	o := s.sender.Send(t.Context(), s.device, message())
	expect(t, o, retry, "webpush_not_found", s.device)
	if !o.Absent || !o.Suspect {
		t.Errorf("%+v", o)
	}
	defer webpush.Know("127.0.0.1")()
	expect(t, s.sender.Send(t.Context(), s.device, message()), gone, "webpush_gone", s.device)
	unknown := pointedAt(t, s.origin)
	expect(t, s.sender.Send(t.Context(), unknown, message()), gone, "webpush_gone", unknown)
}

func gonePages(t *testing.T) {
	s := serve(t)
	send := func(name string, answer pushtest.Fault) {
		defer s.ClearFaults()
		s.Fail("", answer)
		o := s.sender.Send(t.Context(), s.device, message())
		if o.Result != retry || o.Absent || o.Suspect != (answer.Status < 500) {
			t.Errorf("%s: %+v", name, o)
		}
	}
	for name, answer := range pushtest.ProxyTexts {
		send(name, answer)
	}
	for _, known := range []bool{false, true} {
		if known {
			defer webpush.Know("127.0.0.1")()
		}
		for name, page := range pushtest.ProxyPages {
			send(name, page)
		}
	}
}

func goneRemoved(t *testing.T) {
	s := serve(t)
	for _, host := range []string{"permanently-removed.invalid", "Permanently-Removed.INVALID", "x.invalid.", "invalid"} {
		device := pointedAt(t, "https://"+host)
		expect(t, s.sender.Send(t.Context(), device, message()), gone, "webpush_endpoint_removed", device)
		var fault *push.FieldError
		if err := s.sender.Transports()[0].Check(device); !errors.As(err, &fault) || fault.Field != "address" || fault.Reason.Code != "webpush_endpoint_removed" {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"invalid.example", "notinvalid"} {
		if err := s.sender.Transports()[0].Check(pointedAt(t, "https://"+host)); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestServices(t *testing.T) {
	for host, want := range map[string]bool{
		"web.push.apple.com": true, "api.push.apple.com": true, "push.apple.com": false, "push.apple.com.example.org": false, "evilpush.apple.com": false,
		"wns2-par02p.notify.windows.com": true, "db5p.notify.windows.com": true, "notify.windows.com": false, "evilnotify.windows.com": false, "windows.com": false,
		"updates.push.services.mozilla.com": true, "push.services.mozilla.com": false, "autopush.example.org": false, "updates.push.services.mozilla.com.example.org": false,
		"fcm.googleapis.com": true, "jmt17.google.com": true, "evilfcm.googleapis.com": false, "fcm.googleapis.com.example.org": false, "storage.googleapis.com": false,
		"android.googleapis.com": false, "google.com": false,
		"ntfy.sh": false, "up.schildi.chat": false, "up.conversations.im": false, "push.example.org": false, "127.0.0.1": false, "": false,
	} {
		if got := webpush.IsService(host); got != want {
			t.Errorf("%s is known: %v, want %v", host, got, want)
		}
	}
}

// TestServiceNames checks that a host that anybody may run has no name in figures.
func TestServiceNames(t *testing.T) {
	s := serve(t)
	for host, want := range map[string]string{
		"web.push.apple.com": "push.apple.com", "db5p.notify.windows.com": "notify.windows.com", "fcm.googleapis.com": "fcm.googleapis.com",
		"UPDATES.push.services.mozilla.com:443": "updates.push.services.mozilla.com", "ntfy.example.org": "", "anna.example.org:8443": "",
	} {
		if got := s.sender.Transports()[0].Service(pointedAt(t, "https://"+host)); got != want {
			t.Errorf("%s has the name %q, want %q", host, got, want)
		}
	}
}

func goneOtherKey(t *testing.T) {
	s := serve(t)
	device := s.subscribe(t, "another")
	o := s.sender.Send(t.Context(), device, message())
	expect(t, o, retry, "webpush_vapid_mismatch", device)
	if !o.Absent || !o.Suspect || len(s.TakeViolations()) != 1 {
		t.Errorf("of a host that is not known: %+v", o)
	}
	defer webpush.Know("127.0.0.1")()
	expect(t, s.sender.Send(t.Context(), device, message()), gone, "webpush_vapid_mismatch", device)
	if v := s.TakeViolations(); len(v) != 1 {
		t.Errorf("refused: %q", v)
	}
	s.Fail("", pushtest.Fault{Status: 403, Reason: "VapidPkHashMismatch"})
	expect(t, s.sender.Send(t.Context(), s.device, message()), gone, "webpush_vapid_mismatch", s.device)
	if s.Requests() != 3 {
		t.Errorf("%d requests for three pushes, no new token could help", s.Requests())
	}
}
