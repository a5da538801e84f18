package push

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/registry/registrytest"
)

func TestFault(t *testing.T) {
	t.Parallel()
	t.Run("a proven device whose service refuses us delays nobody, and is suspect", faultDenied)
	t.Run("a device is suspect over restarts, until its push is accepted", faultRestart)
	t.Run("one person's devices whose service refuses us delay nobody", faultOfOne)
	t.Run("one person's devices that fail delay nobody", faultOutage)
	t.Run("a person whose devices lie does not prolong the pause of a lane that works again", faultLiar)
	t.Run("a person whose devices are the only proven ones delays nobody", faultOnlyProven)
	t.Run("with no proven device, each waits alone for 1 to 15 minutes", faultUnproven)
}

// member adds a user with an account that the next mail is for, and returns its first device: in
// the lane of origin, and proven.
func (h *harness) member(name string) idlepush.Device {
	h.Helper()
	u, err := h.store.Users.Add(name, registrytest.Password, false, "", "", h.clock.Now())
	if err != nil {
		h.Fatal(err)
	}
	h.owner = u.ID
	h.addAccount(name)
	return h.browser(name+" 1", origin)
}

// refuses returns the service that answers so for the devices of one user.
func refuses(user string, answer func() registry.Outcome) func(context.Context, sent) registry.Outcome {
	return func(_ context.Context, p sent) registry.Outcome {
		if p.device.User == user {
			return answer()
		}
		return accepted
	}
}

// wantAtOnce fails the test unless the device got all mails, each when it came.
func (h *harness) wantAtOnce(d idlepush.Device, came map[string]time.Time) {
	h.Helper()
	got := 0
	for _, p := range h.sends() {
		at, ok := came[p.message.ID]
		if p.device.ID != d.ID || p.outcome != registry.ResultDelivered || !ok {
			continue
		}
		if got++; !p.at.Equal(at) {
			h.Errorf("%s got a mail after %v", d.Name, p.at.Sub(at))
		}
	}
	if got != len(came) {
		h.Errorf("%s got %d of %d mails", d.Name, got, len(came))
	}
}

// device returns the device as it is now.
func (h *harness) device(d idlepush.Device) idlepush.Device {
	h.Helper()
	is, err := h.store.Devices.Get(d.ID)
	if err != nil {
		h.Fatal(err)
	}
	return is
}

// The other device is one of the same person.
func faultDenied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		denied, other := h.browser("denied", origin), h.browser("other", origin)
		h.answers(only(denied, ourFault))
		h.run()
		came := make(map[string]time.Time)
		var ids []string
		for range 100 {
			ids = append(ids, h.mail(1)...)
			came[ids[len(ids)-1]] = time.Now()
			after(10 * time.Minute)
			if lane := h.lane("webpush " + origin); lane.Name != "" {
				t.Fatalf("after %d mails the lane is paused: %+v", len(ids), lane)
			}
		}
		h.wantAtOnce(other, came)
		if d := h.device(denied); d.Status.State != idlepush.StateSuspect || d.Status.Code != registry.DeviceRefused.Code {
			t.Errorf("its status is %+v", d.Status)
		}
		h.wantState(ids, denied, idlepush.DeliveryPending)
		if n := len(h.sends()) - len(ids); n > 40 {
			t.Errorf("%d pushes to it in 16 hours", n)
		}
		h.answers(nil)
		after(maxSuspectWait)
		if got := h.received(denied); !slices.Equal(got, ids) {
			t.Errorf("once it is let through it got %d of %d mails", len(got), len(ids))
		}
	})
}

func faultRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		denied, other := h.browser("denied", origin), h.browser("other", origin)
		h.answers(only(denied, ourFault))
		stop := h.run()
		h.mail(1)
		after(time.Hour)
		for n := range 10 {
			stop()
			h.reopen()
			first := len(h.received(other))
			stop = h.run()
			h.mail(1)
			synctest.Wait()
			lane, d := h.lane("webpush "+origin), h.device(denied)
			if len(h.received(other)) != first+1 || lane.Name != "" || d.Status.State != idlepush.StateSuspect {
				t.Fatalf("restart %d: the other got %d mails, the lane is %+v, the device %+v", n, len(h.received(other))-first, lane, d.Status)
			}
		}
		h.answers(nil)
		after(maxSuspectWait)
		if d := h.device(denied); d.Status.State != idlepush.StateProven || d.Status.Code != "" || len(h.received(denied)) != 11 {
			t.Errorf("once it is let through it got %d of 11 mails, and is %+v", len(h.received(denied)), d.Status)
		}
	})
}

