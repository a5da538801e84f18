package push

import (
	"errors"
	"fmt"
	"time"

	"idlepush/registry"
)

// excessPause is how long a summary of excess mail does not ring again, however much it grows.
const excessPause = time.Hour

// ringsExcess reports whether a summary that has grown rings now.
func ringsExcess(e registry.Excess, now time.Time) bool { return !isWithin(now, e.Rang, excessPause) }

// ringExcess has the summaries of excess mail ring. One that fails holds up no other.
func (d *Dispatcher) ringExcess(now time.Time) error {
	list, err := d.Store.Excess()
	for _, e := range list {
		if !ringsExcess(e, now) {
			continue
		}
		if failed := d.Store.RingExcess(e, now); failed != nil {
			err = errors.Join(err, fmt.Errorf("account %s: %w", e.Account, failed))
			continue
		}
		d.Log.Info("more mail came than is kept in a day; one summary counts the rest", "account", e.Account, "count", e.Count)
	}
	return err
}
