package registry

import (
	"errors"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
)

func TestPasswordLink(t *testing.T) {
	t.Parallel()
	t.Run("a person chooses a new password by it, once", linkOnce)
	t.Run("the devices of the person are told who made it, and when it was used", linkTold)
	t.Run("it lets nobody in before the devices were told", linkWaits)
	t.Run("if no device is left to tell, the page tells", linkNoticed)
	t.Run("it ends", linkEnds)
	t.Run("a removed person has none", linkOfRemoved)
	t.Run("it is no other invite, and no other invite is one", linkIsNoInvite)
}

// linkFor is a password link for the user that the maker makes.
func linkFor(t *testing.T, s *Store, user, maker, by string, now time.Time) (Invite, string) {
	t.Helper()
	i, code, err := s.Logins.AddPasswordLink(user, maker, by, now)
	if err != nil {
		t.Fatal(err)
	}
	return i, code
}

// told are the notifications of the user, oldest first, without their parameters' cases.
func told(t *testing.T, s *Store, user idlepush.User) (list []idlepush.Reason) {
	t.Helper()
	found, _, err := s.History.List(user.ID, "", 50, dawn)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range slices.Backward(found) {
		list = append(list, n.Reason)
	}
	return list
}

func linkOnce(t *testing.T) {
	t.Parallel()
	for _, ended := range []bool{false, true} {
		s := newStore(t)
		ann, ben := resident(t, s, "ann"), resident(t, s, "ben")
		a := mailbox(t, s, ben, "ben@example.org")
		d, _, session := inSession(t, s, "ben")
		_, token, err := s.Logins.AddToken(ben.ID, "script", idlepush.ScopeFull, "", dawn)
		if err != nil {
			t.Fatal(err)
		}
		_, invite, err := s.Users.AddInvite(ben.ID, InviteForDevice, false, "", dawn)
		if err != nil {
			t.Fatal(err)
		}
		made, code := linkFor(t, s, ben.ID, ann.ID, "", dawn)
		if made.User != ann.ID || made.Person != ben.ID || !made.Expires.Equal(dawn.Add(24*time.Hour)) {
			t.Errorf("it is %+v", made)
		}
		if i, by, err := s.Users.Invite(code, dawn); err != nil || i != made || by != ann {
			t.Errorf("%+v by %+v, %v", i, by, err)
		}
		drain(t, s, d, dawn)
		u, fresh, err := s.Logins.SetPassword(code, "another password", ended, Visit{Name: "Safari", Stay: true}, dawn)
		if err != nil || u != ben {
			t.Fatalf("%+v, %v", u, err)
		}
		if got, row, err := s.Logins.Authenticate(fresh, dawn); err != nil || got != ben || row.By != "" || !row.Proved.Equal(dawn) || row.Name != "Safari" || !row.Stay {
			t.Errorf("%+v %+v, %v", got, row, err)
		}
		for _, secret := range []string{session, token} {
			if _, _, err := s.Logins.Authenticate(secret, dawn); !errors.Is(err, ErrDenied) {
				t.Errorf("what was before: %v", err)
			}
		}
		if _, _, err := s.Users.Accept(invite, "", "", Visit{}, dawn); !errors.Is(err, ErrNotFound) {
			t.Errorf("an invite from before: %v", err)
		}
		if _, err := s.Devices.Get(d.ID); (err == nil) == ended {
			t.Errorf("devices ended: %v, the device: %v", ended, err)
		}
		if _, err := s.Accounts.Get(a.ID); err != nil {
			t.Errorf("the mailbox: %v", err)
		}
		if _, _, err := s.Logins.Login("ben", "password", Visit{}, dawn); !errors.Is(err, ErrDenied) {
			t.Errorf("with the old password: %v", err)
		}
		if _, _, err := s.Logins.Login("ben", "another password", Visit{}, dawn); err != nil {
			t.Errorf("with the new password: %v", err)
		}
		if _, _, err := s.Logins.SetPassword(code, "a third password", false, Visit{}, dawn); !errors.Is(err, ErrNotFound) {
			t.Errorf("again: %v", err)
		}
	}
}

