package browser

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

// hostile is text that a page must not interpret as HTML.
const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script><b>bold</b>&amp;`

// deliverHostile delivers a mail with HTML in its sender, subject and text, which are long.
func (s *system) deliverHostile(t *testing.T) {
	t.Helper()
	long := strings.Repeat("Donaudampfschifffahrtsgesellschaftskapitän", 3)
	quoted := strings.ReplaceAll(hostile, `"`, `\"`)
	s.Mail.Deliver(t, s.Mail.User, "INBOX", fmt.Appendf(nil, "From: \"%s\" <berta@example.org>\r\nSubject: %s %s\r\nMessage-ID: <hostile@example.org>\r\n"+
		"Date: %s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s %s\r\n", quoted, hostile, long, time.Now().Format(time.RFC1123Z), hostile, long))
}

// TestHostileMail checks that HTML in a sender and a subject is shown as text.
func TestHostileMail(t *testing.T) {
	t.Parallel()
	s, p := openFurnished(t, browsertest.Chromium(t))
	var list struct {
		Items []struct{ ID, Subject string }
	}
	systemtest.Must(t, s.Client.Get(testenv.Context(t), "/notifications", &list))
	checkShownAsText := func(view string) {
		t.Helper()
		p.Wait(t, view+" shows the text", `words => page.words(document.body.innerText).split(words).length > 2`, `<b>bold</b>&amp;`)
		var html []string
		p.Eval(t, &html, `() => [document.title.startsWith("owned"), ...document.querySelectorAll("main b, main script, main img[src=x]")].filter(Boolean).map(String)`)
		if len(html) > 0 {
			t.Errorf("%s interprets the text as HTML: %q", view, html)
		}
	}
	p.Navigate(t, s.Origin+"/#/activity")
	checkShownAsText("activity")
	for _, m := range list.Items {
		if strings.Contains(m.Subject, "<b>") {
			p.Navigate(t, s.Origin+"/#/mail/"+m.ID)
			checkShownAsText("the mail")
		}
	}
}
