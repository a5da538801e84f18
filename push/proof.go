package push

import (
	"errors"
	"fmt"
	"time"

	"idlepush/ring"
)

// Times of the lines by which devices show that all works.
const (
	proofLook = time.Minute    // between two looks at who wants one
	proofLate = 24 * time.Hour // after which one is left out: its notification would have expired
)

// proofs are the lines by which devices show that all works.
type proofs struct {
	d      *Dispatcher
	looked time.Time // by the monotonic clock
}

// look has the lines ring that are due. One that fails holds up no other.
func (p *proofs) look(now time.Time) error {
	if !p.looked.IsZero() && time.Since(p.looked) < proofLook {
		return nil
	}
	p.looked = time.Now()
	wanted, err := p.d.Store.ProofWishes()
	for device, wish := range wanted {
		day, since, due := proofDue(wish, now)
		if !due {
			continue
		}
		if failed := p.d.Store.RingProof(device, wish.Every, day, since, now); failed != nil {
			err = errors.Join(err, fmt.Errorf("line of proof on device %s: %w", device, failed))
		}
	}
	return err
}

// proofDue reports whether a line is due at now. day is the date for which it is, on the device:
// there is one line for each. since is from when on it counts.
func proofDue(p ring.Proof, now time.Time) (day string, since time.Time, due bool) {
	zone, ok := loadZone(p.Zone)
	if !ok || p.Every == "" {
		return "", since, false
	}
	counts := 1
	if p.Every == ring.EveryWeek {
		counts = 7
	}
	year, month, today := now.In(zone).Date()
	for back := range 8 {
		midnight := time.Date(year, month, today-back, 0, 0, 0, 0, time.UTC)
		if p.Every == ring.EveryWeek && midnight.Weekday() != time.Monday {
			continue
		}
		at, _ := clockReads(midnight.Add(time.Duration(p.At)*time.Minute), zone)
		if at.After(now) {
			continue
		}
		since, _ = clockReads(midnight.AddDate(0, 0, -counts).Add(time.Duration(p.At)*time.Minute), zone)
		return midnight.Format(time.DateOnly), since, now.Sub(at) < proofLate
	}
	return "", since, false
}
