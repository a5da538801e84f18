package webpush

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"

	"idlepush"
	"idlepush/codes"
	"idlepush/netguard"
	"idlepush/push"
	"idlepush/registry"
)

// verdict is the meaning of an answer.
type verdict struct {
	result   registry.Result
	suspect  bool
	code     codes.Code
	sentence string // the case of the code; empty: it has one sentence, or the first counts
}

// words are all that a row requires of an answer beside its status.
type words struct {
	reason string // in Apple's JSON
	number int    // Mozilla's errno, ntfy's code
	part   string // of the text, in lower case
	page   bool   // push.IsPage: a web server or proxy speaks
	known  bool   // the host is one of services
}

// table has the meaning of every answer. The first row that matches decides. Statuses are those of
// RFC 8030 sections 5 and 7.3, words are those of the services:
//
//   - Apple: developer.apple.com, "Sending web push notifications in web apps and browsers"
//   - Mozilla: mozilla-services.github.io/autopush-rs/errors.html; errno 109: its source
//   - ntfy: server/errors.go of its source
//   - NextPush: UnifiedPushProviderController.php of its source
//   - Google publishes no list: its sentences are those that it sends
//   - Microsoft publishes no list: its statuses are those of WNS
//
// A page is no answer of a push service, with the exception of Google's old pages. A 404 may be
// that of a proxy, too, unless it has words that only a push service has: Caddy's is empty,
// Traefik's a text, and that of API gateways JSON. No proxy answers 410 by default.
var table = []struct {
	from, to int
	says     words
	verdict
}{
	{200, 200, words{page: true}, webPage},
	{200, 299, words{}, verdict{registry.ResultDelivered, false, "", ""}},
	{300, 399, words{}, verdict{registry.ResultRetry, true, "webpush_redirect", ""}},

	// Pages
	{410, 410, words{known: true, page: true, part: "<title>notregistered"}, gone},
	{403, 403, words{page: true, part: "<title>mismatchsenderid"}, foreign},
	{400, 403, words{page: true, part: "<title>unauthorizedregistration", known: true}, rejected},
	{401, 401, words{page: true}, inFront},
	{403, 403, words{page: true}, inFront},
	{400, 428, words{page: true}, webPage},

	// Apple
	{400, 403, words{reason: "VapidPkHashMismatch", known: true}, verdict{registry.ResultGone, false, vapidMismatch, ""}},
	{400, 403, words{reason: "VapidPkHashMismatch"}, verdict{registry.ResultRetry, true, vapidMismatch, ""}},
	{400, 403, words{reason: "BadAuthorizationHeader"}, rejected},
	{400, 403, words{reason: "BadJwtToken"}, rejected},
	{400, 403, words{reason: "ExpiredJwtToken"}, rejected},
	{400, 403, words{reason: "BadVapidPublicKey"}, rejected},

	// Mozilla
	{400, 400, words{number: 108}, unaddressable},
	{401, 401, words{part: "vapid public key mismatch"}, foreign},
	{401, 401, words{number: 109}, rejected},

	// Google
	{403, 403, words{part: "do not correspond to the credentials used to create the subscription"}, foreign},
	{403, 403, words{part: "mismatchsenderid"}, foreign},
	{403, 403, words{part: "invalid push subscription endpoint"}, unaddressable},
	{400, 403, words{part: "unauthorizedregistration"}, rejected},
	{400, 403, words{part: "jwt"}, rejected},
	{400, 403, words{part: "aud claim"}, rejected},
	{400, 403, words{part: "exp claim"}, rejected},
	{400, 403, words{part: "token has expired"}, rejected},
	{400, 403, words{part: "public key must be"}, rejected},
	{400, 403, words{part: "authorization header had"}, rejected},

	// Microsoft, if it throttles
	{406, 406, words{}, throttled},

	// ntfy
	{400, 400, words{number: 40009}, unaddressable},
	{400, 400, words{number: 40010}, unaddressable},
	{401, 401, words{number: 40101}, unwritable},
	{403, 403, words{number: 40301}, unwritable},
	{404, 404, words{number: 40401}, unaddressable}, // of a topic it never says so
	{507, 507, words{}, verdict{registry.ResultRetry, true, "webpush_no_subscriber", ""}},

	// NextPush
	{401, 401, words{part: `"success":false`}, absent},

	// Any service
	{400, 400, words{}, malformed},
	{401, 401, words{}, unauthorized},
	{403, 403, words{}, unauthorized},
	{404, 404, words{known: true}, gone},
	{404, 404, words{number: 102}, absent}, // Mozilla's server, run by others
	{404, 404, words{}, nothingThere},
	{408, 408, words{}, unavailable},
	{410, 410, words{known: true}, gone},
	{410, 410, words{}, absent},
	{411, 411, words{}, malformed},
	{413, 413, words{}, verdict{registry.ResultRefused, false, "webpush_too_large", ""}},
	{415, 415, words{}, malformed},
	{421, 421, words{}, unavailable},
	{422, 422, words{}, malformed},
	{425, 425, words{}, unavailable},
	{429, 429, words{}, throttled},
	{500, 599, words{}, unavailable},
	{100, 999, words{}, verdict{registry.ResultRetry, true, "webpush_unexpected", ""}},
}

