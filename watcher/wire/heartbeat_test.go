package wire

import (
	"testing"
	"testing/synctest"
	"time"

	"idlepush/watcher/imaptest"
)

// beating says "Still here" every two minutes, so many times, and then nothing more.
func beating(times int) *imaptest.Script {
	return &imaptest.Script{BeatEvery: 2 * time.Minute, Beat: func(talk *imaptest.Talk, n int) {
		if n < times {
			talk.Say("* OK Still here\r\n")
		}
	}}
}

func TestAServerWhoseHeartbeatStopsIsAskedEarly(t *testing.T) {
	t.Parallel()
	for times, want := range map[int]time.Duration{
		0: 28 * time.Minute, 2: 28 * time.Minute, // too few to know
		4: 8*time.Minute + 6*time.Minute, 20: 28 * time.Minute,
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
			if news, err := c.Idle(28*time.Minute, testTimeout, IdleDelays{}); err != nil || news.Mail() {
				t.Errorf("%+v, %v", news, err)
			}
			if waited := time.Since(began); waited != want {
				t.Errorf("after %d heartbeats DONE came after %v, want %v", times, waited, want)
			}
		})
	}
}

func TestFlagsEndIDLEALittleLaterWhereTheyAreWanted(t *testing.T) {
	t.Parallel()
	for delays, want := range map[time.Duration]time.Duration{0: 9 * time.Minute, 2 * time.Second: time.Minute + 2*time.Second} {
		synctest.Test(t, func(t *testing.T) {
			script := &imaptest.Script{Messages: []imaptest.Message{{UID: 1}}, BeatEvery: time.Minute, Beat: func(talk *imaptest.Talk, _ int) {
				talk.Say("* 1 FETCH (FLAGS (\\Seen))\r\n")
			}}
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
			news, err := c.Idle(9*time.Minute, testTimeout, IdleDelays{Flags: delays})
			if err != nil || news.Flags == 0 || news.Mail() {
				t.Errorf("%+v, %v", news, err)
			}
			if waited := time.Since(began); waited != want {
				t.Errorf("gathering %v, it ended after %v, want %v", delays, waited, want)
			}
		})
	}
}
