package wire

import (
	"crypto/tls"
	"testing"

	"github.com/emersion/go-imap/v2"

	"idlepush/watcher/imaptest/servers"
)

func TestRealServers(t *testing.T) {
	t.Parallel()
	t.Run("mail is reported and fetched from go-imap's server", goImapServer)
	t.Run("mail is reported and fetched from Dovecot", dovecotServer)
	t.Run("NOTIFY brings news of other folders from Dovecot", dovecotNotify)
}

const letter = "From: Bob <bob@example.com>\r\nSubject: tea\r\n\r\nAt five?\r\n"

func goImapServer(t *testing.T) {
	t.Parallel()
	server := servers.Memory(t)
	for _, security := range []Security{TLS, StartTLS, None} {
		f := reach(t, server.Endpoint, security)
		deliver := func() { server.Append(t, "INBOX", []byte(letter)) }
		receiveThree(t, f, deliver)
	}
}

func dovecotServer(t *testing.T) {
	t.Parallel()
	server := servers.Dovecot(t)
	for _, security := range []Security{TLS, StartTLS, None} {
		f := reach(t, server.Endpoint, security)
		deliver := func() { server.Deliver(t, "alice", "INBOX", []byte(letter)) }
		receiveThree(t, f, deliver)
	}
}

func dovecotNotify(t *testing.T) {
	t.Parallel()
	server := servers.Dovecot(t)
	server.CreateFolder(t, "alice", "Lists")
	f := reach(t, server.Endpoint, TLS)
	if !f.conn.Has("NOTIFY") {
		t.Fatalf("no NOTIFY in %v", f.conn.Caps())
	}
	f.conn.Forget()
	if err := f.conn.Do("NOTIFY SET (selected (MessageNew MessageExpunge)) (personal (MessageNew MessageExpunge))", realTimeout(t)); err != nil {
		t.Fatal(err)
	}
	server.Deliver(t, "alice", "Lists", []byte(letter))
	news, err := f.conn.Idle(realTimeout(t), realTimeout(t), IdleOptions{})
	if err != nil || news.Status == 0 || news.Exists != 0 {
		t.Errorf("%+v, %v", news, err)
	}
	if err := f.conn.Do("NOTIFY NONSENSE", realTimeout(t)); err == nil {
		t.Error("nonsense was accepted")
	}
	var status imap.StatusData
	err = f.conn.Run(realTimeout(t), Status("Lists", "MESSAGES", &status))
	if err != nil || status.NumMessages == nil || *status.NumMessages != 1 {
		t.Errorf("%+v, %v", status, err)
	}
}

// reach logs in and moves past the messages in the mailbox.
func reach(t *testing.T, server servers.Endpoint, security Security) *follower {
	t.Helper()
	endpoint := Endpoint{Host: server.Host, Port: server.Port, Security: security, TLS: &tls.Config{RootCAs: server.Roots}}
	if security == TLS {
		endpoint.Port = server.TLSPort
	}
	c, err := Dial(t.Context(), endpoint, DefaultLimits, realTimeout(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	f := &follower{conn: c, timeout: realTimeout(t), password: server.Password, next: 1}
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	if err := f.look(); err != nil {
		t.Fatal(err)
	}
	f.got = nil
	return f
}

func receiveThree(t *testing.T, f *follower, deliver func()) {
	t.Helper()
	for n := 1; n <= 3; n++ {
		deliver()
		for len(f.got) < n {
			news, err := f.conn.Idle(realTimeout(t), realTimeout(t), IdleOptions{})
			if err != nil || !news.Mail() {
				t.Fatalf("idle: %+v, %v", news, err)
			}
			if err := f.look(); err != nil {
				t.Fatal(err)
			}
		}
		if len(f.got) != n {
			t.Fatalf("got %v, want %d", f.got, n)
		}
	}
}