func linkTold(t *testing.T) {
	t.Parallel()
	for by, c := range map[string]struct {
		made func(s *Store, ann, ben idlepush.User) (Invite, string, error)
		want idlepush.Reason
	}{
		"an admin": {func(s *Store, ann, ben idlepush.User) (Invite, string, error) {
			return s.Logins.AddPasswordLink(ben.ID, ann.ID, "", dawn)
		}, idlepush.Reason{Code: codePasswordLink}.With("admin", "ann")},
		"the admin token": {func(s *Store, _, ben idlepush.User) (Invite, string, error) {
			return s.Logins.AddPasswordLink(ben.ID, "", "", dawn)
		}, idlepush.Reason{Code: codePasswordLink}.With(codes.Case, byAdminToken)},
		"somebody on the server": {func(s *Store, _, _ idlepush.User) (Invite, string, error) {
			return s.Logins.AddPasswordLinkOnServer("BEN", dawn)
		}, idlepush.Reason{Code: codePasswordLink}.With(codes.Case, onServer)},
	} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ann, ben := resident(t, s, "ann"), resident(t, s, "ben")
			one, two := phone(t, s, ben, "one"), phone(t, s, ben, "two")
			other := phone(t, s, ann, "other")
			_, code, err := c.made(s, ann, ben)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range []idlepush.Device{one, two} {
				if ids := drain(t, s, d, dawn); len(ids) != 1 {
					t.Errorf("%s gets %d", d.Name, len(ids))
				}
			}
			if _, _, err := s.Logins.SetPassword(code, "another password", false, Visit{}, dawn.Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			if got := told(t, s, ben); len(got) != 2 || !got[0].Equal(c.want) || !got[1].Equal(idlepush.Reason{Code: codePasswordSet}) {
				t.Errorf("he is told %+v", got)
			}
			for _, d := range []idlepush.Device{one, two} {
				if ids := drain(t, s, d, dawn.Add(time.Second)); len(ids) != 1 {
					t.Errorf("%s gets %d more", d.Name, len(ids))
				}
			}
			if ids := drain(t, s, other, dawn); len(ids) != 0 || len(told(t, s, ann)) != 0 {
				t.Errorf("another person gets %v", ids)
			}
		})
	}
}

func linkWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happens func(t *testing.T, s *Store, d idlepush.Device)
		at      time.Time
		opens   bool
	}{
		"at once":       {func(*testing.T, *Store, idlepush.Device) {}, dawn, false},
		"it was pushed": {func(t *testing.T, s *Store, d idlepush.Device) { drain(t, s, d, dawn) }, dawn, true},
		"the push failed": {func(t *testing.T, s *Store, d idlepush.Device) {
			end(t, s, first(t, s, d, dawn), Outcome{Result: ResultRetry, At: dawn.Add(time.Hour)}, dawn)
		}, dawn.Add(time.Minute), false},
		"the device is suspect": {func(t *testing.T, s *Store, d idlepush.Device) {
			end(t, s, first(t, s, d, dawn), Outcome{Result: ResultRetry, At: dawn.Add(time.Hour), Suspect: true}, dawn)
		}, dawn, true},
		"after two minutes": {func(*testing.T, *Store, idlepush.Device) {}, dawn.Add(2 * time.Minute), true},
		"the clock was set": {func(*testing.T, *Store, idlepush.Device) {}, dawn.Add(-time.Hour), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ann, ben := resident(t, s, "ann"), resident(t, s, "ben")
			d := phone(t, s, ben, "phone")
			_, code := linkFor(t, s, ben.ID, ann.ID, "", dawn)
			c.happens(t, s, d)
			_, _, err := s.Logins.SetPassword(code, "another password", true, Visit{}, c.at)
			if (err == nil) != c.opens || err != nil && !errors.Is(err, ErrNotTold) {
				t.Errorf("it opens: %v", err)
			}
			if _, err := s.Devices.Get(d.ID); (err == nil) == c.opens {
				t.Errorf("the device: %v", err)
			}
		})
	}
}

func linkNoticed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := resident(t, s, "ann"), resident(t, s, "ben")
	notice := func(want codes.Code) {
		t.Helper()
		if n, err := s.Users.Notice(ben.ID); err != nil || n.Code != want {
			t.Errorf("%+v, %v, want %s", n, err, want)
		}
	}
	_, code := linkFor(t, s, ben.ID, ann.ID, "", dawn)
	notice(codePasswordLink)
	if _, _, err := s.Logins.SetPassword(code, "another password", false, Visit{}, dawn); err != nil {
		t.Fatal(err)
	}
	notice(codePasswordSet)
	if err := s.Users.Dismiss(ben.ID, dawn); err != nil {
		t.Fatal(err)
	}
	d := phone(t, s, ben, "phone")
	notice("")
	_, code = linkFor(t, s, ben.ID, ann.ID, "", dawn)
	drain(t, s, d, dawn)
	if _, _, err := s.Logins.SetPassword(code, "another password", true, Visit{}, dawn); err != nil {
		t.Fatal(err)
	}
	notice(codePasswordSet)
}

