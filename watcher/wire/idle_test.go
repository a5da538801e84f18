package wire

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/watcher/imaptest"
)

func TestIdle(t *testing.T) {
	t.Parallel()
	t.Run("a server whose heartbeat stops is checked early", missedHeartbeat)
	t.Run("when a heartbeat is missed does not depend on the wall clock", missedByMonotonicClock)
	t.Run("flags end IDLE a little later if they are wanted", flagsEndIdle)
	t.Run("the refresh never drifts", refreshNeverDrifts)
	t.Run("after NO to IDLE the connection works", refusedIdle)
	t.Run("another goroutine can end IDLE", endedFromElsewhere)
	t.Run("news is unasked only in the midst of an IDLE", unaskedNews)
	t.Run("news that came behind the beginning ends it at once", newsBehindPlus)
}

// beating sends "Still here" every two minutes, the given number of times, and then nothing.
func beating(times int) *imaptest.Script {
	return &imaptest.Script{Beat: imaptest.Beat{Every: 2 * time.Minute, Do: func(talk *imaptest.Talk, n int) {
		if n < times {
			talk.Say("* OK Still here\r\n")
		}
	}}}
}

func missedHeartbeat(t *testing.T) {
	t.Parallel()
	for times, want := range map[int]time.Duration{
		0: 28 * time.Minute, 2: 28 * time.Minute, // too few to know
		4: 8*time.Minute + 4*time.Minute, 20: 28 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			c, stop := pipe(t, beating(times), DefaultLimits, nil)
			defer stop()
			f := follower{conn: c, next: 1}
			if err := f.login(); err != nil {
				t.Fatal(err)
			}
			if err := f.look(); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if news, err := c.Idle(28*time.Minute, testTimeout, IdleOptions{}); err != nil || news.Mail() {
				t.Errorf("%+v, %v", news, err)
			}
			if waited := time.Since(began); waited != want {
				t.Errorf("after %d heartbeats DONE came after %v, want %v", times, waited, want)
			}
		})
	}
}

func flagsEndIdle(t *testing.T) {
	t.Parallel()
	for delays, want := range map[time.Duration]time.Duration{0: 9 * time.Minute, 2 * time.Second: time.Minute + 2*time.Second} {
		synctest.Test(t, func(t *testing.T) {
			script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}, Beat: imaptest.Beat{Every: time.Minute, Do: func(talk *imaptest.Talk, _ int) {
				talk.Say("* 1 FETCH (FLAGS (\\Seen))\r\n")
			}}}
			c, stop := pipe(t, script, DefaultLimits, nil)
			defer stop()
			f := follower{conn: c, next: 2}
			if err := f.login(); err != nil {
				t.Fatal(err)
			}
			if err := f.look(); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			news, err := c.Idle(9*time.Minute, testTimeout, IdleOptions{Flags: delays})
			if err != nil || news.Flags == 0 || news.Mail() {
				t.Errorf("%+v, %v", news, err)
			}
			if waited := time.Since(began); waited != want {
				t.Errorf("gathering %v, it ended after %v, want %v", delays, waited, want)
			}
		})
	}
}

// missedByMonotonicClock runs in no bubble, where times have no monotonic reading.
func missedByMonotonicClock(t *testing.T) {
	t.Parallel()
	c, stop := pipe(t, &imaptest.Script{}, DefaultLimits, nil)
	defer stop()
	if err := c.Do("NOOP", time.Minute); err != nil {
		t.Fatal(err)
	}
	c.ExpectHeartbeat(time.Minute)
	if at := c.beat.missed(c.LastByte()); at == at.Round(0) {
		t.Errorf("it is missed at %v by the wall clock alone", at)
	}
}

