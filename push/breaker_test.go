package push

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"idlepush"
	"idlepush/registry"
)

var dawn = time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)

func retry() registry.Outcome {
	return registry.Outcome{Result: registry.ResultRetry, Reason: idlepush.Reason{Code: "outage"}}
}
func complaint() registry.Outcome {
	return registry.Outcome{Result: registry.ResultRetry, Suspect: true, Reason: idlepush.Reason{Code: "bad_address"}}
}
func ourFault() registry.Outcome {
	return registry.Outcome{Result: registry.ResultMisconfigured, Reason: idlepush.Reason{Code: "bad_key"}}
}
func gone() registry.Outcome {
	return registry.Outcome{Result: registry.ResultGone, Reason: idlepush.Reason{Code: "gone"}}
}
func refused() registry.Outcome {
	return registry.Outcome{Result: registry.ResultRefused, Reason: idlepush.Reason{Code: "too_large"}}
}
func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }
func device(n int) string         { return fmt.Sprint("device ", n) }

func TestDoubled(t *testing.T) {
	for _, c := range []struct {
		first, most time.Duration
		n           int
		want        time.Duration
	}{
		{minRetryWait, maxRetryWait, 0, 2 * time.Second},
		{minRetryWait, maxRetryWait, 1, 4 * time.Second},
		{minRetryWait, maxRetryWait, 4, 32 * time.Second},
		{minRetryWait, maxRetryWait, 5, time.Minute},
		{minRetryWait, maxRetryWait, math.MaxInt, time.Minute},
		{minProbeWait, maxProbeWait, 3, 40 * time.Second},
		{minProbeWait, maxProbeWait, 4, time.Minute},
		{storeRetry, maxIdle, 100, time.Minute},
	} {
		if got := doubled(c.first, c.most, c.n); got != c.want {
			t.Errorf("%v doubled %d times, at most %v: %v, want %v", c.first, c.n, c.most, got, c.want)
		}
	}
}

// tried returns the work of a device after some tries. The device was suspect for the given time,
// or not if that is 0.
func tried(attempts int, suspect time.Duration) registry.Work {
	w := registry.Work{Attempts: attempts, Notification: idlepush.Notification{Expires: dawn.Add(72 * time.Hour)}}
	if suspect > 0 {
		w.Device.Status = idlepush.Status{State: idlepush.StateSuspect, Since: dawn.Add(-suspect)}
	}
	return w
}

func expiring(w registry.Work, left time.Duration) registry.Work {
	w.Notification.Expires = dawn.Add(left)
	return w
}

func TestScheduled(t *testing.T) {
	t.Run("waits are within their bounds", scheduledBounds)
	t.Run("a time that the service gave is respected", scheduledAfter)
	t.Run("only a retry has a time", scheduledRetry)
}

func scheduledBounds(t *testing.T) {
	for _, c := range []struct {
		name        string
		o           registry.Outcome
		w           registry.Work
		least, most time.Duration
	}{
		{"first outage", retry(), tried(0, 0), 0, 2 * time.Second},
		{"second outage", retry(), tried(1, 0), 0, 4 * time.Second},
		{"long outage", retry(), tried(1000, 0), 0, time.Minute},
		{"first complaint", complaint(), tried(1000, 0), 30 * time.Second, time.Minute},
		{"suspect for an hour", complaint(), tried(3, time.Hour), 15 * time.Minute, 30 * time.Minute},
		{"suspect for six hours", complaint(), tried(3, 6*time.Hour), 90 * time.Minute, 3 * time.Hour},
		{"suspect for weeks", complaint(), tried(3, 1000*time.Hour), 6 * time.Hour, 12 * time.Hour},
		{"suspect for weeks, with eight hours left", complaint(), expiring(tried(3, 1000*time.Hour), 8*time.Hour), 2 * time.Hour, 4 * time.Hour},
		{"suspect for weeks, with a minute left", complaint(), expiring(tried(3, 1000*time.Hour), time.Minute), 30 * time.Second, time.Minute},
		{"outage of a suspect", retry(), tried(3, 1000*time.Hour), 6 * time.Hour, 12 * time.Hour},
	} {
		shortest, longest := c.most, time.Duration(0)
		for range 200 {
			wait := scheduled(c.o, c.w, dawn).At.Sub(dawn)
			shortest, longest = min(shortest, wait), max(longest, wait)
		}
		if shortest < c.least || longest > c.most {
			t.Errorf("%s: waits of %v to %v, want %v to %v", c.name, shortest, longest, c.least, c.most)
		}
		if longest-shortest < (c.most-c.least)/2 {
			t.Errorf("%s: waits of %v to %v are hardly spread", c.name, shortest, longest)
		}
	}
}

