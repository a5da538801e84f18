package registry

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
)

func TestNotRung(t *testing.T) {
	t.Parallel()
	t.Run("a mail that does not ring is listed with the reason, and queued for nobody", notRungListed)
	t.Run("those who do not see the account do not see it", notRungHidden)
	t.Run("the last 200 of an account are kept", notRungKept)
	t.Run("a mail that did not ring may ring from another folder", notRungThenRings)
	t.Run("mail that was there before the first look stays silent when the folder is renumbered", knownBefore)
	t.Run("mail that did not ring stays silent when the folder is renumbered", notRungRenumbered)
	t.Run("mail from before a renumbering is not listed", pastNotListed)
	t.Run("of equal mails in a renumbered folder, those from before stay silent and another rings", equalRenumbered)
}

func notRungListed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	d := phone(t, s, ann, "phone")
	a := mailbox(t, s, ann, "ann@example.org")
	look := arrival(t, s, a, 2, dawn)
	look.Mails[1].NotRung = idlepush.Reason{Code: "seen"}
	if n, err := s.Mail.Record(look); err != nil || n != 1 {
		t.Fatalf("%d ring, %v", n, err)
	}
	list := allNotifications(t, s, ann, 50, dawn)
	if len(list) != 2 || list[0].Code != "seen" || list[1].Code != "" {
		t.Fatalf("listed are %+v", list)
	}
	silent := list[0]
	if want := (idlepush.Content{From: "Ann", Subject: "mail 2"}); silent.Kind != idlepush.KindMail || silent.Folder != "INBOX" || silent.Content != want || len(silent.Deliveries) != 0 {
		t.Errorf("it is listed as %+v with %q", silent, silent.Content.Subject)
	}
	if n, err := s.History.Get(ann.ID, StableID(a.ID, "INBOX", 7, 2), dawn); err != nil || n.Code != "seen" {
		t.Errorf("it is %+v, %v", n, err)
	}
	if got := drain(t, s, d, dawn); !slices.Equal(got, []string{StableID(a.ID, "INBOX", 7, 1)}) {
		t.Errorf("the phone got %v", got)
	}
	if uids, err := s.Mail.Announced(a.ID, "INBOX", 7); err != nil || !slices.Equal(uids, []uint32{1}) {
		t.Errorf("announced are %v, %v", uids, err)
	}
	for name, row := range content(t, s) {
		if strings.HasPrefix(name, "notifications ") && strings.Contains(row, "mail 2") {
			t.Errorf("its subject is in the clear in %s", row)
		}
	}
}

func notRungHidden(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
	a := mailbox(t, s, ann, "ann@example.org")
	look := arrival(t, s, a, 1, dawn)
	look.Mails[0].NotRung = idlepush.Reason{Code: "junk"}
	if _, err := s.Mail.Record(look); err != nil {
		t.Fatal(err)
	}
	if list := allNotifications(t, s, ben, 50, dawn); len(list) != 0 {
		t.Errorf("a stranger sees %+v", list)
	}
	a.SharedWith = []string{ben.ID}
	if _, err := s.Accounts.Update(a, dawn); err != nil {
		t.Fatal(err)
	}
	look = arrival(t, s, a, 1, dawn)
	look.Mails[0].NotRung = idlepush.Reason{Code: "junk"}
	if _, err := s.Mail.Record(look); err != nil {
		t.Fatal(err)
	}
	if list := allNotifications(t, s, ben, 50, dawn); len(list) != 1 {
		t.Errorf("a reader sees %+v", list)
	}
}

