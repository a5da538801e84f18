package apns

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/sideshow/apns2"

	"idlepush"
	"idlepush/codes"
	"idlepush/push"
	"idlepush/registry"
)

// Reasons without a constant in apns2. Apple documents BadEnvironmentKeyIdInToken but sends
// BadEnvironmentKeyInToken.
const (
	reasonUnrelatedKeyID      = "UnrelatedKeyIdInToken"
	reasonBadEnvironmentKeyID = "BadEnvironmentKeyIdInToken"
	reasonBadEnvironmentKey   = "BadEnvironmentKeyInToken"
)

// badDeviceToken is the code of a token that one environment does not know.
const badDeviceToken = "apns_bad_device_token"

// unknownAnswer is the code whose sentence names the HTTP status.
const unknownAnswer = "apns_unknown"

// table has the outcome of every answer. The first row that matches decides.
// developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
var table = []struct {
	from, to int
	reason   string    // Apple's; empty: any, or none
	when     condition // beside status and reason
	outcome  registry.Outcome
	wait     time.Duration // minimum, also if Retry-After is shorter
}{
	{200, 200, "", always, registry.Outcome{Result: registry.ResultDelivered}, 0},

	// The device
	{400, 400, apns2.ReasonBadDeviceToken, always, push.Suspect(badDeviceToken), 0},
	{400, 400, apns2.ReasonDeviceTokenNotForTopic, always, push.Suspect("apns_device_token_not_for_topic"), 0},
	{410, 410, apns2.ReasonUnregistered, sinceRegistered, gone("apns_unregistered"), 0},
	{410, 410, apns2.ReasonUnregistered, always, push.With(push.Suspect("apns_unregistered"), codes.Case, caseUnconfirmed), 0},
	{410, 410, apns2.ReasonExpiredToken, sinceRegistered, gone("apns_expired_token"), 0},
	{410, 410, apns2.ReasonExpiredToken, always, push.With(push.Suspect("apns_expired_token"), codes.Case, caseUnconfirmed), 0},
	{410, 410, "", hasReason, push.Suspect("apns_unknown_gone"), 0},

	// A topic that one user has entered must not pause everybody's lane.
	{400, 400, apns2.ReasonTopicDisallowed, ownTopic, push.With(push.Suspect("apns_topic_disallowed"), codes.Case, caseOwnTopic), 0},
	{400, 400, apns2.ReasonBadTopic, ownTopic, push.With(push.Suspect("apns_bad_topic"), codes.Case, caseOwnTopic), 0},
	// Apple finds the key wrong also if the topic is another team's. So this counts as an outage:
	// it blames no device, and pauses the lane only together with other failures.
	{403, 403, apns2.ReasonInvalidProviderToken, ownTopic, push.Retry("apns_invalid_provider_token"), 0},
	{403, 403, apns2.ReasonForbidden, ownTopic, push.Retry("apns_forbidden"), 0},

	// This server
	{400, 400, apns2.ReasonTopicDisallowed, always, push.Misconfigured("apns_topic_disallowed"), 0},
	{403, 403, apns2.ReasonBadCertificate, always, push.Misconfigured("apns_bad_certificate"), 0},
	{403, 403, apns2.ReasonBadCertificateEnvironment, always, push.Misconfigured("apns_bad_certificate_environment"), 0},
	{403, 403, apns2.ReasonForbidden, always, push.Misconfigured("apns_forbidden"), 0},
	{403, 403, apns2.ReasonInvalidProviderToken, always, push.Misconfigured("apns_invalid_provider_token"), 0},
	{403, 403, apns2.ReasonMissingProviderToken, always, push.Misconfigured("apns_missing_provider_token"), 0},
	{403, 403, apns2.ReasonExpiredProviderToken, always, push.Misconfigured("apns_expired_provider_token"), 0},
	{403, 403, reasonUnrelatedKeyID, always, push.Misconfigured("apns_unrelated_key_id_in_token"), 0},
	{403, 403, reasonBadEnvironmentKeyID, always, push.Misconfigured("apns_bad_environment_key_in_token"), 0},
	{403, 403, reasonBadEnvironmentKey, always, push.Misconfigured("apns_bad_environment_key_in_token"), 0},
	{403, 403, "", hasReason, push.Misconfigured("apns_forbidden"), 0},

	// The message
	{400, 400, apns2.ReasonBadCollapseID, always, push.Refused("apns_bad_collapse_id"), 0},
	{400, 400, apns2.ReasonBadExpirationDate, always, push.Refused("apns_bad_expiration_date"), 0},
	{400, 400, apns2.ReasonBadMessageID, always, push.Refused("apns_bad_message_id"), 0},
	{400, 400, apns2.ReasonBadPriority, always, push.Refused("apns_bad_priority"), 0},
	{400, 400, apns2.ReasonBadTopic, always, push.Refused("apns_bad_topic"), 0},
	{400, 400, apns2.ReasonDuplicateHeaders, always, push.Refused("apns_duplicate_headers"), 0},
	{400, 400, apns2.ReasonInvalidPushType, always, push.Refused("apns_invalid_push_type"), 0},
	{400, 400, apns2.ReasonMissingDeviceToken, always, push.Refused("apns_missing_device_token"), 0},
	{400, 400, apns2.ReasonMissingTopic, always, push.Refused("apns_missing_topic"), 0},
	{400, 400, apns2.ReasonPayloadEmpty, always, push.Refused("apns_payload_empty"), 0},
	{404, 404, apns2.ReasonBadPath, always, push.Refused("apns_bad_path"), 0},
	{405, 405, apns2.ReasonMethodNotAllowed, always, push.Refused("apns_method_not_allowed"), 0},
	{413, 413, "", hasReason, push.Refused("apns_payload_too_large"), 0},

	// The service
	{400, 400, apns2.ReasonIdleTimeout, always, push.Retry("apns_idle_timeout"), 0},
	// The token before was tried too, if it is still valid.
	{429, 429, apns2.ReasonTooManyProviderTokenUpdates, always, push.Retry("apns_too_many_provider_token_updates"), minRenewAge},
	{429, 429, "", always, push.Retry("apns_too_many_requests"), 0},
	// Apple asks for a wait of 15 minutes after a 5xx. After a short failure no mail should wait so
	// long, so without Retry-After the dispatcher's backoff decides. It grows with each failure,
	// and in an outage the lane is tried with one message at a time.
	{500, 500, apns2.ReasonInternalServerError, always, push.Retry("apns_internal_server_error"), 0},
	{503, 503, apns2.ReasonShutdown, always, push.Retry("apns_shutdown"), 0},
	{500, 599, "", always, push.Retry("apns_service_unavailable"), 0},

	// Unknown answers
	{400, 400, "", hasReason, push.Refused("apns_unknown_refusal"), 0},
	{404, 405, "", hasReason, push.Refused("apns_unknown_refusal"), 0},
	{100, 999, "", always, push.Retry(unknownAnswer), 0},
}

