package registry

import (
	"slices"
	"testing"
	"time"

	"idlepush"
)

func TestFillIn(t *testing.T) {
	t.Parallel()
	t.Run("a mail is sent again to the devices for which it has more content", fillInAgain)
	t.Run("the first delivery stays if the content does not arrive", fillInKeepsOutcome)
	t.Run("a mail that is no longer due is filled in without a push", fillInQuietly)
	t.Run("content that comes during a push without it is sent afterwards", fillInDuringPush)
	t.Run("the mail of another mailbox fills in nothing", fillInOtherMailbox)
	t.Run("content by which the mail is known does not notify again", fillInKnown)
	t.Run("a notification stays with mail that is there, and its copy is a duplicate from then on", fillInDuplicate)
	t.Run("the content of a copy is sent if no device has shown the mail", fillInUnshown)
	t.Run("old mail that waits is filled in, and rings with its content", fillInOld)
}

// words are what the mail under a UID says once it can be had.
func words(uid uint32) Message {
	return Message{UID: uid, Fingerprint: "words", Content: idlepush.Content{From: "Ann", Subject: "words", MessageID: "words@example.org", Preview: "Hello"}}
}

// wordless is a mailbox in which a mail without words has come, with the mail's id.
func wordlessOf(t *testing.T, s *Store, owner idlepush.User) (idlepush.Account, string) {
	t.Helper()
	a := mailbox(t, s, owner, "a@example.org")
	look := arrival(t, s, a, 1, dawn)
	look.Mails[0].Content, look.Mails[0].Wordless = idlepush.Content{}, true
	if n, err := s.Mail.Record(look); err != nil || n != 1 {
		t.Fatalf("record: %d, %v", n, err)
	}
	return a, StableID(a.ID, "INBOX", 7, 1)
}

func fillOne(t *testing.T, s *Store, a idlepush.Account, m Message, now time.Time, want bool) {
	t.Helper()
	if filled, err := s.Mail.FillIn(a.ID, "INBOX", 7, m, now); err != nil || filled != want {
		t.Errorf("fill in: %v, %v; want %v", filled, err, want)
	}
}

func fillInAgain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	told, waiting, refused, page := phone(t, s, ann, "told"), phone(t, s, ann, "waiting"), phone(t, s, ann, "refused"), browser(t, s, ann, "page", "https://push.example")
	wake := register(t, s, idlepush.Device{User: ann.ID, Name: "wake", Transport: FCM, Address: "wake", Content: idlepush.LevelWake})
	a, id := wordlessOf(t, s, ann)
	late := phone(t, s, ann, "late")
	all := []idlepush.Device{told, waiting, refused, page, wake, late}
	for _, d := range []idlepush.Device{told, page, wake} {
		drain(t, s, d, dawn)
	}
	end(t, s, first(t, s, refused, dawn), Outcome{Result: ResultRefused, Reason: because("refused", "Refused.")}, dawn)
	now := dawn.Add(time.Minute)
	if list, err := s.Mail.Wordless(a.ID, now); err != nil || len(list) != 1 || list[0].ID != id || list[0].UID != 1 || list[0].Folder != "INBOX" {
		t.Errorf("wordless are %+v, %v", list, err)
	}
	fillOne(t, s, a, words(1), now, true)
	if got, want := states(t, s, ann, id, all, now), []idlepush.DeliveryState{idlepush.DeliveryPending, idlepush.DeliveryPending, idlepush.DeliveryRefused, idlepush.DeliveryPending, idlepush.DeliveryDelivered, "none"}; !slices.Equal(got, want) {
		t.Errorf("it is %v, want %v", got, want)
	}
	for _, d := range []idlepush.Device{told, waiting, page} {
		w := first(t, s, d, now)
		if w.Notification.ID != id || w.Notification.Content != words(1).Content.At(idlepush.LevelSubject) {
			t.Errorf("%s is sent %s", d.Name, w.Notification.ID)
		}
		end(t, s, w, Outcome{Result: ResultDelivered}, now)
	}
	for _, d := range all {
		idle(t, s, d, now)
	}
	fillOne(t, s, a, words(1), now, false)
	if list, err := s.Mail.Wordless(a.ID, now); err != nil || len(list) != 0 {
		t.Errorf("wordless are still %+v, %v", list, err)
	}
	if got, want := states(t, s, ann, id, all, now), []idlepush.DeliveryState{idlepush.DeliveryDelivered, idlepush.DeliveryDelivered, idlepush.DeliveryRefused, idlepush.DeliveryDelivered, idlepush.DeliveryDelivered, "none"}; !slices.Equal(got, want) {
		t.Errorf("then it is %v, want %v", got, want)
	}
}

