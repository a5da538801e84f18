package watcher

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/watcher/imaptest"
)

func TestStorm(t *testing.T) {
	t.Parallel()
	t.Run("once many sessions have begun and it is quiet, memory is given back once", memoryGivenBack)
	t.Run("sessions that begin now and then are no storm", noStorm)
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
		pool := &Pool{Store: h.store.Mail, Dialer: Dialer{Permit: permitAll, dial: w.dial}, Log: h.log, giveBack: func() { given++ }}
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
	var s storm
	now := time.Now()
	for range 10 * stormSize {
		now = now.Add(calm)
		s.begin(now)
		if s.passed(now.Add(calm)) {
			t.Fatal("a storm has passed")
		}
	}
}
