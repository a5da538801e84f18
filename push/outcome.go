package push

import "idlepush/registry"

// Retry is the outcome of what may go well later, the same for every device of the lane.
func Retry(code, reason string) registry.Outcome {
	return registry.Outcome{Result: registry.ResultRetry, Code: code, Reason: reason}
}

// Unanswered is Retry where the service may have taken the message all the same.
func Unanswered(code, reason string) registry.Outcome {
	return registry.Outcome{Result: registry.ResultRetry, Unknown: true, Code: code, Reason: reason}
}

// Suspect is the outcome of a complaint about this one address, short of a certain "gone".
func Suspect(code, reason string) registry.Outcome {
	return registry.Outcome{Result: registry.ResultRetry, Suspect: true, Code: code, Reason: reason}
}

// Unasked is the same outcome where it came about without the service.
func Unasked(o registry.Outcome) registry.Outcome {
	o.Unasked = true
	return o
}

// Misconfigured is the outcome of a complaint about this server: its key, its settings, its rights.
func Misconfigured(code, reason string) registry.Outcome {
	return registry.Outcome{Result: registry.ResultMisconfigured, Code: code, Reason: reason}
}

// Refused is the outcome of a complaint about this one message.
func Refused(code, reason string) registry.Outcome {
	return registry.Outcome{Result: registry.ResultRefused, Code: code, Reason: reason}
}
