package web

import (
	"testing"
	"time"

	"idlepush"
	"idlepush/promise"
)

func TestState(t *testing.T) {
	t.Parallel()
	t.Run("each sees what is broken of their own, and admins how much else is", stateOfEach)
	t.Run("it counts the mailboxes that are watched and the devices that ring", stateCounts)
}

func stateOfEach(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	since := time.Date(2026, 11, 30, 11, 0, 0, 0, time.UTC)
	broken := func(code idlepush.Reason, users ...string) promise.Broken {
		return promise.Broken{Reason: code, Since: since, Account: "an-account", Users: users}
	}
	refused := idlepush.Reason{Code: "mailbox_down"}.With("account", "ben@example.org").With("cause", "login_refused")
	for name, c := range map[string]struct {
		broken                []promise.Broken
		anna, ben, all        int // how many are broken for them, and for the admin token
		annaOthers, allOthers int
	}{
		"all is well":                 {},
		"of one person":               {[]promise.Broken{broken(refused, h.ben.id)}, 0, 1, 0, 1, 1},
		"of an admin":                 {[]promise.Broken{broken(refused, h.anna.id)}, 1, 0, 0, 0, 1},
		"of both":                     {[]promise.Broken{broken(refused, h.anna.id, h.ben.id)}, 1, 1, 0, 0, 1},
		"of all":                      {[]promise.Broken{broken(idlepush.Reason{Code: "store_down"})}, 1, 1, 1, 0, 0},
		"of all admins":               {[]promise.Broken{{Reason: idlepush.Reason{Code: "disk_low"}, Since: since, AdminsOnly: true}}, 1, 0, 1, 0, 0},
		"several, of both and of one": {[]promise.Broken{broken(refused, h.anna.id, h.ben.id), broken(refused, h.ben.id)}, 1, 2, 0, 1, 2},
	} {
		h.set(func() { h.broken = c.broken })
		for _, who := range []struct {
			token          string
			broken, others int
		}{{h.anna.full, c.anna, c.annaOthers}, {h.ben.full, c.ben, 0}, {adminToken, c.all, c.allOthers}} {
			got := h.call(who.token, "GET", "/state", nil, 200).body
			others, _ := got["others"].(float64)
			if list := got["broken"].([]any); len(list) != who.broken || got["well"] != (who.broken == 0) || int(others) != who.others {
				t.Errorf("%s: it says %v, want %d broken, and %d of others", name, got, who.broken, who.others)
			}
		}
	}
	h.set(func() { h.broken = []promise.Broken{broken(refused, h.ben.id)} })
	one := h.call(h.ben.full, "GET", "/state", nil, 200).body["broken"].([]any)[0].(map[string]any)
	if one["code"] != "mailbox_down" || one["reason"] != "ben@example.org: new mail does not ring: The server refuses the password. Enter it again." ||
		one["since"] != "2026-11-30T11:00:00Z" || one["account"] != "an-account" {
		t.Errorf("it says %v", one)
	}
}

func stateCounts(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.call(h.anna.full, "POST", "/accounts", mailbox(), 201)
	h.call(h.anna.full, "POST", "/accounts", mailbox().with("username", "paused").with("enabled", false), 201)
	h.call(h.ben.full, "POST", "/accounts", mailbox().with("username", "ben"), 201)
	h.call(h.anna.full, "POST", "/devices", fcmDevice(), 201)
	got := h.call(h.anna.full, "GET", "/state", nil, 200).body
	if got["mailboxes"] != 1.0 || got["devices"] != 1.0 || got["heard"] != "2026-01-02T03:04:05Z" || got["well"] != true {
		t.Errorf("it says %v, want a mailbox that was heard from when its session was, and a device", got)
	}
	if got := h.call(adminToken, "GET", "/state", nil, 200).body; got["mailboxes"] != 2.0 || got["devices"] != 1.0 {
		t.Errorf("the admin token sees %v, want the counts of all", got)
	}
}
