package watcher

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"idlepush"
	"idlepush/codes"
	"idlepush/watcher/wire"
)

const (
	// personWait is the wait before the next try if only a person can help.
	personWait = 15 * time.Minute

	// crowdedWait is the wait after the server says that there are too many connections.
	crowdedWait = 5 * time.Minute

	// maxThrottle is the longest wait that a throttling server is granted at once.
	maxThrottle = 5 * time.Minute
)

// refusal reads a NO or BAD. Every response code of RFC 5530 leads to one of: try again, slow down,
// stop this folder, stop and tell the user.
func refusal(said *imap.Error, err error) *Failure {
	login, isLogin := errors.AsType[*loginError](err)
	text := said.Text
	if isLogin {
		text += " " + login.alert
	}
	if f := knownMeaning(said.Code, text); f != nil {
		return f
	}
	if isLogin {
		return loginFailure(said)
	}
	if temporary(said) {
		return &Failure{Reason: idlepush.Reason{Code: "server_unavailable"}}
	}
	if _, ok := errors.AsType[*folderError](err); ok {
		return &Failure{Reason: idlepush.Reason{Code: "folder_unavailable"}, Field: "folders", minWait: personWait, personal: true}
	}
	return &Failure{Reason: idlepush.Reason{Code: "server_refuses"}}
}

// knownMeaning returns the failure that a text means at every command, in a greeting and in a BYE.
// It returns nil if the text is not known.
func knownMeaning(code imap.ResponseCode, text string) *Failure {
	if wait := throttled(text); wait > 0 {
		return slowDown(wait)
	}
	lower := strings.ToLower(text)
	for _, k := range known {
		if strings.Contains(lower, k.text) {
			f := k.Failure
			f.personal = true
			return &f
		}
	}
	switch {
	case code == imap.ResponseCodeLimit || saysCrowded(text) || containsAny(lower, "too many invalid", "too many incorrect", "too many wrong"):
		return tooMany()
	case containsAny(lower, "idle t", "idle for", "inactiv", "autologout"):
		// Nothing happened for long: no trouble, and the only limit is one of time.
		return nil
	case containsAny(lower, "incorrect", "invalid", "wrong"):
		// It names the password among other reasons.
		return nil
	case containsAny(lower, "too many", "limit", "exceeded", "maximum"):
		return tooMany()
	case !isLoginCode(code) && containsAny(lower, "try again", "try later"),
		containsAny(lower, "temporar", "system error", "internal error", "internal login failure", "server error", "unavailable", "service is not available", "maintenance", "overloaded",
			"busy", "timed out", "timeout", "technical problem", "out of service"):
		return &Failure{Reason: idlepush.Reason{Code: "server_unavailable"}}
	}
	return nil
}

func containsAny(text string, words ...string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
}

// known are the texts by which providers say what RFC 5530 has no code for, in lower case, and what
// they mean.
var known = []struct {
	text string
	Failure
}{
	{"basic authentication is disabled", Failure{Reason: idlepush.Reason{Code: "oauth_required"}, Field: "password", final: true}},
	{"authenticated but not connected", Failure{Reason: idlepush.Reason{Code: "imap_off"}.With(codes.Case, microsoft), Field: "username", minWait: personWait}},
	{"application-specific password", appPassword}, {"app-specific password", appPassword}, {"app password", appPassword},
	{"web browser", webLogin}, {"weblogin", webLogin}, {"web login", webLogin}, {"please log in: http", webLogin}, {"please log in via", webLogin},
	{"unsafe login", Failure{Reason: idlepush.Reason{Code: "unsafe_login"}, Field: "password", final: true}},
	{"imap is disabled", imapOff}, {"imap access is disabled", imapOff}, {"not enabled for imap", imapOff}, {"enable imap", imapOff}, {"imap service is not enabled", imapOff}, {"imap service is not activated", imapOff}, {"imap service is not open", imapOff},
}

var appPassword = Failure{Reason: idlepush.Reason{Code: "app_password_required"}, Field: "password", final: true}

var webLogin = Failure{Reason: idlepush.Reason{Code: "web_login_required"}, Field: "password", final: true}