func notRungKept(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, other := mailbox(t, s, ann, "ann@example.org"), mailbox(t, s, ann, "other@example.org")
	record := func(a idlepush.Account, n int, rings bool) {
		t.Helper()
		look := arrival(t, s, a, n, dawn)
		for i := range look.Mails {
			if !rings {
				look.Mails[i].NotRung = idlepush.Reason{Code: "seen"}
			}
		}
		if _, err := s.Mail.Record(look); err != nil {
			t.Fatal(err)
		}
	}
	record(other, 2, false)
	record(a, 3, true)
	for range 5 {
		record(a, 45, false)
	}
	kept := map[bool]int{}
	for _, n := range allNotifications(t, s, ann, 500, dawn) {
		if n.Account == a.ID {
			kept[n.Code == ""]++
		} else {
			kept[false]++
		}
	}
	if kept[true] != 3 || kept[false] != 2+200 {
		t.Errorf("kept are %d that rang and %d that did not", kept[true], kept[false])
	}
	if n, err := s.History.Get(ann.ID, StableID(a.ID, "INBOX", 7, 3+5*45), dawn); err != nil || n.Code != "seen" {
		t.Errorf("the last is %+v, %v", n, err)
	}
}

func notRungThenRings(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	in := carrier{t, s, a, dawn}
	if n := in.finds("Spam", 3, Message{UID: 9, Fingerprint: "one", NotRung: idlepush.Reason{Code: "junk"}}); n != 0 {
		t.Errorf("as junk %d ring", n)
	}
	if n := in.found("INBOX", 7, 1, "one"); n != 1 {
		t.Errorf("as no junk %d ring", n)
	}
}

// finds is how many rang when one mail was found in a folder.
func (c carrier) finds(folder string, validity uint32, m Message) int {
	c.Helper()
	from, err := c.s.Mail.Cursor(c.account.ID, folder)
	if err != nil {
		c.Fatal(err)
	}
	n, err := c.s.Mail.Record(Arrival{Account: c.account.ID, Folder: folder, From: from, To: Cursor{UIDValidity: validity, Next: m.UID + 1, Since: from.Since},
		Mails: []Message{m}, At: c.now})
	if err != nil {
		c.Fatal(err)
	}
	return n
}

// renumbered puts the cursor of INBOX before a folder with another UIDVALIDITY.
func (c carrier) renumbered(validity uint32) {
	c.Helper()
	c.renumber("INBOX", validity)
}

// renumber puts the cursor of a folder before one with another UIDVALIDITY.
func (c carrier) renumber(folder string, validity uint32) {
	c.Helper()
	from, err := c.s.Mail.Cursor(c.account.ID, folder)
	if err != nil {
		c.Fatal(err)
	}
	to := Cursor{UIDValidity: validity, Next: 1, Seen: from.Seen, Since: c.now.Add(-time.Hour)}
	if _, err := c.s.Mail.Record(Arrival{Account: c.account.ID, Folder: folder, From: from, To: to, At: c.now}); err != nil {
		c.Fatal(err)
	}
}

func knownBefore(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	in := carrier{t, s, a, dawn}
	look := arrival(t, s, a, 0, dawn)
	for i := range 30 {
		look.Known = append(look.Known, fmt.Sprint("before ", i))
	}
	if _, err := s.Mail.Record(look); err != nil {
		t.Fatal(err)
	}
	if list := allNotifications(t, s, ann, 50, dawn); len(list) != 0 {
		t.Errorf("listed are %+v", list)
	}
	in.renumbered(8)
	if n := in.found("INBOX", 8, 1, "before 29"); n != 0 {
		t.Errorf("of before %d ring", n)
	}
	in.renumbered(9)
	if n := in.found("INBOX", 9, 1, "since"); n != 1 {
		t.Errorf("of since %d ring", n)
	}
	if list := allNotifications(t, s, ann, 50, dawn); len(list) != 1 {
		t.Errorf("listed are %+v", list)
	}
	// To come from a folder that nobody watches is news all the same.
	if n := in.found("Family", 3, 1, "before 1"); n != 1 {
		t.Errorf("of before, in another folder, %d ring", n)
	}
}

func notRungRenumbered(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	in := carrier{t, s, a, dawn}
	in.finds("INBOX", 7, Message{UID: 1, Fingerprint: "one", NotRung: idlepush.Reason{Code: "seen"}})
	in.renumbered(8)
	from, err := s.Mail.Cursor(a.ID, "INBOX")
	if err != nil || from.Since.IsZero() {
		t.Fatal(from, err)
	}
	if n := in.finds("INBOX", 8, Message{UID: 1, Fingerprint: "one"}); n != 0 {
		t.Errorf("%d ring", n)
	}
	if list := allNotifications(t, s, ann, 50, dawn); len(list) != 1 {
		t.Errorf("listed are %+v", list)
	}
}

