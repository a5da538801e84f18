package push

import (
	"context"
	"encoding/base64"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
)

func (h *harness) prover() *Dispatcher {
	return &Dispatcher{Store: h.store.Outbox, Transports: h.transports, URL: func() string { return "https://push.example.org/" }, Log: h.log}
}

func TestProve(t *testing.T) {
	t.Parallel()
	t.Run("a proving push does not wait in the queue, and tells nothing of mail", proveQueue)
	t.Run("it has the outcome of the service's answer", proveOutcome)
	t.Run("it waits for ten seconds", proveWaits)
	t.Run("without the transport its outcome says so", proveNotConfigured)
	t.Run("the pause of a lane does not delay it", provePaused)
	t.Run("one that is accepted opens its lane, and what waits there is sent at once", proveOpens)
	t.Run("one that is not accepted leaves the lane as it is", proveFails)
	t.Run("one that is accepted shows that another device was refused for a fault of its own", proveAcquits)
	t.Run("a user has at most eight in flight, which delay nobody else", proveMany)
}

func proveQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.mail(3)
		d := h.prover()
		ids := make(map[string]bool)
		for range 3 {
			if o := d.Prove(t.Context(), phone); !reflect.DeepEqual(o, accepted) {
				t.Errorf("outcome %+v", o)
			}
		}
		for _, p := range h.sends() {
			raw, err := base64.RawURLEncoding.DecodeString(p.message.ID)
			if err != nil || len(raw) != 24 || ids[p.message.ID] {
				t.Errorf("id %q, %v", p.message.ID, err)
			}
			ids[p.message.ID] = true
			if p.message.Kind != idlepush.KindTest || p.message.TTL(p.at) != time.Minute {
				t.Errorf("sent %s for %v", p.message.Kind, p.message.TTL(p.at))
			}
		}
		if len(ids) != 3 {
			t.Errorf("%d ids", len(ids))
		}
		if list, err := h.store.Outbox.Due(time.Now(), newSends().room, nil); err != nil || len(list) != 1 {
			t.Errorf("%d queues are due, %v; want the phone's as before", len(list), err)
		}
	})
}

func proveOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		for _, o := range []registry.Outcome{accepted, retry(), complaint(), gone(), refused(), ourFault()} {
			h.answers(func(context.Context, sent) registry.Outcome { return o })
			if got := h.prover().Prove(t.Context(), phone); !reflect.DeepEqual(got, o) {
				t.Errorf("%+v became %+v", o, got)
			}
		}
		if _, err := h.store.Devices.Get(phone.ID); err != nil {
			t.Errorf("what becomes of the device is for the caller to say: %v", err)
		}
	})
}

func proveWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.answers(hang)
		begin := time.Now()
		o := h.prover().Prove(t.Context(), h.phone("phone"))
		if took := time.Since(begin); took != 10*time.Second || o.Result != registry.ResultRetry {
			t.Errorf("%s after %v", o.Result, took)
		}
	})
}

func proveNotConfigured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.removeTransport("fcm")
		o := h.prover().Prove(t.Context(), phone)
		if o.Result != registry.ResultMisconfigured || !o.Reason.Equal(unknown("fcm").Reason) {
			t.Errorf("outcome %+v", o)
		}
	})
}

// With a proving push a person sees whether the service works again.
func provePaused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		h.answers(func(context.Context, sent) registry.Outcome { return ourFault() })
		h.run()
		h.mail(1)
		synctest.Wait()
		h.answers(nil)
		if o := h.prover().Prove(t.Context(), phone); !reflect.DeepEqual(o, accepted) {
			t.Errorf("outcome %+v", o)
		}
	})
}

