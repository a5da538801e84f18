package watcher

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/codes"
	"idlepush/watcher/imaptest"
)

func TestBadIdle(t *testing.T) {
	t.Parallel()
	t.Run("behind a proxy that closes at 30 s of silence, mail is notified at once after three closes", hourBehindProxy)
	t.Run("an account whose IDLE ends badly three times in a row is polled until it holds", badIdleIsPolled)
	t.Run("connections that are lost now and then make no account poll", lostNowAndThen)
	t.Run("an account whose IDLE works again is watched, also where mail ends each IDLE soon", busyAndWellAgain)
	t.Run("only IDLEs that end badly in a row count", badIdlesInARow)
}

// lateness delivers a mail every so often and returns the longest time to its notification, and
// when the first of them was delivered that took longer than a second; zero: none.
func lateness(t *testing.T, h *harness, script *imaptest.Script, count int, every time.Duration) (worst time.Duration, last time.Time) {
	t.Helper()
	at := make(map[string]time.Time)
	before := len(h.mails(t))
	for n := range count {
		name := fmt.Sprint("mail ", before+n)
		at[name] = time.Now()
		script.Deliver(imaptest.Message{Header: subject(name), Date: time.Now()})
		time.Sleep(every)
	}
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	got := h.mails(t)[before:]
	if len(got) != count {
		t.Fatalf("%d of %d were notified", len(got), count)
	}
	for _, n := range got {
		sent := at[n.Content.Subject]
		if late := n.At.Sub(sent); late > time.Second {
			worst, last = max(worst, late), sent
		}
	}
	return worst, last
}

func hourBehindProxy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}}
		h, _, s, stop := pooledBy(t, &server{script: script, closes: func() time.Duration { return 30 * time.Second }})
		defer stop()
		time.Sleep(time.Second)
		began := time.Now()
		worst, last := lateness(t, h, script, 90, 40*time.Second)
		if worst > 15*time.Second || last.Sub(began) > 3*time.Minute {
			t.Errorf("a mail was notified after %v, and one %v after the begin not at once", worst, last.Sub(began))
		}
		known, err := h.store.Mail.Host("mail.example.org:993")
		if err != nil || known.Interval != shortestInterval || len(s.dials) > 5 {
			t.Errorf("learned %+v, %v, with %d connections", known, err, len(s.dials))
		}
		h.allWatching(t)
	})
}

func badIdleIsPolled(t *testing.T) {
	t.Parallel()
	silent := func(talk *imaptest.Talk, _ string) { talk.Silence() }
	closing := func(talk *imaptest.Talk, _ string) { talk.Close() }
	for name, c := range map[string]struct {
		closes time.Duration
		on     func(*imaptest.Talk, string)
	}{"closed at 20 s": {20 * time.Second, nil}, "closed at 5 s": {5 * time.Second, nil}, "closed at once": {0, closing}, "never answered": {0, silent}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var holds atomic.Bool
				script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}, On: map[string]func(*imaptest.Talk, string){"IDLE": func(talk *imaptest.Talk, args string) {
					if holds.Load() || c.on == nil {
						talk.Answer("IDLE", args)
						return
					}
					c.on(talk, args)
				}}}
				h, pool, _, stop := pooledBy(t, &server{script: script, closes: func() time.Duration {
					if holds.Load() {
						return 0
					}
					return c.closes
				}})
				defer stop()
				time.Sleep(5 * time.Minute)
				if worst, _ := lateness(t, h, script, 60, 61*time.Second); worst > pollInterval+timeout+10*time.Second {
					t.Errorf("a mail was notified after %v", worst)
				}
				a, err := h.store.Accounts.Get(h.account.ID)
				if err != nil || a.Status.State == idlepush.StateWatching || a.Status.State == idlepush.StatePolling && (a.Status.Code != "idle_unreliable" || a.Status.Params[codes.Case] != idleBreaks) {
					t.Errorf("the account is %+v, %v", a.Status, err)
				}
				if l := pool.Live(h.account.ID); l.Why.Code != "interval_polled" || l.Interval > pollInterval {
					t.Errorf("its interval is %v, %s", l.Interval, l.Why)
				}
				holds.Store(true)
				time.Sleep(2*pollFor + 2*time.Minute)
				synctest.Wait()
				h.allWatching(t)
				if l := pool.Live(h.account.ID); l.Why.Code == "interval_polled" {
					t.Errorf("after IDLE held its interval is %v, %s", l.Interval, l.Why)
				}
				if worst, _ := lateness(t, h, script, 5, time.Minute); worst > 0 {
					t.Errorf("after IDLE held a mail was notified after %v", worst)
				}
			})
		})
	}
}

func lostNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}}
		h, _, _, stop := pooled(t, script)
		defer stop()
		for range 10 {
			time.Sleep(20 * time.Minute)
			script.Renumber() // ends the connection
			time.Sleep(time.Minute)
			synctest.Wait()
			h.allWatching(t)
		}
	})
}

func busyAndWellAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var well atomic.Bool
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}}
		h, _, _, stop := pooledBy(t, &server{script: script, closes: func() time.Duration {
			if well.Load() {
				return 0
			}
			return 5 * time.Second
		}})
		defer stop()
		time.Sleep(5 * time.Minute)
		well.Store(true)
		lateness(t, h, script, 100, 15*time.Second)
		h.allWatching(t)
	})
}

func badIdlesInARow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ends   string // of IDLEs: g well, b badly, s badly and the interval became shorter
		polled bool
	}{{"", false}, {"bb", false}, {"bbb", true}, {"bbgb", false}, {"bbsbb", false}, {"bbsbbb", true}, {"bbbg", false}, {"bbbb", true}} {
		var b badIdles
		for _, end := range c.ends {
			b.ended(end != 'g', end == 's', noon)
		}
		if got := b.polled(noon.Add(pollFor - 1)); got != c.polled || b.useless() != c.polled || b.polled(noon.Add(pollFor)) {
			t.Errorf("%q: polled %v, %+v", c.ends, got, b)
		}
	}
}
