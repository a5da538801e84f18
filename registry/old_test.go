package registry

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"idlepush"
)

func TestOldMail(t *testing.T) {
	t.Parallel()
	t.Run("old mail waits until its look has ended", oldMailWaits)
	t.Run("old mail can ring one by one", oldMailRings)
	t.Run("old mail can ring as one summary", oldMailSummedUp)
	t.Run("a look that a session has left ends with the next", oldMailLeft)
	t.Run("what is decided stays so", oldMailDecided)
	t.Run("of very much old mail the last 200 are kept, and all are counted", oldMailCounted)
	t.Run("old mail that comes before it is decided is counted, too", oldMailMerged)
	t.Run("new mail among it rings at once", oldMailAmongNew)
	t.Run("old mail says when it was found, and when push last decided on its folder", oldMailTimes)
	t.Run("a decision by a count that has grown meanwhile is none", oldMailStale)
	t.Run("old mail that is decided late rings all the same", oldMailDecidedLate)
	t.Run("the same old mail in two folders rings once", oldMailTwoFolders)
	t.Run("old mail behind a message that is stuck is counted once", oldMailAhead)
	t.Run("old mail that is read or removed while it waits neither rings nor counts", oldMailHandled)
	t.Run("old mail that a summary has counted is not counted again when it moves", oldMailMoved)
	t.Run("equal old mails ring each, and are counted each", oldMailEqual)
	t.Run("old mail says that it waits, that it was counted, or that it was read before", oldMailSays)
}

// oldMail records n old mails of Family in steps of at most 20, and gives their ids. more: the look
// goes on.
func oldMail(t *testing.T, s *Store, a idlepush.Account, n int, more bool) (ids []string) {
	t.Helper()
	for n > 0 {
		from, err := s.Mail.Cursor(a.ID, "Family")
		if err != nil {
			t.Fatal(err)
		}
		to := Cursor{UIDValidity: 3, Next: max(from.Next, 1)}
		var mails []Message
		for range min(n, 20) {
			mails = append(mails, Message{UID: to.Next, Old: true, Fingerprint: fmt.Sprint(to.Next), Content: idlepush.Content{Subject: fmt.Sprint("old ", to.Next)}})
			ids = append(ids, StableID(a.ID, "Family", 3, to.Next))
			to.Next++
		}
		n -= len(mails)
		recorded, err := s.Mail.Record(Arrival{Account: a.ID, Folder: "Family", From: from, To: to, Mails: mails, More: more || n > 0, At: dawn})
		if err != nil || recorded != 0 {
			t.Fatalf("%d ring, %v", recorded, err)
		}
	}
	return ids
}

// foundOld is the old mail on which nobody has decided.
func foundOld(t *testing.T, s *Store, counts ...int) []OldMail {
	t.Helper()
	list, err := s.Outbox.OldMail()
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, m := range list {
		got = append(got, m.Count)
	}
	if !slices.Equal(got, counts) {
		t.Fatalf("to be decided are %v, want %v", got, counts)
	}
	return list
}

func oldMailbox(t *testing.T) (s *Store, ann idlepush.User, a idlepush.Account, d idlepush.Device) {
	t.Helper()
	s = newStore(t)
	ann = someone(t, s, "ann")
	return s, ann, mailbox(t, s, ann, "ann@example.org"), phone(t, s, ann, "phone")
}

func oldMailWaits(t *testing.T) {
	t.Parallel()
	s, ann, a, d := oldMailbox(t)
	oldMail(t, s, a, 2, true)
	foundOld(t, s)
	oldMail(t, s, a, 1, false)
	if m := foundOld(t, s, 3)[0]; m.Account != a.ID || m.Folder != "Family" {
		t.Errorf("it is %+v", m)
	}
	select {
	case <-s.Outbox.Changed():
	default:
		t.Error("the dispatcher was not woken")
	}
	if got := drain(t, s, d, dawn); len(got) != 0 {
		t.Errorf("the phone got %v", got)
	}
	for _, n := range allNotifications(t, s, ann, 50, dawn) {
		if n.Kind != idlepush.KindMail || n.Code != CodeOld {
			t.Errorf("listed is %+v", n)
		}
	}
}

