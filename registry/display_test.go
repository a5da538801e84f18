package registry

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/ring"
)

func TestDisplay(t *testing.T) {
	t.Parallel()
	t.Run("a decision is outdated once what decided is changed or taken back, and not before", decisionOutdated)
	t.Run("what ends while it is held says for how long it waited", waitShown)
	t.Run("a summary names the mails that it counts, to those who see them", summaryMails)
	t.Run("a device says how much is held back for it, and until when", deviceHolds)
}

func decisionOutdated(t *testing.T) {
	t.Parallel()
	s, ann, a, d := onePhone(t)
	wish(t, s, ann, a, ring.Wishes{People: []string{"ben@example.org"}})
	if _, err := s.Devices.SetWishes(d.ID, someDeviceWishes, dawn); err != nil {
		t.Fatal(err)
	}
	mute := func(m ring.Mute) ring.Mute {
		m, err := s.Accounts.Mute(ann.ID, a.ID, m, dawn)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	forEver, night := mute(ring.Mute{Of: ring.MuteMailbox}), mute(ring.Mute{Of: ring.MuteSender, Sender: "x@example.org", Until: dawn.Add(time.Hour)})
	ids := arrive(t, s, a, 6, dawn)
	dispatch(t, s, d, dawn, bySubject(map[string]ring.Decision{
		"mail 1": {Verdict: ring.Not, Code: "rule", By: ring.Source{Rules: 1}},
		"mail 2": {Verdict: ring.Not, Code: "muted", By: ring.Source{Mute: forEver.ID}},
		"mail 3": {Verdict: ring.Not, Code: "muted", By: ring.Source{Mute: night.ID}, Until: night.Until},
		"mail 4": {Verdict: ring.Silent, Code: "quiet", By: ring.Source{Quiet: 1}},
		"mail 5": {Verdict: ring.Not, Code: "folder", By: ring.Source{Folders: 1}},
	}))
	want := func(after string, now time.Time, want ...int) {
		t.Helper()
		var got []int
		for i, id := range ids {
			if deliveryOf(t, s, ann, id, d, now).Outdated {
				got = append(got, i+1)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("after %s mails %v are outdated, want %v", after, got, want)
		}
	}
	setDevice := func(change func(*ring.DeviceWishes)) {
		t.Helper()
		w, err := s.Devices.Wishes(d.ID)
		if err == nil {
			change(&w)
			_, err = s.Devices.SetWishes(d.ID, w, dawn)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want("nothing", dawn)
	wish(t, s, ann, a, ring.Wishes{Name: "Work", People: []string{"ben@example.org"}})
	mute(ring.Mute{Of: ring.MuteSender, Sender: "y@example.org"})
	setDevice(func(*ring.DeviceWishes) {})
	want("another name, another mute and nothing else of the device", dawn)
	if err := s.Accounts.Unmute(ann.ID, a.ID, night.ID, dawn); err != nil {
		t.Fatal(err)
	}
	want("the end of the mute of a night", dawn, 3)
	want("that night", night.Until)
	setDevice(func(w *ring.DeviceWishes) { w.Quiet.People = !w.Quiet.People })
	want("other quiet hours", dawn, 3, 4)
	setDevice(func(w *ring.DeviceWishes) { w.Folders = nil })
	want("other folders", dawn, 3, 4, 5)
	wish(t, s, ann, a, ring.Wishes{Name: "Work"})
	want("other people", dawn, 1, 3, 4, 5)
	if err := s.Accounts.Unmute(ann.ID, a.ID, forEver.ID, dawn); err != nil {
		t.Fatal(err)
	}
	want("the end of a mute for ever", dawn, 1, 2, 3, 4, 5)
}

func waitShown(t *testing.T) {
	t.Parallel()
	s, ann, a, d := onePhone(t)
	ids := arrive(t, s, a, 3, dawn)
	end := dawn.Add(100 * time.Hour)
	held := heldUntil(end)
	held.Since = dawn
	wantSent(t, dispatch(t, s, d, dawn, decides(held)))
	clearMail(t, s, a, 1, 2)
	for i, want := range []*ring.Wait{{Code: "quiet", Since: dawn, Until: dawn.Add(72 * time.Hour)}, {Code: "quiet", Since: dawn, Until: dawn}} {
		if got := deliveryOf(t, s, ann, ids[i], d, dawn.Add(80*time.Hour)); !reflect.DeepEqual(got.Decision.Waited, want) {
			t.Errorf("mail %d is %s and has waited for %+v, want %+v", i+1, got.State, got.Decision.Waited, want)
		}
	}
	if got := deliveryOf(t, s, ann, ids[0], d, dawn.Add(2*time.Hour)); got.State != idlepush.DeliveryPending || got.Decision.Waited != nil {
		t.Errorf("while it waits it is %s and has waited for %+v", got.State, got.Decision.Waited)
	}
}

func summaryMails(t *testing.T) {
	t.Parallel()
	s, ann, a, d := onePhone(t)
	ben := someone(t, s, "ben")
	before := arrive(t, s, a, 1, dawn)
	a = share(t, s, a, ben)
	ids := arrive(t, s, a, 4, dawn)
	until := dawn.Add(time.Hour)
	by := map[string]ring.Decision{"mail 3": notAtAll}
	wantSent(t, dispatch(t, s, d, dawn, decides(heldUntil(until))))
	dispatch(t, s, d, until, bySubject(by))
	into := deliveryOf(t, s, ann, ids[0], d, until).Into
	for _, c := range []struct {
		who  idlepush.User
		want []string
	}{{ann, append([]string{ids[3], ids[2], ids[0]}, before...)}, {ben, []string{ids[3], ids[2], ids[0]}}} {
		n, err := s.History.Get(c.who.ID, into, until)
		if err != nil || !slices.Equal(n.Mails, c.want) || n.Count != 4 {
			t.Errorf("to %s it is a %s of %d, with %q, %v; want %q", c.who.Name, n.Kind, n.Count, n.Mails, err, c.want)
		}
	}
	if n, err := s.History.Get(ann.ID, ids[0], until); err != nil || n.Mails != nil {
		t.Errorf("a mail counts %q, %v", n.Mails, err)
	}
}

func deviceHolds(t *testing.T) {
	t.Parallel()
	s, ann, a, d := onePhone(t)
	b := mailbox(t, s, ann, "b@example.org")
	want := func(now time.Time, want ring.Holds) {
		t.Helper()
		all, err := s.Devices.Holds([]string{"none", d.ID}, now)
		if err != nil || len(all) != 2 || all[0] != (ring.Holds{}) {
			t.Fatalf("no device and one hold %+v, %v", all, err)
		}
		if got := all[1]; got.Count != want.Count || got.Code != want.Code || !got.Until.Equal(want.Until) {
			t.Errorf("it holds %+v; want %+v", got, want)
		}
	}
	want(dawn, ring.Holds{})
	arrive(t, s, a, 3, dawn)
	want(dawn, ring.Holds{})
	noonish, later := dawn.Add(time.Hour), dawn.Add(2*time.Hour)
	burst := ring.Decision{Verdict: ring.Held, Until: noonish, Code: "burst"}
	wantSent(t, dispatch(t, s, d, dawn, decides(burst)))
	want(dawn, ring.Holds{Count: 3, Until: noonish, Code: "burst"})
	arrive(t, s, b, 2, dawn)
	wantSent(t, dispatch(t, s, d, dawn, decides(heldUntil(later))))
	want(dawn, ring.Holds{Count: 5, Until: later, Code: "quiet"})
	want(noonish, ring.Holds{Count: 2, Until: later, Code: "quiet"})
	// The three become a summary, which is held in turn.
	w := first(t, s, d, noonish)
	if n, err := s.Outbox.Combine(w, noonish, rings); err != nil || n != 3 {
		t.Fatal(n, err)
	}
	wantSent(t, dispatch(t, s, d, noonish, decides(heldUntil(later))))
	want(noonish, ring.Holds{Count: 5, Until: later, Code: "quiet"})
	want(later, ring.Holds{})
}
