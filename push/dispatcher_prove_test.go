package push

import (
	"context"
	"encoding/base64"
	"reflect"
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
		if list, _, err := h.store.Outbox.Due(time.Now(), 10, 10, nil); err != nil || len(list) != 1 {
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
