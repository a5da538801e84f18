package registry

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/ring"
)

func TestFacts(t *testing.T) {
	t.Parallel()
	t.Run("they are kept whatever the devices are sent", factsKept)
	t.Run("only the first mail of a sender is the first, in each mailbox", factsFirst)
	t.Run("a mail without words gets its facts with them", factsFilledIn)
	t.Run("excess mail is of no sender", factsExcess)
	t.Run("the file does not give away who writes", factsHidden)
	t.Run("a sender is written once in a while", sendersWritten)
	t.Run("the last senders are remembered, while the mailbox is there", sendersBound)
}

// recordAll records an arrival and gives the ids of its mails.
func recordAll(t testing.TB, s *Store, a Arrival) (ids []string) {
	t.Helper()
	if _, err := s.Mail.Record(a); err != nil {
		t.Fatal(err)
	}
	account, err := s.Accounts.Get(a.Account)
	if err != nil {
		t.Fatal(err)
	}
	mailbox := account.ID
	err = s.db.View(func(tx *table.Tx) error {
		row, err := accountRowOf(tx, a.Account)
		if row.Mailbox != "" {
			mailbox = row.Mailbox
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range a.Mails {
		ids = append(ids, StableID(mailbox, a.Folder, a.To.UIDValidity, m.UID))
	}
	return ids
}

// from records a mail of each sender.
func from(t testing.TB, s *Store, a idlepush.Account, at time.Time, senders ...string) []string {
	t.Helper()
	look := arrival(t, s, a, len(senders), at)
	for i, sender := range senders {
		look.Mails[i].Facts = ring.Facts{From: sender}
	}
	return recordAll(t, s, look)
}

// firstOf reports whether the mail is the first of its sender.
func firstOf(t testing.TB, s *Store, u idlepush.User, id string) bool {
	t.Helper()
	n, err := s.History.Get(u.ID, id, dawn)
	if err != nil {
		t.Fatal(err)
	}
	return n.Facts.First
}

func factsKept(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	d := register(t, s, idlepush.Device{User: ann.ID, Transport: FCM, Address: "a", Content: idlepush.LevelSender})
	facts := ring.Facts{From: "carl@example.org", Name: "Carl", To: []string{"ann@example.org"}, Subject: "subject", List: "list", Bulk: true, Attachment: true, Size: 7,
		Thread: []string{"a", "b"}, Answer: true}
	look := arrival(t, s, a, 1, dawn)
	look.Mails[0].Facts = facts
	ids := recordAll(t, s, look)
	facts.First = true
	n, err := s.History.Get(ann.ID, ids[0], dawn)
	if err != nil || !reflect.DeepEqual(n.Facts, facts) || n.Content.Subject != "" {
		t.Errorf("the facts are %+v, with the subject %q, %v", n.Facts.To, n.Content.Subject, err)
	}
	if w := first(t, s, d, dawn); !reflect.DeepEqual(w.Notification.Facts, facts) {
		t.Errorf("push gets %+v", w.Notification.Facts.To)
	}
}

func factsFirst(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, b := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org")
	want := func(what string, ids []string, first ...bool) {
		t.Helper()
		for i, id := range ids {
			if firstOf(t, s, ann, id) != first[i] {
				t.Errorf("%s, mail %d is the first: %v", what, i, !first[i])
			}
		}
	}
	want("together", from(t, s, a, dawn, "carl", "dora", "carl", ""), true, true, false, false)
	want("later", from(t, s, a, dawn.Add(time.Hour), "dora", "eve"), false, true)
	want("in another mailbox", from(t, s, b, dawn, "carl"), true)
	look := arrival(t, s, a, 3, dawn)
	look.Mails[0].Facts.From, look.Mails[0].NotRung = "fred", idlepush.Reason{Code: "seen"}
	look.Mails[1].Facts.From = "fred"
	look.Mails[2].Facts.From, look.Mails[2].Old = "gina", true
	want("after one that did not ring", recordAll(t, s, look), true, false, true)
	from := Cursor{UIDValidity: 7, Next: 1}
	again := Arrival{Account: b.ID, Folder: "INBOX", From: Cursor{UIDValidity: 7, Next: 2}, To: from, At: dawn}
	recordAll(t, s, again)
	again.From, again.To.Next = from, 2
	again.Mails = []Message{{UID: 1, Facts: ring.Facts{From: "carl"}}}
	want("found again", recordAll(t, s, again), true)
}

func factsFilledIn(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	phone(t, s, ann, "phone")
	look := arrival(t, s, a, 3, dawn)
	for i := range look.Mails {
		look.Mails[i].Wordless, look.Mails[i].Content = true, idlepush.Content{}
	}
	look.Mails[1].Facts.From = "dora"
	ids := recordAll(t, s, look)
	for i, sender := range []string{"carl", "dora", "carl"} {
		msg := Message{UID: uint32(i + 1), Content: idlepush.Content{Subject: "s"}, Facts: ring.Facts{From: sender, Subject: "s", Words: "words"}}
		if filled, err := s.Mail.FillIn(a.ID, "INBOX", 7, msg, dawn); err != nil || !filled {
			t.Fatal(filled, err)
		}
		n, err := s.History.Get(ann.ID, ids[i], dawn)
		if want := (ring.Facts{From: sender, Subject: "s", First: i < 2}); err != nil || !reflect.DeepEqual(n.Facts, want) {
			t.Errorf("mail %d has %s %v %q, %v", i, n.Facts.From, n.Facts.First, n.Facts.Words, err)
		}
	}
}

func factsExcess(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.bounds.mails = 2
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	from(t, s, a, dawn, "a", "b", "c", "d")
	if n := sizes(t, s)["senders"]; n != 2 {
		t.Errorf("%d senders are remembered, of 2 mails that are kept", n)
	}
}

func factsHidden(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	from(t, s, mailbox(t, s, ann, "ann@example.org"), dawn, "planted@example.org")
	data, err := os.ReadFile(filepath.Join(s.dir, storeFile))
	if err != nil || bytes.Contains(data, []byte("planted")) {
		t.Errorf("the file has the address, %v", err)
	}
	plain := digestOf("planted@example.org")
	if bytes.Contains(data, plain[:]) {
		t.Error("the file has a digest of the address that anybody can make")
	}
}

func sendersWritten(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	for _, c := range []struct{ at, seen time.Duration }{{0, 0}, {time.Hour, 0}, {seenPrecision, seenPrecision}, {time.Hour, seenPrecision}, {-time.Hour, -time.Hour}} {
		from(t, s, a, dawn.Add(c.at), "carl")
		err := s.db.View(func(tx *table.Tx) error {
			if rows := all(t, tx, senders); len(rows) != 1 || !rows[0].Value.Seen.Equal(dawn.Add(c.seen)) {
				t.Errorf("after mail at %v: %v", c.at, rows)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func sendersBound(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, b := mailbox(t, s, ann, "a@example.org"), mailbox(t, s, ann, "b@example.org")
	from(t, s, a, dawn, "old")
	from(t, s, a, dawn.Add(time.Hour), "new")
	from(t, s, b, dawn, "other")
	const more = 5
	for done := 0; done < maxSenders+more-2; {
		err := s.db.Update(func(tx *table.Tx) error {
			for n := 0; n < 5000 && done < maxSenders+more-2 && tx.Left() > 2; n++ {
				at := time.Duration(done-more+2) * time.Second // of the first, before old
				if err := senders.Put(tx, senderKey{id(a.ID), digestOf(fmt.Sprint(done))}, senderRow{dawn.Add(at)}); err != nil {
					return err
				}
				done++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Purge(t.Context(), dawn); err != nil {
		t.Fatal(err)
	}
	if n := sizes(t, s)["senders"]; n != maxSenders+1 {
		t.Errorf("%d are remembered in two mailboxes", n)
	}
	ids := from(t, s, a, dawn.Add(2*time.Hour), "new")
	if firstOf(t, s, ann, ids[0]) {
		t.Error("who wrote last is forgotten")
	}
	if ids = from(t, s, a, dawn.Add(2*time.Hour), "old"); !firstOf(t, s, ann, ids[0]) {
		t.Error("who wrote the longest ago is remembered")
	}
	if err := s.Accounts.Remove(a.ID, dawn); err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), dawn); err != nil {
		t.Fatal(err)
	}
	if n := sizes(t, s)["senders"]; n != 1 {
		t.Errorf("%d are left of a mailbox that is gone", n)
	}
}
