package push

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"idlepush/registry/testenv"
	"idlepush/ring"
)

func TestQuietUntil(t *testing.T) {
	t.Parallel()
	t.Run("it ends when a clock on the wall says so, also on days with a change of the clock", quietTable)
	t.Run("it agrees with a look at every minute of a year in many zones", quietYear)
	t.Run("it ends, whatever the hours are", quietEnds)
}

var (
	everyDay = []time.Weekday{0, 1, 2, 3, 4, 5, 6}
	night    = ring.Hours{Days: everyDay, From: 22 * 60, To: 7 * 60}
)

func quietTable(t *testing.T) {
	t.Parallel()
	on := func(from, to int, days ...time.Weekday) ring.Hours { return ring.Hours{Days: days, From: from, To: to} }
	const berlin = "Europe/Berlin"
	weekend := []ring.Hours{on(18*60, 0, 5), on(0, 0, 6), on(0, 0, 0), on(0, 7*60, 1)}
	for _, c := range []struct {
		name      string
		zone      string
		hours     []ring.Hours
		now, want string // in the zone; empty: it is not quiet
	}{
		{"no hours", berlin, nil, "2026-06-01 23:00 +0200", ""},
		{"no days", berlin, []ring.Hours{{From: 0, To: 60}}, "2026-06-01 00:30 +0200", ""},
		{"a zone that is unknown", "Mars/Olympus", []ring.Hours{night}, "2026-06-01 23:00 +0200", ""},
		{"before", berlin, []ring.Hours{night}, "2026-06-01 21:59 +0200", ""},
		{"at the beginning", berlin, []ring.Hours{night}, "2026-06-01 22:00 +0200", "2026-06-02 07:00 +0200"},
		{"past midnight", berlin, []ring.Hours{night}, "2026-06-02 00:00 +0200", "2026-06-02 07:00 +0200"},
		{"just before the end", berlin, []ring.Hours{night}, "2026-06-02 06:59 +0200", "2026-06-02 07:00 +0200"},
		{"at the end", berlin, []ring.Hours{night}, "2026-06-02 07:00 +0200", ""},
		{"it is another day in the zone", "Asia/Tokyo", []ring.Hours{on(8*60, 9*60, 2)}, "2026-06-02 08:30 +0900", "2026-06-02 09:00 +0900"},
		{"past midnight, of the day before only", berlin, []ring.Hours{on(22*60, 7*60, 1)}, "2026-06-01 03:00 +0200", ""},
		{"past midnight of a Saturday", berlin, []ring.Hours{on(22*60, 7*60, 6)}, "2026-06-07 03:00 +0200", "2026-06-07 07:00 +0200"},
		{"hours that adjoin", berlin, []ring.Hours{on(20*60, 22*60, 1), on(22*60, 0, 1), on(0, 30, 2)}, "2026-06-01 20:30 +0200", "2026-06-02 00:30 +0200"},
		{"hours that overlap", berlin, []ring.Hours{on(20*60, 22*60, 1), on(21*60, 23*60, 1)}, "2026-06-01 20:30 +0200", "2026-06-01 23:00 +0200"},
		{"hours within others", berlin, []ring.Hours{on(20*60, 23*60, 1), on(21*60, 22*60, 1)}, "2026-06-01 21:30 +0200", "2026-06-01 23:00 +0200"},
		{"hours a minute apart", berlin, []ring.Hours{on(20*60, 21*60, 1), on(21*60+1, 23*60, 1)}, "2026-06-01 20:30 +0200", "2026-06-01 21:00 +0200"},
		{"a whole day", berlin, []ring.Hours{on(0, 0, 1)}, "2026-06-01 00:00 +0200", "2026-06-02 00:00 +0200"},
		{"24 hours from noon", berlin, []ring.Hours{on(720, 720, 1)}, "2026-06-02 11:00 +0200", "2026-06-02 12:00 +0200"},
		{"a weekend", berlin, weekend, "2026-06-05 18:00 +0200", "2026-06-08 07:00 +0200"},
		{"the whole week", berlin, []ring.Hours{on(0, 0, everyDay...)}, "2026-06-01 13:00 +0200", "2026-06-02 13:00 +0200"},
		{"all of it but an hour", berlin, []ring.Hours{on(0, 0, 0, 1, 2, 3, 4, 5), on(0, 23*60, 6)}, "2026-06-07 00:00 +0200", "2026-06-13 23:00 +0200"},

		{"the night that is an hour shorter", berlin, []ring.Hours{night}, "2026-03-28 22:00 +0100", "2026-03-29 07:00 +0200"},
		{"the night that is an hour longer", berlin, []ring.Hours{night}, "2026-10-24 22:00 +0200", "2026-10-25 07:00 +0100"},
		{"a beginning that is left out", berlin, []ring.Hours{on(150, 240, 0)}, "2026-03-29 03:00 +0200", "2026-03-29 04:00 +0200"},
		{"an end that is left out", berlin, []ring.Hours{on(60, 150, 0)}, "2026-03-29 01:30 +0100", "2026-03-29 03:00 +0200"},
		{"hours that are left out", berlin, []ring.Hours{on(125, 175, 0)}, "2026-03-29 03:00 +0200", ""},
		{"an end that comes twice: the first", berlin, []ring.Hours{on(60, 150, 0)}, "2026-10-25 02:30 +0200", "2026-10-25 02:30 +0100"},
		{"an end that comes twice: the second", berlin, []ring.Hours{on(60, 150, 0)}, "2026-10-25 02:30 +0100", ""},
		{"a beginning that comes twice", berlin, []ring.Hours{on(150, 240, 0)}, "2026-10-25 02:15 +0100", "2026-10-25 04:00 +0100"},
		{"an end to which the clock is set back", "America/New_York", []ring.Hours{on(30, 60, 0)}, "2026-11-01 01:00 -0400", ""},
		{"half an hour is left out", "Australia/Lord_Howe", []ring.Hours{on(120, 135, 0)}, "2026-10-04 02:30 +1100", ""},
		{"half an hour comes twice", "Australia/Lord_Howe", []ring.Hours{on(90, 105, 0)}, "2026-04-05 01:50 +1100", "2026-04-05 01:45 +1030"},
		{"midnight is left out", "Asia/Beirut", []ring.Hours{on(0, 7*60, 0)}, "2026-03-29 01:00 +0300", "2026-03-29 07:00 +0300"},
		{"midnight comes twice", "Asia/Beirut", []ring.Hours{on(20*60, 0, 6)}, "2026-10-24 23:30 +0300", "2026-10-25 00:00 +0200"},
		{"a day that is left out", "Pacific/Apia", []ring.Hours{on(22*60, 7*60, 4)}, "2011-12-29 23:00 -1000", "2011-12-31 00:00 +1400"},
	} {
		const layout = "2006-01-02 15:04 -0700"
		now, err := time.Parse(layout, c.now)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if until := quietUntil(ring.Quiet{Zone: c.zone, Hours: c.hours}, now); !until.IsZero() {
			got = until.Format(layout)
		}
		if got != c.want {
			t.Errorf("%s: quiet until %q, want %q", c.name, got, c.want)
		}
	}
}