func fillInKeepsOutcome(t *testing.T) {
	t.Parallel()
	later := dawn.Add(time.Minute)
	for _, c := range []struct {
		name   string
		do     func(s *Store, a idlepush.Account, d idlepush.Device) error
		at     time.Time // when it is looked at
		want   idlepush.DeliveryState
		clears int // ids that the phone is to take away
	}{
		{"it waits", func(*Store, idlepush.Account, idlepush.Device) error { return nil }, later, idlepush.DeliveryPending, 0},
		{"it is tried again", func(s *Store, _ idlepush.Account, d idlepush.Device) error {
			return settleWork(s, first(t, s, d, later), Outcome{Result: ResultRetry, Reason: because("busy", "Busy.")}, later)
		}, later, idlepush.DeliveryPending, 0},
		{"it is delivered", func(s *Store, _ idlepush.Account, d idlepush.Device) error {
			return settleWork(s, first(t, s, d, later), Outcome{Result: ResultDelivered}, later)
		}, later, idlepush.DeliveryDelivered, 0},
		{"it is refused", func(s *Store, _ idlepush.Account, d idlepush.Device) error {
			return settleWork(s, first(t, s, d, later), Outcome{Result: ResultRefused, Reason: because("refused", "Refused.")}, later)
		}, later, idlepush.DeliveryDelivered, 0},
		{"it expires in the queue", func(*Store, idlepush.Account, idlepush.Device) error { return nil }, dawn.Add(73 * time.Hour), idlepush.DeliveryDelivered, 0},
		{"it is dropped", func(s *Store, _ idlepush.Account, d idlepush.Device) error {
			_, _, err := s.Outbox.Next(d.ID, dawn.Add(73*time.Hour))
			return err
		}, later, idlepush.DeliveryDelivered, 0},
		{"the device is gone", func(s *Store, _ idlepush.Account, d idlepush.Device) error { return s.Devices.Remove(d, "") }, later, idlepush.DeliveryDelivered, 0},
		{"it is read", func(s *Store, a idlepush.Account, _ idlepush.Device) error {
			_, err := s.Mail.Clear(a.ID, "INBOX", 7, []uint32{1}, later)
			return err
		}, later, idlepush.DeliveryDelivered, 1},
		{"much comes with it", func(s *Store, a idlepush.Account, d idlepush.Device) error {
			arrive(t, s, a, 2, later)
			_, err := combineWork(s, first(t, s, d, later), later)
			return err
		}, later, idlepush.DeliveryPending, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(t)
			ann := someone(t, s, "ann")
			d := phone(t, s, ann, "phone")
			a, id := wordlessOf(t, s, ann)
			drain(t, s, d, dawn)
			fillOne(t, s, a, words(1), later, true)
			if err := c.do(s, a, d); err != nil {
				t.Fatal(err)
			}
			n, err := s.History.Get(ann.ID, id, c.at)
			if err != nil {
				t.Fatal(err)
			}
			if got := n.Deliveries[0]; got.State != c.want || got.State == idlepush.DeliveryDelivered && (!got.At.Equal(dawn) || got.Code != "" || !got.DeliveredBefore.IsZero()) {
				t.Errorf("it stands as %+v, want %s at %v", got, c.want, dawn)
			}
			if c.want == idlepush.DeliveryDelivered && c.name != "the device is gone" {
				if ids, others := clearsOf(t, s, d, c.at); len(ids) != c.clears || others != 0 {
					t.Errorf("the phone is to take away %v and gets %d others", ids, others)
				}
			}
		})
	}
}

