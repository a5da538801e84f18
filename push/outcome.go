package push

import "idlepush/registry"

// Retry returns the outcome of a failure that may pass and that concerns all devices of the lane.
func Retry(code, reason string) registry.Outcome {
	return registry.Outcome{Result: registry.ResultRetry, Code: code, Reason: reason}
}

// Unanswered returns the outcome Retry for a message that the service may nevertheless have
// accepted.
func Unanswered(code, reason string) registry.Outcome {
	return registry.Outcome{Result: registry.ResultRetry, Unknown: true, Code: code, Reason: reason}
}

// Suspect returns the outcome of a complaint about this one address that falls short of "gone".
func Suspect(code, reason string) registry.Outcome {
	return registry.Outcome{Result: registry.ResultRetry, Suspect: true, Code: code, Reason: reason}
}

// Unasked returns the outcome o of a message that was not sent, which says nothing about the
// service.
func Unasked(o registry.Outcome) registry.Outcome {
	o.Unasked = true
	return o
}

// Misconfigured returns the outcome of a complaint about this server: its key, settings or rights.
func Misconfigured(code, reason string) registry.Outcome {
	return registry.Outcome{Result: registry.ResultMisconfigured, Code: code, Reason: reason}
}

// Refused returns the outcome of a complaint about this one message.
func Refused(code, reason string) registry.Outcome {
	return registry.Outcome{Result: registry.ResultRefused, Code: code, Reason: reason}
}
