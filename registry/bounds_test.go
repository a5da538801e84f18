package registry

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

func TestBounds(t *testing.T) {
	t.Parallel()
	t.Run("a user has no more than the bound of each, also if many are added at once", boundsAtOnce)
	t.Run("what is known, shared, ended or another user's does not count", boundsCount)
	t.Run("a new session ends the one that is not used, none of a device", boundsSessions)
}

// boundedStore is a store with the bounds of the program.
func boundedStore(t testing.TB) *Store {
	t.Helper()
	s := newStore(t)
	s.bounds = defaultBounds
	return s
}

// addition adds the i-th of something for a user.
type addition func(s *Store, user string, i int) error

var additions = map[string]struct {
	most int
	add  addition
}{
	"devices": {50, func(s *Store, user string, i int) error {
		_, _, err := s.Devices.Register(routed(idlepush.Device{User: user, Name: "phone", Transport: FCM, Address: idlepush.Secret(fmt.Sprint(user, i)), Content: idlepush.LevelWake}), "", dawn)
		return err
	}},
	"accounts": {50, func(s *Store, user string, i int) error {
		_, _, err := s.Accounts.Add(idlepush.Account{Owner: user, Host: "imap.example.org", Port: 993, Username: fmt.Sprint(user, i), Folders: []string{"INBOX"}}, "", dawn)
		return err
	}},
	"tokens": {50, func(s *Store, user string, i int) error {
		_, _, err := s.Logins.AddToken(user, "app", idlepush.ScopeDevice, "", dawn)
		return err
	}},
	"invites": {20, func(s *Store, user string, i int) error {
		_, _, err := s.Users.AddInvite(user, InviteForDevice, false, "", dawn)
		return err
	}},
}

func boundsAtOnce(t *testing.T) {
	t.Parallel()
	for name, row := range additions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := boundedStore(t)
			ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
			errs := make([]error, row.most+10)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() { errs[i] = row.add(s, ann.ID, i) })
			}
			wg.Wait()
			added := 0
			for _, err := range errs {
				if err == nil {
					added++
				} else if !isFull(err) {
					t.Error(err)
				}
			}
			if added != row.most {
				t.Errorf("%d were added, want %d", added, row.most)
			}
			if err := row.add(s, bob.ID, 0); err != nil {
				t.Errorf("another user: %v", err)
			}
		})
	}
}

func boundsCount(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		of   string
		also func(s *Store, ann, bob idlepush.User) error
	}{
		"a device that registers again": {"devices", func(s *Store, ann, _ idlepush.User) error {
			return additions["devices"].add(s, ann.ID, 7)
		}},
		"another after one was removed": {"devices", func(s *Store, ann, _ idlepush.User) error {
			list, err := s.Devices.List(ann.ID)
			return errors.Join(err, s.Devices.Remove(list[0], ""), additions["devices"].add(s, ann.ID, 99))
		}},
		"a mailbox that another has": {"accounts", func(s *Store, ann, bob idlepush.User) error {
			err := additions["accounts"].add(s, bob.ID, 0)
			_, added, again := s.Accounts.Add(idlepush.Account{Owner: ann.ID, Host: "imap.example.org", Port: 993, Username: fmt.Sprint(bob.ID, 0), Folders: []string{"INBOX"}}, "", dawn)
			if added {
				return errors.New("it is a new one")
			}
			return errors.Join(err, again)
		}},
		"an invite after one has expired": {"invites", func(s *Store, ann, _ idlepush.User) error {
			_, _, err := s.Users.AddInvite(ann.ID, InviteForDevice, false, "", dawn.Add(InviteForDevice.Lifetime()))
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := boundedStore(t)
			ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
			of := additions[row.of]
			for i := range of.most {
				if err := of.add(s, ann.ID, i); err != nil {
					t.Fatal(err)
				}
			}
			if err := row.also(s, ann, bob); err != nil {
				t.Error(err)
			}
			if err := of.add(s, ann.ID, 100); name != "an invite after one has expired" && !isFull(err) {
				t.Errorf("one more: %v", err)
			}
		})
	}
	t.Run("a device of another user counts as a new one", func(t *testing.T) {
		t.Parallel()
		s := boundedStore(t)
		ann, bob := someone(t, s, "ann"), someone(t, s, "bob")
		phones(t, s, ann, maxDevices)
		d := phone(t, s, bob, "bob's")
		d.User = ann.ID
		if _, _, err := s.Devices.Register(d, "", dawn); !isFull(err) {
			t.Error(err)
		}
	})
}

func boundsSessions(t *testing.T) {
	t.Parallel()
	if boundGiven() > 0 {
		return // so many do not fit one transaction
	}
	s := boundedStore(t)
	resident(t, s, "ann")
	ringing, first, _ := inSession(t, s, "ann")
	for i := range maxLogins {
		if _, _, err := s.Logins.Login("ann", "password", Visit{}, dawn.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Logins.Sessions(ringing.User, dawn)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != maxLogins {
		t.Errorf("there are %d sessions, want %d", len(list), maxLogins)
	}
	has := func(wanted func(Token) bool) (n int) {
		for _, l := range list {
			if wanted(l) {
				n++
			}
		}
		return n
	}
	if has(func(l Token) bool { return l.ID == first.ID }) != 1 {
		t.Error("the session of the device has ended")
	}
	if has(func(l Token) bool { return l.ID != first.ID && l.Used.Equal(dawn) }) != 0 {
		t.Error("the session that was used the longest ago has not ended")
	}
	if err := s.db.View(func(tx *table.Tx) error { _, err := deviceRowOf(tx, id(ringing.ID)); return err }); err != nil {
		t.Error(err)
	}
}

func isFull(err error) bool {
	_, full := errors.AsType[*FullError](err)
	return full
}