func fillInQuietly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		before func(t *testing.T, s *Store, a idlepush.Account, d idlepush.Device)
		now    time.Time
		filled bool
		want   idlepush.DeliveryState
	}{
		{"read", func(t *testing.T, s *Store, a idlepush.Account, d idlepush.Device) {
			drain(t, s, d, dawn)
			clearMail(t, s, a, 1, 1)
			drain(t, s, d, dawn)
		}, dawn, false, idlepush.DeliveryDelivered},
		{"read before it was sent", func(t *testing.T, s *Store, a idlepush.Account, d idlepush.Device) { clearMail(t, s, a, 1, 1) }, dawn, false, idlepush.DeliveryCleared},
		{"expired", func(t *testing.T, s *Store, a idlepush.Account, d idlepush.Device) { drain(t, s, d, dawn) }, dawn.Add(73 * time.Hour), true, idlepush.DeliveryDelivered},
		{"in a summary", func(t *testing.T, s *Store, a idlepush.Account, d idlepush.Device) {
			arrive(t, s, a, 1, dawn)
			combine(t, s, first(t, s, d, dawn), dawn)
			drain(t, s, d, dawn)
		}, dawn, true, idlepush.DeliveryCombined},
		{"no more the device's", func(t *testing.T, s *Store, a idlepush.Account, d idlepush.Device) {
			drain(t, s, d, dawn)
			d.Accounts = []string{}
			register(t, s, d)
		}, dawn, true, idlepush.DeliveryDelivered},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ann := someone(t, s, "ann")
			d := phone(t, s, ann, "phone")
			phone(t, s, ann, "another")
			a, id := wordlessOf(t, s, ann)
			c.before(t, s, a, d)
			fillOne(t, s, a, words(1), c.now, c.filled)
			idle(t, s, d, c.now)
			n, err := s.History.Get(ann.ID, id, c.now)
			if err != nil || (n.Content.Subject == "words") != c.filled || n.Deliveries[slices.IndexFunc(n.Deliveries, func(one idlepush.Delivery) bool { return one.Device == d.ID })].State != c.want {
				t.Errorf("%+v, %v", n, err)
			}
		})
	}
}

func fillInDuringPush(t *testing.T) {
	t.Parallel()
	for _, level := range []idlepush.Level{idlepush.LevelSubject, idlepush.LevelWake} {
		s := newStore(t)
		ann := someone(t, s, "ann")
		d := register(t, s, idlepush.Device{User: ann.ID, Name: "phone", Transport: FCM, Address: "token", Content: level})
		a, id := wordlessOf(t, s, ann)
		w := first(t, s, d, dawn)
		w.KeepNotified = 5
		now := dawn.Add(time.Minute)
		fillOne(t, s, a, words(1), now, true)
		end(t, s, w, Outcome{Result: ResultDelivered}, now)
		if level == idlepush.LevelWake {
			idle(t, s, d, now)
			continue
		}
		if w := first(t, s, d, now); w.Notification.ID != id || w.Notification.Content.Subject != "words" || len(w.NotifiedAt) != 1 {
			t.Errorf("then it is sent %+v, after it rang at %v", w.Notification, w.NotifiedAt)
		}
		drain(t, s, d, now)
		if got := states(t, s, ann, id, []idlepush.Device{d}, now); got[0] != idlepush.DeliveryDelivered {
			t.Errorf("it is %v", got)
		}
	}
}

func fillInOtherMailbox(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, id := wordlessOf(t, s, ann)
	a.Username = "another"
	if _, err := s.Accounts.Update(a, dawn); err != nil {
		t.Fatal(err)
	}
	fillOne(t, s, a, words(1), dawn, false)
	if n, err := s.History.Get(ann.ID, id, dawn); err != nil || n.Content.Subject != "" {
		t.Errorf("it says %q, %v", n.Content.Subject, err)
	}
}

// fillInKnown: it rang with words and was then moved to where it had
// none.
func fillInKnown(t *testing.T) {
	t.Parallel()
	for _, read := range []bool{false, true} {
		s := newStore(t)
		ann := someone(t, s, "ann")
		d := phone(t, s, ann, "phone")
		a, id := wordlessOf(t, s, ann)
		look := arrival(t, s, a, 1, dawn)
		look.Mails[0].Fingerprint = "words"
		if _, err := s.Mail.Record(look); err != nil {
			t.Fatal(err)
		}
		drain(t, s, d, dawn)
		twin := StableID(a.ID, "INBOX", 7, 2)
		if read {
			clearMail(t, s, a, 1, 2)
		} else if _, err := s.Mail.Record(Arrival{Account: a.ID, Folder: "Other", To: Cursor{UIDValidity: 7, Next: 2}, At: dawn,
			Mails: []Message{{UID: 1, Fingerprint: "words"}}}); err != nil { // it is there now
			t.Fatal(err)
		}
		drain(t, s, d, dawn)
		fillOne(t, s, a, words(1), dawn, true)
		ids, others := clearsOf(t, s, d, dawn)
		if want := map[bool][]string{false: {id}, true: nil}[read]; others != 0 || !slices.Equal(ids, want) {
			t.Errorf("read %v: the phone is to take away %v and gets %d others, want %v", read, ids, others, want)
		}
		n, err := s.History.Get(ann.ID, twin, dawn)
		if err != nil || !read && (n.Folder != "INBOX" || n.UID != 1 || !n.Cleared.IsZero()) {
			t.Errorf("read %v: the one that rang first is %+v, %v", read, n, err)
		}
		// Wherever it is moved, it does not ring again.
		if n, err := s.Mail.Record(Arrival{Account: a.ID, Folder: "Third", To: Cursor{UIDValidity: 7, Next: 2}, At: dawn, Mails: []Message{words(1)}}); err != nil || n != 0 {
			t.Errorf("read %v: moved on, %d ring, %v", read, n, err)
		}
		checkRows(t, s)
	}
}