// naiveQuiet is a year in a zone, minute by minute.
type naiveQuiet struct {
	begin time.Time
	wall  []int  // what a clock shows, in minutes
	quiet []bool // by minute
}

// aroundYear is what naiveQuiet has before and after the year.
const aroundYear = 20 * 24 * 60

func newNaiveQuiet(zone *time.Location, year int, hours []ring.Hours) naiveQuiet {
	n := naiveQuiet{begin: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Add(-aroundYear * time.Minute)}
	n.wall = make([]int, 366*24*60+2*aroundYear)
	for i := range n.wall {
		at := n.begin.Add(time.Duration(i) * time.Minute)
		_, offset := at.In(zone).Zone()
		n.wall[i] = (int(at.Unix()) + offset) / 60
	}
	n.quiet = make([]bool, len(n.wall))
	const day = 24 * 60
	for date := n.wall[0]/day + 2; date < n.wall[len(n.wall)-1]/day-2; date++ {
		for _, h := range hours {
			if !slices.Contains(h.Days, time.Weekday((date+4)%7)) { // 1 January 1970 was a Thursday
				continue
			}
			end := h.To
			if end <= h.From {
				end += day
			}
			from, _ := n.shows(date*day + h.From)
			_, to := n.shows(date*day + end)
			for i := from; i < to; i++ {
				n.quiet[i] = true
			}
		}
	}
	return n
}

