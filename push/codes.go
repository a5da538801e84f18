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
	// A person may read them later, so they tell of the decision in the past tense.
	{Code: codeFolder, Text: "This device was not to be told of mail in this folder."},
	{Code: codeMuted, Text: "It was muted.", Cases: map[string]string{
		"mailbox": "This mailbox was muted until {until}.", "mailbox_for_ever": "This mailbox was muted.",
		"sender": "This sender was muted until {until}.", "sender_for_ever": "This sender was muted.",
		"conversation": "This conversation was muted until {until}.", "conversation_for_ever": "This conversation was muted."}},
	{Code: codeRule, Text: "Rule {rule} of this mailbox, as the rules were then, decided.", Cases: map[string]string{
		"ring": "It was to ring by rule {rule} of this mailbox, as the rules were then.", "loud": "It was to ring loudly by rule {rule} of this mailbox, as the rules were then.",
		"silent": "It was to show without a sound by rule {rule} of this mailbox, as the rules were then.", "not": "It was not to ring by rule {rule} of this mailbox, as the rules were then."}},
	{Code: codeOtherwise, Text: "No rule of this mailbox matched.", Cases: map[string]string{
		"loud": "It was to ring loudly, as all mail of this mailbox that no rule matched.", "silent": "It was to show without a sound, as all mail of this mailbox that no rule matched.",
		"not": "It was not to ring, as all mail of this mailbox that no rule matched."}},
	{Code: codeQuiet, Text: "It was held back by the quiet hours of this device, until {until}.", Cases: map[string]string{"silent": "It was to show without a sound, because this device had quiet hours until {until}."}},
	{Code: codeThrough, Text: "It came through quiet hours.", Cases: map[string]string{
		"people": "It came through quiet hours: the sender was one of the people who matter.", "people_burst": "It rang by itself, although much mail came at once: the sender was one of the people who matter.",
		"rule":      "It came through quiet hours: it was to ring loudly by rule {rule} of this mailbox, as the rules were then.",
		"otherwise": "It came through quiet hours: mail of this mailbox that no rule matched was to ring loudly.", "attention": "It came through quiet hours, as all that needs attention."}},
	{Code: codePerson, Text: "The sender was one of the people who matter."},
	{Code: codeBurst, Text: "Much mail came at once: it waited to be counted in a summary."},
	{Code: codeSilent, Text: "It was to show without a sound, because it counted only mail that was."},

	// The keys of a device
	{Code: "key_missing", Text: "This key is missing."},
	{Code: "key_not_base64url", Text: "This must be base64url."},
	{Code: "key_size", Text: "This must be {bytes} bytes in base64url, and has {given}."},
	{Code: "key_not_on_curve", Text: "This must be an uncompressed point on the curve P-256."},
}
