package web

import (
	"strings"
	"testing"
	"time"

	"idlepush/registry"
)

func TestEveryTransportRegistersAfterOneProvingPush(t *testing.T) {
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
			h := newHouse(t)
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

func TestTheEnvironmentThatAPushShowsIsKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	answer := func(o registry.Outcome) { h.set(func() { h.outcome = o }) }
	sandbox := registry.Outcome{Result: registry.ResultDelivered, Learned: taught("sandbox")}
	down := registry.Outcome{Result: registry.ResultRetry, Code: "apns_unreachable", Reason: "APNs could not be reached."}
	is := func(when, at string, want any) {
		t.Helper()
		if a := h.call(h.anna.full, "GET", at, nil, 200); a.body["environment"] != want {
			t.Errorf("%s it is %s", when, a.raw)
		}
	}
	asked := func(when string, want string) {
		t.Helper()
		h.set(func() {
			h.during = func(d registry.Device) {
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
	answer(registry.Outcome{Result: registry.ResultRetry, Suspect: true, Code: "apns_bad_device_token", Reason: "Apple does not know it."})
	asked("nobody's", "")
	h.call(h.anna.full, "POST", "/devices", apnsDevice().with("token", strings.Repeat("0c", 32)), 422).wantFields(t, "token")
}

func TestARotationShowsAnEnvironmentThatWasNotKnown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.set(func() {
		h.outcome = registry.Outcome{Result: registry.ResultRetry, Code: "apns_unreachable", Reason: "APNs could not be reached."}
	})
	at := "/devices/" + h.call(h.anna.full, "POST", "/devices", apnsDevice(), 201).id()
	h.set(func() {
		h.outcome = registry.Outcome{Result: registry.ResultDelivered, Learned: taught("production")}
	})
	if a := h.call(h.anna.full, "PATCH", at, object{"token": strings.Repeat("0b", 32)}, 200); a.body["environment"] != "production" || a.state() != "proven" {
		t.Errorf("it is %s", a.raw)
	}
}

func TestARefusedProvingPushStoresNothing(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]registry.Outcome{
		"gone":    {Result: registry.ResultGone, Code: "webpush_gone", Reason: "The push service has forgotten this browser. Register it anew."},
		"refused": {Result: registry.ResultRefused, Code: "webpush_refused", Reason: "The push service refuses the message."},
		"suspect": {Result: registry.ResultRetry, Suspect: true, Code: "webpush_suspect", Reason: "The push service doubts this address."},
	} {
		h := newHouse(t)
		h.set(func() { h.outcome = o })
		a := h.call(h.anna.full, "POST", "/devices", browser(), 422)
		a.wantFields(t, "subscription")
		if a.body["code"] != o.Code || a.body["detail"] != o.Reason || h.devices() != 0 {
			t.Errorf("%s: %d stored, %s", name, h.devices(), a.raw)
		}
		h.call(h.anna.full, "POST", "/devices", fcmDevice(), 422).wantFields(t, "token")
	}
}

func (h *house) devices() int {
	list, err := h.store.Devices.List(h.anna.id)
	fatal(h.t, err)
	return len(list)
}

func TestAnOutageStoresTheDeviceUnproven(t *testing.T) {
	t.Parallel()
	for _, o := range []registry.Outcome{
		{Result: registry.ResultRetry, Code: "fcm_unavailable", Reason: "FCM is down."},
		{Result: registry.ResultMisconfigured, Code: "fcm_denied", Reason: "FCM refuses this server's key."},
	} {
		h := newHouse(t)
		h.set(func() { h.outcome = o })
		a := h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201)
		if st := a.body["status"].(map[string]any); st["state"] != "unproven" || st["code"] != o.Code || st["reason"] != o.Reason || st["proof"] != nil {
			t.Errorf("its status is %v", st)
		}
		h.set(func() { h.outcome = registry.Outcome{Result: registry.ResultDelivered} })
		h.call(h.anna.full, "POST", "/devices/"+a.id()+"/test", nil, 200)
		if b := h.call(h.anna.full, "GET", "/devices/"+a.id(), nil, 200); b.state() != "proven" || b.body["status"].(map[string]any)["code"] != nil {
			t.Errorf("after a test push that was taken it is %s", b.raw)
		}
	}
}

func TestAnAddressMovesToTheUserWhoRegistersItNow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.call(h.anna.full, "POST", "/devices", browser(), 201)
	b := h.call(h.ben.full, "POST", "/devices", browser(), 200)
	if b.id() != a.id() || b.body["user"] != h.ben.id || h.proved != 2 {
		t.Errorf("after %d pushes it is %s", h.proved, b.raw)
	}
	h.call(h.anna.full, "GET", "/devices/"+a.id(), nil, 404)
	h.call(h.anna.full, "PATCH", "/devices/"+a.id(), object{"name": "x"}, 404)
	h.call(h.anna.full, "DELETE", "/devices/"+a.id(), nil, 404)
}