func gone(code codes.Code) registry.Outcome {
	return registry.Outcome{Result: registry.ResultGone, Reason: idlepush.Reason{Code: code}}
}

// condition is what a row of the table requires beside status and reason.
type condition string

const (
	always          condition = ""
	ownTopic        condition = "with a topic of the device's own"
	sinceRegistered condition = "later than the device registered" // not met without a time
	hasReason       condition = "with a reason"                    // not from a proxy
)

// met reports whether the answer for the target meets the condition.
func (c condition) met(a answer, d target) bool {
	switch c {
	case ownTopic:
		return d.ownTopic
	case sinceRegistered:
		return d.registered.Before(a.deadSince())
	case hasReason:
		return a.Reason != ""
	}
	return true
}

// target is the part of a device on which the outcome of an answer depends.
type target struct {
	registered time.Time
	ownTopic   bool // it does not use apns-topic
}

// outcome returns the outcome of Apple's answer for the device at now.
func (e *exchange) outcome(d target, now time.Time) registry.Outcome {
	a := e.answer()
	for _, row := range table {
		if e.status < row.from || e.status > row.to || row.reason != "" && row.reason != a.Reason || !row.when.met(a, d) {
			continue
		}
		o := row.outcome
		if o.Code == unknownAnswer {
			o = push.With(o, "status", strconv.Itoa(e.status))
		}
		if o.Result == registry.ResultRetry && !o.Suspect {
			o.At = push.RetryAfter(e.header, now)
			if row.wait > 0 {
				o.At = later(o.At, now.Add(row.wait))
			}
		}
		return o
	}
	return push.Retry(unknownAnswer)
}

// unreached returns the outcome of a send without an answer, also after GOAWAY or a lost
// connection. Apple may have accepted the message. If it is sent again, its collapse id makes the
// phone show it once.
func unreached(ctx context.Context, err error) registry.Outcome {
	if o, ok := push.ClockWrong(err); ok {
		return o
	}
	switch {
	case ctx.Err() == context.Canceled:
		return push.Unanswered("apns_interrupted")
	case errors.Is(err, context.DeadlineExceeded):
		return push.Unanswered("apns_timeout")
	}
	return push.Unanswered("apns_unreachable")
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
