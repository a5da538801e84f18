package registry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"idlepush"
	"idlepush/receipt"
	"idlepush/registry/table"
	"idlepush/ring"
)

// noon is when the furnished store is used: lanes are still paused and short invites still good,
// and the sessions were last used longer ago than is written down.
var noon = dawn.Add(10 * time.Minute)

// furnished is a store with rows in every bucket, and what its methods are called with.
type furnished struct {
	s *Store

	ann, ben        idlepush.User // both admins, with the password "password"
	bearer, session string        // ann's
	script          Token         // the bearer token's row
	bens            Token         // the row of ben's session
	passkey         Passkey       // of ben, made in that
	person, device  string        // codes of ann's invites
	link            string        // code of the password link for ben that ann has made
	invite          Invite        // the one for a person

	shared, own idlepush.Account // ann's, which ben sees too, and ben's, with OAuth

	phone, page, tablet idlepush.Device // ann's, ann's browser, and ben's, which is in his session
	late                idlepush.Device // ann's, for which nothing waits
	offer               string          // of own, to ann

	mails   []string // ids of those in shared, by UID less one
	onPhone Work     // a summary
	onPage  Work     // a mail, with what it takes away
	onBens  Work     // a mail on the tablet, whose environment is not known yet
	cleared Work     // a mail on the tablet that was read meanwhile

	received idlepush.Secret // the token of the receipt of a mail that the page has received
}

// someWishes and someDeviceWishes have every field.
var (
	someWishes = ring.Wishes{Name: "Club", Color: "#102030", Sound: ring.None, People: []string{"dora@example.org", "@example.net"}, Otherwise: ring.Action{Ring: ring.VolumeNormal, Content: "sender"},
		Rules: []ring.Rule{{If: ring.Match{From: []string{"eve"}, To: []string{"me"}, Subject: []string{"a"}, Folder: []string{"INBOX"}, List: []string{"list"}, Words: []string{"hello"},
			Bulk: new(true), Attachment: new(false), Answer: new(true), First: new(true), Above: 1, Below: 1000}, Then: ring.Action{Ring: ring.VolumeLoud, Content: "subject"}}}}
	someDeviceWishes = ring.DeviceWishes{Heartbeat: ring.Heartbeat{Every: ring.EveryWeek, At: 8 * 60, Zone: "Europe/Berlin"}, Folders: map[string][]string{"account": {"INBOX"}}, Quiet: ring.Quiet{Zone: "Europe/Berlin", Mode: ring.QuietSilent, People: true, Attention: true,
		Hours: []ring.Hours{{Days: []time.Weekday{time.Monday}, From: 22 * 60, To: 7 * 60}}}}
)

