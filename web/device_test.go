package web

import (
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
)

func TestDevices(t *testing.T) {
	t.Parallel()
	t.Run("a rotated token keeps the id", deviceRotationKeepsID)
	t.Run("a subscription rotates, and a key is removed", deviceSubscriptionRotates)
	t.Run("changes during a push are kept", deviceChangedDuringPush)
	t.Run("an address that changed meanwhile stays", deviceAddressChanged)
	t.Run("an environment that no push has shown is not kept", deviceEnvironmentUnshown)
	t.Run("a test push is stored for what it shows", deviceTestPushStored)
	t.Run("a test push proves nothing of a device that changed", deviceTestPushStale)
	t.Run("a device is notified of accounts that its user sees", deviceAccountsVisible)
	t.Run("a device shows the pause of its lane", deviceShowsLanePause)
	t.Run("a test push returns the outcome", deviceTestPushOutcome)
	t.Run("the admin token sees the devices of all users", deviceAdminToken)
}

func deviceRotationKeepsID(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	at := "/devices/" + h.call(h.anna.device, "POST", "/devices", fcmDevice().with("content", "preview"), 201).id()
	h.call(h.anna.device, "PATCH", at, object{"name": "Mine", "content": "subject"}, 200)
	if h.proved != 1 {
		t.Errorf("a rename made it %d pushes", h.proved)
	}
	h.call(h.anna.device, "PATCH", at, object{"token": "malformed"}, 422).wantFields(t, "token")
	a := h.call(h.anna.device, "PATCH", at, object{"token": "new-" + marker}, 200)
	if a.body["name"] != "Mine" || a.body["content"] != "subject" || a.state() != "proven" || h.proved != 2 {
		t.Errorf("after %d pushes it is %s", h.proved, a.raw)
	}
	again := h.call(h.anna.full, "POST", "/devices", fcmDevice().with("token", "new-"+marker), 200)
	if "/devices/"+again.id() != at {
		t.Error("the new token is another device")
	}
	h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201)
	if a := h.call(h.anna.full, "PATCH", at, object{"token": fcmToken}, 409); a.body["code"] != "taken" {
		t.Errorf("another device's token: %s", a.raw)
	}
	h.set(func() {
		h.outcome = registry.Outcome{Result: registry.ResultGone, Reason: idlepush.Reason{Code: "fcm_unregistered"}}
	})
	h.call(h.anna.full, "PATCH", at, object{"token": "dead-" + marker}, 422).wantFields(t, "token")
	d, err := h.store.Devices.At(idlepush.Device{Transport: "fcm", Address: "new-" + marker})
	fatal(t, err)
	if "/devices/"+d.ID != at {
		t.Error("a refused rotation was stored")
	}
}

func deviceSubscriptionRotates(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	at := "/devices/" + h.call(h.anna.full, "POST", "/devices", browser(), 201).id()
	sub := object{"endpoint": endpoint + "0", "keys": object{"p256dh": p256dh, "auth": auth}}
	h.call(h.anna.full, "PATCH", at, object{"subscription": sub}, 200)
	h.call(h.anna.full, "PATCH", at, object{"token": "x"}, 422).wantFields(t, "token")
	h.call(h.anna.full, "PATCH", at, object{"transport": "fcm"}, 422).wantFields(t, "transport")

	phone := h.call(h.anna.full, "POST", "/devices", fcmDevice().with("encryption", object{"p256dh": p256dh, "auth": auth}), 201)
	at = "/devices/" + phone.id()
	if a := h.call(h.anna.full, "PATCH", at, object{"encryption": nil}, 200); a.body["encrypted"] != false || a.body["content"] != "subject" {
		t.Errorf("without its key it is %s", a.raw)
	}
	if a := h.call(h.anna.full, "PATCH", at, object{"encryption": object{"p256dh": p256dh, "auth": auth}}, 200); a.body["encrypted"] != true || h.proved != 5 {
		t.Errorf("after %d pushes, with its key it is %s", h.proved, a.raw)
	}
}