func scheduledAfter(t *testing.T) {
	for attempts := range 15 {
		o := retry()
		o.At = dawn.Add(time.Hour)
		if got := scheduled(o, tried(attempts, 0), dawn); !got.At.Equal(o.At) {
			t.Errorf("after %d tries it is tried at %v, the service asked for %v", attempts, got.At, o.At)
		}
		o.At = dawn.Add(-time.Hour)
		if got := scheduled(o, tried(attempts, 0), dawn); !got.At.After(dawn) {
			t.Errorf("after %d tries it is tried at once, for the service asked for a time that is past", attempts)
		}
	}
}

func scheduledRetry(t *testing.T) {
	for _, o := range []registry.Outcome{accepted, gone(), refused(), ourFault()} {
		if got := scheduled(o, tried(3, 0), dawn); !reflect.DeepEqual(got, o) {
			t.Errorf("%s became %+v", o.Result, got)
		}
	}
}

// lane is a breaker, and the pause of the lane as the store keeps it.
type lane struct {
	breaker
	since, until time.Time // zero: the lane is not paused
}

func (l lane) paused() bool { return !l.since.IsZero() }

// after returns the lane after an answer at now. During a pause, the answer is that of a push that
// was in flight when the pause began.
func (l lane) after(device string, answer registry.Outcome, now time.Time) lane {
	late := now.Before(l.until)
	b, o := l.judge(device, l.paused() && !late, answer, now)
	l.breaker = b
	switch {
	case o.LaneWorks:
		l.since, l.until = time.Time{}, time.Time{}
	case o.PauseFor > 0 && !late:
		if l.until = now.Add(o.PauseFor); l.since.IsZero() {
			l.since = now
		}
	}
	return l
}

// fail returns the lane after the outcome from n devices, one after the other, at now.
func fail(b lane, n int, o registry.Outcome, now time.Time) lane {
	for i := range n {
		b = b.after(device(i), o, now)
	}
	return b
}

func TestBreaker(t *testing.T) {
	t.Run("the fifth failure in a row pauses the lane", breakerFailures)
	t.Run("one dead device does not pause its lane", breakerDeadDevice)
	t.Run("devices that fail while others are answered are no outage", breakerAlone)
	t.Run("a pause grows with each failed probe", breakerGrows)
	t.Run("a misconfiguration pauses the lane at once, for exactly 15 minutes", breakerMisconfigured)
	t.Run("any answer about a device or a message proves the lane", breakerProved)
	t.Run("a message that was not sent proves nothing", breakerNotSent)
	t.Run("a device that alone is rejected pauses its lane once", breakerOdd)
	t.Run("each answer has its effect on the lane", breakerTable)
}

func breakerFailures(t *testing.T) {
	b := fail(lane{}, breakAfter-1, retry(), dawn)
	if b.paused() {
		t.Error("paused too early")
	}
	if after := b.after("another", accepted, dawn).after("x", retry(), dawn); after.paused() {
		t.Error("failures before a success count")
	}
	b = b.after("another", retry(), dawn)
	if wait := b.until.Sub(dawn); !b.paused() || wait < minProbeWait/2 || wait > minProbeWait || !b.since.Equal(dawn) {
		t.Errorf("after %d failures %+v", breakAfter, b)
	}
}

