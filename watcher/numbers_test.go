package watcher

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry"
	"idlepush/watcher/imaptest"
)

// What the README promises in numbers stands here as it stands there; the other tests go by the constants.
func TestTheNumbersOfTheREADMEAreTrue(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := strings.Join(strings.Fields(string(text)), " ")
	rang, asks := time.Now(), []time.Duration{}
	for at := askNext(rang, time.Time{}); !at.IsZero(); at = askNext(rang, at) {
		asks = append(asks, at.Sub(rang))
	}
	for _, n := range []struct {
		words     string
		got, want any
	}{
		{"asked for again after about 1 min,", asks[0], time.Minute},
		{"1 min, 10 min,", asks[1] - asks[0], 10 * time.Minute},
		{"10 min, 1 h", asks[2] - asks[1], time.Hour},
		{"1 h and then every 6 h, for three days", asks[len(asks)-1] - asks[2], 66 * time.Hour},
		{"else with nine minutes", time.Duration(usualInterval), 9 * time.Minute},
		{"are asked for their state every two minutes in any case", time.Duration(tourEvery), 2 * time.Minute},
		{"A server without IDLE is asked about once a minute", pollInterval, 55 * time.Second},
		{"is not believed any more, and asked every minute or two", doubtInterval, 90 * time.Second},
		{"tried again (after up to 2 s,", retryFirst, 2 * time.Second},
		{"doubling to 15 minutes)", retryMost, 15 * time.Minute},
		{"more than two days before idlepush last looked", importAge, 48 * time.Hour},
		{"only what came within a quarter of an hour before idlepush first saw the folder", skew, 15 * time.Minute},
		{"keeps mail to itself three times", liesToDoubt, 3},
	} {
		if !strings.Contains(readme, n.words) {
			t.Errorf("the README does not say %q any more", n.words)
		}
		if n.got != n.want {
			t.Errorf("%s: it is %v, not %v", n.words, n.got, n.want)
		}
	}
}

func TestMailThatTheServerTookInMoreThanTwoDaysBeforeTheLastLookDoesNotRing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShelf("IMAP4rev1 IDLE", "INBOX")
		h, stop := s.watched(t, "INBOX")
		defer stop()
		last := time.Now()
		s.deliver("INBOX", subject("looked"), last)
		synctest.Wait()
		for _, m := range []struct {
			words string
			age   time.Duration
		}{{"of two days and a minute", 48*time.Hour + time.Minute}, {"of two days less a minute", 48*time.Hour - time.Minute}} {
			s.deliver("INBOX", subject(m.words), last.Add(-m.age))
			synctest.Wait()
		}
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"looked", "of two days less a minute"}) {
			t.Errorf("rang %q", got)
		}
	})
}

func TestMailOfTheQuarterOfAnHourBeforeTheFirstSightMayRingAfterARenumberingAndNoOlderOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, scriptedAccount)
		began := time.Now()
		script := &imaptest.Script{UIDValidity: 1, Messages: []imaptest.Message{
			{UID: 1, Header: subject("of 16 min"), Date: began.Add(-16 * time.Minute)},
			{UID: 2, Header: subject("of 14 min"), Date: began.Add(-14 * time.Minute)}}}
		h.sessions(t, script, 1, time.Minute)
		if got := subjects(h.mails(t)); len(got) > 0 {
			t.Fatalf("at the first sight %q rang", got)
		}
		script.Renumber()
		h.sessions(t, script, 1, time.Minute)
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"of 14 min"}) {
			t.Errorf("rang %q", got)
		}
	})
}

func TestAPasswordThatIsRefusedIsTriedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _, s, stop := pooled(t, &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"LOGIN": func(talk *imaptest.Talk, _ string) {
			talk.Say("%s NO [AUTHENTICATIONFAILED] no\r\n", talk.Tag)
		}}})
		defer stop()
		time.Sleep(7 * 24 * time.Hour)
		synctest.Wait()
		a, err := h.store.Accounts.Get(h.account.ID)
		if err != nil || a.Status.State != registry.Attention || len(s.dials) != 1 {
			t.Errorf("after a week and %d tries the account is %+v, %v", len(s.dials), a.Status, err)
		}
	})
}