func linkEnds(t *testing.T) {
	t.Parallel()
	no := false
	for name, c := range map[string]struct {
		end   func(s *Store, ann, ben idlepush.User, session Token, link Invite) error
		at    time.Duration
		alive bool
	}{
		"nothing happens for a day": {nil, 24*time.Hour - 1, true},
		"a day is over":             {nil, 24 * time.Hour, false},
		"it is withdrawn":           {func(s *Store, _, _ idlepush.User, _ Token, link Invite) error { return s.Users.RemoveInvite(link.ID) }, 0, false},
		"another is made": {func(s *Store, _, ben idlepush.User, _ Token, _ Invite) error {
			_, _, err := s.Logins.AddPasswordLink(ben.ID, "", "", dawn)
			return err
		}, 0, false},
		"the person changes the password": {func(s *Store, _, ben idlepush.User, _ Token, _ Invite) error {
			_, err := s.Users.UpdateOwn(ben.ID, Proof{Password: "password"}, UserPatch{Password: "another"}, dawn)
			return err
		}, 0, false},
		"the person changes the name": {func(s *Store, _, ben idlepush.User, _ Token, _ Invite) error {
			_, err := s.Users.UpdateOwn(ben.ID, Proof{}, UserPatch{Name: "robert"}, dawn)
			return err
		}, 0, true},
		"the admin changes their password": {func(s *Store, ann, _ idlepush.User, _ Token, _ Invite) error {
			_, err := s.Users.UpdateOwn(ann.ID, Proof{Password: "password"}, UserPatch{Password: "another"}, dawn)
			return err
		}, 0, false},
		"the admin is one no more": {func(s *Store, ann, _ idlepush.User, _ Token, _ Invite) error {
			_, err := s.Users.Update(ann.ID, UserPatch{Admin: &no}, dawn)
			return err
		}, 0, false},
		"the admin is removed": {func(s *Store, ann, _ idlepush.User, _ Token, _ Invite) error { return s.Users.Remove(ann.ID, dawn) }, 0, false},
		"the session in which it was made is ended": {func(s *Store, ann, _ idlepush.User, session Token, _ Invite) error {
			return s.Logins.RemoveSession(ann.ID, session.ID, "")
		}, 0, false},
		"the person logs out elsewhere": {func(s *Store, _, ben idlepush.User, _ Token, _ Invite) error {
			_, secret, err := s.Logins.Login("ben", "password", Visit{}, dawn)
			_, row, found := s.Logins.Authenticate(secret, dawn)
			return errors.Join(err, found, s.Logins.LogOut(ben.ID, row.ID))
		}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ann, ben := resident(t, s, "ann"), resident(t, s, "ben")
			_, session, _ := inSession(t, s, "ann")
			made, code := linkFor(t, s, ben.ID, ann.ID, session.ID, dawn)
			if c.end != nil {
				if err := c.end(s, ann, ben, session, made); err != nil {
					t.Fatal(err)
				}
			}
			list, err := s.Users.Invites(dawn.Add(c.at))
			if err != nil || slices.Contains(list, made) != c.alive {
				t.Errorf("it is listed: %v, %v", list, err)
			}
			if err := s.Purge(t.Context(), dawn.Add(c.at)); err != nil {
				t.Fatal(err)
			}
			_, _, err = s.Logins.SetPassword(code, "a new password", false, Visit{}, dawn.Add(c.at))
			if (err == nil) != c.alive || err != nil && !errors.Is(err, ErrNotFound) {
				t.Errorf("it is accepted: %v", err)
			}
		})
	}
}