func deviceChangedDuringPush(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	at := "/devices/" + h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201).id()
	h.set(func() {
		h.during = func(d idlepush.Device) {
			switch d.Address {
			case "slow":
				h.call(h.anna.full, "PATCH", at, object{"token": "fast"}, 200)
			case "slower":
				h.call(h.anna.full, "PATCH", at, object{"name": "Renamed"}, 200)
			case "slowest":
				h.call(h.anna.full, "DELETE", at, nil, 204)
			}
		}
	})
	if a := h.call(h.anna.full, "PATCH", at, object{"token": "slow"}, 409); a.body["code"] != "changed" {
		t.Errorf("it says %s", a.raw)
	}
	if a := h.call(h.anna.full, "PATCH", at, object{"token": "slower"}, 200); a.body["name"] != "Renamed" {
		t.Errorf("a rename was undone: %s", a.raw)
	}
	h.call(h.anna.full, "PATCH", at, object{"token": "slowest"}, 404)
	if h.devices() != 0 {
		t.Error("a removed device came back")
	}
}

// A push proves nothing of an address that another request has changed meanwhile. That holds if the
// request sent a proving push, and if it needed none.
func deviceAddressChanged(t *testing.T) {
	t.Parallel()
	fast := strings.Repeat("0b", 32)
	for name, row := range map[string]struct {
		patch object
		want  int
	}{
		"to what it was":          {object{"token": apnsToken}, 409},
		"half to what it was":     {object{"environment": "production"}, 409},
		"to a third":              {object{"token": strings.Repeat("0c", 32)}, 409},
		"to what it is meanwhile": {object{"token": fast, "environment": "sandbox"}, 409},
		"not at all":              {object{"name": "Renamed"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestServer(t)
			made := h.call(h.anna.full, "POST", "/devices", apnsDevice().with("environment", "production"), 201)
			// The request is authenticated, again with its body, reads the device, and reads it
			// again to change it.
			h.at(4, func() error {
				d, err := h.store.Devices.Get(made.id())
				if err == nil {
					d.Address, d.Params, d.Status = idlepush.Secret(fast), in("sandbox"), idlepush.Status{State: idlepush.StateUnproven}
					_, err = h.store.Devices.Update(d, time.Now())
				}
				return err
			})
			a := h.call(h.anna.full, "PATCH", "/devices/"+made.id(), row.patch, row.want)
			if row.want == 409 && a.body["code"] != "changed" || row.want == 200 && a.body["name"] != "Renamed" {
				t.Errorf("it says %s", a.raw)
			}
			d, err := h.store.Devices.Get(made.id())
			fatal(t, err)
			if d.Address != idlepush.Secret(fast) || d.Params["environment"] != "sandbox" || d.Status.State != idlepush.StateUnproven {
				t.Errorf("the device is %s, %s", d.Params["environment"], d.Status.State)
			}
		})
	}
}

func deviceEnvironmentUnshown(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.set(func() {
		h.outcome = registry.Outcome{Result: registry.ResultRetry, Reason: idlepush.Reason{Code: "apns_unreachable"}}
	})
	h.call(h.anna.full, "POST", "/devices", apnsDevice().with("environment", "sandbox"), 201)
	var asked []string
	h.set(func() { h.during = func(d idlepush.Device) { asked = append(asked, d.Params["environment"]) } })
	a := h.call(h.anna.full, "POST", "/devices", apnsDevice(), 200)
	if len(asked) != 1 || asked[0] != "" || a.body["environment"] != nil || a.state() != "unproven" {
		t.Errorf("after pushes for %q it is %s", asked, a.raw)
	}
}

