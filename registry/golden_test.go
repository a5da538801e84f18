package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// golden is what testdata keeps beside a store of a released schema version: its key, and what a store makes at random.
type golden struct {
	Key, Bearer, Session string
	Invite               string // since version 4
	VAPID                string // the private key, base64
	Accounts             map[string]string
	Devices              map[string]string
}

var goldenDevices = []Device{
	{Name: "android", Transport: FCM, Token: "golden fcm token", Content: Subject, Encryption: &Keys{P256dh: "golden point", Auth: "golden auth"}},
	{Name: "iphone", Transport: APNs, Token: "golden apns token", Environment: Sandbox, Topic: "org.example.app", Content: Wake},
	{Name: "browser", Transport: WebPush, Content: Preview, Subscription: &Subscription{Endpoint: "https://push.example/golden", Keys: Keys{P256dh: "point", Auth: "auth"}}},
	{Name: "ntfy", Transport: UnifiedPush, Content: Sender, Subscription: &Subscription{Endpoint: "https://ntfy.example/golden", Keys: Keys{P256dh: "point", Auth: "auth"}}},
}

// makeGolden fills a store with something of every kind.
func makeGolden(t *testing.T, dir string) golden {
	s, err := Open(dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	g := golden{Accounts: map[string]string{}, Devices: map[string]string{}}
	ann, bearer := admin(t, s, "Ann", "golden password")
	_, session, err := s.Login("ann", "golden password", Visit{}, dawn)
	if err != nil {
		t.Fatal(err)
	}
	g.Bearer, g.Session = bearer, session
	if _, g.Invite, err = s.AddInvite(ann.ID, ForPerson, true, dawn); err != nil {
		t.Fatal(err)
	}
	var list []Device
	for _, d := range goldenDevices {
		d.User = ann.ID
		d = register(t, s, d)
		list, g.Devices[d.Name] = append(list, d), d.ID
	}
	a, b := mailbox(t, s, ann, "ann@example.org"), mailbox(t, s, ann, "club@example.org")
	g.Accounts["ann"], g.Accounts["club"] = a.ID, b.ID
	b.SharedWith, b.Enabled = []string{newID()}, false
	arrive(t, s, b, 1, dawn)
	if _, err := s.UpdateAccount(b, dawn); err != nil {
		t.Fatal(err)
	}
	w := head(t, s, list[1], dawn)
	w.Remember = 3
	settle(t, s, w, Outcome{Result: ResultDelivered}, dawn)
	for _, d := range list {
		drain(t, s, d, dawn)
	}
	arrive(t, s, a, 3, dawn)
	settle(t, s, head(t, s, list[0], dawn), Outcome{Result: ResultDelivered}, dawn)
	settle(t, s, head(t, s, list[0], dawn), Outcome{Result: ResultRetry, At: dawn.Add(time.Hour), Suspect: true, Code: "fcm_invalid", Reason: "Register again."}, dawn)
	settle(t, s, head(t, s, list[2], dawn), Outcome{Result: ResultRefused, Code: "too_big", Reason: "It is too big."}, dawn)
	if err := s.PauseLane(Lane{Name: list[2].Lane(), Since: dawn, Until: dawn.Add(15 * time.Minute), Code: "vapid", Reason: "The key is refused."}); err != nil {
		t.Fatal(err)
	}
	if err := setState(s, a, Attention, "login_refused", "Enter the password again.", dawn); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.SetUnread(a.ID, 3), s.PutHost("imap.example.org:993", Host{Interval: 8 * time.Minute, Since: dawn})); err != nil {
		t.Fatal(err)
	}
	vapid, err := s.VAPIDKey()
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := vapid.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	g.VAPID = base64.StdEncoding.EncodeToString(scalar)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	g.Key = string(key)
	return g
}

