package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry/table"
)

// dawn is when most tests begin.
var dawn = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// unsynced is for stores that a power cut may cost: all but those of the tests about crashes. Its
// transactions have a bound in the process that TestSuiteWithBound starts. What users may have has
// none.
var unsynced = Options{NoSync: true, Bound: boundGiven(), Unlimited: true, QuickHash: true}

// blank is the files of a new store, made once: that takes longer than most tests do.
var blank = sync.OnceValues(func() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "blank")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	s, err := Open(dir, unsynced)
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	made := make(map[string][]byte)
	for _, name := range []string{storeFile, keyFile} {
		if made[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	return made, nil
})

// newStore is an empty store, which is checked through and closed when the test ends.
func newStore(t testing.TB) *Store {
	t.Helper()
	made, err := blank()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range made {
		putFile(t, filepath.Join(dir, name), data)
	}
	return openStore(t, dir)
}

// openStore opens the store in dir, which is checked through and closed when the test ends.
func openStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		checkRows(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		checkFile(t, dir)
	})
	return s
}

// reopen opens the store again as after a crash, within the same *Store, so that its cleanup stays
// right.
func reopen(t testing.TB, s *Store) {
	t.Helper()
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	o := unsynced
	if fault, ok := faults.Load(s); ok {
		o.Fault = fault.(func() error)
	}
	again, err := Open(s.dir, o)
	if err != nil {
		t.Fatal(err)
	}
	*s = *again
}

// someone is a user without a password.
func someone(t testing.TB, s *Store, name string) idlepush.User {
	t.Helper()
	return inhabitant(t, s, idlepush.User{ID: newID(), Name: name, Created: dawn}, password{})
}

// resident is an admin with a password that is checked at once.
func resident(t testing.TB, s *Store, name string) idlepush.User {
	t.Helper()
	p := password{Salt: make([]byte, 16), Time: 1, Memory: 8}
	p.Hash = s.hash("password", p)
	return inhabitant(t, s, idlepush.User{ID: newID(), Name: name, Admin: true, Created: dawn}, p)
}

func inhabitant(t testing.TB, s *Store, u idlepush.User, p password) idlepush.User {
	t.Helper()
	if err := s.db.Update(func(tx *table.Tx) error { return addUser(tx, u, p) }); err != nil {
		t.Fatal(err)
	}
	return u
}

// pin is a fingerprint to be pinned.
var pin = idlepush.Fingerprint(strings.Repeat("AB:", 31) + "AB")

func mailbox(t testing.TB, s *Store, owner idlepush.User, email string) idlepush.Account {
	t.Helper()
	a, added, err := s.Accounts.Add(idlepush.Account{Owner: owner.ID, Email: email, Host: "imap.example.org", Port: 993, Security: idlepush.SecurityTLS,
		Username: email, Password: "mailbox password", Folders: []string{"INBOX"}, Enabled: true}, "", dawn)
	if err != nil || !added {
		t.Fatalf("add account: added %v, %v", added, err)
	}
	return a
}

// phone is a device on FCM.
func phone(t testing.TB, s *Store, user idlepush.User, name string) idlepush.Device {
	t.Helper()
	return register(t, s, idlepush.Device{User: user.ID, Name: name, Transport: FCM, Address: idlepush.Secret("token of " + name), Content: idlepush.LevelSubject})
}

