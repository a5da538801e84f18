package registry

import "time"

func (row statusRow) status() Status {
	return Status{row.State, row.Since, Reason{row.Code, row.Params}, row.Proof, row.Failures, row.Failing}
}

func statusRowOf(st Status) statusRow {
	return statusRow{st.State, st.Since, st.Code, st.Params, st.Proof, st.Failures, st.Failing}
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
func afterOutcome(s Status, o Outcome, paused bool, now time.Time) Status {
	state := s.State
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
		state, s.Proof, s.Reason = StateProven, now, Reason{}
		s.Failures, s.Failing = 0, time.Time{}
	case o.Result == ResultRetry && o.Suspect:
		state, s.Reason = StateSuspect, o.Reason
	case (o.Result == ResultRetry || o.Result == ResultMisconfigured) && o.Code != "" && s.State != StateSuspect:
		s.Reason = o.Reason
	}
	if state != s.State {
		s.State, s.Since = state, now
	}
	return s
}