// writeGolden makes testdata of the present version anew; the one of a released version must not change any more.
func writeGolden(t *testing.T) {
	dir := t.TempDir()
	g := makeGolden(t, dir)
	text, err := json.MarshalIndent(g, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	db, err := os.ReadFile(filepath.Join(dir, storeFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprint("testdata/v", len(steps))
	putFile(t, name+".json", append(text, '\n'))
	putFile(t, name+".db", db)
}

// goldenDir is a folder with a copy of a store in testdata.
func goldenDir(t testing.TB, version string) (dir string, g golden) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", version+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	db, err := os.ReadFile(filepath.Join("testdata", version+".db"))
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	putFile(t, filepath.Join(dir, storeFile), db)
	putFile(t, filepath.Join(dir, keyFile), []byte(g.Key))
	return dir, g
}

func openGolden(t *testing.T, version string) (*Store, golden) {
	t.Helper()
	dir, g := goldenDir(t, version)
	return openStore(t, dir), g
}

func TestAStoreOfEveryVersionIsReadWhole(t *testing.T) {
	t.Parallel()
	if *updateGolden {
		writeGolden(t)
	}
	for version := range steps {
		t.Run(fmt.Sprint(version+1), func(t *testing.T) { readGolden(t, fmt.Sprint("v", version+1)) })
	}
}

func readGolden(t *testing.T, version string) {
	s, g := openGolden(t, version)
	now := dawn.Add(time.Minute)

	ann, _, err := s.Authenticate(g.Bearer, now)
	if err != nil || ann.Name != "Ann" || !ann.Admin || !ann.Created.Equal(dawn) {
		t.Fatalf("%+v, %v", ann, err)
	}
	if u, row, err := s.Authenticate(g.Session, now); err != nil || u != ann || !row.Session {
		t.Errorf("session: %+v %+v, %v", u, row, err)
	}
	if u, _, err := s.Login("ann", "golden password", Visit{}, now); err != nil || u != ann {
		t.Errorf("login: %+v, %v", u, err)
	}
	if u, err := s.PublicURL(); err != nil || u != "https://push.example.org" {
		t.Errorf("public URL %q, %v", u, err)
	}
	vapid, err := s.VAPIDKey()
	if err != nil {
		t.Fatal(err)
	}
	if scalar, err := vapid.Bytes(); err != nil || base64.StdEncoding.EncodeToString(scalar) != g.VAPID {
		t.Errorf("another VAPID key, %v", err)
	}
	goldenAccounts(t, s, g, ann)
	if version != "v1" {
		goldenWatch(t, s, g)
	}
	if version != "v1" && version != "v2" {
		goldenLines(t, s, g)
	}
	if g.Invite != "" {
		if i, by, err := s.Invite(g.Invite, now); err != nil || i.For != ForPerson || !i.Admin || by != ann {
			t.Errorf("invite: %+v by %+v, %v", i, by, err)
		}
	}
	goldenQueues(t, s, g, ann, now)
	goldenRecord(t, s, g, now)
}

// goldenRecord: mail from before fingerprints does not ring again once it has one; new mail rings.
func goldenRecord(t *testing.T, s *Store, g golden, now time.Time) {
	look := Arrival{Account: g.Accounts["ann"], Folder: "INBOX", From: Cursor{UIDValidity: 7, Next: 4}, To: Cursor{UIDValidity: 7, Next: 5}, At: now}
	for uid := range uint32(4) {
		look.Mails = append(look.Mails, Mail{UID: uid + 1, Fingerprint: fmt.Sprint("mail ", uid+1), Content: Content{Subject: fmt.Sprint("mail ", uid+1)}})
	}
	if n, err := s.Record(look); err != nil || n != 1 {
		t.Errorf("%d mails ring, %v", n, err)
	}
	want := []string{StableID(look.Account, "INBOX", 7, 4)}
	for name, id := range g.Devices {
		if got := drain(t, s, Device{ID: id, Name: name}, now); !slices.Equal(got, want) {
			t.Errorf("%s is sent %v, want the new mail alone", name, got)
		}
	}
}

// goldenLines is what came with version 3.
func goldenLines(t *testing.T, s *Store, g golden) {
	err := s.view(func(tx *bolt.Tx) error {
		q, err := queue(tx, g.Devices["iphone"])
		if rang := q.Lines[g.Accounts["club"]].Rang; len(rang) != 1 || !rang[0].Equal(dawn) {
			t.Errorf("the lines are %+v", q.Lines)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// goldenWatch is what came with version 2.
func goldenWatch(t *testing.T, s *Store, g golden) {
	if n, known, err := s.Unread(g.Accounts["ann"]); err != nil || !known || n != 3 {
		t.Errorf("unread: %d, %v, %v", n, known, err)
	}
	if h, err := s.Host("imap.example.org:993"); err != nil || h.Interval != 8*time.Minute || !h.Since.Equal(dawn) {
		t.Errorf("host: %+v, %v", h, err)
	}
	if uids, err := s.Announced(g.Accounts["ann"], "INBOX", 7); err != nil || !slices.Equal(uids, []uint32{1, 2, 3}) {
		t.Errorf("announced: %v, %v", uids, err)
	}
}

func goldenAccounts(t *testing.T, s *Store, g golden, ann User) {
	list, err := s.Accounts()
	if err != nil || len(list) != 2 {
		t.Fatalf("%d accounts, %v", len(list), err)
	}
	for _, a := range list {
		if a.Owner != ann.ID || a.Host != "imap.example.org" || a.Port != 993 || a.Security != TLS || a.Password != "mailbox password" ||
			!slices.Equal(a.Folders, []string{"INBOX"}) || !a.Created.Equal(dawn) {
			t.Errorf("account %+v", a)
		}
	}
	a, err := s.Account(g.Accounts["ann"])
	if want := (Status{State: Attention, Since: dawn, Code: "login_refused", Reason: "Enter the password again."}); err != nil || a.Status != want || !a.Enabled {
		t.Errorf("%+v, %v", a, err)
	}
	if b, err := s.Account(g.Accounts["club"]); err != nil || b.Status.State != New || b.Enabled || len(b.SharedWith) != 1 {
		t.Errorf("%+v, %v", b, err)
	}
	for name, next := range map[string]uint32{"ann": 4, "club": 2} {
		c, err := s.Cursor(g.Accounts[name], "INBOX")
		if want := (Cursor{UIDValidity: 7, Next: next, Seen: dawn}); err != nil || c != want {
			t.Errorf("cursor of %s: %+v, %v", name, c, err)
		}
	}
}

func goldenQueues(t *testing.T, s *Store, g golden, ann User, now time.Time) {
	for _, want := range goldenDevices {
		d, err := s.Device(g.Devices[want.Name])
		if err != nil || d.User != ann.ID || d.Address() != want.Address() || d.Lane() != want.Lane() || d.Content != want.Content || d.Topic != want.Topic {
			t.Errorf("%s: %+v, %v", want.Name, d, err)
		}
		if (d.Encryption == nil) != (want.Encryption == nil) || d.Encryption != nil && *d.Encryption != *want.Encryption ||
			d.Subscription != nil && *d.Subscription != *want.Subscription {
			t.Errorf("%s: other keys", want.Name)
		}
	}
	if d, err := s.Device(g.Devices["android"]); err != nil || d.Status.State != Suspect || d.Status.Code != "fcm_invalid" {
		t.Errorf("android: %+v, %v", d.Status, err)
	}
	lanes, err := s.Lanes()
	if err != nil || len(lanes) != 1 || lanes[0].Name != "webpush https://push.example" || lanes[0].Code != "vapid" {
		t.Errorf("lanes %+v, %v", lanes, err)
	}
	var states []string
	for _, n := range allNotifications(t, s, ann, 50, now) {
		line := string(n.Kind) + " " + n.Content.Subject + n.Text
		for _, want := range goldenDevices {
			line += " " + string(n.Deliveries[n.delivery(g.Devices[want.Name])].State)
		}
		states = append(states, line)
	}
	if want := []string{
		"attention ann@example.org: Enter the password again. pending pending pending pending",
		"mail mail 3 pending pending pending pending",
		"mail mail 2 pending pending pending pending",
		"mail mail 1 delivered pending refused pending",
		"mail mail 1 delivered delivered delivered delivered",
	}; !slices.Equal(states, want) {
		t.Errorf("notifications %q", states)
	}
	id := func(uid uint32) string { return StableID(g.Accounts["ann"], "INBOX", 7, uid) }
	for i, due := range []time.Time{dawn.Add(time.Hour), dawn, dawn.Add(15 * time.Minute), dawn} {
		d := Device{ID: g.Devices[goldenDevices[i].Name], Name: goldenDevices[i].Name}
		if dueNow(t, s, due.Add(-1))[d.ID] || !dueNow(t, s, due)[d.ID] {
			t.Errorf("%s is not due at %v", d.Name, due)
		}
		want := []string{id(1), id(2), id(3)}
		if i == 0 || i == 2 { // which had the first delivered, and refused
			want = want[1:]
		}
		if got := drain(t, s, d, now); len(got) != len(want)+1 || !slices.Equal(got[:len(want)], want) {
			t.Errorf("%s had %v waiting, want %v and the attention", d.Name, got, want)
		}
	}
}
