package push

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/registry"
	"idlepush/registry/registrytest"
)

func TestRingsExcess(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		rang time.Time
		want bool
	}{
		{"it has never rung", time.Time{}, true},
		{"it rang just now", now, false},
		{"it rang almost an hour ago", now.Add(1 - time.Hour), false},
		{"it rang an hour ago", now.Add(-time.Hour), true},
		{"it rang a day ago", now.Add(-24 * time.Hour), true},
		{"it rang before the clock was set back", now.Add(time.Second), true},
	} {
		if got := ringsExcess(registry.Excess{Count: 5, Rang: c.rang}, now); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestExcess(t *testing.T) {
	t.Parallel()
	t.Run("one summary rings at once, and again an hour later if it has grown", excessRings)
	t.Run("a restart and a store that fails change nothing of that", excessStoreFails)
}

// boundedHarness has a store with the bounds of the program, and a burst-limit of 5.
func boundedHarness(t *testing.T) *harness {
	t.Helper()
	h := newHarness(t)
	h.limit = 5
	h.boundStore()
	return h
}

// boundStore opens the store again with the bounds of the program.
func (h *harness) boundStore() {
	h.Helper()
	if err := h.store.Close(); err != nil {
		h.Fatal(err)
	}
	h.store = registrytest.OpenBounded(h, h.dir)
}

// titles are those of what rang the device, with when.
func (h *harness) titles(d idlepush.Device, begin time.Time) (list []string) {
	for _, p := range h.sends() {
		if p.device.ID == d.ID && p.outcome == registry.ResultDelivered && p.message.Kind == idlepush.KindSummary {
			list = append(list, fmt.Sprint(p.at.Sub(begin), " ", p.message.Title))
		}
	}
	return list
}

func excessRings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := boundedHarness(t)
		phone := h.phone("phone")
		h.run()
		begin := time.Now()
		h.mail(2100)
		after(5 * time.Minute)
		for range 18 { // three hours
			h.mail(10)
			after(10 * time.Minute)
		}
		after(2 * time.Hour)
		want := []string{"1m0s 100 more in ann@example.org", "1m0s 1995 new in ann@example.org",
			"1h0m0s 160 more in ann@example.org", "2h0m0s 220 more in ann@example.org", "3h0m0s 280 more in ann@example.org"}
		if got := h.titles(phone, begin); !slices.Equal(got, want) {
			t.Errorf("it rang %q, want %q", got, want)
		}
		ids := make(map[string]bool)
		for _, p := range h.sends() {
			if strings.Contains(p.message.Title, "more in") {
				ids[p.message.ID] = true
				if !strings.HasPrefix(p.message.Body, "More than 2000 mails came to this mailbox in 24 hours.") {
					t.Errorf("it says %q", p.message.Body)
				}
			}
		}
		if len(ids) != 1 {
			t.Errorf("they have %d ids", len(ids))
		}
	})
}

func excessStoreFails(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Excess", "RingExcess"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := boundedHarness(t)
				phone := h.phone("phone")
				h.mail(2007)
				h.reopen()
				var failing atomic.Bool
				failing.Store(true)
				h.fails = func(int64) bool { return failing.Load() && within("Outbox."+method) }
				h.run()
				after(10 * time.Minute)
				begin := time.Now()
				failing.Store(false)
				after(2 * maxIdle)
				if got := h.titles(phone, begin); len(got) != 2 || !strings.Contains(got[1], "7 more in ann@example.org") {
					t.Errorf("it rang %q", got)
				}
			})
		})
	}
}
