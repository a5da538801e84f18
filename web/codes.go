package web

import (
	"github.com/danielgtaylor/huma/v2"

	"idlepush"
	"idlepush/codes"
	"idlepush/ring"
)

// Codes are those of a [Problem] that web gives itself.
var Codes = []codes.Entry{
	// The request
	{Code: "bad_request", Text: "The request must have a body of JSON.", Cases: map[string]string{
		caseIncomplete: "The request did not arrive whole.",
	}},
	{Code: "unsupported_media_type", Text: "Send JSON, as application/json."},
	{Code: "too_large", Text: "A request may have at most {limit} bytes."},
	{Code: "request_timeout", Text: "The request took too long to arrive.", Cases: map[string]string{
		caseGone: "The client has gone.",
	}},
	{Code: "invalid", Text: "The request cannot be taken as it is; nothing was stored."},
	{Code: "not_found", Text: "There is nothing here, or it is not yours."},
	{Code: "method_not_allowed", Text: "This address does not take that method."},
	{Code: "too_many_requests", Text: "That was tried too often. Wait a little, then try again."},
	{Code: "busy", Text: "Too many people are logging in just now. Try again in a few seconds."},
	{Code: "too_many_streams", Text: "Only {limit} pages of one person can listen at a time."},
	{Code: "internal", Text: "Something went wrong on the server. Its log says what."},

	// Who asks
	{Code: "unauthorized", Text: "Log in, or give a bearer token that is valid.", Cases: map[string]string{
		caseEnded: "This session has ended. Log in.",
	}},
	{Code: "wrong_login", Text: "The name or the password is wrong."},
	{Code: "devices_first", Text: "The devices of this person are told first that somebody comes in. Try again in a few seconds; it takes two minutes at most."},
	{Code: "wrong_password", Text: "The current password is wrong.", Cases: map[string]string{
		caseOnlyPasskeys: "Your password is switched off. Use a passkey.",
	}},
	{Code: "wrong_passkey", Text: "This passkey does not let in here. It was removed, or it belongs to somebody else or to another server."},
	{Code: "passkey_too_late", Text: "That took too long, or it was done already. Try again."},
	{Code: "passkey_not_made", Text: "The passkey could not be checked. Try again, or with another device."},
	{Code: "no_passkeys_here", Text: "Passkeys of this server can be used only at {url}.", Cases: map[string]string{
		caseAddress: "Browsers have no passkeys for an IP address. Open this server by a name, with https.",
	}},
	{Code: "no_passkey", Text: "You have no passkey for this address. Add one first."},
	{Code: "last_way_in", Text: "This is your last way in. Add another passkey, or switch the log-in by password on, before you remove it."},
	{Code: "proof_needed", Text: "Give your password again, or use a passkey: POST /proof. Log-in was more than 10 minutes ago, or it was by an invite."},
	{Code: "own_password_first", Text: "An admin chose your password, and knows it. Choose another one first, on your page “You”: PATCH /me. Then log in with it."},
	{Code: "wrong_setup_token", Text: "This is not the newest setup link. On the server of idlepush, the command idlepush setup-link prints a new one."},
	{Code: "setup_done", Text: "This server has an admin already. Log in."},
	{Code: "receipt_unknown", Text: "This is no receipt of this server. Do not send it again."},
	{Code: "receipt_late", Text: "The notification that this reports on is no longer kept. Do not send it again."},
	{Code: "invite_gone", Text: "This invite or link was used already, or it is too old. Ask for a new one."},
	{Code: "https_needed", Text: "Passwords, tokens and phones need https. Open this server by its https address. Behind a proxy of your own, set trusted-proxies, and have the proxy set X-Forwarded-Proto."},
	{Code: "cross_origin", Text: "This request comes from another site."},
	{Code: "no_session", Text: "A bearer token is no session. Remove the token instead."},
	{Code: "scope", Text: "A token of device scope is for one device, its notifications and account names. Use one of full scope."},
	{Code: "no_user", Text: "The admin token is no user: it has neither settings of its own nor any mail to see."},
	{Code: "not_admin", Text: "Only an admin can do this."},
	{Code: "not_owner", Text: "This mailbox is shared with you. Its owner can change it."},
	{Code: "last_admin", Text: "Somebody must be an admin. Make another person one first."},

	// What admins are advised
	{Code: "proxy_not_trusted", Text: "A proxy at {address} forwards requests, but idlepush does not trust it. So all who come through it count as one, and guesses of one lock out the others. " +
		"If it is yours, set trusted-proxies to {network} and start idlepush again."},

	// What is there already
	{Code: "taken", Text: "Another user has this name.", Cases: map[string]string{
		caseLooks:   "Another user has a name that looks like this one. Choose one that nobody can take for it.",
		caseDevice:  "That address is registered as another device. Remove one of the two.",
		caseMailbox: "That mailbox is watched already, as another account.",

		caseOtherServer: "That mailbox is watched already, at another port or with another certificate. Ask its owner to share it.",
		casePasskey:     "You have this passkey already.",
	}},
	{Code: "token_has_device", Text: "This token has a device already. Change that one, or make another token."},
	{Code: "account_damaged", Text: "What the store has of this mailbox is damaged, or something other than idlepush has changed it. Remove the mailbox and add it again."},
	{Code: "too_many_devices", Text: "One person can have {limit} devices. Remove one that is no longer used, then try again."},
	{Code: "too_many_accounts", Text: "One person can have {limit} mailboxes. Remove one that is no longer needed, then try again."},
	{Code: "too_many_tokens", Text: "One person can have {limit} tokens. Remove one that is no longer used, then try again."},
	{Code: "too_many_passkeys", Text: "One person can have {limit} passkeys. Remove one that is no longer used, then try again."},
	{Code: "too_many_mutes", Text: "One person can mute {limit} things of a mailbox. Let something ring again, then try again."},
	{Code: "too_many_invites", Text: "One person can have {limit} open invites. Withdraw one, or wait until one is accepted or expires."},
	{Code: "no_client", Text: "This server is not registered with {provider} yet, so nobody can sign in there. Ask its admin to set a client of {provider}.", Cases: map[string]string{
		caseAdmin: "This server is not registered with {provider} yet. Register it there, and enter the client id and the secret on the page “People”.",
	}},
	{Code: "no_redirect_here", Text: "{provider} sends the browser back to {url}. Open this server there, then sign in again.", Cases: map[string]string{
		caseNoURL: "{provider} sends the browser back to the public URL of this server, which is not known. Its admin must set public-url.",
	}},
	{Code: "consent_gone", Text: "This sign-in took too long, was used already, or was never begun here. Nothing was stored. Begin again on the page “Mailboxes”."},
	{Code: "consent_other_session", Text: "This sign-in was begun in another browser, or by another person. Nothing was stored. Begin again here, on the page “Mailboxes”."},
	{Code: "client_by_setting", Text: "A setting of the server has this client, and wins over the page. Change the setting, then start idlepush again."},
	{Code: "share_refused", Text: "{person} has lately declined or left a mailbox of yours. You can ask again from {from}."},
	{Code: "trial_too_long", Text: "Trying these rules takes too long. Try fewer of them, or shorter lists."},
	{Code: "changed", Text: "This was changed by another request at the same time. Look at it, then try again."},

	// A field of the request
	{Code: "field_required", Text: "This is required.", Cases: map[string]string{
		caseAdminToken: "This is required with the admin token.",
		caseNewLogin:   "This must be given again to change the server, its port, encryption, user name or certificate.",
		caseNoEmail:    "This is required if there is no email.",
		caseConsent:    "Give the password, or else a consent from a sign-in with the provider.",
		casePassword:   "This is required for a new password.",
		caseProof:      "Give the password, or else a passkey.",
		caseAppToken:   "A token of device scope mutes for its own device only: give its id.",
		caseTransport:  "This is required for this transport.",
		caseReceipt:    "Give received, shown or opened.",
	}},
	{Code: "field_forbidden", Text: "This must be left out.", Cases: map[string]string{
		caseAdminToken: "This is for the admin token only: leave it out.",
		caseAdminScope: "The admin token makes tokens of device scope only.",
		caseAdminMoves: "The admin token cannot send a device's mail elsewhere, nor remove it: nobody would be told. Let its person do it.",
		caseAppToken:   "A token of device scope cannot raise the level. Let the person raise it on the page.",
		caseDevice:     "This is only for invites to another person: leave it out.",
		casePassword:   "This is only for a new password: leave it out.",

		caseNewPassword: "A new password always lets in: leave this out.",
		caseAdminInvite: "The admin token makes links for a new password only.",
		caseTransport:   "This does not go with this transport.",
		caseUnencrypted: "A connection that is not encrypted has no certificate: leave it out.",
		caseConsent:     "This does not go with a consent: leave it out.",
		caseRenewal:     "This does not go with the other fields: give only the account to renew its consent.",
		caseNoOAuth:     "This mailbox is opened by a password: give a new one instead.",
		caseNoSession:   "A bearer token has no browser that comes back: let the person enter a code (device).",
		caseMute:        "This does not go with what is to be muted: leave it out.",
	}},
	{Code: "field_unknown", Text: "This is not known."},
	{Code: "field_unreadable", Text: "This cannot be read."},
	{Code: "field_empty", Text: "This must not be empty."},
	{Code: "field_too_short", Text: "This must have at least {limit} characters."},
	{Code: "field_too_long", Text: "This must have at most {limit} characters."},
	{Code: "field_too_few", Text: "This must have at least {limit} entries."},
	{Code: "field_too_many", Text: "This must have at most {limit} entries."},
	{Code: "field_too_small", Text: "This must be {limit} or more."},
	{Code: "field_too_large", Text: "This must be {limit} or less."},
	{Code: "field_choice", Text: "This must be one of: {choices}."},
	{Code: "field_not_integer", Text: "This must be a whole number."},
	{Code: "field_not_text", Text: "This must be text."},
	{Code: "field_not_boolean", Text: "This must be true or false."},
	{Code: "field_not_list", Text: "This must be a list."},
	{Code: "field_not_object", Text: "This must be an object."},
	{Code: "field_bad_next", Text: "This must be the `next` of an earlier answer."},
	{Code: "field_bad_name", Text: "This must have only letters of one script, digits and plain signs such as - and ', with single spaces in between.", Cases: map[string]string{
		caseLabel: "This must be printable and not blank.",
	}},
	{Code: "field_weak_password", Text: "This password is one that others guess first, or it is made like those. Take a few words that have nothing to do with each other.", Cases: map[string]string{
		caseOwnName: "This is only your name, which others guess first. Take a few words that have nothing to do with each other.",
	}},
	{Code: "field_no_consent", Text: "This sign-in was used already, is too old, or is not ready. Sign in again.", Cases: map[string]string{
		caseMailbox: "This sign-in is for another mailbox. Sign in again.",
	}},
	{Code: "field_unknown_user", Text: "There is no such user."},
	{Code: "field_unknown_account", Text: "This is no account of this user, or it is listed twice."},
	{Code: "field_shared_already", Text: "This person sees it already."},
	{Code: "field_bad_address", Text: "This must be a mail address."},
	{Code: "field_bad_host", Text: "This must be a host name or an IP address, without a port; an international name in its xn-- form."},
	{Code: "field_bad_client_id", Text: "{provider} gives out no such client ID. One looks such as {example}."},
	{Code: "field_bad_fingerprint", Text: "This must be the SHA-256 fingerprint of a certificate: 32 pairs of hexadecimal digits in upper case, with colons in between."},
	{Code: "field_unknown_folder", Text: "The server has no such folder.", Cases: map[string]string{
		caseUnwatched: "The mailbox does not watch such a folder. Choose one of those that it watches.",
	}},
	{Code: "field_bad_folder_name", Text: "This must be the name of a folder, of at most {limit} bytes and without control or invisible characters."},
	{Code: "field_unknown_device", Text: "This is no device of this person."},
	{Code: "field_unknown_mail", Text: "There is no such mail of this mailbox, or it is too old."},
	{Code: "field_not_muted", Text: "This cannot be muted.", Cases: map[string]string{
		string(ring.MuteSender):       "This mail does not name its sender. Mute the mailbox instead.",
		string(ring.MuteConversation): "This mail belongs to no conversation that can be recognized. Mute its sender instead.",
	}},
	{Code: "field_bad_color", Text: "This must be a color such as #1a73e8."},
	{Code: "field_bad_sound", Text: "This must be the name of a sound: letters, digits, and . _ - in between."},
	{Code: "field_bad_person", Text: "This must be a mail address, or a domain such as @example.org; an international domain in its xn-- form."},
	{Code: "field_bad_zone", Text: "This must be the IANA name of a time zone, such as Europe/Berlin."},
	{Code: "field_bad_clock", Text: "This must be a time of day from 00:00 to 23:59, with two digits each, such as 05:00."},
	{Code: "field_quiet_too_long", Text: "Quiet hours that hold mail back may last {limit} hours at most. Let them end in between, or have mail shown without a sound.", Cases: map[string]string{
		caseWholeDays: "Quiet hours that hold mail back may last {limit} hours at most. Those that begin and end at the same time of day last a whole day each: let them end earlier, or have mail shown without a sound.",
	}},
	{Code: "field_not_time", Text: "This must be a time such as 2026-11-30T07:00:00Z."},
	{Code: "field_past", Text: "This must be in the future."},
	{Code: "field_too_late", Text: "This must be within {limit} days. Leave it out for ever."},
	{Code: "field_control_characters", Text: "This must have no control or invisible characters."},
	{Code: "field_line_break", Text: "This must have no line break."},

	// The mail server
	{Code: "timeout", Text: "The mail server did not answer in time. Check its name, the port and the encryption."},
}

