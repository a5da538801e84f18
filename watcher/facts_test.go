package watcher

import (
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush"
	"idlepush/ring"
	"idlepush/watcher/imaptest"
	"idlepush/watcher/imaptest/servers"
)

func TestFacts(t *testing.T) {
	t.Parallel()
	t.Run("each mail of Dovecot has its facts", dovecotFacts)
	t.Run("words are kept if a rule asks for them, whatever may leave the house", wordsOnDemand)
	t.Run("an address of the mailbox may have a subaddress", ownAddresses)
}

// withAttachment is the end of a header, and a text with an attachment.
const withAttachment = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nBring the engine.\r\n--b\r\n" +
	"Content-Type: application/pdf\r\nContent-Disposition: attachment\r\n\r\nx\r\n--b--\r\n"

func dovecotFacts(t *testing.T) {
	t.Parallel()
	s := servers.Dovecot(t)
	mails := []struct {
		raw  string
		want ring.Facts
	}{
		{"From: Ada Lovelace <ADA@example.org>\r\nTo: anna@example.org, Bob <bob@example.org>\r\nCc: carl@example.org\r\nSubject: tea\r\nMessage-ID: <1@x>\r\n\r\nAt five?\r\n",
			ring.Facts{From: "ada@example.org", Name: "Ada Lovelace", To: []string{"anna@example.org", "bob@example.org", "carl@example.org"}, Subject: "tea"}},
		{"From: ada@example.org\r\nTo: Anna <Anna+tea@example.org>\r\nSubject: Re: tea\r\nIn-Reply-To: <1@x>\r\nReferences: <1@x>\r\nMessage-ID: <2@x>\r\n\r\nAt five!\r\n",
			ring.Facts{From: "ada@example.org", To: []string{"anna+tea@example.org"}, Subject: "Re: tea", Answer: true}},
		{"From: ada@example.org\r\nTo: tea@lists.example.org\r\nSubject: Re: tea\r\nReferences: <1@x> <2@x>\r\nMessage-ID: <3@x>\r\nList-Id: Tea <Tea.lists.example.org>\r\n\r\nAt six.\r\n",
			ring.Facts{From: "ada@example.org", To: []string{"tea@lists.example.org"}, Subject: "Re: tea", List: "tea.lists.example.org", Bulk: true}},
		{"From: shop@example.org\r\nSubject: Sale\r\nList-Unsubscribe: <https://example.org/u>\r\nMessage-ID: <4@x>\r\n\r\nNow.\r\n",
			ring.Facts{From: "shop@example.org", Subject: "Sale", Bulk: true}},
		{"From: ada@example.org\r\nSubject: plan\r\nMessage-ID: <5@x>\r\n" + withAttachment,
			ring.Facts{From: "ada@example.org", Subject: "plan", Attachment: true}},
		{"From: ada@example.org\r\nSubject: footer\r\nMessage-ID: <6@x>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n\r\nSent to many\r\n--b--\r\n",
			ring.Facts{From: "ada@example.org", Subject: "footer"}},
		{"From: ada@example.org\r\nSubject: rich\r\nMessage-ID: <7@x>\r\nContent-Type: multipart/alternative; boundary=Apple-Mail-a\r\n\r\n--Apple-Mail-a\r\n\r\nHello\r\n--Apple-Mail-a\r\n" +
			withAttachment + "\r\n--Apple-Mail-a--\r\n",
			ring.Facts{From: "ada@example.org", Subject: "rich", Attachment: true}},
	}
	h := newHarness(t, accountAt(s.Endpoint, idlepush.SecurityTLS))
	conn, err := dialerTo(s.Endpoint).login(t.Context(), &h.account)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	session := h.session(conn, new(failures))
	for _, m := range mails {
		s.Deliver(t, s.User, "INBOX", []byte(m.raw))
	}
	f := session.folders.home()
	if err := session.reader.open(f); err != nil {
		t.Fatal(err)
	}
	got, waiting, err := session.fetcher.fetch(f, []imap.UID{1, 2, 3, 4, 5, 6, 7})
	if err != nil || len(waiting) > 0 || len(got) != len(mails) {
		t.Fatalf("%d mails, %v wait, %v", len(got), waiting, err)
	}
	for i, m := range mails {
		facts := got[i].Facts
		if facts.Size < int64(len(m.raw)) || len(facts.Thread) == 0 {
			t.Errorf("%q has %d bytes, and the thread %q", m.raw, facts.Size, facts.Thread)
		}
		if facts.Size, facts.Thread = 0, nil; !reflect.DeepEqual(facts, m.want) {
			t.Errorf("%q:\n got %q %q %q %q %+v", m.raw, facts.From, facts.Name, facts.To, facts.List, [3]bool{facts.Bulk, facts.Attachment, facts.Answer})
		}
	}
	if first, second, third := got[0].Facts.Thread, got[1].Facts.Thread, got[2].Facts.Thread; !slices.Equal(second[:1], first) || !slices.Equal(third[:2], second) {
		t.Errorf("the threads are %q, %q, %q", first, second, third)
	}
}

func wordsOnDemand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{}
		h, _, _, stop := pooled(t, script)
		defer stop()
		h.device.Content = idlepush.LevelSender
		if _, err := h.store.Devices.Update(h.device, time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		var w ring.Wishes
		for _, rules := range [][]ring.Rule{nil, {{If: ring.Match{Words: []string{"engine"}}}}, {}} {
			w.Rules = rules
			var err error
			if w, err = h.store.Accounts.SetWishes(h.account.Owner, h.account.ID, w, time.Now()); err != nil {
				t.Fatal(err)
			}
			script.Deliver(letter)
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		var words []string
		for _, n := range h.mails(t) {
			words = append(words, n.Facts.Words)
			if n.Facts.Subject != letterContent.Subject || n.Facts.From != "ada@example.org" || n.Content.Preview+n.Content.Subject != "" {
				t.Errorf("%+v, and of the facts %s, %s", n.Content, n.Facts.From, n.Facts.Subject)
			}
		}
		if want := []string{"", letterContent.Preview, ""}; !slices.Equal(words, want) {
			t.Errorf("words are %q", words)
		}
	})
}

func ownAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		to, own string
		want    bool
	}{
		{"anna@example.org", "Anna@Example.org", true},
		{"anna+shop@example.org", "anna@example.org", true},
		{"anna+a+b@example.org", "anna@example.org", true},
		{"anna+shop@example.org", "anna+shop@example.org", true},
		{"anna@example.org", "anna+shop@example.org", false},
		{"bob@example.org", "anna@example.org", false},
		{"anna@example.com", "anna@example.org", false},
		{"anna@example.org", "anna", false},
		{"anna@example.org", "", false},
	} {
		if got := isAddressOf(c.to, c.own); got != c.want {
			t.Errorf("%s of %q: %v", c.to, c.own, got)
		}
	}
}
