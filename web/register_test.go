package web

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/push"
	"idlepush/registry"
)

func TestRegistration(t *testing.T) {
	t.Parallel()
	t.Run("every transport registers after one proving push", deviceRegisters)
	t.Run("an environment that a push shows is kept", deviceLearnsEnvironment)
	t.Run("a rotation shows an unknown environment", deviceRotationLearns)
	t.Run("a refused proving push stores nothing", deviceRefused)
	t.Run("an endpoint that a browser has removed is refused, and the device keeps its own", deviceEndpointRemoved)
	t.Run("an outage stores the device unproven", deviceUnproven)
	t.Run("a device that alone is refused as our fault is not stored", deviceAloneRefused)
	t.Run("a new address that alone is refused as our fault is not stored", deviceNewAddressRefused)
	t.Run("an address moves to the user who registers it now", deviceMovesToUser)
	t.Run("new keys are proved, known ones are not", deviceNewKeysProved)
}

func deviceRegisters(t *testing.T) {
	t.Parallel()
	encrypted := object{"p256dh": p256dh, "auth": auth}
	up := browser().with("transport", "unifiedpush")
	for name, row := range map[string]struct {
		body                 object
		content, environment any
		encrypted            bool
	}{
		"fcm":           {fcmDevice(), "wake", nil, false},
		"fcm encrypted": {fcmDevice().with("encryption", encrypted), "subject", nil, true},
		"apns":          {apnsDevice(), "wake", nil, false},
		"apns, all":     {apnsDevice().with("environment", "sandbox").with("topic", "org.example.app").with("content", "preview"), "preview", "sandbox", false},
		"webpush":       {browser(), "subject", nil, true},
		"unifiedpush":   {up.with("content", "sender"), "sender", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestServer(t)
			a := h.call(h.anna.device, "POST", "/devices", row.body, 201)
			if h.proved != 1 || a.state() != "proven" || a.body["content"] != row.content || a.body["environment"] != row.environment || a.body["encrypted"] != row.encrypted {
				t.Errorf("after %d pushes: %s", h.proved, a.raw)
			}
			b := h.call(h.anna.full, "POST", "/devices", row.body.with("name", "Newer"), 200)
			if h.proved != 1 || b.id() != a.id() || b.body["name"] != "Newer" || b.state() != "proven" {
				t.Errorf("again, after %d pushes: %s", h.proved, b.raw)
			}
			h.call(h.anna.full, "GET", "/devices/"+a.id(), nil, 200)
			h.call(h.anna.full, "DELETE", "/devices/"+a.id(), nil, 204)
			h.call(h.anna.full, "GET", "/devices/"+a.id(), nil, 404)
		})
	}
}

func deviceLearnsEnvironment(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	answer := func(o registry.Outcome) { h.set(func() { h.outcome = o }) }
	sandbox := registry.Outcome{Result: registry.ResultDelivered, Learned: learnedEnvironment("sandbox")}
	down := registry.Outcome{Result: registry.ResultRetry, Reason: idlepush.Reason{Code: "apns_unreachable"}}
	is := func(when, at string, want any) {
		t.Helper()
		if a := h.call(h.anna.full, "GET", at, nil, 200); a.body["environment"] != want {
			t.Errorf("%s it is %s", when, a.raw)
		}
	}
	asked := func(when string, want string) {
		t.Helper()
		h.set(func() {
			h.during = func(d idlepush.Device) {
				if d.Params["environment"] != want {
					t.Errorf("%s a push is for %q, want %q", when, d.Params["environment"], want)
				}
			}
		})
	}

	answer(down)
	at := "/devices/" + h.call(h.anna.full, "POST", "/devices", apnsDevice(), 201).id()
	is("unproven", at, nil)
	answer(sandbox)
	asked("tested", "")
	h.call(h.anna.full, "POST", at+"/test", nil, 200)
	is("tested", at, "sandbox")

	asked("registered again", "")
	h.call(h.anna.full, "POST", "/devices", apnsDevice(), 200)
	if h.proved != 1 {
		t.Errorf("registered again with what is known: %d proving pushes", h.proved)
	}
	is("registered again", at, "sandbox")
	asked("with another token", "sandbox")
	answer(registry.Outcome{Result: registry.ResultDelivered})
	h.call(h.anna.full, "PATCH", at, object{"token": strings.Repeat("0b", 32)}, 200)
	is("with another token", at, "sandbox")
	asked("moved", "production")
	h.call(h.anna.full, "PATCH", at, object{"environment": "production"}, 200)
	is("moved", at, "production")
	if h.proved != 3 {
		t.Errorf("%d proving pushes, want 3", h.proved)
	}

	asked("new", "")
	answer(sandbox)
	at = "/devices/" + h.call(h.anna.full, "POST", "/devices", apnsDevice(), 201).id()
	is("proved", at, "sandbox")
	asked("given", "production")
	answer(registry.Outcome{Result: registry.ResultDelivered})
	h.call(h.anna.full, "POST", "/devices", apnsDevice().with("environment", "production"), 200)
	is("given", at, "production")
	answer(registry.Outcome{Result: registry.ResultRetry, Suspect: true, Reason: idlepush.Reason{Code: "apns_bad_device_token"}})
	asked("nobody's", "")
	h.call(h.anna.full, "POST", "/devices", apnsDevice().with("token", strings.Repeat("0c", 32)), 422).wantFields(t, "token")
}

