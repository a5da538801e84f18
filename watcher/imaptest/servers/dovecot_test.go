package servers

import (
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"idlepush/registry/testenv"
)

func TestDovecot(t *testing.T) {
	t.Parallel()
	t.Run("it is reached in three ways and shows delivered mail", reachedInThreeWays)
	t.Run("delivered mail is reported in IDLE, and looking changes no flag", reportedInIdle)
	t.Run("an outage ends connections, and keeps mail and ports", outageKeepsMail)
	t.Run("dropped connections end while the server lives", droppedConnections)
	t.Run("a reset UIDVALIDITY numbers the same messages anew", resetUIDValidity)
	t.Run("settings of a test win", testSettingsWin)
	t.Run("known users can log in while another is added", addedUser)
}

const letter = "From: Bob <bob@example.com>\nSubject: tea\nMessage-ID: <1@example.com>\n\nAt five?\n"

// dial connects in one of the three ways and logs in.
func dial(t *testing.T, e Endpoint, way, user, password string, news chan<- uint32) *imapclient.Client {
	t.Helper()
	options := &imapclient.Options{
		TLSConfig: &tls.Config{RootCAs: e.Roots},
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil && news != nil {
				news <- *data.NumMessages
			}
		}},
	}
	s := rig{Endpoint: e}
	var client *imapclient.Client
	var err error
	switch way {
	case "tls":
		client, err = imapclient.DialTLS(s.address(e.TLSPort), options)
	case "starttls":
		client, err = imapclient.DialStartTLS(s.address(e.Port), options)
	default:
		client, err = imapclient.DialInsecure(s.address(e.Port), options)
	}
	if err != nil {
		t.Fatalf("%s: %v", way, err)
	}
	t.Cleanup(func() { client.Close() })
	if err := client.Login(user, password).Wait(); err != nil {
		t.Fatalf("%s: %v", way, err)
	}
	return client
}

