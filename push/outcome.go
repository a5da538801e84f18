package push

import (
	"time"

	"idlepush"
	"idlepush/clocks"
	"idlepush/codes"
	"idlepush/registry"
)

// Retry returns the outcome of a failure that may pass and that concerns all devices of the lane.
func Retry(code codes.Code) registry.Outcome {
	return registry.Outcome{Result: registry.ResultRetry, Reason: idlepush.Reason{Code: code}}
}

// Unanswered returns the outcome Retry for a message that the service may nevertheless have
// accepted.
func Unanswered(code codes.Code) registry.Outcome {
	return registry.Outcome{Result: registry.ResultRetry, MaybeDelivered: true, Reason: idlepush.Reason{Code: code}}
}

// Suspect returns the outcome of a complaint about this one address that falls short of "gone".
func Suspect(code codes.Code) registry.Outcome {
	return registry.Outcome{Result: registry.ResultRetry, Suspect: true, Reason: idlepush.Reason{Code: code}}
}

// NotSent returns the outcome o of a message that was not sent, which says nothing about the
// service.
func NotSent(o registry.Outcome) registry.Outcome {
	o.NotSent = true
	return o
}

// Misconfigured returns the outcome of a complaint about this server: its key, settings or rights.
func Misconfigured(code codes.Code) registry.Outcome {
	return registry.Outcome{Result: registry.ResultMisconfigured, Reason: idlepush.Reason{Code: code}}
}

// Refused returns the outcome of a complaint about this one message.
func Refused(code codes.Code) registry.Outcome {
	return registry.Outcome{Result: registry.ResultRefused, Reason: idlepush.Reason{Code: code}}
}

// Wrong returns the step of an examination that had the outcome.
func Wrong(o registry.Outcome, took time.Duration) idlepush.Step {
	return idlepush.Step{Verdict: idlepush.VerdictWrong, Reason: o.Reason, Took: took}
}

// ClockBehind returns the outcome of a send that failed because the service's certificate is not
// valid yet by this machine's clock. It returns false if err has another cause.
func ClockBehind(err error) (o registry.Outcome, ok bool) {
	now := time.Now()
	from, ok := clocks.NotYetValid(err, now)
	if !ok {
		return o, false
	}
	return clockWrong("clock_behind", "from", from, now), true
}

// ClockAhead is ClockBehind for a certificate that is no longer valid. That is this machine's fault
// only if the service certainly renews its certificate.
func ClockAhead(err error) (o registry.Outcome, ok bool) {
	now := time.Now()
	until, ok := clocks.Expired(err, now)
	if !ok {
		return o, false
	}
	return clockWrong("clock_ahead", "until", until, now), true
}

// ClockWrong is ClockBehind or ClockAhead.
func ClockWrong(err error) (o registry.Outcome, ok bool) {
	if o, ok = ClockBehind(err); ok {
		return o, true
	}
	return ClockAhead(err)
}

func clockWrong(code codes.Code, bound string, at, now time.Time) registry.Outcome {
	o := With(Retry(code), bound, at.UTC().Format(time.DateTime))
	return With(o, codes.Now, now.UTC().Format(time.DateTime))
}

// With returns the outcome with one more parameter of its reason.
func With(o registry.Outcome, name, value string) registry.Outcome {
	o.Reason = o.Reason.With(name, value)
	return o
}