// mailFor records a mail for each account every ten minutes, for six hours with two restarts. It
// returns when those for the first account came.
func (h *harness) mailFor(first, second idlepush.Account) map[string]time.Time {
	h.Helper()
	came := make(map[string]time.Time)
	stop := h.run()
	for i := range 36 {
		h.account = second
		h.mail(1)
		after(time.Duration(i) * 10 * time.Second)
		h.account = first
		came[h.mail(1)[0]] = time.Now()
		after(minutes(10) - time.Duration(i)*10*time.Second)
		if i%15 == 10 {
			stop()
			h.reopen()
			stop = h.run()
		}
	}
	return came
}

// They are proven before.
func faultOfOne(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t)
			anna := h.account
			phone := h.browser("anna 1", origin)
			mallory := h.member("mallory").User
			for i := range n - 1 {
				h.browser(fmt.Sprint("mallory ", i+2), origin)
			}
			h.answers(refuses(mallory, ourFault))
			h.wantAtOnce(phone, h.mailFor(anna, h.account))
		})
	}
}

func faultOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		anna := h.account
		phone := h.browser("anna 1", origin)
		mallory := h.member("mallory").User
		for i := range 6 {
			h.browser(fmt.Sprint("mallory ", i+2), origin)
		}
		h.answers(refuses(mallory, retry))
		h.wantAtOnce(phone, h.mailFor(anna, h.account))
	})
}

// The other person's device is new, or its service did not know it.
func faultOnlyProven(t *testing.T) {
	t.Parallel()
	for _, answer := range []func() registry.Outcome{ourFault, retry} {
		for _, state := range []idlepush.State{idlepush.StateUnproven, idlepush.StateSuspect} {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t)
				anna := h.account
				phone := h.browser("anna 1", origin)
				mallory := h.member("mallory").User
				for i := range 6 {
					h.browser(fmt.Sprint("mallory ", i+2), origin)
				}
				h.answers(refuses(mallory, answer))
				theirs := h.account
				h.run()
				came := make(map[string]time.Time)
				for range 10 {
					d := h.device(phone)
					d.Status.State = state
					if _, err := h.store.Devices.Update(d, h.clock.Now()); err != nil {
						t.Fatal(err)
					}
					h.account = theirs
					h.mail(1)
					h.account = anna
					came[h.mail(1)[0]] = time.Now()
					after(10 * time.Minute)
				}
				h.wantAtOnce(phone, came)
			})
		}
	}
}

// A person has corrected the setting and restarted the program for it.
func faultLiar(t *testing.T) {
	t.Parallel()
	for range 5 { // the first probe is one of several at random
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t)
			anna := h.account
			phone := h.browser("anna 1", origin)
			mallory := h.member("mallory").User
			h.browser("mallory 2", origin)
			h.browser("mallory 3", origin)
			h.answers(func(context.Context, sent) registry.Outcome { return ourFault() })
			stop := h.run()
			h.mail(1)
			h.account = anna
			ids := h.mail(1)
			after(minutes(30))
			stop()
			h.reopen()
			h.answers(refuses(mallory, ourFault))
			h.run()
			synctest.Wait()
			if lane := h.lane("webpush " + origin); lane.Name != "" || !slices.Equal(h.received(phone), ids) {
				t.Errorf("%d of %d mails came at the restart, and the lane is %+v", len(h.received(phone)), len(ids), lane)
			}
		})
	}
}

func faultUnproven(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		var list []idlepush.Device
		for i := range 3 {
			d := idlepush.Device{User: h.owner, Name: fmt.Sprint("new ", i), Transport: "fcm", Address: idlepush.Secret(fmt.Sprint("planted token ", i)), Content: idlepush.LevelPreview,
				Status: idlepush.Status{State: idlepush.StateUnproven}}
			d, _, err := h.store.Devices.Register(h.transports.Routed(d), "", h.clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, d)
		}
		h.answers(func(context.Context, sent) registry.Outcome { return ourFault() })
		h.run()
		ids := h.mail(1)
		at := time.Now()
		synctest.Wait()
		for _, wait := range []int{1, 2, 4, 8, 15, 15, 15} {
			at = at.Add(minutes(wait))
			h.wantProbes(at, len(list))
			if lane := h.lane("fcm"); lane.Name != "" {
				t.Fatalf("the lane is paused: %+v", lane)
			}
		}
		h.answers(nil)
		after(maxFaultWait)
		for _, d := range list {
			if got := h.received(d); !slices.Equal(got, ids) {
				t.Errorf("mended: %s got %d of 1", d.Name, len(got))
			}
		}
	})
}
