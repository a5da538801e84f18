package watcher

import (
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush/codes"
	"idlepush/watcher/wire"
)

func TestRefusal(t *testing.T) {
	t.Parallel()
	t.Run("every code of RFC 5530 has a meaning", refusalCodes)
	t.Run("texts of providers are understood", refusalTexts)
}

// verdict returns which of the reactions a refusal leads to.
func verdict(f *Failure) string {
	switch {
	case f.final:
		return "stop"
	case f.Code == "folder_unavailable":
		return "folder"
	case f.minWait > 0:
		return "slow"
	}
	return "again"
}

// refusalCodes sends each code at the login, at a folder, and at anything else.
func refusalCodes(t *testing.T) {
	t.Parallel()
	for code, want := range map[imap.ResponseCode][3]string{
		"UNAVAILABLE":          {"again", "again", "again"},
		"AUTHENTICATIONFAILED": {"stop", "folder", "again"},
		"AUTHORIZATIONFAILED":  {"stop", "folder", "again"},
		"EXPIRED":              {"stop", "folder", "again"},
		"PRIVACYREQUIRED":      {"stop", "folder", "again"},
		"CONTACTADMIN":         {"stop", "folder", "again"},
		"NOPERM":               {"stop", "folder", "again"},
		"INUSE":                {"again", "again", "again"},
		"EXPUNGEISSUED":        {"stop", "folder", "again"},
		"CORRUPTION":           {"again", "again", "again"},
		"SERVERBUG":            {"again", "again", "again"},
		"CLIENTBUG":            {"stop", "folder", "again"},
		"CANNOT":               {"stop", "folder", "again"},
		"LIMIT":                {"slow", "slow", "slow"},
		"OVERQUOTA":            {"stop", "folder", "again"},
		"ALREADYEXISTS":        {"stop", "folder", "again"},
		"NONEXISTENT":          {"stop", "folder", "again"},
		"":                     {"stop", "folder", "again"},
	} {
		said := &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: "no"}
		got := [3]string{}
		for i, err := range []error{&loginError{err: said}, &folderError{said}, said} {
			f := diagnose(&scriptedAccount, err)
			if got[i] = verdict(f); sentences.Check(f.Code, f.Params) != nil {
				t.Errorf("%s: %+v", code, f)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}
}

func refusalTexts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		code    codes.Code
		verdict string
		wait    time.Duration
	}{
		"Basic authentication is disabled.":                                                                                          {"oauth_required", "stop", 0},
		"User is authenticated but not connected.":                                                                                   {"imap_off", "slow", personWait},
		"Request is throttled. Suggested Backoff Time: 92415 milliseconds":                                                           {"throttled", "slow", 92415 * time.Millisecond},
		"Request is throttled. Suggested Backoff Time: 9241500 milliseconds":                                                         {"throttled", "slow", maxThrottle},
		"Request is throttled. Suggested Backoff Time: soon":                                                                         {"throttled", "slow", maxThrottle},
		"Too many simultaneous connections. (Failure)":                                                                               {"too_many_connections", "slow", crowdedWait},
		"Maximum number of connections from user+IP exceeded":                                                                        {"too_many_connections", "slow", crowdedWait},
		"Account is temporarily unavailable":                                                                                         {"server_unavailable", "again", 0},
		"Application-specific password required":                                                                                     {"app_password_required", "stop", 0},
		"Please log in via your web browser: https://support.example.com/1":                                                          {"web_login_required", "stop", 0},
		"LOGIN Unsafe Login. Please contact kefu@188.com for help":                                                                   {"unsafe_login", "stop", 0},
		"Your account is not enabled for IMAP use. Please visit your account settings page and enable your account for IMAP access.": {"imap_off", "stop", 0},
		"Connection limit exceeded, try again later":                                                                                 {"too_many_connections", "slow", crowdedWait},
		"Too many login attempts, try again in 15 minutes":                                                                           {"too_many_connections", "slow", crowdedWait},
		"[AUTH] Too many invalid login attempts":                                                                                     {"too_many_connections", "slow", crowdedWait},
		"IMAP service is not enabled for this user":                                                                                  {"imap_off", "stop", 0},
		"IMAP service is not available":                                                                                              {"server_unavailable", "again", 0},
		"Too many sessions, close some":                                                                                              {"too_many_connections", "slow", crowdedWait},
		"System error":                                                                                                               {"server_unavailable", "again", 0},
		"Temporary authentication failure. [host:2026-11-28]":                                                                        {"server_unavailable", "again", 0},
		"Temporary system problem. Please try again later.":                                                                          {"server_unavailable", "again", 0},
		"Please log in: https://support.example.com/78754 (Failure)":                                                                 {"web_login_required", "stop", 0},
		"Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, or system is busy.": {"login_refused", "stop", 0},
		"Login failed.": {"login_refused", "stop", 0},
	} {
		if f := diagnose(&scriptedAccount, no("", text)); f.Code != want.code || verdict(f) != want.verdict || f.minWait != want.wait {
			t.Errorf("%s: %s, %s, %v; want %+v", text, f.Code, verdict(f), f.minWait, want)
		}
	}
	// A text means the same in the answer to any command.
	for text, code := range map[string]codes.Code{"EXAMINE Unsafe Login. Please contact us for help": "unsafe_login", "User is authenticated but not connected.": "imap_off",
		"Connection limit exceeded, try again later": "too_many_connections", "System error": "server_unavailable"} {
		said := &imap.Error{Type: imap.StatusResponseTypeNo, Text: text}
		for where, err := range map[string]error{"LOGIN": &loginError{err: said}, "EXAMINE": &folderError{said}, "LIST": said, "BYE": &wire.ByeError{Text: text}} {
			if f := diagnose(&scriptedAccount, err); f.Code != code {
				t.Errorf("%s at %s: %s, want %s", text, where, f.Code, code)
			}
		}
	}
	// A BYE in place of the answer to a login refuses it, if it says so.
	for bye, code := range map[wire.ByeError]codes.Code{{Code: "AUTHENTICATIONFAILED", Text: "no"}: "login_refused", {Code: "CONTACTADMIN", Text: "no"}: "contact_admin",
		{Code: "NOPERM", Text: "no"}: "login_refused", {Text: "Login failed."}: "login_refused", {Text: "Authentication failure"}: "login_refused", {Text: "No such user"}: "login_refused",
		{Text: "Invalid credentials, try again"}: "login_refused",
		{Text: "shutting down"}:                  "server_closed", {Text: "Logging out"}: "server_closed", {Text: "Disconnected: Inactivity during authentication."}: "server_closed",
		{Code: "UNAVAILABLE", Text: "Authentication failed"}: "server_unavailable", {Text: "Internal login failure. Refer to server log for more information."}: "server_unavailable",
		{Text: "Too many login failures"}: "too_many_connections"} {
		if f := diagnose(&scriptedAccount, &loginError{err: &bye}); f.Code != code || f.Server != bye.Text {
			t.Errorf("%+v at the login: %s, want %s", bye, f.Code, code)
		}
		if f := diagnose(&scriptedAccount, &bye); f.final {
			t.Errorf("%+v: %s", bye, f.Code)
		}
	}
	// A code that says what is wrong goes before the advice to try again.
	for _, text := range []string{"Login failed, please try again", "Invalid user name or password, try again later"} {
		if f := diagnose(&scriptedAccount, no(imap.ResponseCodeAuthenticationFailed, text)); f.Code != "login_refused" {
			t.Errorf("%s: %s", text, f.Code)
		}
	}
	// A server that ends a connection in which nothing happened has no limit and no trouble.
	for text, code := range map[string]codes.Code{"Idle timeout exceeded": "server_closed", "Disconnected for inactivity.": "server_closed",
		"Autologout; idle for too long": "server_closed", "Closing: idle time limit exceeded": "server_closed",
		"Too many idle connections": "too_many_connections", "IMAP service is not available, try again later": "server_unavailable"} {
		if f := diagnose(&scriptedAccount, &wire.ByeError{Text: text}); f.Code != code || f.final {
			t.Errorf("%s in BYE: %s, want %s", text, f.Code, code)
		}
	}
	if f := diagnose(&scriptedAccount, &wire.ByeError{Text: "Request is throttled. Suggested Backoff Time: 3000 milliseconds"}); f.minWait != 3*time.Second {
		t.Errorf("in BYE: %+v", f)
	}
}