func oldMailRings(t *testing.T) {
	t.Parallel()
	s, ann, a, d := oldMailbox(t)
	ids := oldMail(t, s, a, 5, false)
	if err := s.Outbox.RingOld(foundOld(t, s, 5)[0], dawn); err != nil {
		t.Fatal(err)
	}
	foundOld(t, s)
	if got := drain(t, s, d, dawn); !slices.Equal(got, ids) {
		t.Errorf("the phone got %v, want %v", got, ids)
	}
	if uids, err := s.Mail.Announced(a.ID, "Family", 3); err != nil || !slices.Equal(uids, []uint32{1, 2, 3, 4, 5}) {
		t.Errorf("announced are %v, %v", uids, err)
	}
	list := allNotifications(t, s, ann, 50, dawn)
	if len(list) != 5 || list[0].Code != "" || list[0].Content.Subject != "old 5" || len(list[0].Deliveries) != 1 {
		t.Errorf("listed are %+v", list)
	}
}

func oldMailSummedUp(t *testing.T) {
	t.Parallel()
	s, ann, a, d := oldMailbox(t)
	oldMail(t, s, a, 37, false)
	later := dawn.Add(time.Minute)
	if err := s.Outbox.SumUpOld(foundOld(t, s, 37)[0], later); err != nil {
		t.Fatal(err)
	}
	foundOld(t, s)
	w := first(t, s, d, later)
	if n := w.Notification; n.Kind != idlepush.KindSummary || n.Code != CodeOld || n.Count != 37 || n.Folder != "Family" || !n.Expires.Equal(later.Add(idlepush.KindSummary.Lifetime())) {
		t.Errorf("what rings is %+v", n)
	}
	if got := drain(t, s, d, later); len(got) != 1 {
		t.Errorf("the phone got %v", got)
	}
	list := allNotifications(t, s, ann, 50, later)
	if len(list) != 38 {
		t.Fatalf("listed are %d", len(list))
	}
	for _, n := range list {
		if n.Code != CodeOld {
			t.Errorf("listed is %+v", n)
		}
	}
}

func oldMailLeft(t *testing.T) {
	t.Parallel()
	s, _, a, _ := oldMailbox(t)
	oldMail(t, s, a, 3, true)
	if err := s.Mail.EndLooks("another"); err != nil {
		t.Fatal(err)
	}
	foundOld(t, s)
	if err := s.Mail.EndLooks(a.ID); err != nil {
		t.Fatal(err)
	}
	foundOld(t, s, 3)
}

func oldMailDecided(t *testing.T) {
	t.Parallel()
	s, _, a, d := oldMailbox(t)
	oldMail(t, s, a, 2, false)
	m := foundOld(t, s, 2)[0]
	if err := s.Outbox.RingOld(m, dawn); err != nil {
		t.Fatal(err)
	}
	if err := s.Outbox.SumUpOld(m, dawn); err != nil {
		t.Fatal(err)
	}
	if err := s.Outbox.RingOld(m, dawn); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, s, d, dawn); len(got) != 2 {
		t.Errorf("the phone got %v", got)
	}
}

func oldMailCounted(t *testing.T) {
	t.Parallel()
	s, ann, a, d := oldMailbox(t)
	oldMail(t, s, a, 300, false)
	if err := s.Outbox.SumUpOld(foundOld(t, s, 300)[0], dawn); err != nil {
		t.Fatal(err)
	}
	if w := first(t, s, d, dawn); w.Notification.Count != 300 {
		t.Errorf("counted are %d", w.Notification.Count)
	}
	if list := allNotifications(t, s, ann, 500, dawn); len(list) != 201 {
		t.Errorf("listed are %d", len(list))
	}
}

func oldMailMerged(t *testing.T) {
	t.Parallel()
	s, _, a, d := oldMailbox(t)
	oldMail(t, s, a, 3, false)
	m := foundOld(t, s, 3)[0]
	oldMail(t, s, a, 4, true)
	foundOld(t, s)
	if err := s.Outbox.RingOld(m, dawn); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, s, d, dawn); len(got) != 0 {
		t.Errorf("decided too early: the phone got %v", got)
	}
	oldMail(t, s, a, 1, false)
	foundOld(t, s, 8)
}

