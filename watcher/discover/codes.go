package discover

import "idlepush/codes"

// Codes are those of a [Note].
var Codes = []codes.Entry{
	{Code: "app_password", Text: "{provider}: create an app password here, and enter that one instead of your own.", Cases: map[string]string{
		caseOwnPassword: "{provider}: mail programs have a password of their own, which you set in the Telekom login centre. Enter that one.",
		caseTwoFactor:   "With two-factor authentication, create an app password too.",
	}},
	{Code: "imap_switch", Text: "{provider}: allow IMAP in the settings of your mailbox first."},
	{Code: "authorization_code", Text: "{provider}: allow IMAP in the settings of your mailbox, and enter the authorisation code that you get there instead of your password."},
	{Code: "oauth2", Text: "{provider} lets mail programs in with OAuth only, not with a password. Sign in there.", Cases: map[string]string{
		caseNoClient: "{provider} lets mail programs in with OAuth only, not with a password. First an admin registers this server there: the page “People” says how.",
		caseNoIssuer: "This provider lets mail programs in with OAuth only, and does not publish where to sign in. Ask it for an app password.",
	}},
	{Code: "bridge", Text: "{provider} lets mail programs in through its Bridge only, a program that runs on a computer of yours. Enter the Bridge's own server and password below.",
		Cases: map[string]string{caseNoIMAP: "{provider} has no IMAP, so this mailbox cannot be watched. Its own app rings."}},
	{Code: "none_found", Text: "No settings were found. Ask your provider for the name of its IMAP server."},
}

// The cases of codes that have several sentences.
const (
	caseOwnPassword = "own_password"
	caseTwoFactor   = "two_factor"
	caseNoClient    = "no_client"
	caseNoIssuer    = "no_issuer"
	caseNoIMAP      = "no_imap"
)
