package registry

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"idlepush"
)

func TestClear(t *testing.T) {
	t.Parallel()
	t.Run("a mail read elsewhere is cancelled, or withdrawn if the phone may show it", clearReadElsewhere)
	t.Run("a mail read while its push is in flight is withdrawn afterwards", clearInFlight)
	t.Run("a mail that was ended for another reason is not withdrawn", clearOtherReason)
	t.Run("a cleared mail has its time and is no longer announced", clearedSince)
	t.Run("a mail that an earlier run may have sent is withdrawn", clearEarlierRun)
	t.Run("attention is withdrawn once the account is mended", attentionMended)
	t.Run("attention is withdrawn also after its activity was purged", attentionPurged)
	t.Run("new attention replaces the earlier one", attentionAnew)
	t.Run("the unread count goes with its account", unreadCount)
	t.Run("what was learned of a host is kept", hostKept)
	t.Run("more UIDs than the maximum are an error", clearTooMany)
}

// states are how the notification stands on each device, in the order of the devices.
func states(t *testing.T, s *Store, user idlepush.User, id string, devices []idlepush.Device, now time.Time) (list []idlepush.DeliveryState) {
	t.Helper()
	n, err := s.History.Get(user.ID, id, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		state := idlepush.DeliveryState("none")
		if i := slices.IndexFunc(n.Deliveries, func(one idlepush.Delivery) bool { return one.Device == d.ID }); i >= 0 {
			state = n.Deliveries[i].State
		}
		list = append(list, state)
	}
	return list
}

// clearsOf are the ids that the device's queue asks it to take away, and how many other rows it
// holds.
func clearsOf(t *testing.T, s *Store, d idlepush.Device, now time.Time) (ids []string, others int) {
	t.Helper()
	for {
		w, ok, err := s.Outbox.Next(d.ID, now)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return ids, others
		}
		if w.Notification.Kind == idlepush.KindClear {
			ids = append(ids, w.Notification.Clear...)
		} else {
			others++
		}
		end(t, s, w, Outcome{Result: ResultDelivered}, now)
	}
}

func clearMail(t *testing.T, s *Store, a idlepush.Account, want int, uids ...uint32) {
	t.Helper()
	if n, err := s.Mail.Clear(a.ID, "INBOX", 7, uids, dawn); err != nil || n != want {
		t.Errorf("%d mails were cleared, %v; want %d", n, err, want)
	}
}

func clearReadElsewhere(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "a@example.org")
	told, waiting, refused, tried, page, waits := phone(t, s, ann, "told"), phone(t, s, ann, "waiting"), phone(t, s, ann, "refused"), phone(t, s, ann, "tried"),
		browser(t, s, ann, "page", "https://push.example"), browser(t, s, ann, "page that waits", "https://push.example")
	all := []idlepush.Device{told, waiting, refused, tried, page, waits}
	ids := arrive(t, s, a, 2, dawn)
	for _, d := range []idlepush.Device{told, page} {
		drain(t, s, d, dawn)
	}
	end(t, s, first(t, s, refused, dawn), Outcome{Result: ResultRetry, Reason: because("busy", "Busy.")}, dawn)
	end(t, s, first(t, s, tried, dawn), Outcome{Result: ResultRetry, MaybeDelivered: true, Reason: because("timeout", "It is late.")}, dawn)
	end(t, s, first(t, s, tried, dawn), Outcome{Result: ResultRetry, Reason: because("busy", "Busy.")}, dawn)
	clearMail(t, s, a, 1, 1, 99)
	clearMail(t, s, a, 0, 1)
	if got, want := states(t, s, ann, ids[0], all, dawn), []idlepush.DeliveryState{idlepush.DeliveryDelivered, idlepush.DeliveryCleared, idlepush.DeliveryCleared, idlepush.DeliveryCleared, idlepush.DeliveryDelivered, idlepush.DeliveryCleared}; !slices.Equal(got, want) {
		t.Errorf("the mail that was read is %v, want %v", got, want)
	}
	if got, want := states(t, s, ann, ids[1], all, dawn), []idlepush.DeliveryState{idlepush.DeliveryDelivered, idlepush.DeliveryPending, idlepush.DeliveryPending, idlepush.DeliveryPending, idlepush.DeliveryDelivered, idlepush.DeliveryPending}; !slices.Equal(got, want) {
		t.Errorf("the other is %v, want %v", got, want)
	}
	for _, c := range []struct {
		device idlepush.Device
		clears []string
		others int
	}{{told, ids[:1], 0}, {waiting, nil, 1}, {refused, nil, 1}, {tried, ids[:1], 1}, {page, nil, 0}, {waits, nil, 1}} {
		if clears, others := clearsOf(t, s, c.device, dawn); !slices.Equal(clears, c.clears) || others != c.others {
			t.Errorf("%s is to take away %v and gets %d others, want %v and %d", c.device.Name, clears, others, c.clears, c.others)
		}
	}
	if uids, err := s.Mail.Announced(a.ID, "INBOX", 7); err != nil || !slices.Equal(uids, []uint32{2}) {
		t.Errorf("it still knows of %v, %v", uids, err)
	}
}

