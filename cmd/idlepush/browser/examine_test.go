package browser

import (
	"strings"
	"testing"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
	"idlepush/watcher"
	"idlepush/web/browsertest"
)

// TestExamine has the owner of a mailbox examine it, while it works and while its server is down.
func TestExamine(t *testing.T) {
	t.Parallel()
	chromium := browsertest.Chromium(t)
	s := startSystem(t)
	s.SetUp(t)
	var made struct{ ID string }
	systemtest.Must(t, s.Client.Post(testenv.Context(t), "/accounts", s.Account(), &made))
	s.WaitWatched(t, 1)
	p := chromium.Open(t, s.Origin)
	enterLogin(t, p, "Log in", "anna", systemtest.Password)
	s.openView(t, p, "mailbox/"+made.ID, "Connection details")

	p.Click(t, "Examine")
	p.Click(t, "Examine now")
	p.WaitText(t, "Each step works.")
	for _, text := range []string{"localhost is in the DNS", "Look: the connection is encrypted by TLS 1.3", "the login works", "the server offers IDLE"} {
		p.WaitText(t, text)
	}
	p.WaitText(t, "the server has named what it can do")
	if text := p.Text(t); strings.Contains(text, "IMAP4rev1") {
		t.Errorf("the page shows the capabilities at once: %s", text)
	}
	checkSizes(t, p)
	p.Click(t, "Show them")
	p.WaitText(t, "IMAP4rev1")
	checkSizes(t, p)

	s.Mail.Stop(t)
	p.Click(t, "Examine now")
	p.WaitText(t, "A step does not work:")
	p.WaitText(t, "Wrong: the connection is refused: check host and port, and whether the server is up")
	if text := p.Text(t); strings.Contains(text, "the login works") || strings.Contains(text, s.Mail.Password) {
		t.Errorf("the page says %s", text)
	}
	p.Eval(t, nil, translate, translated(watcher.Codes))
	p.Click(t, "Examine now")
	p.WaitText(t, "Wrong: ¡the connection is refused")
	chromium.Close(t)
	s.Stop(t)
	s.CheckNoSecrets(t)
}
