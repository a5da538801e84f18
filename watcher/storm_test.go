package watcher

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry"
	"idlepush/watcher/imaptest"
)

// fiveHundred is 500 accounts on one host.
func fiveHundred(t *testing.T, s *server) (*house, *world) {
	t.Helper()
	first := scriptedAccount
	first.Security = registry.Plain
	h := newHouse(t, first)
	for i := range 499 {
		a := first
		a.Username, a.Email = fmt.Sprint("user ", i), fmt.Sprint("user", i, "@example.org")
		h.add(t, a)
	}
	return h, &world{servers: map[string]*server{"mail.example.org:993": s}}
}

// allWatching fails where an account is not watched.
func (h *house) allWatching(t *testing.T) {
	t.Helper()
	accounts, err := h.store.Accounts()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if a.Status.State != registry.Watching {
			t.Fatalf("%s is %+v", a.Username, a.Status)
		}
	}
}

// between counts the connections that were begun in a time.
func (s *server) between(from, to time.Time) (n int) {
	for _, at := range s.dials {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

func TestARestartWith500AccountsOnOneHostIsNoStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{script: &imaptest.Script{}}
		h, w := fiveHundred(t, s)
		began := time.Now()
		_, stop := h.watch(t, Dialer{Permit: permitAll, dial: w.dial})
		time.Sleep(3 * time.Minute)
		stop()
		w.serving.Wait()
		if n := s.between(began, began.Add(time.Second)); n > int(time.Second/doorPace) {
			t.Errorf("%d connections in the first second", n)
		}
		if len(s.dials) != 500 || s.between(began, began.Add(101*time.Second)) != 500 {
			t.Errorf("%d connections, %d within 101 s", len(s.dials), s.between(began, began.Add(101*time.Second)))
		}
	})
}

func TestAHostThatAcceptsAndDropsIsNeverStormed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{script: &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"EXAMINE": func(talk *imaptest.Talk, _ string) { talk.Close() }}}}
		h, w := fiveHundred(t, s)
		began := time.Now()
		_, stop := h.watch(t, Dialer{Permit: permitAll, dial: w.dial})
		time.Sleep(2 * time.Hour)
		stop()
		w.serving.Wait()
		for minute := range 120 {
			if n := s.between(began.Add(time.Duration(minute)*time.Minute), began.Add(time.Duration(minute+1)*time.Minute)); n > 300 || minute > 30 && n > 150 { // each account comes every seven minutes or so
				t.Errorf("%d connections in minute %d", n, minute)
			}
		}
		t.Logf("%d connections in two hours", len(s.dials))
	})
}

func TestAHostThatWasDownIsFoundAgainByAllItsAccountsWithinMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{script: &imaptest.Script{}, down: true}
		h, w := fiveHundred(t, s)
		_, stop := h.watch(t, Dialer{Permit: permitAll, dial: w.dial})
		time.Sleep(2 * time.Hour)
		w.mu.Lock()
		tried := len(s.dials)
		s.down = false
		w.mu.Unlock()
		time.Sleep(10 * time.Minute)
		h.allWatching(t)
		stop()
		w.serving.Wait()
		if tried > int(2*time.Hour/doorSlowest)+20 {
			t.Errorf("%d connections were tried in two hours", tried)
		}
	})
}

func TestAHostThatRefusesWithLIMITIsNotPressedAndAllGetInOnceItAccepts(t *testing.T) {
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
		h, w := fiveHundred(t, s)
		began := time.Now()
		_, stop := h.watch(t, Dialer{Permit: permitAll, dial: w.dial})
		time.Sleep(30 * time.Minute)
		full.Store(false)
		free := time.Now()
		time.Sleep(10 * time.Minute)
		h.allWatching(t)
		stop()
		w.serving.Wait()
		for at := began; at.Before(free.Add(10 * time.Minute)); at = at.Add(time.Second) {
			if n := s.between(at, at.Add(time.Second)); n > int(time.Second/doorPace) {
				t.Fatalf("%d logins in a second", n)
			}
		}
		t.Logf("%d logins while it was full", s.between(began, free))
	})
}
