package registry

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/ring"
)

func TestWrittenFile(t *testing.T) {
	t.Parallel()
	t.Run("a row that was changed without the key opens nothing", changedRows)
	t.Run("a row that was copied to another key opens nothing", copiedRows)
	t.Run("an index that was changed leads to nothing of another user", changedIndexes)
	t.Run("each other table is harmless for a reason", otherTables)
	t.Run("a mailbox whose server was changed is not watched, and its owner is told once", changedServer)
	t.Run("a person whose row is damaged can be removed, and the name given anew", damagedPerson)
	t.Run("a device of a person whose row is damaged can be gone", damagedOwner)
	t.Run("a queue that has lost its device is not due for ever", lostDevice)
	t.Run("a row with a key that cannot be read stops nothing", unreadableKey)
	t.Run("what is ended ends the rest of what it made", endedBesideDamage)
	t.Run("a public URL that was written without the key is not used", writtenURL)
	t.Run("a restored file opens as it was, without a warning", restoredFile)
}

// house is a furnished store that is closed, for copies that somebody writes to.
type house struct {
	furnished
	made map[string][]byte
}

func newHouse(t *testing.T) house {
	f := furnish(t, newStore(t))
	return house{f, filesOf(t, f.s)}
}

// written returns a store to which somebody has written without its key, but with our code: the
// indexes fit the rows.
func (h house) written(t *testing.T, write func(tx *table.Tx) error) *Store {
	t.Helper()
	dir := t.TempDir()
	for name, data := range h.made {
		putFile(t, filepath.Join(dir, name), data)
	}
	db, err := table.Open(filepath.Join(dir, storeFile), table.Options{Key: newKey(), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(write), db.Close()); err != nil {
		t.Fatal(err)
	}
	return openStore(t, dir)
}

// target is a row that somebody writes to.
type target struct {
	name string
	// writes has, by name, what somebody may do to the row.
	writes func(t *testing.T, h house) map[string]func(*table.Tx) error
	closed func(t *testing.T, h house, s *Store) // the row opens nothing
	of     string                                // the case of the warning
}

// targetIn returns the target of a row, each of whose fields is changed.
func targetIn[K table.Key[K], V any](of *table.Table[K, V], key func(h house) K, warning string, closed func(*testing.T, house, *Store)) target {
	return target{of.Name(), func(t *testing.T, h house) map[string]func(*table.Tx) error {
		writes := make(map[string]func(*table.Tx) error)
		for field := range reflect.TypeFor[V]().Fields() {
			writes[field.Name] = func(tx *table.Tx) error {
				row, found, err := of.Unverified(tx, key(h))
				if err != nil || !found {
					return fmt.Errorf("the row is there: %v, %w", found, err)
				}
				alter(t, reflect.ValueOf(&row).Elem().FieldByIndex(field.Index))
				return of.Put(tx, key(h), row)
			}
		}
		return writes
	}, closed, warning}
}

// alter changes a value to another.
func alter(t *testing.T, v reflect.Value) {
	t.Helper()
	if at, ok := v.Interface().(time.Time); ok {
		v.Set(reflect.ValueOf(at.Add(time.Hour)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(v.Uint() ^ 1)
	case reflect.Slice:
		v.Set(reflect.Append(reflect.AppendSlice(reflect.Zero(v.Type()), v), reflect.Zero(v.Type().Elem())))
		if v.Type().Elem().Kind() == reflect.String {
			alter(t, v.Index(v.Len()-1)) // no key of an index is empty
		}
	case reflect.Map: // from string to string
		v.Set(reflect.ValueOf(map[string]string{"added": "x"}))
	case reflect.Array:
		alter(t, v.Index(0))
	case reflect.Struct:
		alter(t, v.Field(0))
	default:
		t.Fatalf("nothing changes a %s", v.Type())
	}
}

var targets = []target{
	targetIn(users, func(h house) id { return id(h.ann.ID) }, ofPerson, noUser),
	targetIn(tokens, func(h house) digest { return digestOf(h.bearer) }, ofLogins, noToken),
	targetIn(tokens, func(h house) digest { return digestOf(h.session) }, ofLogins, noSession),
	targetIn(invites, func(h house) digest { return digestOf(h.person) }, ofLogins, noInvite),
	targetIn(accounts, func(h house) id { return id(h.shared.ID) }, ofMailbox, noAccount),
	targetIn(clients, func(house) table.Text { return "google" }, ofClient, noClient),
	targetIn(grants, func(h house) id { return id(h.own.ID) }, ofConsent, noGrant),
	targetIn(devices, func(h house) deviceKey { return deviceKey{id(h.ann.ID), id(h.phone.ID)} }, ofDevice, noDevice),
	targetIn(wishes, func(h house) viewerKey { return viewerKey{id(h.ben.ID), id(h.shared.ID)} }, ofWishes, noWishes),
	targetIn(deviceWishes, func(h house) deviceKey { return deviceKey{id(h.ben.ID), id(h.tablet.ID)} }, ofWishes, noDeviceWishes),
}

func noUser(t *testing.T, h house, s *Store) {
	if _, _, err := s.Logins.Login("ann", "password", Visit{}, noon); !errors.Is(err, ErrDenied) {
		t.Errorf("the person logs in: %v", err)
	}
	noToken(t, h, s)
	noSession(t, h, s)
	noInvite(t, h, s)
	if _, err := s.Users.UpdateOwn(h.ann.ID, Proof{}, UserPatch{Name: "anna"}, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("the row is written anew: %v", err)
	}
}

func noToken(t *testing.T, h house, s *Store) {
	if _, _, err := s.Logins.Authenticate(h.bearer, noon); !errors.Is(err, ErrDenied) {
		t.Errorf("the token is taken: %v", err)
	}
}

func noSession(t *testing.T, h house, s *Store) {
	if _, _, err := s.Logins.Authenticate(h.session, noon); !errors.Is(err, ErrDenied) {
		t.Errorf("the session is taken: %v", err)
	}
}

func noInvite(t *testing.T, h house, s *Store) {
	if _, _, err := s.Users.Accept(h.person, "carl", "his password", Visit{}, noon); !errors.Is(err, ErrNotFound) {
		t.Errorf("the invite is accepted: %v", err)
	}
}

func noAccount(t *testing.T, h house, s *Store) {
	a, err := s.Accounts.Get(h.shared.ID)
	if err != nil || !a.Damaged() || a.Password != "" || a.SharedWith != nil || a.Link != "" {
		t.Errorf("the account is damaged: %v, with a password: %v, %+v, %v", a.Damaged(), a.Password != "", a, err)
	}
	list, err := s.Mail.Accounts()
	for _, a := range list {
		if a.ID == h.shared.ID && (!a.Status.Ended() || a.Password != "") {
			t.Errorf("it is watched: %+v", a.Status)
		}
	}
	if err != nil || len(list) != 2 {
		t.Errorf("the watcher has %d accounts, %v", len(list), err)
	}
	a.Password = "entered again"
	if _, err := s.Accounts.Update(a, noon); !errors.Is(err, ErrNotFound) {
		t.Errorf("its row is written anew: %v", err)
	}
	if _, err := s.Mail.Record(Arrival{Account: a.ID, Folder: "INBOX", From: Cursor{UIDValidity: 7, Next: 7}, To: Cursor{UIDValidity: 7, Next: 8}}); !errors.Is(err, ErrNotFound) {
		t.Errorf("mail of it is recorded: %v", err)
	}
	for _, u := range []idlepush.User{h.ann, h.ben} {
		for _, n := range allNotifications(t, s, u, 50, noon) {
			if n.Account == a.ID {
				t.Errorf("%s sees %s of it", u.Name, n.Kind)
			}
		}
	}
}

func noClient(t *testing.T, _ house, s *Store) {
	if list, err := s.Accounts.Clients(); err != nil || len(list) > 0 {
		t.Errorf("the clients are %+v, %v", list, err)
	}
}

func noGrant(t *testing.T, h house, s *Store) {
	if refresh, err := s.Mail.Grant(h.own); !errors.Is(err, ErrNotFound) {
		t.Errorf("it is read: %v, %v", refresh != "", err)
	}
	if err := s.Mail.SetGrant(h.own.ID, "refresh token", "another"); !errors.Is(err, ErrStale) {
		t.Errorf("it is written anew: %v", err)
	}
}

func noWishes(t *testing.T, h house, s *Store) {
	if w, err := s.Accounts.Wishes(h.ben.ID, h.shared.ID); err != nil || !reflect.DeepEqual(w, ring.Wishes{}) {
		t.Errorf("somebody else decides what rings: %v, %v", w, err)
	}
	if _, words, err := s.Mail.Level(h.shared.ID); err != nil || words {
		t.Errorf("words are asked for: %v", err)
	}
}

func noDeviceWishes(t *testing.T, h house, s *Store) {
	if w, err := s.Devices.Wishes(h.tablet.ID); err != nil || !reflect.DeepEqual(w, ring.DeviceWishes{}) {
		t.Errorf("somebody else decides when it rings: %v, %v", w, err)
	}
}

func noDevice(t *testing.T, h house, s *Store) {
	if _, err := s.Devices.Get(h.phone.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("the device is there: %v", err)
	}
	if _, _, err := s.Outbox.Next(h.phone.ID, noon); !errors.Is(err, ErrNotFound) {
		t.Errorf("something is sent to it: %v", err)
	}
	told := slices.ContainsFunc(allNotifications(t, s, h.ann, 50, time.Now()), func(n idlepush.Notification) bool {
		return n.Code == "device_gone" && n.Params["cause"] == "device_damaged" && len(n.Deliveries) == 2
	})
	if !told {
		t.Error("its owner's other devices are not told")
	}
	h.phone.By = ""
	if _, created, err := s.Devices.Register(h.phone, "", noon); err != nil || !created {
		t.Errorf("registered again it is a new one: %v, %v", created, err)
	}
}

// checkWarning holds the store to one warning.
func checkWarning(t *testing.T, s *Store, of string) {
	t.Helper()
	if w := s.Warnings(); len(w) != 1 || w[0].Code != codeRowDamaged || w[0].Params["case"] != of {
		t.Errorf("it warns of %+v, want %s", w, of)
	}
}

func changedRows(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, row := range targets {
		for field, write := range row.writes(t, h) {
			t.Run(row.name+" "+field, func(t *testing.T) {
				s := h.written(t, write)
				checkWarning(t, s, row.of)
				row.closed(t, h, s)
			})
		}
		if row.name == accounts.Name() || row.name == users.Name() {
			continue
		}
		t.Run(row.name+" and the next start", func(t *testing.T) {
			for _, write := range row.writes(t, h) {
				s := h.written(t, write)
				if reopen(t, s); len(s.Warnings()) > 0 {
					t.Errorf("it warns of what was removed: %+v", s.Warnings())
				}
				break
			}
		})
	}
}

// copyRaw copies a row with its tag, as it is in the file.
func (h house) copyRaw(t *testing.T, of string, from, to table.Prefix) *Store {
	t.Helper()
	dir := t.TempDir()
	for name, data := range h.made {
		putFile(t, filepath.Join(dir, name), data)
	}
	row := dumpFile(t, dir, nil)[of+" "+string(from.Append(nil))]
	if row == "" {
		t.Fatal("there is no such row")
	}
	dumpFile(t, dir, map[string][]byte{of + " " + string(to.Append(nil)): []byte(row)})
	return openStore(t, dir)
}

func copiedRows(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ann, ben := id(h.ann.ID), id(h.ben.ID)
	for _, row := range []struct {
		of       string
		from, to table.Prefix
		warning  string
		closed   func(t *testing.T, s *Store)
	}{
		{users.Name(), ann, ben, ofPerson, func(t *testing.T, s *Store) {
			if _, _, err := s.Logins.Login("ben", "password", Visit{}, noon); !errors.Is(err, ErrDenied) {
				t.Errorf("who has written it logs in: %v", err)
			}
		}},
		{tokens.Name(), digestOf(h.bearer), digestOf("mine"), ofLogins, func(t *testing.T, s *Store) {
			if _, _, err := s.Logins.Authenticate("mine", noon); !errors.Is(err, ErrDenied) {
				t.Errorf("a token of one's own is taken: %v", err)
			}
		}},
		{invites.Name(), digestOf(h.person), digestOf("mine"), ofLogins, func(t *testing.T, s *Store) {
			if _, _, err := s.Users.Invite("mine", noon); !errors.Is(err, ErrNotFound) {
				t.Errorf("an invite of one's own is taken: %v", err)
			}
		}},
		{accounts.Name(), id(h.shared.ID), id(h.own.ID), ofMailbox, func(t *testing.T, s *Store) {
			if a, err := s.Accounts.Get(h.own.ID); err != nil || a.Password != "" || !a.Damaged() {
				t.Errorf("%+v, %v", a, err)
			}
		}},
		{clients.Name(), table.Text("google"), table.Text("microsoft"), ofClient, func(t *testing.T, s *Store) {
			if list, err := s.Accounts.Clients(); err != nil || len(list) != 1 || list[0].Provider != "google" {
				t.Errorf("the clients are %+v, %v", list, err)
			}
		}},
		{grants.Name(), id(h.own.ID), id(h.shared.ID), ofConsent, func(t *testing.T, s *Store) {
			if _, err := s.Mail.Grant(h.shared); !errors.Is(err, ErrNotFound) {
				t.Errorf("another account has it: %v", err)
			}
		}},
		{wishes.Name(), viewerKey{ben, id(h.shared.ID)}, viewerKey{ann, id(h.shared.ID)}, ofWishes, func(t *testing.T, s *Store) {
			if w, err := s.Accounts.Wishes(h.ann.ID, h.shared.ID); err != nil || !reflect.DeepEqual(w, ring.Wishes{}) {
				t.Errorf("another person has them: %v, %v", w, err)
			}
		}},
		{deviceWishes.Name(), deviceKey{ben, id(h.tablet.ID)}, deviceKey{ann, id(h.phone.ID)}, ofWishes, func(t *testing.T, s *Store) {
			if w, err := s.Devices.Wishes(h.phone.ID); err != nil || !reflect.DeepEqual(w, ring.DeviceWishes{}) {
				t.Errorf("another device has them: %v, %v", w, err)
			}
		}},
		{devices.Name(), deviceKey{ann, id(h.phone.ID)}, deviceKey{ben, "mine"}, ofDevice, func(t *testing.T, s *Store) {
			if list, err := s.Devices.List(h.ben.ID); err != nil || len(list) != 1 {
				t.Errorf("ben has %d devices, %v", len(list), err)
			}
		}},
	} {
		t.Run(row.of, func(t *testing.T) {
			s := h.copyRaw(t, row.of, row.from, row.to)
			checkWarning(t, s, row.warning)
			row.closed(t, s)
		})
	}
}

func changedServer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.written(t, func(tx *table.Tx) error {
		row, _, err := accounts.Unverified(tx, id(h.shared.ID))
		row.Host, row.Port = "evil.example", 143
		return errors.Join(err, accounts.Put(tx, id(h.shared.ID), row))
	})
	told := func() (n int) {
		for _, one := range allNotifications(t, s, h.ann, 50, time.Now()) {
			if one.Code == idlepush.CodeDamaged && one.Params["account"] == h.shared.Email && len(one.Deliveries) == 3 {
				n++
			}
		}
		return n
	}
	for range 2 {
		noAccount(t, h, s)
		checkWarning(t, s, ofMailbox)
		if n := told(); n != 1 {
			t.Errorf("its owner is told %d times", n)
		}
		reopen(t, s)
	}
	h.shared.Owner, h.shared.Host = h.ann.ID, "imap.example.org"
	again, added, err := s.Accounts.Add(h.shared, "", noon)
	if err != nil || !added || again.ID == h.shared.ID {
		t.Errorf("added again it is %v a new one: %v", added, err)
	}
	if err := s.Accounts.Remove(h.shared.ID, noon); err != nil {
		t.Errorf("it is removed: %v", err)
	}
	if list, err := s.Accounts.List(); err != nil || len(list) != 2 {
		t.Errorf("there are %d accounts, %v", len(list), err)
	}
	if reopen(t, s); len(s.Warnings()) > 0 {
		t.Errorf("it warns still: %+v", s.Warnings())
	}
}

func damagedPerson(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.written(t, func(tx *table.Tx) error {
		row, _, err := users.Unverified(tx, id(h.ann.ID))
		own, _, errOwn := accounts.Unverified(tx, id(h.shared.ID))
		row.Admin, own.Port = false, 1
		return errors.Join(err, errOwn, users.Put(tx, id(h.ann.ID), row), accounts.Put(tx, id(h.shared.ID), own))
	})
	no := false
	if _, err := s.Users.Update(h.ben.ID, UserPatch{Admin: &no}, noon); !errors.Is(err, ErrLast) {
		t.Errorf("ben stops being an admin, and ann cannot be one: %v", err)
	}
	if _, err := s.Users.SetupToken(); err != nil {
		t.Errorf("setup: %v", err)
	}
	if err := s.Users.Remove(h.ann.ID, noon); err != nil {
		t.Errorf("ann is removed: %v", err)
	}
	if _, err := s.Users.Add("ann", "a long passphrase", false, "", "", noon); err != nil {
		t.Errorf("the name is given anew: %v", err)
	}
	if _, err := s.Accounts.Get(h.shared.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("her mailbox: %v", err)
	}
	if reopen(t, s); len(s.Warnings()) > 0 {
		t.Errorf("it warns still: %+v", s.Warnings())
	}
}

func damagedOwner(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.written(t, func(tx *table.Tx) error {
		row, _, err := users.Unverified(tx, id(h.ann.ID))
		row.Admin = false
		return errors.Join(err, users.Put(tx, id(h.ann.ID), row))
	})
	own, err := s.Devices.List(h.ann.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range own {
		if err := s.db.Update(func(tx *table.Tx) error {
			set := &queueSet{tx: tx, now: noon, list: make(map[id]*queue)}
			q, err := set.getExisting(id(d.ID))
			if err != nil {
				return err
			}
			return errors.Join(removeGoneDevice(set, q, because("webpush_gone", "")), set.save())
		}); err != nil {
			t.Errorf("%s is not removed: %v", d.Name, err)
		}
	}
}

func lostDevice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	d := phone(t, s, someone(t, s, "ann"), "phone")
	err := s.db.Update(func(tx *table.Tx) error {
		q, _, err := queues.Get(tx, id(d.ID))
		q.Due = dawn
		return errors.Join(err, devices.Delete(tx, deviceKey{id(d.User), id(d.ID)}), queues.Put(tx, id(d.ID), q))
	})
	if err != nil || len(dueNow(t, s, dawn)) != 1 {
		t.Fatalf("the queue is not due: %v", err)
	}
	if _, _, err := s.Outbox.Next(d.ID, dawn); !errors.Is(err, ErrNotFound) {
		t.Errorf("its next delivery: %v", err)
	}
	if list := dueNow(t, s, dawn); len(list) > 0 {
		t.Errorf("due are %v", list)
	}
}

func unreadableKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, of := range []string{users.Name(), tokens.Name(), invites.Name(), accounts.Name(), clients.Name(), devices.Name()} {
		t.Run(of, func(t *testing.T) {
			dir := t.TempDir()
			for name, data := range h.made {
				putFile(t, filepath.Join(dir, name), data)
			}
			dumpFile(t, dir, map[string][]byte{of + " x": []byte("planted")})
			s := openStore(t, dir)
			if list, err := s.Mail.Accounts(); err != nil || len(list) != 2 {
				t.Errorf("the watcher has %d accounts, %v", len(list), err)
			}
			if w := s.Warnings(); len(w) != 1 || w[0].Code != codeRowDamaged {
				t.Errorf("it warns of %+v", w)
			}
		})
	}
}

func endedBesideDamage(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ann := someone(t, s, "ann")
	maker, _, err := s.Logins.AddToken(ann.ID, "maker", idlepush.ScopeFull, "", dawn)
	_, one, errOne := s.Logins.AddToken(ann.ID, "one", idlepush.ScopeDevice, maker.ID, dawn)
	_, two, errTwo := s.Logins.AddToken(ann.ID, "two", idlepush.ScopeDevice, maker.ID, dawn)
	if err := errors.Join(err, errOne, errTwo, s.Close()); err != nil {
		t.Fatal(err)
	}
	first, last := digestOf(one), digestOf(two)
	if bytes.Compare(first[:], last[:]) > 0 {
		first, two = last, one
	}
	if err := os.Remove(filepath.Join(s.dir, storeFile+".closed")); err != nil {
		t.Fatal(err)
	}
	dumpFile(t, s.dir, map[string][]byte{tokens.Name() + " " + string(first[:]): []byte("not a row")})
	again, err := Open(s.dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	*s = *again
	if err := s.Logins.RemoveToken(ann.ID, maker.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Logins.Authenticate(two, dawn); !errors.Is(err, ErrDenied) {
		t.Errorf("the other that it made: %v", err)
	}
}

func writtenURL(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.written(t, func(tx *table.Tx) error { return sealMeta(tx, metaPublicURL, "https://evil.example") })
	checkWarning(t, s, ofPublicURL)
	if got, _ := s.Users.PublicURL(); got != "" {
		t.Errorf("it is %q", got)
	}
}

// restoredFile: nothing in a file tells its age; see SECURITY.md.
func restoredFile(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	dir := t.TempDir()
	for name, data := range h.made {
		putFile(t, filepath.Join(dir, name), data)
	}
	s := openStore(t, dir)
	if err := s.Logins.RemoveToken(h.ann.ID, h.script.ID, ""); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), os.Remove(filepath.Join(dir, storeFile+".closed"))); err != nil {
		t.Fatal(err)
	}
	putFile(t, filepath.Join(dir, storeFile), h.made[storeFile])
	again, err := Open(dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	*s = *again
	if _, _, err := s.Logins.Authenticate(h.bearer, noon); err != nil || len(s.Warnings()) > 0 {
		t.Errorf("%v, %+v", err, s.Warnings())
	}
}