func oldMailAmongNew(t *testing.T) {
	t.Parallel()
	s, _, a, d := oldMailbox(t)
	look := arrival(t, s, a, 3, dawn)
	look.Mails[1].Old = true
	if n, err := s.Mail.Record(look); err != nil || n != 2 {
		t.Fatalf("%d ring, %v", n, err)
	}
	if got := drain(t, s, d, dawn); len(got) != 2 {
		t.Errorf("the phone got %v", got)
	}
	foundOld(t, s, 1)
}

func oldMailTimes(t *testing.T) {
	t.Parallel()
	for name, decide := range map[string]func(Outbox, OldMail, time.Time) error{"ring": Outbox.RingOld, "sum up": Outbox.SumUpOld} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, a, _ := oldMailbox(t)
			oldMail(t, s, a, 2, false)
			m := foundOld(t, s, 2)[0]
			if !m.Found.Equal(dawn) || !m.Decided.IsZero() {
				t.Errorf("found at %v, decided at %v", m.Found, m.Decided)
			}
			later := dawn.Add(time.Minute)
			if err := decide(s.Outbox, m, later); err != nil {
				t.Fatal(err)
			}
			oldMail(t, s, a, 1, false)
			if m := foundOld(t, s, 1)[0]; !m.Decided.Equal(later) {
				t.Errorf("decided at %v, want %v", m.Decided, later)
			}
		})
	}
}

func oldMailDecidedLate(t *testing.T) {
	t.Parallel()
	s, _, a, d := oldMailbox(t)
	ids := oldMail(t, s, a, 3, false)
	later := dawn.Add(idlepush.KindMail.Lifetime() + time.Hour)
	if err := s.Outbox.RingOld(foundOld(t, s, 3)[0], later); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, s, d, later); !slices.Equal(got, ids) {
		t.Errorf("the phone got %v, want %v", got, ids)
	}
}

func oldMailStale(t *testing.T) {
	t.Parallel()
	s, _, a, d := oldMailbox(t)
	oldMail(t, s, a, 3, false)
	m := foundOld(t, s, 3)[0]
	oldMail(t, s, a, 97, false)
	for _, decide := range []func(OldMail, time.Time) error{s.Outbox.RingOld, s.Outbox.SumUpOld} {
		if err := decide(m, dawn); err != nil {
			t.Fatal(err)
		}
	}
	if got := drain(t, s, d, dawn); len(got) != 0 {
		t.Errorf("decided by the old count: the phone got %v", got)
	}
	foundOld(t, s, 100)
}

func oldMailTwoFolders(t *testing.T) {
	t.Parallel()
	s, ann, a, d := oldMailbox(t)
	in := carrier{t, s, a, dawn}
	for _, folder := range []string{"INBOX", "Family"} {
		in.finds(folder, 3, Message{UID: 1, Fingerprint: "one", Old: true})
	}
	if err := s.Outbox.RingOld(foundOld(t, s, 1)[0], dawn); err != nil {
		t.Fatal(err)
	}
	foundOld(t, s)
	if got := drain(t, s, d, dawn); !slices.Equal(got, []string{StableID(a.ID, "INBOX", 3, 1)}) {
		t.Errorf("the phone got %v", got)
	}
	if list := allNotifications(t, s, ann, 50, dawn); len(list) != 2 || list[0].Code != codeDuplicate || list[0].Params["folder"] != "INBOX" {
		t.Errorf("listed are %+v", list)
	}
}

func oldMailAhead(t *testing.T) {
	t.Parallel()
	s, _, a, d := oldMailbox(t)
	stuck := Cursor{UIDValidity: 3, Next: 1}
	for range 2 {
		for step := range uint32(20) {
			from, err := s.Mail.Cursor(a.ID, "Family")
			if err != nil {
				t.Fatal(err)
			}
			look := Arrival{Account: a.ID, Folder: "Family", From: from, To: stuck, More: step < 19, At: dawn}
			for i := range uint32(20) {
				look.Mails = append(look.Mails, Message{UID: 2 + step*20 + i, Old: true})
			}
			if _, err := s.Mail.Record(look); err != nil {
				t.Fatal(err)
			}
		}
		list, err := s.Outbox.OldMail()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			if err := s.Outbox.SumUpOld(m, dawn); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := drain(t, s, d, dawn); len(got) != 1 {
		t.Errorf("the phone got %d summaries", len(got))
	}
}
