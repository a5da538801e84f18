package push

import (
	"idlepush"
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

// With returns the outcome with one more parameter of its reason.
func With(o registry.Outcome, name, value string) registry.Outcome {
	o.Reason = o.Reason.With(name, value)
	return o
}