func breakerDeadDevice(t *testing.T) {
	var b lane
	for i := range 100 {
		if b = b.after("dead", retry(), dawn.Add(minutes(i))); b.paused() {
			t.Fatalf("paused after %d failures of one device", i+1)
		}
	}
}

// They count as failing alone until they are answered themselves, or until no answer to others came
// for aloneFor.
func breakerAlone(t *testing.T) {
	b := fail(lane{}, breakAfter, retry(), dawn).after("well", accepted, dawn)
	for i := range 100 {
		now := dawn.Add(minutes(i) / 2)
		if b = fail(b, breakAfter, retry(), now); b.paused() {
			t.Fatalf("paused after %v", now.Sub(dawn))
		}
		if i%10 == 0 {
			b = b.after("well", accepted, now)
		}
	}
	if got := fail(b, breakAfter, retry(), b.answered.Add(aloneFor)); !got.paused() {
		t.Error("an outage is not seen although nothing is answered")
	}
	if got := fail(b, breakAfter-1, accepted, dawn); fail(got, breakAfter, retry(), dawn).paused() {
		t.Error("only five of five were not answered, and one was before")
	}
	if b = fail(b, breakAfter, accepted, dawn); b != (lane{}) {
		t.Errorf("all are answered: %+v", b)
	}
	if b = fail(b, breakAfter, retry(), dawn); !b.paused() {
		t.Error("the next outage is not seen")
	}
}

// It does not grow with the outcomes of sends that were in flight when it began.
func breakerGrows(t *testing.T) {
	now := dawn
	b := fail(lane{}, breakAfter, retry(), now)
	if got := fail(b, Concurrency, retry(), now.Add(time.Second)); got != b {
		t.Errorf("what was on its way changed %+v to %+v", b, got)
	}
	if got := fail(b, Concurrency, ourFault(), now.Add(time.Second)); got != b {
		t.Errorf("what was on its way changed %+v to %+v", b, got)
	}
	for n := 1; n < 10; n++ {
		now = b.until
		b = b.after("probe", retry(), now)
		most := doubled(minProbeWait, maxProbeWait, n)
		if wait := b.until.Sub(now); wait < most/2 || wait > most {
			t.Errorf("after probe %d: %v, want %v to %v", n, wait, most/2, most)
		}
	}
	if !b.since.Equal(dawn) {
		t.Errorf("paused since %v, want %v", b.since, dawn)
	}
}

func breakerMisconfigured(t *testing.T) {
	var b lane
	for n := range 3 {
		now := dawn.Add(time.Duration(n) * misconfiguredPause)
		b = b.after(device(n), ourFault(), now)
		if !b.until.Equal(now.Add(15*time.Minute)) || !b.since.Equal(dawn) {
			t.Errorf("probe %d: %+v", n, b)
		}
	}
	// The setting is corrected but the service is down: probed as in any outage.
	now := b.until
	if b = b.after("probe", retry(), now); !b.paused() || b.until.Sub(now) > minProbeWait {
		t.Errorf("mended, in outage: %+v", b)
	}
}

func breakerProved(t *testing.T) {
	for _, o := range []registry.Outcome{accepted, gone(), refused(), complaint()} {
		b := fail(lane{}, breakAfter, retry(), dawn)
		for _, now := range []time.Time{dawn.Add(time.Second), b.until} {
			got := b.after("probe", o, now)
			if got.paused() || got.out || got.failures != 0 {
				t.Errorf("%s, %v: %+v", o.Result, o.Suspect, got)
			}
		}
	}
}

func breakerNotSent(t *testing.T) {
	b := fail(lane{}, breakAfter, retry(), dawn)
	for _, o := range []registry.Outcome{refused(), complaint()} {
		if got := b.after("probe", NotSent(o), b.until); got != b {
			t.Errorf("%s: %+v", o.Result, got)
		}
	}
	if b = b.after("probe", NotSent(ourFault()), b.until); !b.paused() {
		t.Error("a server that cannot send is not found out")
	}
}

