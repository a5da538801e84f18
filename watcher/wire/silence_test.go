package wire

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"idlepush/watcher/imaptest"
)

func TestAServerThatFallsSilentIsGivenUpExactlyOnTime(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		after   time.Duration
		waiting string
	}{
		"silent-greeting":   {testTimeout, "the greeting"},
		"silent-login":      {testTimeout, "the answer to LOGIN"},
		"silent-examine":    {testTimeout, "the answer to EXAMINE"},
		"silent-uid-search": {testTimeout, "the answer to SEARCH"},
		"silent-uid-fetch":  {testTimeout, "the answer to FETCH"},
		"silent-idle":       {testTimeout, "the answer to IDLE"},
		"silent-done":       {testRefresh + testTimeout, "the answer to DONE"},
		"half-literal":      {testTimeout, "the answer to FETCH"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				script := &imaptest.Script{}
				imaptest.Hostile[name](script)
				began := time.Now()
				c, stop := pipe(t, script, DefaultLimits, nil)
				defer stop()
				f := follower{conn: c, next: 1}
				err := f.run(100, 100)
				if took := time.Since(began); took != want.after {
					t.Errorf("given up after %v, want %v", took, want.after)
				}
				timedOut, ok := errors.AsType[*TimeoutError](err)
				if !ok || timedOut.Waiting != want.waiting || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(c.Cause(), err) {
					t.Errorf("error %v, cause %v, want waiting for %s", err, c.Cause(), want.waiting)
				}
			})
		})
	}
}

// The answer that explains a BYE may follow it, so WithClient reads on for a moment; IDLE does not.
func TestAfterBYENobodyWaitsLong(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]time.Duration{
		"bye-and-stay-greeting": 0, "bye-and-stay-login": byeGrace, "bye-and-stay-uid-fetch": 0, "bye-and-stay-idle": 0, "bye-and-stay-idling": 0,
		"bye-and-stay-done": testRefresh, "login-bye-then-no": 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			script := &imaptest.Script{}
			imaptest.Hostile[name](script)
			began := time.Now()
			c, stop := pipe(t, script, DefaultLimits, nil)
			defer stop()
			f := follower{conn: c, next: 1}
			err := f.run(100, 100)
			if took := time.Since(began); err == nil || took != want {
				t.Errorf("%s: %v after %v, want %v", name, err, took, want)
			}
			bye, ok := errors.AsType[*ByeError](c.Cause())
			if !ok || bye.Text == "" || name != "login-bye-then-no" && bye.Code != "UNAVAILABLE" {
				t.Errorf("%s: cause %v", name, c.Cause())
			}
		})
	}
}

// A byte every 20 s: never silent, never done.
func TestAServerThatDripsIsGivenUpExactlyOnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{On: map[string]func(*imaptest.Talk, string){"LOGIN": func(talk *imaptest.Talk, _ string) {
			for talk.Say("*") {
				time.Sleep(20 * time.Second)
			}
		}}}
		began := time.Now()
		c, stop := pipe(t, script, DefaultLimits, nil)
		defer stop()
		f := follower{conn: c, next: 1}
		if err := f.login(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != testTimeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestTheRefreshNeverDrifts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, stop := pipe(t, &imaptest.Script{}, DefaultLimits, nil)
		defer stop()
		f := follower{conn: c, next: 1}
		began := time.Now()
		const looks = 200
		if err := f.run(1, looks); err != nil {
			t.Fatal(err)
		}
		if took, want := time.Since(began), (looks-1)*testRefresh; took != want {
			t.Errorf("%d refreshes took %v, want %v", looks-1, took, want)
		}
		if c.LastByte() != time.Now() {
			t.Errorf("the last byte came at %v, now is %v", c.LastByte(), time.Now())
		}
	})
}

func TestCancelEndsEveryWaitAtOnceAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"silent-greeting", "silent-login", "silent-examine", "silent-uid-fetch", "silent-idle", "half-literal", "idle-talks"} {
		for _, after := range []time.Duration{time.Nanosecond, time.Second, 29 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				script := &imaptest.Script{}
				imaptest.Hostile[name](script)
				var wg sync.WaitGroup
				began := time.Now()
				c := New(ctx, script.Pipe(&wg), DefaultLimits)
				because := errors.New("told to stop")
				stop := time.AfterFunc(after, func() { cancel(because) })
				defer stop.Stop()
				f := follower{conn: c, next: 1}
				err := f.run(100, 100)
				if took := time.Since(began); took != after || !errors.Is(err, because) {
					t.Errorf("%s: %v after %v, want %v after %v", name, err, took, because, after)
				}
				c.Close()
				wg.Wait()
				// The bubble does not end before its last goroutine has.
			})
		}
	}
}