// The device is that of the pause, another, or one that is being registered.
func proveOpens(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"the first", "the second", "new"} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t)
			crowd := h.crowd(2)
			tested := map[string]idlepush.Device{"the first": crowd[0], "the second": crowd[1],
				"new": {Name: "new", User: h.owner, Transport: "webpush", Address: origin + "/planted-endpoint/new"}}[which]
			h.answers(func(context.Context, sent) registry.Outcome { return ourFault() })
			h.run()
			ids := h.mail(2)
			after(minutes(10)) // the lane pauses for a quarter of an hour
			if wait := time.Until(h.lane("webpush " + origin).Until); wait < minutes(5) {
				t.Fatalf("the lane pauses for %v", wait)
			}
			h.answers(nil)
			if o := h.prover().Prove(t.Context(), tested); !reflect.DeepEqual(o, accepted) {
				t.Fatalf("outcome %+v", o)
			}
			synctest.Wait()
			if lane := h.lane("webpush " + origin); lane.Name != "" || !strings.Contains(h.lines.String(), "lane works again") {
				t.Errorf("%s: the lane is %+v, or the log does not say that it works", which, lane)
			}
			for _, d := range crowd {
				if got := h.receivedMail(d); !slices.Equal(got, ids) {
					t.Errorf("%s: %s got %d of %d mails at once", which, d.Name, len(got), len(ids))
				}
			}
		})
	}
}

// receivedMail is received without test pushes.
func (h *harness) receivedMail(d idlepush.Device) (ids []string) {
	for _, p := range h.sends() {
		if p.device.ID == d.ID && p.outcome == registry.ResultDelivered && p.message.Kind != idlepush.KindTest {
			ids = append(ids, p.message.ID)
		}
	}
	return ids
}

func proveFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		crowd := h.crowd(2)
		h.answers(func(context.Context, sent) registry.Outcome { return ourFault() })
		h.run()
		h.mail(1)
		synctest.Wait()
		was := h.lane("webpush " + origin)
		for _, o := range []registry.Outcome{ourFault(), retry(), complaint(), gone(), refused()} {
			h.answers(func(context.Context, sent) registry.Outcome { return o })
			h.prover().Prove(t.Context(), crowd[0])
			synctest.Wait()
			if is := h.lane("webpush " + origin); !reflect.DeepEqual(is, was) {
				t.Errorf("%s, %v: the lane became %+v, was %+v", o.Result, o.Suspect, is, was)
			}
		}
	})
}

func proveAcquits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		denied := h.browser("denied", origin)
		h.answers(only(denied, ourFault))
		h.mail(1)
		other := h.browser("other", origin) // for later mail
		h.run()
		synctest.Wait()
		if d := h.device(denied); d.Status.State != idlepush.StateProven {
			t.Errorf("before the test push it is %+v", d.Status)
		}
		h.prover().Prove(t.Context(), other)
		if d := h.device(denied); d.Status.State != idlepush.StateSuspect || d.Status.Code != registry.DeviceRefused.Code {
			t.Errorf("it is %+v", d.Status)
		}
		h.answers(nil)
		h.prover().Prove(t.Context(), denied)
		synctest.Wait()
		if got := h.receivedMail(denied); len(got) != 1 {
			t.Errorf("after a test push that was accepted, what waits did not come: it got %d mails", len(got))
		}
	})
}

func proveMany(t *testing.T) {
	inHousehold(t, hang, func(h *household) {
		d := h.prover()
		outcomes := make(chan registry.Outcome, 400)
		for i := range cap(outcomes) {
			bad := idlepush.Device{ID: device(i), User: h.other, Transport: "webpush", Address: "https://push.example/planted"}
			go func() { outcomes <- d.Prove(h.Context(), bad) }()
		}
		synctest.Wait()
		if n := h.mostInFlight(); n != maxProving || len(outcomes) != cap(outcomes)-maxProving {
			h.Errorf("%d are in flight, %d have an outcome", n, len(outcomes))
		}
		for range len(outcomes) {
			if o := <-outcomes; !reflect.DeepEqual(o, NotSent(Retry("too_many_at_once"))) {
				h.Errorf("outcome %+v", o)
			}
		}
		for _, good := range h.honest {
			if o := d.Prove(h.Context(), good); !reflect.DeepEqual(o, accepted) {
				h.Errorf("%s of another user: %+v", good.Transport, o)
			}
		}
		ids := h.mailTo(h.mailbox, 1)
		synctest.Wait()
		for _, good := range h.honest {
			if got := h.received(good); got[len(got)-1] != ids[0] {
				h.Errorf("%s of another user has not got the mail", good.Transport)
			}
		}
		after(proveTimeout)
		h.bad = answer(0, accepted)
		if o := d.Prove(h.Context(), idlepush.Device{User: h.other, Transport: "webpush"}); !reflect.DeepEqual(o, accepted) {
			h.Errorf("when they have ended: %+v", o)
		}
	})
}
