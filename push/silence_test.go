package push

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/receipt"
	"idlepush/registry"
	"idlepush/ring"
)

func silentSummary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.limit = 2
		phone := h.phone("phone")
		h.wish(func(w *ring.Wishes) {
			w.Rules = []ring.Rule{{If: ring.Match{From: []string{"list@example.org"}}, Then: ring.Action{Ring: ring.VolumeSilent}}}
		})
		h.run()
		for range 5 {
			h.mailFrom("list@example.org")
		}
		after(time.Hour)
		var last string
		for _, p := range h.sends() {
			last = p.message.ID
		}
		if d := h.delivery(last, phone); d.Decision.Verdict != ring.Silent || d.Decision.Code != codeSilent {
			t.Errorf("the summary stands as %+v", d)
		}
		for range 4 {
			h.mailFrom("list@example.org")
		}
		h.mailFrom("ann@example.org")
		after(time.Hour)
		sends := h.sends()
		if d := h.delivery(sends[len(sends)-1].message.ID, phone); d.Decision.Code != "" {
			t.Errorf("a summary with mail that rings stands as %+v", d)
		}
	})
}

// The service is out from the first minute of a silent night to the morning.
func silencePasses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rule   ring.Volume
		silent bool
	}{"quiet hours": {"", false}, "a rule": {ring.VolumeSilent, true}} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t)
			h.limit = 2
			phone := h.phone("phone")
			hushed := everyNight
			hushed.Mode = ring.QuietSilent
			h.hush(phone, hushed)
			h.wish(func(w *ring.Wishes) { w.Otherwise.Ring = c.rule })
			h.run()
			untilClock(t, "2000-01-01 23:00")
			h.mail(5)
			synctest.Wait()
			h.answers(func(context.Context, sent) registry.Outcome { return retry() })
			untilClock(t, "2000-01-02 08:00")
			h.answers(nil)
			after(time.Hour)
			last := h.sends()[len(h.sends())-1]
			if last.message.Kind != idlepush.KindSummary || last.outcome != registry.ResultDelivered || last.message.Silent != c.silent {
				t.Errorf("by %s: silent is %v of the last that was shown, a %s", name, last.message.Silent, last.message.Kind)
			}
		})
	}
}

// A phone that reported stops. What its user was told of that on another ends with the phone.
func TestOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		other, phone, cleared := h.phone("other"), h.phone("phone"), 0
		h.run()
		report := func() {
			now := h.clock.Now()
			err := h.store.Devices.Receive(h.store.Outbox.TestReceipt(phone.ID, now), receipt.Report{Shown: now, Now: now}, now)
			if err != nil {
				t.Fatal(err)
			}
		}
		report()
		for range 3 {
			h.mail(1)
			after(24 * time.Hour)
		}
		d, err := h.store.Devices.Get(phone.ID)
		if err == nil {
			err = h.store.Devices.Remove(d, "")
		}
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var shown []string
		for _, p := range h.sends() {
			switch m := p.message; {
			case p.device.ID != other.ID:
			case m.Kind == idlepush.KindAttention:
				shown = append(shown, m.ID)
			case m.Kind == idlepush.KindClear:
				shown = slices.DeleteFunc(shown, func(id string) bool { return slices.Contains(m.work.Notification.Clear, id) })
				cleared++
			}
		}
		if len(shown) > 0 || cleared == 0 {
			t.Errorf("the other shows %d still, after %d clears", len(shown), cleared)
		}
	})
}