func clearInFlight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		result          Result
		unknown, clears bool
	}{{ResultDelivered, false, true}, {ResultRetry, true, true}, {ResultRetry, false, false}, {ResultRefused, false, false}, {ResultMisconfigured, false, false}} {
		result, clears := c.result, c.clears
		s := newStore(t)
		ann := someone(t, s, "ann")
		a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
		ids := arrive(t, s, a, 2, dawn)
		w := first(t, s, d, dawn)
		clearMail(t, s, a, 1, 1)
		o := Outcome{Result: result, MaybeDelivered: c.unknown, Reason: because("code", "Reason.")}
		end(t, s, w, o, dawn)
		end(t, s, w, o, dawn)
		got, others := clearsOf(t, s, d, dawn.Add(time.Minute))
		if (len(got) > 0) != clears || clears && !slices.Contains(got, ids[0]) || others != 1 {
			t.Errorf("after %s the phone is to take away %v and gets %d others", result, got, others)
		}
		want := idlepush.Delivery{Device: d.ID, State: idlepush.DeliveryCleared, At: dawn}
		switch {
		case result == ResultDelivered:
			want.State, want.Attempts = idlepush.DeliveryDelivered, 1
		case clears:
			want.Attempts = 1
		}
		if got := deliveryOf(t, s, ann, ids[0], d, dawn); !reflect.DeepEqual(got, want) {
			t.Errorf("after %s its delivery is %+v, want %+v", result, got, want)
		}
	}
}

// Such a mail is unread: it expired while its push was in flight, or went into a summary.
func clearOtherReason(t *testing.T) {
	t.Parallel()
	late := dawn.Add(72 * time.Hour)
	for state, away := range map[idlepush.DeliveryState]func(s *Store, w Work) error{
		idlepush.DeliveryExpired:  func(s *Store, w Work) error { _, _, err := s.Outbox.Next(w.Device.ID, late); return err },
		idlepush.DeliveryCombined: func(s *Store, w Work) error { _, err := combineWork(s, w, dawn); return err },
	} {
		for _, o := range []Outcome{{Result: ResultDelivered}, {Result: ResultRetry, MaybeDelivered: true, Reason: because("timeout", "It is late.")}} {
			s := newStore(t)
			ann := someone(t, s, "ann")
			a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
			ids := arrive(t, s, a, 2, dawn)
			w := first(t, s, d, dawn)
			if err := away(s, w); err != nil {
				t.Fatal(err)
			}
			before := content(t, s)
			end(t, s, w, o, late)
			differ(t, fmt.Sprintf("%s, then %s", state, o.Result), content(t, s), before)
			if got := deliveryOf(t, s, ann, ids[0], d, late); got.State != state {
				t.Errorf("its delivery is %s, want %s", got.State, state)
			}
		}
	}
}