// The cases of codes that have several sentences.
const (
	caseIncomplete = "incomplete"
	caseGone       = "client_gone"
	caseEnded      = "session_ended"
	caseDevice     = "device"
	caseMailbox    = "mailbox"
	caseLabel      = "label"
	caseLooks      = "lookalike"
	caseAdminToken = "admin_token"
	caseAdminScope = "admin_scope"
	caseAdminMoves = "admin_moves"
	caseAppToken   = "app_token"
	casePassword   = "password"
	caseNewLogin   = "new_login"
	caseNoEmail    = "no_email"
	caseTransport  = "transport"
	caseReceipt    = "receipt"

	caseAddress      = "ip_address"
	caseOnlyPasskeys = "only_passkeys"
	casePasskey      = "passkey"
	caseNewPassword  = "new_password"
	caseOwnName      = "own_name"
	caseProof        = "proof"
	caseAdminInvite  = "admin_invite"
	caseOtherServer  = "other_server"
	caseUnencrypted  = "unencrypted"
	caseAdmin        = "admin"
	caseConsent      = "consent"
	caseRenewal      = "renewal"
	caseNoOAuth      = "no_oauth"
	caseNoSession    = "no_session"
	caseNoURL        = "no_public_url"
	caseUnwatched    = "unwatched"
	caseMute         = "mute"
)

// sentences are those that web makes itself.
var sentences = codes.Join(Codes, idlepush.Codes)

// documentCodes lists all codes in the OpenAPI document, as the schema Code.
func (s *Server) documentCodes(t codes.Table) {
	schemas := s.api.OpenAPI().Components.Schemas.Map()
	code := &huma.Schema{Type: huma.TypeString, Description: "What happened. A code never changes its meaning; later versions have more."}
	for _, c := range t.Codes() {
		code.Enum = append(code.Enum, string(c))
	}
	for _, name := range []string{"AccountStatus", "BrokenPromise", "ConsentView", "Decision", "Delivery", "DeviceStatus", "ExaminedStep", "FieldError", "Hint", "Holds", "Lane", "Notice", "Notification", "Problem", "Tested", "TriedMail", "Waited"} {
		p := schemas[name].Properties["code"]
		p.Type, p.Ref = "", "#/components/schemas/Code"
	}
	p := schemas["AccountStatus"].Properties["interval_code"]
	p.Type, p.Ref = "", "#/components/schemas/Code"
	schemas["Code"] = code
}