func linkOfRemoved(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := resident(t, s, "ann"), resident(t, s, "ben")
	_, code := linkFor(t, s, ben.ID, ann.ID, "", dawn)
	if err := s.Users.Remove(ben.ID, dawn); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Logins.SetPassword(code, "another password", false, Visit{}, dawn); !errors.Is(err, ErrNotFound) || sizes(t, s)["invites"] != 0 {
		t.Errorf("%d are left, %v", sizes(t, s)["invites"], err)
	}
	for _, user := range []string{ben.ID, "", "nobody"} {
		if _, _, err := s.Logins.AddPasswordLink(user, ann.ID, "", dawn); !errors.Is(err, ErrNotFound) {
			t.Errorf("for %q: %v", user, err)
		}
	}
	if _, _, err := s.Logins.AddPasswordLinkOnServer("ben", dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("by the name: %v", err)
	}
}

func linkIsNoInvite(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann, ben := resident(t, s, "ann"), resident(t, s, "ben")
	_, link := linkFor(t, s, ben.ID, ann.ID, "", dawn)
	if _, _, err := s.Users.Accept(link, "eve", "password", Visit{}, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("a link is accepted as an invite: %v", err)
	}
	for _, f := range []InviteFor{InviteForPerson, InviteForDevice} {
		_, code, err := s.Users.AddInvite(ann.ID, f, false, "", dawn)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Logins.SetPassword(code, "password", false, Visit{}, dawn); !errors.Is(err, ErrNotFound) {
			t.Errorf("an invite for a %s is accepted as a link: %v", f, err)
		}
	}
}

func TestGivenPassword(t *testing.T) {
	t.Parallel()
	t.Run("who logs in with a password that an admin chose, the person's devices are told first", givenTold)
	t.Run("one that the person chose tells nobody", givenNoMore)
}

// given is a user whose password an admin chose.
func given(t *testing.T, s *Store, name string) idlepush.User {
	t.Helper()
	u := resident(t, s, name)
	err := s.db.Update(func(tx *table.Tx) error {
		row, err := getUser(tx, u.ID)
		if err != nil {
			return err
		}
		row.Password.Given = true
		return users.Put(tx, id(u.ID), row)
	})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func givenTold(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := given(t, s, "ann")
	login := func(now time.Time, want error) {
		t.Helper()
		if _, _, err := s.Logins.Login("ann", "password", Visit{}, now); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	login(dawn, nil)
	d := phone(t, s, ann, "phone")
	login(dawn, ErrNotTold)
	login(dawn.Add(time.Second), ErrNotTold)
	if got := told(t, s, ann); len(got) != 1 || got[0].Code != codePasswordGiven {
		t.Errorf("she is told %+v", got)
	}
	drain(t, s, d, dawn)
	login(dawn.Add(2*time.Second), nil)
	login(dawn.Add(9*time.Minute), nil)
	login(dawn.Add(10*time.Minute), ErrNotTold)
	login(dawn.Add(12*time.Minute), nil)
	if got := told(t, s, ann); len(got) != 2 {
		t.Errorf("she is told %+v", got)
	}
	if _, _, err := s.Logins.Login("ann", "wrong", Visit{}, dawn.Add(time.Hour)); !errors.Is(err, ErrDenied) || len(told(t, s, ann)) != 2 {
		t.Errorf("a wrong password: %v", err)
	}
}

func givenNoMore(t *testing.T) {
	t.Parallel()
	for name, choose := range map[string]func(s *Store, u idlepush.User) error{
		"by herself": func(s *Store, u idlepush.User) error {
			_, err := s.Users.UpdateOwn(u.ID, Proof{Password: "password"}, UserPatch{Password: "password"}, dawn)
			return err
		},
		"by a link": func(s *Store, u idlepush.User) error {
			_, code, err := s.Logins.AddPasswordLink(u.ID, "", "", dawn)
			if err == nil {
				_, _, err = s.Logins.SetPassword(code, "password", false, Visit{}, dawn)
			}
			return err
		},
	} {
		s := newStore(t)
		ann := given(t, s, "ann")
		if is, err := s.Users.Get(ann.ID); !is.PasswordGiven || err != nil {
			t.Errorf("%s, before: %v, %v", name, is, err)
		}
		if err := choose(s, ann); err != nil {
			t.Fatal(err)
		}
		d := phone(t, s, ann, "phone")
		if _, _, err := s.Logins.Login("ann", "password", Visit{}, dawn); err != nil || len(drain(t, s, d, dawn)) != 0 {
			t.Errorf("%s: %v", name, err)
		}
		if is, err := s.Users.Get(ann.ID); is.PasswordGiven || err != nil {
			t.Errorf("%s, after: %v, %v", name, is, err)
		}
	}
}