func clearedSince(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	phone(t, s, ann, "phone")
	a := mailbox(t, s, ann, "a@example.org")
	in := carrier{t, s, a, dawn}
	in.found("INBOX", 7, 1, "read")
	in.found("INBOX", 7, 2, "unread")
	now := dawn.Add(time.Minute)
	if n, err := s.Mail.Clear(a.ID, "INBOX", 7, []uint32{1}, now); err != nil || n != 1 {
		t.Fatalf("%d were cleared, %v", n, err)
	}
	for uid, want := range map[uint32]time.Time{1: now, 2: {}} {
		if n, err := s.History.Get(ann.ID, StableID(a.ID, "INBOX", 7, uid), now); err != nil || !n.Cleared.Equal(want) {
			t.Errorf("mail %d was cleared at %v, %v; want %v", uid, n.Cleared, err, want)
		}
	}
	// Moved: only the unread one is looked for there.
	if n := in.found("Family", 3, 8, "read") + in.found("Family", 3, 9, "unread"); n != 0 {
		t.Errorf("%d ring again", n)
	}
	if n, moved, err := s.Mail.ClearRemoved(a.ID, "INBOX", 7, []uint32{1, 2}, now); err != nil || n != 0 || moved != 1 {
		t.Errorf("%d were cleared and %d moved, %v", n, moved, err)
	}
	if uids, err := s.Mail.Announced(a.ID, "Family", 3); err != nil || !slices.Equal(uids, []uint32{9}) {
		t.Errorf("in Family it knows of %v, %v", uids, err)
	}
	if n, err := s.Mail.Clear(a.ID, "Family", 3, []uint32{8, 9}, now); err != nil || n != 1 {
		t.Errorf("%d were cleared there, %v", n, err)
	}
}

func clearEarlierRun(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "a@example.org"), phone(t, s, ann, "phone")
	ids := arrive(t, s, a, 2, dawn)
	dir := t.TempDir()
	for name, text := range files(t, s.dir) {
		putFile(t, filepath.Join(dir, name), []byte(text))
	}
	again := openStore(t, dir)
	clearMail(t, again, a, 2, 1, 2)
	// The first was at the head of the queue when the program ended; the second cannot have been
	// sent before it.
	if clears, others := clearsOf(t, again, d, dawn); !slices.Contains(clears, ids[0]) || others != 0 {
		t.Errorf("the phone is to take away %v and gets %d others", clears, others)
	}
}

