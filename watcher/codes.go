package watcher

import (
	"idlepush/codes"
	"idlepush/watcher/oauth"
)

// Codes are those of a [Failure] and of an account's status.
var Codes = []codes.Entry{
	// The server and the connection to it
	{Code: "host_unknown", Text: "the host name cannot be resolved: check its spelling and this server's DNS"},
	{Code: "address_not_allowed", Text: "the mail server cannot be used: this server must not connect to its address", Cases: map[string]string{
		privateNetwork: "the mail server cannot be used: it lies in a private network, where the admin of this server must allow it with its port: add {entry} to allow-mail",
		unencrypted:    "the mail server cannot be used: it is not encrypted, which the admin of this server must allow there: add {entry} to allow-mail",
	}},
	{Code: "connection_failed", Text: "no connection: check host and port, and whether the server is up", Cases: map[string]string{
		refusedPort: "the connection is refused: check host and port, and whether the server is up and lets this machine in",
		unreachable: "there is no way to the mail server: check host, and the network of the machine that idlepush runs on",
	}},
	{Code: "connection_lost", Text: "the connection to the mail server was lost: if it stays so, check host, port and security"},
	{Code: "server_silent", Text: "the mail server does not answer: check host, port and security (993 is for tls, 143 for starttls), and whether the server is up"},
	{Code: "server_faulty", Text: "what answers there does not behave as an IMAP server must: check host, port and security"},
	{Code: "server_closed", Text: "the mail server ended the connection"},
	{Code: "server_refuses", Text: "the mail server refuses a command. No action needed; idlepush keeps retrying.", Cases: map[string]string{
		inCheck: "the mail server refuses a command: try again in a few minutes",
	}},
	{Code: "server_unavailable", Text: "the mail server has a temporary problem. No action needed; idlepush keeps retrying.", Cases: map[string]string{
		loginUnavailable: "the mail server cannot take logins just now. No action needed; idlepush keeps retrying.",
		inCheck:          "the mail server has a temporary problem: try again in a few minutes",
	}},
	{Code: "too_many_connections", Text: "the mail server has reached a limit: it is tried again later; close other mail programs if this lasts", Cases: map[string]string{
		inCheck: "the mail server has reached a limit: try again in a few minutes, and close other mail programs if this lasts",
	}},
	{Code: "throttled", Text: "the mail server is asked too much: it is tried again later by itself", Cases: map[string]string{
		inCheck: "the mail server is asked too much: try again in a few minutes",
	}},
	{Code: "idle_unreliable", Text: "the server did not report new mail several times, so the mailbox is polled every minute or two. No action needed, but notifications may come that much later.", Cases: map[string]string{
		idleBreaks: "the connection broke several times while it waited for new mail, so the mailbox is polled every minute. No action needed, but notifications may come that much later.",
	}},

	// How long the connection may be silent
	{Code: "interval_default", Text: "this is the default: nothing is known about this server yet"},
	{Code: "interval_of_provider", Text: "this is known to work with this provider"},
	{Code: "interval_shortened", Text: "connections to this server were lost after {silence} of silence"},
	{Code: "interval_lengthened", Text: "shorter intervals have worked for a week or more"},
	{Code: "interval_polled", Text: "IDLE cannot be used at this server, so it is asked this often"},
	{Code: "interval_unproven", Text: "the server has not shown yet that it reports new mail, so it is asked more often until it does"},
	{Code: "interval_unnoticed", Text: "a connection to this server died although nothing ended it, so the server is asked more often for two days"},
	{Code: "interval_suspected", Text: "the server did not report the last new mail, so it is asked more often until it does"},
	{Code: "interval_distrusted", Text: "the server did not report new mail several times"},

	// Encryption
	{Code: "starttls_failed", Text: "the connection cannot be secured by STARTTLS: try tls with port 993"},
	{Code: "privacy_required", Text: "the mail server takes a login only on an encrypted connection: choose tls or starttls"},
	{Code: "tls_failed", Text: "no secure connection: check that port and security belong together (993 is for tls, 143 for starttls)"},
	{Code: "tls_too_old", Text: "the server speaks only old TLS, which is not safe any more: its owner must update it"},
	{Code: "certificate_untrusted", Text: "the server's certificate is signed by nobody this machine trusts, or the server does not send the intermediate certificates: " +
		"its owner must send them all; if the certificate is your own, let SSL_CERT_FILE name a file with your authority's certificate where idlepush runs", Cases: map[string]string{
		atHome: "the server's certificate is signed by nobody this machine trusts: if it is your own, compare its fingerprint, and trust it on the page",
	}},
	{Code: "certificate_changed", Text: "the server's certificate has changed. If it was renewed, compare its fingerprint on the page, under this mailbox, and trust it; " +
		"if not, somebody may be in between, so do not. You trust {trusted}; the server shows {shown}"},
	{Code: "certificate_expired", Text: "the server's certificate has expired: its owner must renew it"},
	{Code: "certificate_not_yet_valid", Text: "the server's certificate is valid from {from} on, but the clock of the machine that idlepush runs on shows {now} (UTC), and may be wrong: check it; idlepush tries again every minute", Cases: map[string]string{
		inCheck: "the server's certificate is valid from {from} on, but the clock of the machine that idlepush runs on shows {now} (UTC), and may be wrong: check it, then try again",
	}},
	{Code: "certificate_wrong_host", Text: "the server's certificate is for another host name: check host"},
	{Code: "certificate_without_names", Text: "the server's certificate names the host in the old way only, by its common name: its owner must make one with subjectAltName, such as by: " +
		"openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN={host} -addext subjectAltName={name} -keyout key.pem -out cert.pem"},

	// The login
	{Code: "login_refused", Text: "the mail server refuses this user name and password: check both, and whether the provider wants an app password", Cases: map[string]string{
		notAuthorized: "the mail server knows this user but does not let it use the mailbox: check the user name, and who may use the mailbox",
		unexplained: "the mail server refuses the login without saying why: check user name and password, and whether the provider wants an app password " +
			"or IMAP switched on",
		byToken: "the mail server does not accept the sign-in: check that the user name is that of the person who signed in, or of a mailbox that this person may open. Then sign in again.",
		microsoft: "Microsoft does not accept the sign-in and does not say why: check that IMAP is switched on for the mailbox, that the user name is its main address, " +
			"and that whoever signed in may open it. Then sign in again.",
		notForMail: "the sign-in does not include access to mail: sign in again, and allow it",
		workedBefore: "the mail server refuses a password that it took before: if you have changed it there, enter the new one on the page, under this mailbox; " +
			"if not, idlepush tries again by itself",
	}},
	{Code: "app_password_required", Text: "the provider wants an app password: make one in the security settings of your account there, and enter it as the password"},
	{Code: "web_login_required", Text: "the provider wants you to log in on its web page first: do that, then enter the password in idlepush again", Cases: map[string]string{
		byToken: "the provider wants you to log in on its web page first: do that, then sign in again",
	}},
	{Code: "unsafe_login", Text: "the provider takes this for an unsafe login: switch on IMAP in its settings, and enter the authorisation code that it gives for that as the password"},
	{Code: "imap_off", Text: "IMAP is switched off for this mailbox: switch it on in the provider's settings, then enter the password in idlepush again", Cases: map[string]string{
		byToken:   "IMAP is switched off for this mailbox: switch it on in the provider's settings, then sign in again",
		microsoft: "Microsoft took the login but does not open the mailbox: check that IMAP is switched on for it, and that the user name is its main address",
	}},
	{Code: "oauth_required", Text: "the provider takes no passwords for this mailbox any more: sign in with the provider instead"},
	{Code: "oauth_not_accepted", Text: "the mail server takes no sign-in with a provider: enter the password of the mailbox instead"},
	{Code: "consent_missing", Text: "idlepush has lost the sign-in for this mailbox: sign in again"},
	{Code: "client_missing", Text: "this server has no client for {provider} any more, and cannot open the mailbox: its admin must set one"},
	{Code: "token_for_others", Text: "a sign-in with {provider} is not for this mail server: check host"},
	{Code: "password_not_accepted", Text: "the server accepts no password on this connection: choose tls, or use a provider that offers app passwords"},
	{Code: "password_expired", Text: "the password has expired: set a new one at the provider, and enter it in idlepush"},
	{Code: "contact_admin", Text: "the mail server wants you to ask its admin"},

	// Folders and mail
	{Code: "folder_unknown", Text: `the mailbox has no folder "{folder}": choose one that the server lists`},
	{Code: "folder_unavailable", Text: "the folder cannot be opened: check that it still exists", Cases: map[string]string{
		oneOfSeveral: "the folder {folder} cannot be opened: check that it still exists and is still wanted",
	}},
	{Code: "folder_end_unknown", Text: "the mail server does not report the end of the folder, so idlepush cannot tell new mail from old: ask its admin, or leave this folder out"},
	{Code: "mail_unreadable", Text: "the mail server does not send the content of new mail, so notifications come without sender and subject: " +
		"try another program on this mailbox, and tell the server's admin if it fails too"},

	// Why a mail did not ring
	{Code: notRungSeen, Text: "It did not ring, because it was marked as read when idlepush found it."},
	{Code: notRungJunk, Text: "It did not ring, because it was marked as junk."},
	{Code: notRungDraft, Text: "It did not ring, because it is a draft."},
	{Code: notRungDeleted, Text: "It did not ring, because it was marked as deleted."},
	{Code: notRungSent, Text: "It did not ring, because it was sent from this mailbox's own address and was marked as read.", Cases: map[string]string{
		filed: "It did not ring, because it was sent from this mailbox's own address and lies in a folder for sent mail or drafts.",
	}},

	// Steps of an examination
	{Code: "examined_dns", Text: "{host} is in the DNS, with {addresses}"},
	{Code: "examined_connect", Text: "{address} accepts a connection"},
	{Code: "examined_address_fails", Text: "{address} accepts no connection; another address does"},
	{Code: "examined_family_fails", Text: "by {family} it does not work, and idlepush uses the other: {cause}"},
	{Code: "examined_tls", Text: "the connection is encrypted by {version}; the certificate is for {names}, by {issuer}, from {from} until {until}", Cases: map[string]string{
		pinned:     "the connection is encrypted by {version}; the certificate is the one that was trusted by its fingerprint, for {names}, by {issuer}, from {from} until {until}",
		endingSoon: "the connection is encrypted by {version}; the certificate for {names}, by {issuer}, from {from}, ends soon, on {until}: its owner must renew it",
	}},
	{Code: "examined_certificate", Text: "the certificate that the server shows is for {names}, by {issuer}, from {from} until {until}; its fingerprint is {fingerprint}", Cases: map[string]string{
		atHome: "the certificate that the server shows is for {names}, by {issuer}, from {from} until {until}. If it is your own, compare its fingerprint, {fingerprint}, " +
			"and trust it on the page, when you add the mailbox or change it",
	}},
	{Code: "examined_plain", Text: "the connection is not encrypted: everybody in between can read the password and the mail"},
	{Code: "examined_greeting", Text: "an IMAP server greets"},
	{Code: "examined_preauth", Text: "the server asks nobody to log in"},
	{Code: "examined_mechanisms", Text: "the server takes a password, by {mechanisms}", Cases: map[string]string{
		passwordOrOAuth: "the server takes a password or OAuth, by {mechanisms}; of a password, many providers take only an app password",
		onlyOAuth:       "the server takes only OAuth, by {mechanisms}, and no password",
		noPassword:      "the server takes no password on this connection; it offers: {mechanisms}",
	}},
	{Code: "examined_no_password", Text: "there is nothing to log in with, so the login was not tried"},
	{Code: "examined_token", Text: "there is an access token from the provider"},
	{Code: "examined_token_refused", Text: "the mail server does not accept this access token, so the provider is asked for another"},
	{Code: "examined_login", Text: "the login works"},
	{Code: "examined_capabilities", Text: "the server can {capabilities}"},
	{Code: "examined_idle", Text: "the server offers IDLE, by which it tells of new mail at once"},
	{Code: "examined_no_idle", Text: "the server does not offer IDLE, so it is asked again and again: new mail rings that much later"},
	{Code: "examined_folders", Text: "folders in the mailbox: {count}"},
	{Code: "examined_unreadable", Text: "further folders, which cannot be watched because their names cannot be read: {count}"},
	{Code: "examined_opened", Text: "watched folders that can be opened: {count}"},
	{Code: "examined_tried_again", Text: "the mailbox was not watched, and all of this works: idlepush tries it again now"},
	{Code: "examined_waiting", Text: "now send a mail to this mailbox, within {minutes} minutes"},
	{Code: "examined_told", Text: "the server told of the new mail", Cases: map[string]string{
		dated:       "the server told of the new mail {seconds} s after it came, by the date that it gave to the mail",
		datedBefore: "the server told of the new mail, which by its date had come {seconds} s before: either it tells late, or a clock is wrong, its own or that of this machine",
		datedAhead:  "the server told of the new mail, and dates it {seconds} s ahead of the clock of this machine: one of the clocks is wrong",
	}},
	{Code: "examined_not_told", Text: "a mail came, and the server did not tell of it in IDLE: idlepush finds such mail by asking, later; tell the server's admin"},
	{Code: "examined_no_mail", Text: "no mail came to INBOX within {minutes} minutes, so whether the server tells of it is not known"},

	{Code: "account_changed", Text: "the mailbox was changed or removed just now: look at it, then try again"},
	{Code: "store_failed", Text: "idlepush cannot write down what it finds: its admin must look at the disk and the log"},
}

// The cases of codes that have several sentences.
const (
	privateNetwork   = "private_network"
	unencrypted      = "unencrypted"
	refusedPort      = "refused"
	unreachable      = "unreachable"
	loginUnavailable = "login"
	inCheck          = "check" // nothing is stored that would be tried again by itself
	notAuthorized    = "not_authorized"
	unexplained      = "unexplained"
	workedBefore     = "worked_before"
	byToken          = "token" // of an account with OAuth
	notForMail       = "scope"
	microsoft        = "microsoft"
	atHome           = "home" // at a server whose certificate may be pinned
	oneOfSeveral     = "one_of_several"
	idleBreaks       = "idle_breaks"
	endingSoon       = "ends_soon"
	pinned           = "pinned"
	passwordOrOAuth  = "password_or_oauth"
	onlyOAuth        = "only_oauth"
	noPassword       = "no_password"
	dated            = "dated"
	datedBefore      = "dated_before"
	datedAhead       = "dated_ahead"
)

var sentences = codes.Join(Codes, oauth.Codes)
