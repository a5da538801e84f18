package push

import (
	"fmt"
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

// device returns the name of a device of ann, and userOf the user of any.
func device(n int) string         { return fmt.Sprint("a", n) }
func userOf(device string) string { return device[:1] }

// lane is a breaker, and what the store knows of its lane. The zero lane works, and none of its
// devices is proven.
type lane struct {
	breaker
	since, until time.Time // zero: the lane is not paused
	accused      string
	refused      int
	proven       idSet
	suspect      idSet
	others       int // users who have work in the lane too
}

// laneOf returns the lane of proven devices.
func laneOf(list ...string) (l lane) {
	for _, d := range list {
		l.proven = l.proven.with(d)
	}
	return l
}

// crowded is a lane with many devices of ann.
func crowded() (l lane) {
	for i := range Concurrency {
		l.proven = l.proven.with(device(i))
	}
	return l
}

func (l lane) paused() bool { return !l.until.IsZero() }

func (l lane) row() registry.Lane {
	if !l.paused() && l.accused == "" {
		return registry.Lane{}
	}
	return registry.Lane{Name: "lane", Since: l.since, Until: l.until, Accused: l.accused, Refused: l.refused}
}

// evidence returns what the store would about an answer to the device.
func (l lane) evidence(device string) registry.Evidence {
	var users idSet
	for _, d := range l.proven.list() {
		users = users.with(userOf(d))
	}
	ev := registry.Evidence{Lane: l.row(), IsProven: l.proven.has(device), Proven: l.proven.len(), Users: users.len()}
	if ev.Proven == 0 {
		ev.Users = 1 + l.others
	}
	ev.Users = max(ev.Users, min(2, 1+l.others))
	ev.Lane.Accused = ""
	if l.accused != "" && l.proven.has(l.accused) {
		ev.Lane.Accused, ev.AccusedUser = l.accused, userOf(l.accused)
	}
	return ev
}

// work returns the work of the device after some tries. During a pause, it was taken before that.
func (l lane) work(device string, tries int, now time.Time) registry.Work {
	w := registry.Work{Attempts: tries, Notification: idlepush.Notification{Expires: dawn.Add(72 * time.Hour)}}
	w.Device = idlepush.Device{ID: device, User: userOf(device), Status: idlepush.Status{State: idlepush.StateUnproven}}
	switch {
	case l.suspect.has(device):
		w.Device.Status = idlepush.Status{State: idlepush.StateSuspect, Since: now}
	case l.proven.has(device):
		w.Device.Status.State = idlepush.StateProven
	}
	if !now.Before(l.until) {
		w.Pause = l.row()
	}
	return w
}

// after returns the lane after an answer at now.
func (l lane) after(device string, answer registry.Outcome, now time.Time) lane {
	l, _ = l.settled(device, answer, 0, now)
	return l
}

// settled returns the lane after an answer at now, as the store settles it, and the outcome.
func (l lane) settled(device string, answer registry.Outcome, tries int, now time.Time) (lane, registry.Outcome) {
	w, late := l.work(device, tries, now), now.Before(l.until)
	b, o := l.judge(w, l.evidence(device), answer, now)
	l.breaker = b
	switch {
	case o.LaneWorks && l.paused(), o.Result == registry.ResultDelivered && l.accused != "":
		if o.Result == registry.ResultDelivered && l.accused != device && !l.paused() {
			l.suspect, l.proven = l.suspect.with(l.accused), l.proven.without(l.accused)
		}
		l.since, l.until, l.accused, l.refused = time.Time{}, time.Time{}, "", 0
	case o.Accuses && o.PauseFor == 0:
		l.accused = device
	case o.PauseFor > 0 && !late:
		if !l.paused() {
			l.since = now
		}
		l.until, l.accused = now.Add(o.PauseFor), ""
		if l.refused++; !o.Accuses {
			l.refused = 0
		}
	}
	switch {
	case o.Suspect:
		l.suspect, l.proven = l.suspect.with(device), l.proven.without(device)
	case o.Result == registry.ResultDelivered:
		l.suspect, l.proven = l.suspect.without(device), l.proven.with(device)
	case o.Result == registry.ResultGone:
		l.suspect, l.proven = l.suspect.without(device), l.proven.without(device)
	}
	return l, o
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
	t.Run("a probe that fails after its lane works again pauses nothing", breakerLateProbe)
	t.Run("one dead device does not pause its lane", breakerDeadDevice)
	t.Run("devices that fail while others are answered are no outage", breakerAlone)
	t.Run("a pause grows with each failed probe", breakerGrows)
	t.Run("a fault of ours that two devices tell of pauses the lane for 1, 5, then 15 minutes", breakerMisconfigured)
	t.Run("a device whose service finds us at fault waits 1 to 15 minutes alone", breakerWaits)
	t.Run("any answer about a device or a message proves the lane", breakerProved)
	t.Run("a message that was not sent proves nothing", breakerNotSent)
	t.Run("each answer has its effect on the lane", breakerTable)
	t.Run("each answer has its effect on what the breaker remembers", breakerMemory)
	t.Run("the probe is the one that says most", breakerDoubts)
}

func breakerFailures(t *testing.T) {
	b := fail(crowded(), breakAfter-1, retry(), dawn)
	if b.paused() {
		t.Error("paused too early")
	}
	if after := b.after("a90", accepted, dawn).after("a91", retry(), dawn); after.paused() {
		t.Error("failures before a success count")
	}
	b = b.after("a90", retry(), dawn)
	if wait := b.until.Sub(dawn); !b.paused() || wait < minProbeWait/2 || wait > minProbeWait || !b.since.Equal(dawn) {
		t.Errorf("after %d failures %+v", breakAfter, b)
	}
}

// In a lane that works again, a probe that fails late is a failure like any other.
func breakerLateProbe(t *testing.T) {
	b := fail(crowded(), breakAfter, retry(), dawn)
	w := b.work("a90", 0, b.until)
	b = b.after("a91", accepted, b.until)
	got, o := b.judge(w, b.evidence("a90"), retry(), b.until)
	if o.PauseFor != 0 || got.failures != 1 {
		t.Errorf("it pauses the lane for %v, and the breaker is %+v", o.PauseFor, got)
	}
}

func breakerDeadDevice(t *testing.T) {
	b := crowded()
	for i := range 100 {
		if b = b.after("a1", retry(), dawn.Add(minutes(i))); b.paused() {
			t.Fatalf("paused after %d failures of one device", i+1)
		}
	}
}

// They count as failing alone until they are answered themselves, or until no answer to others came
// for aloneFor.
func breakerAlone(t *testing.T) {
	b := fail(crowded(), breakAfter, retry(), dawn).after("a90", accepted, dawn)
	for i := range 100 {
		now := dawn.Add(minutes(i) / 2)
		if b = fail(b, breakAfter, retry(), now); b.paused() {
			t.Fatalf("paused after %v", now.Sub(dawn))
		}
		if i%10 == 0 {
			b = b.after("a90", accepted, now)
		}
	}
	if got := fail(b, breakAfter, retry(), b.answered.Add(aloneFor)); !got.paused() {
		t.Error("an outage is not seen although nothing is answered")
	}
	if got := fail(b, breakAfter-1, accepted, dawn); fail(got, breakAfter, retry(), dawn).paused() {
		t.Error("only five of five were not answered, and one was before")
	}
	if b = fail(b, breakAfter, accepted, dawn); b.breaker != (breaker{}) {
		t.Errorf("all are answered: %+v", b)
	}
	if b = fail(b, breakAfter, retry(), dawn); !b.paused() {
		t.Error("the next outage is not seen")
	}
}

// It does not grow with the outcomes of sends that were in flight when it began.
func breakerGrows(t *testing.T) {
	now := dawn
	b := fail(crowded(), breakAfter, retry(), now)
	if got := fail(b, Concurrency, retry(), now.Add(time.Second)); got != b {
		t.Errorf("what was on its way changed %+v to %+v", b, got)
	}
	if got := fail(b, Concurrency, ourFault(), now.Add(time.Second)); got != b {
		t.Errorf("what was on its way changed %+v to %+v", b, got)
	}
	for n := 1; n < 10; n++ {
		now = b.until
		b = b.after("a90", retry(), now)
		most := doubled(minProbeWait, maxProbeWait, n)
		if wait := b.until.Sub(now); wait < most/2 || wait > most {
			t.Errorf("after probe %d: %v, want %v to %v", n, wait, most/2, most)
		}
	}
	if !b.since.Equal(dawn) {
		t.Errorf("paused since %v, want %v", b.since, dawn)
	}
}

// Each time another device is asked before the lane pauses.
func breakerMisconfigured(t *testing.T) {
	now, b := dawn, laneOf("a1", "b1")
	for n, want := range []int{1, 5, 15, 15} {
		was := b.until
		if b = b.after("a1", ourFault(), now); b.accused != "a1" || !b.until.Equal(was) {
			t.Errorf("round %d, one complaint: %+v", n, b)
		}
		b = b.after("b1", ourFault(), now)
		if !b.until.Equal(now.Add(minutes(want))) || !b.since.Equal(dawn) {
			t.Errorf("round %d: %+v", n, b)
		}
		now = b.until
	}
	// The setting is corrected but the service is down: probed as in any outage.
	b = b.after("a1", retry(), now).after("b1", retry(), now)
	if !b.paused() || b.until.Sub(now) > minProbeWait {
		t.Errorf("mended, in outage: %+v", b)
	}
}

func breakerWaits(t *testing.T) {
	for _, l := range []lane{laneOf("a1", "b1"), laneOf("b1"), {}} {
		for tries, want := range []int{1, 2, 4, 8, 15, 15} {
			_, o := l.settled("a1", ourFault(), tries, dawn)
			if got := o.At.Sub(dawn); got != minutes(want) || o.PauseFor != 0 {
				t.Errorf("after %d tries it waits %v, want %d min: %+v", tries, got, want, o)
			}
		}
	}
	paused := laneOf("a1", "b1").after("a1", ourFault(), dawn).after("b1", ourFault(), dawn)
	if _, o := paused.settled("a1", ourFault(), 0, dawn.Add(1)); !o.At.IsZero() || o.PauseFor != 0 || o.Accuses {
		t.Errorf("in flight when the pause began: %+v", o)
	}
}

func breakerProved(t *testing.T) {
	for _, o := range []registry.Outcome{accepted, gone(), refused(), complaint()} {
		b := fail(crowded(), breakAfter, retry(), dawn)
		for _, now := range []time.Time{dawn.Add(time.Second), b.until} {
			got := b.after("a90", o, now)
			if got.paused() || got.failures != 0 {
				t.Errorf("%s, %v: %+v", o.Result, o.Suspect, got)
			}
		}
	}
}

func breakerNotSent(t *testing.T) {
	b := fail(crowded(), breakAfter, retry(), dawn)
	for _, o := range []registry.Outcome{refused(), complaint()} {
		if got := b.after("a90", NotSent(o), b.until); got.breaker != b.breaker || !got.until.Equal(b.until) {
			t.Errorf("%s: %+v", o.Result, got)
		}
	}
	if b = laneOf("a1").after("a1", NotSent(ourFault()), dawn); !b.paused() {
		t.Error("a server that cannot send is not found out")
	}
}
