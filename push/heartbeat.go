package push

import (
	"errors"
	"fmt"
	"time"

	"idlepush/ring"
)

// Times of heartbeats.
const (
	heartbeatLook = time.Minute    // between two looks at who wants one
	heartbeatLate = 24 * time.Hour // from then on it is left out: it would have expired
)

// heartbeats has those ring that devices want to show.
type heartbeats struct {
	d      *Dispatcher
	looked time.Time // by the monotonic clock
}

// look has the heartbeats ring that are due. One that fails holds up no other.
func (p *heartbeats) look(now time.Time) error {
	if !p.looked.IsZero() && time.Since(p.looked) < heartbeatLook {
		return nil
	}
	p.looked = time.Now()
	wanted, err := p.d.Store.Heartbeats()
	for device, wish := range wanted {
		day, since, due := heartbeatDue(wish, now)
		if !due {
			continue
		}
		if failed := p.d.Store.RingHeartbeat(device, wish.Every, day, since, now); failed != nil {
			err = errors.Join(err, fmt.Errorf("heartbeat of device %s: %w", device, failed))
		}
	}
	return err
}

// heartbeatDue reports whether one is due at now. day is the date for which it is, on the device:
// there is one for each. since is from when on it counts.
func heartbeatDue(h ring.Heartbeat, now time.Time) (day string, since time.Time, due bool) {
	zone, ok := loadZone(h.Zone)
	if !ok || h.Every == "" {
		return "", since, false
	}
	counts := 1
	if h.Every == ring.EveryWeek {
		counts = 7
	}
	year, month, today := now.In(zone).Date()
	for back := range 8 {
		midnight := time.Date(year, month, today-back, 0, 0, 0, 0, time.UTC)
		if h.Every == ring.EveryWeek && midnight.Weekday() != time.Monday {
			continue
		}
		at, _ := clockReads(midnight.Add(time.Duration(h.At)*time.Minute), zone)
		if at.After(now) {
			continue
		}
		since, _ = clockReads(midnight.AddDate(0, 0, -counts).Add(time.Duration(h.At)*time.Minute), zone)
		return midnight.Format(time.DateOnly), since, now.Sub(at) < heartbeatLate
	}
	return "", since, false
}
