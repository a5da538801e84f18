package push

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/registry/testenv"
)

func TestOddDevice(t *testing.T) {
	t.Parallel()
	t.Run("a device that fails for a reason of its own does not block its lane", oddDeviceAlone)
	t.Run("two such devices delay a third at most once", oddDeviceTwo)
}

func oddDeviceAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phones := []idlepush.Device{h.phone("one"), h.phone("two")}
		slices.SortFunc(phones, func(a, b idlepush.Device) int { return strings.Compare(a.ID, b.ID) })
		h.answers(func(_ context.Context, p sent) registry.Outcome {
			if p.device.ID == phones[0].ID {
				return ourFault()
			}
			return accepted
		})
		h.run()
		ids := h.mail(1)
		after(time.Second)
		ids = append(ids, h.mail(1)...)
		after(idlepush.KindMail.Lifetime() - time.Hour)
		if got := h.received(phones[1]); !slices.Equal(got, ids) {
			t.Errorf("after nearly three days it got %d of %d", len(got), len(ids))
		}
	})
}

// The third waits for less than a minute.
func oddDeviceTwo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.phone("one")
		h.phone("two")
		well := h.phone("three")
		h.answers(func(_ context.Context, p sent) registry.Outcome {
			if p.device.ID == well.ID {
				return accepted
			}
			return retry()
		})
		h.run()
		came := make(map[string]time.Time)
		for i := range 40 {
			came[h.mail(1)[0]] = time.Now()
			after(time.Duration(i%20+1) * minutes(testenv.Tenth(10)))
		}
		late := 0
		for _, p := range h.sends() {
			if p.outcome != registry.ResultDelivered {
				continue
			}
			if wait := p.at.Sub(came[p.message.ID]); wait > 0 {
				if late++; wait > maxProbeWait {
					t.Errorf("a mail waited for %v", wait)
				}
			}
		}
		if late > 1 || len(h.received(well)) != len(came) {
			t.Errorf("%d of %d mails came, %d of them late", len(h.received(well)), len(came), late)
		}
	})
}