// copied is a mailbox with a mail in INBOX, and a copy in Family that is without content.
func copied(t *testing.T, removed bool) (s *Store, ann idlepush.User, a idlepush.Account, d idlepush.Device) {
	t.Helper()
	s = newStore(t)
	ann = someone(t, s, "ann")
	a, d = mailbox(t, s, ann, "ann@example.org"), phone(t, s, ann, "phone")
	in := carrier{t, s, a, dawn}
	in.finds("INBOX", 7, words(1))
	if removed {
		if _, _, err := s.Mail.ClearRemoved(a.ID, "INBOX", 7, []uint32{1}, dawn); err != nil {
			t.Fatal(err)
		}
	}
	in.finds("Family", 3, Message{UID: 9, Wordless: true})
	drain(t, s, d, dawn)
	return s, ann, a, d
}

func fillInDuplicate(t *testing.T) {
	t.Parallel()
	s, ann, a, d := copied(t, false)
	now := dawn.Add(time.Minute)
	if filled, err := s.Mail.FillIn(a.ID, "Family", 3, words(9), now); err != nil || !filled {
		t.Fatal(filled, err)
	}
	id := StableID(a.ID, "Family", 3, 9)
	if ids, others := clearsOf(t, s, d, now); !slices.Equal(ids, []string{id}) || others != 0 {
		t.Errorf("the phone is to take away %v and gets %d others", ids, others)
	}
	if n, err := s.History.Get(ann.ID, id, now); err != nil || n.Code != codeDuplicate || n.Params["folder"] != "INBOX" || n.Content.Subject != "words" {
		t.Errorf("the copy is listed as %+v, %v", n.Reason, err)
	}
	if uids, err := s.Mail.Announced(a.ID, "INBOX", 7); err != nil || !slices.Equal(uids, []uint32{1}) {
		t.Errorf("of INBOX are announced %v, %v", uids, err)
	}
	if err := removeNotRung(s); err != nil {
		t.Fatal(err)
	}
	checkRows(t, s)
	if n, moved, err := s.Mail.ClearRemoved(a.ID, "INBOX", 7, []uint32{1}, now); err != nil || n != 0 || moved != 1 {
		t.Errorf("when the mail is removed, %d are cleared and %d move, %v", n, moved, err)
	}
	if n, err := s.Mail.Clear(a.ID, "Family", 3, []uint32{9}, now); err != nil || n != 1 {
		t.Errorf("when the copy is read, %d are cleared, %v", n, err)
	}
}

func fillInUnshown(t *testing.T) {
	t.Parallel()
	s, _, a, d := copied(t, true)
	if _, err := s.Mail.FillIn(a.ID, "Family", 3, words(9), dawn); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, s, d, dawn); !slices.Equal(got, []string{StableID(a.ID, "Family", 3, 9)}) {
		t.Errorf("the phone got %v", got)
	}
}

func fillInOld(t *testing.T) {
	t.Parallel()
	s, ann, a, d := oldMailbox(t)
	carrier{t, s, a, dawn}.finds("INBOX", 7, Message{UID: 1, Old: true, Wordless: true})
	fillOne(t, s, a, words(1), dawn, true)
	if got := drain(t, s, d, dawn); len(got) != 0 {
		t.Errorf("the phone got %v", got)
	}
	if err := s.Outbox.RingOld(foundOld(t, s, 1)[0], dawn); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, s, d, dawn); len(got) != 1 {
		t.Errorf("then the phone got %v", got)
	}
	if n, err := s.History.Get(ann.ID, StableID(a.ID, "INBOX", 7, 1), dawn); err != nil || n.Code != "" || n.Content.Subject != "words" {
		t.Errorf("it is %+v, %v", n, err)
	}
}
