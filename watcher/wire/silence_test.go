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

	"idlepush/watcher/imaptest"
)

func TestSilence(t *testing.T) {
	t.Parallel()
	t.Run("a server that falls silent is given up exactly on time", silentServer)
	t.Run("a server that sends byte by byte is given up exactly on time", drippingServer)
	t.Run("after BYE no method waits long", byeEndsWaits)
	t.Run("cancelling ends every wait at once and leaves no goroutine", cancelEndsWaits)
	t.Run("a closed connection is not kept by its context", closeReleasesContext)
}

// watched counts the functions that wait for its end.
type watched struct {
	context.Context
	mu      sync.Mutex
	waiting int
}

// Done is not that of the inner context, or the context package would not call AfterFunc.
func (w *watched) Done() <-chan struct{} { return make(chan struct{}) }

func (w *watched) AfterFunc(func()) func() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting++
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.waiting--
		return true
	}
}

func closeReleasesContext(t *testing.T) {
	t.Parallel()
	ctx := &watched{Context: context.Background()}
	client, server := net.Pipe()
	c := New(ctx, client, DefaultLimits)
	if ctx.waiting != 1 {
		t.Fatalf("%d wait for the context", ctx.waiting)
	}
	c.Close()
	if ctx.waiting != 0 {
		t.Errorf("%d still wait for the context", ctx.waiting)
	}
	if _, err := server.Write([]byte("x")); err == nil {
		t.Error("the connection is open")
	}
	for name, err := range map[string]error{
		"greet": c.Greet(testTimeout), "do": c.Do("NOOP", testTimeout), "run": c.Run(testTimeout, Examine("INBOX", new(imap.SelectData))),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.Close()
}

func silentServer(t *testing.T) {
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

// The answer that explains a BYE may follow it, so Run reads on for a moment; IDLE does not.
func byeEndsWaits(t *testing.T) {
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
func drippingServer(t *testing.T) {
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

func cancelEndsWaits(t *testing.T) {
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
				because := errors.New("cancelled by the test")
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
