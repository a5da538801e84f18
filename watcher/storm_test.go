package watcher

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
)

// storming is how many accounts are on one host.
var storming = testenv.Tenth(500)

// town is so many accounts on one host.
func town(t *testing.T, s *server) (*house, *world) {
	t.Helper()
	first := scriptedAccount
	first.Security = registry.Plain
	h := newHouse(t, first)
	for i := range storming - 1 {
		a := first
		a.Username, a.Email = fmt.Sprint("user ", i), fmt.Sprint("user", i, "@example.org")
		h.add(t, a)
	}
	return h, &world{servers: map[string]*server{"mail.example.org:993": s}}
}

// allWatching fails where an account is not watched.
func (h *house) allWatching(t *testing.T) {
	t.Helper()
	accounts, err := h.store.Accounts.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if a.Status.State != registry.Watching {
			t.Fatalf("%s is %+v", a.Username, a.Status)
		}
	}
}

// paced fails where more than five connections were begun in a second.
func (s *server) paced(t *testing.T) {
	t.Helper()
	for i := range max(len(s.dials)-5, 0) {
		if took := s.dials[i+5].Sub(s.dials[i]); took < time.Second {
			t.Fatalf("six connections within %v", took)
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

func TestARestartWithManyAccountsOnOneHostIsNoStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{script: &imaptest.Script{}}
		h, w := town(t, s)
		began := time.Now()
		_, stop := h.watch(t, Dialer{Permit: permitAll, dial: w.dial})
		time.Sleep(3 * time.Minute)
		stop()
		w.serving.Wait()
		s.paced(t)
		all := time.Duration(storming/5+1) * time.Second
		if n := s.between(began, began.Add(all)); len(s.dials) != storming || n != storming {
			t.Errorf("%d connections, %d within %v", len(s.dials), n, all)
		}
	})
}

func TestAHostThatAcceptsAndDropsIsNeverStormed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{script: &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"EXAMINE": func(talk *imaptest.Talk, _ string) { talk.Close() }}}}
		h, w := town(t, s)
		began := time.Now()
		_, stop := h.watch(t, Dialer{Permit: permitAll, dial: w.dial})
		time.Sleep(2 * time.Hour)
		stop()
		w.serving.Wait()
		s.paced(t)
		for at := 30 * time.Minute; at < 2*time.Hour; at += 10 * time.Minute {
			// Each account comes every seven minutes or so.
			if n := s.between(began.Add(at), began.Add(at+10*time.Minute)); n > 3*storming {
				t.Errorf("%d connections in the ten minutes after %v", n, at)
			}
		}
		t.Logf("%d connections in two hours", len(s.dials))
	})
}

func TestAHostThatWasDownIsFoundAgainByAllItsAccountsWithinMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{script: &imaptest.Script{}, down: true}
		h, w := town(t, s)
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
		h, w := town(t, s)
		began := time.Now()
		_, stop := h.watch(t, Dialer{Permit: permitAll, dial: w.dial})
		time.Sleep(30 * time.Minute)
		full.Store(false)
		free := time.Now()
		time.Sleep(10 * time.Minute)
		h.allWatching(t)
		stop()
		w.serving.Wait()
		s.paced(t)
		t.Logf("%d logins while it was full", s.between(began, free))
	})
}
