package web

import (
	"testing"
	"time"
)

// TestUnread: what the mailboxes say is unread is together what the badge says.
func TestUnread(t *testing.T) {
	t.Parallel()
	h := newTestServer(t)
	ids := furnish(h)
	club := h.call(h.anna.full, "POST", "/accounts", mailbox().with("username", "club"), 201).id()
	unknown := h.call(h.anna.full, "POST", "/accounts", mailbox().with("username", "new"), 201).id()
	fatal(t, h.store.Mail.SetUnread(ids["ACCOUNT"], 3))
	fatal(t, h.store.Mail.SetUnread(club, 40))
	shown := func(account string) any {
		t.Helper()
		return h.call(h.anna.full, "GET", "/accounts/"+account, nil, 200).body["status"].(map[string]any)["unread"]
	}
	badge := func(want int) {
		t.Helper()
		w, ok, err := h.store.Outbox.Next(ids["DEVICE"], time.Now())
		if err != nil || !ok || w.Unread == nil || *w.Unread != want {
			t.Errorf("the badge of %+v is not %d: %v, %v", w, want, ok, err)
		}
	}
	badge(43)
	if a, b, c := shown(ids["ACCOUNT"]), shown(club), shown(unknown); a != 3.0 || b != 40.0 || c != nil {
		t.Errorf("they say %v, %v and %v", a, b, c)
	}
	h.call(h.anna.full, "PATCH", "/accounts/"+club, object{"enabled": false}, 200)
	badge(3)
	if got := shown(club); got != nil {
		t.Errorf("what is not watched any more says %v", got)
	}
}
