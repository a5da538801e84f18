package wire

import (
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"idlepush/watcher/imaptest"
)

func TestASTATUSThatWasNotAskedForIsNewsAlsoBesideOnesThatWere(t *testing.T) {
	t.Parallel()
	for extra, want := range map[string]int{"": 0, "* STATUS other (UIDNEXT 9 UIDVALIDITY 1)\r\n": 1,
		"* STATUS other (UIDNEXT 9 UIDVALIDITY 1)\r\n* STATUS INBOX (UIDNEXT 9 UIDVALIDITY 1)\r\n": 2} {
		synctest.Test(t, func(t *testing.T) {
			script := &imaptest.Script{At: func(talk *imaptest.Talk, moment string) {
				if moment == "within STATUS" {
					talk.Say("%s", extra)
					extra = ""
				}
			}}
			c, stop := pipe(t, script, DefaultLimits, nil)
			defer stop()
			if err := c.Greet(testTimeout); err != nil {
				t.Fatal(err)
			}
			err := c.WithClient(testTimeout, func(client *imapclient.Client) error {
				if err := client.Login("alice", "x").Wait(); err != nil {
					return err
				}
				one := client.Status("INBOX", &imap.StatusOptions{UIDNext: true})
				two := client.Status("other", &imap.StatusOptions{UIDNext: true})
				if _, err := one.Wait(); err != nil {
					return err
				}
				_, err := two.Wait()
				return err
			})
			if err != nil || c.News().Status != want {
				t.Errorf("%v, %d pieces of news, want %d", err, c.News().Status, want)
			}
		})
	}
}

func TestASTATUSThatIsRefusedHidesNoNews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"STATUS": func(talk *imaptest.Talk, _ string) {
			talk.Say("%s NO no such mailbox\r\n", talk.Tag)
		}}, At: func(talk *imaptest.Talk, moment string) {
			if moment == "before NOOP" {
				talk.Say("* STATUS other (UIDNEXT 9 UIDVALIDITY 1)\r\n")
			}
		}}
		c, stop := pipe(t, script, DefaultLimits, nil)
		defer stop()
		if err := c.Greet(testTimeout); err != nil {
			t.Fatal(err)
		}
		err := c.WithClient(testTimeout, func(client *imapclient.Client) error {
			if _, err := client.Status("gone", &imap.StatusOptions{UIDNext: true}).Wait(); err == nil {
				t.Error("not refused")
			}
			return client.Noop().Wait()
		})
		if err != nil || c.News().Status != 1 {
			t.Errorf("%v, %d pieces of news, want 1", err, c.News().Status)
		}
	})
}

func TestNOTIFYNamesTheFoldersWhereTheServerUnderstandsTheNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		folders []string
		want    string
	}{
		{[]string{"INBOX", "Lists/go-nuts", "a b"}, `mailboxes ("INBOX" "Lists/go-nuts" "a b")`},
		{[]string{"INBOX", "Büro"}, "personal"},
		{[]string{"INBOX", "this & that"}, "personal"},
		{[]string{`a"b`}, "personal"},
		{[]string{`a\b`}, "personal"},
		{[]string{"a\r\nb"}, "personal"},
	} {
		if got := notifyFolders(c.folders); got != c.want {
			t.Errorf("%q: %s, want %s", c.folders, got, c.want)
		}
	}
}
