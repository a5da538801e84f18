package push

import (
	"slices"
	"sync"
	"time"

	"idlepush/ring"
)

const (
	// longestHold bounds quiet hours that never end.
	longestHold = 24 * time.Hour

	// quietDays is how many days quiet hours are followed for: those that last longer than a week
	// never end.
	quietDays = 8
)

// quietUntil returns when the quiet hours end in which now lies, or zero if it lies in none. Hours
// that adjoin are one. If they never end, it returns a time in longestHold. It returns zero, too,
// if the zone is unknown here.
func quietUntil(q ring.Quiet, now time.Time) time.Time {
	if len(q.Hours) == 0 {
		return time.Time{}
	}
	zone, ok := loadZone(q.Zone)
	if !ok {
		return time.Time{}
	}
	until := now
	for _, s := range spans(q.Hours, now.In(zone)) {
		if !s.from.After(until) && s.to.After(until) {
			until = s.to
		}
	}
	switch {
	case until.Equal(now):
		return time.Time{}
	case until.Sub(now) > (quietDays-1)*24*time.Hour:
		return now.Add(longestHold)
	}
	return until
}

// zones has the zones that were loaded, by their names.
var zones sync.Map

// loadZone is time.LoadLocation, which reads a file each time.
func loadZone(name string) (zone *time.Location, ok bool) {
	if loaded, ok := zones.Load(name); ok {
		return loaded.(*time.Location), true
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, false
	}
	zones.Store(name, zone) // there are only so many
	return zone, true
}

// span is a time that is quiet, without its end.
type span struct{ from, to time.Time }

// spans returns the quiet times that may reach from now to quietDays later, by their beginnings.
func spans(hours []ring.Hours, now time.Time) (list []span) {
	year, month, day := now.Date()
	// Those of the day before yesterday may reach now if a day was left out.
	for ahead := -2; ahead <= quietDays; ahead++ {
		midnight := time.Date(year, month, day+ahead, 0, 0, 0, 0, time.UTC)
		for _, h := range hours {
			if !slices.Contains(h.Days, midnight.Weekday()) {
				continue
			}
			end := h.To
			if end <= h.From {
				end += 24 * 60
			}
			from, _ := clockReads(midnight.Add(time.Duration(h.From)*time.Minute), now.Location())
			_, to := clockReads(midnight.Add(time.Duration(end)*time.Minute), now.Location())
			list = append(list, span{from, to})
		}
	}
	slices.SortFunc(list, func(a, b span) int { return a.from.Compare(b.from) })
	return list
}

// farthestZone is more than any zone is away from UTC.
const farthestZone = 26 * time.Hour

// clockReads returns when a clock in the zone shows the date and time that wall has in UTC, or a
// later one: first is when it does so for the first time, last when it does so for good. They
// differ if the clock is set back over that time. If it is set forward over it, both are that.
func clockReads(wall time.Time, zone *time.Location) (first, last time.Time) {
	for t := wall.Add(-farthestZone).In(zone); t.Before(wall.Add(farthestZone)); {
		_, offset := t.Zone()
		_, end := t.ZoneBounds()
		at := wall.Add(-time.Duration(offset) * time.Second) // if the offset of t holds then
		if at.After(t) {
			last = at
		} else {
			at = t
		}
		if !end.IsZero() && !at.Before(end) {
			last = end
		} else if first.IsZero() {
			first = at
		}
		if end.IsZero() {
			break
		}
		t = end
	}
	return first.In(zone), last.In(zone)
}

// localText returns a later time as a clock on the wall by the device shows it, with the date
// unless that is within a day.
func (q question) localText(t time.Time) string {
	layout := "2006-01-02 15:04"
	if t.Sub(q.now) < 24*time.Hour {
		layout = "15:04"
	}
	zone, ok := loadZone(q.on.Quiet.Zone)
	if !ok || q.on.Quiet.Zone == "" {
		zone, layout = time.UTC, layout+" UTC"
	}
	return t.In(zone).Format(layout)
}
