package watcher

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	pool    *Pool
	serving sync.WaitGroup

	mu     sync.Mutex
	slept  int       // how often
	reset  bool      // whether connections of before a sleep are reset; else they pass nothing
	keeps  bool      // whether connections outlive a sleep
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
	return c.slept != c.laptop.slept && !c.laptop.keeps, c.laptop.reset
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
	t.Run("after a sleep the same session learns again", learnAfterSleep)
	t.Run("a wait from before a sleep ends with it, but none that the server demands and that is not over", sleepEndsWaits)
	t.Run("the backoff begins anew also after a wait that ends before the sleep is noticed", sleepNoticedLate)
	t.Run("after a short sleep every folder is looked at", sleepLooksEverywhere)
	t.Run("a certificate that is not valid yet is tried again within a minute", certificateTooEarly)
}

// watchLaptop watches a mailbox on a laptop, whose clock is watched too.
func watchLaptop(t *testing.T, script *imaptest.Script) (l *laptop, h *harness, stop func()) {
	t.Helper()
	account := scriptedAccount
	account.Security = idlepush.SecurityPlain
	l, h = &laptop{script: script}, newHarness(t, account)
	var stopPool func()
	l.pool, stopPool = h.watchBy(t, Dialer{Permit: permitAll, Dial: l.dial}, l.clock.Now)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { clocks.Watch(ctx, l.clock.Now, func(time.Duration) { l.pool.AskNow() }) })
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
	for name, c := range map[string]struct{ reset, keeps bool }{
		"connections are reset":                           {reset: true},
		"connections pass nothing":                        {},
		"news of what came in it is not there at its end": {keeps: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, h, stop := watchLaptop(t, &imaptest.Script{Mute: c.keeps})
				l.keeps = c.keeps
				for n := range 10 {
					time.Sleep(3 * time.Minute)
					l.sleep(time.Hour, 0, c.reset)
					l.script.Deliver(imaptest.Message{Header: subject(fmt.Sprint("mail ", n)), Date: l.clock.Now()})
					l.sleep(time.Hour, 0, c.reset)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if st := h.status(t); st.State != idlepush.StateWatching || len(h.mails(t)) != 10 {
					t.Errorf("with %d of 10 mails notified it is %+v", len(h.mails(t)), st)
				}
				stop()
				h.learnedNothing(t)
			})
		})
	}
}

func learnAfterSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, h, stop := watchLaptop(t, &imaptest.Script{Mute: true})
		l.keeps = true
		l.sleep(time.Hour, 0, false)
		for n := range missesToDistrust {
			time.Sleep(10 * time.Minute)
			afterLook(l.pool, h.account.ID)
			l.script.Deliver(imaptest.Message{Header: subject(fmt.Sprint("mail ", n)), Date: l.clock.Now()})
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if st := h.status(t); st.State != idlepush.StatePolling || st.Code != "idle_unreliable" || l.dialled() != 1 {
			t.Errorf("after %d connections it is %+v", l.dialled(), st)
		}
		stop()
	})
}

// Mail comes while the laptop is awake and while it sleeps.
func sleepWeek(t *testing.T) {
	t.Parallel()
	for name, caps := range map[string]string{"in IDLE": "IMAP4rev1 IDLE", "polled": "IMAP4rev1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := testenv.Rand(t).IntN
			synctest.Test(t, func(t *testing.T) {
				l, h, stop := watchLaptop(t, &imaptest.Script{Caps: caps})
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

func sleepEndsWaits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		refusal string        // empty: the server closes the connection
		long    time.Duration // of the sleep
		ends    bool          // within two minutes of waking
	}{
		{"a backoff", "", 8 * time.Hour, true},
		{"a backoff, after a short sleep", "", time.Minute, true},
		{"a limit of the server", "[LIMIT] too many connections", 8 * time.Hour, true},
		{"a limit of the server, after a short sleep", "[LIMIT] too many connections", 20 * time.Second, false},
		{"a refused password that has worked", "[AUTHENTICATIONFAILED] no", 24 * time.Hour, true},
		{"a refused password that has worked, after a short sleep", "[AUTHENTICATIONFAILED] no", 5 * time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var refuses atomic.Bool
				l, h, stop := watchLaptop(t, &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"LOGIN": func(talk *imaptest.Talk, args string) {
					switch {
					case !refuses.Load():
						talk.Answer("LOGIN", args)
					case c.refusal == "":
						talk.Close()
					default:
						talk.Say("%s NO %s\r\n", talk.Tag, c.refusal)
					}
				}}})
				defer stop()
				refuses.Store(true)
				l.script.Renumber() // ends the connection
				// Now some waits last for minutes.
				for range 40 {
					time.Sleep(5 * time.Minute)
				}
				wakes := l.dialled()
				for l.dialled() == wakes {
					time.Sleep(time.Second) // until a wait has just begun
				}
				refuses.Store(false)
				l.sleep(c.long, 20*time.Second, true)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if got := h.status(t).State == idlepush.StateWatching; got != c.ends {
					t.Errorf("two minutes after it woke it is %+v", h.status(t))
				}
			})
		})
	}
}

func sleepNoticedLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		var wall registrytest.Clock
		s := &supervisor{attempt: 10, watched: watched{asker: newAsker(""), host: newHost("mail.example", "mail.example:993", h.store.Mail, h.log, newClock(wall.Now))}}
		time.AfterFunc(time.Second, func() { wall.Move(8 * time.Hour) })
		if s.pause(t.Context(), 3*time.Second, new(Failure)); s.attempt != 0 {
			t.Errorf("it counts %d attempts of before the sleep", s.attempt)
		}
	})
}

func (l *laptop) dialled() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dials
}

// The connection outlives the sleep, and the server announces nothing.
func sleepLooksEverywhere(t *testing.T) {
	t.Parallel()
	for name, caps := range map[string]string{"in IDLE": "IMAP4rev1 IDLE", "polled": "IMAP4rev1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newFolderServer(caps, "INBOX", "B")
				h, stop := s.watched(t, "INBOX", "B")
				stop()
				var clock registrytest.Clock
				pool, end := h.watchBy(t, Dialer{Permit: permitAll, Dial: s.dial}, clock.Now)
				time.Sleep(time.Minute)
				for _, folder := range []string{"B", "INBOX", "B"} {
					clock.Move(time.Minute)
					s.deliver(folder, subject(folder+time.Now().String()), clock.Now())
					before := len(h.mails(t))
					pool.AskNow()
					time.Sleep(time.Second)
					synctest.Wait()
					if got := len(h.mails(t)); got < before || got == 0 || !strings.HasPrefix(h.mails(t)[got-1].Content.Subject, folder) {
						t.Errorf("mail to %s was not notified", folder)
					}
					time.Sleep(10 * time.Second)
				}
				end()
				s.serving.Wait()
			})
		})
	}
}

// A machine without a clock of its own starts in the past. Here the clock is right in time after
// two hours.
func certificateTooEarly(t *testing.T) {
	t.Parallel()
	certificate := selfSigned(t)
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, scriptedAccount)
		valid := time.Now().Add(2 * time.Hour)
		certificate, roots := certificateFrom(t, certificate.PrivateKey.(*rsa.PrivateKey), valid)
		script := &imaptest.Script{}
		var serving sync.WaitGroup
		last, most := time.Now(), time.Duration(0)
		_, stop := h.watch(t, Dialer{Permit: permitAll, TLS: &tls.Config{RootCAs: roots}, Dial: func(context.Context, string) (net.Conn, error) {
			most, last = max(most, time.Since(last)), time.Now()
			client, peer := net.Pipe()
			serving.Go(func() { script.Serve(tls.Server(peer, &tls.Config{Certificates: []tls.Certificate{certificate}})) })
			return client, nil
		}})
		time.Sleep(time.Hour)
		const layout = "2006-01-02 15:04:05"
		if st := h.status(t); st.State != idlepush.StateRetrying || st.Code != "certificate_not_yet_valid" || st.Params["from"] != valid.UTC().Format(layout) || st.Params["now"] != st.Since.UTC().Format(layout) {
			t.Errorf("after an hour it is %+v", st)
		}
		time.Sleep(time.Hour + time.Minute)
		if st := h.status(t); st.State != idlepush.StateWatching || most > time.Minute {
			t.Errorf("a minute after it became valid it is %+v; the longest wait was %v", st, most)
		}
		stop()
		serving.Wait()
	})
}

// certificateFrom returns a certificate of mail.example.org that is valid from a time on.
func certificateFrom(t *testing.T, key *rsa.PrivateKey, from time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: from.AddDate(1, 0, 0), DNSNames: []string{"mail.example.org"}, IsCA: true,
		BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
