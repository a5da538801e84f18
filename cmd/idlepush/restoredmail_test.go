package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"idlepush/cmd/idlepush/api"
	"idlepush/cmd/idlepush/systemtest"
	"idlepush/push/pushtest"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
)

// restoreAfter backs up the store, and restores the backup in its place once since has run and the
// daemon is stopped. Then the daemon does not run yet.
func restoreAfter(t *testing.T, s *systemtest.System, since func()) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "backup")
	if out, err := keepCommand(t, s, "", "backup", file); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	since()
	s.Stop(t)
	if out, err := keepCommand(t, s, "", "restore", file, "--replace"); err != nil || !strings.Contains(out, "is kept as") {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestARestoredStoreCatchesUpWithItsMailboxes: in one mailbox mail was read since the backup, in
// one it was deleted, and one was numbered anew.
func TestARestoredStoreCatchesUpWithItsMailboxes(t *testing.T) {
	t.Parallel()
	s := systemtest.NewScenario(t, itself(t))
	anna, ben, carla := s.Mailboxes[0], s.Mailboxes[1], s.Mailboxes[2]
	s.DeliverMails(t, 6)
	s.WaitDelivered(t)
	restoreAfter(t, s.System, func() {
		s.DeliverMails(t, 6)
		s.WaitDelivered(t)
	})
	s.Mail.Doveadm(t, anna, "flags", "add", `\Seen`, "mailbox", "INBOX", "header", "message-id", "<6@example.org>")
	s.Mail.Doveadm(t, ben, "expunge", "mailbox", "INBOX", "all")
	s.Mail.ResetUIDValidity(t, carla, "INBOX")
	s.DeliverMails(t, 3)
	told := s.MailPushes(t)
	s.Start(t)
	s.DeliverMails(t, 3)

	// Of the mail that had rung after the backup, what is still there and unread rings again.
	want := make(map[string]int)
	for _, n := range []int{9, 8, 11, 12, 13, 14, 15, 16, 17} {
		want[s.Sent[n].Subject] = 1
	}
	testenv.Await(t, "every phone rings for what came since the backup", func() error {
		all := s.MailPushes(t)
		for _, phone := range s.Phones {
			rang := make(map[string]int)
			for _, p := range all[phone][len(told[phone]):] {
				rang[p.Subject]++
			}
			if len(rang) < len(want) {
				return fmt.Errorf("%s has rung for %v", phone, rang)
			}
		}
		return nil
	})
	s.Stop(t)
	for phone, list := range s.MailPushes(t) {
		before := make(map[string]string)
		for _, p := range list[:len(told[phone])] {
			before[p.Subject] = p.ID
		}
		rang := make(map[string]int)
		for _, p := range list[len(told[phone]):] {
			rang[p.Subject]++
			if id := before[p.Subject]; id != "" && id != p.ID && !strings.HasPrefix(p.Subject, carla) {
				t.Errorf("%s rings for %q under another id than before", phone, p.Subject)
			}
		}
		if fmt.Sprint(rang) != fmt.Sprint(want) {
			t.Errorf("%s rings for\n%v, want\n%v", phone, rang, want)
		}
	}
}

// TestARestoredStoreWhosePhonesMoved: since the backup one of Anna's phones got another address,
// and one a new owner.
func TestARestoredStoreWhosePhonesMoved(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	s.Populate(t)
	ctx := testenv.Context(t)
	receiver := func() *pushtest.Receiver {
		r, err := pushtest.NewReceiver()
		systemtest.Must(t, err)
		return r
	}
	annas, bens := receiver(), receiver()
	phone := func(name, token string, r *pushtest.Receiver) map[string]any {
		return map[string]any{"name": name, "transport": "fcm", "token": token, "encryption": api.Keys(r.Keys()), "content": "subject"}
	}
	var invite struct{ Code string }
	systemtest.Must(t, s.Client.Post(ctx, "/invites", map[string]any{"for": "person"}, &invite))
	ben := newBrowser(t, s)
	ben.call("POST", "/invites/accept", map[string]any{"code": invite.Code, "name": "Ben", "password": registrytest.SecretMarker + " of Ben"}, nil)
	var rotates struct{ ID string }
	rotated, handed := s.FCM.Register(annas), s.FCM.Register(annas)
	systemtest.Must(t, s.Client.Post(ctx, "/devices", phone("rotates", rotated, annas), &rotates))
	systemtest.Must(t, s.Client.Post(ctx, "/devices", phone("handed on", handed, annas), nil))
	firefox := s.Web.Messages()[0].Endpoint

	restoreAfter(t, s, func() {
		systemtest.Must(t, s.Client.Call(ctx, "PATCH", "/devices/"+rotates.ID, map[string]any{"token": s.FCM.Register(annas)}, nil))
		s.FCM.Unregister(rotated)
		s.FCM.SetReceiver(handed, bens)
		ben.call("POST", "/devices", phone("from Anna", handed, bens), nil)
	})
	s.FCM.SetReceiver(handed, annas) // takes pushes to Anna's keys, which Ben's app has not
	s.Start(t)
	s.Deliver(t, "planted for anna")
	testenv.Await(t, "the address that is dead is removed, and the other devices are told", func() error {
		names, told := deviceNames(t, s), attentions(t, s, firefox)
		if fmt.Sprint(names) != "[fairphone firefox handed on iphone pixel]" || fmt.Sprint(told) != "[device_gone]" {
			return fmt.Errorf("there are %v, and firefox was told %v", names, told)
		}
		return nil
	})
	toBen := func() (list []pushtest.FCMMessage) {
		for _, m := range s.FCM.Messages() {
			if string(m.Token) == handed && systemtest.DecodePush(t, m.Payload).Kind == "mail" {
				list = append(list, m)
			}
		}
		return list
	}
	testenv.Await(t, "the mail comes to the phone that Ben has now", requests(func() int { return len(toBen()) }, 1))
	if text, err := bens.Open(toBen()[0].Data["encrypted"]); err == nil {
		t.Errorf("Ben's app can read %s", text)
	}

	s.FCM.Fail(handed, pushtest.Fault{Status: 503})
	tries := s.FCM.Requests()
	s.Deliver(t, "planted and waits")
	testenv.Await(t, "a mail waits for the phone", requests(s.FCM.Requests, tries+2))
	s.FCM.SetReceiver(handed, bens)
	ben.call("POST", "/devices", phone("from Anna", handed, bens), nil) // as at a start of the app
	s.FCM.ClearFaults()
	if names := deviceNames(t, s); fmt.Sprint(names) != "[fairphone firefox iphone pixel]" {
		t.Errorf("once Ben's app has started, Anna has %v", names)
	}
	var devices struct{ Items []struct{ ID string } }
	ben.call("GET", "/devices", nil, &devices)
	ben.call("POST", "/devices/"+devices.Items[0].ID+"/test", nil, nil)
	s.Deliver(t, "planted at last")
	testenv.Await(t, "the last mail rings Anna's phones", func() error {
		for _, m := range s.Web.Messages() {
			if strings.Contains(string(m.Body), "planted at last") {
				return nil
			}
		}
		return errors.New("no push")
	})
	s.Stop(t)
	if n := len(toBen()); n != 1 {
		t.Errorf("Ben's phone was sent %d mails of Anna's", n)
	}
}

// deviceNames returns the names of Anna's devices, sorted.
func deviceNames(t *testing.T, s *systemtest.System) (names []string) {
	t.Helper()
	var list struct{ Items []struct{ Name string } }
	systemtest.Must(t, s.Client.Get(testenv.Context(t), "/devices", &list))
	for _, d := range list.Items {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	return names
}