func furnish(t *testing.T, s *Store) furnished {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	f := furnished{s: s, ann: resident(t, s, "ann"), ben: resident(t, s, "ben")}
	var err error
	f.script, f.bearer, err = s.Logins.AddToken(f.ann.ID, "script", idlepush.ScopeFull, "", dawn)
	check(err)
	_, f.session, err = s.Logins.Login("ann", "password", Visit{Stay: true}, dawn)
	check(err)
	_, err = s.Logins.Guess(f.ann.ID, func(time.Time) (time.Time, time.Duration) { return dawn, 0 })
	check(err)
	f.tablet, f.bens, _ = inSession(t, s, "ben")
	check(s.Devices.Remove(f.tablet, f.bens.ID))
	f.passkey, err = s.Logins.AddPasskey(f.ben.ID, passkeyFor("furnished"), f.bens.ID, dawn)
	check(err)
	check(s.Users.Dismiss(f.ben.ID, dawn))
	f.invite, f.person, err = s.Users.AddInvite(f.ann.ID, InviteForPerson, false, "", dawn)
	check(err)
	_, f.device, err = s.Users.AddInvite(f.ann.ID, InviteForDevice, false, "", dawn)
	check(err)
	_, _, err = s.Users.AddInvite(f.ben.ID, InviteForDevice, false, "", dawn)
	check(err)
	f.link = "link"
	check(s.db.Update(func(tx *table.Tx) error { // and nobody is told
		return invites.Put(tx, digestOf(f.link), inviteRow{ID: newID(), User: f.ann.ID, For: InviteForPassword, Person: f.ben.ID, Created: dawn, Expires: dawn.Add(24 * time.Hour)})
	}))

	f.shared, f.own = mailbox(t, s, f.ann, "ann@example.org"), mailbox(t, s, f.ben, "ben@example.org")
	f.shared.SharedWith = []string{f.ben.ID}
	f.shared, err = s.Accounts.Update(f.shared, dawn)
	check(err)
	// The devices of ann are told nothing.
	check(s.db.Update(func(tx *table.Tx) error {
		return asked.Put(tx, askedKey{id(f.ben.ID), id(f.ann.ID)}, askedRow{Told: dawn})
	}))
	f.own.OfferedTo, f.own.OAuth, f.own.Password = []string{f.ann.ID}, "microsoft", "refresh token"
	f.own, err = s.Accounts.Update(f.own, dawn)
	check(err)
	offers, err := s.Accounts.Offers(f.ann.ID)
	check(err)
	f.offer = offers[0].ID // of ben's own mailbox, to ann
	check(s.Accounts.SetClient(idlepush.OAuthClient{Provider: "google", ID: "client", Secret: "secret"}))
	f.phone, f.page = phone(t, s, f.ann, "phone"), browser(t, s, f.ann, "page", "https://push.example")
	f.tablet = register(t, s, idlepush.Device{User: f.ben.ID, Name: "tablet", By: f.bens.ID, Transport: APNs, Address: "tablet", Content: idlepush.LevelSubject})

	_, err = s.Accounts.SetWishes(f.ben.ID, f.shared.ID, someWishes, dawn)
	check(err)
	_, err = s.Accounts.Mute(f.ben.ID, f.shared.ID, ring.Mute{Of: ring.MuteSender, Sender: "muted@example.org", Device: f.tablet.ID}, dawn)
	check(err)
	_, err = s.Devices.SetWishes(f.tablet.ID, someDeviceWishes, dawn)
	check(err)

	look := arrival(t, s, f.shared, 2, dawn)
	look.Mails[0].Fingerprint, look.Mails[1].Fingerprint = "one", "two"
	look.Mails[1].Facts = ring.Facts{From: "carl@example.org", Subject: "two", Thread: []string{"one", "two"}, Words: "Hello"}
	_, err = s.Mail.Record(look)
	check(err)
	drain(t, s, f.phone, dawn)
	f.received = first(t, s, f.page, dawn).Receipt
	drain(t, s, f.page, dawn)
	check(s.Devices.Receive(f.received, receipt.Report{Received: dawn, Now: dawn}, dawn))
	f.cleared = first(t, s, f.tablet, dawn)
	clearMail(t, s, f.shared, 1, 1)
	drain(t, s, f.phone, dawn)
	arrive(t, s, f.shared, 3, dawn)
	combine(t, s, first(t, s, f.phone, dawn), dawn)
	arrive(t, s, f.shared, 1, dawn)
	arrive(t, s, f.own, 1, dawn)
	for uid := range uint32(6) {
		f.mails = append(f.mails, StableID(f.shared.ID, "INBOX", 7, uid+1))
	}
	check(setState(s, f.shared, idlepush.StateAttention, "login", "Enter the password again.", dawn))
	f.shared.Password, f.shared.Pin = "another", pin
	f.shared, err = s.Accounts.Update(f.shared, dawn.Add(time.Minute))
	check(err)
	f.late = phone(t, s, f.ann, "late")
	check(errors.Join(s.Mail.SetUnread(f.shared.ID, 3), s.Mail.SetUnread(f.own.ID, 1), s.Mail.PutHost("imap.example.org:993", Host{Interval: time.Minute})))
	for _, name := range []string{f.phone.Lane, f.page.Lane, "apns production", "apns sandbox"} {
		pause(t, s, Lane{Name: name, Since: dawn, Until: dawn.Add(15 * time.Minute), Reason: idlepush.Reason{Code: "outage"}})
	}
	f.onPhone, f.onPage, f.onBens = first(t, s, f.phone, noon), first(t, s, f.page, noon), first(t, s, f.tablet, noon)
	if f.onPhone.Notification.Kind != idlepush.KindSummary || len(f.onPage.piggybacked) != 1 || f.onBens.Notification.ID != f.mails[1] {
		t.Fatalf("what waits first is %+v, %+v and %+v", f.onPhone, f.onPage, f.onBens)
	}
	for bucket, n := range sizes(t, s) {
		if n == 0 {
			t.Fatalf("there are no %s", bucket)
		}
	}
	return f
}

// again opens the store in a folder that holds a copy of the files.
func (f furnished) again(t testing.TB, dir string, o Options) furnished {
	t.Helper()
	var err error
	if f.s, err = Open(dir, o); err != nil {
		t.Fatal(err)
	}
	return f
}

