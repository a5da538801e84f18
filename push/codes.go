package push

import "idlepush/codes"

// Codes are those that the dispatcher gives itself. Each transport has its own, which are in its
// Service.
var Codes = []codes.Entry{
	{Code: "transport_unknown", Text: "This version of idlepush does not know {transport}, by which this device is reached."},
	{Code: "clock_behind", Text: "The push service's certificate is valid only from {from} on, and this server's clock shows {now} (UTC). Check this server's clock."},
	{Code: "clock_ahead", Text: "The push service's certificate was valid only until {until}, and this server's clock shows {now} (UTC). Check this server's clock."},
	{Code: "too_many_at_once", Text: "Too many test pushes to your devices are on their way: try again in a few seconds."},

	// Decisions
	{Code: codeFolder, Text: "This device is not to ring for mail in this folder."},
	{Code: codeMuted, Text: "This is muted.", Cases: map[string]string{
		"mailbox": "This mailbox is muted until {until}.", "mailbox_for_ever": "This mailbox is muted.",
		"sender": "This sender is muted until {until}.", "sender_for_ever": "This sender is muted.",
		"conversation": "This conversation is muted until {until}.", "conversation_for_ever": "This conversation is muted."}},
	{Code: codeRule, Text: "Rule {rule} of this mailbox decides.", Cases: map[string]string{
		"ring": "It rings by rule {rule} of this mailbox.", "loud": "It rings loudly by rule {rule} of this mailbox.",
		"silent": "It shows without a sound by rule {rule} of this mailbox.", "not": "It does not ring by rule {rule} of this mailbox."}},
	{Code: codeOtherwise, Text: "No rule of this mailbox matches.", Cases: map[string]string{
		"loud": "It rings loudly, as all mail of this mailbox that no rule matches.", "silent": "It shows without a sound, as all mail of this mailbox that no rule matches.",
		"not": "It does not ring, as all mail of this mailbox that no rule matches."}},
	{Code: codeQuiet, Text: "This device is quiet until {until}.", Cases: map[string]string{"silent": "It shows without a sound: this device is quiet until {until}."}},
	{Code: codeThrough, Text: "It breaks through.", Cases: map[string]string{
		"people": "It breaks through: the sender is one of the people who matter.", "rule": "It breaks through quiet hours: it rings loudly by rule {rule} of this mailbox.",
		"otherwise": "It breaks through quiet hours: mail of this mailbox that no rule matches rings loudly.", "attention": "It breaks through quiet hours, as all that needs attention."}},
	{Code: codeBurst, Text: "Much mail came at once: this waits to be counted in a summary."},
	{Code: codeSilent, Text: "It shows without a sound, because it counts only mail that does."},

	// The keys of a device
	{Code: "key_missing", Text: "This key is missing."},
	{Code: "key_not_base64url", Text: "This must be base64url."},
	{Code: "key_size", Text: "This must be {bytes} bytes in base64url, and has {given}."},
	{Code: "key_not_on_curve", Text: "This must be an uncompressed point on the curve P-256."},
}
