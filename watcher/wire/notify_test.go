package wire

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-imap/v2"

	"idlepush/watcher/imaptest"
)

func TestNotify(t *testing.T) {
	t.Parallel()
	t.Run("a STATUS that was not asked for is news, also beside one that was", unsolicitedStatus)
	t.Run("a refused STATUS hides no news", refusedStatus)
	t.Run("NOTIFY names the folders if the server understands the names", notifyNamesFolders)
	t.Run("unsolicited responses are news", unsolicitedIsNews)
}

func unsolicitedStatus(t *testing.T) {
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
			err := errors.Join(logIn(c, "x", testTimeout),
				c.Run(testTimeout, Status("INBOX", "UIDNEXT", new(imap.StatusData)), Status("other", "UIDNEXT", new(imap.StatusData))))
			if err != nil || c.News().Status != want {
				t.Errorf("%v, %d pieces of news, want %d", err, c.News().Status, want)
			}
		})
	}
}

func refusedStatus(t *testing.T) {
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
		if err := c.Run(testTimeout, Status("gone", "UIDNEXT", new(imap.StatusData))); err == nil {
			t.Error("not refused")
		}
		if err := c.Do("NOOP", testTimeout); err != nil || c.News().Status != 1 {
			t.Errorf("%v, %d pieces of news, want 1", err, c.News().Status)
		}
	})
}

func notifyNamesFolders(t *testing.T) {
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

func unsolicitedIsNews(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]News{
		"idle-overflow":   {Overflow: true},
		"idle-ends":       {Ended: true},
		"idle-ok":         {Ended: true},
		"idle-talks":      {},
		"vanished":        {Expunge: 3},
		"exists-up-down":  {Exists: 2, Expunge: 1, Unasked: true},
		"exists-too-many": {Exists: 1, Unasked: true},
		"done-bad":        {},
	} {
		synctest.Test(t, func(t *testing.T) {
			script := &imaptest.Script{}
			imaptest.Hostile[name](script)
			c, stop := pipe(t, script, DefaultLimits, nil)
			defer stop()
			f := follower{conn: c, next: 1}
			if err := f.login(); err != nil {
				t.Fatal(err)
			}
			c.Forget()
			news, err := c.Idle(testRefresh, testTimeout, IdleOptions{})
			if err != nil || news != want {
				t.Errorf("%s: %+v, %v, want %+v", name, news, err, want)
			}
			// News that may be mail does not go away by not looking.
			if again, err := c.Idle(0, testTimeout, IdleOptions{}); err != nil || again.Mail() != want.Mail() {
				t.Errorf("%s again: %+v, %v", name, again, err)
			}
		})
	}
}
