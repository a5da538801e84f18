package web

import (
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
)

func TestNotice(t *testing.T) {
	t.Parallel()
	t.Run("whose last device is gone is told with the next request about themselves", noticeShown)
	t.Run("a notice ends when it is dismissed", noticeDismissed)
	t.Run("one of a lost device also ends when a device is registered", noticeOfLostEnds)
}

// loseDevice lets the push service of Ben's only device say that it is gone. It returns since when.
func (h *testServer) loseDevice() time.Time {
	h.t.Helper()
	phone := h.call(h.ben.full, "POST", "/devices", fcmDevice(), 201).id()
	account, _, err := h.store.Accounts.Add(idlepush.Account{Owner: h.ben.id, Email: "ben@example.net", Host: "imap.example.net", Port: 993,
		Security: idlepush.SecurityTLS, Username: phone, Password: password, Folders: []string{"INBOX"}, Enabled: true}, "", time.Now())
	fatal(h.t, err)
	now := time.Now()
	_, err = h.store.Mail.Record(registry.Arrival{Account: account.ID, Folder: "INBOX", To: registry.Cursor{UIDValidity: 1, Next: 2}, Mails: []registry.Message{{UID: 1}}, At: now})
	fatal(h.t, err)
	work, ok, err := h.store.Outbox.Next(phone, now)
	if err != nil || !ok {
		h.t.Fatal(ok, err)
	}
	_, err = h.store.Outbox.Settle(work, registry.Outcome{Result: registry.ResultGone, Reason: idlepush.Reason{Code: "fcm_unregistered"}}, now)
	fatal(h.t, err)
	return now
}

func (h *testServer) notice(token string) map[string]any {
	h.t.Helper()
	n, _ := h.call(token, "GET", "/me", nil, 200).body["notice"].(map[string]any)
	return n
}

func (h *testServer) dismiss(token string, since any) {
	h.t.Helper()
	h.call(token, "DELETE", "/me/notice?since="+since.(string), nil, 204)
}

func noticeShown(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	if n := h.notice(h.ben.full); n != nil {
		t.Errorf("before, the notice is %v", n)
	}
	since := h.loseDevice()
	n := h.notice(h.ben.full)
	params, _ := n["params"].(map[string]any)
	if n["code"] != "device_gone" || params["device"] != "Phone" || params["cause"] != "fcm_unregistered" ||
		n["since"] != since.UTC().Format(time.RFC3339Nano) || n["reason"] != "Phone gets no more notifications: The app was removed." {
		t.Errorf("the notice is %v", n)
	}
	if n := h.notice(h.anna.full); n != nil {
		t.Errorf("another user is told %v", n)
	}
	if a := h.call(h.anna.full, "GET", "/users", nil, 200); strings.Contains(a.raw, "notice") || strings.Contains(a.raw, "Phone") {
		t.Errorf("the admin sees it: %s", a.raw)
	}
}

func noticeDismissed(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	h.loseDevice()
	before := h.notice(h.ben.full)
	h.call(adminToken, "POST", "/devices", fcmDevice().with("user", h.ben.id), 201)
	h.dismiss(h.anna.full, before["since"])
	h.call(h.ben.device, "POST", "/devices", browser(), 201)
	h.call(h.ben.full, "POST", "/devices", apnsDevice(), 201)
	if n := h.notice(h.ben.full); n["code"] != "device_by_admin" {
		t.Errorf("what others do, or a device that is registered, ends it: %v", n)
	}
	h.dismiss(h.ben.full, before["since"])
	if n := h.notice(h.ben.full); n["code"] != "device_by_admin" {
		t.Errorf("after another was dismissed it is %v", n)
	}
	h.call(h.ben.full, "DELETE", "/me/notice", nil, 422).wantFields(t, "since")
	h.call(h.ben.full, "DELETE", "/me/notice?since=today", nil, 422).wantFields(t, "since")
	since := h.notice(h.ben.full)["since"]
	h.dismiss(h.ben.full, since)
	if n := h.notice(h.ben.full); n != nil {
		t.Errorf("after it was dismissed it is %v", n)
	}
	h.dismiss(h.ben.full, since) // there is none any more
}

func noticeOfLostEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(h *testServer){
		"it is dismissed":                func(h *testServer) { h.dismiss(h.ben.full, h.notice(h.ben.full)["since"]) },
		"a device is registered":         func(h *testServer) { h.call(h.ben.full, "POST", "/devices", browser(), 201) },
		"a device is registered by apps": func(h *testServer) { h.call(h.ben.device, "POST", "/devices", browser(), 201) },
	} {
		h := newTestServer(t)
		h.loseDevice()
		h.dismiss(h.anna.full, h.notice(h.ben.full)["since"])
		h.call(h.anna.full, "POST", "/devices", apnsDevice(), 201)
		if h.notice(h.ben.full) == nil {
			t.Fatal("what another user does ends it")
		}
		end(h)
		if n := h.notice(h.ben.full); n != nil {
			t.Errorf("%s: the notice is %v", name, n)
		}
	}
}
