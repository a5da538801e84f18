package webpush

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"idlepush/registry"
)

// verdict says what an answer means. The reason follows the name of the service's host.
type verdict struct {
	result  registry.Result
	suspect bool
	code    string
	reason  string
}

// statuses is the table of what a status means, whoever runs the service; the first row that holds it counts. RFC 8030
// sections 5 and 7.3; beyond it, Microsoft throttles with 406, and ntfy says with 507 that no phone listens to a topic.
var statuses = []struct {
	from, to int
	verdict
}{
	{200, 299, verdict{registry.ResultDelivered, false, "", ""}},
	{300, 399, verdict{registry.ResultRetry, true, "webpush_redirect",
		"sends pushes elsewhere, which is not followed. If it stays so, register the device again."}},
	{400, 400, malformed},
	{401, 401, unauthorized},
	{403, 403, unauthorized},
	{404, 404, gone},
	{406, 406, throttled},
	{408, 408, unavailable},
	{410, 410, gone},
	{411, 411, malformed},
	{413, 413, verdict{registry.ResultRefused, false, "webpush_too_large",
		"found the message too large, so it was dropped. A content level that tells less makes messages smaller."}},
	{415, 415, malformed},
	{421, 421, unavailable},
	{422, 422, malformed},
	{425, 425, unavailable},
	{429, 429, throttled},
	{507, 507, verdict{registry.ResultRetry, true, "webpush_no_subscriber",
		"says that no phone listens at this address now. Open the app that brings pushes to the phone (such as ntfy)."}},
	{500, 599, unavailable},
	{100, 999, verdict{registry.ResultRetry, true, "webpush_unexpected",
		"gave an answer that no push service gives. If it stays so, register the device again."}},
}

var (
	gone = verdict{registry.ResultGone, false, "webpush_gone",
		"says that this subscription is over. Register the device again to be notified."}
	unauthorized = verdict{registry.ResultRetry, true, "webpush_unauthorized",
		"does not let this server push to this device. If it stays so, register the device again."}
	malformed = verdict{registry.ResultRefused, false, "webpush_bad_request",
		"called the push malformed, so it was dropped. This is a fault of idlepush: please report it."}
	throttled = verdict{registry.ResultRetry, false, "webpush_throttled",
		"gets more pushes than it allows."}
	unavailable = verdict{registry.ResultRetry, false, "webpush_unavailable",
		"is out of order."}
	mismatch = verdict{registry.ResultGone, false, "webpush_vapid_mismatch",
		"says that this subscription was made with another server key. Register the device again."}
	rejected = verdict{registry.ResultMisconfigured, false, "webpush_vapid_rejected",
		"does not accept this server's VAPID token. Check the server's clock and vapid-subject."}
)

// complaints are parts, in lower case, of what services say when it is the token that they do not like, and not one
// subscription: Apple's reasons, Google's and Mozilla's sentences.
var complaints = []string{
	"jwt", "badauthorizationheader", "badvapidpublickey",
	"aud claim", "exp claim", "token has expired", "public key must be", "authorization header had",
	"vapid token", "vapid audience", "vapid expiry", "vapid claims", "expiredsignature", "invalidsignature",
}

// outcome is what the answer of the service at host means.
func outcome(host string, a answer) registry.Outcome {
	v := judge(a)
	o := registry.Outcome{Result: v.result, Suspect: v.suspect, Code: v.code}
	if v.reason != "" {
		o.Reason = host + " " + v.reason
	}
	if v == unavailable {
		o.Reason = fmt.Sprintf("%s is out of order (HTTP status %d). It is tried again by itself.", host, a.status)
	}
	if v.result == registry.ResultRetry {
		o.At = a.after
	}
	switch v.code {
	case "webpush_canceled", "webpush_timeout", "webpush_unreachable":
		o.Unknown = true
	}
	return o
}

func judge(a answer) verdict {
	if a.err != nil {
		return fault(a.err)
	}
	switch a.status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		// Apple: developer.apple.com, "Sending web push notifications in web apps and browsers".
		var apple struct{ Reason string }
		if json.Unmarshal([]byte(a.text), &apple) == nil && apple.Reason == "VapidPkHashMismatch" {
			return mismatch
		}
		text := strings.ToLower(a.text)
		for _, c := range complaints {
			if strings.Contains(text, c) {
				return rejected
			}
		}
	}
	for _, row := range statuses {
		if row.from <= a.status && a.status <= row.to {
			return row.verdict
		}
	}
	return unavailable
}

// fault is what it means that there was no answer. Go's own errors are not shown: they quote addresses.
func fault(err error) verdict {
	again := func(code, reason string) verdict {
		return verdict{registry.ResultRetry, false, code, reason}
	}
	if _, ok := errors.AsType[notPermitted](err); ok {
		// A resolver that lies for an hour must not cost a message; at registration a suspect address is refused.
		return verdict{registry.ResultRetry, true, "webpush_endpoint_not_allowed",
			"lies in a network that this server does not push to. If it is yours, add the network to allow-nets."}
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok && name.IsNotFound {
		return again("webpush_host_unknown", "has no address.")
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return again("webpush_certificate", "showed a certificate that is not trusted. If it is yours, renew it, or name its authority's certificate in "+
			"SSL_CERT_FILE where idlepush runs.")
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return again("webpush_no_tls", "does not speak https on this port.")
	}
	var late net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return again("webpush_canceled", "was not waited for, because idlepush was stopping.")
	case errors.As(err, &late) && late.Timeout():
		return again("webpush_timeout", "did not answer in time.")
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return again("webpush_refused", "refused the connection. If it is yours, start it, and check the port.")
	}
	return again("webpush_unreachable", "could not be reached. It is tried again by itself; check this server's connection if this stays.")
}