func refreshNeverDrifts(t *testing.T) {
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

func refusedIdle(t *testing.T) {
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
			news, err := c.Idle(testRefresh, testTimeout, IdleOptions{})
			if refused, ok := errors.AsType[*imap.Error](err); !ok || refused.Code != imap.ResponseCodeInUse || news.Ended {
				t.Fatalf("%v, news %+v", err, news)
			}
			if err := c.Do("NOOP", testTimeout); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func endedFromElsewhere(t *testing.T) {
	t.Parallel()
	const called = time.Minute
	for name, c := range map[string]struct {
		at   time.Duration // from the call on
		want time.Duration
	}{"at once": {0, called}, "later": {time.Minute, called + time.Minute}, "in the past": {-time.Hour, called}, "after the refresh": {time.Hour, testRefresh}} {
		synctest.Test(t, func(t *testing.T) {
			conn, stop := pipe(t, &imaptest.Script{}, DefaultLimits, nil)
			defer stop()
			f := follower{conn: conn, next: 1}
			if err := f.login(); err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(called, func() { conn.EndIdle(time.Now().Add(c.at)) })
			defer timer.Stop()
			for _, want := range []time.Duration{c.want, testRefresh} { // it ends no second one
				conn.Forget()
				began := time.Now()
				if news, err := conn.Idle(testRefresh, testTimeout, IdleOptions{}); err != nil || news != (News{}) {
					t.Errorf("%s: %+v, %v", name, news, err)
				}
				if waited := time.Since(began); waited != want {
					t.Errorf("%s: it ended after %v, want %v", name, waited, want)
				}
			}
			// Asked for between two, it ends the next.
			conn.EndIdle(time.Now())
			began := time.Now()
			if _, err := conn.Idle(testRefresh, testTimeout, IdleOptions{}); err != nil || time.Since(began) > 0 {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
		})
	}
}

func unaskedNews(t *testing.T) {
	t.Parallel()
	exists := func(talk *imaptest.Talk) { talk.Say("* 1 EXISTS\r\n") }
	for name, c := range map[string]struct {
		script *imaptest.Script
		want   bool
	}{
		"before +": {&imaptest.Script{At: func(talk *imaptest.Talk, moment string) {
			if moment == "before IDLE" {
				exists(talk)
			}
		}}, false},
		"in IDLE": {&imaptest.Script{Beat: imaptest.Beat{Every: time.Minute, Do: func(talk *imaptest.Talk, _ int) { exists(talk) }}}, true},
		"at DONE": {&imaptest.Script{At: func(talk *imaptest.Talk, moment string) {
			if moment == "within DONE" {
				exists(talk)
			}
		}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, stop := pipe(t, c.script, DefaultLimits, nil)
				defer stop()
				f := follower{conn: conn, next: 1}
				if err := f.login(); err != nil {
					t.Fatal(err)
				}
				if err := f.look(); err != nil {
					t.Fatal(err)
				}
				if news, err := conn.Idle(9*time.Minute, testTimeout, IdleOptions{}); err != nil || news.Exists != 1 || news.Unasked != c.want {
					t.Errorf("%+v, %v; want unasked: %v", news, err, c.want)
				}
				conn.Forget()
				if news := conn.News(); news != (News{}) {
					t.Errorf("after Forget there is still %+v", news)
				}
			})
		})
	}
}

// batched sends what was written when it reads.
type batched struct {
	net.Conn
	out []byte
}

func (b *batched) Write(p []byte) (int, error) {
	b.out = append(b.out, p...)
	return len(p), nil
}

func (b *batched) Read(p []byte) (int, error) {
	if len(b.out) > 0 {
		b.Conn.Write(b.out)
		b.out = nil
	}
	return b.Conn.Read(p)
}

func newsBehindPlus(t *testing.T) {
	t.Parallel()
	for _, security := range []Security{None, TLS} {
		for _, before := range []int{0, 20, 100} { // news that does not end IDLE
			t.Run(fmt.Sprintf("%s, behind %d others", security, before), func(t *testing.T) {
				t.Parallel()
				awaitBehindPlus(t, security, before)
			})
		}
	}
}

func awaitBehindPlus(t *testing.T, security Security, before int) {
	certificate := testCertificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveEach(t, l, func(raw net.Conn) {
		conn := net.Conn(&batched{Conn: raw})
		if security == TLS {
			conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
		}
		defer conn.Close()
		lines := bufio.NewReader(conn)
		begins := slices.Concat([]string{"+ idling\r\n"}, slices.Repeat([]string{"* 1 FETCH (FLAGS (\\Seen))\r\n"}, before), []string{"* 1 EXISTS\r\n"})
		for _, say := range [][]string{{"* PREAUTH [CAPABILITY IMAP4rev1 IDLE] hello\r\n"}, begins, {"I1 OK done\r\n"}} {
			for _, line := range say {
				io.WriteString(conn, line)
			}
			lines.ReadString('\n')
		}
	})
	at := l.Addr().(*net.TCPAddr)
	c, err := Dial(t.Context(), Endpoint{Host: "127.0.0.1", Port: at.Port, Security: security, TLS: trusted(certificate)}, DefaultLimits, realTimeout(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.poll == nil {
		t.Fatal("it does not wait at a socket")
	}
	began, refresh := time.Now(), realTimeout(t)/2
	if news, err := c.Idle(refresh, realTimeout(t), IdleOptions{}); err != nil || news.Exists != 1 || time.Since(began) >= refresh {
		t.Errorf("%+v, %v after %v", news, err, time.Since(began))
	}
}
