package registry

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	t.Run("what is ended ends what it made, and nothing else", endedTree)
	t.Run("nothing that a thief made works after a new password", thiefsMinute)
	t.Run("whoever ends the session that made their own stays", endedMaker)
	t.Run("a token of device scope has one device", oneDevice)
	t.Run("a session that is too old cuts nothing off", oldSession)
	t.Run("a token of device scope raises no level, whatever its device", noLevelRaised)
	t.Run("the last use of a token is kept", tokenUsed)
}

// credential is one of the model: a session, a token, an invite, a passkey or a device.
type credential struct {
	kind    string
	by      string
	created time.Time
	secret  string // of an invite: its code
	ended   bool   // by a new password
}

// credentials are those of one user, by id, in plain maps and without any code of the store.
type credentials struct {
	t     *testing.T
	s     *Store
	rand  *rand.Rand
	user  idlepush.User
	now   time.Time
	have  map[string]*credential
	count int

	password string
}

func endedTree(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			m := &credentials{t: t, s: s, rand: rand.New(rand.NewPCG(seed, 0)), user: resident(t, s, "ann"), now: dawn, have: map[string]*credential{}, password: "password"}
			for range 250 {
				m.step()
				m.compare()
			}
		})
	}
}

// pick returns the id of one of the kinds, which may have ended, or "".
func (m *credentials) pick(kinds ...string) string {
	ids := slices.Sorted(maps.Keys(m.have))
	ids = slices.DeleteFunc(ids, func(id string) bool { return !slices.Contains(kinds, m.have[id].kind) })
	if len(ids) == 0 {
		return ""
	}
	return ids[m.rand.IntN(len(ids))]
}

// lives reports whether that of the id admits somebody now.
func (m *credentials) lives(id string) bool {
	c := m.have[id]
	switch {
	case c == nil || c.ended:
		return false
	case c.kind == "session":
		return m.now.Before(c.created.Add(sessionIdle))
	case c.kind == "invite":
		return m.now.Before(c.created.Add(InviteForDevice.Lifetime()))
	}
	return true
}

// want holds the error of a call that makes something by a credential to whether that lives.
func (m *credentials) want(err error, by string) bool {
	if m.lives(by) != (err == nil) || err != nil && !errors.Is(err, ErrDenied) {
		m.t.Fatalf("made by %+v: %v", m.have[by], err)
	}
	return err == nil
}

func (m *credentials) step() {
	m.count++
	m.now = m.now.Add(time.Duration(m.rand.IntN(4)) * time.Minute)
	by := m.pick("session", "full")
	switch n := m.rand.IntN(100); {
	case n < 12 || by == "":
		m.logIn("")
	case n < 16:
		m.usePasskey()
	case n < 45 && len(m.have) < 40:
		m.make(by)
	case n < 55:
		m.accept()
	case n < 70 && len(m.have) < 40:
		m.register(m.pick("session", "full", "device"))
	case n < 88:
		m.end()
	case n < 90:
		m.setPassword()
	case n < 92:
		m.now = m.now.Add(sessionIdle / 2)
	default:
		if err := m.s.Purge(m.t.Context(), m.now); err != nil {
			m.t.Fatal(err)
		}
		made := map[string]bool{}
		for _, c := range m.have {
			made[c.by] = true
		}
		maps.DeleteFunc(m.have, func(id string, c *credential) bool {
			return (c.kind == "session" && !made[id] || c.kind == "invite") && !m.lives(id)
		})
	}
}

