package watcher

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
)

func TestHostLoad(t *testing.T) {
	t.Parallel()
	t.Run("a restart with many accounts on one host opens few connections at once", restartManyAccounts)
	t.Run("a host that accepts and drops gets few connections", acceptingAndDropping)
	t.Run("all accounts return within a minute to a host that was down", hostDown)
	t.Run("a host that refuses with LIMIT is not pressed, and all get in once it accepts", hostAtLimit)
	t.Run("accounts cut by one event return as fast as after a start", cutTogether)
	t.Run("refused logins of many accounts come ever more slowly", refusedTogether)
	t.Run("a few accounts that always fail keep no other from its host", failingAccounts)
}

func failingAccounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFolderServer("IMAP4rev1 IDLE", "INBOX")
		s.proven = true
		s.refuse = func(_, command, args string) string {
			if command == "LOGIN" && strings.Contains(args, "broken") {
				return "* BYE not you\r\n"
			}
			return ""
		}
		h, stop := s.watched(t, "INBOX")
		defer stop()
		for n := range 40 {
			a := scriptedAccount
			a.Security, a.Username, a.Email = idlepush.SecurityPlain, fmt.Sprint("broken", n), fmt.Sprint("broken", n, "@example.org")
			h.add(t, a)
		}
		time.Sleep(time.Duration(testenv.Tenth(40)) * time.Hour)
		began := time.Now()
		healthy := idlepush.Account{Host: h.account.Host, Port: h.account.Port, Security: idlepush.SecurityPlain, Username: "new", Email: "new@example.org", Password: "p"}
		healthy = h.add(t, healthy)
		for {
			time.Sleep(time.Second)
			synctest.Wait()
			a, err := h.store.Accounts.Get(healthy.ID)
			if err != nil {
				t.Fatal(err)
			}
			if a.Status.State == idlepush.StateWatching {
				break
			}
			if time.Since(began) > time.Hour {
				t.Fatal("it does not get in")
			}
		}
		if waited := time.Since(began); waited > time.Minute {
			t.Errorf("it got in after %v", waited)
		}
	})
}

// accountCount is how many accounts are on one host.
var accountCount = testenv.Tenth(500)

// manyAccounts returns accountCount accounts on one host.
func manyAccounts(t *testing.T, s *server) (*harness, *memoryNet) {
	t.Helper()
	first := scriptedAccount
	first.Security = idlepush.SecurityPlain
	h := newHarness(t, first)
	h.trustIdle(t)
	for i := range accountCount - 1 {
		a := first
		a.Username, a.Email = fmt.Sprint("user ", i), fmt.Sprint("user", i, "@example.org")
		h.add(t, a)
	}
	return h, &memoryNet{servers: map[string]*server{"mail.example.org:993": s}}
}

// allWatching fails unless every account is watched.
func (h *harness) allWatching(t *testing.T) {
	t.Helper()
	accounts, err := h.store.Accounts.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if a.Status.State != idlepush.StateWatching {
			t.Fatalf("%s is %+v", a.Username, a.Status)
		}
	}
}

// paced fails if more than most connections were begun in a second before end.
func (s *server) paced(t *testing.T, most int, end time.Time) {
	t.Helper()
	for i := range max(s.between(time.Time{}, end)-most, 0) {
		if took := s.dials[i+most].Sub(s.dials[i]); took < time.Second {
			t.Fatalf("%d connections within %v", most+1, took)
		}
	}
}

// between counts the connections that were begun between two times.
func (s *server) between(from, to time.Time) (n int) {
	for _, at := range s.dials {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

func restartManyAccounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{script: &imaptest.Script{}}
		h, w := manyAccounts(t, s)
		began := time.Now()
		_, stop := h.watch(t, Dialer{Permit: permitAll, Dial: w.dial})
		time.Sleep(3 * time.Minute)
		stop()
		w.serving.Wait()
		s.paced(t, 5, began.Add(2*time.Second))
		s.paced(t, 20, time.Now())
		// The first ten come at 200 ms, the next ten at 100 ms, the others at 50 ms.
		all := 3*time.Second + time.Duration(accountCount-20)*50*time.Millisecond + 100*time.Millisecond
		if n := s.between(began, began.Add(all)); len(s.dials) != accountCount || n != accountCount {
			t.Errorf("%d connections, %d within %v", len(s.dials), n, all)
		}
	})
}

func acceptingAndDropping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{script: &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"EXAMINE": func(talk *imaptest.Talk, _ string) { talk.Close() }}}}
		h, w := manyAccounts(t, s)
		began := time.Now()
		_, stop := h.watch(t, Dialer{Permit: permitAll, Dial: w.dial})
		time.Sleep(2 * time.Hour)
		stop()
		w.serving.Wait()
		s.paced(t, 5, time.Now())
		for at := 30 * time.Minute; at < 2*time.Hour; at += 10 * time.Minute {
			// Each account comes every seven minutes or so.
			if n := s.between(began.Add(at), began.Add(at+10*time.Minute)); n > 3*accountCount {
				t.Errorf("%d connections in the ten minutes after %v", n, at)
			}
		}
		t.Logf("%d connections in two hours", len(s.dials))
	})
}

func hostDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{script: &imaptest.Script{}, down: true}
		h, w := manyAccounts(t, s)
		_, stop := h.watch(t, Dialer{Permit: permitAll, Dial: w.dial})
		time.Sleep(2 * time.Hour)
		w.mu.Lock()
		tried := len(s.dials)
		s.down = false
		w.mu.Unlock()
		time.Sleep(time.Minute)
		h.allWatching(t)
		stop()
		w.serving.Wait()
		if tried < 100 {
			t.Errorf("only %d connections were tried in two hours", tried)
		}
		for i := 10; i < tried; i++ {
			if after := s.dials[i].Sub(s.dials[i-1]); after < 6*time.Second {
				t.Fatalf("try %d came %v after the one before", i, after)
			}
		}
	})
}

func hostAtLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		full.Store(true)
		s := &server{script: &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"LOGIN": func(talk *imaptest.Talk, args string) {
			if full.Load() {
				talk.Say("%s NO [LIMIT] too many\r\n", talk.Tag)
				return
			}
			talk.Answer("LOGIN", args)
		}}}}
		h, w := manyAccounts(t, s)
		began := time.Now()
		_, stop := h.watch(t, Dialer{Permit: permitAll, Dial: w.dial})
		time.Sleep(30 * time.Minute)
		full.Store(false)
		free := time.Now()
		time.Sleep(10 * time.Minute)
		h.allWatching(t)
		stop()
		w.serving.Wait()
		s.paced(t, 5, free)
		s.paced(t, 20, time.Now())
		t.Logf("%d logins while it was full", s.between(began, free))
	})
}

func cutTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{script: &imaptest.Script{}}
		h, w := manyAccounts(t, s)
		_, stop := h.watch(t, Dialer{Permit: permitAll, Dial: w.dial})
		time.Sleep(time.Minute)
		h.allWatching(t)
		cut := time.Now()
		s.script.Renumber() // ends all connections
		all := firstRetryWait + time.Duration(accountCount)*minConnectPace
		time.Sleep(all)
		synctest.Wait()
		h.allWatching(t)
		stop()
		w.serving.Wait()
		if n := s.between(cut, cut.Add(all)); n != accountCount {
			t.Errorf("%d connections for %d accounts", n, accountCount)
		}
	})
}

// A provider that takes no password just now must not take us for somebody who guesses.
func refusedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		s := &server{script: &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"LOGIN": func(talk *imaptest.Talk, args string) {
			if broken.Load() {
				talk.Say("%s NO [AUTHENTICATIONFAILED] no\r\n", talk.Tag)
				return
			}
			talk.Answer("LOGIN", args)
		}}}}
		h, w := manyAccounts(t, s)
		_, stop := h.watch(t, Dialer{Permit: permitAll, Dial: w.dial})
		time.Sleep(time.Minute)
		synctest.Wait()
		h.allWatching(t)
		broken.Store(true)
		tried := len(w.dialsOf(s))
		s.script.Renumber() // ends all connections
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		dials := w.dialsOf(s)
		for i := tried + 10; i < len(dials); i++ {
			if after := dials[i].Sub(dials[i-1]); after < maxConnectPace {
				t.Fatalf("try %d came %v after the one before", i-tried, after)
			}
		}
		// At once, after 1 min, 10 min and 1 h, and then every 2 h.
		if n := len(dials) - tried; n > 15*accountCount {
			t.Errorf("%d logins in a day", n)
		}
		broken.Store(false)
		time.Sleep(2*time.Hour + 12*time.Minute)
		synctest.Wait()
		h.allWatching(t)
		stop()
		w.serving.Wait()
	})
}

func TestConnectWait(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		failures, quick int
		wait            time.Duration
	}{
		{0, 0, 200 * time.Millisecond}, {0, 9, 200 * time.Millisecond}, {0, 10, 100 * time.Millisecond}, {0, 20, 50 * time.Millisecond}, {0, 10_000, 50 * time.Millisecond},
		{1, 0, 400 * time.Millisecond}, {1, 100, 400 * time.Millisecond}, {4, 0, 3200 * time.Millisecond}, {5, 0, 6 * time.Second}, {maxFailures, 0, 6 * time.Second},
	} {
		if got := connectWait(c.failures, c.quick); got != c.wait {
			t.Errorf("after %d failures and %d quick logins it is %v, want %v", c.failures, c.quick, got, c.wait)
		}
	}
}

// One event may cut connections that were made at different times, and is noticed by one account
// after another.
func TestHostFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHost("mail.example.org", "mail.example.org:993", newHarness(t, scriptedAccount).store.Mail, nil, newClock(nil))
		began := time.Now()
		for i, c := range []struct {
			before time.Duration // since the last failure, when this one began
			want   int
		}{{0, 1}, {time.Second, 1}, {time.Minute, 1}, {-time.Second, 2}, {-time.Second, 3}} {
			time.Sleep(2 * time.Second)
			if i > 0 {
				began = h.lastFailure.Add(-c.before)
			}
			if h.fail(began, false); h.failures != c.want {
				t.Errorf("failure %d: %d count, want %d", i+1, h.failures, c.want)
			}
		}
	})
}
