package push

import "idlepush/codes"

// Codes are those that the dispatcher gives itself. Each transport has its own, which are in its
// Service.
var Codes = []codes.Entry{
	{Code: "transport_unknown", Text: "This version of idlepush does not know {transport}, by which this device is reached."},
	{Code: "clock_behind", Text: "The push service's certificate is valid only from {from} on, and this server's clock shows {now} (UTC). Check this server's clock."},
	{Code: "clock_ahead", Text: "The push service's certificate was valid only until {until}, and this server's clock shows {now} (UTC). Check this server's clock."},
	{Code: "too_many_at_once", Text: "Too many test pushes to your devices are on their way: try again in a few seconds."},

	// The keys of a device
	{Code: "key_missing", Text: "This key is missing."},
	{Code: "key_not_base64url", Text: "This must be base64url."},
	{Code: "key_size", Text: "This must be {bytes} bytes in base64url, and has {given}."},
	{Code: "key_not_on_curve", Text: "This must be an uncompressed point on the curve P-256."},
}
