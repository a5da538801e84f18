package push

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/ring"
)

func TestQuietNight(t *testing.T) {
	t.Parallel()
	t.Run("one summary in the morning counts what came and was not read, and who matters rings at night", quietNight)
	t.Run("a change of what is wished counts at once", quietChanged)
	t.Run("a mute or a rule that is taken back in the night costs no mail", quietTakenBack)
	t.Run("mail of who matters from now on rings at once, however much was held", quietPromoted)
	t.Run("quiet hours hold what needs attention, unless it is to come through", quietAttention)
	t.Run("one mail alone rings as itself in the morning", quietAlone)
	t.Run("a summary of the evening is counted in that of the morning", quietSummary)
	t.Run("what is held for three days ends, and says what held it", quietForDays)
	t.Run("a mail without words is decided again once it has them", quietFilledIn)
	t.Run("much mail that is silent makes a silent summary", silentSummary)
	t.Run("silence of quiet hours ends with them, and that of a rule does not", silencePasses)
}

// everyNight are quiet hours from 22:00 to 7:00 in Berlin.
var everyNight = ring.Quiet{Zone: "Europe/Berlin", Mode: ring.QuietHold, People: true,
	Hours: []ring.Hours{{Days: []time.Weekday{0, 1, 2, 3, 4, 5, 6}, From: 22 * 60, To: 7 * 60}}}

// inQuietNight calls play in a bubble, at 23:00 in quiet hours of a phone whose dispatcher runs.
func inQuietNight(t *testing.T, play func(h *harness, phone idlepush.Device)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.hush(phone, everyNight)
		h.run()
		untilClock(t, "2000-01-01 23:00")
		play(h, phone)
	})
}

// wish changes what the owner wishes of the account.
func (h *harness) wish(change func(*ring.Wishes)) {
	h.Helper()
	w, err := h.store.Accounts.Wishes(h.owner, h.account.ID)
	if err != nil {
		h.Fatal(err)
	}
	change(&w)
	if _, err := h.store.Accounts.SetWishes(h.owner, h.account.ID, w, h.clock.Now()); err != nil {
		h.Fatal(err)
	}
}

// hush sets the quiet hours of a device.
func (h *harness) hush(d idlepush.Device, q ring.Quiet) {
	h.Helper()
	w, err := h.store.Devices.Wishes(d.ID)
	if err != nil {
		h.Fatal(err)
	}
	w.Quiet = q
	if _, err := h.store.Devices.SetWishes(d.ID, w, h.clock.Now()); err != nil {
		h.Fatal(err)
	}
}

// mailFrom records a new mail of the sender, and returns its id.
func (h *harness) mailFrom(sender string) string {
	h.Helper()
	return h.mailWith(registry.Message{Content: idlepush.Content{From: sender, Subject: "planted subject"}, Facts: ring.Facts{From: sender, Subject: "planted subject"}})
}

func (h *harness) mailWith(m registry.Message) string {
	h.Helper()
	from, err := h.store.Mail.Cursor(h.account.ID, "INBOX")
	if err != nil {
		h.Fatal(err)
	}
	m.UID = h.uid
	h.uid++
	if _, err := h.store.Mail.Record(registry.Arrival{Account: h.account.ID, Folder: "INBOX", From: from, To: registry.Cursor{UIDValidity: 1, Next: h.uid},
		Mails: []registry.Message{m}, At: h.clock.Now()}); err != nil {
		h.Fatal(err)
	}
	return registry.StableID(h.account.ID, "INBOX", 1, m.UID)
}

// read has the mail of that UID be read elsewhere.
func (h *harness) read(uid uint32) {
	h.Helper()
	if _, err := h.store.Mail.Clear(h.account.ID, "INBOX", 1, []uint32{uid}, h.clock.Now()); err != nil {
		h.Fatal(err)
	}
}

// untilClock lets time pass until a clock in Berlin shows that.
func untilClock(t testing.TB, clock string) {
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", clock, berlin)
	if err != nil {
		t.Fatal(err)
	}
	after(time.Until(at))
}

// rangAt returns what was sent to the device and when, by a clock in Berlin, with what it counts.
func (h *harness) rangAt(d idlepush.Device) (list []string) {
	h.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		h.Fatal(err)
	}
	for _, p := range h.sends() {
		if p.device.ID != d.ID || p.outcome != registry.ResultDelivered || p.message.Kind == idlepush.KindClear {
			continue
		}
		n, err := h.store.History.Get(h.owner, p.message.ID, h.clock.Now())
		if err != nil {
			h.Fatal(err)
		}
		text := fmt.Sprint(p.at.In(berlin).Format("02 15:04"), " ", p.message.Kind)
		if n.Count > 0 {
			text += fmt.Sprint(" of ", n.Count)
		} else if n.Facts.From != "" {
			text += " " + n.Facts.From
		}
		list = append(list, text)
	}
	return list
}