func examine(t *testing.T, client *imapclient.Client, folder string) *imap.SelectData {
	t.Helper()
	data, err := client.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// subjects returns the Subject of every message by UID.
func subjects(t *testing.T, client *imapclient.Client, folder string) map[imap.UID]string {
	t.Helper()
	found := map[imap.UID]string{}
	if examine(t, client, folder).NumMessages == 0 {
		return found
	}
	messages, err := client.Fetch(imap.SeqSet{{Start: 1}}, &imap.FetchOptions{UID: true, Envelope: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		found[m.UID] = m.Envelope.Subject
	}
	return found
}

// awaitExists waits for the EXISTS of an idling client.
func awaitExists(t *testing.T, news <-chan uint32, want uint32) {
	t.Helper()
	var reported []uint32
	for late := testenv.Context(t).Done(); !slices.Contains(reported, want); {
		select {
		case n := <-news:
			reported = append(reported, n)
		case <-late:
			t.Fatalf("message %d was not reported, only %d", want, reported)
		}
	}
}

// waitClosed waits until the server has ended a connection.
func waitClosed(t *testing.T, client *imapclient.Client) {
	t.Helper()
	select {
	case <-client.Closed():
	case <-testenv.Context(t).Done():
		t.Fatal("the connection is still open")
	}
}

func reachedInThreeWays(t *testing.T) {
	t.Parallel()
	s := Dovecot(t)
	s.Deliver(t, s.User, "INBOX", []byte(letter))
	s.AddUser(t, "bob@example.com", "with: colon")
	s.Deliver(t, "bob@example.com", "Lists", []byte(strings.Replace(letter, "tea", "scones", 1)))
	for _, way := range []string{"plain", "starttls", "tls"} {
		if got := subjects(t, dial(t, s.Endpoint, way, s.User, s.Password, nil), "INBOX"); !maps.Equal(got, map[imap.UID]string{1: "tea"}) {
			t.Errorf("%s: %v", way, got)
		}
	}
	bob := dial(t, s.Endpoint, "tls", "bob@example.com", "with: colon", nil)
	if got := subjects(t, bob, "Lists"); !maps.Equal(got, map[imap.UID]string{1: "scones"}) {
		t.Errorf("bob's Lists: %v", got)
	}
	s.AddUser(t, "bob@example.com", "changed")
	dial(t, s.Endpoint, "plain", "bob@example.com", "changed", nil)
}

func reportedInIdle(t *testing.T) {
	t.Parallel()
	s := Dovecot(t)
	news := make(chan uint32, 16)
	client := dial(t, s.Endpoint, "tls", s.User, s.Password, news)
	examine(t, client, "INBOX")
	idle, err := client.Idle()
	if err != nil {
		t.Fatal(err)
	}
	s.Deliver(t, s.User, "INBOX", []byte(letter))
	awaitExists(t, news, 1)
	if err := errors.Join(idle.Close(), idle.Wait()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := s.Flags(t, s.User, "INBOX"); !maps.Equal(got, map[uint32]string{1: `\Recent`}) {
			t.Errorf("after a look: %v", got)
		}
	}
	s.Doveadm(t, s.User, "flags", "add", `\Seen`, "mailbox", "INBOX", "uid", "1")
	if got := s.Flags(t, s.User, "INBOX"); !strings.Contains(got[1], `\Seen`) {
		t.Errorf("after it was read: %v", got)
	}
}

func outageKeepsMail(t *testing.T) {
	t.Parallel()
	s := Dovecot(t)
	client := dial(t, s.Endpoint, "starttls", s.User, s.Password, nil)
	s.Stop(t)
	s.Stop(t)
	waitClosed(t, client)
	if conn, err := imapclient.DialInsecure(s.address(s.Port), nil); err == nil {
		conn.Close()
		t.Error("a stopped server takes a connection")
	}
	s.Deliver(t, s.User, "INBOX", []byte(letter))
	s.Start(t)
	if got := subjects(t, dial(t, s.Endpoint, "starttls", s.User, s.Password, nil), "INBOX"); len(got) != 1 {
		t.Errorf("after the outage: %v", got)
	}
}

func droppedConnections(t *testing.T) {
	t.Parallel()
	s := Dovecot(t)
	s.DropConnections(t, s.User)
	client := dial(t, s.Endpoint, "tls", s.User, s.Password, nil)
	examine(t, client, "INBOX")
	s.DropConnections(t, s.User)
	waitClosed(t, client)
	dial(t, s.Endpoint, "tls", s.User, s.Password, nil)
}

func resetUIDValidity(t *testing.T) {
	t.Parallel()
	s := Dovecot(t)
	for _, folder := range []string{"INBOX", "Lists.Ärger"} {
		for _, subject := range []string{"one", "two", "three"} {
			s.Deliver(t, s.User, folder, []byte(strings.Replace(letter, "tea", subject, 1)))
		}
		s.Doveadm(t, s.User, "expunge", "mailbox", folder, "uid", "1")
		s.Doveadm(t, s.User, "flags", "add", `\Flagged`, "mailbox", folder, "uid", "3")
		before := examine(t, dial(t, s.Endpoint, "tls", s.User, s.Password, nil), folder)
		s.ResetUIDValidity(t, s.User, folder)
		client := dial(t, s.Endpoint, "tls", s.User, s.Password, nil)
		after := examine(t, client, folder)
		if after.UIDValidity == before.UIDValidity || after.UIDValidity == 0 {
			t.Errorf("%s: UIDVALIDITY was %d and is %d", folder, before.UIDValidity, after.UIDValidity)
		}
		if got := subjects(t, client, folder); !maps.Equal(got, map[imap.UID]string{1: "two", 2: "three"}) {
			t.Errorf("%s: %v", folder, got)
		}
		if got := s.Flags(t, s.User, folder); !strings.Contains(got[2], `\Flagged`) {
			t.Errorf("%s: %v", folder, got)
		}
	}
}

func testSettingsWin(t *testing.T) {
	t.Parallel()
	s := Dovecot(t, "imap_idle_notify_interval = 1s", "mail_max_userip_connections = 1")
	dial(t, s.Endpoint, "plain", s.User, s.Password, nil)
	client, err := imapclient.DialInsecure(s.address(s.Port), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Login(s.User, s.Password).Wait(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a second connection: %v", err)
	}
}

func addedUser(t *testing.T) {
	t.Parallel()
	s := &Server{rig: rig{folder: t.TempDir(), owner: unprivileged(t)}} // only its files matter
	s.write(t, "users", nil)
	s.AddUser(t, "alice", "wonderland")
	stop := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			users, err := os.ReadFile(s.path("users"))
			if err != nil || !strings.Contains(string(users), "alice:") {
				t.Errorf("who reads the users now locks alice out: %q, %v", users, err)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for i := range 300 {
		s.AddUser(t, "user"+strconv.Itoa(i%10), "secret")
	}
	close(stop)
	reading.Wait()
}
