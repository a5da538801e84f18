package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"idlepush"
	"idlepush/registry/table"
	"idlepush/ring"
)

// golden is what testdata has beside a store of a version and its key.
type golden struct {
	Bearer, Session, Person, Device string // ann's bearer token, session and invites
	Rows                            map[string]string
}

const (
	goldenPassword = "golden password" // of cyd, who set the store up
	goldenURL      = "https://push.example.org"
)

func goldenFolder(version int) string { return filepath.Join("testdata", fmt.Sprint("v", version)) }

// writeGolden makes testdata of the newest version. That of a version which was released must not
// change any more.
func writeGolden(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Users.SetupToken()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Users.Setup(token, "cyd", goldenPassword, goldenURL, nil, dawn); err != nil {
		t.Fatal(err)
	}
	f := furnish(t, s)
	if err := errors.Join(f.wordless(), f.silent(), f.noticed(), f.troubled()); err != nil {
		t.Fatal(err)
	}
	g := golden{f.bearer, f.session, f.person, f.device, opened(t, s)}
	text, err := json.MarshalIndent(g, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), os.MkdirAll(goldenFolder(newestVersion()), 0o755)); err != nil {
		t.Fatal(err)
	}
	made := files(t, dir)
	made["golden.json"] = string(text) + "\n"
	for _, name := range []string{storeFile, keyFile, "golden.json"} {
		putFile(t, filepath.Join(goldenFolder(newestVersion()), name), []byte(made[name]))
	}
}

