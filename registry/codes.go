package registry

import (
	"idlepush"
	"idlepush/codes"
	"idlepush/ring"
)

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

// codeShareOffered is for the person to whom an account is offered. codeShareJoined is for its
// owner, once somebody shares it.
const (
	codeShareOffered codes.Code = "share_offered"
	codeShareJoined  codes.Code = "share_joined"
)

// byPassword and byConsent are the cases of codeShareJoined for a person who has added the mailbox
// with its password, or by consent at its provider. byConsent is also that of CodeShareEnded.
const (
	byPassword = "password"
	byConsent  = "consent"
)

// These tell a person what somebody has done with the admin token.
const (
	codeTokenByAdmin  codes.Code = "token_by_admin"
	codeDeviceByAdmin codes.Code = "device_by_admin"
	// Its account is that of the mailbox.
	codeMailboxByAdmin codes.Code = "mailbox_by_admin"
)

// mailboxRemoved is the case of codeMailboxByAdmin for one that is gone.
const mailboxRemoved = "removed"

// These are for the person whose password it is. codePasswordLink says that there is a link to
// choose a new one, and codePasswordSet that it was used. codePasswordGiven says that somebody logs
// in with one that an admin chose.
const (
	codePasswordLink  codes.Code = "password_link"
	codePasswordSet   codes.Code = "password_set"
	codePasswordGiven codes.Code = "password_given"
)

// The cases of codePasswordLink.
const (
	byAdminToken = "admin_token"
	onServer     = "server"
)

// codeRenamed is for the person to whom an admin has given another name.
const codeRenamed codes.Code = "renamed"

// codePasskeyAdded and codePasswordOff are for the person whose way to log in has changed.
const (
	codePasskeyAdded codes.Code = "passkey_added"
	codePasswordOff  codes.Code = "password_off"
)

// codeRowDamaged is for admins, and codeDeviceDamaged for the person whose device it was.
const (
	codeRowDamaged    codes.Code = "row_damaged"
	codeDeviceDamaged codes.Code = "device_damaged"
)

// codeDeviceGone tells a person that a device no longer rings.
const codeDeviceGone codes.Code = "device_gone"

// codeFilesOpen is for admins.
const codeFilesOpen codes.Code = "files_open"

// The cases of codeRowDamaged.
const (
	ofPerson    = "person"
	ofMailbox   = "mailbox"
	ofDevice    = "device"
	ofLogins    = "logins"
	ofClient    = "client"
	ofConsent   = "consent"
	ofWishes    = "wishes"
	ofPublicURL = "public-url"
)

const (
	rowDamaged = " is damaged, or something other than idlepush has changed it: "
	whoWrote   = " Find out who else can write the data folder."

	shareEnded = "it no longer rings for you, because its owner no longer watches it or is gone: to keep it, "
	hasJoined  = ", and is notified of its new mail from now on. If you did not expect that, change the password at the provider, and end the share on the page of the mailbox"

	linkMade = " has made a link by which a new password can be chosen for you, within 24 hours. Whoever has the link can log in as you. " +
		"If you did not ask for it, change your password on your page “You”, which ends the link, and ask who made it."
)

