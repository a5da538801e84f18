package registry

import "idlepush/codes"

// The cases of CodeOld.
const (
	summed     = "summary" // for a summary
	oldWaits   = "waits"   // for a mail that push has not decided on
	oldHandled = "handled" // for a mail that was cleared before
)

// CodeOld and codeDuplicate are why a mail did not ring. A summary with CodeOld counts old mail,
// and one with CodeExcess excess mail.
const (
	CodeOld       codes.Code = "old"
	codeDuplicate codes.Code = "duplicate"
	CodeExcess    codes.Code = "excess"
)

// CodeShareEnded says that an account is gone, or another mailbox, which was shared with the person
// who is notified. Its
// parameters have all that it takes to add the mailbox again, but not the password.
const CodeShareEnded codes.Code = "share_ended"

// codeTokenByAdmin is for the person for whom the admin token made a token.
const codeTokenByAdmin codes.Code = "token_by_admin"

// Codes are those that the registry gives itself.
var Codes = []codes.Entry{
	{Code: CodeOld, Text: "It did not ring by itself, because it is older mail that was found together with more: one summary counts them all.", Cases: map[string]string{
		summed:     "These mails are older and were found together, as after an import: this one summary rings for them all.",
		oldWaits:   "It has not rung yet, because it is older mail and waits in case more comes: then it rings by itself, or one summary counts it.",
		oldHandled: "It did not ring, because it is older mail and was read or removed before it was to ring.",
	}},
	{Code: "device_refused", Text: "Its push service takes pushes to other devices, but refuses those to this one. Register the device again; if the push server is yours, let this server push to its address too."},
	{Code: CodeExcess, Text: "More than {limit} mails came to this mailbox in 24 hours. This summary counts those that came after them, which are not listed one by one. They are in the mailbox."},
	{Code: codeDuplicate, Text: "It did not ring again: the same mail was there before, in {folder}."},
	{Code: CodeShareEnded, Text: "it no longer rings for you, because its owner no longer watches it or is gone: to keep it, add it again with its password " +
		"(mail server {host}, port {port}, encryption {security}, user name {username})"},
	{Code: codeTokenByAdmin, Text: "somebody with the admin token has made a token for an app of yours, {token}: if you do not know of it, end it on your page “You”"},
	{Code: "device_gone", Text: "{device} gets no more notifications: {cause}"},
}
