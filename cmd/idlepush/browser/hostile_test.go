package browser

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"idlepush/cmd/idlepush/street"
	"idlepush/registry/testenv"
	"idlepush/web/browsertest"
)

// hostile are words that a page which takes text for HTML would run or show as such.
const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script><b>bold</b>&amp;`

// deliverHostile delivers a mail whose sender, subject and text are full of HTML, and that is long.
func (s *town) deliverHostile(t *testing.T) {
	t.Helper()
	long := strings.Repeat("Donaudampfschifffahrtsgesellschaftskapitän", 3)
	quoted := strings.ReplaceAll(hostile, `"`, `\"`)
	s.Mail.Deliver(t, s.Mail.User, "INBOX", fmt.Appendf(nil, "From: \"%s\" <berta@example.org>\r\nSubject: %s %s\r\nMessage-ID: <hostile@example.org>\r\n"+
		"Date: %s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s %s\r\n", quoted, hostile, long, time.Now().Format(time.RFC1123Z), hostile, long))
}

func TestHTMLInSenderAndSubjectIsShownAsText(t *testing.T) {
	t.Parallel()
	s, p := furnished(t, browsertest.Chromium(t))
	var list struct {
		Items []struct{ ID, Subject string }
	}
	street.Must(t, s.Client.Get(testenv.Context(t), "/notifications", &list))
	harmless := func(where string) {
		t.Helper()
		p.Wait(t, where+" shows the words", `words => page.words(document.body.innerText).split(words).length > 2`, `<b>bold</b>&amp;`)
		var html []string
		p.Eval(t, &html, `() => [document.title.startsWith("owned"), ...document.querySelectorAll("main b, main script, main img[src=x]")].filter(Boolean).map(String)`)
		if len(html) > 0 {
			t.Errorf("%s takes the words for HTML: %q", where, html)
		}
	}
	p.Navigate(t, s.Origin+"/#/activity")
	harmless("activity")
	for _, m := range list.Items {
		if strings.Contains(m.Subject, "<b>") {
			p.Navigate(t, s.Origin+"/#/mail/"+m.ID)
			harmless("the mail")
		}
	}
}