func deviceTestPushStored(t *testing.T) {
	t.Parallel()
	// Transactions: authenticate and read the device, and, to store something, read and write it.
	const looks, notes = 2, 4
	taken := func(e string) registry.Outcome {
		return registry.Outcome{Result: registry.ResultDelivered, Learned: learnedEnvironment(e)}
	}
	down := registry.Outcome{Result: registry.ResultRetry, Reason: idlepush.Reason{Code: "apns_unreachable"}}
	failed := down
	failed.Learned = learnedEnvironment("sandbox")
	for _, row := range []struct {
		is       idlepush.State
		at       string
		outcome  registry.Outcome
		want     idlepush.State
		wantAt   string
		takes    int64
		whatItIs string
	}{
		{idlepush.StateUnproven, "", down, idlepush.StateUnproven, "", looks, "a push that failed"},
		{idlepush.StateUnproven, "", failed, idlepush.StateUnproven, "", looks, "a push that failed there"},
		{idlepush.StateProven, "", failed, idlepush.StateProven, "", looks, "another that failed there"},
		{idlepush.StateUnproven, "", taken(""), idlepush.StateProven, "", notes, "a first push"},
		{idlepush.StateUnproven, "", taken("sandbox"), idlepush.StateProven, "sandbox", notes, "a first push that shows where"},
		{idlepush.StateUnproven, "production", taken("production"), idlepush.StateProven, "production", notes, "a first push to where it was said to be"},
		{idlepush.StateProven, "", taken("sandbox"), idlepush.StateProven, "sandbox", notes, "another that shows where"},
		{idlepush.StateProven, "", taken(""), idlepush.StateProven, "", looks, "another that shows nothing"},
		{idlepush.StateProven, "production", taken("production"), idlepush.StateProven, "production", looks, "another that shows what is known"},
	} {
		h := newTestServer(t)
		d, _, err := h.store.Devices.Register(idlepush.Device{User: h.anna.id, Name: "iPhone", Transport: "apns", Lane: "apns", Address: apnsToken, Params: in(row.at),
			Content: idlepush.LevelWake, Status: idlepush.Status{State: row.is}}, "", time.Now())
		fatal(t, err)
		h.set(func() { h.outcome = row.outcome })
		count := h.at(0, nil)
		h.call(h.anna.full, "POST", "/devices/"+d.ID+"/test", nil, 200)
		took := count()
		d, err = h.store.Devices.Get(d.ID)
		fatal(t, err)
		if d.Status.State != row.want || d.Params["environment"] != row.wantAt || took != row.takes {
			t.Errorf("after %s it is %s at %q, in %d transactions", row.whatItIs, d.Status.State, d.Params["environment"], took)
		}
	}
}

func deviceTestPushStale(t *testing.T) {
	t.Parallel()
	down := registry.Outcome{Result: registry.ResultRetry, Reason: idlepush.Reason{Code: "fcm_unavailable"}}
	for name, meanwhile := range map[string]func(h *testServer, at string){
		"another address": func(h *testServer, at string) {
			h.call(h.anna.full, "PATCH", at, object{"token": "new-" + marker}, 200)
		},
		"another's": func(h *testServer, _ string) { h.call(h.ben.full, "POST", "/devices", fcmDevice(), 200) },
		"gone":      func(h *testServer, at string) { h.call(h.anna.full, "DELETE", at, nil, 204) },
	} {
		h := newTestServer(t)
		h.set(func() { h.outcome = down })
		at := "/devices/" + h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201).id()
		h.set(func() {
			h.outcome = registry.Outcome{Result: registry.ResultDelivered}
			h.during = func(idlepush.Device) {
				h.set(func() { h.outcome, h.during = down, nil })
				meanwhile(h, at)
			}
		})
		if a := h.call(h.anna.full, "POST", at+"/test", nil, 200); a.body["result"] != "delivered" {
			t.Errorf("%s: it says %s", name, a.raw)
		}
		list, err := h.store.Devices.List("")
		fatal(t, err)
		for _, d := range list {
			if d.Status.State != idlepush.StateUnproven {
				t.Errorf("%s: it is %s", name, d.Status.State)
			}
		}
		if (len(list) == 0) != (name == "gone") {
			t.Errorf("%s: there are %d devices", name, len(list))
		}
	}
}