func TestNewKeysAreProvedOldOnesAreNot(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
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

func TestARotatedTokenKeepsTheID(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	at := "/devices/" + h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201).id()
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
		h.outcome = registry.Outcome{Result: registry.ResultGone, Code: "fcm_unregistered", Reason: "Gone."}
	})
	h.call(h.anna.full, "PATCH", at, object{"token": "dead-" + marker}, 422).wantFields(t, "token")
	d, err := h.store.Devices.At(registry.Device{Transport: "fcm", Address: "new-" + marker})
	fatal(t, err)
	if "/devices/"+d.ID != at {
		t.Error("a refused rotation was stored")
	}
}

func TestASubscriptionRotatesAndAKeyGoes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
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

func TestWhatHappensToADeviceDuringItsPushIsKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	at := "/devices/" + h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201).id()
	h.set(func() {
		h.during = func(d registry.Device) {
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

// Of an address that was changed after a request had looked at it nothing was proved, whether the
// request sent a proving push or needed none.
func TestAnAddressThatWasChangedMeanwhileIsLeftAsItIs(t *testing.T) {
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
			h := newHouse(t)
			made := h.call(h.anna.full, "POST", "/devices", apnsDevice().with("environment", "production"), 201)
			// The request is admitted, looks at the device, and looks again to change it.
			h.at(3, func() error {
				d, err := h.store.Devices.Get(made.id())
				if err == nil {
					d.Address, d.Params, d.Status = registry.Secret(fast), in("sandbox"), registry.Status{State: registry.Unproven}
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
			if d.Address != registry.Secret(fast) || d.Params["environment"] != "sandbox" || d.Status.State != registry.Unproven {
				t.Errorf("the device is %s, %s", d.Params["environment"], d.Status.State)
			}
		})
	}
}

func TestAnEnvironmentThatNoPushHasShownIsNotTakenOver(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.set(func() {
		h.outcome = registry.Outcome{Result: registry.ResultRetry, Code: "apns_unreachable", Reason: "APNs could not be reached."}
	})
	h.call(h.anna.full, "POST", "/devices", apnsDevice().with("environment", "sandbox"), 201)
	var asked []string
	h.set(func() { h.during = func(d registry.Device) { asked = append(asked, d.Params["environment"]) } })
	a := h.call(h.anna.full, "POST", "/devices", apnsDevice(), 200)
	if len(asked) != 1 || asked[0] != "" || a.body["environment"] != nil || a.state() != "unproven" {
		t.Errorf("after pushes for %q it is %s", asked, a.raw)
	}
}

func TestATestPushIsNotedForWhatItShows(t *testing.T) {
	t.Parallel()
	const looks, notes = 2, 4 // transactions: who asks, the device; and, if there is something to note, the device again and the change
	taken := func(e string) registry.Outcome {
		return registry.Outcome{Result: registry.ResultDelivered, Learned: taught(e)}
	}
	down := registry.Outcome{Result: registry.ResultRetry, Code: "apns_unreachable", Reason: "APNs could not be reached."}
	failed := down
	failed.Learned = taught("sandbox")
	for _, row := range []struct {
		is       registry.State
		at       string
		outcome  registry.Outcome
		want     registry.State
		wantAt   string
		takes    int64
		whatItIs string
	}{
		{registry.Unproven, "", down, registry.Unproven, "", looks, "a push that failed"},
		{registry.Unproven, "", failed, registry.Unproven, "", looks, "a push that failed there"},
		{registry.Proven, "", failed, registry.Proven, "", looks, "another that failed there"},
		{registry.Unproven, "", taken(""), registry.Proven, "", notes, "a first push"},
		{registry.Unproven, "", taken("sandbox"), registry.Proven, "sandbox", notes, "a first push that shows where"},
		{registry.Unproven, "production", taken("production"), registry.Proven, "production", notes, "a first push to where it was said to be"},
		{registry.Proven, "", taken("sandbox"), registry.Proven, "sandbox", notes, "another that shows where"},
		{registry.Proven, "", taken(""), registry.Proven, "", looks, "another that shows nothing"},
		{registry.Proven, "production", taken("production"), registry.Proven, "production", looks, "another that shows what is known"},
	} {
		h := newHouse(t)
		d, _, err := h.store.Devices.Put(registry.Device{User: h.anna.id, Name: "iPhone", Transport: "apns", Address: apnsToken, Params: in(row.at),
			Content: registry.Wake, Status: registry.Status{State: row.is}}, "", time.Now())
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

func TestATestPushProvesNothingOfWhatTheDeviceIsMeanwhile(t *testing.T) {
	t.Parallel()
	down := registry.Outcome{Result: registry.ResultRetry, Code: "fcm_unavailable", Reason: "FCM is down."}
	for name, meanwhile := range map[string]func(h *house, at string){
		"another address": func(h *house, at string) { h.call(h.anna.full, "PATCH", at, object{"token": "new-" + marker}, 200) },
		"another's":       func(h *house, _ string) { h.call(h.ben.full, "POST", "/devices", fcmDevice(), 200) },
		"gone":            func(h *house, at string) { h.call(h.anna.full, "DELETE", at, nil, 204) },
	} {
		h := newHouse(t)
		h.set(func() { h.outcome = down })
		at := "/devices/" + h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201).id()
		h.set(func() {
			h.outcome = registry.Outcome{Result: registry.ResultDelivered}
			h.during = func(registry.Device) {
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
			if d.Status.State != registry.Unproven {
				t.Errorf("%s: it is %s", name, d.Status.State)
			}
		}
		if (len(list) == 0) != (name == "gone") {
			t.Errorf("%s: there are %d devices", name, len(list))
		}
	}
}

func TestADeviceRingsForAccountsThatItsUserSees(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
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

func TestADeviceShowsThePauseOfItsLane(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	account := h.call(h.anna.full, "POST", "/accounts", mailbox(), 201).id()
	a := h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201)
	h.call(h.anna.full, "POST", "/devices", browser(), 201)
	now := time.Now()
	_, err := h.store.Mail.Record(registry.Arrival{Account: account, Folder: "INBOX", To: registry.Cursor{UIDValidity: 1, Next: 2}, Mails: []registry.Message{{UID: 1}}, At: now})
	fatal(t, err)
	work, _, err := h.store.Outbox.Next(a.id(), now)
	fatal(t, err)
	_, err = h.store.Outbox.Settle(work, registry.Outcome{Result: registry.ResultMisconfigured, PauseFor: time.Minute, Code: "fcm_denied", Reason: "FCM refuses this server's key."}, now)
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

func TestATestPushTellsWhatTheServiceSaid(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	at := "/devices/" + h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201).id()
	if a := h.call(h.anna.device, "POST", at+"/test", nil, 200); a.body["result"] != "delivered" || len(a.body) != 1 || h.tested != 1 || h.proved != 1 {
		t.Errorf("it says %s", a.raw)
	}
	for _, o := range []registry.Outcome{
		{Result: registry.ResultGone, Code: "fcm_unregistered", Reason: "The app was removed."},
		{Result: registry.ResultRetry, Code: "fcm_unavailable", Reason: "FCM is down."},
		{Result: registry.ResultMisconfigured, Code: "fcm_denied", Reason: "FCM refuses this server's key."},
	} {
		h.set(func() { h.outcome = o })
		a := h.call(h.anna.full, "POST", at+"/test", nil, 200)
		if a.body["result"] != string(o.Result) || a.body["code"] != o.Code || a.body["reason"] != o.Reason {
			t.Errorf("it says %s", a.raw)
		}
	}
}

func TestTheAdminTokenSeesDevicesOfAll(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
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
