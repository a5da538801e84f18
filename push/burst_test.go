package push

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
)

func TestLimit(t *testing.T) {
	t.Run("it allows a push again when the first of its pushes is old enough", limitOpens)
	t.Run("mail has burst-limit, and clears have the limit of the service", limitKinds)
}

func limitOpens(t *testing.T) {
	at := func(seconds ...int) (list []time.Time) {
		for _, s := range seconds {
			list = append(list, dawn.Add(time.Duration(s)*time.Second))
		}
		return list
	}
	for _, c := range []struct {
		name string
		b    Limit
		rang []time.Time
		now  int // seconds
		want int // seconds; 0: at once
	}{
		{"nothing rang", Limit{5, time.Minute}, nil, 10, 0},
		{"less than the limit", Limit{5, time.Minute}, at(0, 1, 2, 3), 10, 0},
		{"the limit", Limit{5, time.Minute}, at(0, 1, 2, 3, 4), 10, 60},
		{"just before the end", Limit{5, time.Minute}, at(0, 1, 2, 3, 4), 59, 60},
		{"at the end", Limit{5, time.Minute}, at(0, 1, 2, 3, 4), 60, 0},
		{"one rang since", Limit{5, time.Minute}, at(0, 1, 2, 3, 4, 60), 60, 61},
		{"more is remembered than the limit has now", Limit{2, time.Minute}, at(0, 1, 2, 3, 4), 10, 63},
		{"a limit of one", Limit{1, time.Minute}, at(0), 10, 60},
		{"no limit", Limit{}, at(0, 1, 2, 3, 4, 5, 6, 7), 10, 0},
		{"times of a clock that was fast", Limit{2, time.Minute}, at(0, 1, 500, 600), 10, 60},
		{"such times before others", Limit{3, time.Minute}, at(500, 600, 1), 10, 0},
		{"such times before the limit", Limit{3, time.Minute}, at(500, 600, 1, 2, 3), 10, 61},
		{"only such times", Limit{2, time.Minute}, at(500, 600), 10, 0},
		{"a background push", Limit{3, time.Hour}, at(0, 600, 1200), 1300, 3600},
	} {
		var want time.Time
		if c.want > 0 {
			want = dawn.Add(time.Duration(c.want) * time.Second)
		}
		if got := c.b.opens(c.rang, dawn.Add(time.Duration(c.now)*time.Second)); !got.Equal(want) {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
}

func limitKinds(t *testing.T) {
	apple := Traits{Name: "apns", Limits: map[idlepush.Kind]Limit{idlepush.KindClear: {3, time.Hour}}}
	d := &Dispatcher{BurstLimit: 5, Transports: Transports{stub{nil, Traits{Name: "fcm"}}, stub{nil, apple}}}
	for _, c := range []struct {
		kind idlepush.Kind
		t    idlepush.Transport
		want Limit
	}{
		{idlepush.KindMail, "fcm", Limit{5, time.Minute}},
		{idlepush.KindSummary, "webpush", Limit{5, time.Minute}},
		{idlepush.KindClear, "apns", Limit{3, time.Hour}},
		{idlepush.KindClear, "fcm", Limit{}},
		{idlepush.KindClear, "unifiedpush", Limit{}},
		{idlepush.KindAttention, "fcm", Limit{}},
		{idlepush.KindTest, "apns", Limit{}},
	} {
		if got := d.limit(registry.Work{Notification: idlepush.Notification{Kind: c.kind}, Device: idlepush.Device{Transport: c.t}}); got != c.want {
			t.Errorf("%s on %s: %v, want %v", c.kind, c.t, got, c.want)
		}
	}
}

// rung returns the accepted messages of the device, each as its kind and count, with the time since
// the test began.
func (h *harness) rung(d idlepush.Device, begin time.Time) (list []string) {
	for _, p := range h.sends() {
		if p.device.ID == d.ID && p.outcome == registry.ResultDelivered {
			n, err := h.store.History.Get(h.owner, p.message.ID, time.Now())
			if err != nil {
				h.Fatal(err)
			}
			text := fmt.Sprint(p.at.Sub(begin), " ", p.message.Kind)
			if n.Count > 0 {
				text += fmt.Sprint(" of ", n.Count)
			}
			list = append(list, text)
		}
	}
	return list
}

func TestBurst(t *testing.T) {
	t.Parallel()
	t.Run("beyond the limit one summary with the true count rings when the minute ends", burstSummary)
	t.Run("an account at its limit delays no other account and no other phone", burstOthers)
	t.Run("a steady stream rings no more often than the limit, and all of it is counted", burstStream)
	t.Run("without a limit each mail rings", burstUnlimited)
	t.Run("a summary that fails is sent again under its own id", burstFailed)
	t.Run("an iPhone gets three clears an hour, then one for all the others", burstClears)
}

func burstSummary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.limit = 5
		phone := h.phone("phone")
		h.run()
		begin := time.Now()
		ids := h.mail(10)
		after(20 * time.Second)
		ids = append(ids, h.mail(7)...)
		synctest.Wait()
		for i, id := range ids {
			held := i >= 5
			if until := h.delivery(id, phone).HeldUntil; held != until.Equal(begin.Add(time.Minute)) || !held && !until.IsZero() {
				t.Errorf("mail %d is held until %v", i, until)
			}
		}
		after(10 * time.Minute)
		want := []string{"0s mail", "0s mail", "0s mail", "0s mail", "0s mail", "1m0s summary of 12"}
		if got := h.rung(phone, begin); !slices.Equal(got, want) {
			t.Errorf("it rang %q, want %q", got, want)
		}
		h.wantState(ids[:5], phone, idlepush.DeliveryDelivered)
		h.wantState(ids[5:], phone, idlepush.DeliveryCombined)
	})
}

func burstOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.limit = 2
		phone := h.phone("phone")
		h.run()
		begin := time.Now()
		h.mail(4)
		after(time.Second)
		h.addAccount("club")
		other := h.phone("other")
		h.mail(1)
		after(time.Second)
		if got, want := h.rung(phone, begin), []string{"0s mail", "0s mail", "1s mail"}; !slices.Equal(got, want) {
			t.Errorf("it rang %q, want %q", got, want)
		}
		if got, want := h.rung(other, begin), []string{"1s mail"}; !slices.Equal(got, want) {
			t.Errorf("the other rang %q, want %q", got, want)
		}
		after(time.Hour)
		if got, want := h.rung(phone, begin)[3:], []string{"1m0s summary of 2"}; !slices.Equal(got, want) {
			t.Errorf("then it rang %q, want %q", got, want)
		}
	})
}

func burstStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.limit = 3
		phone := h.phone("phone")
		h.run()
		begin := time.Now()
		const mails = 600
		for range mails {
			h.mail(1)
			after(time.Second)
		}
		after(5 * time.Minute)
		total := 0
		var times []time.Time
		for _, p := range h.sends() {
			n, err := h.store.History.Get(h.owner, p.message.ID, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			total += max(1, n.Count)
			times = append(times, p.at)
		}
		if total != mails {
			t.Errorf("%d mails rang or were counted, of %d", total, mails)
		}
		for i := 3; i < len(times); i++ {
			if times[i].Sub(times[i-3]) < time.Minute {
				t.Errorf("ring %d and the three before it came within %v", i, times[i].Sub(times[i-3]))
			}
		}
		if len(times) < 30 {
			t.Errorf("it rang %d times in ten minutes: %q", len(times), h.rung(phone, begin))
		}
	})
}

func burstUnlimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.run()
		ids := h.mail(200)
		after(time.Second)
		if got := h.received(phone); !slices.Equal(got, ids) {
			t.Errorf("%d of %d rang within a second", len(got), len(ids))
		}
	})
}

func burstFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.limit = 1
		phone := h.phone("phone")
		h.run()
		h.mail(1)
		after(time.Second)
		h.answers(until(time.Now().Add(10*time.Minute), retry))
		h.mail(5)
		after(3 * time.Minute)
		h.mail(2)
		after(time.Hour)
		sums := make(map[string]int)
		for _, p := range h.sends() {
			if p.message.Kind == idlepush.KindSummary {
				n, err := h.store.History.Get(h.owner, p.message.ID, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				sums[p.message.ID] = n.Count
			}
		}
		total := 0
		for _, n := range sums {
			total += n
		}
		if len(sums) == 0 || total+len(h.received(phone))-len(sums) != 8 {
			t.Errorf("the summaries count %v, %d pushes were accepted", sums, len(h.received(phone)))
		}
	})
}

func burstClears(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		iphone := h.register(idlepush.Device{Name: "iphone", Transport: "apns", Address: "planted token", Params: map[string]string{"environment": "production"}, Content: idlepush.LevelSubject})
		h.run()
		h.mail(10)
		after(time.Second)
		begin := time.Now()
		for uid := range uint32(10) {
			if _, err := h.store.Mail.Clear(h.account.ID, "INBOX", 1, []uint32{uid + 1}, time.Now()); err != nil {
				t.Fatal(err)
			}
			after(time.Minute)
		}
		after(2 * time.Hour)
		got := h.rung(iphone, begin)[10:]
		if want := []string{"0s clear", "1m0s clear", "2m0s clear", "1h0m0s clear"}; !slices.Equal(got, want) {
			t.Errorf("it was woken %q, want %q", got, want)
		}
		sends := h.sends()
		if n, err := h.store.History.Get(h.owner, sends[len(sends)-1].message.ID, time.Now()); err == nil && len(n.Clear) != 7 {
			t.Errorf("the last takes away %d, want 7", len(n.Clear))
		}
	})
}