// A row is a send to a device and its outcome. Between two rows are 15 minutes.
func breakerOdd(t *testing.T) {
	type step struct {
		device  string
		answer  registry.Outcome
		paused  bool // the lane, after it
		suspect bool // the device: how the answer is read
	}
	for name, steps := range map[string][]step{
		"another's push is accepted": {
			{"a", ourFault(), true, false}, {"b", accepted, false, false}, {"a", ourFault(), false, true}, {"a", ourFault(), false, true},
		},
		"all find us at fault": {
			{"a", ourFault(), true, false}, {"b", ourFault(), true, false}, {"a", ourFault(), true, false},
		},
		"only one device": {
			{"a", ourFault(), true, false}, {"a", complaint(), false, true}, {"a", ourFault(), true, false},
		},
		"its own push is accepted": {
			{"a", ourFault(), true, false}, {"a", accepted, false, false}, {"b", accepted, false, false}, {"a", ourFault(), true, false},
		},
		"it is cleared by a push of its own": {
			{"a", ourFault(), true, false}, {"b", accepted, false, false}, {"a", ourFault(), false, true}, {"a", accepted, false, false},
			{"a", ourFault(), true, false},
		},
		"another that is gone proves the lane, not us": {
			{"a", ourFault(), true, false}, {"b", gone(), false, false}, {"a", ourFault(), true, false}, {"b", complaint(), false, true},
			{"b", accepted, false, false}, {"a", ourFault(), false, true},
		},
		"two of them": {
			{"a", ourFault(), true, false}, {"c", accepted, false, false}, {"aa", ourFault(), true, false}, {"c", accepted, false, false},
			{"a", ourFault(), false, true}, {"aa", ourFault(), false, true}, {"a", accepted, false, false}, {"aa", ourFault(), false, true},
		},
		"then all find us at fault": {
			{"a", ourFault(), true, false}, {"b", accepted, false, false}, {"b", ourFault(), true, false}, {"a", ourFault(), true, true},
			{"b", accepted, false, false},
		},
	} {
		var b lane
		for i, s := range steps {
			now := dawn.Add(time.Duration(i) * misconfiguredPause)
			_, read := b.judge(s.device, b.paused(), s.answer, now)
			if b = b.after(s.device, s.answer, now); b.paused() != s.paused || read.Suspect != s.suspect {
				t.Errorf("%s, step %d: paused %v, suspect %v: %+v", name, i, b.paused(), read.Suspect, b)
			}
			if s.suspect && (read.Result != registry.ResultRetry || !read.Reason.Equal(s.answer.Reason)) {
				t.Errorf("%s, step %d: read as %+v", name, i, read)
			}
		}
	}
}