// Codes are those that the registry gives itself.
var Codes = []codes.Entry{
	{Code: CodeOld, Text: "It did not ring by itself, because it is older mail that was found together with more: one summary counts them all.", Cases: map[string]string{
		summed:     "These mails are older and were found together, as after an import: this one summary rings for them all.",
		oldWaits:   "It has not rung yet, because it is older mail and waits in case more comes: then it rings by itself, or one summary counts it.",
		oldHandled: "It did not ring, because it is older mail and was read or removed before it was to ring.",
	}},
	{Code: "device_refused", Text: "Its push service takes pushes to other devices, but refuses those to this one. Register the device again; if the push server is yours, let this server push to its address too."},
	{Code: CodeExcess, Text: "More than {limit} mails came to this mailbox in 24 hours. This summary counts those that came after them, which are not listed one by one. They are in the mailbox."},
	{Code: codeHeartbeat, Text: "Mail that rang in the last 7 days: {count}, on {devices} of your devices. Slowest: {slowest} s. Lost: {lost}.", Cases: map[string]string{
		string(ring.EveryDay): "Mail that rang in the last day: {count}, on {devices} of your devices. Slowest: {slowest} s. Lost: {lost}.",
	}},
	{Code: codeDuplicate, Text: "It did not ring again: the same mail was there before, in {folder}."},
	{Code: CodeShareEnded, Text: shareEnded + "add it again with its password (mail server {host}, port {port}, encryption {security}, user name {username})", Cases: map[string]string{
		byConsent: shareEnded + "add it again by signing in to it at its provider (mail server {host}, user name {username})",
	}},
	{Code: codeShareOffered, Text: "“{person}” wants to share a mailbox with you, under the name {mailbox}, which is on the mail server {host}. It rings for you only if you accept, on the page “Mailboxes”"},
	{Code: codeShareJoined, Text: "“{person}” has accepted, and is notified of its new mail from now on", Cases: map[string]string{
		byPassword: "“{person}” has added it with its password" + hasJoined,
		byConsent:  "“{person}” has added it by signing in to it at its provider" + hasJoined,
	}},
	{Code: codeTokenByAdmin, Text: "somebody with the admin token has made a token for an app of yours, {token}: if you do not know of it, end it on your page “You”"},
	{Code: codeDeviceByAdmin, Text: "somebody with the admin token has added or changed a device of yours, {device}: if you do not know of it, remove it on your page “Devices”"},
	{Code: codeMailboxByAdmin, Text: "somebody with the admin token has added it for you, or changed its server, folders, link or people: if you do not know of that, look at it on your page “Mailboxes”", Cases: map[string]string{
		mailboxRemoved: "somebody with the admin token has removed it, and it no longer rings: if you do not know of that, add it again on your page “Mailboxes”, and ask your admin",
	}},
	{Code: codePasswordLink, Text: "{admin}" + linkMade, Cases: map[string]string{
		byAdminToken: "Somebody with the admin token" + linkMade,
		onServer:     "Somebody on the server" + linkMade,
	}},
	{Code: codePasswordSet, Text: "A new password was chosen for you, by the link that was made for that. If it was not you, somebody else can log in as you: ask the admin of this server for a new link at once."},
	{Code: codePasswordGiven, Text: "Somebody logs in as you with the password that an admin chose for you. If it is not you, change the password on your page “You”. An admin does not know one that you choose yourself."},
	{Code: codeRenamed, Text: "An admin has changed your name to {name}. You log in with it from now on, and others find you by it."},
	{Code: codePasskeyAdded, Text: "a passkey was added, {passkey}, with which its owner can log in as you: if you do not know of it, remove it on your page “You”, then choose a new password"},
	{Code: codePasswordOff, Text: "your password no longer lets in, only your passkeys do: if you did not want that, use one to switch it on again on your page “You”, or ask your admin"},
	{Code: idlepush.CodeDamaged, Text: "what the store has of this mailbox is damaged, or something other than idlepush has changed it, so its password is sent nowhere: " +
		"remove the mailbox and add it again, and tell the admin of this server"},
	{Code: codeFilesOpen, Text: "Others on this machine can perhaps read or write {files} in the data folder, and the file system does not let that be changed: " +
		"move the folder to another one, or mount this one for the user of idlepush alone, such as with the options uid and umask=077."},
	{Code: codeDeviceDamaged, Text: "its row in the store was damaged, or changed by something other than idlepush. Register it again, and tell the admin of this server."},
	{Code: codeRowDamaged, Text: "A row of the store" + rowDamaged + "it opens nothing." + whoWrote, Cases: map[string]string{
		ofPerson:    "The row of a person in the store" + rowDamaged + "nobody can log in as that person (id {id}). Restore the store from your backup, or remove the person and invite them again." + whoWrote,
		ofMailbox:   "The row of a mailbox in the store" + rowDamaged + "it is not watched (id {id}). Restore the store from your backup, or let its owner remove it and add it again." + whoWrote,
		ofDevice:    "The row of a device in the store" + rowDamaged + "it was removed (id {id}), and rings once it is registered again." + whoWrote,
		ofLogins:    "Tokens, sessions or invites in the store are damaged, or something other than idlepush has changed them: {count} were removed. People log in again." + whoWrote,
		ofClient:    "The OAuth client of the provider {provider} in the store" + rowDamaged + "it was removed. Set it again on the page “People”, or as a setting." + whoWrote,
		ofConsent:   "What the store has of the consent by which a mailbox is opened" + rowDamaged + "it was removed (id {id}). Its owner signs in to the mailbox again." + whoWrote,
		ofWishes:    "Rules, mutes or quiet hours in the store are damaged, or something other than idlepush has changed them: {count} rows were removed. Mail rings as if there were none, until people set them again." + whoWrote,
		ofPublicURL: "The public URL in the store" + rowDamaged + "it is not used. Set public-url." + whoWrote,
	}},
	{Code: codeDeviceGone, Text: "{device} gets no more notifications: {cause}"},
}
