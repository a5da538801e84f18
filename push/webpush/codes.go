package webpush

import "idlepush/codes"

// The cases of codes that have several sentences.
const (
	caseUnwritable = "unwritable" // of a server that anybody may run, such as ntfy
	caseScheme     = "scheme"
	caseNoHost     = "no_host"
	caseUserName   = "user_name"
	caseExpired    = "expired"
	caseRemoved    = "removed" // of an endpointError only; its code is endpointRemoved
)

// endpointRemoved is the code of an address by which a browser says that it has no subscription.
const endpointRemoved = "webpush_endpoint_removed"

// Codes are those of both transports. The parameter host is the name of the push service's host.
var Codes = []codes.Entry{
	// The device
	{Code: "webpush_gone", Text: "{host} says that this subscription is over. Register the device again to be notified."},
	{Code: notFound, Text: "{host} does not know this device's push address. If it says so for a day, the device is removed: register it again."},
	{Code: "webpush_nothing_there", Text: "{host} finds nothing at this device's push address. If it is yours, check the proxy in front of it; " +
		"if it stays so, register the device again."},
	{Code: endpointRemoved, Text: "The browser has ended this subscription. Register the device again to be notified."},
	{Code: "webpush_page", Text: "{host} answers with a web page, as no push service does. If it is yours, check the web server or proxy in front of it."},
	{Code: "webpush_refused_in_front", Text: "Something in front of the push server {host} refuses pushes. If it is yours, let them pass without a login."},
	{Code: vapidMismatch, Text: "{host} says that this subscription was made with another server key. Register the device again."},
	{Code: "webpush_other_key", Text: "{host} says that this subscription was made with another server key. If it stays so, register the device again."},
	{Code: "webpush_endpoint_malformed", Text: "This must be an https: address; at the servers of allow-push http: does too."},
	{Code: "webpush_bad_address", Text: "{host} says that this push address is none of its own. If it stays so, register the device again."},
	{Code: "webpush_no_subscriber", Text: "{host} says that no phone listens at this address now. Open the app that brings pushes to the phone (such as ntfy)."},
	{Code: "webpush_redirect", Text: "{host} sends pushes elsewhere, which is not followed. If it stays so, register the device again."},
	{Code: "webpush_unexpected", Text: "{host} gave an answer that no push service gives. If it stays so, register the device again."},
	{Code: "webpush_endpoint_not_allowed", Text: "{host} is not reachable: this server pushes only to https: addresses on the public internet. Check the name; if the host is yours, add its host:port to allow-push."},
	{Code: "webpush_subscription_missing", Text: "This device has no subscription. Register it again."},
	{Code: "webpush_endpoint_invalid", Text: "This device's push address is no URL. Register the device again.", Cases: map[string]string{
		caseScheme:   "This device's push address is neither an https: nor an http: address. Register the device again.",
		caseNoHost:   "This device's push address names no host. Register the device again.",
		caseUserName: "This device's push address holds a user name. Register the device again.",
	}},
	{Code: "webpush_keys_invalid", Text: "This device's key {key} cannot be used. Register the device again."},

	// This server
	{Code: "webpush_vapid_rejected", Text: "{host} does not accept this server's VAPID token. Check the server's clock and vapid-subject."},
	{Code: "webpush_unauthorized", Text: "{host} does not let this server push. Check the server's clock and vapid-subject; if only one device says so, register it again.",
		Cases: map[string]string{caseUnwritable: "{host} does not let this server push. If it is yours, let everybody write to the topics that begin with up."}},
	{Code: "webpush_subject_missing", Text: "Apple wants to know who runs this server: set vapid-subject " +
		"to a mailto: or https: address of yours, or public-url to this server's address."},
	{Code: "webpush_vapid_key", Text: "This server's VAPID key cannot sign: {error}."},

	// The message
	{Code: "webpush_bad_request", Text: "{host} called the push malformed, so it was dropped. This is a fault of idlepush: please report it."},
	{Code: "webpush_too_large", Text: "{host} found the message too large, so it was dropped. A content level that tells less makes messages smaller."},
	{Code: "webpush_unsendable", Text: "The message does not fit into a push, so it was dropped. This is a fault of idlepush: please report it."},

	// The service
	{Code: "webpush_throttled", Text: "{host} gets more pushes than it allows."},
	{Code: "webpush_unavailable", Text: "{host} is out of order (HTTP status {status}). It is tried again by itself."},
	{Code: "webpush_certificate", Text: "{host} showed a certificate that is not trusted. If it is yours, renew it, or name its authority's certificate in " +
		"SSL_CERT_FILE where idlepush runs.", Cases: map[string]string{
		caseExpired: "{host} showed a certificate that has expired. If it is yours, renew it; if not, check this server's clock.",
	}},
	{Code: "webpush_no_tls", Text: "{host} does not speak https on this port."},
	{Code: "webpush_canceled", Text: "{host} was not waited for, because idlepush was stopping."},
	{Code: "webpush_timeout", Text: "{host} did not answer in time."},
	{Code: "webpush_refused", Text: "{host} refused the connection. If it is yours, start it, and check the port."},
	{Code: "webpush_unreachable", Text: "{host} could not be reached. It is tried again by itself; check this server's connection if this stays."},

	// An examination
	{Code: "webpush_examined", Text: "Web Push has a contact, as Apple wants it"},
	{Code: "webpush_examined_no_contact", Text: noContact},
}
