package push

import (
	"time"

	"idlepush"
	"idlepush/registry"
)

const (
	absentFor   = 24 * time.Hour // an address that has not been found for so long is gone,
	absentTries = 3              // if it was tried so often
)

// judgeAbsent returns the outcome gone if the address has not been found for a day, and o if not. s
// is the status of the device before o. A status from the future, before the clock was set back,
// shows nothing.
func judgeAbsent(o registry.Outcome, s idlepush.Status, now time.Time) registry.Outcome {
	if o.Absent && s.State == idlepush.StateSuspect && s.Code == o.Code && now.Sub(s.Since) >= absentFor && s.Failures+1 >= absentTries {
		return registry.Outcome{Result: registry.ResultGone, Reason: o.Reason}
	}
	return o
}