func (h *harness) wantRang(d idlepush.Device, want ...string) {
	h.Helper()
	if got := h.rangAt(d); !slices.Equal(got, want) {
		h.Errorf("%s rang %q, want %q", d.Name, got, want)
	}
}

func quietNight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.limit = 5
		phone, other := h.phone("phone"), h.phone("other")
		h.hush(phone, everyNight)
		h.wish(func(w *ring.Wishes) { w.People = []string{"vip@example.org"} })
		stop := h.run()
		untilClock(t, "2000-01-01 22:30")
		senders := []string{"carl@example.org", "dora@example.org", "news@example.org", "eve@example.org"}
		var ids, news []string
		for i := range 40 {
			switch i {
			case 20:
				h.mailFrom("vip@example.org")
			case 25: // 3:20
				h.wish(func(w *ring.Wishes) {
					w.Rules = []ring.Rule{{If: ring.Match{From: []string{"news@example.org"}}, Then: ring.Action{Ring: ring.VolumeNot}}}
				})
			case 30:
				stop()
				h.reopen()
				h.run()
			}
			id := h.mailFrom(senders[i%4])
			if i%4 == 2 {
				news = append(news, id)
			} else {
				ids = append(ids, id)
			}
			if i%8 == 7 { // the fourth of four, of eve
				synctest.Wait() // the other phone shows it first
				h.read(h.uid - 1)
			}
			after(10 * time.Minute)
		}
		h.wantRang(phone, "02 01:50 mail vip@example.org")
		if d := h.delivery(ids[0], phone).Decision; d.Verdict != ring.Held || d.Code != codeQuiet || d.Params["until"] != "07:00" || !h.delivery(ids[0], phone).HeldUntil.Equal(d.Until) {
			t.Errorf("before the morning it stands as %+v", d)
		}
		untilClock(t, "2000-01-02 12:00")
		h.wantState(news, phone, idlepush.DeliverySkipped)
		if d := h.delivery(news[0], phone).Decision; d.Verdict != ring.Not || d.Code != codeRule || d.Params["rule"] != "1" {
			t.Errorf("a newsletter stands as %+v", d)
		}
		h.wantRang(phone, "02 01:50 mail vip@example.org", "02 07:00 summary of 25")
		states := make(map[idlepush.DeliveryState]int)
		for _, id := range ids {
			states[h.delivery(id, phone).State]++
		}
		if states[idlepush.DeliveryCombined] != 25 || states[idlepush.DeliveryCleared] != 5 {
			t.Errorf("they stand as %v", states)
		}
		// Without newsletters from the change on.
		if n := len(h.rangAt(other)); n != 1+40-4 {
			t.Errorf("the other phone rang %d times", n)
		}
	})
}

func quietChanged(t *testing.T) {
	inQuietNight(t, func(h *harness, phone idlepush.Device) {
		for _, sender := range []string{"a@example.org", "b@example.org", "c@example.org", "d@example.org", "e@example.org"} {
			h.mailFrom(sender)
		}
		after(time.Hour)
		h.wish(func(w *ring.Wishes) { w.People = []string{"c@example.org"} })
		after(time.Hour)
		if _, err := h.store.Accounts.Mute(h.owner, h.account.ID, ring.Mute{Of: ring.MuteSender, Sender: "a@example.org"}, time.Now()); err != nil {
			h.Fatal(err)
		}
		after(time.Hour)
		longer := everyNight
		longer.Hours = []ring.Hours{{Days: longer.Hours[0].Days, From: 22 * 60, To: 9 * 60}}
		h.hush(phone, longer)
		untilClock(h, "2000-01-02 08:00")
		h.wantRang(phone, "02 00:00 mail c@example.org")
		h.hush(phone, ring.Quiet{})
		after(time.Second)
		h.wantRang(phone, "02 00:00 mail c@example.org", "02 08:00 summary of 3")
	})
}

