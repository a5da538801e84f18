package watcher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/clocks"
	"idlepush/registry/registrytest"
	"idlepush/registry/testenv"
	"idlepush/watcher/imaptest"
)

// laptop is a machine that sleeps: its monotonic clock stands still, which is the clock of the
// bubble, and its wall clock goes on. It has one mail server, and a network that is back a while
// after it woke.
type laptop struct {
	clock   registrytest.Clock
	script  *imaptest.Script
	serving sync.WaitGroup

	mu     sync.Mutex
	slept  int       // how often
	reset  bool      // whether connections of before a sleep are reset; else they pass nothing
	online time.Time // when the network is back
	dials  int
}

var errNetworkDown = &net.OpError{Op: "dial", Err: errors.New("network is unreachable")}

func (l *laptop) dial(context.Context, string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dials++
	if time.Now().Before(l.online) {
		return nil, errNetworkDown
	}
	return &sleepyConn{Conn: l.script.Pipe(&l.serving), laptop: l, slept: l.slept}, nil
}

// sleep has the machine sleep. After it the network takes until that long.
func (l *laptop) sleep(long, until time.Duration, reset bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slept++
	l.reset, l.online = reset, time.Now().Add(until)
	l.clock.Move(long)
}

// sleepyConn is a connection that does not outlive a sleep.
type sleepyConn struct {
	net.Conn
	laptop *laptop
	slept  int // at its beginning
}

// dead reports whether the machine slept since, and whether that resets the connection.
func (c *sleepyConn) dead() (dead, reset bool) {
	c.laptop.mu.Lock()
	defer c.laptop.mu.Unlock()
	return c.slept != c.laptop.slept, c.laptop.reset
}

func (c *sleepyConn) Write(p []byte) (int, error) {
	switch dead, reset := c.dead(); {
	case dead && reset:
		return 0, &net.OpError{Op: "write", Err: net.ErrClosed}
	case dead:
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *sleepyConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if dead, _ := c.dead(); err != nil || !dead {
			return n, err
		}
	}
}

// sleepPlan returns how long a laptop is awake and then sleeps, over and over, in a week: nights,
// a weekend, and its lid closed for minutes.
func sleepPlan(random func(n int) int) (plan [][2]time.Duration) {
	for day := range 7 {
		for range 4 + random(4) {
			plan = append(plan, [2]time.Duration{time.Minute + time.Duration(random(int(2*time.Hour))), 20*time.Second + time.Duration(random(int(40*time.Minute)))})
		}
		night := [2]time.Duration{time.Hour, 8 * time.Hour}
		if day == 4 {
			night[1] = 60 * time.Hour
		}
		plan = append(plan, night)
	}
	return plan
}

func TestSleep(t *testing.T) {
	t.Parallel()
	t.Run("in a week of a laptop each mail is notified within two minutes of being awake", sleepWeek)
	t.Run("sleeps teach nothing about the server", sleepsTeachNothing)
}

// watchLaptop watches a mailbox on a laptop, whose clock is watched too.
func watchLaptop(t *testing.T, caps string) (l *laptop, h *harness, stop func()) {
	t.Helper()
	account := scriptedAccount
	account.Security = idlepush.SecurityPlain
	l, h = &laptop{script: &imaptest.Script{Caps: caps}}, newHarness(t, account)
	pool, stopPool := h.watchBy(t, Dialer{Permit: permitAll, dial: l.dial}, l.clock.Now)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { clocks.Watch(ctx, l.clock.Now, func(time.Duration) { pool.AskNow() }) })
	time.Sleep(time.Minute)
	return l, h, func() {
		cancel()
		watching.Wait()
		stopPool()
		l.serving.Wait()
	}
}

// learnedNothing fails the test if sleeps have changed what is known of the server.
func (h *harness) learnedNothing(t *testing.T) {
	t.Helper()
	known, err := h.store.Mail.Host("mail.example.org:993")
	if err != nil || known.Interval != 0 || known.MissedNews != 0 || !known.DistrustedSince.IsZero() || len(known.RecentDrops) > 0 {
		t.Errorf("it has learned %+v, %v", known, err)
	}
}

// Some laptops wake for a short time every so often. Each time a connection dies after as much
// silence.
func sleepsTeachNothing(t *testing.T) {
	t.Parallel()
	for name, reset := range map[string]bool{"connections are reset": true, "connections pass nothing": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, h, stop := watchLaptop(t, "IMAP4rev1 IDLE")
				for range 10 {
					time.Sleep(3 * time.Minute)
					l.sleep(time.Hour, 0, reset)
				}
				time.Sleep(time.Minute)
				stop()
				h.learnedNothing(t)
			})
		})
	}
}

// Mail comes while the laptop is awake and while it sleeps.
func sleepWeek(t *testing.T) {
	t.Parallel()
	for name, caps := range map[string]string{"in IDLE": "IMAP4rev1 IDLE", "polled": "IMAP4rev1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := testenv.Rand(t).IntN
			synctest.Test(t, func(t *testing.T) {
				l, h, stop := watchLaptop(t, caps)
				var sent []string
				deliver := func() {
					words := fmt.Sprint("mail ", len(sent))
					sent = append(sent, words)
					l.script.Deliver(imaptest.Message{Header: subject(words), Date: l.clock.Now()})
				}
				var worst time.Duration
				await := func(what string) {
					began := time.Now()
					for synctest.Wait(); len(h.mails(t)) < len(sent) && time.Since(began) < time.Hour; synctest.Wait() {
						time.Sleep(5 * time.Second)
					}
					late := time.Since(began)
					if worst = max(worst, late); late > 2*time.Minute {
						t.Errorf("mail %s was notified after %v awake", what, late)
					}
				}
				for i, step := range sleepPlan(random) {
					time.Sleep(step[0])
					deliver()
					if random(2) == 0 { // else it may fall asleep with it
						await("while it was awake")
					}
					asleep := step[1]
					l.sleep(asleep/2, 0, i%2 == 0)
					deliver()
					l.sleep(asleep-asleep/2, time.Duration(random(int(20*time.Second))), i%2 == 0)
					await(fmt.Sprint("of a sleep of ", asleep.Round(time.Second)))
				}
				time.Sleep(time.Minute)
				stop()
				h.learnedNothing(t)
				if got := subjects(h.mails(t)); !slices.Equal(got, sent) {
					t.Errorf("%d of %d were notified: %v", len(got), len(sent), missing(sent, got))
				}
				t.Logf("%d mails, the latest after %v awake, %d connections", len(sent), worst.Round(time.Second), l.dials)
			})
		})
	}
}
