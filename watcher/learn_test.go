package watcher

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/registry"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
)

func TestLearn(t *testing.T) {
	t.Parallel()
	t.Run("the interval is shorter after a server has ended three silent connections", learnSilentDrops)
	t.Run("a server that does not report three messages in a row is distrusted", learnMissedNews)
	t.Run("mail that is announced at the end of an IDLE is not missed, and proves nothing", announcedAtDone)
	t.Run("a server that announces mail within a minute is trusted", slowAnnouncer)
	t.Run("learned behaviour of a host holds while it is distrusted", learnedHoldsInDistrust)
	t.Run("Live reports the ages of a session", liveAges)
	t.Run("where IDLE has reported mail, a refresh asks in the open folder, which is opened anew each hour", refreshInOpenFolder)
}

func learnSilentDrops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		s.cut = 5 * time.Minute
		h, stop := s.watched(t, "INBOX")
		defer stop()
		learned := func() time.Duration {
			t.Helper()
			synctest.Wait()
			known, err := h.store.Mail.Host("mail.example.org:993")
			if err != nil {
				t.Fatal(err)
			}
			return known.Interval
		}
		s.deliver("INBOX", subject("IDLE is trusted"), time.Now())
		time.Sleep(11 * time.Minute) // two, and a minute that watched takes
		if got := learned(); got != 0 {
			t.Errorf("after two connections that died the interval is %v", got)
		}
		time.Sleep(5 * time.Minute)
		if got := learned(); got != 4*time.Minute {
			t.Errorf("after three connections that died after 5 min the interval is %v", got)
		}
		logins := s.asked("LOGIN")
		time.Sleep(3 * time.Hour)
		if n := s.asked("LOGIN") - logins; n > 0 {
			t.Errorf("%d connections more died", n)
		}
	})
}

// pooled runs a pool for the scripted account at a server that plays the script.
func pooled(t *testing.T, script *imaptest.Script) (h *harness, pool *Pool, s *server, stop func()) {
	t.Helper()
	return pooledBy(t, &server{script: script})
}

// pooledBy is pooled with a server of the test's own.
func pooledBy(t *testing.T, at *server) (h *harness, pool *Pool, s *server, stop func()) {
	t.Helper()
	a := scriptedAccount
	a.Security = idlepush.SecurityPlain
	h = newHarness(t, a)
	w := &memoryNet{servers: map[string]*server{"mail.example.org:993": at}}
	pool, end := h.watch(t, Dialer{Permit: permitAll, Dial: w.dial})
	return h, pool, at, func() {
		end()
		w.serving.Wait()
	}
}

// afterLook waits until a look at the folder has just ended. Mail that comes then waits as long as
// an IDLE lasts, unless it is announced.
func afterLook(pool *Pool, account string) {
	for time.Since(pool.Live(account).Confirmed) > time.Second {
		time.Sleep(time.Second)
	}
	synctest.Wait()
}

func learnMissedNews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}}
		h, pool, _, stop := pooled(t, script)
		defer stop()
		time.Sleep(time.Minute)
		for i, step := range []struct {
			mute bool
			code codes.Code
		}{{true, ""}, {true, ""}, {false, ""}, {true, ""}, {true, ""}, {true, "idle_unreliable"}} {
			afterLook(pool, h.account.ID)
			script.Mute = step.mute
			script.Deliver(imaptest.Message{Header: subject(fmt.Sprint("mail ", i)), Date: time.Now()})
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			a, err := h.store.Accounts.Get(h.account.ID)
			if err != nil || a.Status.Code != step.code || (a.Status.State == idlepush.StatePolling) != (step.code != "") {
				t.Fatalf("after mail %d the account is %+v, %v", i, a.Status, err)
			}
			if got := len(h.mails(t)); got != i+1 {
				t.Fatalf("%d messages were notified", got)
			}
		}
		// Now it is polled: "every minute or two".
		script.Deliver(imaptest.Message{Header: subject("asked for"), Date: time.Now()})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := len(h.mails(t)); got != 7 {
			t.Errorf("%d messages were notified", got)
		}
	})
}

func announcedAtDone(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string]bool{"refreshed": false, "ended for flags": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var due atomic.Bool
				script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}, At: func(talk *imaptest.Talk, moment string) {
					if moment == "within DONE" && due.CompareAndSwap(true, false) {
						talk.Deliver(imaptest.Message{Header: subject(rand.Text()), Date: time.Now()})
					}
				}, Beat: imaptest.Beat{Every: 30 * time.Second, Do: func(talk *imaptest.Talk, _ int) {
					if flags && due.Load() {
						talk.Say("* 1 FETCH (FLAGS (\\Seen))\r\n")
					}
				}}}
				h, _, _, stop := pooled(t, script)
				defer stop()
				time.Sleep(time.Minute)
				for range missesToDistrust {
					due.Store(true)
					time.Sleep(10 * time.Minute)
				}
				synctest.Wait()
				known, err := h.store.Mail.Host("mail.example.org:993")
				if n := len(h.mails(t)); err != nil || n != missesToDistrust || known.MissedNews > 0 || known.Reports || !known.DistrustedSince.IsZero() {
					t.Errorf("%d were notified, and learned is %+v, %v", n, known, err)
				}
			})
		})
	}
}