// Nothing is in flight while f thinks, so that nothing reads.
func TestCancelEndsALoanInWhichNothingIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		script := &imaptest.Script{}
		var wg sync.WaitGroup
		c := New(ctx, script.Pipe(&wg), DefaultLimits)
		if err := c.Greet(testTimeout); err != nil {
			t.Fatal(err)
		}
		err := c.WithClient(testTimeout, func(client *imapclient.Client) error {
			cancel()
			<-client.Closed()
			return client.Noop().Wait()
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("with client: %v", err)
		}
		if _, err := c.Idle(testRefresh, testTimeout, IdleDelays{}); !errors.Is(err, context.Canceled) {
			t.Errorf("idle afterwards: %v", err)
		}
		c.Close()
		wg.Wait()
	})
}

func TestALoanWaitsForAnswersThatNobodyWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}}
		c, stop := pipe(t, script, DefaultLimits, nil)
		defer stop()
		f := follower{conn: c, next: 1}
		if err := f.login(); err != nil {
			t.Fatal(err)
		}
		early := errors.New("changed my mind")
		for range 20 {
			var kept *imapclient.Client
			err := c.WithClient(testTimeout, func(client *imapclient.Client) error {
				kept = client
				for range 10 {
					client.Status("INBOX", &imap.StatusOptions{UIDNext: true})
				}
				return early
			})
			if !errors.Is(err, early) || c.Cause() != nil {
				t.Fatalf("%v, cause %v", err, c.Cause())
			}
			if err := kept.Noop().Wait(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a command after WithClient: %v", err)
			}
		}
		if news := c.News(); news.Status != 0 {
			t.Errorf("an answer to STATUS was taken for news: %+v", news)
		}
		if err := f.look(); err != nil || len(f.got) != 1 {
			t.Errorf("afterwards: %v, got %v", err, f.got)
		}
	})
}

func TestAfterNOToIDLETheConnectionWorks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{}
		imaptest.Hostile["idle-no"](script)
		c, stop := pipe(t, script, DefaultLimits, nil)
		defer stop()
		f := follower{conn: c, next: 1}
		if err := f.login(); err != nil {
			t.Fatal(err)
		}
		c.Forget()
		for range 3 {
			news, err := c.Idle(testRefresh, testTimeout, IdleDelays{})
			if refused, ok := errors.AsType[*imap.Error](err); !ok || refused.Code != imap.ResponseCodeInUse || news.Ended {
				t.Fatalf("%v, news %+v", err, news)
			}
			if err := c.Do("NOOP", testTimeout); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestWhatAServerSaysUnaskedIsNews(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]News{
		"idle-overflow":   {Overflow: true},
		"idle-ends":       {Ended: true},
		"idle-ok":         {Ended: true},
		"idle-talks":      {},
		"vanished":        {Expunge: 3},
		"exists-up-down":  {Exists: 2, Expunge: 1},
		"exists-too-many": {Exists: 1},
		"done-bad":        {},
	} {
		synctest.Test(t, func(t *testing.T) {
			script := &imaptest.Script{}
			imaptest.Hostile[name](script)
			c, stop := pipe(t, script, DefaultLimits, nil)
			defer stop()
			f := follower{conn: c, next: 1}
			if err := f.login(); err != nil {
				t.Fatal(err)
			}
			c.Forget()
			news, err := c.Idle(testRefresh, testTimeout, IdleDelays{})
			if err != nil || news != want {
				t.Errorf("%s: %+v, %v, want %+v", name, news, err, want)
			}
			// News that may be mail does not go away by not looking.
			if again, err := c.Idle(0, testTimeout, IdleDelays{}); err != nil || again.Mail() != want.Mail() {
				t.Errorf("%s again: %+v, %v", name, again, err)
			}
		})
	}
}

func TestSTATUSInALoanIsAnAnswerOnlyToALoanThatAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}}
		script.At = func(talk *imaptest.Talk, moment string) {
			if moment == "within UID SEARCH" {
				talk.Say("* STATUS other (MESSAGES 5 UIDNEXT 6)\r\n* 1 FETCH (FLAGS (\\Seen))\r\n")
			}
		}
		c, stop := pipe(t, script, DefaultLimits, nil)
		defer stop()
		f := follower{conn: c, next: 1}
		if err := f.login(); err != nil {
			t.Fatal(err)
		}
		if err := f.look(); err != nil {
			t.Fatal(err)
		}
		if got, want := c.News(), (News{Status: 1, Flags: 1}); got != want {
			t.Errorf("SEARCH: news %+v, want %+v", got, want)
		}
		c.Forget()
		if got, want := c.News(), (News{Status: 1}); got != want {
			t.Errorf("of other folders it is forgotten with them: %+v", got)
		}
		c.ForgetOthers(false)
		err := c.WithClient(testTimeout, func(client *imapclient.Client) error {
			data, err := client.Status("INBOX", &imap.StatusOptions{UIDNext: true}).Wait()
			if err == nil && data.UIDNext != 2 {
				t.Errorf("UIDNEXT %d", data.UIDNext)
			}
			_, err2 := client.List("", "*", &imap.ListOptions{ReturnStatus: &imap.StatusOptions{UIDNext: true}}).Collect()
			return errors.Join(err, err2)
		})
		if err != nil || c.News() != (News{}) {
			t.Errorf("STATUS: %v, news %+v", err, c.News())
		}
	})
}
