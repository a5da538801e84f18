package registry

import (
	"errors"
	"slices"
	"testing"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
)

// place is the place of a mail.
type place struct {
	folder   string
	validity uint32
	uid      uint32
}

// TestDuplicatePlaces is about one mail whose copies come and go in any order.
func TestDuplicatePlaces(t *testing.T) {
	t.Parallel()
	type step struct {
		verb string // found, removed, read, renumbered, trimmed, reopened or delivered
		place
	}
	inbox, family, work := place{"INBOX", 7, 1}, place{"Family", 3, 9}, place{"Work", 5, 4}
	found := func(p place) step { return step{"found", p} }
	removed := func(p place) step { return step{"removed", p} }
	read := func(p place) step { return step{"read", p} }
	delivered, reopened, trimmed := step{verb: "delivered"}, step{verb: "reopened"}, step{verb: "trimmed"}
	for _, c := range []struct {
		name      string
		steps     []step
		announced []place
		rings     int
		silent    []codes.Code // of all listed, newest first
	}{
		{"a copy", []step{found(inbox), found(family)}, []place{inbox}, 1, []codes.Code{codeDuplicate, ""}},
		{"a copy that is removed", []step{found(inbox), found(family), removed(family)}, []place{inbox}, 1, []codes.Code{codeDuplicate, ""}},
		{"a copy that is read", []step{found(inbox), found(family), read(family)}, []place{inbox}, 1, []codes.Code{codeDuplicate, ""}},
		{"the copy is found first, then the mail is removed", []step{found(inbox), found(family), removed(inbox)}, []place{family}, 1, []codes.Code{codeDuplicate, ""}},
		{"the same, with a restart between", []step{found(inbox), found(family), reopened, removed(inbox)}, []place{family}, 1, []codes.Code{codeDuplicate, ""}},
		{"the same, and the copy is read", []step{found(inbox), found(family), removed(inbox), read(family)}, nil, 1, []codes.Code{codeDuplicate, ""}},
		{"the same, and the copy is removed", []step{found(inbox), found(family), removed(inbox), removed(family)}, nil, 1, []codes.Code{codeDuplicate, ""}},
		{"the mail is read while a copy is there", []step{found(inbox), found(family), read(inbox)}, nil, 1, []codes.Code{codeDuplicate, ""}},
		{"the mail is removed first, and was delivered", []step{found(inbox), delivered, removed(inbox), found(family)}, nil, 1, []codes.Code{codeDuplicate, ""}},
		{"the mail is removed first, and was delivered to nobody", []step{found(inbox), removed(inbox), found(family)}, []place{family}, 2, []codes.Code{"", ""}},
		{"the mail is read first", []step{found(inbox), read(inbox), found(family)}, nil, 1, []codes.Code{codeDuplicate, ""}},
		{"several copies", []step{found(inbox), found(family), found(work), removed(inbox)}, []place{work}, 1, []codes.Code{codeDuplicate, codeDuplicate, ""}},
		{"several copies, of which one after the other is removed", []step{found(inbox), found(family), found(work), removed(inbox), removed(work)}, []place{family}, 1, []codes.Code{codeDuplicate, codeDuplicate, ""}},
		{"until none is left", []step{found(inbox), found(family), found(work), removed(inbox), removed(work), removed(family)}, nil, 1, []codes.Code{codeDuplicate, codeDuplicate, ""}},
		{"to and fro", []step{found(inbox), found(family), removed(inbox), found(place{"INBOX", 7, 2}), removed(family)}, []place{{"INBOX", 7, 2}}, 1, []codes.Code{codeDuplicate, codeDuplicate, ""}},
		{"the copy's folder is renumbered and looked through", []step{found(inbox), found(family), {"renumbered", place{"Family", 4, 1}}, found(place{"Family", 4, 6}), removed(inbox)}, []place{{"Family", 4, 6}}, 1, []codes.Code{codeDuplicate, ""}},
		{"the copy's folder is renumbered and has it no more", []step{found(inbox), found(family), {"renumbered", place{"Family", 4, 1}}, removed(inbox)}, nil, 1, []codes.Code{codeDuplicate, ""}},
		{"the mail's folder is renumbered", []step{found(inbox), found(family), {"renumbered", place{"INBOX", 8, 1}}, found(place{"INBOX", 8, 5}), removed(place{"INBOX", 8, 5})}, []place{family}, 1, []codes.Code{codeDuplicate, ""}},
		{"the folder to which it is copied is renumbered", []step{found(family), {"renumbered", place{"INBOX", 8, 1}}, found(place{"INBOX", 8, 5})}, []place{family}, 1, []codes.Code{codeDuplicate, ""}},
		{"the row of the copy is kept no more", []step{found(inbox), found(family), trimmed, removed(inbox)}, nil, 1, []codes.Code{""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ann := someone(t, s, "ann")
			d := phone(t, s, ann, "phone")
			a := mailbox(t, s, ann, "ann@example.org")
			in := carrier{t, s, a, dawn}
			rings := 0
			for _, at := range c.steps {
				var err error
				switch at.verb {
				case "found":
					rings += in.finds(at.folder, at.validity, Message{UID: at.uid, Fingerprint: "one"})
				case "removed":
					_, _, err = s.Mail.ClearRemoved(a.ID, at.folder, at.validity, []uint32{at.uid}, dawn)
				case "read":
					_, err = s.Mail.Clear(a.ID, at.folder, at.validity, []uint32{at.uid}, dawn)
				case "renumbered":
					in.renumber(at.folder, at.validity)
				case "trimmed":
					err = removeNotRung(s)
				case "reopened":
					reopen(t, s)
				case "delivered":
					drain(t, s, d, dawn)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			var got []place
			for _, at := range []place{inbox, {"INBOX", 8, 0}, family, {"Family", 4, 0}, work} {
				uids, err := s.Mail.Announced(a.ID, at.folder, at.validity)
				if err != nil {
					t.Fatal(err)
				}
				for _, uid := range uids {
					got = append(got, place{at.folder, at.validity, uid})
				}
			}
			var silent []codes.Code
			for _, n := range allNotifications(t, s, ann, 50, dawn) {
				if n.Kind == idlepush.KindMail {
					silent = append(silent, n.Code)
				}
			}
			if !slices.Equal(got, c.announced) || rings != c.rings || !slices.Equal(silent, c.silent) {
				t.Errorf("announced are %v, %d rang, listed are %q; want %v, %d, %q", got, rings, silent, c.announced, c.rings, c.silent)
			}
		})
	}
}

// removeNotRung removes the mails that did not ring, as the limit does.
func removeNotRung(s *Store) error {
	return s.db.Update(func(tx *table.Tx) error {
		list, err := notRung.Keys(tx, table.Range{}, table.NoLimit)
		for _, k := range list {
			err = errors.Join(err, notifications.Delete(tx, k))
		}
		return err
	})
}

func TestTwinsMoved(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := mailbox(t, s, someone(t, s, "ann"), "ann@example.org")
	in := carrier{t, s, a, dawn}
	in.finds("INBOX", 7, Message{UID: 1, Fingerprint: "alarm"})
	in.finds("INBOX", 7, Message{UID: 2, Fingerprint: "alarm", Twins: []uint32{1}})
	in.finds("Family", 3, Message{UID: 8, Fingerprint: "alarm"})
	in.finds("Family", 3, Message{UID: 9, Fingerprint: "alarm"})
	if cleared, moved, err := s.Mail.ClearRemoved(a.ID, "INBOX", 7, []uint32{1, 2}, dawn); err != nil || cleared != 0 || moved != 2 {
		t.Errorf("cleared %d, moved %d, %v", cleared, moved, err)
	}
	if uids, err := s.Mail.Announced(a.ID, "Family", 3); err != nil || !slices.Equal(uids, []uint32{8, 9}) {
		t.Errorf("of two equal mails that moved, announced are %v, %v", uids, err)
	}
}

// TestTwinCombined is about a mail in a summary that is removed, and whose copy is found then.
func TestTwinCombined(t *testing.T) {
	t.Parallel()
	shows := func(s *Store, w Work) error { return settleWork(s, w, Outcome{Result: ResultDelivered}, dawn) }
	for name, c := range map[string]struct {
		before, after func(s *Store, w Work) error // the removal, with the summary
		rings         int
	}{
		"the summary waits":         {rings: 1},
		"the summary was delivered": {before: shows},
		"the summary may have been delivered": {before: func(s *Store, w Work) error {
			return settleWork(s, w, Outcome{Result: ResultRetry, MaybeDelivered: true, Reason: because("timeout", "It is late.")}, dawn)
		}},
		"the summary was accepted, and is not settled": {before: func(s *Store, w Work) error {
			_, _, err := s.Outbox.NextAfter(w, Outcome{Result: ResultDelivered}, dawn)
			return err
		}},
		"the summary is tried again": {before: func(s *Store, w Work) error {
			return settleWork(s, w, Outcome{Result: ResultRetry, Reason: because("busy", "Busy.")}, dawn)
		}, rings: 1},
		"the summary was refused": {before: func(s *Store, w Work) error {
			return settleWork(s, w, Outcome{Result: ResultRefused, Reason: because("refused", "Refused.")}, dawn)
		}, rings: 1},
		"the summary is delivered then, and does not count it": {after: shows, rings: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ann := someone(t, s, "ann")
			d := phone(t, s, ann, "phone")
			a := mailbox(t, s, ann, "ann@example.org")
			in := carrier{t, s, a, dawn}
			for i, f := range []string{"one", "two", "three"} {
				in.finds("INBOX", 7, Message{UID: uint32(i + 1), Fingerprint: f})
			}
			if n, err := combineWork(s, first(t, s, d, dawn), dawn); err != nil || n != 3 {
				t.Fatal(n, err)
			}
			summary := first(t, s, d, dawn)
			if c.before != nil {
				if err := c.before(s, summary); err != nil {
					t.Fatal(err)
				}
			}
			if n, _, err := s.Mail.ClearRemoved(a.ID, "INBOX", 7, []uint32{1}, dawn); err != nil || n != 1 {
				t.Fatal(n, err)
			}
			if c.after != nil {
				if err := c.after(s, first(t, s, d, dawn)); err != nil {
					t.Fatal(err)
				}
			}
			if n := in.finds("Family", 3, Message{UID: 9, Fingerprint: "one"}); n != c.rings {
				t.Errorf("the copy rang %d times, want %d", n, c.rings)
			}
			checkRows(t, s)
		})
	}
}

func TestTwinRemoved(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := mailbox(t, s, someone(t, s, "ann"), "ann@example.org")
	in := carrier{t, s, a, dawn}
	in.finds("INBOX", 7, Message{UID: 1, Fingerprint: "alarm"})
	in.finds("INBOX", 7, Message{UID: 2, Fingerprint: "alarm", Twins: []uint32{1}})
	if cleared, _, err := s.Mail.ClearRemoved(a.ID, "INBOX", 7, []uint32{2}, dawn); err != nil || cleared != 1 {
		t.Errorf("cleared %d, %v", cleared, err)
	}
	if n := in.finds("Family", 3, Message{UID: 9, Fingerprint: "alarm"}); n != 0 {
		t.Errorf("a copy of the one that still rings rang, too: %d", n)
	}
}

// As from a camera without a clock: equal mails, of which two were there before the first look.
func TestKnownTwins(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := mailbox(t, s, someone(t, s, "ann"), "ann@example.org")
	in := carrier{t, s, a, dawn}
	look := arrival(t, s, a, 0, dawn)
	look.Known = []string{"alarm", "alarm"}
	if _, err := s.Mail.Record(look); err != nil {
		t.Fatal(err)
	}
	if n := in.finds("INBOX", 7, Message{UID: 3, Fingerprint: "alarm"}); n != 1 {
		t.Errorf("%d ring", n)
	}
	// A folder that is restored from a backup may keep its UIDVALIDITY.
	for i, validity := range []uint32{8, 9, 9} {
		in.renumbered(validity)
		rang := 0
		for uid, twins := uint32(1), []uint32(nil); uid <= 4; uid++ {
			rang += in.finds("INBOX", validity, Message{UID: uid, Fingerprint: "alarm", Twins: twins})
			twins = append(twins, uid)
		}
		if want := max(0, 1-i); rang != want {
			t.Errorf("look %d through the renumbered folder: %d ring, want %d", i, rang, want)
		}
	}
}

// Of equal mails that were there before the first look, more than maxTwins.
func TestManyKnownTwins(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a := mailbox(t, s, someone(t, s, "ann"), "ann@example.org")
	in := carrier{t, s, a, dawn}
	const many = maxTwins + 2
	look := arrival(t, s, a, 0, dawn)
	look.Known = slices.Repeat([]string{"alarm"}, many)
	if _, err := s.Mail.Record(look); err != nil {
		t.Fatal(err)
	}
	for i, validity := range []uint32{0, 8, 6, 6, 0, 9} {
		in.renumbered(validity)
		rang := 0
		for uid := uint32(1); uid <= many; uid++ {
			rang += in.finds("INBOX", validity, Message{UID: uid, Fingerprint: "alarm"})
		}
		if rang > 0 {
			t.Errorf("look %d through the renumbered folder: of %d from before %d ring", i, many, rang)
		}
	}
	in.renumbered(10)
	if n := in.finds("INBOX", 10, Message{UID: many + 1, Fingerprint: "another"}); n != 1 {
		t.Errorf("of another mail %d ring", n)
	}
}

// TestTwinUnsettled is about a mail that is removed when its push was accepted, and is not settled,
// and whose copy is found then.
func TestTwinUnsettled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		follows bool // another is on its way
		settled bool // before the copy is found
	}{
		"while the next is on its way":   {follows: true},
		"before its outcome is written":  {},
		"and its outcome is written":     {settled: true},
		"and is written with the next's": {follows: true, settled: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ann := someone(t, s, "ann")
			d := phone(t, s, ann, "phone")
			a := mailbox(t, s, ann, "ann@example.org")
			in := carrier{t, s, a, dawn}
			in.finds("INBOX", 7, Message{UID: 1, Fingerprint: "one"})
			if c.follows {
				in.finds("INBOX", 7, Message{UID: 2, Fingerprint: "two"})
			}
			w := first(t, s, d, dawn)
			next, follows, err := s.Outbox.NextAfter(w, Outcome{Result: ResultDelivered}, dawn)
			if err != nil || follows != c.follows {
				t.Fatal(follows, err)
			}
			if follows {
				w = next
			}
			if n, _, err := s.Mail.ClearRemoved(a.ID, "INBOX", 7, []uint32{1}, dawn); err != nil || n != 1 {
				t.Fatal(n, err)
			}
			if c.settled {
				end(t, s, w, Outcome{Result: ResultDelivered}, dawn)
			}
			if n := in.finds("Family", 3, Message{UID: 9, Fingerprint: "one"}); n != 0 {
				t.Error("the copy of what the phone has shown rings, too")
			}
		})
	}
}