func deviceAccountsVisible(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	one := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
	bens := h.call(h.ben.full, "POST", "/accounts", mailbox().with("username", "ben"), 201).id()
	h.call(h.anna.full, "POST", "/devices", fcmDevice().with("accounts", []string{one, bens}), 422).wantFields(t, "accounts[1]")
	h.call(h.anna.full, "POST", "/devices", fcmDevice().with("accounts", []string{one, one}), 422).wantFields(t, "accounts[1]")
	h.call(h.anna.full, "POST", "/devices", fcmDevice().with("accounts", []string{}), 422).wantFields(t, "accounts")
	a := h.call(h.anna.full, "POST", "/devices", fcmDevice().with("accounts", []string{one}), 201)
	at := "/devices/" + a.id()
	h.call(h.anna.full, "PATCH", at, object{"accounts": []string{bens}}, 422).wantFields(t, "accounts[0]")
	if a := h.call(h.anna.full, "PATCH", at, object{"name": "x"}, 200); len(a.body["accounts"].([]any)) != 1 {
		t.Errorf("a rename changed its accounts: %s", a.raw)
	}
	h.call(h.anna.full, "DELETE", "/accounts/"+one, nil, 204)
	h.call(h.anna.full, "PATCH", at, object{"name": "y"}, 200)
	if a := h.call(h.anna.full, "PATCH", at, object{"accounts": nil}, 200); a.body["accounts"] != nil {
		t.Errorf("null is not all: %s", a.raw)
	}
}

func deviceShowsLanePause(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	account := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
	a := h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201)
	h.call(h.anna.full, "POST", "/devices", browser(), 201)
	now := time.Now()
	_, err := h.store.Mail.Record(registry.Arrival{Account: account, Folder: "INBOX", To: registry.Cursor{UIDValidity: 1, Next: 2}, Mails: []registry.Message{{UID: 1}}, At: now})
	fatal(t, err)
	work, _, err := h.store.Outbox.Next(a.id(), now)
	fatal(t, err)
	_, err = h.store.Outbox.Settle(work, registry.Outcome{Result: registry.ResultMisconfigured, PauseFor: time.Minute, Reason: idlepush.Reason{Code: "fcm_permission_denied"}}, now)
	fatal(t, err)
	for _, waits := range []bool{true, false} {
		if !waits {
			_, err := h.store.Mail.Clear(account, "INBOX", 1, []uint32{1}, now)
			fatal(t, err)
		}
		for _, item := range h.call(h.anna.full, "GET", "/devices", nil, 200).body["items"].([]any) {
			d := item.(map[string]any)
			status := d["status"].(map[string]any)
			lane, isPaused := status["lane"].(map[string]any)
			if isPaused != (d["id"] == a.id()) {
				t.Errorf("%v shows the pause %v", d["name"], lane)
			}
			if next, tried := status["next_try"]; tried != waits || waits && isPaused != (next == lane["until"]) {
				t.Errorf("%v waits: %v; it is tried next at %v, its lane is paused as %v", d["name"], waits, next, lane)
			}
		}
	}
}

func deviceTestPushOutcome(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	at := "/devices/" + h.call(h.anna.device, "POST", "/devices", fcmDevice(), 201).id()
	if a := h.call(h.anna.device, "POST", at+"/test", nil, 200); a.body["result"] != "delivered" || len(a.body) != 1 || h.tested != 1 || h.proved != 1 {
		t.Errorf("it says %s", a.raw)
	}
	for _, o := range []registry.Outcome{
		{Result: registry.ResultGone, Reason: idlepush.Reason{Code: "fcm_unregistered"}},
		{Result: registry.ResultRetry, Reason: idlepush.Reason{Code: "fcm_unavailable"}},
		{Result: registry.ResultMisconfigured, Reason: idlepush.Reason{Code: "fcm_permission_denied"}},
	} {
		h.set(func() { h.outcome = o })
		a := h.call(h.anna.full, "POST", at+"/test", nil, 200)
		if a.body["result"] != string(o.Result) || a.body["code"] != string(o.Code) || a.body["reason"] != told(o) || !sameParams(a.body["params"], o.Params) {
			t.Errorf("it says %s", a.raw)
		}
	}
}

func deviceAdminToken(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.call(h.anna.full, "POST", "/accounts", mailbox().with("shared_with", []string{h.ben.id}), 201)
	h.call(adminToken, "POST", "/devices", fcmDevice().with("user", h.ben.id), 201)
	h.call(h.anna.full, "POST", "/devices", browser(), 201)
	if items := h.call(adminToken, "GET", "/devices", nil, 200).body["items"].([]any); len(items) != 2 {
		t.Errorf("it sees %d devices, want 2", len(items))
	}
	if items := h.call(h.ben.full, "GET", "/devices", nil, 200).body["items"].([]any); len(items) != 1 {
		t.Errorf("Ben sees %d devices, want his one", len(items))
	}
}
