package registry

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"idlepush"
)

func TestSession(t *testing.T) {
	t.Parallel()
	t.Run("a token ends by its limits", tokenLimits)
	t.Run("a session ends however it is used", sessionLimits)
	t.Run("a session that is used lives", sessionUsed)
	t.Run("a session in use is written seldom", sessionWritten)
	t.Run("a browser that is logged out gets no notifications", logoutDevice)
	t.Run("a device does not move into a session that has ended", moveIntoEnded)
	t.Run("nothing is created in a session that has ended", createInEnded)
	t.Run("a removed phone cannot register itself again", removedPhone)
	t.Run("a full disk locks nobody out", fullDiskLogin)
	t.Run("whoever loses a session does not come back by an invite of it", inviteOfLost)
}

func tokenLimits(t *testing.T) {
	t.Parallel()
	const hour, day = time.Hour, 24 * time.Hour
	at := func(d time.Duration) time.Time { return dawn.Add(d) }
	short := tokenRow{Era: 1, Session: true, Created: dawn, Used: dawn, Expires: at(7 * day)}
	long := tokenRow{Era: 1, Session: true, Stay: true, Created: dawn, Used: dawn, Expires: at(365 * day)}
	used := func(t tokenRow, d time.Duration) tokenRow { t.Used = at(d); return t }
	for name, row := range map[string]struct {
		token tokenRow
		now   time.Time
		ended bool
	}{
		"a bearer token does not":               {tokenRow{Era: 1, Scope: idlepush.ScopeFull, Created: dawn}, at(1000 * day), false},
		"a bearer token of another password":    {tokenRow{Scope: idlepush.ScopeFull, Created: dawn}, dawn, true},
		"an app's token of another password":    {tokenRow{Scope: idlepush.ScopeDevice, Created: dawn}, at(1000 * day), false},
		"idle, not yet":                         {short, at(12*hour - 1), false},
		"idle":                                  {short, at(12 * hour), true},
		"used meanwhile":                        {used(short, 11*hour), at(20 * hour), false},
		"used all the time, not yet":            {used(short, 7*day-hour), at(7*day - 1), false},
		"used all the time":                     {used(short, 7*day-hour), at(7 * day), true},
		"staying, idle, not yet":                {long, at(90*day - 1), false},
		"staying, idle":                         {long, at(90 * day), true},
		"staying, used all the time":            {used(long, 365*day-day), at(365 * day), true},
		"of another password":                   {tokenRow{Session: true, Created: dawn, Used: dawn, Expires: at(7 * day)}, dawn, true},
		"made before sessions knew of use":      {tokenRow{Era: 1, Session: true, Created: dawn, Expires: at(30 * day)}, at(12 * hour), true},
		"made before, and used on the same day": {tokenRow{Era: 1, Session: true, Created: dawn, Expires: at(30 * day)}, at(hour), false},
	} {
		if got := row.token.hasEnded(userRow{Era: 1}, row.now); got != row.ended {
			t.Errorf("%s: ended is %v", name, got)
		}
	}
}

func sessionLimits(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	resident(t, s, "ann")
	for stay, want := range map[bool]time.Duration{false: 7 * 24 * time.Hour, true: 365 * 24 * time.Hour} {
		_, session, err := s.Logins.Login("ann", "password", Visit{Stay: stay}, dawn)
		if err != nil {
			t.Fatal(err)
		}
		if _, row, err := s.Logins.Authenticate(session, dawn); err != nil || !row.Expires.Equal(dawn.Add(want)) {
			t.Errorf("staying: %v; it ends at %v, %v; want %v", stay, row.Expires, err, dawn.Add(want))
		}
	}
}

func sessionUsed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := resident(t, s, "ann")
	_, session, err := s.Logins.Login("ann", "password", Visit{Name: "Firefox on Android"}, dawn)
	if err != nil {
		t.Fatal(err)
	}
	now := dawn
	for now.Before(dawn.Add(3 * 24 * time.Hour)) {
		now = now.Add(11 * time.Hour)
		if u, row, err := s.Logins.Authenticate(session, now); err != nil || u != ann || !row.Used.Equal(now) || row.Name != "Firefox on Android" {
			t.Fatalf("%+v %+v, %v", u, row, err)
		}
	}
	if list, err := s.Logins.Sessions(ann.ID, now); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, _, err := s.Logins.Authenticate(session, now.Add(12*time.Hour)); !errors.Is(err, ErrDenied) {
		t.Errorf("after it was idle: %v", err)
	}
	if list, err := s.Logins.Sessions(ann.ID, now.Add(12*time.Hour)); err != nil || len(list) > 0 {
		t.Errorf("the ended one is listed: %+v, %v", list, err)
	}
}