func quietTakenBack(t *testing.T) {
	inQuietNight(t, func(h *harness, phone idlepush.Device) {
		for range 2 {
			h.mailFrom("tom@example.org")
		}
		after(time.Minute)
		m, err := h.store.Accounts.Mute(h.owner, h.account.ID, ring.Mute{Of: ring.MuteMailbox}, h.clock.Now())
		if err != nil {
			h.Fatal(err)
		}
		after(3 * time.Second)
		if err := h.store.Accounts.Unmute(h.owner, h.account.ID, m.ID, h.clock.Now()); err != nil {
			h.Fatal(err)
		}
		after(time.Minute)
		h.wish(func(w *ring.Wishes) { w.Otherwise.Ring = ring.VolumeNot })
		after(time.Minute)
		h.wish(func(w *ring.Wishes) { w.Otherwise.Ring = "" })
		untilClock(h, "2000-01-02 08:00")
		if got := h.rangAt(phone); len(got) != 1 || !strings.HasSuffix(got[0], "summary of 2") {
			h.Errorf("it rang %q", got)
		}
	})
}

func quietPromoted(t *testing.T) {
	inQuietNight(t, func(h *harness, phone idlepush.Device) {
		for _, sender := range []string{"a@example.org", "vip@example.org", "vip@example.org", "b@example.org"} {
			h.mailFrom(sender)
		}
		after(time.Hour)
		h.wish(func(w *ring.Wishes) { w.People = []string{"vip@example.org"} })
		untilClock(h, "2000-01-02 12:00")
		h.wantRang(phone, "02 00:00 mail vip@example.org", "02 00:00 mail vip@example.org", "02 07:00 summary of 2")
	})
}

func quietAttention(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		quiet, through := h.phone("quiet"), h.phone("through")
		h.hush(quiet, everyNight)
		open := everyNight
		open.Attention = true
		h.hush(through, open)
		h.run()
		untilClock(t, "2000-01-01 23:00")
		if err := h.store.Mail.SetState(h.account, idlepush.Status{State: idlepush.StateAttention, Since: time.Now(), Reason: idlepush.Reason{Code: "gone"}}); err != nil {
			t.Fatal(err)
		}
		h.mailFrom("a@example.org") // behind it
		untilClock(t, "2000-01-02 12:00")
		h.wantRang(through, "01 23:00 attention", "02 07:00 mail a@example.org")
		h.wantRang(quiet, "02 07:00 attention", "02 07:00 mail a@example.org")
	})
}

func quietAlone(t *testing.T) {
	inQuietNight(t, func(h *harness, phone idlepush.Device) {
		id := h.mailFrom("a@example.org")
		untilClock(h, "2000-01-02 12:00")
		h.wantRang(phone, "02 07:00 mail a@example.org")
		if d := h.delivery(id, phone); d.State != idlepush.DeliveryDelivered || d.Decision.Code != "" {
			h.Errorf("it stands as %+v", d)
		}
	})
}

func quietSummary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.limit = 2
		phone := h.phone("phone")
		h.hush(phone, everyNight)
		h.run()
		untilClock(t, "2000-01-01 21:59")
		after(30 * time.Second)
		h.mail(6) // of which 4 are held until 22:00:30
		after(time.Hour)
		h.mail(3)
		untilClock(t, "2000-01-02 12:00")
		h.wantRang(phone, "01 21:59 mail", "01 21:59 mail", "02 07:00 summary of 7")
	})
}

func quietForDays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		always := everyNight
		always.Hours = []ring.Hours{{Days: always.Hours[0].Days, From: 0, To: 0}}
		h.hush(phone, always)
		h.run()
		id := h.mailFrom("a@example.org")
		after(2 * 24 * time.Hour)
		if d := h.delivery(id, phone); d.State != idlepush.DeliveryPending || d.Decision.Code != codeQuiet {
			t.Errorf("after two days it stands as %+v", d)
		}
		after(2 * 24 * time.Hour)
		if d := h.delivery(id, phone); d.State != idlepush.DeliveryExpired || d.Decision.Code != codeQuiet {
			t.Errorf("after four days it stands as %+v", d)
		}
		h.wantRang(phone)
	})
}

func quietFilledIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.hush(phone, everyNight)
		h.wish(func(w *ring.Wishes) { w.People = []string{"vip@example.org"} })
		h.run()
		untilClock(t, "2000-01-01 23:00")
		for range 2 {
			h.mailWith(registry.Message{Wordless: true})
		}
		after(time.Hour)
		for i, sender := range []string{"vip@example.org", "a@example.org"} {
			msg := registry.Message{UID: uint32(i + 1), Content: idlepush.Content{From: sender}, Facts: ring.Facts{From: sender}}
			if _, err := h.store.Mail.FillIn(h.account.ID, "INBOX", 1, msg, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		untilClock(t, "2000-01-02 12:00")
		h.wantRang(phone, "02 00:00 mail vip@example.org", "02 07:00 mail a@example.org")
	})
}