func deviceRotationLearns(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.set(func() {
		h.outcome = registry.Outcome{Result: registry.ResultRetry, Reason: idlepush.Reason{Code: "apns_unreachable"}}
	})
	at := "/devices/" + h.call(h.anna.full, "POST", "/devices", apnsDevice(), 201).id()
	h.set(func() {
		h.outcome = registry.Outcome{Result: registry.ResultDelivered, Learned: learnedEnvironment("production")}
	})
	if a := h.call(h.anna.full, "PATCH", at, object{"token": strings.Repeat("0b", 32)}, 200); a.body["environment"] != "production" || a.state() != "proven" {
		t.Errorf("it is %s", a.raw)
	}
}

func deviceRefused(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]registry.Outcome{
		"gone":    {Result: registry.ResultGone, Reason: idlepush.Reason{Code: "webpush_gone"}.With("host", "push.example.net")},
		"refused": {Result: registry.ResultRefused, Reason: idlepush.Reason{Code: "webpush_refused"}},
		"suspect": {Result: registry.ResultRetry, Suspect: true, Reason: idlepush.Reason{Code: "webpush_bad_address"}},
	} {
		h := newTestServer(t)
		h.set(func() { h.outcome = o })
		a := h.call(h.anna.full, "POST", "/devices", browser(), 422)
		a.wantFields(t, "subscription")
		if a.body["code"] != string(o.Code) || a.body["detail"] != told(o) || !sameParams(a.body["params"], o.Params) || h.devices() != 0 {
			t.Errorf("%s: %d stored, %s", name, h.devices(), a.raw)
		}
		h.call(h.anna.full, "POST", "/devices", fcmDevice(), 422).wantFields(t, "token")
	}
}

// deviceEndpointRemoved registers what Chrome and Edge give for a subscription that is over. The
// page subscribes anew when it is refused so.
func deviceEndpointRemoved(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	at := "/devices/" + h.call(h.anna.full, "POST", "/devices", browser(), 201).id()
	refused := func(a answer) {
		t.Helper()
		a.wantFields(t, "subscription.endpoint")
		if fault := a.body["errors"].([]any)[0].(map[string]any); fault["code"] != "webpush_endpoint_removed" {
			t.Errorf("it says %s", a.raw)
		}
	}
	gone := subscribed(removedEndpoint + marker)
	refused(h.call(h.anna.full, "POST", "/devices", browser().with("subscription", gone), 422))
	refused(h.call(h.anna.full, "PATCH", at, object{"subscription": gone}, 422))
	if h.proved != 1 || h.devices() != 1 {
		t.Errorf("%d pushes, %d devices", h.proved, h.devices())
	}
	if d, err := h.store.Devices.At(idlepush.Device{Transport: "webpush", Address: endpoint}); err != nil || "/devices/"+d.ID != at {
		t.Errorf("the device is not at its address any more: %+v, %v", d, err)
	}
}

func (h *testServer) devices() int {
	list, err := h.store.Devices.List(h.anna.id)
	fatal(h.t, err)
	return len(list)
}

func deviceUnproven(t *testing.T) {
	t.Parallel()
	for _, o := range []registry.Outcome{
		{Result: registry.ResultRetry, Reason: idlepush.Reason{Code: "fcm_unavailable"}},
		{Result: registry.ResultMisconfigured, Reason: idlepush.Reason{Code: "fcm_permission_denied"}},
	} {
		h := newTestServer(t)
		h.set(func() { h.outcome = o })
		a := h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201)
		if st := a.body["status"].(map[string]any); st["state"] != "unproven" || st["code"] != string(o.Code) || st["reason"] != told(o) || st["proof"] != nil {
			t.Errorf("its status is %v", st)
		}
		h.set(func() { h.outcome = registry.Outcome{Result: registry.ResultDelivered} })
		h.call(h.anna.full, "POST", "/devices/"+a.id()+"/test", nil, 200)
		if b := h.call(h.anna.full, "GET", "/devices/"+a.id(), nil, 200); b.state() != "proven" || b.body["status"].(map[string]any)["code"] != nil {
			t.Errorf("after a test push that was taken it is %s", b.raw)
		}
	}
}