// logIn begins a session without the time that a password takes.
func (m *credentials) logIn(by string) {
	secret := newToken()
	err := m.s.db.Update(func(tx *table.Tx) error {
		u, err := getUser(tx, m.user.ID)
		if err != nil {
			return err
		}
		return beginSession(tx, secret, id(m.user.ID), u, Visit{}, by, m.now, m.now)
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.began(secret, by)
}

// began adds the session of the secret.
func (m *credentials) began(secret, by string) {
	_, row, err := m.s.Logins.Authenticate(secret, m.now)
	if err != nil {
		m.t.Fatal(err)
	}
	m.have[row.ID] = &credential{kind: "session", by: by, created: m.now}
}

func (m *credentials) make(by string) {
	kind := []string{"full", "device", "invite", "passkey"}[m.rand.IntN(4)]
	if kind == "passkey" {
		k, err := m.s.Logins.AddPasskey(m.user.ID, passkeyFor(fmt.Sprint(m.count)), by, m.now)
		if m.want(err, by) {
			m.have[k.ID] = &credential{kind: kind, by: by, created: m.now, secret: string(k.Credential)}
		}
		return
	}
	if kind == "invite" {
		i, code, err := m.s.Users.AddInvite(m.user.ID, InviteForDevice, false, by, m.now)
		if m.want(err, by) {
			m.have[i.ID] = &credential{kind: kind, by: by, created: m.now, secret: code}
		}
		return
	}
	row, _, err := m.s.Logins.AddToken(m.user.ID, "app", idlepush.Scope(kind), by, m.now)
	if m.want(err, by) {
		m.have[row.ID] = &credential{kind: kind, by: by, created: m.now}
	}
}

func (m *credentials) accept() {
	invite := m.pick("invite")
	if invite == "" {
		return
	}
	_, secret, err := m.s.Users.Accept(m.have[invite].secret, "", "", Visit{}, m.now)
	if m.lives(invite) != (err == nil) {
		m.t.Fatalf("accepting %+v: %v", m.have[invite], err)
	}
	if err == nil {
		m.began(secret, m.have[invite].by)
		delete(m.have, invite)
	}
}

// usePasskey begins a session by one.
func (m *credentials) usePasskey() {
	k := m.pick("passkey")
	if k == "" {
		return
	}
	_, secret, err := m.s.Logins.LoginByPasskey(m.user.ID, Passkey{Credential: []byte(m.have[k].secret)}, Visit{}, m.now)
	if err != nil {
		m.t.Fatal(err)
	}
	m.began(secret, k)
}

// register registers a new device, or one that is there.
func (m *credentials) register(by string) {
	address, known := fmt.Sprint("phone ", m.count), ""
	if m.rand.IntN(2) == 0 {
		if known = m.pick("phone"); known != "" {
			address = m.have[known].secret
		}
	}
	own := ""
	for id, c := range m.have {
		if c.kind == "phone" && c.by == by {
			own = id
		}
	}
	d, _, err := m.s.Devices.Register(routed(idlepush.Device{User: m.user.ID, Name: "phone", Transport: FCM, Address: idlepush.Secret(address), Content: idlepush.LevelWake}), by, m.now)
	if m.have[by].kind == "device" && own != "" && own != known {
		if !errors.Is(err, ErrTaken) {
			m.t.Fatalf("a second device of a token: %v", err)
		}
		return
	}
	if !m.want(err, by) {
		return
	}
	if old := m.have[known]; known != "" && old.by != by && m.have[old.by] != nil && m.have[old.by].kind == "device" {
		delete(m.have, old.by)
	}
	m.have[d.ID] = &credential{kind: "phone", by: by, created: m.now, secret: address}
}

// end ends one of any kind.
func (m *credentials) end() {
	victim, keep, err := m.pick("session", "full", "device", "invite", "passkey", "phone"), m.pick("session", "full", "device"), error(nil)
	if m.rand.IntN(2) == 0 {
		keep = ""
	}
	c := m.have[victim]
	switch c.kind {
	case "session":
		if m.rand.IntN(3) == 0 {
			m.logOut(victim)
			return
		}
		err = m.s.Logins.RemoveSession(m.user.ID, victim, keep)
	case "full", "device":
		err = m.s.Logins.RemoveToken(m.user.ID, victim, keep)
	case "passkey":
		err = m.s.Logins.RemovePasskey(m.user.ID, victim, "", keep)
	case "invite":
		if err = m.s.Users.RemoveInvite(victim); err == nil {
			delete(m.have, victim)
		}
		return
	case "phone":
		var d idlepush.Device
		if d, err = m.s.Devices.Get(victim); err == nil {
			err = m.s.Devices.Remove(d, keep)
		}
		delete(m.have, victim)
		if by := m.have[c.by]; by == nil || by.kind == "full" || by.kind == "passkey" || c.by == keep {
			victim = ""
		} else {
			victim = c.by
		}
	}
	if err != nil {
		m.t.Fatalf("ending %+v: %v", c, err)
	}
	if victim != "" {
		m.endAll(victim, keep)
	}
}

// endAll ends a session or token with its descendants, but not keep and its own.
func (m *credentials) endAll(victim, keep string) {
	if victim == keep {
		keep = ""
	}
	by, ended := m.have[victim].by, map[string]bool{victim: true}
	for before := 0; before < len(ended); {
		before = len(ended)
		for id, c := range m.have {
			if ended[c.by] && id != keep {
				ended[id] = true
			}
		}
	}
	for id := range ended {
		delete(m.have, id)
	}
	if keep != "" && ended[m.have[keep].by] {
		m.have[keep].by = by
	}
}

func (m *credentials) logOut(session string) {
	if err := m.s.Logins.LogOut(m.user.ID, session); err != nil {
		m.t.Fatal(err)
	}
	by := m.have[session].by
	for id, c := range m.have {
		if c.by == session && (c.kind == "phone" || c.kind == "invite") {
			delete(m.have, id)
		} else if c.by == session {
			c.by = by
		}
	}
	delete(m.have, session)
}

func (m *credentials) setPassword() {
	devices, passkeys := m.rand.IntN(2) == 0, m.rand.IntN(2) == 0
	next := fmt.Sprint("password ", m.count)
	if _, err := m.s.Users.UpdateOwn(m.user.ID, Proof{Password: m.password}, UserPatch{Password: next, Devices: devices, Passkeys: passkeys}, m.now); err != nil {
		m.t.Fatal(err)
	}
	m.password = next
	used, gone := map[string]bool{}, map[string]*credential{}
	for _, c := range m.have {
		used[c.by] = used[c.by] || c.kind == "phone"
	}
	for id, c := range m.have {
		if c.kind == "invite" {
			c.ended = true
		} else if c.kind == "passkey" {
			if passkeys {
				delete(m.have, id)
			}
		} else if devices || c.kind != "phone" && (c.kind != "device" || !used[id]) {
			gone[id] = c
			delete(m.have, id)
		}
	}
	// What stays counts as made by the passkey that has begun the session in which it was made.
	for _, c := range m.have {
		for gone[c.by] != nil && c.kind != "invite" {
			c.by = gone[c.by].by
		}
	}
}

// compare holds the store to the model.
func (m *credentials) compare() {
	got, want := map[string]string{}, map[string]string{}
	for id, c := range m.have {
		if m.lives(id) {
			want[id] = c.kind + " by " + c.by
		}
		if c.kind == "invite" && m.lives(id) {
			want[id] = c.kind
		}
	}
	tokens, err := m.s.Logins.Tokens(m.user.ID)
	sessions, sessionsErr := m.s.Logins.Sessions(m.user.ID, m.now)
	invites, invitesErr := m.s.Users.Invites(m.now)
	phones, phonesErr := m.s.Devices.List(m.user.ID)
	passkeys, _, passkeysErr := m.s.Logins.Passkeys(m.user.ID)
	if err := errors.Join(err, sessionsErr, invitesErr, phonesErr, passkeysErr); err != nil {
		m.t.Fatal(err)
	}
	for _, row := range tokens {
		got[row.ID] = string(row.Scope) + " by " + row.By
	}
	for _, row := range sessions {
		got[row.ID] = "session by " + row.By
	}
	for _, i := range invites {
		got[i.ID] = "invite"
	}
	for _, d := range phones {
		got[d.ID] = "phone by " + d.By
	}
	for _, k := range passkeys {
		got[k.ID] = "passkey by " + k.By
	}
	if !maps.Equal(got, want) {
		m.t.Fatalf("after %d steps there are\n%v, want\n%v", m.count, got, want)
	}
}

func thiefsMinute(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := resident(t, s, "ann")
	_, session, err := s.Logins.Login("ann", "password", Visit{}, dawn)
	if err != nil {
		t.Fatal(err)
	}
	_, row, err := s.Logins.Authenticate(session, dawn)
	if err != nil {
		t.Fatal(err)
	}
	full, fullSecret, err := s.Logins.AddToken(ann.ID, "his", idlepush.ScopeFull, row.ID, dawn)
	_, inner, innerErr := s.Logins.AddToken(ann.ID, "inner", idlepush.ScopeFull, full.ID, dawn)
	app, appSecret, appErr := s.Logins.AddToken(ann.ID, "app", idlepush.ScopeDevice, full.ID, dawn)
	_, code, codeErr := s.Users.AddInvite(ann.ID, InviteForDevice, false, full.ID, dawn)
	_, door, doorErr := s.Users.AddInvite(ann.ID, InviteForDevice, false, full.ID, dawn)
	if err := errors.Join(err, innerErr, appErr, codeErr, doorErr); err != nil {
		t.Fatal(err)
	}
	_, other, err := s.Users.Accept(door, "", "", Visit{Stay: true}, dawn)
	if err != nil {
		t.Fatal(err)
	}
	for i, by := range []string{row.ID, full.ID, app.ID} {
		register(t, s, idlepush.Device{User: ann.ID, Name: "his", By: by, Transport: FCM, Address: idlepush.Secret(fmt.Sprint("his ", i)), Content: idlepush.LevelPreview})
	}
	if _, err := s.Users.UpdateOwn(ann.ID, Proof{Password: "password"}, UserPatch{Password: "another", Devices: true}, dawn); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{session, fullSecret, inner, appSecret, other} {
		if _, _, err := s.Logins.Authenticate(secret, dawn); !errors.Is(err, ErrDenied) {
			t.Errorf("a session or token works: %v", err)
		}
	}
	if _, _, err := s.Users.Accept(code, "", "", Visit{}, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("the invite: %v", err)
	}
	if list, err := s.Devices.List(ann.ID); err != nil || len(list) != 0 {
		t.Errorf("devices %+v, %v", list, err)
	}
}

func endedMaker(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := resident(t, s, "ann")
	_, laptop, _ := inSession(t, s, "ann")
	_, code, err := s.Users.AddInvite(ann.ID, InviteForDevice, false, laptop.ID, dawn)
	if err != nil {
		t.Fatal(err)
	}
	_, phone, err := s.Users.Accept(code, "", "", Visit{Stay: true}, dawn)
	if err != nil {
		t.Fatal(err)
	}
	_, own, err := s.Logins.Authenticate(phone, dawn)
	if err != nil || own.By != laptop.ID || !own.Proved.IsZero() {
		t.Fatalf("%+v, %v", own, err)
	}
	if err := s.Logins.RemoveSession(ann.ID, laptop.ID, own.ID); err != nil {
		t.Fatal(err)
	}
	if _, row, err := s.Logins.Authenticate(phone, dawn); err != nil || row.By != "" {
		t.Errorf("%+v, %v", row, err)
	}
}

func oneDevice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := resident(t, s, "ann")
	row, secret, err := s.Logins.AddToken(ann.ID, "app", idlepush.ScopeDevice, "", dawn)
	if err != nil {
		t.Fatal(err)
	}
	add := func(address idlepush.Secret, by string) (idlepush.Device, error) {
		d, _, err := s.Devices.Register(routed(idlepush.Device{User: ann.ID, Name: "phone", Transport: FCM, Address: address, Content: idlepush.LevelWake}), by, dawn)
		return d, err
	}
	d, err := add("one", row.ID)
	if err != nil || d.By != row.ID {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, err := add("two", row.ID); !errors.Is(err, ErrTaken) {
		t.Errorf("a second: %v", err)
	}
	if again, err := add("one", row.ID); err != nil || again.ID != d.ID {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	_, err = s.Users.UpdateOwn(ann.ID, Proof{Password: "password"}, UserPatch{Password: "another"}, dawn)
	if _, _, denied := s.Logins.Authenticate(secret, dawn); err != nil || denied != nil {
		t.Errorf("after a new password that spares devices: %v, %v", err, denied)
	}
	if _, err := add("one", ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Logins.Authenticate(secret, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("when another has registered its device: %v", err)
	}
}

// The thief has a session of his own by an invite, and makes a token in it. The session is not used
// and too old before the one is ended in which he made the invite.
func oldSession(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end func(s *Store, ann idlepush.User, first Token) error
	}{
		"and the session that made it is ended": {func(s *Store, ann idlepush.User, first Token) error {
			return s.Logins.RemoveSession(ann.ID, first.ID, "")
		}},
		"and the person has a new password, then ends the passkey that began it": {func(s *Store, ann idlepush.User, first Token) error {
			_, err := s.Users.UpdateOwn(ann.ID, Proof{Password: "password"}, UserPatch{Password: "another"}, dawn)
			return errors.Join(err, s.Logins.RemovePasskey(ann.ID, first.By, "", ""))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			ann := resident(t, s, "ann")
			k, err := s.Logins.AddPasskey(ann.ID, passkeyFor("his"), "", dawn)
			_, secret, loginErr := s.Logins.LoginByPasskey(ann.ID, k, Visit{Stay: true}, dawn)
			if err := errors.Join(err, loginErr); err != nil {
				t.Fatal(err)
			}
			_, first, err := s.Logins.Authenticate(secret, dawn)
			if err != nil {
				t.Fatal(err)
			}
			_, code, err := s.Users.AddInvite(ann.ID, InviteForDevice, false, first.ID, dawn)
			if err != nil {
				t.Fatal(err)
			}
			_, secret, err = s.Users.Accept(code, "", "", Visit{}, dawn)
			_, his, authErr := s.Logins.Authenticate(secret, dawn)
			app, _, appErr := s.Logins.AddToken(ann.ID, "app", idlepush.ScopeDevice, his.ID, dawn)
			if err := errors.Join(err, authErr, appErr); err != nil {
				t.Fatal(err)
			}
			for i, by := range []string{his.ID, app.ID} {
				register(t, s, idlepush.Device{User: ann.ID, Name: "his", By: by, Transport: FCM, Address: idlepush.Secret(fmt.Sprint("his ", i)), Content: idlepush.LevelPreview})
			}
			for range 2 {
				if err := s.Purge(t.Context(), dawn.Add(sessionIdle)); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.end(s, ann, first); err != nil {
				t.Fatal(err)
			}
			tokens, err := s.Logins.Tokens(ann.ID)
			phones, phonesErr := s.Devices.List(ann.ID)
			if len(tokens)+len(phones) > 0 || err != nil || phonesErr != nil {
				t.Errorf("he has %+v and %+v, %v, %v", tokens, phones, err, phonesErr)
			}
			if err := s.Purge(t.Context(), dawn.Add(sessionIdle)); err != nil || sizes(t, s)["tokens"] > 0 {
				t.Errorf("%d rows are left, %v", sizes(t, s)["tokens"], err)
			}
		})
	}
}

// appStore is a store with a token of device scope of ann.
type appStore struct {
	*Store
	t   *testing.T
	ann idlepush.User
	app string // the token
}

func (s appStore) add(user idlepush.User, address, by string, level idlepush.Level) idlepush.Device {
	s.t.Helper()
	return register(s.t, s.Store, idlepush.Device{User: user.ID, Name: "phone", By: by, Transport: FCM, Address: idlepush.Secret(address), Content: level})
}

func noLevelRaised(t *testing.T) {
	t.Parallel()
	const low, high = idlepush.LevelSender, idlepush.LevelPreview
	removed := func(address string) func(s appStore) {
		return func(s appStore) {
			if err := s.Devices.Remove(s.add(s.ann, address, s.app, low), s.app); err != nil {
				s.t.Error(err)
			}
		}
	}
	for name, c := range map[string]struct {
		before func(s appStore)
		want   idlepush.Level
	}{
		"of the first device it chooses":                  {func(appStore) {}, high},
		"of its device":                                   {func(s appStore) { s.add(s.ann, "phone", s.app, low) }, low},
		"of a device that has no token":                   {func(s appStore) { s.add(s.ann, "phone", "", low) }, low},
		"by another address, once its device is removed":  {removed("other"), low},
		"by the same address, once its device is removed": {removed("phone"), low},
		"by another address, once its device is somebody else's": {func(s appStore) {
			s.add(s.ann, "other", s.app, low)
			s.add(someone(s.t, s.Store, "ben"), "other", "", high)
		}, low},
		"by another address, once its device is gone": {func(s appStore) {
			d := s.add(s.ann, "other", s.app, low)
			arrive(s.t, s.Store, mailbox(s.t, s.Store, s.ann, "ann@example.org"), 1, dawn)
			end(s.t, s.Store, first(s.t, s.Store, d, dawn), Outcome{Result: ResultGone}, dawn)
		}, low},
		"that the person has raised": {func(s appStore) {
			d := s.add(s.ann, "phone", s.app, low)
			d.Content = high
			if _, err := s.Devices.Update(d, dawn); err != nil {
				s.t.Error(err)
			}
		}, high},
		"of a device that another person had": {func(s appStore) { s.add(someone(s.t, s.Store, "ben"), "phone", "", low) }, high},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := appStore{Store: newStore(t), t: t}
			s.ann = someone(t, s.Store, "ann")
			app, _, err := s.Logins.AddToken(s.ann.ID, "app", idlepush.ScopeDevice, "", dawn)
			if err != nil {
				t.Fatal(err)
			}
			s.app = app.ID
			c.before(s)
			if d := s.add(s.ann, "phone", s.app, high); d.Content != c.want {
				t.Errorf("it gets %s, want %s", d.Content, c.want)
			}
		})
	}
}

func tokenUsed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	row, secret, err := s.Logins.AddToken(ann.ID, "app", idlepush.ScopeFull, "", dawn)
	if err != nil || !row.Used.IsZero() {
		t.Fatalf("%+v, %v", row, err)
	}
	for _, now := range []time.Time{dawn.Add(time.Hour), dawn.Add(48 * time.Hour)} {
		if _, _, err := s.Logins.Authenticate(secret, now); err != nil {
			t.Fatal(err)
		}
		if list, err := s.Logins.Tokens(ann.ID); err != nil || !list[0].Used.Equal(now) {
			t.Errorf("%+v, %v", list, err)
		}
	}
}
