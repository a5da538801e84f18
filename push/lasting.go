package push

import (
	"time"

	"idlepush"
	"idlepush/registry"
)

const (
	absentFor   = 24 * time.Hour // an address that is not found for so long is gone
	absentTries = 3              // and that often at least
)

// lasting returns the outcome gone for an address that has not been found for a day, by the status
// of its device before this outcome. A status from the future, before the clock was set back, shows
// nothing.
func lasting(o registry.Outcome, s idlepush.Status, now time.Time) registry.Outcome {
	if o.Absent && s.State == idlepush.StateSuspect && s.Code == o.Code && now.Sub(s.Since) >= absentFor && s.Failures+1 >= absentTries {
		return registry.Outcome{Result: registry.ResultGone, Reason: o.Reason}
	}
	return o
}
