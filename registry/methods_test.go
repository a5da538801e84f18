package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"

	bolt "go.etcd.io/bbolt"

	"idlepush/registry/testenv"
)

// call is one way to call a method of the furnished store.
type call struct {
	method, when string
	do           func(f furnished) (any, error)
	// reads are the columns that the call cannot do without: "devices" is the JSON of the bucket's
	// rows, "devices sealed" what is sealed in them; and in how many rows. Damage to one of these is an
	// error, and damage to any other changes nothing.
	reads string
	// halfway says why a call that fails may have done part of its work: then each row is as it was or
	// as a call that succeeds leaves it. Empty: all rows are as they were.
	halfway  string
	forgives int                     // the transaction that the call can do without; 0: none
	before   func(f furnished) error // done first, in a store that is whole
}

// none is for the methods that read no row.
var none = map[string]string{
	"AccountsChanged": "gives a channel",
	"OutboxChanged":   "gives a channel",
	"Listen":          "keeps what it is told in memory",
	"Close":           "closes the file",
}

func only(err error) (any, error) { return nil, err }

func two[A, B any](a A, b B, err error) (any, error) { return []any{a, b}, err }

var calls = []call{
	{method: "Accept", when: "for a person", reads: "users 2, invites 1",
		do: func(f furnished) (any, error) {
			return two(f.s.Accept(f.person, "carl", "his password", Visit{Name: "Safari"}, noon))
		}},
	{method: "Accept", when: "for a device", reads: "users 1, invites 1",
		do: func(f furnished) (any, error) { return two(f.s.Accept(f.device, "", "", Visit{}, noon)) }},
	{method: "Account", reads: "accounts 1, accounts sealed 1",
		do: func(f furnished) (any, error) { return f.s.Account(f.shared.ID) }},
	{method: "Accounts", reads: "accounts 2, accounts sealed 2",
		do: func(f furnished) (any, error) { return f.s.Accounts() }},
	{method: "AddAccount", when: "that is there", reads: "accounts 2, accounts sealed 2",
		do: func(f furnished) (any, error) { f.own.Owner = f.ann.ID; return two(f.s.AddAccount(f.own, noon)) }},
	{method: "AddAccount", when: "that is new", reads: "accounts 2, accounts sealed 2",
		do: func(f furnished) (any, error) { f.own.Username = "new"; return two(f.s.AddAccount(f.own, noon)) }},
	{method: "AddInvite", reads: "users 1",
		do: func(f furnished) (any, error) { return two(f.s.AddInvite(f.ben.ID, ForPerson, true, noon)) }},
	{method: "AddToken",
		do: func(f furnished) (any, error) { return two(f.s.AddToken(f.ben.ID, "app", DeviceScope, noon)) }},
	{method: "AddUser", reads: "users 2",
		do: func(f furnished) (any, error) { return f.s.AddUser("carl", "his password", false, noon) }},
	{method: "Announced",
		do: func(f furnished) (any, error) { return f.s.Announced(f.shared.ID, "INBOX", 7) }},
	{method: "Authenticate", when: "a script", reads: "users 1, tokens 1",
		do: func(f furnished) (any, error) { return two(f.s.Authenticate(f.bearer, noon)) }},
	{method: "Authenticate", when: "a session that is used again", reads: "users 1, tokens 1",
		do:       func(f furnished) (any, error) { return two(f.s.Authenticate(f.session, noon)) },
		forgives: 2},
	{method: "Clear", when: "mail of which some is in a summary", reads: "devices 3, queues 3, lanes 3, notifications 3, notifications sealed 3",
		do: func(f furnished) (any, error) {
			return f.s.Clear(f.shared.ID, "INBOX", 7, []uint32{2, 3}, noon)
		}},
	{method: "Combine", when: "mail", reads: "devices 1, devices sealed 1, queues 1, lanes 1, notifications 5, notifications sealed 5",
		do: func(f furnished) (any, error) { return f.s.Combine(f.onBens, noon) }},
	{method: "Combine", when: "mail behind a summary", reads: "devices 1, devices sealed 1, queues 1, lanes 1, notifications 2, notifications sealed 2",
		do: func(f furnished) (any, error) { return f.s.Combine(f.onPhone, noon) }},
	{method: "Cursor", reads: "cursors 1",
		do: func(f furnished) (any, error) { return f.s.Cursor(f.shared.ID, "INBOX") }},
	{method: "Device", reads: "devices 1, devices sealed 1, queues 1",
		do: func(f furnished) (any, error) { return f.s.Device(f.page.ID) }},
	{method: "DeviceAt", reads: "devices 1, devices sealed 1, queues 1",
		do: func(f furnished) (any, error) { return f.s.DeviceAt(f.page) }},
	{method: "Devices", when: "of one", reads: "devices 3, devices sealed 3, queues 3",
		do: func(f furnished) (any, error) { return f.s.Devices(f.ann.ID) }},
	{method: "Devices", when: "of all", reads: "devices 4, devices sealed 4, queues 4",
		do: func(f furnished) (any, error) { return f.s.Devices("") }},
	{method: "Due",
		do: func(f furnished) (any, error) { return two(f.s.Due(dawn.Add(time.Hour), 2, nil)) }},
	{method: "FillIn", when: "mail that was delivered", reads: "accounts 1, devices 4, queues 4, lanes 3, notifications 1, notifications sealed 1",
		do: func(f furnished) (any, error) {
			return f.s.FillIn(f.shared.ID, "INBOX", 7, Mail{UID: 7, Fingerprint: "three", Content: Content{Subject: "three"}}, noon)
		}, before: furnished.wordless},
	{method: "FillIn", when: "mail that rang from another place", reads: "accounts 1, devices 4, queues 4, lanes 3, notifications 2, notifications sealed 2",
		do: func(f furnished) (any, error) {
			return f.s.FillIn(f.shared.ID, "INBOX", 7, Mail{UID: 7, Fingerprint: "two", Content: Content{Subject: "two"}}, noon)
		}, before: furnished.wordless},
	{method: "FillIn", when: "mail that has words", reads: "accounts 1, notifications 1, notifications sealed 1",
		do: func(f furnished) (any, error) {
			return f.s.FillIn(f.shared.ID, "INBOX", 7, Mail{UID: 2, Fingerprint: "two"}, noon)
		}},
	{method: "HastenDue", reads: "queues 3",
		do: func(f furnished) (any, error) { return only(f.s.HastenDue(noon)) }},
	{method: "Hold", reads: "devices 1, devices sealed 1, queues 1, lanes 1",
		do: func(f furnished) (any, error) { return only(f.s.Hold(f.onBens, noon.Add(time.Minute), noon)) }},
	{method: "Host", reads: "hosts 1",
		do: func(f furnished) (any, error) { return f.s.Host("imap.example.org:993") }},
	{method: "Invite", reads: "users 1, invites 1",
		do: func(f furnished) (any, error) { return two(f.s.Invite(f.person, noon)) }},
	{method: "Invites", reads: "invites 3",
		do: func(f furnished) (any, error) { return f.s.Invites(noon) }},
	{method: "Lanes", reads: "lanes 4",
		do: func(f furnished) (any, error) { return f.s.Lanes() }},
	{method: "Level", reads: "accounts 1, devices 4",
		do: func(f furnished) (any, error) { return f.s.Level(f.shared.ID) }},
	{method: "Login", reads: "users 2",
		do: func(f furnished) (any, error) { return two(f.s.Login("ben", "password", Visit{}, noon)) }},
	{method: "Next", when: "with what is taken away by the way", reads: "accounts 1, devices 1, devices sealed 1, queues 1, notifications 2, notifications sealed 2, unread 1",
		do: func(f furnished) (any, error) { return two(f.s.Next(f.page.ID, noon)) }},
	{method: "Next", when: "of a device without an environment", reads: "accounts 2, devices 1, devices sealed 1, queues 1, notifications 1, notifications sealed 1, unread 2",
		do: func(f furnished) (any, error) { return two(f.s.Next(f.tablet.ID, noon)) }},
	{method: "Next", when: "of one that has nothing", reads: "devices 1, devices sealed 1, queues 1",
		do: func(f furnished) (any, error) { return two(f.s.Next(f.late.ID, noon)) }},
	{method: "Next", when: "behind mail that has expired", halfway: "what is not to be sent any more stays dropped", reads: "accounts 2, devices 1, devices sealed 1, queues 1, lanes 1, notifications 8, notifications sealed 8, unread 2",
		do: func(f furnished) (any, error) { return two(f.s.Next(f.tablet.ID, dawn.Add(73*time.Hour))) },
		before: func(f furnished) error {
			later := f.look(7, "three")
			later.At = dawn.AddDate(0, 0, 1)
			_, err := f.s.Record(later)
			return err
		}},
	{method: "Next", when: "where all has expired", halfway: "what is not to be sent any more stays dropped", reads: "devices 1, devices sealed 1, queues 1, lanes 1, notifications 3, notifications sealed 3",
		do: func(f furnished) (any, error) { return two(f.s.Next(f.phone.ID, dawn.AddDate(0, 0, 8))) }},
	{method: "Notification", reads: "accounts 2, accounts sealed 2, notifications 1, notifications sealed 1",
		do: func(f furnished) (any, error) { return f.s.Notification(f.ben.ID, f.mails[2], noon) }},
	{method: "Notifications", reads: "accounts 2, accounts sealed 2, notifications 10, notifications sealed 8",
		do: func(f furnished) (any, error) { return two(f.s.Notifications(f.ann.ID, "", 50, noon)) }},
	{method: "PauseLane", halfway: "the pause stands, for what comes later", reads: "queues 1, lanes 1",
		do: func(f furnished) (any, error) {
			return only(f.s.PauseLane(Lane{Name: "fcm", Since: noon, Until: noon.Add(time.Hour)}))
		}},
	{method: "PublicURL",
		do: func(f furnished) (any, error) { return f.s.PublicURL() }},
	{method: "Purge", when: "of nothing", halfway: "each bounded step stands by itself", reads: "tokens 3, invites 3",
		do: func(f furnished) (any, error) { return only(f.s.Purge(context.Background(), noon)) }},
	{method: "Purge", when: "of what is old", halfway: "each bounded step stands by itself", reads: "tokens 3, invites 3",
		do: func(f furnished) (any, error) { return only(f.s.Purge(context.Background(), dawn.AddDate(0, 0, 8))) }},
	{method: "Purge", when: "after the clock was ahead", halfway: "each bounded step stands by itself", reads: "tokens 3, invites 3",
		do: func(f furnished) (any, error) { return only(f.s.Purge(context.Background(), dawn.AddDate(0, 0, -8))) }},
	{method: "Purge", when: "of what was removed", halfway: "each bounded step stands by itself", reads: "tokens 3, invites 3",
		do: func(f furnished) (any, error) { return only(f.s.Purge(context.Background(), noon)) },
		before: func(f furnished) error {
			return errors.Join(f.s.RemoveAccount(f.shared.ID), f.s.RemoveDevice(f.phone.ID, ""))
		}},
	{method: "PutDevice", when: "that is there", reads: "devices 1, devices sealed 1, queues 1, lanes 1",
		do: func(f furnished) (any, error) { f.phone.Name = "another"; return two(f.s.PutDevice(f.phone, noon)) }},
	{method: "PutDevice", when: "that is new",
		do: func(f furnished) (any, error) { f.phone.Token = "another"; return two(f.s.PutDevice(f.phone, noon)) }},
	{method: "PutHost",
		do: func(f furnished) (any, error) { return only(f.s.PutHost("imap.example.org:993", Host{Lies: 1})) }},
	{method: "Ready",
		do: func(f furnished) (any, error) { return only(f.s.Ready()) }},
	{method: "Record", when: "new mail", reads: "accounts 1, cursors 1, devices 4, queues 4, lanes 3",
		do: func(f furnished) (any, error) { return f.s.Record(f.look(7, "three")) }},
	{method: "Record", when: "mail that was moved", reads: "accounts 1, cursors 1, devices 4, queues 4, lanes 3, notifications 1, notifications sealed 1",
		do: func(f furnished) (any, error) { return f.s.Record(f.look(7, "two")) }},
	{method: "Record", when: "mail that was recorded", reads: "accounts 1, cursors 1, devices 4, queues 4, lanes 3, notifications 1, notifications sealed 1",
		do: func(f furnished) (any, error) { return f.s.Record(f.look(2, "two")) }},
	{method: "Record", when: "another under the UID of one that was recorded", reads: "accounts 1, cursors 1, devices 4, queues 4, lanes 3, notifications 1, notifications sealed 1",
		do: func(f furnished) (any, error) { return f.s.Record(f.look(2, "three")) }},
	{method: "RemoveAccount", reads: "accounts 1",
		do: func(f furnished) (any, error) { return only(f.s.RemoveAccount(f.shared.ID)) }},
	{method: "RemoveDevice", when: "with its session", reads: "tokens 3, devices 1, devices sealed 1, queues 1, invites 3",
		do: func(f furnished) (any, error) { return only(f.s.RemoveDevice(f.tablet.ID, "")) }},
	{method: "RemoveDevice", when: "by its session", reads: "devices 1, devices sealed 1, queues 1",
		do: func(f furnished) (any, error) { return only(f.s.RemoveDevice(f.tablet.ID, f.bens.ID)) }},
	{method: "RemoveInvite", reads: "invites 3",
		do: func(f furnished) (any, error) { return only(f.s.RemoveInvite(f.invite.ID)) }},
	{method: "RemoveSession", reads: "tokens 3, devices 1, devices sealed 1, queues 1, invites 3",
		do: func(f furnished) (any, error) { return only(f.s.RemoveSession(f.ben.ID, f.bens.ID)) }},
	{method: "RemoveToken", reads: "tokens 3",
		do: func(f furnished) (any, error) { return only(f.s.RemoveToken(f.ann.ID, f.script.ID)) }},
	{method: "RemoveUser", reads: "users 2, tokens 3, accounts 2, accounts sealed 2, devices 1, devices sealed 1, queues 1, invites 3",
		do: func(f furnished) (any, error) { return only(f.s.RemoveUser(f.ben.ID)) }},
	{method: "ResumeLane", reads: "queues 1, lanes 1",
		do: func(f furnished) (any, error) { return only(f.s.ResumeLane("fcm", noon)) }},
	{method: "Sessions", reads: "tokens 3",
		do: func(f furnished) (any, error) { return f.s.Sessions(f.ben.ID, noon) }},
	{method: "SetAccountState", when: "a person is needed anew", reads: "accounts 1, accounts sealed 1, devices 4, queues 4, lanes 3, notifications 1, notifications sealed 1",
		do: func(f furnished) (any, error) {
			return only(setState(f.s, f.shared, Attention, "login", "Enter it again.", noon))
		}},
	{method: "SetAccountState", when: "it works again", reads: "accounts 1, accounts sealed 1, devices 3, queues 3, lanes 3, notifications 1, notifications sealed 1",
		do: func(f furnished) (any, error) { return only(setState(f.s, f.shared, Watching, "", "", noon)) }},
	{method: "SetAccountState", when: "as before", reads: "accounts 1, accounts sealed 1",
		do: func(f furnished) (any, error) { return only(setState(f.s, f.shared, New, "", "", noon)) }},
	{method: "SetBack",
		do: func(f furnished) (any, error) { return f.s.SetBack(noon) }},
	{method: "SetUnread",
		do: func(f furnished) (any, error) { return only(f.s.SetUnread(f.shared.ID, 2)) }},
	{method: "Settle", when: "delivered, with what is taken away by the way", reads: "devices 1, devices sealed 1, queues 1, lanes 1, notifications 2, notifications sealed 2",
		do: func(f furnished) (any, error) {
			return only(f.s.Settle(f.onPage, Outcome{Result: ResultDelivered}, noon))
		}},
	{method: "Settle", when: "delivered, which shows the environment", reads: "devices 1, devices sealed 1, queues 1, lanes 2, notifications 1, notifications sealed 1",
		do: func(f furnished) (any, error) {
			return only(f.s.Settle(f.onBens, Outcome{Result: ResultDelivered, Environment: Sandbox}, noon))
		}},
	{method: "Settle", when: "to be tried again", reads: "devices 1, devices sealed 1, queues 1, lanes 1, notifications 1, notifications sealed 1",
		do: func(f furnished) (any, error) {
			return only(f.s.Settle(f.onPhone, Outcome{Result: ResultRetry, At: noon.Add(time.Minute), Code: "busy"}, noon))
		}},
	{method: "Settle", when: "gone", reads: "devices 3, devices sealed 1, queues 3, lanes 2, notifications 1, notifications sealed 1",
		do: func(f furnished) (any, error) {
			return only(f.s.Settle(f.onPhone, Outcome{Result: ResultGone, Reason: "It is gone."}, noon))
		}},
	{method: "Settle", when: "delivered after it was read", reads: "devices 1, devices sealed 1, queues 1, lanes 1, notifications 1, notifications sealed 1",
		do: func(f furnished) (any, error) {
			return only(f.s.Settle(f.cleared, Outcome{Result: ResultDelivered}, noon))
		}},
	{method: "Setup",
		do: func(f furnished) (any, error) {
			token, err := os.ReadFile(filepath.Join(f.s.dir, setupFile))
			if err != nil {
				return nil, err
			}
			return two(f.s.Setup(strings.TrimSpace(string(token)), "carl", "his password", "https://push.example.org", &Visit{}, noon))
		}, before: func(f furnished) error {
			_, err := f.nobody().SetupToken()
			return err
		}},
	{method: "Setup", when: "is done",
		do: func(f furnished) (any, error) {
			_, _, err := f.s.Setup("token", "carl", "his password", "", nil, noon)
			if errors.Is(err, ErrSetupDone) {
				err = nil
			}
			return nil, err
		}},
	{method: "SetupToken", when: "before setup",
		do: func(f furnished) (any, error) { return f.s.SetupToken() }, before: func(f furnished) error { f.nobody(); return nil }},
	{method: "SetupToken", when: "after setup",
		do: func(f furnished) (any, error) { return f.s.SetupToken() }},
	{method: "Tokens", reads: "tokens 3",
		do: func(f furnished) (any, error) { return f.s.Tokens(f.ann.ID) }},
	{method: "Unread", reads: "unread 1",
		do: func(f furnished) (any, error) { return two(f.s.Unread(f.shared.ID)) }},
	{method: "UpdateAccount", when: "its name", reads: "accounts 2, accounts sealed 2",
		do: func(f furnished) (any, error) {
			f.shared.Email = "club@example.org"
			return f.s.UpdateAccount(f.shared, noon)
		}},
	{method: "UpdateAccount", when: "to another mailbox", reads: "accounts 2, accounts sealed 2",
		do: func(f furnished) (any, error) { f.shared.Username = "club"; return f.s.UpdateAccount(f.shared, noon) }},
	{method: "UpdateDevice", reads: "devices 1, devices sealed 1, queues 1, lanes 1",
		do: func(f furnished) (any, error) { f.tablet.Token = "another"; return f.s.UpdateDevice(f.tablet, noon) }},
	{method: "UpdateOwn", when: "the name", reads: "users 2",
		do: func(f furnished) (any, error) { return f.s.UpdateOwn(f.ben.ID, "carl", "", "") }},
	{method: "UpdateOwn", when: "the password", reads: "users 1, tokens 3, invites 3",
		do: func(f furnished) (any, error) { return f.s.UpdateOwn(f.ben.ID, "", "password", "another") }},
	{method: "UpdateUser", when: "to be no admin", reads: "users 2",
		do: func(f furnished) (any, error) { return f.s.UpdateUser(f.ben.ID, UserPatch{Admin: new(bool)}) }},
	{method: "UpdateUser", when: "to be an admin", reads: "users 1",
		do: func(f furnished) (any, error) { return f.s.UpdateUser(f.ben.ID, UserPatch{Admin: new(true)}) }},
	{method: "User", reads: "users 1",
		do: func(f furnished) (any, error) { return f.s.User(f.ben.ID) }},
	{method: "Users", reads: "users 2",
		do: func(f furnished) (any, error) { return f.s.Users() }},
	{method: "VAPIDKey", reads: "meta sealed 1",
		do: func(f furnished) (any, error) { return f.s.VAPIDKey() }},
	{method: "Wordless", reads: "notifications 1",
		do: func(f furnished) (any, error) { return f.s.Wordless(f.shared.ID, noon) }, before: furnished.wordless},
}

