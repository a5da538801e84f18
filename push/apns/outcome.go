package apns

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sideshow/apns2"

	"idlepush/push"
	"idlepush/registry"
)

// Reasons that apns2 has no name for. Apple documents BadEnvironmentKeyIdInToken and sends BadEnvironmentKeyInToken.
const (
	reasonUnrelatedKeyID      = "UnrelatedKeyIdInToken"
	reasonBadEnvironmentKeyID = "BadEnvironmentKeyIdInToken"
	reasonBadEnvironmentKey   = "BadEnvironmentKeyInToken"
)

const (
	badMessage       = "APNs does not take this message as it is, so it was dropped. This is a fault of idlepush; please report it."
	badProviderToken = "Apple does not accept the key in apns-key. Check that it belongs to apns-key-id and apns-team-id and has not been revoked."
	badEnvironment   = "The key in apns-key is not for this APNs environment (production or sandbox). Make one for it on Apple's developer pages."
	foreignTopic     = "The topic that this device was registered with cannot be used with the key in apns-key. Register the device again with the app's own bundle id."
	appleDown        = "Apple has a problem of its own. It is tried again by itself."
)

// meanings are the outcomes that depend on nothing but the reason.
// https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
var meanings = map[string]registry.Outcome{
	apns2.ReasonBadDeviceToken: push.Suspect("apns_bad_device_token", "Apple does not know this device's token in its environment. Open the app on the device, so "+
		"that it registers again; check that the environment (production or sandbox) is the one the app was built for."),
	apns2.ReasonDeviceTokenNotForTopic: push.Suspect("apns_device_token_not_for_topic", "This device's token belongs to another app than its topic says. "+
		"Open the app on the device, so that it registers again; if every device says so, correct apns-topic."),

	apns2.ReasonTopicDisallowed:           push.Misconfigured("apns_topic_disallowed", "The key in apns-key may not send for this topic. Correct apns-topic, or use a key that covers it."),
	apns2.ReasonBadCertificate:            push.Misconfigured("apns_bad_certificate", badProviderToken),
	apns2.ReasonBadCertificateEnvironment: push.Misconfigured("apns_bad_certificate_environment", badEnvironment),
	apns2.ReasonForbidden:                 push.Misconfigured("apns_forbidden", badProviderToken),
	apns2.ReasonInvalidProviderToken:      push.Misconfigured("apns_invalid_provider_token", badProviderToken),
	apns2.ReasonMissingProviderToken:      push.Misconfigured("apns_missing_provider_token", badProviderToken),
	apns2.ReasonExpiredProviderToken:      push.Misconfigured("apns_expired_provider_token", "Apple finds the time of our provider token wrong. Set this server's clock right."),
	reasonUnrelatedKeyID:                  push.Misconfigured("apns_unrelated_key_id_in_token", badProviderToken),
	reasonBadEnvironmentKeyID:             push.Misconfigured("apns_bad_environment_key_in_token", badEnvironment),
	reasonBadEnvironmentKey:               push.Misconfigured("apns_bad_environment_key_in_token", badEnvironment),

	apns2.ReasonBadCollapseID:      push.Refused("apns_bad_collapse_id", badMessage),
	apns2.ReasonBadExpirationDate:  push.Refused("apns_bad_expiration_date", badMessage),
	apns2.ReasonBadMessageID:       push.Refused("apns_bad_message_id", badMessage),
	apns2.ReasonBadPriority:        push.Refused("apns_bad_priority", badMessage),
	apns2.ReasonBadTopic:           push.Refused("apns_bad_topic", badMessage),
	apns2.ReasonDuplicateHeaders:   push.Refused("apns_duplicate_headers", badMessage),
	apns2.ReasonInvalidPushType:    push.Refused("apns_invalid_push_type", badMessage),
	apns2.ReasonMissingDeviceToken: push.Refused("apns_missing_device_token", badMessage),
	apns2.ReasonMissingTopic:       push.Refused("apns_missing_topic", badMessage),
	apns2.ReasonPayloadEmpty:       push.Refused("apns_payload_empty", badMessage),
	apns2.ReasonBadPath:            push.Refused("apns_bad_path", badMessage),
	apns2.ReasonMethodNotAllowed:   push.Refused("apns_method_not_allowed", badMessage),
	apns2.ReasonPayloadTooLarge: push.Refused("apns_payload_too_large", "The message is larger than APNs takes, so it was dropped. A lower content level for this "+
		"device makes messages smaller."),

	apns2.ReasonTooManyRequests: push.Retry("apns_too_many_requests", "Apple takes no more messages for this device for the moment. It is tried again by itself."),
	apns2.ReasonTooManyProviderTokenUpdates: push.Retry("apns_too_many_provider_token_updates", "Apple has seen too many new provider tokens from this address. It is tried again "+
		"in 20 minutes by itself; check that no other server sends with the same key."),
	apns2.ReasonIdleTimeout:         push.Retry("apns_idle_timeout", appleDown),
	apns2.ReasonInternalServerError: push.Retry("apns_internal_server_error", appleDown),
	apns2.ReasonServiceUnavailable:  push.Retry("apns_service_unavailable", appleDown),
	apns2.ReasonShutdown:            push.Retry("apns_shutdown", appleDown),
}

