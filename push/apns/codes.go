package apns

import "idlepush/codes"

// Sentences that several codes share.
const (
	badMessage       = "APNs does not take this message as it is, so it was dropped. This is a fault of idlepush; please report it."
	badProviderToken = "Apple does not accept the key in apns-key. Check that it belongs to apns-key-id and apns-team-id and has not been revoked."
	badTime          = badProviderToken + " If it does, check this server's clock."
	badEnvironment   = "The key in apns-key is not for this APNs environment (production or sandbox). Make one for it on Apple's developer pages."
	foreignTopic     = "The topic that this device was registered with cannot be used with the key in apns-key. Register the device again with the app's own bundle id."
	appleDown        = "Apple has a problem of its own. It is tried again by itself."
	appRemoved       = "Apple says that the app is no longer installed on this device. Open the app to register again."
	perhapsRemoved   = "Apple said that the app was removed from this device, but not that this was after the app last registered. " +
		"It is tried again by itself; open the app on the device if this stays."
)

// The cases of codes that have several sentences.
const (
	caseUnconfirmed = "unconfirmed" // Apple does not say since when the app is gone
	caseOwnTopic    = "own_topic"   // the topic is the device's own, and not apns-topic
	caseMalformed   = "malformed"   // Apple was not asked
)

// Codes are those of this transport.
var Codes = []codes.Entry{
	// The device
	{Code: badDeviceToken, Text: "Apple does not know this device's token in its environment. Open the app on the device, so " +
		"that it registers again; check that the environment (production or sandbox) is the one the app was built for.", Cases: map[string]string{
		caseMalformed: "This device's token is not an APNs device token. Open the app on the device, so that it registers again.",
	}},
	{Code: "apns_device_token_not_for_topic", Text: "This device's token belongs to another app than its topic says. " +
		"Open the app on the device, so that it registers again; if every device says so, correct apns-topic."},
	{Code: "apns_unregistered", Text: appRemoved, Cases: map[string]string{caseUnconfirmed: perhapsRemoved}},
	{Code: "apns_expired_token", Text: appRemoved, Cases: map[string]string{caseUnconfirmed: perhapsRemoved}},
	{Code: "apns_unknown_gone", Text: "Apple complains about this device's token. Open the app on the device, so that it registers again."},
	{Code: "apns_encryption", Text: "This device's key {key} cannot be used. Open the app on the device, so that it registers again."},

	// This server
	{Code: "apns_not_configured", Text: "This server has no credentials for APNs: its admin must set apns-key."},
	{Code: "apns_token_malformed", Text: "This must be the APNs device token as 64 to 200 hexadecimal digits."},
	{Code: "apns_topic_malformed", Text: "This must be the app's bundle id, such as org.example.mail."},
	{Code: "apns_topic_disallowed", Text: "The key in apns-key may not send for this topic. Correct apns-topic, or use a key that covers it.",
		Cases: map[string]string{caseOwnTopic: foreignTopic}},
	{Code: "apns_bad_certificate", Text: badProviderToken},
	{Code: "apns_bad_certificate_environment", Text: badEnvironment},
	{Code: "apns_forbidden", Text: badProviderToken},
	{Code: "apns_invalid_provider_token", Text: badTime},
	{Code: "apns_missing_provider_token", Text: badProviderToken},
	{Code: "apns_expired_provider_token", Text: "Apple finds the time of our provider token wrong. Check this server's clock."},
	{Code: "apns_unrelated_key_id_in_token", Text: badProviderToken},
	{Code: "apns_bad_environment_key_in_token", Text: badEnvironment},

	// The message
	{Code: "apns_bad_collapse_id", Text: badMessage},
	{Code: "apns_bad_expiration_date", Text: badMessage},
	{Code: "apns_bad_message_id", Text: badMessage},
	{Code: "apns_bad_priority", Text: badMessage},
	{Code: "apns_bad_topic", Text: badMessage, Cases: map[string]string{caseOwnTopic: foreignTopic}},
	{Code: "apns_duplicate_headers", Text: badMessage},
	{Code: "apns_invalid_push_type", Text: badMessage},
	{Code: "apns_missing_device_token", Text: badMessage},
	{Code: "apns_missing_topic", Text: badMessage},
	{Code: "apns_payload_empty", Text: badMessage},
	{Code: "apns_bad_path", Text: badMessage},
	{Code: "apns_method_not_allowed", Text: badMessage},
	{Code: "apns_unknown_refusal", Text: badMessage},
	{Code: "apns_invalid_message", Text: "The message could not be put into APNs' form, so it was dropped. This is a fault of idlepush; please report it."},
	{Code: "apns_payload_too_large", Text: "The message is larger than APNs takes, so it was dropped. A lower content level for this " +
		"device makes messages smaller."},
	{Code: "apns_too_large", Text: "The message is larger than the {limit} bytes that APNs takes, so it was dropped. " +
		"A lower content level for this device makes messages smaller."},

	// An examination
	{Code: "apns_examined_unset", Text: "APNs has no key, so apps of your own cannot register with it; the page and Web Push need none"},
	{Code: "apns_examined", Text: "APNs takes messages of this server ({environment})"},
	{Code: "apns_examined_fails", Text: "APNs ({environment}): {cause}"},

	// The service
	{Code: "apns_idle_timeout", Text: appleDown},
	{Code: "apns_too_many_provider_token_updates", Text: "Apple has seen too many new provider tokens from this address. It is tried again " +
		"in 20 minutes by itself; check that no other server sends with the same key."},
	{Code: "apns_too_many_requests", Text: "Apple takes no more messages for this device for the moment. It is tried again by itself."},
	{Code: "apns_internal_server_error", Text: appleDown},
	{Code: "apns_shutdown", Text: appleDown},
	{Code: "apns_service_unavailable", Text: appleDown},
	{Code: unknownAnswer, Text: "Something gave an answer that idlepush does not know (HTTP status {status}). It is tried again by " +
		"itself; check the setting apns-endpoint and any proxy if this stays."},
	{Code: "apns_interrupted", Text: "Sending was interrupted. It is tried again by itself."},
	{Code: "apns_timeout", Text: "Apple did not answer in time. It is tried again by itself; check this server's connection if this stays."},
	{Code: "apns_unreachable", Text: "APNs could not be reached. It is tried again by itself; check this server's connection, DNS and any proxy if this stays."},
}
