package registry

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"idlepush"
)

func TestInvite(t *testing.T) {
	t.Parallel()
	t.Run("an invite admits one person", inviteOnce)
	t.Run("an invite for a device is for the user who made it", inviteForDevice)
	t.Run("an invite ends", inviteEnds)
	t.Run("there is always an admin", alwaysAnAdmin)
	t.Run("a removed user leaves nothing", removedUser)
}

func inviteOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := resident(t, s, "ann")
	made, code, err := s.Users.AddInvite(ann.ID, InviteForPerson, false, "", dawn)
	if err != nil {
		t.Fatal(err)
	}
	now := dawn.Add(time.Hour)
	if i, by, err := s.Users.Invite(code, now); err != nil || i != made || by != ann {
		t.Errorf("%+v by %+v, %v", i, by, err)
	}
	if _, _, err := s.Users.Accept(code, "Ann", "another password", Visit{}, now); !errors.Is(err, ErrTaken) {
		t.Errorf("with a name that is taken: %v", err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i, name := range []string{"bob", "carl", "dora"} {
		wg.Go(func() { _, _, errs[i] = s.Users.Accept(code, name, "bobs password", Visit{}, now) })
	}
	wg.Wait()
	in := 0
	for _, err := range errs {
		if err == nil {
			in++
		} else if !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
	list, err := s.Users.List()
	if in != 1 || err != nil || len(list) != 2 || sizes(t, s)["invites"] != 0 {
		t.Errorf("%d came in, there are %+v, %v", in, list, err)
	}
	i := slices.IndexFunc(list, func(u idlepush.User) bool { return u.ID != ann.ID })
	if list[i].Admin {
		t.Error("they are an admin")
	}
	if u, session, err := s.Logins.Login(list[i].Name, "bobs password", Visit{}, now); err != nil || u != list[i] || session == "" {
		t.Errorf("%+v, %v", u, err)
	}
}

func inviteForDevice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	bob := someone(t, s, "bob")
	_, code, err := s.Users.AddInvite(bob.ID, InviteForDevice, true, "", dawn)
	if err != nil {
		t.Fatal(err)
	}
	u, session, err := s.Users.Accept(code, "eve", "password", Visit{Name: "Safari", Stay: true}, dawn.Add(14*time.Minute))
	if err != nil || u != bob {
		t.Fatalf("%+v, %v", u, err)
	}
	if got, row, err := s.Logins.Authenticate(session, dawn.Add(time.Hour)); err != nil || got != bob || row.Name != "Safari" || !row.Stay {
		t.Errorf("%+v %+v, %v", got, row, err)
	}
}

func inviteEnds(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := resident(t, s, "ann")
	other, err := s.Users.Add("other", "password", true, "", "", dawn)
	if err != nil {
		t.Fatal(err)
	}
	invite := func(by idlepush.User, f InviteFor) (Invite, string) {
		i, code, err := s.Users.AddInvite(by.ID, f, false, "", dawn)
		if err != nil {
			t.Fatal(err)
		}
		return i, code
	}
	gone := func(code string, now time.Time) {
		t.Helper()
		if _, _, err := s.Users.Invite(code, now); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
		if _, _, err := s.Users.Accept(code, "eve", "password", Visit{}, now); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
	}
	gone("no such code", dawn)
	_, device := invite(ann, InviteForDevice)
	gone(device, dawn.Add(15*time.Minute))
	_, late := invite(ann, InviteForPerson)
	for code, last := range map[string]time.Time{device: dawn.Add(15 * time.Minute), late: dawn.AddDate(0, 0, 7)} {
		if _, _, err := s.Users.Invite(code, last.Add(-1)); err != nil {
			t.Errorf("just before %v: %v", last, err)
		}
	}
	gone(late, dawn.AddDate(0, 0, 7))
	back, taken := invite(ann, InviteForPerson)
	if err := s.Users.RemoveInvite(back.ID); err != nil {
		t.Fatal(err)
	}
	gone(taken, dawn)
	no := false
	_, demoted := invite(other, InviteForPerson)
	if _, err := s.Users.Update(other.ID, UserPatch{Admin: &no}, dawn); err != nil {
		t.Fatal(err)
	}
	gone(demoted, dawn)
	if list, err := s.Users.Invites(dawn.Add(time.Hour)); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := s.Purge(t.Context(), dawn.AddDate(0, 0, 7)); err != nil || sizes(t, s)["invites"] != 0 {
		t.Errorf("%d are left, %v", sizes(t, s)["invites"], err)
	}
}

func alwaysAnAdmin(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := resident(t, s, "ann")
	bob, err := s.Users.Add("bob", "password", false, "", "", dawn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Users.Add("BOB", "password", false, "", "", dawn); !errors.Is(err, ErrTaken) {
		t.Errorf("a second of the name: %v", err)
	}
	yes, no := true, false
	if err := s.Users.Remove(ann.ID, dawn); !errors.Is(err, ErrLast) {
		t.Errorf("removing the last: %v", err)
	}
	if _, err := s.Users.Update(ann.ID, UserPatch{Name: "Anna", Admin: &no}, dawn); !errors.Is(err, ErrLast) {
		t.Errorf("demoting the last: %v", err)
	}
	if u, err := s.Users.Get(ann.ID); err != nil || u != ann {
		t.Errorf("a refused change changed %+v, %v", u, err)
	}
	if u, err := s.Users.Update(bob.ID, UserPatch{Admin: &yes}, dawn); err != nil || !u.Admin {
		t.Fatal(u, err)
	}
	// Both at once.
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, id := range []string{ann.ID, bob.ID} {
		wg.Go(func() { errs[i] = s.Users.Remove(id, dawn) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), ErrLast) {
		t.Errorf("both at once: %v", errs)
	}
}

func removedUser(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := resident(t, s, "ann")
	before := sizes(t, s)
	bob, err := s.Users.Add("bob", "password", false, "", "", dawn)
	if err != nil {
		t.Fatal(err)
	}
	own, shared := mailbox(t, s, bob, "bob@example.org"), mailbox(t, s, ann, "ann@example.org")
	shared.SharedWith = []string{bob.ID}
	if _, err := s.Accounts.Update(shared, dawn); err != nil {
		t.Fatal(err)
	}
	d, _, session := inSession(t, s, "bob")
	arrive(t, s, own, 2, dawn)
	if _, _, err := s.Logins.AddToken(bob.ID, "app", idlepush.ScopeDevice, "", dawn); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Users.AddInvite(bob.ID, InviteForDevice, false, "", dawn); err != nil {
		t.Fatal(err)
	}
	if err := s.Users.Remove(bob.ID, dawn); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Logins.Authenticate(session, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("the session: %v", err)
	}
	if _, err := s.Accounts.Get(own.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("the account: %v", err)
	}
	if _, err := s.Devices.Get(d.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("the device: %v", err)
	}
	if a, err := s.Accounts.Get(shared.ID); err != nil || len(a.SharedWith) > 0 {
		t.Errorf("what was shared with them: %+v, %v", a, err)
	}
	if err := errors.Join(s.Accounts.Remove(shared.ID, dawn), s.Purge(t.Context(), dawn)); err != nil {
		t.Fatal(err)
	}
	for bucket, n := range sizes(t, s) {
		if n != before[bucket] {
			t.Errorf("%d rows of %s are left, %d were there before", n, bucket, before[bucket])
		}
	}
	if err := s.Users.Remove(bob.ID, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("again: %v", err)
	}
}