// opened is the content of the store with its sealed columns opened.
func opened(t testing.TB, s *Store) map[string]string {
	t.Helper()
	words := content(t, s)
	err := s.db.View(func(tx *table.Tx) error {
		for _, row := range all(t, tx, accounts) {
			words[fmt.Sprint("password of account ", row.Key)] = unsealed[string](t, row.Value.passwordPlace(tx, row.Key), row.Value.Password)
		}
		for _, row := range all(t, tx, clients) {
			words[fmt.Sprint("secret of client ", row.Key)] = unsealed[string](t, row.Value.secretPlace(tx, row.Key), row.Value.Secret)
		}
		for _, row := range all(t, tx, grants) {
			a, err := accountRowOf(tx, string(row.Key))
			if err != nil {
				t.Error(err)
			}
			words[fmt.Sprint("grant of account ", row.Key)] = unsealed[string](t, a.grantPlace(tx, row.Key), row.Value.Refresh)
		}
		for _, row := range all(t, tx, devices) {
			words[fmt.Sprint("secrets of device ", row.Key)] = unsealed[deviceSecrets](t, devices.Place(tx, row.Key), row.Value.Secrets)
		}
		for _, row := range all(t, tx, wishes) {
			words[fmt.Sprint("sealed wishes ", row.Key)] = unsealed[ring.Wishes](t, wishes.Place(tx, row.Key), row.Value.Sealed)
		}
		for _, row := range all(t, tx, deviceWishes) {
			words[fmt.Sprint("sealed wishes of device ", row.Key)] = unsealed[ring.DeviceWishes](t, deviceWishes.Place(tx, row.Key), row.Value.Sealed)
		}
		for _, row := range all(t, tx, notifications) {
			words[fmt.Sprint("content of notification ", row.Key)] = unsealed[notificationContent](t, notifications.Place(tx, row.Key), row.Value.Sealed)
		}
		for _, key := range []table.Text{metaFormat, metaVAPID} {
			row, _, err := metas.Get(tx, key)
			if err != nil {
				t.Error(err)
			}
			words[fmt.Sprint("sealed of ", key)] = unsealed[any](t, metas.Place(tx, key), row.Sealed)
		}
		for _, of := range indexes {
			name, entries := of(t, tx)
			words["index "+name] = strings.Join(entries, "; ")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return words
}

// unsealed is the JSON of a sealed V.
func unsealed[V any](t testing.TB, place table.Place, sealed table.Sealed) string {
	t.Helper()
	var value V
	if err := place.Open(sealed, &value); err != nil {
		t.Error(err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// goldenStore opens a copy of a store in testdata.
func goldenStore(t *testing.T, version int) (s *Store, g golden) {
	t.Helper()
	made := files(t, goldenFolder(version))
	if err := json.Unmarshal([]byte(made["golden.json"]), &g); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{storeFile, keyFile} {
		putFile(t, filepath.Join(dir, name), []byte(made[name]))
	}
	return openStore(t, dir), g
}

func TestGoldenStores(t *testing.T) {
	t.Parallel()
	if *updateGolden {
		writeGolden(t)
	}
	for version := 1; version <= newestVersion(); version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			s, g := goldenStore(t, version)
			if version == newestVersion() {
				differ(t, "as it was written", opened(t, s), g.Rows)
			}
			goldenPeople(t, s, g)
			goldenMailboxes(t, s)
			goldenQueues(t, s)
		})
	}
}

// goldenPeople holds the store to the people that furnish made, and to what proves who they are.
func goldenPeople(t *testing.T, s *Store, g golden) {
	ann, script, err := s.Logins.Authenticate(g.Bearer, noon)
	if err != nil || ann.Name != "ann" || !ann.Admin || !ann.Created.Equal(dawn) || script.Name != "script" || script.Scope != idlepush.ScopeFull {
		t.Errorf("ann is %+v with %+v, %v", ann, script, err)
	}
	if u, row, err := s.Logins.Authenticate(g.Session, noon); err != nil || u != ann || !row.Session || !row.Stay {
		t.Errorf("the session is %+v of %+v, %v", row, u, err)
	}
	if _, _, err := s.Logins.Login("ANN", "password", Visit{}, noon); err != nil {
		t.Errorf("ann logs in: %v", err)
	}
	if u, _, err := s.Logins.Login("Cyd", goldenPassword, Visit{}, noon); err != nil || u.Name != "cyd" {
		t.Errorf("cyd logs in as %+v, %v", u, err)
	}
	for code, want := range map[string]InviteFor{g.Person: InviteForPerson, g.Device: InviteForDevice} {
		if i, by, err := s.Users.Invite(code, dawn); err != nil || i.For != want || by != ann {
			t.Errorf("the invite is %+v by %+v, %v", i, by, err)
		}
	}
	if ben, _, err := s.Logins.Login("ben", "password", Visit{}, noon); err != nil {
		t.Errorf("ben logs in: %v", err)
	} else if n, err := s.Users.Notice(ben.ID); err != nil || !n.Since.Equal(noon) || n.Code != "device_gone" || n.Params["device"] != "tablet" {
		t.Errorf("the notice is %+v, %v", n, err)
	}
	if u, err := s.Users.PublicURL(); err != nil || u != goldenURL {
		t.Errorf("the public URL is %q, %v", u, err)
	}
	key, err := s.Outbox.VAPIDKey()
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := key.Bytes()
	if want := g.Rows["sealed of vapid"]; err != nil || fmt.Sprintf("%q", base64.StdEncoding.EncodeToString(scalar)) != want {
		t.Errorf("it is another VAPID key, %v", err)
	}
}

// goldenMailboxes holds the store to the mailboxes that furnish made.
func goldenMailboxes(t *testing.T, s *Store) {
	list, err := s.Accounts.List()
	if err != nil || len(list) != 2 {
		t.Fatalf("%d accounts, %v", len(list), err)
	}
	for _, a := range list {
		password, oauth, pinned, shared, next := idlepush.Secret(""), "microsoft", idlepush.Fingerprint(""), 0, uint32(2)
		if a.Email == "ann@example.org" {
			password, oauth, pinned, shared, next = "another", "", pin, 1, 8
		} else if refresh, err := s.Mail.Grant(a); err != nil || refresh != "refresh token" {
			t.Errorf("the refresh token: %v, %v", refresh == "refresh token", err)
		}
		if a.Pin != pinned || a.Host != "imap.example.org" || a.Port != 993 || a.Security != idlepush.SecurityTLS || a.Username != a.Email || a.OAuth != oauth || a.Password != password ||
			len(a.SharedWith) != shared || !a.Enabled || !a.Created.Equal(dawn) {
			t.Errorf("account %+v", a)
		}
		if c, err := s.Mail.Cursor(a.ID, "INBOX"); err != nil || c.UIDValidity != 7 || c.Next != next {
			t.Errorf("the cursor of %s is %+v, %v", a.Email, c, err)
		}
	}
}

// goldenQueues holds the store to what waits for the devices that furnish made.
func goldenQueues(t *testing.T, s *Store) {
	people, err := s.Users.List()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		address idlepush.Secret
		waits   int
	}{
		"phone": {"token of phone", 5}, "page": {"https://push.example/push/page", 7}, "tablet": {"tablet", 8}, "late": {"token of late", 0},
	}
	for _, u := range people {
		list, err := s.Devices.List(u.ID)
		if err != nil {
			t.Error(err)
		}
		for _, d := range list {
			if n := len(drain(t, s, d, noon)); d.Address != want[d.Name].address || n != want[d.Name].waits {
				t.Errorf("%d wait for %s at %q", n, d.Name, string(d.Address))
			}
			delete(want, d.Name)
		}
	}
	if len(want) > 0 {
		t.Errorf("devices are missing: %v", want)
	}
}