// shows returns the first minute at which the clock shows a time or more, and the one from which on
// it always does.
func (n naiveQuiet) shows(wall int) (first, last int) {
	first = -1
	for i := wall - n.wall[0] - 3*24*60; i < wall-n.wall[0]+3*24*60; i++ {
		if i < 0 || i >= len(n.wall) {
			continue
		}
		if n.wall[i] < wall {
			last = i + 1
		} else if first < 0 {
			first = i
		}
	}
	return first, last
}

// until returns the minute at which the quiet of the minute i ends.
func (n naiveQuiet) until(i int) (end int, quiet bool) {
	if !n.quiet[i] {
		return 0, false
	}
	for end = i; n.quiet[end]; end++ {
		if end-i > 7*24*60 {
			return i + 24*60, true
		}
	}
	return end, true
}

// randomHours returns up to four hours, of which many begin or end when clocks change.
func randomHours(r *rand.Rand) (list []ring.Hours) {
	minute := func() int {
		if r.IntN(2) == 0 {
			return r.IntN(8) * 30
		}
		return r.IntN(24 * 60)
	}
	for range 1 + r.IntN(4) {
		days := slices.DeleteFunc(slices.Clone(everyDay), func(d time.Weekday) bool { return d != 0 && d != 6 && r.IntN(2) == 0 })
		list = append(list, ring.Hours{Days: days, From: minute(), To: minute()})
	}
	return list
}

func quietYear(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		zone string
		year int
	}{{"Europe/Berlin", 2026}, {"America/New_York", 2026}, {"Australia/Lord_Howe", 2026}, {"America/Santiago", 2026}, {"Asia/Beirut", 2026},
		{"Asia/Kolkata", 2026}, {"Africa/Casablanca", 2026}, {"Pacific/Apia", 2011}, {"UTC", 2028}} {
		t.Run(c.zone, func(t *testing.T) {
			t.Parallel()
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			r := testenv.Rand(t)
			for i := range testenv.Tenth(20) {
				hours := []ring.Hours{night}
				if i > 0 {
					hours = randomHours(r)
				}
				compareYear(t, newNaiveQuiet(zone, c.year, hours), ring.Quiet{Zone: c.zone, Hours: hours})
			}
		})
	}
}

// compareYear compares the model with quietUntil around every change of the clock, around every
// beginning and end of quiet, and now and then.
func compareYear(t *testing.T, n naiveQuiet, q ring.Quiet) {
	interesting := make(map[int]bool)
	for i := aroundYear; i < len(n.wall)-aroundYear; i++ {
		if n.wall[i] != n.wall[i-1]+1 {
			for around := -150; around < 150; around++ {
				interesting[i+around] = true
			}
		}
		if i%173 == 0 || n.quiet[i] != n.quiet[i-1] {
			interesting[i], interesting[i-1] = true, true
		}
	}
	wrong := 0
	for i := range interesting {
		want := ""
		if end, quiet := n.until(i); quiet {
			want = fmt.Sprint(n.begin.Add(time.Duration(end) * time.Minute))
		}
		now, got := n.begin.Add(time.Duration(i)*time.Minute), ""
		if until := quietUntil(q, now); !until.IsZero() {
			got = fmt.Sprint(until.UTC())
		}
		if got != want {
			if wrong++; wrong < 5 {
				t.Errorf("%v: at %v it is quiet until %q, want %q", q.Hours, now, got, want)
			}
		}
	}
}

func quietEnds(t *testing.T) {
	t.Parallel()
	r := testenv.Rand(t)
	zones := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kolkata", "Pacific/Apia"}
	for range 2000 {
		q := ring.Quiet{Zone: zones[r.IntN(len(zones))], Hours: append(randomHours(r), randomHours(r)...)}
		now := time.Date(2026, 1, 1, 0, 0, r.IntN(365*24*60*60), 0, time.UTC)
		until := quietUntil(q, now)
		if until.IsZero() {
			continue
		}
		if !until.After(now) || until.Sub(now) > (quietDays-1)*24*time.Hour {
			t.Errorf("%v in %s: at %v it is quiet until %v", q.Hours, q.Zone, now, until)
		}
		if !quietUntil(q, until).IsZero() && until.Sub(now) != longestHold {
			t.Errorf("%v in %s: at %v it is quiet until %v, and still then", q.Hours, q.Zone, now, until)
		}
	}
}
