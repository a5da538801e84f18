package registry

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/ring"
)

func TestWishes(t *testing.T) {
	t.Parallel()
	t.Run("each who sees a mailbox has wishes of it, and nobody else", wishesOfEach)
	t.Run("an edit of a revision that is no longer there changes nothing", wishesStale)
	t.Run("they end with the share, and another share begins without", wishesOfShare)
	t.Run("they end with the mailbox, and with the person", wishesEnd)
	t.Run("they end if the account becomes another mailbox", wishesOfMailbox)
	t.Run("of a device they end with it, and with its person", wishesOfDevice)
	t.Run("a page of the same person is told of a change", wishesPublished)
	t.Run("first words are asked for as long as a rule does", wishesForWords)
}

// wishesOf is what the user wishes of the account.
func wishesOf(t testing.TB, s *Store, u idlepush.User, a idlepush.Account) ring.Wishes {
	t.Helper()
	w, err := s.Accounts.Wishes(u.ID, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// wish sets what the user wishes of the account, over what there is.
func wish(t testing.TB, s *Store, u idlepush.User, a idlepush.Account, w ring.Wishes) ring.Wishes {
	t.Helper()
	w.Revision = wishesOf(t, s, u, a).Revision
	w, err := s.Accounts.SetWishes(u.ID, a.ID, w, dawn)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func share(t testing.TB, s *Store, a idlepush.Account, with ...idlepush.User) idlepush.Account {
	t.Helper()
	a.SharedWith = nil
	for _, u := range with {
		a.SharedWith = append(a.SharedWith, u.ID)
	}
	a, err := s.Accounts.Update(a, dawn)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func wishesOfEach(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben, eve := someone(t, s, "ann"), someone(t, s, "ben"), someone(t, s, "eve")
	a := share(t, s, mailbox(t, s, ann, "ann@example.org"), ben)
	if w := wishesOf(t, s, ann, a); !reflect.DeepEqual(w, ring.Wishes{}) {
		t.Error("there are wishes before anybody has any")
	}
	set := wish(t, s, ann, a, someWishes)
	want := someWishes
	want.Revision, want.RulesSince = 1, 1
	if got := wishesOf(t, s, ann, a); !reflect.DeepEqual(set, want) || !reflect.DeepEqual(got, want) {
		t.Errorf("they are %#v, %#v; want %#v", [...]any{got.Revision, got.Rules}, set.Rules, want.Rules)
	}
	if w := wishesOf(t, s, ben, a); !reflect.DeepEqual(w, ring.Wishes{}) {
		t.Error("ben has those of ann")
	}
	_, err := s.Accounts.Wishes(eve.ID, a.ID)
	_, errSet := s.Accounts.SetWishes(eve.ID, a.ID, someWishes, dawn)
	_, errMute := s.Accounts.Mute(eve.ID, a.ID, ring.Mute{Of: ring.MuteMailbox}, dawn)
	errUnmute := s.Accounts.Unmute(eve.ID, a.ID, "mute", dawn)
	_, errNone := s.Accounts.Wishes(ann.ID, "none")
	for i, err := range []error{err, errSet, errMute, errUnmute, errNone} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("call %d about a mailbox that one does not see: %v", i, err)
		}
	}
	err = s.db.View(func(tx *table.Tx) error {
		if rows := all(t, tx, wishes); len(rows) != 1 {
			t.Errorf("there are %d rows, want that of ann", len(rows))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func wishesStale(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "ann@example.org"), phone(t, s, ann, "phone")
	first := wish(t, s, ann, a, ring.Wishes{Name: "first"})
	wish(t, s, ann, a, ring.Wishes{Name: "second"})
	first.Name = "third"
	if _, err := s.Accounts.SetWishes(ann.ID, a.ID, first, dawn); !errors.Is(err, ErrStale) {
		t.Errorf("of a mailbox: %v", err)
	}
	if w := wishesOf(t, s, ann, a); w.Name != "second" || w.Revision != 2 {
		t.Errorf("revision %d is %q", w.Revision, w.Name)
	}
	if _, err := s.Devices.SetWishes(d.ID, someDeviceWishes, dawn); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Devices.SetWishes(d.ID, ring.DeviceWishes{}, dawn); !errors.Is(err, ErrStale) {
		t.Errorf("of a device: %v", err)
	}
	want := someDeviceWishes
	want.Revision, want.QuietSince, want.FoldersSince = 1, 1, 1
	if w, err := s.Devices.Wishes(d.ID); err != nil || !reflect.DeepEqual(w, want) {
		t.Errorf("of a device they are %+v, %v", w, err)
	}
	for name, err := range map[string]error{
		"read":  errOf(s.Devices.Wishes("none")),
		"write": errOf(s.Devices.SetWishes("none", want, dawn)),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s those of no device: %v", name, err)
		}
	}
}

// errOf returns the error.
func errOf[V any](_ V, err error) error { return err }

func wishesOfShare(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
	a := share(t, s, mailbox(t, s, ann, "ann@example.org"), ben)
	wish(t, s, ann, a, ring.Wishes{Name: "of ann"})
	wish(t, s, ben, a, ring.Wishes{Name: "of ben", Rules: []ring.Rule{{If: ring.Match{Words: []string{"x"}}}}})
	if err := s.Accounts.Leave(ben.ID, a.ID, dawn); err != nil {
		t.Fatal(err)
	}
	if _, words, err := s.Mail.Level(a.ID); err != nil || words {
		t.Errorf("words are asked for by nobody who sees the mailbox: %v", err)
	}
	again, err := s.Accounts.Get(a.ID)
	if err != nil {
		t.Fatal(err)
	}
	later := dawn.Add(8 * 24 * time.Hour)
	again.SharedWith = []string{ben.ID}
	if _, err := s.Accounts.Update(again, later); err != nil {
		t.Fatal(err)
	}
	if w := wishesOf(t, s, ben, a); !reflect.DeepEqual(w, ring.Wishes{}) {
		t.Errorf("the new share begins with %q", w.Name)
	}
	if err := s.Purge(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	if n := sizes(t, s)["wishes"]; n != 1 {
		t.Errorf("%d rows are left, want that of ann", n)
	}
	if w := wishesOf(t, s, ann, a); w.Name != "of ann" {
		t.Errorf("ann has %q", w.Name)
	}
}

func wishesEnd(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben, cyd := someone(t, s, "ann"), someone(t, s, "ben"), resident(t, s, "cyd")
	a := share(t, s, mailbox(t, s, ann, "ann@example.org"), ben, cyd)
	b := share(t, s, mailbox(t, s, ben, "ben@example.org"), ann)
	for _, u := range []idlepush.User{ann, ben} {
		wish(t, s, u, a, ring.Wishes{Name: "a"})
		wish(t, s, u, b, ring.Wishes{Name: "b"})
	}
	if err := errors.Join(s.Accounts.Remove(b.ID, dawn), s.Users.Remove(ben.ID, dawn), s.Purge(t.Context(), dawn)); err != nil {
		t.Fatal(err)
	}
	if n := sizes(t, s)["wishes"]; n != 1 || wishesOf(t, s, ann, a).Name != "a" {
		t.Errorf("%d rows are left", n)
	}
}

func wishesOfMailbox(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	wish(t, s, ann, a, ring.Wishes{Name: "of the first"})
	look := arrival(t, s, a, 1, dawn)
	look.Mails[0].Facts.From = "carl@example.org"
	recordAll(t, s, look)
	a.Username = "another"
	a, err := s.Accounts.Update(a, dawn)
	if err != nil {
		t.Fatal(err)
	}
	if w := wishesOf(t, s, ann, a); !reflect.DeepEqual(w, ring.Wishes{}) {
		t.Errorf("the other mailbox has %q", w.Name)
	}
	look = arrival(t, s, a, 1, dawn)
	look.Mails[0].Facts.From = "carl@example.org"
	if !firstOf(t, s, ann, recordAll(t, s, look)[0]) {
		t.Error("the sender has written to the other mailbox, and not to this one")
	}
}

func wishesOfDevice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
	lost, moved := phone(t, s, ann, "lost"), phone(t, s, ann, "moved")
	for _, d := range []idlepush.Device{lost, moved} {
		if _, err := s.Devices.SetWishes(d.ID, someDeviceWishes, dawn); err != nil {
			t.Fatal(err)
		}
	}
	same := moved
	same.Name = "another name"
	if _, created, err := s.Devices.Register(same, "", dawn); err != nil || created {
		t.Fatal(created, err)
	}
	if w, err := s.Devices.Wishes(moved.ID); err != nil || w.Revision != 1 {
		t.Errorf("registered again it has revision %d, %v", w.Revision, err)
	}
	moved.User = ben.ID
	if _, created, err := s.Devices.Register(moved, "", dawn); err != nil || created {
		t.Fatal(created, err)
	}
	if w, err := s.Devices.Wishes(moved.ID); err != nil || !reflect.DeepEqual(w, ring.DeviceWishes{}) {
		t.Errorf("ben has the quiet hours of ann: %+v, %v", w, err)
	}
	if err := s.Devices.Remove(lost, ""); err != nil {
		t.Fatal(err)
	}
	if n := sizes(t, s)["devicewishes"]; n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func wishesPublished(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
	a, d := share(t, s, mailbox(t, s, ann, "ann@example.org"), ben), phone(t, s, ann, "phone")
	own, other := s.History.Listen(ann.ID), s.History.Listen(ben.ID)
	defer own.Stop()
	defer other.Stop()
	wish(t, s, ann, a, ring.Wishes{Name: "club"})
	if _, err := s.Devices.SetWishes(d.ID, someDeviceWishes, dawn); err != nil {
		t.Fatal(err)
	}
	if got, want := own.Take(), []change{{accountChanged, a.ID}, {deviceChanged, d.ID}}; !slices.Equal(got, want) {
		t.Errorf("ann is told of %v, want %v", got, want)
	}
	if got := other.Take(); len(got) > 0 {
		t.Errorf("ben is told of %v", got)
	}
}

func wishesForWords(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
	a := share(t, s, mailbox(t, s, ann, "ann@example.org"), ben)
	kept := func() string {
		t.Helper()
		look := arrival(t, s, a, 1, dawn)
		look.Mails[0].Facts = ring.Facts{Subject: "subject", Words: "first words"}
		n, err := s.History.Get(ann.ID, recordAll(t, s, look)[0], dawn)
		if err != nil || n.Facts.Subject != "subject" {
			t.Errorf("the facts are %+v, %v", n.Facts.Subject, err)
		}
		return n.Facts.Words
	}
	asks := ring.Wishes{Rules: []ring.Rule{{If: ring.Match{Words: []string{"invoice"}}}}}
	for _, c := range []struct {
		w    ring.Wishes
		want bool
	}{{ring.Wishes{}, false}, {asks, true}, {ring.Wishes{}, false}} {
		wish(t, s, ben, a, c.w)
		if _, words, err := s.Mail.Level(a.ID); err != nil || words != c.want {
			t.Errorf("words: %v, %v; want %v", words, err, c.want)
		}
		if got := kept(); got != "" != c.want {
			t.Errorf("%q is kept", got)
		}
	}
}

func TestMutes(t *testing.T) {
	t.Parallel()
	t.Run("a mute is kept by an edit of the rest, and ends by its id", muteKept)
	t.Run("a mute of the same replaces the one before", muteReplaced)
	t.Run("there are so many, and those that have ended do not count", muteBound)
	t.Run("a mute is of a device of one's own", muteDevice)
	t.Run("a mute ends with its device, and counts no more", muteOfRemovedDevice)
}

func muteKept(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	before := wish(t, s, ann, a, ring.Wishes{Name: "before"})
	m, err := s.Accounts.Mute(ann.ID, a.ID, ring.Mute{ID: "mine", Of: ring.MuteSender, Sender: "carl@example.org", Until: dawn.Add(time.Hour)}, dawn)
	if err != nil || m.ID == "mine" || m.ID == "" || !m.Since.Equal(dawn) {
		t.Fatalf("the mute is %+v, %v", m, err)
	}
	before.Name, before.Mutes = "after", []ring.Mute{{ID: "another"}}
	if before, err = s.Accounts.SetWishes(ann.ID, a.ID, before, dawn); err != nil || before.Revision != 2 {
		t.Fatalf("a mute is no edit of the rest: %d, %v", before.Revision, err)
	}
	if w := wishesOf(t, s, ann, a); w.Name != "after" || !reflect.DeepEqual(w.Mutes, []ring.Mute{m}) {
		t.Errorf("%q has the mutes %+v, want %+v", w.Name, w.Mutes, m)
	}
	if err := s.Accounts.Unmute(ann.ID, a.ID, m.ID, dawn); err != nil {
		t.Error(err)
	}
	if err := s.Accounts.Unmute(ann.ID, a.ID, m.ID, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("it ends twice: %v", err)
	}
	if w := wishesOf(t, s, ann, a); len(w.Mutes) > 0 || w.Name != "after" {
		t.Errorf("%q has the mutes %+v", w.Name, w.Mutes)
	}
}

func muteReplaced(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, d := mailbox(t, s, ann, "ann@example.org"), phone(t, s, ann, "phone")
	list := []ring.Mute{
		{Of: ring.MuteMailbox}, {Of: ring.MuteMailbox, Device: d.ID},
		{Of: ring.MuteSender, Sender: "a@example.org"}, {Of: ring.MuteSender, Sender: "b@example.org"},
		{Of: ring.MuteConversation, Thread: []string{"one", "two"}}, {Of: ring.MuteConversation, Thread: []string{"two"}},
	}
	ids := make(map[string]bool)
	for i, m := range slices.Concat(list, list) {
		m.Until = dawn.Add(time.Duration(i+1) * time.Hour)
		m, err := s.Accounts.Mute(ann.ID, a.ID, m, dawn)
		if err != nil {
			t.Fatal(err)
		}
		ids[m.ID] = true
	}
	w := wishesOf(t, s, ann, a)
	if len(w.Mutes) != len(list) || len(ids) != 2*len(list) {
		t.Errorf("%d mutes of %d things", len(w.Mutes), len(list))
	}
	for i, m := range w.Mutes {
		if want := dawn.Add(time.Duration(len(list)+i+1) * time.Hour); !m.Until.Equal(want) {
			t.Errorf("mute %d ends at %v, want %v", i, m.Until, want)
		}
	}
}

func muteBound(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a := mailbox(t, s, ann, "ann@example.org")
	mute := func(i int, now time.Time) error {
		_, err := s.Accounts.Mute(ann.ID, a.ID, ring.Mute{Of: ring.MuteSender, Sender: fmt.Sprint(i), Until: dawn.Add(time.Hour)}, now)
		return err
	}
	for i := range ring.MaxMutes {
		if err := mute(i, dawn); err != nil {
			t.Fatal(err)
		}
	}
	if full, ok := errors.AsType[*FullError](mute(ring.MaxMutes, dawn)); !ok || full.Max != ring.MaxMutes {
		t.Error("there is one more than there may be")
	}
	if err := mute(0, dawn); err != nil {
		t.Errorf("one is replaced: %v", err)
	}
	if err := mute(ring.MaxMutes, dawn.Add(time.Hour)); err != nil {
		t.Errorf("once they have ended: %v", err)
	}
	if n := len(wishesOf(t, s, ann, a).Mutes); n != 1 {
		t.Errorf("%d are kept", n)
	}
}

func muteOfRemovedDevice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	a, lost, kept := mailbox(t, s, ann, "ann@example.org"), phone(t, s, ann, "lost"), phone(t, s, ann, "kept")
	mute := func(i int, device string) error {
		_, err := s.Accounts.Mute(ann.ID, a.ID, ring.Mute{Of: ring.MuteSender, Sender: fmt.Sprint(i), Device: device}, dawn)
		return err
	}
	for i := range ring.MaxMutes {
		device := lost.ID
		if i == 0 {
			device = kept.ID
		}
		if err := mute(i, device); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Devices.Remove(lost, ""); err != nil {
		t.Fatal(err)
	}
	if w := wishesOf(t, s, ann, a); len(w.Mutes) != 1 || w.Mutes[0].Device != kept.ID {
		t.Errorf("%d mutes are left", len(w.Mutes))
	}
	if err := mute(ring.MaxMutes, ""); err != nil {
		t.Errorf("the mutes of a removed device leave no room: %v", err)
	}
}

func muteDevice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := someone(t, s, "ann"), someone(t, s, "ben")
	a, d := share(t, s, mailbox(t, s, ann, "ann@example.org"), ben), phone(t, s, ann, "phone")
	if _, err := s.Accounts.Mute(ben.ID, a.ID, ring.Mute{Of: ring.MuteMailbox, Device: d.ID}, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("ben mutes the phone of ann: %v", err)
	}
	if _, err := s.Accounts.Mute(ann.ID, a.ID, ring.Mute{Of: ring.MuteMailbox, Device: d.ID}, dawn); err != nil {
		t.Error(err)
	}
}
