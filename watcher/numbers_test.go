package watcher

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/ring"
	"idlepush/watcher/imaptest"
	"idlepush/watcher/oauth"
)

func TestNumbers(t *testing.T) {
	t.Parallel()
	t.Run("for how long shorter intervals have worked before one grows, and a server is asked more often", docsIntervalGrows)
	t.Run("the numbers of the docs are true", docsNumbers)
	t.Run("mail received more than two days before the last look is old", twoDaysBefore)
	t.Run("no mail from before the first look is notified after a renumbering", quarterHourBefore)
	t.Run("a refused password that has never worked is tried once", refusedPasswordOnce)
}

// docsNumbers repeats the numbers of docs/behaviour.md; the other tests use the constants.
func docsNumbers(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/behaviour.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(text)), " ")
	notified, asks := time.Now(), []time.Duration{}
	for at := askNext(notified, time.Time{}); !at.IsZero(); at = askNext(notified, at) {
		asks = append(asks, at.Sub(notified))
	}
	for _, n := range []struct {
		words     string
		got, want any
	}{
		{"asks for the text again after about 1 min,", asks[0], time.Minute},
		{"1 min, 10 min,", asks[1] - asks[0], 10 * time.Minute},
		{"10 min, 1 h", asks[2] - asks[1], time.Hour},
		{"1 h and then every 6 h, for three days", asks[len(asks)-1] - asks[2], 66 * time.Hour},
		{"at once, or within a minute if it was given up", lookAgain, time.Minute},
		{"missed none since, that is done once an hour", time.Duration(openAnew), time.Hour},
		{"or else with nine minutes", time.Duration(usualInterval), 9 * time.Minute},
		{"their state is then checked every two minutes", time.Duration(slowTour), 2 * time.Minute},
		{"Otherwise it is checked every 30 s", time.Duration(quickTour), 30 * time.Second},
		{"or every two minutes if the server takes longer than 500 ms to answer", time.Duration(quickStatus), 500 * time.Millisecond},
		{"This takes some seconds in INBOX", minFlagDelay, 2 * time.Second},
		{"the mailbox is polled once a minute", pollInterval, 55 * time.Second},
		{"in other folders it takes up to 30 s, or two minutes", time.Duration(slowTour), 2 * time.Minute},
		{"The interval is never shorter than 25 s", shortestInterval, 25 * time.Second},
		{"breaks in IDLE three times in a row", maxBadIdles, 3},
		{"IDLE is tried again after 10 minutes", pollFor, 10 * time.Minute},
		{"looks again after 1, 4 and 15 s", retryWaits[0] + retryWaits[1] + retryWaits[2], 20 * time.Second},
		{"asks for the newest 200 mails", ring.MaxRecent, 200},
		{"mails of the last 7 days", ring.RecentAge, 7 * 24 * time.Hour},
		{"and takes at most 30 s", recentTime, 30 * time.Second},
		{"between two waits, for at most 10 s", lentTime, 10 * time.Second},
		{"made to ask at most every 5 minutes", askRest, 5 * time.Minute},
		{"A server without IDLE is polled about once a minute", pollInterval, 55 * time.Second},
		{"and the folder is opened anew every 80 s", doubtInterval, 80 * time.Second},
		{"gets another chance, and is asked every 80 s until it announces one", doubtInterval, 80 * time.Second},
		{"before that, idlepush asks it every 80 s", doubtInterval, 80 * time.Second},
		{"asks the server every 80 s for two days", time.Duration(unnoticedLasts), 48 * time.Hour},
		{"so that one asks every 200 ms", askPace, 200 * time.Millisecond},
		{"A week later IDLE gets another chance", time.Duration(distrustLasts), 7 * 24 * time.Hour},
		{"Its bound is 2 s at first", firstRetryWait, 2 * time.Second},
		{"2 s at first and doubles up to 15 minutes", maxRetryWait, 15 * time.Minute},
		{"If more than three in a row end within a minute, a new one begins once a minute", maxShort, 3},
		{"a new one begins once a minute", pollInterval, 55 * time.Second},
		{"is waited out for about 5 minutes", crowdedWait, 5 * time.Minute},
		{"is honoured, up to 5 minutes", maxThrottle, 5 * time.Minute},
		{"(a certificate, a folder): about every 15 minutes", personWait, 15 * time.Minute},
		{"again after about 1 min, 10 min, 1 h, then every 2 h", firstLoginWaits[0], time.Minute},
		{"10 min, 1 h, then every 2 h", firstLoginWaits[1], 10 * time.Minute},
		{"1 h, then every 2 h", firstLoginWaits[2], time.Hour},
		{"then every 2 h for 7 days, and then once a day", usualLoginWait, 2 * time.Hour},
		{"for 7 days, and then once a day", time.Duration(usualLoginFor), 7 * 24 * time.Hour},
		{"and then once a day", rareLoginWait, 24 * time.Hour},
		{"sends one `attention` once they have lasted an hour", tellAfter, time.Hour},
		{"at most 4 at a time, 200 ms apart", maxConnecting, 4},
		{"4 at a time, 200 ms apart", connectPace, 200 * time.Millisecond},
		{"doubles with each failure of the host, up to 6 s", maxConnectPace, 6 * time.Second},
		{"It halves, down to 50 ms, after every ten logins", minConnectPace, 50 * time.Millisecond},
		{"after every ten logins in a row that took no longer than a second", quickToHasten, 10},
		{"no longer than a second", quickLogin, time.Second},
		{"more than two days older than the last look at its folder", importAge, 48 * time.Hour},
		{"more than a day in the future says nothing", zoneSkew, 24 * time.Hour},
		{"A date before 2000", firstYear.Year(), 2000},
		{"remembers the last 100 mails of the quarter of an hour before", maxRemembered, 100},
		{"mails of the quarter of an hour before", skew, 15 * time.Minute},
		{"After one missed announcement it asks every 80 s", doubtInterval, 80 * time.Second},
		{"After three its IDLE is no longer trusted", missesToDistrust, 3},
		{"Mail that is found less than 65 s after it came does not count as missed", lateBy, 65 * time.Second},
		{"as when the disk is full: idlepush tries again after 5 minutes at most", storeWait, 5 * time.Minute},
		{"and is tried again within a minute", clockWait, time.Minute},
		{"if the server does not answer within 30 s", timeout, 30 * time.Second},
		{"after four fifths of its life, and at the latest a minute before its end", tokenSkew, time.Minute},
		{"asks again about every 15 minutes until the admin has mended it", noTokenFailure(&oauth.Error{Remedy: oauth.Admin}).maxWait, 15 * time.Minute},
		{"A time that it names is honoured, up to an hour", maxTokenWait, time.Hour},
		{"asked once more after about a minute", firstLoginWaits[0], time.Minute},
	} {
		if !strings.Contains(page, n.words) {
			t.Errorf("docs/behaviour.md does not say %q any more", n.words)
		}
		if n.got != n.want {
			t.Errorf("%s: it is %v, not %v", n.words, n.got, n.want)
		}
	}
}