// It is a table of after: the lane before, a device's answer at dawn, and the lane after it.
func breakerTable(t *testing.T) {
	denied := lane{breaker{out: true, blaming: "other"}, dawn.Add(-minutes(15)), dawn}
	out := lane{breaker{out: true, failures: 5, last: "other"}, dawn.Add(-minutes(5)), dawn}
	for _, c := range []struct {
		name   string
		before lane
		answer registry.Outcome
		paused time.Duration // the pause that begins, at most; 0: none does
		check  func(before, got lane) bool
	}{
		{"a first failure", lane{}, retry(), 0, func(_, got lane) bool { return got.failures == 1 && got.last == "a" && got.failing.has("a") }},
		{"the same again", lane{breaker: breaker{failures: 1, last: "a", failing: ",a,"}}, retry(), 0, unchanged},
		{"the same again between others", lane{breaker: breaker{failures: 2, last: "b", failing: ",a,,b,"}}, retry(), 0,
			func(_, got lane) bool { return got.failures == 3 && got.failing == ",a,,b," }},
		{"the fifth of others", lane{breaker: breaker{failures: 4, last: "b"}}, retry(), 5 * time.Second, pausedNow},
		{"an outage of a device that is odd", lane{breaker: breaker{failures: 4, last: "b", odd: ",a,"}}, retry(), 5 * time.Second, pausedNow},
		{"our fault with one that is odd", lane{breaker: breaker{failures: 4, last: "b", odd: ",a,"}}, ourFault(), 0, unchanged},
		{"our fault with another", lane{breaker: breaker{odd: ",b,"}}, ourFault(), 15 * time.Minute, pausedNow},
		{"an outage, alone so far", lane{breaker: breaker{failures: 4, last: "b", alone: ",a,", answered: dawn.Add(-24*time.Hour + 1)}}, retry(), 0, unchanged},
		{"an outage, alone too long ago", lane{breaker: breaker{failures: 4, last: "b", alone: ",a,", answered: dawn.Add(-24 * time.Hour)}}, retry(), 5 * time.Second,
			func(_, got lane) bool { return got.since.Equal(dawn) && !got.failing.has("a") }},
		{"an outage, alone by a clock that was ahead", lane{breaker: breaker{failures: 4, last: "b", alone: ",a,", answered: dawn.Add(time.Hour)}}, retry(), 5 * time.Second, pausedNow},
		{"an outage while another is alone", lane{breaker: breaker{failures: 4, last: "b", alone: ",c,", answered: dawn}}, retry(), 5 * time.Second, pausedNow},
		{"the probe after our fault meets an outage", denied, retry(), 5 * time.Second, pausedStill},
		{"and is the device that failed last", lane{breaker{out: true, last: "a"}, denied.since, dawn}, retry(), 5 * time.Second, pausedStill},
		{"and is alone", lane{breaker{out: true, alone: ",a,", answered: dawn}, denied.since, dawn}, retry(), 5 * time.Second, pausedStill},
		{"the probe after an outage", out, retry(), 10 * time.Second, pausedStill},
		{"the probe of the same device", lane{breaker{out: true, failures: 5, last: "a"}, out.since, dawn}, retry(), 10 * time.Second, pausedStill},
		{"the probe after an outage finds us at fault", out, ourFault(), 15 * time.Minute, pausedStill},
		{"what was on its way", lane{breaker{out: true, failures: 5}, dawn, dawn.Add(1)}, retry(), 0, unchanged},
		{"what was on its way, our fault", lane{breaker{out: true, failures: 5}, dawn, dawn.Add(1)}, ourFault(), 0, unchanged},
		{"the probe of what an earlier run has paused", lane{since: out.since, until: dawn}, retry(), 5 * time.Second,
			func(before, got lane) bool { return got.out && pausedStill(before, got) }},
		{"accepted", lane{breaker: breaker{failures: 3, last: "b", failing: ",a,,b,,c,"}}, accepted, 0,
			func(_, got lane) bool { return got.breaker == breaker{alone: ",b,,c,", answered: dawn} }},
		{"accepted, the last that was alone", lane{breaker: breaker{alone: ",a,", answered: dawn.Add(-time.Hour)}}, accepted, 0, func(_, got lane) bool { return got.breaker == breaker{} }},
		{"gone while we are at fault with another", denied, gone(), 0, func(_, got lane) bool { return got.breaker == breaker{blaming: "other"} }},
	} {
		got := c.before.after("a", c.answer, dawn)
		if !c.check(c.before, got) {
			t.Errorf("%s: %+v became %+v", c.name, c.before, got)
		}
		if wait := got.until.Sub(dawn); c.paused > 0 && (wait < c.paused/2 || wait > c.paused) {
			t.Errorf("%s: paused for %v, want at most %v", c.name, wait, c.paused)
		}
	}
}

func unchanged(before, got lane) bool { return got == before }
func pausedNow(_, got lane) bool      { return got.since.Equal(dawn) }
func pausedStill(before, got lane) bool {
	return got.since.Equal(before.since) && got.until.After(dawn)
}
