package fcm

import "idlepush/codes"

// Codes are those of this transport.
var Codes = []codes.Entry{
	// The device
	{Code: "fcm_unregistered", Text: "FCM says that the app is no longer installed on this device, or that its token has expired. Open the app to register again."},
	{Code: "fcm_invalid_token", Text: "This device's token is not a valid FCM token. Open the app on the device, so that it registers again."},
	{Code: "fcm_sender_id_mismatch", Text: "This device's token belongs to another Firebase project than fcm-credentials. " +
		"Open the app on the device, so that it registers again; if every device says so, fcm-credentials is for the wrong project."},
	{Code: "fcm_third_party_auth", Text: "FCM cannot reach this kind of device, because the APNs or Web Push key stored in the " +
		"Firebase project is missing or wrong. Correct it in the Firebase console under Cloud Messaging, then send a test push."},
	{Code: "fcm_encryption", Text: "This device's key {key} cannot be used. Open the app on the device, so that it registers again."},

	// This server
	{Code: "fcm_not_configured", Text: "This server has no credentials for FCM: its admin must set fcm-credentials."},
	{Code: "fcm_token_malformed", Text: "This must be the FCM registration token as the Firebase SDK gives it to the app."},
	{Code: "fcm_credentials", Text: "Google does not accept the key in fcm-credentials. Check this server's clock, and that the service " +
		"account and its key still exist; otherwise make a new key in the Firebase console."},
	{Code: "fcm_unauthenticated", Text: "Google does not accept the access token of the service account in fcm-credentials. " +
		"Check that the account is enabled, or make a new key in the Firebase console."},
	{Code: "fcm_permission_denied", Text: "The service account in fcm-credentials may not send messages. Give it the role " +
		"Firebase Cloud Messaging API Admin, and enable the Firebase Cloud Messaging API in the project."},
	{Code: "fcm_wrong_project", Text: "FCM does not know the Firebase project, or its address is wrong. Check fcm-credentials and fcm-endpoint."},

	// The message
	{Code: "fcm_invalid_argument", Text: "FCM does not take this message as it is, so it was dropped. This is a fault of idlepush; please report it."},
	{Code: "fcm_invalid_message", Text: "The message could not be put into FCM's form, so it was dropped. This is a fault of idlepush; please report it."},
	{Code: "fcm_too_large", Text: "The message is larger than FCM takes, so it was dropped. A lower content level for this device makes messages smaller."},

	// An examination
	{Code: "fcm_examined_unset", Text: "FCM has no credentials, so apps of your own cannot register with it; the page and Web Push need none"},
	{Code: "fcm_examined_token", Text: "Google gives an access token to the service account in fcm-credentials"},
	{Code: "fcm_examined", Text: "FCM takes messages of this server"},

	// The service
	{Code: "fcm_quota_exceeded", Text: "FCM takes no more messages for the moment. It is tried again by itself."},
	{Code: unavailable, Text: "FCM has a problem of its own (HTTP status {status}). It is tried again by itself."},
	{Code: "fcm_token_unavailable", Text: "Google gave no access token for FCM. It is tried again by itself; check this server's connection if this stays."},
	{Code: "fcm_unreadable_answer", Text: "Something answered that is not FCM. It is tried again by itself; check the setting fcm-endpoint and any proxy if this stays."},
	{Code: unknown, Text: "Google gave an answer that idlepush does not know (HTTP status {status}). It is tried again by itself; " +
		"check the setting fcm-endpoint and any proxy if this stays."},
	{Code: "fcm_interrupted", Text: "Sending was interrupted. It is tried again by itself."},
	{Code: "fcm_timeout", Text: "FCM did not answer in time. It is tried again by itself; check this server's connection if this stays."},
	{Code: "fcm_unreachable", Text: "FCM could not be reached. It is tried again by itself; check this server's connection, DNS and any proxy if this stays."},
}