var imapOff = Failure{Reason: idlepush.Reason{Code: "imap_off"}, Field: "username", final: true}

// loginCodes are the response codes of a refused login (RFC 5530 section 3) that will not change by
// waiting.
var loginCodes = map[imap.ResponseCode]Failure{
	imap.ResponseCodeAuthenticationFailed: {Reason: idlepush.Reason{Code: "login_refused"}, Field: "password", final: true},
	imap.ResponseCodeAuthorizationFailed:  {Reason: idlepush.Reason{Code: "login_refused"}.With(codes.Case, notAuthorized), Field: "username", final: true},
	imap.ResponseCodeExpired:              {Reason: idlepush.Reason{Code: "password_expired"}, Field: "password", final: true},
	imap.ResponseCodePrivacyRequired:      {Reason: idlepush.Reason{Code: "privacy_required"}, Field: "security", final: true},
	imap.ResponseCodeContactAdmin:         {Reason: idlepush.Reason{Code: "contact_admin"}, Field: "username", final: true},
}

// isLoginCode reports whether the response code says that a login is refused.
func isLoginCode(code imap.ResponseCode) bool {
	_, ok := loginCodes[code]
	return ok
}

// loginFailure reads a refused login whose text says nothing that is known.
func loginFailure(said *imap.Error) *Failure {
	if f, ok := loginCodes[said.Code]; ok {
		f.personal = true
		return &f
	}
	if temporary(said) {
		return &Failure{Reason: idlepush.Reason{Code: "server_unavailable"}.With(codes.Case, loginUnavailable)}
	}
	return &Failure{Reason: idlepush.Reason{Code: "login_refused"}.With(codes.Case, unexplained), Field: "password", final: true, personal: true}
}

// refusesLogin reports whether a BYE in place of the answer to a login is about the login.
func refusesLogin(bye *wire.ByeError) bool {
	code, lower := imap.ResponseCode(bye.Code), strings.ToLower(bye.Text)
	return isLoginCode(code) || code == imap.ResponseCodeNoPerm ||
		containsAny(lower, "login", "logon", "authenticat", "password", "credential", "user") &&
			containsAny(lower, "fail", "invalid", "incorrect", "wrong", "denied", "refuse", "reject", "no such", "unknown")
}

// limitsLogin reports whether a server takes no login because there have been too many. A server
// that has refused the password may mean the tries with it, and count on while they go on.
func limitsLogin(f *Failure) bool {
	_, isLogin := errors.AsType[*loginError](f.cause)
	return isLogin && (f.Code == "too_many_connections" || f.Code == "throttled")
}

// refusals are those of an account whose password has logged in before, since it last did without
// one. Whatever the server says, such a refusal may pass by itself: providers call their own
// trouble a wrong password. That a login is not even tried, because the certificate has changed,
// counts as well.
type refusals struct {
	count int
	since time.Time // when the first came
	again time.Time // when the login is tried again; zero: that does not wait for a refusal
	told  bool      // the account is in attention
	soon  bool      // tell people before tellAfter

	reason idlepush.Reason // of the last
}

const (
	// tellAfter is how long a server must refuse the login before idlepush tells its people.
	tellAfter = time.Hour

	// After the first three, a refused login is tried again every usualLoginWait for a week, and
	// then every rareLoginWait. Providers lock out who asks more often.
	usualLoginWait = 2 * time.Hour
	rareLoginWait  = 24 * time.Hour
	usualLoginFor  = 7 * 24 * time.Hour
)

var firstLoginWaits = []time.Duration{time.Minute, 10 * time.Minute, time.Hour}

// loginWait returns the wait after so many refusals in a row over so long a time.
func loginWait(count int, lasted time.Duration) time.Duration {
	switch {
	case count <= len(firstLoginWaits):
		return firstLoginWaits[max(count-1, 0)]
	case lasted < usualLoginFor:
		return usualLoginWait
	}
	return rareLoginWait
}