var errFault = errors.New("the disk is full")

// column is what can be damaged of the rows of a bucket.
type column struct {
	name   string
	bucket []byte
	damage func(value []byte) []byte // gives nil for a row that has no such column
}

func columns() (list []column) {
	for _, bucket := range [][]byte{users, tokens, accounts, cursors, devices, owners, addresses, queues, lanes, notifications, messages, outbox, due, announced, unread, hosts, invites, meta} {
		list = append(list, column{string(bucket), bucket, brokenJSON}, column{string(bucket) + " sealed", bucket, brokenSeal})
	}
	return list
}

func brokenJSON(value []byte) []byte {
	if !json.Valid(value) {
		return nil
	}
	return append([]byte{'x'}, value[1:]...)
}

func brokenSeal(value []byte) []byte {
	if len(value) > 0 && value[0] == sealVersion {
		broken := bytes.Clone(value)
		broken[len(broken)-1] ^= 1
		return broken
	}
	var row map[string]json.RawMessage
	if json.Unmarshal(value, &row) != nil || row["Sealed"] == nil {
		return nil
	}
	var sealed []byte
	must(json.Unmarshal(row["Sealed"], &sealed))
	sealed[len(sealed)-1] ^= 1
	row["Sealed"], _ = json.Marshal(sealed)
	broken, err := json.Marshal(row)
	must(err)
	return broken
}