// askedForAPassword is a mailbox for which a person was asked, by the work on one phone and not yet
// on the other, and who has given another password since.
func askedForAPassword(t *testing.T) (s *Store, ann idlepush.User, a idlepush.Account, told, waits idlepush.Device, w Work) {
	t.Helper()
	s = newStore(t)
	ann = someone(t, s, "ann")
	a = mailbox(t, s, ann, "a@example.org")
	told, waits = phone(t, s, ann, "told"), phone(t, s, ann, "waits")
	if err := setState(s, a, idlepush.StateAttention, "login", "Enter the password again.", dawn); err != nil {
		t.Fatal(err)
	}
	w = first(t, s, told, dawn)
	end(t, s, w, Outcome{Result: ResultDelivered}, dawn)
	a.Password = "another"
	a, err := s.Accounts.Update(a, dawn.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return s, ann, a, told, waits, w
}

func attentionMended(t *testing.T) {
	t.Parallel()
	s, ann, a, told, waits, w := askedForAPassword(t)
	idle(t, s, told, dawn.Add(time.Minute))
	now := dawn.Add(2 * time.Minute)
	for range 2 {
		if err := setState(s, a, idlepush.StateWatching, "", "", now); err != nil {
			t.Fatal(err)
		}
		if got, others := clearsOf(t, s, told, now); others != 0 || len(got) > 1 || len(got) == 1 && got[0] != w.Notification.ID {
			t.Errorf("the phone that was told is to take away %v and gets %d others", got, others)
		} else if len(got) == 0 && now.Equal(dawn.Add(2*time.Minute)) {
			t.Error("the phone that was told goes on showing it")
		}
		idle(t, s, waits, now)
		now = now.Add(time.Minute)
		if err := setState(s, a, idlepush.StateRetrying, "", "", now); err != nil {
			t.Fatal(err)
		}
	}
	if got := states(t, s, ann, w.Notification.ID, []idlepush.Device{told, waits}, now); !slices.Equal(got, []idlepush.DeliveryState{idlepush.DeliveryDelivered, idlepush.DeliveryCleared}) {
		t.Errorf("it is %v", got)
	}
}

func attentionPurged(t *testing.T) {
	t.Parallel()
	for state, others := range map[idlepush.State]int{idlepush.StateWatching: 0, idlepush.StateAttention: 1} {
		s, _, a, told, _, w := askedForAPassword(t)
		now := dawn.Add(maxAge + time.Minute)
		if err := s.Purge(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if err := setState(s, a, state, "", "", now); err != nil {
				t.Fatal(err)
			}
			clears, n := clearsOf(t, s, told, now)
			if i == 0 && (!slices.Equal(clears, []string{w.Notification.ID}) || n != others) || i > 0 && len(clears)+n > 0 {
				t.Errorf("in the state %s the phone is to take away %v and gets %d others", state, clears, n)
			}
			now = now.Add(time.Minute)
		}
	}
}

// attentionAnew, so that a phone shows one for a mailbox at most.
func attentionAnew(t *testing.T) {
	t.Parallel()
	s, _, a, told, waits, first := askedForAPassword(t)
	now := dawn.Add(time.Minute)
	if err := setState(s, a, idlepush.StateAttention, "login", "Enter the password again.", now); err != nil {
		t.Fatal(err)
	}
	if got, others := clearsOf(t, s, told, now); !slices.Equal(got, []string{first.Notification.ID}) || others != 1 {
		t.Errorf("the phone that was told is to take away %v and gets %d others", got, others)
	}
	if got, others := clearsOf(t, s, waits, now); len(got) != 0 || others != 1 {
		t.Errorf("the phone that was not told is to take away %v and gets %d others", got, others)
	}
}

func unreadCount(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "a@example.org")
	if _, known, err := s.Accounts.Unread(a.ID); err != nil || known {
		t.Errorf("known before anybody said so: %v, %v", known, err)
	}
	look := arrival(t, s, a, 1, dawn)
	look.Unread = new(12)
	if _, err := s.Mail.Record(look); err != nil {
		t.Fatal(err)
	}
	if n, known, err := s.Accounts.Unread(a.ID); err != nil || !known || n != 12 {
		t.Errorf("%d %v %v", n, known, err)
	}
	if err := s.Mail.SetUnread(a.ID, 11); err != nil {
		t.Fatal(err)
	}
	if n, _, err := s.Accounts.Unread(a.ID); err != nil || n != 11 {
		t.Errorf("%d %v", n, err)
	}
	if err := s.Accounts.Remove(a.ID, dawn); err != nil {
		t.Fatal(err)
	}
	if _, known, err := s.Accounts.Unread(a.ID); err != nil || known {
		t.Errorf("known of a removed account: %v, %v", known, err)
	}
	if err := s.Mail.SetUnread(a.ID, 1); err != ErrNotFound {
		t.Errorf("set for a removed account: %v", err)
	}
}

func hostKept(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if h, err := s.Mail.Host("imap.example.org:993"); err != nil || h.Interval != 0 {
		t.Errorf("%+v, %v", h, err)
	}
	want := Host{Interval: 8 * time.Minute, Since: dawn, RecentDrops: []time.Duration{time.Minute}, LastDrop: dawn, FatalSilence: 10 * time.Minute, MissedNews: 2, DistrustedSince: dawn,
		Reports: true, Unanswered: 9 * time.Minute, DiedUnnoticed: dawn}
	if err := s.Mail.PutHost("imap.example.org:993", want); err != nil {
		t.Fatal(err)
	}
	reopen(t, s)
	if h, err := s.Mail.Host("imap.example.org:993"); err != nil || h.Interval != want.Interval || !h.Since.Equal(want.Since) || len(h.RecentDrops) != 1 || h.FatalSilence != want.FatalSilence || h.MissedNews != 2 ||
		!h.Reports || h.Unanswered != want.Unanswered || !h.DiedUnnoticed.Equal(dawn) {
		t.Errorf("%+v, %v", h, err)
	}
}

func clearTooMany(t *testing.T) {
	t.Parallel()
	s, a, d := fourPhones(t)
	ids := arrive(t, s, a, 1, dawn)
	uids := make([]uint32, MaxMails+1)
	for i := range uids {
		uids[i] = uint32(i + 1)
	}
	if n, err := s.Mail.Clear(a.ID, "INBOX", 7, uids, dawn); err == nil || n > 0 {
		t.Errorf("cleared %d, %v; want an error", n, err)
	}
	if got := first(t, s, d[0], dawn).Notification.ID; got != ids[0] {
		t.Errorf("next is %s, want %s", got, ids[0])
	}
}
