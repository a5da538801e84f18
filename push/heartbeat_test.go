package push

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"idlepush"
	"idlepush/ring"
)

func TestHeartbeatDue(t *testing.T) {
	t.Parallel()
	daily := ring.Heartbeat{Every: ring.EveryDay, At: 8 * 60, Zone: "Europe/Berlin"}
	weekly := ring.Heartbeat{Every: ring.EveryWeek, At: 8 * 60, Zone: "Europe/Berlin"}
	night := ring.Heartbeat{Every: ring.EveryDay, At: 2*60 + 30, Zone: "Europe/Berlin"}
	for name, c := range map[string]struct {
		wish ring.Heartbeat
		now  string
		day  string // empty: none is due
		from string
	}{
		"never":                          {ring.Heartbeat{}, "2026-11-30T08:00:00Z", "", ""},
		"a zone that is not known":       {ring.Heartbeat{Every: ring.EveryDay, Zone: "No/Where"}, "2026-11-30T08:00:00Z", "", ""},
		"at its time":                    {daily, "2026-11-30T07:00:00Z", "2026-11-30", "2026-11-29T07:00:00Z"},
		"a moment before, for yesterday": {daily, "2026-11-30T06:59:59Z", "2026-11-29", "2026-11-28T07:00:00Z"},
		"on Monday, for a week":          {weekly, "2026-11-30T07:00:00Z", "2026-11-30", "2026-11-23T07:00:00Z"},
		"a day late":                     {weekly, "2026-12-01T06:59:59Z", "2026-11-30", "2026-11-23T07:00:00Z"},
		"too late":                       {weekly, "2026-12-01T07:00:00Z", "", ""},
		"on Sunday":                      {weekly, "2026-11-29T12:00:00Z", "", ""},
		"after a week in which the clock went back": {weekly, "2026-10-26T07:00:00Z", "2026-10-26", "2026-10-19T06:00:00Z"},
		"in the hour that there is twice":           {night, "2026-10-25T00:30:00Z", "2026-10-25", "2026-10-24T00:30:00Z"},
		"in that hour again, for the same day":      {night, "2026-10-25T01:30:00Z", "2026-10-25", "2026-10-24T00:30:00Z"},
		"in the hour that is left out":              {night, "2026-03-29T01:00:00Z", "2026-03-29", "2026-03-28T01:30:00Z"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		day, since, due := heartbeatDue(c.wish, now)
		if due != (c.day != "") || due && (day != c.day || since.UTC().Format(time.RFC3339) != c.from) {
			t.Errorf("%s: it is due %v, for %s from %s, want for %q from %q", name, due, day, since.UTC().Format(time.RFC3339), c.day, c.from)
		}
	}
}

// TestHeartbeat has a phone show heartbeats, over restarts and quiet hours.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		daily, quiet, never := h.phone("daily"), h.phone("quiet"), h.phone("never")
		h.wantHeartbeat(daily, ring.Heartbeat{Every: ring.EveryDay, At: 8 * 60, Zone: "Europe/Berlin"})
		h.wantHeartbeat(quiet, ring.Heartbeat{Every: ring.EveryWeek, At: 6 * 60, Zone: "Europe/Berlin"})
		h.hush(quiet, everyNight)
		untilClock(t, "2000-01-02 12:00") // a Sunday
		stop := h.run()
		after(time.Minute)
		h.mailFrom("a@example.org")
		untilClock(t, "2000-01-03 08:30")
		stop()
		h.run()
		untilClock(t, "2000-01-04 12:00")
		h.wantRang(daily, "02 12:00 heartbeat", "02 12:01 mail a@example.org", "03 08:00 heartbeat", "04 08:00 heartbeat")
		h.wantRang(quiet, "02 12:01 mail a@example.org", "03 07:00 heartbeat")
		h.wantRang(never, "02 12:01 mail a@example.org")
		var bodies []string
		for _, p := range h.sends() {
			if p.message.Kind == ring.KindHeartbeat {
				bodies = append(bodies, p.message.Body)
			}
		}
		want := "Mail that rang in the last day: 1, on 3 of your devices. Slowest: 0.0 s. Lost: 0."
		if !slices.Contains(bodies, want) {
			t.Errorf("the heartbeats say %q, want %q", bodies, want)
		}
	})
}

// TestHeartbeatFails: the log names what fails, and it is tried again.
func TestHeartbeatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		daily := h.phone("daily")
		h.wantHeartbeat(daily, ring.Heartbeat{Every: ring.EveryDay, At: 8 * 60, Zone: "Europe/Berlin"})
		untilClock(t, "2000-01-02 07:30")
		var fails atomic.Bool
		fails.Store(true)
		h.fails = func(int64) bool { return fails.Load() && within("Outbox.RingHeartbeat") }
		h.run()
		untilClock(t, "2000-01-02 08:10")
		text := h.lines.String()
		if !strings.Contains(text, "cannot queue a heartbeat") || strings.Contains(text, "cannot decide") {
			t.Errorf("the log is\n%s", text)
		}
		fails.Store(false)
		untilClock(t, "2000-01-02 08:30")
		if n := len(h.sends()); n == 0 {
			t.Error("it is not tried again")
		}
	})
}

// wantHeartbeat sets when a device shows heartbeats.
func (h *harness) wantHeartbeat(d idlepush.Device, p ring.Heartbeat) {
	h.Helper()
	w, err := h.store.Devices.Wishes(d.ID)
	if err != nil {
		h.Fatal(err)
	}
	w.Heartbeat = p
	if _, err := h.store.Devices.SetWishes(d.ID, w, h.clock.Now()); err != nil {
		h.Fatal(err)
	}
}