// The device is Anna's, and the other is hers or Ben's.
func deviceAloneRefused(t *testing.T) {
	t.Parallel()
	fault := registry.Outcome{Result: registry.ResultMisconfigured, Reason: idlepush.Reason{Code: "webpush_unauthorized"}.With("host", "push.example.net")}
	another := browser().with("subscription", object{"endpoint": endpoint + "-2", "keys": object{"p256dh": p256dh, "auth": auth}})
	for name, c := range map[string]struct {
		other  object
		state  idlepush.State
		age    time.Duration // of the other's last accepted push
		answer registry.Outcome
		want   int
	}{
		"there is no other":                  {nil, "", 0, fault, 201},
		"the other was accepted just now":    {another, idlepush.StateProven, 0, fault, 422},
		"the other was accepted in the hour": {another, idlepush.StateProven, time.Hour - time.Minute, fault, 422},
		"the other was accepted an hour ago": {another, idlepush.StateProven, time.Hour, fault, 201},
		"by a clock that was ahead":          {another, idlepush.StateProven, -time.Hour, fault, 201},
		"the other is suspect":               {another, idlepush.StateSuspect, 0, fault, 201},
		"the other is not proven":            {another, idlepush.StateUnproven, 0, fault, 201},
		"the other has another push service": {fcmDevice(), idlepush.StateProven, 0, fault, 201},
		"the service is down":                {another, idlepush.StateProven, 0, registry.Outcome{Result: registry.ResultRetry, Reason: idlepush.Reason{Code: "webpush_timeout"}}, 201},
		"the push cannot be sent at all":     {another, idlepush.StateProven, 0, push.NotSent(fault), 201},
	} {
		for _, owner := range []string{"anna", "ben"} {
			h := newTestServer(t)
			if c.other != nil {
				token := map[string]string{"anna": h.anna.full, "ben": h.ben.full}[owner]
				d, err := h.store.Devices.Get(h.call(token, "POST", "/devices", c.other, 201).id())
				fatal(t, err)
				d.Status = idlepush.Status{State: c.state, Proof: time.Now().Add(-c.age)}
				_, err = h.store.Devices.Update(d, time.Now())
				fatal(t, err)
			}
			h.set(func() { h.outcome = c.answer })
			a := h.call(h.anna.full, "POST", "/devices", browser(), c.want)
			switch {
			case c.want == 201 && a.state() != "unproven":
				t.Errorf("%s, %s: it is stored as %s", name, owner, a.raw)
			case c.want == 422:
				a.wantFields(t, "subscription")
				if a.body["code"] != string(registry.DeviceRefused.Code) || !strings.Contains(fmt.Sprint(a.body["detail"]), "Register the device again") {
					t.Errorf("%s, %s: %s", name, owner, a.raw)
				}
			}
		}
	}
}

// deviceNewAddressRefused: its own push was accepted at another address.
func deviceNewAddressRefused(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	moved := object{"subscription": object{"endpoint": endpoint + "-2", "keys": object{"p256dh": p256dh, "auth": auth}}}
	at := "/devices/" + h.call(h.anna.full, "POST", "/devices", browser(), 201).id()
	h.set(func() {
		h.outcome = registry.Outcome{Result: registry.ResultMisconfigured, Reason: idlepush.Reason{Code: "webpush_unauthorized"}.With("host", "push.example.net")}
	})
	if a := h.call(h.anna.full, "PATCH", at, moved, 200); a.state() != "unproven" {
		t.Errorf("alone: %s", a.raw)
	}
	h.set(func() { h.outcome = registry.Outcome{Result: registry.ResultDelivered} })
	h.call(h.ben.full, "POST", "/devices", browser(), 201)
	h.set(func() {
		h.outcome = registry.Outcome{Result: registry.ResultMisconfigured, Reason: idlepush.Reason{Code: "webpush_unauthorized"}.With("host", "push.example.net")}
	})
	moved = object{"subscription": object{"endpoint": endpoint + "-3", "keys": object{"p256dh": p256dh, "auth": auth}}}
	h.call(h.anna.full, "PATCH", at, moved, 422).wantFields(t, "subscription")
}

func deviceMovesToUser(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	a := h.call(h.anna.full, "POST", "/devices", browser(), 201)
	b := h.call(h.ben.full, "POST", "/devices", browser(), 200)
	if b.id() != a.id() || b.body["user"] != h.ben.id || h.proved != 2 {
		t.Errorf("after %d pushes it is %s", h.proved, b.raw)
	}
	h.call(h.anna.full, "GET", "/devices/"+a.id(), nil, 404)
	h.call(h.anna.full, "PATCH", "/devices/"+a.id(), object{"name": "x"}, 404)
	h.call(h.anna.full, "DELETE", "/devices/"+a.id(), nil, 404)
}

func deviceNewKeysProved(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.call(h.anna.full, "POST", "/devices", browser(), 201)
	keys := object{"p256dh": p256dh + "=", "auth": auth + "=="}
	sub := object{"endpoint": endpoint, "keys": keys}
	h.call(h.anna.full, "POST", "/devices", browser().with("subscription", sub), 200)
	if h.proved != 1 {
		t.Errorf("padding made it %d pushes", h.proved)
	}
	sub["keys"] = keys.with("auth", "AAAAAAAAAAAAAAAAAAAAAA")
	h.call(h.anna.full, "POST", "/devices", browser().with("subscription", sub), 200)
	if h.proved != 2 {
		t.Errorf("a new key made it %d pushes", h.proved)
	}
}
