package watcher

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/watcher/imaptest"
)

func TestStorm(t *testing.T) {
	t.Parallel()
	t.Run("once many sessions have begun and it is quiet, memory is given back once", memoryGivenBack)
	t.Run("sessions that begin now and then, or a few of many, are no storm", noStorm)
	t.Run("some logins run at once, and those that take long keep no other waiting", entersAtOnce)
}

func memoryGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := scriptedAccount
		first.Security = idlepush.SecurityPlain
		h := newHarness(t, first)
		h.trustIdle(t)
		for n := range stormSize {
			a := first
			a.Username, a.Email = fmt.Sprint("user ", n), fmt.Sprint("user", n, "@example.org")
			h.add(t, a)
		}
		s := &server{script: &imaptest.Script{}}
		w := &memoryNet{servers: map[string]*server{"mail.example.org:993": s}}
		given := 0
		pool := &Pool{Store: h.store.Mail, Dialer: Dialer{Permit: permitAll, Dial: w.dial}, Log: h.log, giveBack: func() { given++ }}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { pool.Run(ctx) })
		for _, step := range []struct {
			cut  bool
			want int
		}{{false, 1}, {false, 1}, {true, 2}, {false, 2}} {
			if step.cut {
				s.script.Renumber() // ends all connections
			}
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if given != step.want {
				t.Errorf("cut: %v: memory was given back %d times, want %d", step.cut, given, step.want)
			}
		}
		cancel()
		running.Wait()
		w.serving.Wait()
	})
}

func noStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStorm()
		for range 10 * stormSize {
			time.Sleep(calm)
			s.begin(time.Now())
		}
		s.watch(100 * stormShare)
		for range 98 { // and the last of those before
			s.begin(time.Now())
		}
		select {
		case <-s.over.C:
			t.Fatal("a storm has passed")
		case <-time.After(time.Hour):
		}
	})
}

func entersAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStorm()
		var entered atomic.Int32
		var logins sync.WaitGroup
		for range 3 * maxEntering {
			logins.Go(func() {
				leave, err := s.enter(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				defer leave()
				entered.Add(1)
				time.Sleep(timeout) // its server does not answer
			})
		}
		for n := range 3 {
			synctest.Wait()
			if got := entered.Load(); got != int32(n+1)*maxEntering {
				t.Errorf("%d logins have begun after %v", got, time.Duration(n)*enteringSoon)
			}
			time.Sleep(enteringSoon)
		}
		logins.Wait()
		if len(s.entering) != 0 {
			t.Errorf("%d logins count after their end", len(s.entering))
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range maxEntering {
			if _, err := s.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.enter(ended); err == nil {
			t.Error("a login that was given up has begun")
		}
	})
}