// content is all that the file holds: the rows by bucket and key, and the last sequence of each
// bucket. Deliveries, which are in no order, are put in one.
func content(t testing.TB, s *Store) map[string]string {
	t.Helper()
	held := make(map[string]string)
	err := s.db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			held[string(name)] = string(sequence(b.Sequence()))
			return b.ForEach(func(k, v []byte) error {
				var n notificationRow
				if bytes.Equal(name, notifications) && json.Unmarshal(v, &n) == nil {
					slices.SortFunc(n.Deliveries, func(a, b Delivery) int { return cmp.Compare(a.Device, b.Device) })
					v, _ = json.Marshal(n)
				}
				held[string(name)+" "+string(k)] = string(v)
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return held
}

// trial is what came of one call.
type trial struct {
	result        any
	err           error
	before, after map[string]string
	asked         int // transactions
}

// stage makes one trial after another, each on a store of its own.
type stage struct {
	f    furnished
	dir  string
	made map[string]string
}

// try makes the call with the damaged rows and lets its transaction of that number fail; 0: none.
func (g stage) try(t *testing.T, c call, damaged map[string][]byte, fails int) (got trial) {
	t.Helper()
	armed := false
	f := g.f.again(t, g.dir, g.made, Options{NoSync: true, Fault: func() error {
		if armed {
			if got.asked++; got.asked == fails {
				return errFault
			}
		}
		return nil
	}})
	cryptotest.SetGlobalRandom(t, 1) // so that the same call makes the same ids and seals
	if c.before != nil {
		if err := c.before(f); err != nil {
			t.Fatal(err)
		}
	}
	err := f.s.db.Update(func(tx *bolt.Tx) error {
		for name, value := range damaged {
			bucket, key, _ := strings.Cut(name, " ")
			if err := tx.Bucket([]byte(bucket)).Put([]byte(key), value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got.before = content(t, f.s)
	armed = true
	done := make(chan struct{})
	go func() {
		defer close(done)
		got.result, got.err = c.do(f)
	}()
	select {
	case <-done:
	case <-testenv.Context(t).Done():
		t.Fatalf("it does not end")
	}
	armed = false
	got.after = content(t, f.s)
	if err := f.s.Close(); err != nil {
		t.Error(err)
	}
	return got
}

// damaged gives the rows of the content that have one of the columns, each without it.
func damaged(content map[string]string, list ...column) map[string][]byte {
	rows := make(map[string][]byte)
	for name, value := range content {
		bucket, _, row := strings.Cut(name, " ")
		for _, c := range list {
			if row && bucket == string(c.bucket) && rows[name] == nil {
				if broken := c.damage([]byte(value)); broken != nil {
					rows[name] = broken
				}
			}
		}
	}
	return rows
}

// sameBut holds a call that succeeded beside damaged rows to what it does in a store that is whole.
func sameBut(t *testing.T, what string, got, whole trial, damaged map[string][]byte) {
	t.Helper()
	if !reflect.DeepEqual(got.result, whole.result) {
		t.Errorf("%s: it gives %+v, want %+v", what, got.result, whole.result)
	}
	want := maps.Clone(whole.after)
	for name := range damaged {
		if whole.after[name] == whole.before[name] {
			want[name] = got.before[name] // which it has not touched
		}
	}
	differ(t, what, got.after, want)
}

// failed holds a call that failed to what it may leave.
func failed(t *testing.T, what string, got, whole trial, c call) {
	t.Helper()
	var crash runtime.Error
	if errors.As(got.err, &crash) {
		t.Errorf("%s: it panics: %v", what, crash)
	}
	if c.halfway != "" {
		differ(t, what, got.after, got.before, whole.after)
	} else {
		differ(t, what, got.after, got.before)
	}
}

// differ names the rows that are as in none of the contents that they may be as in.
func differ(t *testing.T, what string, got map[string]string, as ...map[string]string) {
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

// TestEveryMethodNoticesDamageAndAFailingDisk and changes nothing then. Rows that only lead to others
// have neither JSON nor a seal to damage.
func TestEveryMethodNoticesDamageAndAFailingDisk(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	s := newStore(t)
	g := stage{f: furnish(t, s), dir: t.TempDir(), made: files(t, s.dir)}
	for bucket := range sizes(t, s) {
		if !slices.ContainsFunc(columns(), func(c column) bool { return c.name == bucket }) {
			t.Errorf("no column of %s", bucket)
		}
	}
	for m := range reflect.TypeFor[*Store]().Methods() {
		if none[m.Name] == "" && !slices.ContainsFunc(calls, func(c call) bool { return c.method == m.Name }) {
			t.Errorf("no call of %s", m.Name)
		}
	}
	for _, c := range calls {
		t.Run(strings.TrimSpace(c.method+" "+c.when), func(t *testing.T) { g.hold(t, c) })
	}
}

// hold makes the call in a store that is whole, and then with every damage and fault.
func (g stage) hold(t *testing.T, c call) {
	whole := g.try(t, c, nil, 0)
	if whole.err != nil {
		t.Fatalf("in a store that is whole: %v", whole.err)
	}
	var unread []column
	var reads []string
	for _, col := range columns() {
		if !slices.ContainsFunc(strings.Split(c.reads, ", "), func(r string) bool { return strings.TrimRight(r, " 0123456789") == col.name }) {
			unread = append(unread, col)
			continue
		}
		noticed := 0
		for name, value := range damaged(whole.before, col) {
			row, what := map[string][]byte{name: value}, fmt.Sprintf("damage to %s, %q", col.name, name)
			got := g.try(t, c, row, 0)
			if got.err == nil {
				sameBut(t, what, got, whole, row)
				continue
			}
			noticed++
			if !errors.Is(got.err, ErrCorrupt) {
				t.Errorf("%s: %v", what, got.err)
			}
			failed(t, what, got, whole, c)
		}
		reads = append(reads, fmt.Sprint(col.name, " ", noticed))
	}
	if got := strings.Join(reads, ", "); got != c.reads {
		t.Errorf("it notices damage to %s, want %s", got, c.reads)
	}
	elsewhere := damaged(whole.before, unread...)
	if got := g.try(t, c, elsewhere, 0); got.err != nil {
		t.Errorf("damage to what it does not read: %v", got.err)
	} else {
		sameBut(t, "damage to what it does not read", got, whole, elsewhere)
	}
	for n := 1; n <= whole.asked; n++ {
		what := fmt.Sprintf("transaction %d of %d fails", n, whole.asked)
		got := g.try(t, c, nil, n)
		want := errFault
		if n == c.forgives {
			want = nil
		}
		if !errors.Is(got.err, want) {
			t.Errorf("%s: the error is %v, want %v", what, got.err, want)
		}
		if got.err != nil {
			failed(t, what, got, whole, c)
		}
	}
}
