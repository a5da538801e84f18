package browser

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/cmd/idlepush/systemtest"
	"idlepush/codes"
	"idlepush/registry"
	"idlepush/registry/testenv"
	"idlepush/watcher"
	"idlepush/web/browsertest"
)

// TestActivity asks the page of each mail that did not ring why it did not.
func TestActivity(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	s.Mail.CreateFolder(t, s.Mail.User, "Family")
	s.Populate(t)
	account := "/accounts/" + s.ids(t, "/accounts")[0]
	ctx := testenv.Context(t)
	s.Deliver(t, "Tea on Sunday")
	_, err := s.Web.Wait(ctx, 2)
	systemtest.Must(t, err)
	edit := func(fields object) { systemtest.Must(t, s.Client.Call(ctx, "PATCH", account, fields, nil)) }
	edit(object{"folders": []string{"INBOX", "Family"}})
	edited := time.Now()
	testenv.Await(t, "the new folder was looked at", func() error {
		var a struct{ Status struct{ Confirmed time.Time } }
		if err := s.Client.Get(ctx, account, &a); err != nil || a.Status.Confirmed.After(edited) {
			return err
		}
		return fmt.Errorf("confirmed at %v", a.Status.Confirmed)
	})

	edit(object{"enabled": false})
	s.append(t, "INBOX", "berta", "read", time.Now(), imap.FlagSeen)
	s.append(t, "INBOX", "berta", "spam", time.Now(), "$Junk")
	s.append(t, "INBOX", "berta", "unfinished", time.Now(), imap.FlagDraft)
	s.append(t, "INBOX", "berta", "struck out", time.Now(), imap.FlagDeleted)
	s.append(t, "INBOX", "anna", "my answer", time.Now(), imap.FlagSeen)
	for n := range 6 {
		s.append(t, "Family", "berta", fmt.Sprint("imported ", n), time.Now().AddDate(0, 0, -7))
	}
	s.Mail.Move(t, "Tea on Sunday", "Family")
	edit(object{"enabled": true})

	want := map[string]codes.Code{"read": "seen", "spam": "junk", "unfinished": "draft", "struck out": "deleted", "my answer": "sent", "Tea on Sunday": "duplicate"}
	for n := range 6 {
		want[fmt.Sprint("imported ", n)] = registry.CodeOld
	}
	testenv.Await(t, "each mail is listed with its reason", func() error {
		var list struct {
			Items []struct {
				Kind, Subject string
				Code          codes.Code
			}
		}
		if err := s.Client.Get(ctx, "/notifications", &list); err != nil {
			return err
		}
		got := make(map[string]codes.Code)
		for _, n := range list.Items {
			if n.Kind == "mail" && n.Code != "" {
				got[n.Subject] = n.Code
			}
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("%v", got)
		}
		return nil
	})

	p := browsertest.Chromium(t).Open(t, s.Origin)
	enterLogin(t, p, "Log in", "anna", systemtest.Password)
	p.WaitText(t, "anna@example.org")
	p.Navigate(t, s.Origin+"/#/activity")
	p.WaitText(t, "6 older mails in Family")
	sentences := codes.Join(registry.Codes, watcher.Codes)
	for name, code := range want {
		var card string
		p.Eval(t, &card, `subject => [...document.querySelectorAll(".card")].filter(c => c.querySelector("p")?.innerText === subject).map(c => c.innerText)[0] ?? ""`, name)
		sentence := sentences.Sentence(code, map[string]string{"folder": "INBOX"})
		if name == "Tea on Sunday" {
			continue // it is listed twice
		}
		if !strings.Contains(card, sentence) || strings.Contains(card, "No device was registered") {
			t.Errorf("of %q the page says %q, want %q", name, card, sentence)
		}
	}
	p.WaitText(t, sentences.Sentence("duplicate", map[string]string{"folder": "INBOX"}))
	checkSizes(t, p)
}

// append puts a mail into a folder, as another client does.
func (s *system) append(t *testing.T, folder, from, subject string, received time.Time, flags ...imap.Flag) {
	t.Helper()
	client := s.Mail.Client(t)
	defer client.Close()
	text := fmt.Appendf(nil, "From: %s <%s@example.org>\r\nSubject: %s\r\nMessage-ID: <%s@example.org>\r\n\r\nWords.\r\n", from, from, subject, strings.ReplaceAll(subject, " ", "."))
	command := client.Append(folder, int64(len(text)), &imap.AppendOptions{Flags: flags, Time: received})
	_, err := command.Write(text)
	systemtest.Must(t, err)
	systemtest.Must(t, command.Close())
	_, err = command.Wait()
	systemtest.Must(t, err)
}
