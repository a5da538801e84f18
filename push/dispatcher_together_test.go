package push

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
)

func TestTogether(t *testing.T) {
	t.Parallel()
	t.Run("once the first outcome is written, those of pushes that are accepted quickly are written together", togetherQuick)
	t.Run("while the first outcome cannot be written nothing else is sent", togetherUnwritten)
	t.Run("what was accepted is written before the dispatcher ends", togetherStop)
}

// written returns how many outcomes are written as each of n mails is sent to one phone. A push
// takes the time given.
func written(t *testing.T, n int, takes time.Duration) (list []int) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		ids := h.mail(n)
		h.answers(func(context.Context, sent) registry.Outcome {
			done := 0
			for _, id := range ids {
				if h.delivery(id, phone).State == idlepush.DeliveryDelivered {
					done++
				}
			}
			list = append(list, done)
			time.Sleep(takes)
			return accepted
		})
		h.run()
		after(time.Minute)
		h.wantShown(ids, phone, 1)
	})
	return list
}

func togetherQuick(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mails int
		takes time.Duration
		want  []int
	}{
		{10, 0, []int{0, 1, 1, 1, 1, 1, 1, 1, 8, 9}},
		{8, maxUnsettled * 2 / 5, []int{0, 1, 1, 1, 4, 4, 4, 7}},
		{4, maxUnsettled, []int{0, 1, 2, 3}},
	} {
		if got := written(t, c.mails, c.takes); !slices.Equal(got, c.want) {
			t.Errorf("if a push takes %v, there are written %v, want %v", c.takes, got, c.want)
		}
	}
}

func togetherUnwritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		ids := h.mail(5)
		var broken atomic.Bool
		h.fails = func(int64) bool { return broken.Load() }
		h.answers(func(context.Context, sent) registry.Outcome {
			broken.Store(true)
			return accepted
		})
		h.run()
		after(time.Hour)
		if n := len(h.sends()); n != 1 {
			t.Errorf("meanwhile %d were sent", n)
		}
		h.answers(nil)
		broken.Store(false)
		after(time.Hour)
		h.wantShown(ids, phone, 1)
	})
}

func togetherStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		phone := h.phone("phone")
		ids := h.mail(8)
		h.answers(func(context.Context, sent) registry.Outcome {
			time.Sleep(maxUnsettled / 4)
			return accepted
		})
		stop := h.run()
		time.Sleep(maxUnsettled * 9 / 10) // during the fourth
		stop()
		h.wantState(ids[:4], phone, idlepush.DeliveryDelivered)
		h.reopen()
		h.run()
		after(time.Minute)
		h.wantShown(ids, phone, 1)
	})
}
