package push

import (
	"context"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush/registry"
)

func TestPause(t *testing.T) {
	t.Parallel()
	t.Run("a success that the store refuses ends the pause once it is written", pauseEnds)
	t.Run("nothing is sent in a lane that is paused after its queue was found due", pauseBetween)
	t.Run("a pause that the store refused begins when it is written", pauseBegins)
	t.Run("a device whose queue cannot be read is not the only probe", pauseProbes)
}

func pauseProbes(t *testing.T) {
	t.Parallel()
	d := &Dispatcher{lanes: make(map[string]breaker)}
	unreadable := registry.Queue{Device: "unreadable", Lane: "fcm", Probe: true}
	queues := []registry.Queue{unreadable}
	for _, device := range []string{"a", "b", "c"} { // these failed, and paused the lane
		d.lanes["fcm"] = breaker{failing: d.lanes["fcm"].failing.with(device)}
		queues = append(queues, registry.Queue{Device: device, Lane: "fcm", Probe: true})
	}
	others := func() (count int) {
		for range 200 {
			if got := d.chooseProbes(slices.Clone(queues)); len(got) != 1 {
				t.Fatalf("%d probes", len(got))
			} else if got[0] != unreadable {
				count++
			}
		}
		return count
	}
	if n := others(); n > 0 {
		t.Errorf("%d probes go to devices that failed, though another did not", n)
	}
	d.doubt(unreadable)
	if others() == 0 {
		t.Error("no probe goes to another device")
	}
}

// Until then the lane is paused with everything in it, and nothing else is sent.
func pauseEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		crowd := h.crowd(10)
		var refuse atomic.Bool
		h.fails = func(int64) bool { return within("Outbox.Settle") && refuse.CompareAndSwap(true, false) }
		begin := time.Now()
		h.answers(func(context.Context, sent) registry.Outcome { return retry() })
		h.run()
		ids := h.mail(2)
		after(10 * time.Minute) // probed once a minute by now
		lane := h.lane("webpush " + origin)
		if wait := time.Until(lane.Until); !lane.Since.Equal(begin) || wait <= 0 || wait > maxProbeWait {
			t.Fatalf("the pause since %v goes on for %v, want a minute at most", lane.Since.Sub(begin), wait)
		}
		first := len(h.sends())
		refuse.Store(true)
		h.answers(slow(time.Second))
		after(lane.Until.Sub(h.clock.Now()) + time.Second)
		if refuse.Load() || !h.saidOf(errDisk) {
			t.Fatal("no success was refused, or the log does not say so")
		}
		if got := h.lane("webpush " + origin); !reflect.DeepEqual(got, lane) {
			t.Errorf("the pause became %+v, was %+v", got, lane)
		}
		after(storeRetry - 1)
		if n := len(h.sends()) - first; n != 1 {
			t.Errorf("%d sends before the success was written, want one probe", n)
		}
		after(1)
		if got := h.lane("webpush " + origin); got.Name != "" {
			t.Errorf("the lane is paused: %+v", got)
		}
		h.answers(nil)
		after(maxFaultWait)
		for _, d := range crowd {
			h.wantShown(ids, d, 1)
		}
	})
}

// A queue is due, and when it is read its lane is paused.
func pauseBetween(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone, other := h.phone("phone"), h.phone("other")
		ids := h.mail(1)
		settleOther := func(o registry.Outcome) {
			h.unfailing(func() {
				w, _, err := h.store.Outbox.Next(other.ID, h.clock.Now())
				if err != nil {
					t.Error(err)
				}
				if _, err := h.store.Outbox.Settle(w, o, h.clock.Now()); err != nil {
					t.Error(err)
				}
			})
		}
		settleOther(registry.Outcome{Result: registry.ResultRetry, At: h.clock.Now().Add(time.Hour)})
		var once atomic.Bool
		h.fails = func(int64) bool {
			if within("Outbox.Next") && once.CompareAndSwap(false, true) {
				settleOther(registry.Outcome{Result: registry.ResultRetry, PauseFor: time.Minute})
			}
			return false
		}
		h.run()
		after(time.Minute - 1)
		if n := len(h.sends()); n > 0 || !once.Load() {
			t.Errorf("%d sends in a paused lane, or it was not paused in time", n)
		}
		after(1)
		h.wantShown(ids, phone, 1)
		h.wantShown(ids, other, 1)
		if lane := h.lane("fcm"); lane.Name != "" {
			t.Errorf("the lane is paused: %+v", lane)
		}
	})
}

// It begins by the clock as it is then. Meanwhile nothing is sent to the device.
func pauseBegins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		d := h.browser("denied", origin)
		var failing atomic.Bool
		failing.Store(true)
		h.fails = func(int64) bool { return failing.Load() && within("Outbox.Settle") }
		h.answers(only(d, ourFault))
		h.run()
		ids := h.mail(1)
		after(time.Minute)
		if n := len(h.sends()); n != 1 || !h.saidOf(errDisk) {
			t.Fatalf("%d sends in a pause that the store refused", n)
		}
		h.clock.Move(-5 * time.Hour)
		h.answers(nil)
		after(maxIdle)
		failing.Store(false)
		after(maxIdle)
		lane := h.lane("webpush " + origin)
		if now := h.clock.Now(); !lane.Since.Before(now) || lane.Until.Sub(lane.Since) != faultPauses[0] {
			t.Errorf("at %v the lane is %+v", now, lane)
		}
		after(maxFaultWait)
		h.wantShown(ids, d, 1)
	})
}
