package registry

import (
	"fmt"
	"slices"
	"testing"

	"idlepush"
)

func TestListener(t *testing.T) {
	t.Parallel()
	t.Run("those who may see a change get it, and nobody else", viewersHear)
	t.Run("a stranger gets nothing", strangerHearsNothing)
	t.Run("a slow listener must read everything again", slowListener)
}

// heard gives what the listener was told, as text.
func heard(l *Listener) (list []string) {
	for _, c := range l.Take() {
		list = append(list, string(c.Kind)+" "+c.ID)
	}
	slices.Sort(list)
	return list
}

func viewersHear(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, bob, eve := someone(t, s, "ann"), someone(t, s, "bob"), someone(t, s, "eve")
	anns, bobs, eves := s.History.Listen(ann.ID), s.History.Listen(bob.ID), s.History.Listen(eve.ID)
	defer anns.Stop()
	defer bobs.Stop()
	defer eves.Stop()
	want := func(what string, l *Listener, want ...string) {
		t.Helper()
		slices.Sort(want)
		if got := heard(l); !slices.Equal(got, want) {
			t.Errorf("%s: heard %v, want %v", what, got, want)
		}
	}
	a := mailbox(t, s, ann, "ann@example.org")
	want("a new mailbox", anns, "account "+a.ID)
	want("another's new mailbox", bobs)
	a.SharedWith = []string{bob.ID}
	a, err := s.Accounts.Update(a, dawn)
	if err != nil {
		t.Fatal(err)
	}
	want("sharing it", anns, "account "+a.ID)
	want("what is shared", bobs, "account "+a.ID)
	d := phone(t, s, bob, "phone")
	want("another's phone", anns)
	want("a phone", bobs, "device "+d.ID)
	arrive(t, s, a, 1, dawn)
	mail := StableID(a.ID, "INBOX", 7, 1)
	want("mail", anns, "notification "+mail)
	want("mail of what is shared", bobs, "notification "+mail)
	end(t, s, first(t, s, d, dawn), Outcome{Result: ResultDelivered}, dawn)
	want("its delivery to another's phone", anns, "notification "+mail)
	want("its delivery", bobs, "device "+d.ID, "notification "+mail)
	if err := setState(s, a, idlepush.StateRetrying, "connection_lost", "It was lost.", dawn); err != nil {
		t.Fatal(err)
	}
	want("the state of a mailbox", anns, "account "+a.ID)
	if err := s.Mail.SetUnread(a.ID, 3); err != nil {
		t.Fatal(err)
	}
	want("what is unread", bobs, "account "+a.ID)
	pause(t, s, Lane{Name: "fcm", Since: dawn, Until: dawn})
	want("a pause", bobs, "device ")
	heard(anns)
	a.SharedWith = nil
	if _, err := s.Accounts.Update(a, dawn); err != nil {
		t.Fatal(err)
	}
	want("what is shared no more", bobs, "account "+a.ID)
	if err := s.Accounts.Remove(a.ID, dawn); err != nil {
		t.Fatal(err)
	}
	want("a mailbox that goes", anns, "account "+a.ID)
	want("another's mailbox that goes", bobs)
	if err := s.Devices.Remove(d, ""); err != nil {
		t.Fatal(err)
	}
	want("a phone that goes", bobs, "device "+d.ID)
	if _, err := s.Users.UpdateOwn(bob.ID, Proof{}, UserPatch{Name: "robert"}, dawn); err != nil {
		t.Fatal(err)
	}
	want("a name", anns, "user "+bob.ID)
	heard(eves)
	if _, err := s.Users.UpdateOwn(bob.ID, Proof{}, UserPatch{Name: "ann"}, dawn); err == nil {
		t.Fatal("two of one name")
	}
	want("a change that is refused", eves)
}

func strangerHearsNothing(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, eve := someone(t, s, "ann"), someone(t, s, "eve")
	l := s.History.Listen(eve.ID)
	defer l.Stop()
	a := mailbox(t, s, ann, "ann@example.org")
	d := phone(t, s, ann, "phone")
	arrive(t, s, a, 3, dawn)
	end(t, s, first(t, s, d, dawn), Outcome{Result: ResultDelivered}, dawn)
	if got := heard(l); len(got) > 0 {
		t.Errorf("heard %v", got)
	}
}

func slowListener(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	l := s.History.Listen(ann.ID)
	defer l.Stop()
	for i := range maxChanges + 5 {
		phone(t, s, ann, fmt.Sprint(i))
	}
	if got := heard(l); !slices.Equal(got, []string{"all "}) {
		t.Errorf("heard %v", got)
	}
	d := phone(t, s, ann, "one more")
	if got := heard(l); !slices.Equal(got, []string{"device " + d.ID}) {
		t.Errorf("then heard %v", got)
	}
	l.Stop()
	phone(t, s, ann, "yet another")
	if got := heard(l); len(got) > 0 {
		t.Errorf("after it stopped it heard %v", got)
	}
}
