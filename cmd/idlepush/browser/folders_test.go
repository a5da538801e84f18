package browser

import (
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/watcher/imaptest"
	"idlepush/web/browsertest"
)

// TestUnreadableFolders has a server that lists folders which cannot be parsed. The page leaves
// them out and shows their number.
func TestUnreadableFolders(t *testing.T) {
	t.Parallel()
	const odd = "* LIST () \"/\" \"5\" disks\"\r\n"
	var unreadable atomic.Int32
	unreadable.Store(1)
	script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"LIST": func(talk *imaptest.Talk, _ string) {
		talk.Say("* LIST () \"/\" INBOX\r\n* LIST () \"/\" Family\r\n%s", strings.Repeat(odd, int(unreadable.Load())))
		talk.OK("done")
	}}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	systemtest.Must(t, err)
	var serving sync.WaitGroup
	serving.Go(func() { script.ServeAll(l) })
	chromium := browsertest.Chromium(t)
	s := startSystem(t)
	p := chromium.Open(t, s.setupLink(t))
	enterLogin(t, p, "Begin", "anna", systemtest.Password)
	p.Type(t, "Email address", "anna@example.org")
	p.Type(t, "Its password", "planted-password")
	p.WaitText(t, "No settings were found")
	p.Type(t, "Mail server (IMAP)", "127.0.0.1")
	p.Eval(t, nil, `() => { document.querySelector("[name=security]").value = "none"; }`)
	p.Type(t, "Port", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	p.Click(t, "Continue")
	p.WaitText(t, "1 folder could not be read and is left out.")
	unreadable.Store(2)
	p.Click(t, "Watch this mailbox")
	p.WaitText(t, "Let it ring here")
	var list struct{ Items []struct{ ID string } }
	callAPI(t, p, "GET", "/accounts", nil, &list)
	p.Navigate(t, s.Origin+"/#/mailbox/"+first(t, list.Items).ID)
	p.Click(t, "Choose folders (1)")
	p.WaitText(t, "2 folders could not be read and are left out.")
	if got := p.Text(t); !strings.Contains(got, "Family") {
		t.Errorf("the page says %s", got)
	}
	unreadable.Store(0)
	p.Reload(t)
	p.Click(t, "Choose folders (1)")
	p.WaitText(t, "Family")
	if got := p.Text(t); strings.Contains(got, "could not be read") {
		t.Errorf("without unreadable folders the page says %s", got)
	}
	chromium.Close(t)
	s.Stop(t)
	l.Close()
	serving.Wait()
}
