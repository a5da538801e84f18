package watcher

import (
	"crypto/tls"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"idlepush"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest/servers"
)

// accountAt is an account of a server's first user.
func accountAt(at servers.Endpoint, security idlepush.Security) idlepush.Account {
	port := at.Port
	if security == idlepush.SecurityTLS {
		port = at.TLSPort
	}
	return idlepush.Account{Host: at.Host, Port: port, Security: security, Username: at.User, Password: idlepush.Secret(at.Password)}
}

func dialerTo(at servers.Endpoint) Dialer {
	return Dialer{Permit: permitAll, TLS: &tls.Config{RootCAs: at.Roots}}
}

// mailServer is one of imaptest's real servers, with a mailbox for one user.
type mailServer interface {
	Start(t testing.TB)
	Stop(t testing.TB)
	Deliver(t testing.TB, user, folder string, message []byte)
	Client(t testing.TB) *imapclient.Client
}

// TestServers runs real servers.
func TestServers(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t testing.TB) (server mailServer, at servers.Endpoint, second string){
		"Dovecot": func(t testing.TB) (mailServer, servers.Endpoint, string) {
			s := servers.Dovecot(t)
			return s, s.Endpoint, "Work"
		},
		"Cyrus": func(t testing.TB) (mailServer, servers.Endpoint, string) {
			s := servers.Cyrus(t)
			return s, s.Endpoint, "Work"
		},
		// It says UIDNEXT only in answer to STATUS, and finds nothing by "UID SEARCH UID *". All
		// folders lie below INBOX.
		"Courier": func(t testing.TB) (mailServer, servers.Endpoint, string) {
			s := servers.Courier(t)
			return s, s.Endpoint, "INBOX.Work"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, at, second := open(t)
			client := server.Client(t)
			if err := client.Create(second, nil).Wait(); err != nil {
				t.Fatal(err)
			}
			for _, folder := range []string{"INBOX", second} {
				server.Deliver(t, at.User, folder, mail("Old <old@example.org>", "before", "there before"))
				// Courier keeps the UIDVALIDITY of a folder only from the first time on that a
				// client has opened it to write.
				if _, err := client.Select(folder, nil).Wait(); err != nil {
					t.Fatal(err)
				}
			}
			h := newHarness(t, accountAt(at, idlepush.SecurityTLS))
			h.watch(t, dialerTo(at))
			for _, step := range []struct {
				name string
				run  func(t *testing.T)
			}{
				{"login", func(t *testing.T) { logsIn(t, at, second) }},
				{"second folder", func(t *testing.T) { notifiesSecond(t, server, at, second) }},
				{"notify", func(t *testing.T) { h.notifies(t, server, at) }},
				{"read elsewhere", func(t *testing.T) { h.clears(t, server) }},
				{"restart", func(t *testing.T) { h.outlives(t, server, at) }},
			} {
				if !t.Run(step.name, step.run) {
					return
				}
			}
		})
	}
}

// logsIn tries a wrong password, and the right one.
func logsIn(t *testing.T, at servers.Endpoint, second string) {
	account := accountAt(at, idlepush.SecurityTLS)
	able, err := dialerTo(at).Check(t.Context(), account)
	if want := []Folder{{Name: "INBOX"}, {Name: second}}; err != nil || !able.Idle || !slices.Equal(able.Folders, want) {
		t.Errorf("the check says %+v, %v", able, err)
	}
	account.Password = "wrong"
	_, err = dialerTo(at).Check(t.Context(), account)
	if f, ok := err.(*Failure); !ok || f.Code != "login_refused" || f.Field != "password" {
		t.Errorf("with a wrong password the check says %+v", err)
	}
}

// notifiesSecond watches two folders, and looks at the second as a tour does.
func notifiesSecond(t *testing.T, server mailServer, at servers.Endpoint, second string) {
	account := accountAt(at, idlepush.SecurityTLS)
	account.Folders = []string{"INBOX", second}
	h := newHarness(t, account)
	conn, err := dialerTo(at).login(t.Context(), &h.account)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	session := h.session(conn, new(failures))
	for _, words := range []string{"", "one", "two"} {
		if words != "" {
			server.Deliver(t, at.User, second, mail("a@example.org", words, ""))
		}
		session.tour = time.Time{}
		if _, err := session.catchUp(); err != nil {
			t.Fatal(err)
		}
	}
	if got := subjects(h.mails(t)); !slices.Equal(got, []string{"one", "two"}) || session.reader.selected != session.folders.named("INBOX") {
		t.Errorf("notified %q, and %+v is open", got, session.reader.selected)
	}
}

func (h *harness) notifies(t *testing.T, server mailServer, at servers.Endpoint) {
	h.waitState(t, idlepush.StateWatching)
	for i, words := range []string{"hello", "again"} {
		server.Deliver(t, at.User, "INBOX", mail("Berta <b@example.org>", words, "How are you?"))
		got, want := h.waitMails(t, i+1), idlepush.Content{From: "Berta", Subject: words, MessageID: words + "@example.org", Preview: "How are you?"}
		if len(got) != i+1 || got[i].Content != want {
			t.Fatalf("notified %q, the last as %+v", subjects(got), got[i].Content)
		}
	}
}

// clears reads all mail by another client.
func (h *harness) clears(t *testing.T, server mailServer) {
	h.deliverAll(t)
	client := server.Client(t)
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	seen := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen}}
	if err := client.Store(imap.SeqSet{{Start: 1}}, seen, nil).Close(); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, "both mails are cleared", func() error {
		if got := h.cleared(t); len(got) < 2 {
			return fmt.Errorf("%q are", got)
		}
		return nil
	})
}

// outlives restarts the server and looks for the mail of that time, and later mail.
func (h *harness) outlives(t *testing.T, server mailServer, at servers.Endpoint) {
	server.Stop(t)
	server.Deliver(t, at.User, "INBOX", mail("a@example.org", "meanwhile", ""))
	server.Start(t)
	h.waitMails(t, 3)
	server.Deliver(t, at.User, "INBOX", mail("a@example.org", "after", ""))
	if got := subjects(h.waitMails(t, 4)); !slices.Equal(got, []string{"hello", "again", "meanwhile", "after"}) {
		t.Errorf("notified %q", got)
	}
}