func refusalsOf(a *idlepush.Account) refusals {
	st := a.Status
	r := refusals{count: st.Failures, since: st.Failing, again: st.Retry, told: st.State == idlepush.StateAttention, reason: st.Reason}
	if r.count > 0 && r.again.IsZero() && !r.told {
		// The reason is that of another failure since the last refusal.
		r.reason = idlepush.Reason{Code: "login_refused"}.With(codes.Case, workedBefore)
		if a.OAuth != "" {
			r.reason = r.reason.With(codes.Case, byToken)
		}
	}
	return r
}

// add counts one more. The next try may come up to a tenth later than loginWait, so that accounts
// do not act at once.
func (r *refusals) add(now time.Time) {
	now = now.Round(0) // a machine that sleeps stops the monotonic clock
	if r.count++; r.count == 1 || r.since.After(now) {
		r.since = now // in the second case the clock was ahead
	}
	wait := loginWait(r.count, now.Sub(r.since))
	r.again = now.Add(wait + rand.N(wait/10))
}

// tell notes that the login does not work now either. It reports whether that makes it a case for
// attention, for the first time.
func (r *refusals) tell(now time.Time) bool {
	r.since = earlier(r.since, now.Round(0)) // the clock may have been ahead
	if r.told || r.count == 0 || !r.soon && now.Sub(r.since) < tellAfter {
		return false
	}
	r.told = true
	return true
}

// wait returns how long it is until the next try. A clock that was set back does not prolong it.
func (r *refusals) wait(now time.Time) time.Duration {
	now = now.Round(0)
	r.again = earlier(r.again, now.Add(loginWait(r.count, now.Sub(r.since))*11/10))
	return r.again.Sub(now)
}

// status returns the state of an account that fails for this reason. While it waits for a refusal,
// and in attention, the refusal is the reason: a later failure asks nobody to act.
func (r *refusals) status(reason idlepush.Reason) idlepush.Status {
	st := idlepush.Status{State: idlepush.StateRetrying, Reason: reason, Failures: r.count, Failing: r.since, Retry: r.again}
	if r.told {
		st.State = idlepush.StateAttention
	}
	if r.told || !r.again.IsZero() {
		st.Reason = r.reason
	}
	return st
}

// afterSuccess returns the reason for the refusal of a password that has worked before.
func afterSuccess(r idlepush.Reason) idlepush.Reason {
	if said := r.Params[codes.Case]; r.Code == "login_refused" && (said == "" || said == unexplained) {
		return r.With(codes.Case, workedBefore)
	}
	return r
}

func tooMany() *Failure {
	return &Failure{Reason: idlepush.Reason{Code: "too_many_connections"}, minWait: crowdedWait, personal: true}
}

func slowDown(wait time.Duration) *Failure {
	return &Failure{Reason: idlepush.Reason{Code: "throttled"}, minWait: wait, personal: true}
}

// throttled reads the wait that Microsoft asks for: "Request is throttled. Suggested Backoff Time:
// 92415 milliseconds". 0: none.
func throttled(text string) time.Duration {
	_, rest, ok := strings.Cut(strings.ToLower(text), "suggested backoff time:")
	if !ok {
		return 0
	}
	digits, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return maxThrottle
	}
	return min(max(time.Duration(n)*time.Millisecond, time.Second), maxThrottle)
}

// temporary reports whether the server says itself that a NO will pass.
func temporary(said *imap.Error) bool {
	return slices.Contains([]imap.ResponseCode{imap.ResponseCodeUnavailable, imap.ResponseCodeInUse,
		imap.ResponseCodeServerBug, imap.ResponseCodeCorruption, imap.ResponseCodeLimit}, said.Code)
}

// busy reports whether the server says itself that it has no time for anything just now.
func busy(said *imap.Error) bool {
	return slices.Contains([]imap.ResponseCode{imap.ResponseCodeUnavailable, imap.ResponseCodeInUse, imap.ResponseCodeLimit}, said.Code) ||
		saysCrowded(said.Text) || strings.Contains(strings.ToLower(said.Text), "temporarily unavailable")
}

// saysCrowded reports whether the text says that a limit is reached.
func saysCrowded(text string) bool {
	return containsAny(strings.ToLower(text), "too many simultaneous connections", "maximum number of connections", "too many concurrent",
		"too many connections", "throttled")
}