// topical are the reasons that Apple gives for a topic.
var topical = map[string]bool{apns2.ReasonTopicDisallowed: true, apns2.ReasonBadTopic: true}

// ambiguous are those that it gives for a topic too: of another team's it finds the key wrong. For a device with a topic of its own they are held
// to be an outage, which says nothing of the device and pauses the lane only with others.
var ambiguous = map[string]bool{apns2.ReasonInvalidProviderToken: true, apns2.ReasonForbidden: true}

// outcome says what Apple's answer means for a device that was registered at the given time, with a topic of its own or
// with apns-topic.
func (e *exchange) outcome(registered time.Time, ownTopic bool, now time.Time) registry.Outcome {
	a := e.answer()
	if e.status == http.StatusOK {
		return registry.Outcome{Result: registry.ResultDelivered}
	}
	if e.status == http.StatusGone && (a.Reason == apns2.ReasonUnregistered || a.Reason == apns2.ReasonExpiredToken) {
		return dead(a, registered)
	}
	o, known := meanings[a.Reason]
	switch {
	case !known:
		o = e.unknown(a)
	case ownTopic && topical[a.Reason]:
		// What one user wrote must not pause the lane of all.
		return push.Suspect(o.Code, foreignTopic)
	case ownTopic && o.Result == registry.ResultMisconfigured && ambiguous[a.Reason]:
		return push.Retry(o.Code, o.Reason)
	}
	if o.Result != registry.ResultRetry || o.Suspect {
		return o
	}
	// Apple asks for 15 minutes after a 5xx. Without Retry-After the time is left to the dispatcher all the same, which slows down with
	// each failure and, in an outage, tries the lane with one message at a time: after a passing fault no mail waits so long.
	o.At = push.RetryAfter(e.header, now)
	if a.Reason == apns2.ReasonTooManyProviderTokenUpdates {
		// The provider token is kept meanwhile; only renew replaces it.
		o.At = later(o.At, now.Add(renewable))
	}
	return o
}

// dead says what 410 means: nothing certain where it does not say since when, or the app has registered the same token again since.
func dead(a answer, registered time.Time) registry.Outcome {
	code, since := "apns_unregistered", a.deadSince()
	if a.Reason == apns2.ReasonExpiredToken {
		code = "apns_expired_token"
	}
	if registered.Before(since) {
		return registry.Outcome{Result: registry.ResultGone, Code: code,
			Reason: "Apple says that the app is no longer installed on this device. Open the app to register again."}
	}
	return push.Suspect(code, "Apple said that the app was removed from this device, but not that this was after the app last registered. "+
		"It is tried again by itself; open the app on the device if this stays.")
}

// unknown says what an answer means whose reason is not known, or that is not Apple's.
func (e *exchange) unknown(a answer) registry.Outcome {
	switch {
	case e.status == http.StatusRequestEntityTooLarge:
		return meanings[apns2.ReasonPayloadTooLarge]
	case e.status == http.StatusForbidden && a.Reason != "":
		return push.Misconfigured("apns_forbidden", badProviderToken)
	case e.status == http.StatusTooManyRequests:
		return meanings[apns2.ReasonTooManyRequests]
	case e.status >= 500:
		return meanings[apns2.ReasonServiceUnavailable]
	case e.status == http.StatusGone:
		return push.Suspect("apns_unknown_gone", "Apple complains about this device's token. Open the app on the device, so that it registers again.")
	case a.Reason != "" && (e.status == http.StatusBadRequest || e.status == http.StatusNotFound || e.status == http.StatusMethodNotAllowed):
		return push.Refused("apns_unknown_refusal", badMessage)
	}
	return push.Retry("apns_unknown", fmt.Sprintf("Something gave an answer that idlepush does not know (HTTP status %d). It is tried again by itself; "+
		"check the setting apns-endpoint and any proxy if this stays.", e.status))
}

// unreached says what it means that there was no answer. GOAWAY and a lost connection are among it: Apple may have taken the message, and
// the same collapse id makes the phone show it once.
func unreached(ctx context.Context, err error) registry.Outcome {
	switch {
	case ctx.Err() == context.Canceled:
		return push.Unanswered("apns_interrupted", "Sending was interrupted. It is tried again by itself.")
	case errors.Is(err, context.DeadlineExceeded):
		return push.Unanswered("apns_timeout", "Apple did not answer in time. It is tried again by itself; check this server's connection if this stays.")
	}
	return push.Unanswered("apns_unreachable", "APNs could not be reached. It is tried again by itself; check this server's connection, DNS and any proxy if this stays.")
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