func docsIntervalGrows(t *testing.T) {
	t.Parallel()
	if text := sentences["interval_lengthened"].Text; text != "shorter intervals have worked for a week or more" || quietToLearn != 7*24*time.Hour {
		t.Errorf("after %v it says %q", quietToLearn, text)
	}
	if text := sentences["interval_unnoticed"].Text; text != "a connection to this server died although nothing ended it, so the server is asked more often for two days" || unnoticedLasts != 2*24*time.Hour {
		t.Errorf("for %v it says %q", time.Duration(unnoticedLasts), text)
	}
}

func twoDaysBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * 24 * time.Hour) // dates before 2000 say nothing
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
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
			t.Errorf("notified %q", got)
		}
	})
}

func quarterHourBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		began := time.Now()
		script := &imaptest.Script{UIDValidity: 1, Messages: []imaptest.Message{
			{UID: 1, Header: subject("of 16 min"), Date: began.Add(-16 * time.Minute)},
			{UID: 2, Header: subject("of 14 min"), Date: began.Add(-14 * time.Minute)}}}
		h.sessions(t, script, 1, time.Minute)
		if got := subjects(h.mails(t)); len(got) > 0 {
			t.Fatalf("at the first sight %q were notified", got)
		}
		script.Renumber()
		h.sessions(t, script, 1, time.Minute)
		if got := subjects(h.all(t)); len(got) > 0 {
			t.Errorf("after a renumbering %q are listed", got)
		}
		script.Deliver(imaptest.Message{Header: subject("since"), Date: time.Now()})
		h.sessions(t, script, 1, time.Minute)
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"since"}) {
			t.Errorf("notified %q", got)
		}
	})
}

func refusedPasswordOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _, s, stop := pooled(t, &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"LOGIN": func(talk *imaptest.Talk, _ string) {
			talk.Say("%s NO [AUTHENTICATIONFAILED] no\r\n", talk.Tag)
		}}})
		defer stop()
		time.Sleep(7 * 24 * time.Hour)
		synctest.Wait()
		a, err := h.store.Accounts.Get(h.account.ID)
		if err != nil || a.Status.State != idlepush.StateAttention || len(s.dials) != 1 {
			t.Errorf("after a week and %d tries the account is %+v, %v", len(s.dials), a.Status, err)
		}
	})
}