func pastNotListed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	in := carrier{t, s, a, dawn}
	if n := in.found("INBOX", 7, 1, "one"); n != 1 {
		t.Fatalf("%d ring", n)
	}
	in.renumbered(8)
	if n := in.finds("INBOX", 8, Message{UID: 5, Fingerprint: "one", Past: true}) + in.finds("INBOX", 8, Message{UID: 6, Fingerprint: "two", Past: true}); n != 0 {
		t.Errorf("%d ring", n)
	}
	if list := allNotifications(t, s, ann, 50, dawn); len(list) != 1 || list[0].UID != 5 {
		t.Errorf("listed are %+v", list)
	}
}

func equalRenumbered(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	in := carrier{t, s, mailbox(t, s, ann, "ann@example.org"), dawn}
	in.finds("INBOX", 7, Message{UID: 1, Fingerprint: "alarm"})
	in.finds("INBOX", 7, Message{UID: 2, Fingerprint: "alarm", Twins: []uint32{1}, NotRung: idlepush.Reason{Code: "seen"}})
	in.renumbered(8)
	rang := 0
	for uid, twins := uint32(1), []uint32(nil); uid <= 3; uid++ {
		rang += in.finds("INBOX", 8, Message{UID: uid, Fingerprint: "alarm", Twins: twins})
		twins = append(twins, uid)
	}
	if list := allNotifications(t, s, ann, 50, dawn); rang != 1 || len(list) != 3 || list[0].UID != 3 || list[0].Code != "" {
		t.Errorf("%d rang, listed are %+v", rang, list)
	}
}

func TestDuplicate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		second Message
		folder string
		reason codes.Code
	}{
		{"the same mail again, while the first is there", Message{UID: 2, Fingerprint: "one", Twins: []uint32{1}}, "INBOX", ""},
		{"the same mail again, where the first was", Message{UID: 2, Fingerprint: "one"}, "INBOX", codeDuplicate},
		{"the same mail in another folder", Message{UID: 2, Fingerprint: "one"}, "Family", codeDuplicate},
		{"another mail", Message{UID: 2, Fingerprint: "two"}, "INBOX", ""},
		{"mail of which nothing is known", Message{UID: 2}, "INBOX", ""},
		{"the same mail, which was read", Message{UID: 2, Fingerprint: "one", NotRung: idlepush.Reason{Code: "seen"}}, "Family", "seen"},
		{"the same mail, which is old", Message{UID: 2, Fingerprint: "one", Old: true}, "Family", codeDuplicate},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ann := someone(t, s, "ann")
			a := mailbox(t, s, ann, "ann@example.org")
			in := carrier{t, s, a, dawn}
			in.found("INBOX", 7, 1, "one")
			if n, want := in.finds(test.folder, 7, test.second), len(test.reason); (n == 1) != (want == 0) {
				t.Errorf("%d ring", n)
			}
			list := allNotifications(t, s, ann, 50, dawn)
			if len(list) != 2 || list[0].Code != test.reason || list[0].UID != 2 {
				t.Fatalf("listed are %+v", list)
			}
			if test.reason == codeDuplicate && list[0].Params["folder"] != "INBOX" {
				t.Errorf("its first place is %q", list[0].Params)
			}
		})
	}
}

func TestTwins(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	in := carrier{t, s, a, dawn}
	in.found("INBOX", 7, 1, "one")
	in.finds("INBOX", 7, Message{UID: 2, Fingerprint: "one", Twins: []uint32{1}})
	in.found("INBOX", 7, 3, "two")
	in.finds("INBOX", 7, Message{UID: 4, Fingerprint: "four", NotRung: idlepush.Reason{Code: "seen"}})
	in.found("Family", 7, 5, "five")
	uids, err := s.Mail.Twins(a.ID, "INBOX", 7, []string{"one", "one", "four", "five", "unknown", ""})
	if err != nil || !slices.Equal(uids, []uint32{1, 2}) {
		t.Errorf("twins are %v, %v", uids, err)
	}
}