func register(t testing.TB, s *Store, d idlepush.Device) idlepush.Device {
	t.Helper()
	if d.Status.State == "" {
		d.Status.State = idlepush.StateProven
	}
	d, _, err := s.Devices.Register(routed(d), d.By, dawn)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// browser is a Web Push device at an origin.
func browser(t testing.TB, s *Store, user idlepush.User, name, origin string) idlepush.Device {
	t.Helper()
	return register(t, s, idlepush.Device{User: user.ID, Name: name, Transport: WebPush, Content: idlepush.LevelSubject,
		Address: idlepush.Secret(origin + "/push/" + name), Keys: &idlepush.Keys{P256dh: "p256dh", Auth: "auth"}})
}

// arrival is the next n mails of INBOX, from where its cursor stands.
func arrival(t testing.TB, s *Store, a idlepush.Account, n int, at time.Time) Arrival {
	t.Helper()
	from, err := s.Mail.Cursor(a.ID, "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	to := Cursor{UIDValidity: 7, Next: max(from.Next, 1)}
	var mails []Message
	for range n {
		mails = append(mails, Message{UID: to.Next, Content: idlepush.Content{From: "Ann", Subject: fmt.Sprint("mail ", to.Next), Preview: "Hello", OneTimeCode: "4829"}})
		to.Next++
	}
	return Arrival{Account: a.ID, Folder: "INBOX", From: from, To: to, Mails: mails, At: at}
}

// arrive records n more mails of INBOX and gives their ids.
func arrive(t testing.TB, s *Store, a idlepush.Account, n int, at time.Time) []string {
	t.Helper()
	look := arrival(t, s, a, n, at)
	if recorded, err := s.Mail.Record(look); err != nil || recorded != n {
		t.Fatalf("record: %d of %d mails, %v", recorded, n, err)
	}
	var ids []string
	for _, m := range look.Mails {
		ids = append(ids, StableID(a.ID, "INBOX", 7, m.UID))
	}
	return ids
}

// first is the work at the head of a queue, which must have some.
func first(t testing.TB, s *Store, d idlepush.Device, now time.Time) Work {
	t.Helper()
	w, ok, err := s.Outbox.Next(d.ID, now)
	if err != nil || !ok {
		t.Fatalf("next of %s: %v, %v", d.Name, ok, err)
	}
	return w
}

// settleWork is Settle for those who ask nothing about the lane.
func settleWork(s *Store, w Work, o Outcome, now time.Time) error {
	_, err := s.Outbox.Settle(w, o, now)
	return err
}

func end(t testing.TB, s *Store, w Work, o Outcome, now time.Time) {
	t.Helper()
	if err := settleWork(s, w, o, now); err != nil {
		t.Fatalf("settle as %s: %v", o.Result, err)
	}
}

// drain delivers everything in the device's queue and gives the ids in the order they went.
func drain(t testing.TB, s *Store, d idlepush.Device, now time.Time) []string {
	t.Helper()
	var ids []string
	for {
		w, ok, err := s.Outbox.Next(d.ID, now)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return ids
		}
		ids = append(ids, w.Notification.ID)
		end(t, s, w, Outcome{Result: ResultDelivered}, now)
	}
}

// dueNow is the devices that are due, by id.
func dueNow(t testing.TB, s *Store, now time.Time) map[string]bool {
	t.Helper()
	list, err := s.Outbox.Due(now, room(10_000), nil)
	if err != nil {
		t.Fatal(err)
	}
	is := make(map[string]bool)
	for _, q := range list {
		if !q.Due.After(now) {
			is[q.Device] = true
		}
	}
	return is
}

// deliveryOf is how the notification's delivery to the device stands.
func deliveryOf(t testing.TB, s *Store, user idlepush.User, id string, d idlepush.Device, now time.Time) idlepush.Delivery {
	t.Helper()
	n, err := s.History.Get(user.ID, id, now)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(n.Deliveries, func(one idlepush.Delivery) bool { return one.Device == d.ID })
	if i < 0 {
		t.Fatalf("notification %s was not queued for %s", id, d.Name)
	}
	return n.Deliveries[i]
}

func statusOf(t testing.TB, s *Store, d idlepush.Device) idlepush.Status {
	t.Helper()
	d, err := s.Devices.Get(d.ID)
	if err != nil {
		t.Fatal(err)
	}
	return d.Status
}

// setState writes an account's state as a session does, which proves that it works where it does.
func setState(s *Store, a idlepush.Account, state idlepush.State, code codes.Code, host string, now time.Time) error {
	st := idlepush.Status{State: state, Since: now}
	if code != "" {
		st.Reason = because(code, host)
	}
	if state == idlepush.StateWatching || state == idlepush.StatePolling {
		st.Proof = now
	}
	return s.Mail.SetState(a, st)
}

// because is a reason with a parameter.
func because(code codes.Code, host string) idlepush.Reason {
	return idlepush.Reason{Code: code, Params: map[string]string{"host": host}}
}

// commits is how many transactions have been committed so far.
func commits(s *Store) int { return s.db.Commits() }

var errFault = errors.New("the disk is full")

// faults holds what reopen gives a *Store as its Options.Fault.
var faults sync.Map

// faultyStore is an empty store whose transactions fail with what *fault returns, if that is set.
func faultyStore(t testing.TB) (s *Store, fault *func() error) {
	t.Helper()
	fault = new(func() error)
	s = newStore(t)
	faults.Store(s, func() error {
		if *fault == nil {
			return nil
		}
		return (*fault)()
	})
	reopen(t, s)
	return s, fault
}

func putFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// content is every row of the store, by table and key, in words.
func content(t testing.TB, s *Store) map[string]string {
	t.Helper()
	words := make(map[string]string)
	err := s.db.View(func(tx *table.Tx) error {
		put(t, tx, words, "user", users)
		put(t, tx, words, "token", tokens)
		put(t, tx, words, "invite", invites)
		put(t, tx, words, "account", accounts)
		put(t, tx, words, "client", clients)
		put(t, tx, words, "grant", grants)
		put(t, tx, words, "standing", standings)
		put(t, tx, words, "cursor", cursors)
		put(t, tx, words, "host", hosts)
		put(t, tx, words, "device", devices)
		put(t, tx, words, "wishes", wishes)
		put(t, tx, words, "device wishes", deviceWishes)
		put(t, tx, words, "sender", senders)
		put(t, tx, words, "queue", queues)
		put(t, tx, words, "lane", lanes)
		put(t, tx, words, "trips", trips)
		put(t, tx, words, "notification", notifications)
		put(t, tx, words, "delivery", deliveries)
		put(t, tx, words, "meta", metas)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return words
}

func put[K table.Key[K], V any](t testing.TB, tx *table.Tx, words map[string]string, name string, of *table.Table[K, V]) {
	t.Helper()
	for _, row := range all(t, tx, of) {
		data, err := json.Marshal(row.Value)
		if err != nil {
			t.Error(err)
		}
		words[fmt.Sprintf("%s %v", name, row.Key)] = string(data)
	}
}

// differ names the rows that are as in none of the contents that they may be as in.
func differ(t testing.TB, what string, got map[string]string, as ...map[string]string) {
	t.Helper()
	names := maps.Clone(got)
	for _, content := range as {
		maps.Copy(names, content)
	}
	for name := range names {
		value, there := got[name]
		same := func(content map[string]string) bool {
			other, also := content[name]
			return there == also && value == other
		}
		if !slices.ContainsFunc(as, same) {
			t.Errorf("%s: %q has changed: it is there: %v, as %q", what, name, there, value)
		}
	}
}