// Each request with a session asks; a commit each time would wear the disk.
func sessionWritten(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	resident(t, s, "ann")
	_, session, err := s.Logins.Login("ann", "password", Visit{}, dawn)
	if err != nil {
		t.Fatal(err)
	}
	before := commits(s)
	for i := range 599 {
		if _, _, err := s.Logins.Authenticate(session, dawn.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if n := commits(s) - before; n != 0 {
		t.Errorf("%d commits within ten minutes", n)
	}
	now := dawn.Add(10 * time.Minute)
	if _, row, err := s.Logins.Authenticate(session, now); err != nil || !row.Used.Equal(now) || commits(s)-before != 1 {
		t.Errorf("after ten minutes it was last used at %v, %v", row.Used, err)
	}
	for _, now := range []time.Time{dawn.Add(6 * time.Hour), dawn} {
		if _, row, err := s.Logins.Authenticate(session, now); err != nil || !row.Used.Equal(now) {
			t.Errorf("with a clock that was ahead and is set right, it was last used at %v, %v", row.Used, err)
		}
	}
}

// inSession is a device that registered itself in a new session of the user, and the session.
func inSession(t testing.TB, s *Store, name string) (idlepush.Device, Token, string) {
	t.Helper()
	u, session, err := s.Logins.Login(name, "password", Visit{Stay: true}, dawn)
	if err != nil {
		t.Fatal(err)
	}
	_, row, err := s.Logins.Authenticate(session, dawn)
	if err != nil {
		t.Fatal(err)
	}
	d := register(t, s, idlepush.Device{User: u.ID, Name: "phone", By: row.ID, Transport: FCM, Address: idlepush.Secret(row.ID), Content: idlepush.LevelWake})
	return d, row, session
}

func logoutDevice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := resident(t, s, "ann")
	bob := someone(t, s, "bob")
	d, row, session := inSession(t, s, "ann")
	other, _, _ := inSession(t, s, "ann")
	if err := s.Logins.RemoveSession(bob.ID, row.ID, ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("ended by another: %v", err)
	}
	if err := s.Logins.RemoveToken(ann.ID, row.ID, ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("a session passes for a bearer token: %v", err)
	}
	if err := s.Logins.RemoveSession(ann.ID, row.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Logins.Authenticate(session, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("the session: %v", err)
	}
	if _, err := s.Devices.Get(d.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("its device: %v", err)
	}
	if _, err := s.Devices.Get(other.ID); err != nil {
		t.Errorf("the device of another session: %v", err)
	}
}

// It may be asked for while a push to it is waited for.
func moveIntoEnded(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := resident(t, s, "ann")
	_, row, _ := inSession(t, s, "ann")
	d := phone(t, s, ann, "phone")
	if err := s.Logins.RemoveSession(ann.ID, row.ID, ""); err != nil {
		t.Fatal(err)
	}
	d.By = row.ID
	if _, err := s.Devices.Update(d, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("it did: %v", err)
	}
}

func createInEnded(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := resident(t, s, "ann")
	_, row, _ := inSession(t, s, "ann")
	makers := map[string]func() error{
		"a token": func() error {
			_, _, err := s.Logins.AddToken(ann.ID, "app", idlepush.ScopeFull, row.ID, dawn)
			return err
		},
		"an invite": func() error { _, _, err := s.Users.AddInvite(ann.ID, InviteForDevice, false, row.ID, dawn); return err },
	}
	for what, do := range makers {
		if err := do(); err != nil {
			t.Errorf("%s before: %v", what, err)
		}
	}
	if err := s.Logins.RemoveSession(ann.ID, row.ID, ""); err != nil {
		t.Fatal(err)
	}
	for what, do := range makers {
		if err := do(); !errors.Is(err, ErrDenied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	left, err := s.Logins.Tokens(ann.ID)
	invited, inviteErr := s.Users.Invites(dawn)
	if err := errors.Join(err, inviteErr); err != nil || len(left) != 0 || len(invited) != 0 {
		t.Errorf("tokens %v, invites %v, %v", left, invited, err)
	}
}

func removedPhone(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	resident(t, s, "ann")
	lost, _, session := inSession(t, s, "ann")
	_, own, present := inSession(t, s, "ann")
	if err := s.Devices.Remove(lost, own.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Logins.Authenticate(session, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("the session of the phone that was removed: %v", err)
	}
	if _, _, err := s.Logins.Authenticate(present, dawn); err != nil {
		t.Errorf("the session that removed it: %v", err)
	}
	mine, err := s.Devices.List(own.User)
	if err != nil || len(mine) != 1 {
		t.Fatal(mine, err)
	}
	if err := s.Devices.Remove(mine[0], own.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Logins.Authenticate(present, dawn); err != nil {
		t.Errorf("the session that removed its own device: %v", err)
	}
}

func fullDiskLogin(t *testing.T) {
	t.Parallel()
	s, fault := faultyStore(t)
	ann := resident(t, s, "ann")
	_, session, err := s.Logins.Login("ann", "password", Visit{Stay: true}, dawn)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	*fault = func() error {
		if asked++; asked == 2 { // the first reads, the second notes the use
			return syscall.ENOSPC
		}
		return nil
	}
	if u, _, err := s.Logins.Authenticate(session, dawn.Add(time.Hour)); err != nil || u != ann || asked != 2 {
		t.Errorf("%+v after %d transactions, %v", u, asked, err)
	}
	*fault = nil
}

func inviteOfLost(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := resident(t, s, "ann")
	for name, end := range map[string]func(d idlepush.Device, row Token) error{
		"it is ended":           func(_ idlepush.Device, row Token) error { return s.Logins.RemoveSession(ann.ID, row.ID, "") },
		"it is logged out":      func(_ idlepush.Device, row Token) error { return s.Logins.LogOut(ann.ID, row.ID) },
		"its device is removed": func(d idlepush.Device, _ Token) error { return s.Devices.Remove(d, "") },
		"the password is another": func(idlepush.Device, Token) error {
			_, err := s.Users.UpdateOwn(ann.ID, Proof{Password: "password"}, UserPatch{Password: "password"}, dawn)
			return err
		},
	} {
		d, row, _ := inSession(t, s, "ann")
		var codes []string
		for _, f := range []InviteFor{InviteForPerson, InviteForDevice} {
			_, code, err := s.Users.AddInvite(ann.ID, f, false, row.ID, dawn)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, code)
		}
		if err := end(d, row); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, code := range codes {
			if _, _, err := s.Users.Accept(code, "eve", "", Visit{}, dawn); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