// slowAnnouncer has servers that look for new mail only every so often, as Courier does each minute
// and others on a network file system do more often.
func slowAnnouncer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		folders []string
		every   time.Duration // and up to three times that, between two mails
	}{{[]string{"INBOX"}, usualInterval}, {[]string{"INBOX", "B"}, quickTour}} {
		for _, delay := range []time.Duration{5 * time.Second, time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				s := newFolderServer("IMAP4rev1 IDLE", c.folders...)
				h, stop := s.watched(t, c.folders...)
				defer stop()
				for n := range testenv.Tenth(300) {
					announce := s.put("INBOX", imaptest.Message{Header: subject(fmt.Sprint("mail ", n)), Date: time.Now()})
					time.Sleep(delay)
					announce()
					time.Sleep(c.every + mathrand.N(2*c.every))
					synctest.Wait()
					known, err := h.store.Mail.Host("mail.example.org:993")
					if err != nil || known.MissedNews > 0 || !known.DistrustedSince.IsZero() {
						t.Fatalf("%v, announced after %v: learned after %d mails is %+v, %v", c.folders, delay, n+1, known, err)
					}
				}
			})
		}
	}
}

func liveAges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}}
		h, pool, s, stop := pooled(t, script)
		defer stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		first := pool.Live(h.account.ID)
		if age := time.Since(first.Confirmed); age != time.Minute || !first.LastMail.IsZero() {
			t.Errorf("after a minute: %+v, confirmed %v ago", first, age)
		}
		// "nine minutes", less a tenth at most: each refresh confirms it again.
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if age := time.Since(pool.Live(h.account.ID).Confirmed); age > 9*time.Minute {
			t.Errorf("after three hours it was confirmed %v ago", age)
		}
		script.Deliver(imaptest.Message{Header: subject("new"), Date: time.Now()})
		synctest.Wait()
		if l := pool.Live(h.account.ID); time.Since(l.Confirmed) != 0 || time.Since(l.LastMail) != 0 || l.Connections != 1 {
			t.Errorf("after a mail: %+v", l)
		}
		// The times outlive the session, and an edit.
		s.down = true
		script.Renumber() // ends the connection
		time.Sleep(time.Minute)
		synctest.Wait()
		if l := pool.Live(h.account.ID); time.Since(l.Confirmed) != time.Minute || time.Since(l.LastMail) != time.Minute || l.Connections != 0 {
			t.Errorf("after the connection was lost: %+v", l)
		}
		edited := h.account
		edited.Username = "anna@example.org"
		if _, err := h.store.Accounts.Update(edited, time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if l := pool.Live(h.account.ID); time.Since(l.Confirmed) != 2*time.Minute || time.Since(l.LastMail) != 2*time.Minute {
			t.Errorf("after an edit: %+v", l)
		}
	})
}

func learnedHoldsInDistrust(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		known registry.Host
		cut   time.Duration
	}{
		{"it needs more than distrust asks for", registry.Host{Interval: time.Minute, FatalSilence: 75 * time.Second}, 75 * time.Second},
		{"distrust proves no longer silence", registry.Host{}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
				s.cut = c.cut
				h, stop := s.watched(t, "INBOX")
				stop()
				name := net.JoinHostPort(h.account.Host, strconv.Itoa(h.account.Port))
				c.known.DistrustedSince, c.known.Since = time.Now(), time.Now().Add(time.Hour-quietToLearn)
				if err := h.store.Mail.PutHost(name, c.known); err != nil {
					t.Fatal(err)
				}
				_, end := h.watch(t, Dialer{Permit: permitAll, Dial: s.dial})
				time.Sleep(2 * time.Hour)
				if late := s.delays(t, h, "INBOX", testenv.Tenth(20), time.Hour+11*time.Second); late > doubtInterval {
					t.Errorf("a mail was notified after %v", late)
				}
				learned, err := h.store.Mail.Host(name)
				if err != nil || learned.Interval != c.known.Interval {
					t.Errorf("learned %+v, %v", learned, err)
				}
				end()
				s.serving.Wait()
			})
		})
	}
}

func refreshInOpenFolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var examined, asked atomic.Int32
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}, At: func(_ *imaptest.Talk, moment string) {
			switch moment {
			case "before EXAMINE":
				examined.Add(1)
			case "before STATUS":
				asked.Add(1)
			}
		}}
		h, pool, _, stop := pooled(t, script)
		defer stop()
		time.Sleep(time.Hour)
		if n := examined.Load(); n < 40 {
			t.Errorf("it was opened %d times in the hour before IDLE reported mail", n)
		}
		script.Deliver(imaptest.Message{Header: subject("reported"), Date: time.Now()})
		time.Sleep(time.Minute)
		examined.Store(0)
		asked.Store(0)
		time.Sleep(12 * time.Hour)
		if n := examined.Load(); n < 10 || n > 12 {
			t.Errorf("then it was opened %d times in twelve hours", n)
		}
		if n := asked.Load(); n < 12*60/9 {
			t.Errorf("it was asked for its STATUS %d times in twelve hours", n)
		}
		afterLook(pool, h.account.ID)
		script.Mute = true
		script.Deliver(imaptest.Message{Header: subject("kept back"), Date: time.Now()})
		time.Sleep(usualInterval + time.Minute)
		if got := subjects(h.mails(t)); !slices.Equal(got, []string{"reported", "kept back"}) {
			t.Errorf("notified %q", got)
		}
		examined.Store(0)
		time.Sleep(time.Hour)
		if n := examined.Load(); n < 40 {
			t.Errorf("after a mail that it kept back it was opened %d times in an hour", n)
		}
	})
}
