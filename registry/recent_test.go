package registry

import (
	"errors"
	"fmt"
	"testing"

	"idlepush/ring"
)

func TestRecorded(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	d := phone(t, s, ann, "phone")
	a := mailbox(t, s, ann, "ann@example.org")
	in := carrier{t, s, a, dawn}
	finds := func(folder string, validity, uid uint32, print, from string) {
		in.finds(folder, validity, Message{UID: uid, Fingerprint: print, Facts: ring.Facts{From: from}})
	}
	finds("INBOX", 7, 1, "one", "one@example.org")
	finds("INBOX", 7, 2, "", "two@example.org")
	finds("Family", 3, 9, "one", "one@example.org") // a copy
	finds("INBOX", 7, 3, "three", "three@example.org")
	drain(t, s, d, dawn)
	if _, _, err := s.Mail.ClearRemoved(a.ID, "INBOX", 7, []uint32{3}, dawn); err != nil {
		t.Fatal(err)
	}
	finds("Family", 3, 10, "three", "three@example.org") // moved there
	for _, c := range []struct {
		name     string
		folder   string
		validity uint32
		msg      Message
		want     string // the sender, with First, and the place
	}{
		{"a mail", "INBOX", 7, Message{UID: 1, Fingerprint: "one"}, "one@example.org true INBOX 1"},
		{"a mail without a fingerprint", "INBOX", 7, Message{UID: 2}, "two@example.org true INBOX 2"},
		{"a mail that did not come whole", "INBOX", 7, Message{UID: 1}, "one@example.org true INBOX 1"},
		{"a copy", "Family", 3, Message{UID: 9, Fingerprint: "one"}, "one@example.org true INBOX 1"},
		{"one that was moved", "Family", 3, Message{UID: 10, Fingerprint: "three"}, "three@example.org true INBOX 3"},
		{"another mail with its UID", "INBOX", 7, Message{UID: 1, Fingerprint: "other"}, ""},
		{"another folder", "Work", 7, Message{UID: 1, Fingerprint: "one"}, ""},
		{"another UIDVALIDITY", "INBOX", 8, Message{UID: 1, Fingerprint: "one"}, ""},
		{"an unknown mail", "INBOX", 7, Message{UID: 4, Fingerprint: "four"}, ""},
	} {
		found, err := s.Mail.Recorded(a.ID, c.folder, c.validity, []Message{c.msg})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if n, ok := found[c.msg.UID]; ok {
			got = fmt.Sprint(n.Facts.From, " ", n.Facts.First, " ", n.Folder, " ", n.UID)
		}
		if got != c.want || len(found) > 1 {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for sender, want := range map[string]bool{"one@example.org": true, "four@example.org": false} {
		if known, err := s.Mail.KnowsSender(a.ID, sender); err != nil || known != want {
			t.Errorf("%s is known: %v, %v", sender, known, err)
		}
	}
	if _, err := s.Mail.Recorded("gone", "INBOX", 7, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("of an account that is gone: %v", err)
	}
	if _, err := s.Mail.KnowsSender("gone", "one@example.org"); !errors.Is(err, ErrNotFound) {
		t.Errorf("of an account that is gone: %v", err)
	}
}
