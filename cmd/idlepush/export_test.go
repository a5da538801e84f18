package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"idlepush"
	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
)

func TestExport(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	s.Populate(t)
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/users", map[string]any{"name": "Ben", "password": registrytest.Password}, nil))
	s.Deliver(t, "for anna")
	testenv.Await(t, "it rings", func() error { return requests(func() int { return len(s.Web.Messages()) }, 4)() })
	for _, running := range []bool{true, false} {
		if !running {
			s.Stop(t)
		}
		text, err := keepCommand(t, s, "", "export", "Anna")
		var got export
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if err != nil || got.Name != "anna" || len(got.Mailboxes) != 1 || got.Mailboxes[0].Username != s.Mail.User || len(got.Devices) != 4 || len(got.Logins) == 0 {
			t.Errorf("%v: %s", err, text)
		}
		if !slices.ContainsFunc(got.Mail, func(m exportedMail) bool {
			return m.Subject == "for anna" && m.Mailbox == "anna@example.org" && len(m.RangOn) > 0
		}) {
			t.Errorf("the mail is not in %s", text)
		}
		secrets := []string{s.Mail.Password, s.Client.Token, string(s.FCM.Messages()[0].Token)}
		for _, m := range s.Web.Messages() {
			secrets = append(secrets, string(m.Endpoint))
		}
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("it has a secret that begins with %.8q", secret)
			}
		}
		if text, err := keepCommand(t, s, "", "export", "ben"); err != nil || strings.Contains(text, "anna") {
			t.Errorf("for Ben: %v: %s", err, text)
		}
		if text, err := keepCommand(t, s, "", "export", "Carla"); err == nil || !strings.Contains(text, `there is no person "Carla"`) {
			t.Errorf("for nobody: %v: %s", err, text)
		}
	}
}

// TestExportOfMuchMail: what is kept of a person with much mail comes from the daemon in small
// parts, and whole.
func TestExportOfMuchMail(t *testing.T) {
	t.Parallel()
	dir, anna, _ := registrytest.DirWithUsers(t)
	store := registrytest.Open(t, dir)
	defer store.Close()
	mailbox := idlepush.Account{Owner: anna.ID, Email: "anna@example.org", Host: "imap.example.org", Port: 993, Security: "tls", Username: "anna", Password: "planted", Folders: []string{"INBOX"}, Enabled: true}
	mailbox, _, err := store.Accounts.Add(mailbox, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	phone := idlepush.Device{User: anna.ID, Name: "Pixel", Transport: "fcm", Address: "token", Lane: "fcm", Content: idlepush.LevelSubject}
	if _, _, err := store.Devices.Register(phone, "", time.Now()); err != nil {
		t.Fatal(err)
	}
	const mails, step = 2*exportStep + 1, 50
	var at registry.Cursor
	for n := uint32(1); n <= mails; n += step {
		next := registry.Cursor{UIDValidity: 1, Next: min(n+step, mails+1)}
		arrival := registry.Arrival{Account: mailbox.ID, Folder: "INBOX", From: at, To: next, At: time.Now()}
		for uid := n; uid < next.Next; uid++ {
			arrival.Mails = append(arrival.Mails, registry.Message{UID: uid, Content: idlepush.Content{Subject: fmt.Sprint("mail ", uid)}})
		}
		if _, err := store.Mail.Record(arrival); err != nil {
			t.Fatal(err)
		}
		at = next
	}
	mux := http.NewServeMux()
	serveExport(t.Context(), mux, store)
	defer serveSocket(t, dir, mux)()
	var out export
	parts := 0
	err = hearDaemon(t.Context(), dir, "/export", "ANNA", func(part export) {
		if parts++; len(part.Mail) > exportStep {
			t.Errorf("a part has %d mails", len(part.Mail))
		}
		out.add(part)
	})
	if err != nil || parts != 4 || out.Name != "Anna" || len(out.Mailboxes) != 1 {
		t.Errorf("%v: %d parts, of %q with %d mailboxes", err, parts, out.Name, len(out.Mailboxes))
	}
	subjects := make(map[string]bool)
	for _, m := range out.Mail {
		subjects[m.Subject] = true
	}
	if len(out.Mail) != mails || len(subjects) != mails {
		t.Errorf("%d mails, %d different, of %d", len(out.Mail), len(subjects), mails)
	}
}
