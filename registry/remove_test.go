package registry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"idlepush"
)

func TestShareEnded(t *testing.T) {
	t.Parallel()
	t.Run("each who shares a mailbox that is removed is told once, on every device", shareEndedTold)
	t.Run("they are told with the removal or not at all", shareEndedWhole)
	t.Run("nobody is told who left, who was taken out or who removed it", shareEndedOthers)
	t.Run("that it needs attention is taken away from those who see it no more", shareEndedAttention)
}

// removals are the ways in which a mailbox of ann's goes.
var removals = map[string]func(s *Store, a idlepush.Account, now time.Time) error{
	"the mailbox is removed": func(s *Store, a idlepush.Account, now time.Time) error { return s.Accounts.Remove(a.ID, now) },
	"its owner is removed":   func(s *Store, a idlepush.Account, now time.Time) error { return s.Users.Remove(a.Owner, now) },
	"its account is another mailbox": func(s *Store, a idlepush.Account, now time.Time) error {
		a.Username, a.SharedWith = "another", nil
		_, err := s.Accounts.Update(a, now)
		return err
	},
}

// sharedMailbox is a mailbox of ann's that ben and eve share.
func sharedMailbox(t testing.TB, s *Store) (a idlepush.Account, ben, eve idlepush.User) {
	t.Helper()
	ann := someone(t, s, "ann")
	ben, eve = someone(t, s, "ben"), someone(t, s, "eve")
	a = mailbox(t, s, ann, "family@example.org")
	a.SharedWith = []string{ben.ID, eve.ID}
	a, err := s.Accounts.Update(a, dawn)
	if err != nil {
		t.Fatal(err)
	}
	return a, ben, eve
}

// attentions are those that a user sees.
func attentions(t testing.TB, s *Store, u idlepush.User, now time.Time) (list []idlepush.Notification) {
	t.Helper()
	list, _, err := s.History.List(u.ID, "", 100, now)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(n idlepush.Notification) bool { return n.Kind != idlepush.KindAttention })
}

func shareEndedTold(t *testing.T) {
	t.Parallel()
	for name, remove := range removals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			a, ben, eve := sharedMailbox(t, s)
			phones := map[string][]idlepush.Device{ben.ID: {phone(t, s, ben, "ben 1"), browser(t, s, ben, "ben 2", "https://push.example")}, eve.ID: {phone(t, s, eve, "eve 1")}}
			now := dawn.Add(time.Hour)
			if err := remove(s, a, now); err != nil {
				t.Fatal(err)
			}
			reopen(t, s)
			want := map[string]string{"account": "family@example.org", "host": "imap.example.org", "port": "993", "security": "tls", "username": "family@example.org"}
			ids := make(map[string]bool)
			for _, u := range []idlepush.User{ben, eve} {
				list := attentions(t, s, u, now)
				if len(list) != 1 {
					t.Fatalf("%s sees %+v", u.Name, list)
				}
				n := list[0]
				if ids[n.ID] = true; n.User != u.ID || n.Code != CodeShareEnded || !maps.Equal(n.Params, want) || !n.At.Equal(now) || !n.Expires.Equal(now.Add(7*24*time.Hour)) {
					t.Errorf("%s sees %+v", u.Name, n)
				}
				for _, d := range phones[u.ID] {
					if got := drain(t, s, d, now); !slices.Equal(got, []string{n.ID}) {
						t.Errorf("%s is sent %q, want %q", d.Name, got, n.ID)
					}
				}
			}
			if len(ids) != 2 {
				t.Errorf("the ids are %v", ids)
			}
			if err := s.Purge(t.Context(), now.Add(maxAge-1)); err != nil || len(attentions(t, s, ben, now)) != 1 {
				t.Errorf("after a purge it is no longer listed: %v", err)
			}
		})
	}
}

func shareEndedWhole(t *testing.T) {
	t.Parallel()
	for name, remove := range removals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, fault := faultyStore(t)
			a, ben, eve := sharedMailbox(t, s)
			phone(t, s, ben, "ben 1")
			seen := func(u idlepush.User) string {
				list, err := s.Accounts.List()
				if err != nil {
					t.Fatal(err)
				}
				sees := len(list) > 0 && list[0].Visible(u.ID)
				return fmt.Sprintf("sees it %v, was told %d times", sees, len(attentions(t, s, u, dawn)))
			}
			for failed, n := true, 1; failed; n++ {
				asked := 0
				*fault = func() error {
					if asked++; asked == n {
						return errFault
					}
					return nil
				}
				_ = remove(s, a, dawn)
				failed = asked >= n
				*fault = nil
				for _, u := range []idlepush.User{ben, eve} {
					if got := seen(u); got != "sees it true, was told 0 times" && got != "sees it false, was told 1 times" {
						t.Errorf("when transaction %d has failed, %s %s", n, u.Name, got)
					}
				}
			}
			if got := seen(ben) + seen(eve); got != "sees it false, was told 1 timessees it false, was told 1 times" {
				t.Error(got)
			}
		})
	}
}

func shareEndedOthers(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a, ben, eve := sharedMailbox(t, s)
	for _, left := range [][]string{{eve.ID}, nil} {
		a.SharedWith = left
		var err error
		if a, err = s.Accounts.Update(a, dawn); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Users.Remove(eve.ID, dawn), s.Accounts.Remove(a.ID, dawn)); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{a.Owner, ben.ID, eve.ID} {
		if list := attentions(t, s, idlepush.User{ID: user}, dawn); len(list) > 0 {
			t.Errorf("%s sees %+v", user, list)
		}
	}
}

func shareEndedAttention(t *testing.T) {
	t.Parallel()
	ends := maps.Clone(removals)
	ends["the person leaves"] = func(s *Store, a idlepush.Account, now time.Time) error {
		return s.Accounts.Leave(a.SharedWith[0], a.ID, now)
	}
	for name, remove := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			a, ben, eve := sharedMailbox(t, s)
			ann, err := s.Users.Get(a.Owner)
			if err != nil {
				t.Fatal(err)
			}
			own, bens := phone(t, s, ann, "own"), phone(t, s, ben, "ben's")
			phone(t, s, eve, "eve's")
			if err := setState(s, a, idlepush.StateAttention, "login", "Enter the password again.", dawn); err != nil {
				t.Fatal(err)
			}
			shown := append(drain(t, s, own, dawn), drain(t, s, bens, dawn)...)
			if len(shown) != 2 || shown[0] != shown[1] {
				t.Fatalf("it is told by %q", shown)
			}
			if err := errors.Join(remove(s, a, noon), s.Outbox.Withdraw(noon)); err != nil {
				t.Fatal(err)
			}
			wantClear(t, s, bens, shown[0], noon)
			if name == "the mailbox is removed" {
				wantClear(t, s, own, shown[0], noon)
			}
			checkRows(t, s)
		})
	}
}
