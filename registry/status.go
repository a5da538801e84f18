package registry

import (
	"maps"
	"time"

	"idlepush"
)

func (row statusRow) status() idlepush.Status {
	return idlepush.Status{State: row.State, Since: row.Since, Reason: idlepush.Reason{Code: row.Code, Params: maps.Clone(row.Params)}, Proof: row.Proof, Failures: row.Failures, Failing: row.Failing, Retry: row.Retry, LoggedIn: row.LoggedIn}
}

func statusRowOf(st idlepush.Status) statusRow {
	return statusRow{st.State, st.Since, st.Code, st.Params, st.Proof, st.Failures, st.Failing, st.Retry, st.LoggedIn}
}

// A device is suspect after this many failed tries over this time without a success. Tries while
// its lane is paused do not count.
const (
	failingFor   = 3 * 24 * time.Hour
	failingTries = 20
)

// afterOutcome returns the device's status after the outcome. paused reports whether its lane is
// paused. A failure of the whole lane is no failure of the device, but its reason is shown there,
// too.
func afterOutcome(s idlepush.Status, o Outcome, paused bool, now time.Time) idlepush.Status {
	state, again := s.State, s.Code == o.Code
	if o.Result == ResultRetry && !paused {
		if s.Failures++; s.Failures == 1 {
			s.Failing = now
		}
		if s.Failures >= failingTries && now.Sub(s.Failing) >= failingFor {
			o.Suspect = true
		}
	}
	switch {
	case o.Result == ResultDelivered:
		state, s.Proof, s.Reason = idlepush.StateProven, now, idlepush.Reason{}
		s.Failures, s.Failing = 0, time.Time{}
	case o.Result == ResultRetry && o.Suspect:
		state, s.Reason = idlepush.StateSuspect, o.Reason
	case (o.Result == ResultRetry || o.Result == ResultMisconfigured) && o.Code != "" && s.State != idlepush.StateSuspect:
		s.Reason = o.Reason
	}
	if state != s.State || o.Absent && o.Suspect && !again { // how long an address is absent counts
		s.State, s.Since = state, now
	}
	return s
}
