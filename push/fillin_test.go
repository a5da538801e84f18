package push

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
)

func TestFillIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone, browser := h.phone("phone"), h.browser("browser", "https://push.example")
		wake := h.register(idlepush.Device{Name: "wake", Transport: "fcm", Address: "planted token wake", Content: idlepush.LevelWake})
		to := registry.Cursor{UIDValidity: 1, Next: 2}
		if _, err := h.store.Mail.Record(registry.Arrival{Account: h.account.ID, Folder: "INBOX", To: to, Mails: []registry.Message{{UID: 1, Wordless: true}}, At: h.clock.Now()}); err != nil {
			t.Fatal(err)
		}
		h.run()
		after(time.Minute)
		words := idlepush.Content{From: "planted sender", Subject: "planted subject", Preview: "planted preview"}
		if _, err := h.store.Mail.FillIn(h.account.ID, "INBOX", 1, registry.Message{UID: 1, Content: words}, h.clock.Now()); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		id := registry.StableID(h.account.ID, "INBOX", 1, 1)
		titles := make(map[string][]string)
		for _, s := range h.sends() {
			if titles[s.device.ID] = append(titles[s.device.ID], s.message.Title); s.message.ID != id {
				t.Errorf("%s is sent %s, want %s", s.device.Name, s.message.ID, id)
			}
		}
		for _, d := range []idlepush.Device{phone, browser, wake} {
			want := []string{"New mail", "planted sender"}
			if d.ID == wake.ID {
				want = want[:1]
			}
			if got := titles[d.ID]; !slices.Equal(got, want) {
				t.Errorf("%s is shown %q, want %q", d.Name, got, want)
			}
			h.wantState([]string{id}, d, idlepush.DeliveryDelivered)
		}
	})
}