// nobody removes the users.
func (f furnished) nobody() *Store {
	err := f.s.db.Update(func(tx *table.Tx) error {
		keys, err := users.Keys(tx, table.Range{}, table.NoLimit)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := users.Delete(tx, k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
	return f.s
}

// wordless records a seventh mail in the shared mailbox, without words, and delivers it to the late
// device.
func (f furnished) wordless() error {
	look := f.look(7, "")
	look.Mails[0].Content, look.Mails[0].Wordless = idlepush.Content{}, true
	_, err := f.s.Mail.Record(look)
	if err != nil {
		return err
	}
	w, _, err := f.s.Outbox.Next(f.late.ID, noon)
	if err != nil {
		return err
	}
	return settleWork(f.s, w, Outcome{Result: ResultDelivered}, noon)
}

// unconfirmed has the page, which has reported, leave pushes unanswered, and ann be told of it.
func (f furnished) unconfirmed() error {
	return f.s.updateQueues(noon, func(set *queueSet) error {
		q, err := set.getExisting(id(f.page.ID))
		if err != nil {
			return err
		}
		q.row.Chain.Unanswered, q.row.Chain.Since = 9, noon.AddDate(0, 0, -2)
		return set.followPush(q, deliveryRow{Kind: idlepush.KindMail})
	})
}

// over is unconfirmed, and then the end of that, which nobody is told of yet.
func (f furnished) over() error {
	if err := f.unconfirmed(); err != nil {
		return err
	}
	return f.s.db.Update(func(tx *table.Tx) error {
		q, _, err := queues.Get(tx, id(f.page.ID))
		if err != nil {
			return err
		}
		return endUnconfirmed(tx, deviceKey{id(f.ann.ID), id(f.page.ID)}, q.Chain.Told)
	})
}

// trouble is that of ann, to be told on two devices.
func (f furnished) trouble() []Trouble {
	return []Trouble{{User: f.ann.ID, Key: "trouble", Devices: []string{f.phone.ID, f.page.ID}, Reason: idlepush.Reason{Code: "trouble"}}}
}

// troubled has ann told of it.
func (f furnished) troubled() error { return f.s.Users.SetTroubles(f.trouble(), noon) }

// noticed gives ben a notice.
func (f furnished) noticed() error {
	return f.s.db.Update(func(tx *table.Tx) error {
		u, err := getUser(tx, f.ben.ID)
		if err != nil {
			return err
		}
		u.addNotice(notice{noon, idlepush.Reason{Code: "device_gone", Params: map[string]string{"device": "tablet"}}})
		return users.Put(tx, id(f.ben.ID), u)
	})
}

// silent records a mail in the shared mailbox that did not ring, and three that are old: nobody has
// decided on them yet.
func (f furnished) silent() error {
	mails := []Message{{UID: 1, NotRung: idlepush.Reason{Code: "seen"}}}
	for uid := range uint32(3) {
		mails = append(mails, Message{UID: uid + 2, Old: true, Content: idlepush.Content{Subject: "old"}})
	}
	mails = append(mails, Message{UID: 5, Fingerprint: "two"})
	_, err := f.s.Mail.Record(Arrival{Account: f.shared.ID, Folder: "Family", To: Cursor{UIDValidity: 3, Next: 6}, Mails: mails, Known: []string{"known"}, At: noon})
	return err
}

// excess records mail beyond what is kept in a day.
func (f furnished) excess() error {
	f.s.bounds.mails = 1
	_, err := f.s.Mail.Record(Arrival{Account: f.shared.ID, Folder: "Family", To: Cursor{UIDValidity: 3, Next: 3}, Mails: []Message{{UID: 1}, {UID: 2}}, At: noon})
	f.s.bounds.mails = 0
	return err
}

// ringExcess has the summary of it ring.
func (f furnished) ringExcess() error {
	list, err := f.s.Outbox.Excess()
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("there are %d summaries", len(list))
	}
	if err != nil {
		return err
	}
	return f.s.Outbox.RingExcess(list[0], noon)
}

// decide decides on the old mail.
func (f furnished) decide(by func(OldMail, time.Time) error) error {
	list, err := f.s.Outbox.OldMail()
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("there are %d folders with old mail", len(list))
	}
	if err != nil {
		return err
	}
	return by(list[0], noon)
}

// look is an arrival of one mail in the shared mailbox, with six mails before it.
func (f furnished) look(uid uint32, print string) Arrival {
	return Arrival{Account: f.shared.ID, Folder: "INBOX", From: Cursor{UIDValidity: 7, Next: 7}, To: Cursor{UIDValidity: 7, Next: 8},
		Mails: []Message{{UID: uid, Fingerprint: print, Content: idlepush.Content{Subject: print}}}, Unread: new(4), At: noon}
}

// filesOf closes the store, and opens it again once it has read its files.
func filesOf(t *testing.T, s *Store) map[string][]byte {
	t.Helper()
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	made := make(map[string][]byte)
	for _, name := range []string{storeFile, keyFile} {
		data, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		made[name] = data
	}
	again, err := Open(s.dir, unsynced)
	if err != nil {
		t.Fatal(err)
	}
	*s = *again
	return made
}