// The codes of an address that may be gone. If the host is not one of services, it is gone once the
// host has said so for a day.
const (
	notFound      = "webpush_not_found"
	vapidMismatch = "webpush_vapid_mismatch"
)

var (
	gone          = verdict{registry.ResultGone, false, "webpush_gone", ""}
	absent        = verdict{registry.ResultRetry, true, notFound, ""}
	nothingThere  = verdict{registry.ResultRetry, true, "webpush_nothing_there", ""}
	webPage       = verdict{registry.ResultRetry, true, "webpush_page", ""}
	inFront       = verdict{registry.ResultRetry, true, "webpush_refused_in_front", ""}
	foreign       = verdict{registry.ResultRetry, true, "webpush_other_key", ""}
	unaddressable = verdict{registry.ResultRetry, true, "webpush_bad_address", ""}
	rejected      = verdict{registry.ResultMisconfigured, false, "webpush_vapid_rejected", ""}
	unauthorized  = verdict{registry.ResultMisconfigured, false, "webpush_unauthorized", ""}
	unwritable    = verdict{registry.ResultRetry, true, "webpush_unauthorized", caseUnwritable}
	malformed     = verdict{registry.ResultRefused, false, "webpush_bad_request", ""}
	throttled     = verdict{registry.ResultRetry, false, "webpush_throttled", ""}
	unavailable   = verdict{registry.ResultRetry, false, "webpush_unavailable", ""}
)

// outcome returns the outcome of the answer of the service at host.
func outcome(host string, a answer) registry.Outcome {
	if o, ok := push.ClockBehind(a.err); ok {
		return o
	}
	if o, ok := push.ClockAhead(a.err); ok && isService(host) {
		return o
	}
	v := judge(a)
	o := registry.Outcome{Result: v.result, Suspect: v.suspect, Reason: idlepush.Reason{Code: v.code}}
	if v.code != "" {
		o = push.With(o, "host", host)
	}
	if v.sentence != "" {
		o = push.With(o, codes.Case, v.sentence)
	}
	if v.result == registry.ResultRetry {
		o.At = a.after
	}
	switch v.code {
	case notFound, vapidMismatch:
		o.Absent = o.Suspect
	case "webpush_canceled", "webpush_timeout", "webpush_unreachable":
		o.MaybeDelivered = true
	case "webpush_endpoint_not_allowed":
		o.NotSent = true
	case "webpush_unavailable":
		o = push.With(o, "status", strconv.Itoa(a.status))
	}
	return o
}

// judge returns the meaning of the answer.
func judge(a answer) verdict {
	if a.err != nil {
		return fault(a.err)
	}
	for _, row := range table {
		if row.from <= a.status && a.status <= row.to && a.says(row.says) {
			return row.verdict
		}
	}
	return unavailable
}

// says reports whether the answer meets what the row requires.
func (a answer) says(w words) bool {
	var said struct {
		Reason string
		Errno  int
		Code   int
	}
	// If the body is no JSON of this form, the fields stay empty.
	_ = json.Unmarshal([]byte(a.text), &said)
	switch {
	case w.page && !a.page, w.known && !a.known, w.reason != "" && said.Reason != w.reason:
		return false
	case w.number != 0:
		return said.Errno == w.number || said.Code == w.number
	}
	return strings.Contains(strings.ToLower(a.text), w.part)
}

// fault returns the meaning of an error. Go's own errors are not shown, because they quote
// addresses.
func fault(err error) verdict {
	again := func(code codes.Code) verdict {
		return verdict{registry.ResultRetry, false, code, ""}
	}
	_, forbidden := errors.AsType[*netguard.ForbiddenError](err)
	name, ok := errors.AsType[*net.DNSError](err)
	if forbidden || ok && name.IsNotFound {
		// A resolver that is wrong for an hour must not cost a message. A new device with a suspect
		// address is refused. Both are one answer, which tells nobody which names a private network
		// knows.
		return verdict{registry.ResultRetry, true, "webpush_endpoint_not_allowed", ""}
	}
	if _, ok := push.ClockAhead(err); ok {
		return verdict{registry.ResultRetry, false, "webpush_certificate", caseExpired}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return again("webpush_certificate")
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return again("webpush_no_tls")
	}
	var late net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return again("webpush_canceled")
	case errors.As(err, &late) && late.Timeout():
		return again("webpush_timeout")
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return again("webpush_refused")
	}
	return again("webpush_unreachable")
}
