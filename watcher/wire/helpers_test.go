package wire

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"go.uber.org/goleak"

	"idlepush/watcher/imaptest"
)

const (
	testRefresh = 9 * time.Minute
	testTimeout = 30 * time.Second
)

// follower is the smallest session there is: it logs in, looks for mail, and waits, as the watcher
// does.
type follower struct {
	conn     *Conn
	timeout  time.Duration // with each step; zero: testTimeout
	password string        // alice's; a script takes any
	next     imap.UID
	got      []imap.UID
	missing  int // found by SEARCH, and not shown by FETCH
	looks    int
	dropped  int
}

func (f *follower) login() error {
	if err := f.conn.Greet(testTimeout); err != nil {
		return err
	}
	return f.open()
}

// open goes on where Dial ends.
func (f *follower) open() error {
	if !f.conn.Preauth() {
		if err := logIn(f.conn, f.password, cmp.Or(f.timeout, testTimeout)); err != nil {
			return err
		}
	}
	return f.conn.Run(cmp.Or(f.timeout, testTimeout), Examine("INBOX", new(imap.SelectData)))
}

func logIn(c *Conn, password string, timeout time.Duration) error {
	return c.LogIn(timeout, func(client *imapclient.Client) error { return client.Login("alice", password).Wait() })
}

// look finds and fetches all there is from next on.
func (f *follower) look() error {
	f.looks++
	f.conn.Forget()
	var wanted []imap.UID
	err := f.conn.Run(cmp.Or(f.timeout, testTimeout), Search(fmt.Sprintf("UID %d:*", f.next), &wanted))
	wanted = slices.DeleteFunc(wanted, func(uid imap.UID) bool { return uid < f.next })
	f.dropped += f.conn.Dropped()
	if err != nil || len(wanted) == 0 {
		return err
	}
	mails, err := f.conn.Fetch(wanted, "UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)]", cmp.Or(f.timeout, testTimeout))
	if err != nil {
		return err
	}
	shown := make(map[imap.UID]bool)
	for _, m := range mails {
		if _, shown[m.UID] = m.Sections["HEADER.FIELDS"]; shown[m.UID] {
			f.got = append(f.got, m.UID)
		}
	}
	for _, uid := range wanted {
		f.next = max(f.next, uid+1)
		if !shown[uid] {
			f.missing++
		}
	}
	return nil
}

// run ends after that many mails or looks, or with the connection.
func (f *follower) run(mails, looks int) error {
	if err := f.login(); err != nil {
		return err
	}
	return f.follow(mails, looks)
}

func (f *follower) follow(mails, looks int) error {
	for {
		if err := f.look(); err != nil {
			return err
		}
		if len(f.got) >= mails || f.looks >= looks {
			return nil
		}
		if _, err := f.conn.Idle(testRefresh, cmp.Or(f.timeout, testTimeout), IdleOptions{}); err != nil {
			return err
		}
	}
}

// pipe connects a script and a Conn. Both end with stop, which waits.
func pipe(t testing.TB, script *imaptest.Script, limits Limits, secure *tls.Config) (c *Conn, stop func()) {
	t.Helper()
	client, server := net.Pipe()
	var wg sync.WaitGroup
	serve, dialed := server, client
	if secure != nil {
		serve = tls.Server(server, secure)
		dialed = tls.Client(client, &tls.Config{InsecureSkipVerify: true})
	}
	wg.Go(func() { script.Serve(serve) })
	c = New(context.Background(), dialed, limits)
	return c, func() {
		c.Close()
		wg.Wait()
	}
}

// trickyMail holds what could be mistaken for something else.
func trickyMail(uid int) imaptest.Message {
	text := "* 7 EXISTS\r\nT2 OK done\r\n)\r\n* BYE\r\n\"{12}\r\n"
	return imaptest.Message{
		Header: fmt.Sprintf("Subject: mail %d {12}\r\nX: %s\r\n\r\n", uid, strings.ReplaceAll(text, "\r\n", "\r\n ")), Text: text,
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipeLines is pipe to a server that says one text after each line that it reads, the first at
// once.
func pipeLines(t testing.TB, texts ...string) (c *Conn, stop func()) {
	t.Helper()
	client, server := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer server.Close()
		lines := bufio.NewReader(server)
		for _, text := range texts {
			io.WriteString(server, text)
			lines.ReadString('\n')
		}
	})
	c = New(context.Background(), client, DefaultLimits)
	return c, func() {
		c.Close()
		wg.Wait()
	}
}
