package fcm

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"idlepush"
	"idlepush/push"
	"idlepush/registry"
)

// quotaPause is how long to wait after 429 without Retry-After.
// https://firebase.google.com/docs/cloud-messaging/scale-fcm
const quotaPause = time.Minute

// The codes whose sentences name the HTTP status.
const (
	unavailable = "fcm_unavailable"
	unknown     = "fcm_unknown"
)

// table has the outcome of every answer. The first row that matches decides.
// https://firebase.google.com/docs/cloud-messaging/error-codes
var table = []struct {
	from, to int
	says     condition
	outcome  registry.Outcome
	wait     time.Duration // if there is no Retry-After; 0: the dispatcher's backoff
}{
	{200, 200, named, registry.Outcome{Result: registry.ResultDelivered}, 0},
	{200, 200, anything, push.Retry("fcm_unreadable_answer"), 0},
	{400, 428, page, push.Retry("fcm_unreadable_answer"), 0},

	// The device
	{404, 404, "UNREGISTERED", registry.Outcome{Result: registry.ResultGone, Reason: idlepush.Reason{Code: "fcm_unregistered"}}, 0},
	{400, 400, badToken, push.Suspect("fcm_invalid_token"), 0},
	{403, 403, "SENDER_ID_MISMATCH", push.Suspect("fcm_sender_id_mismatch"), 0},
	// These blame the device, so that the lane is not paused: it has Android phones too, which need
	// no such key.
	{401, 401, "THIRD_PARTY_AUTH_ERROR", thirdParty, 0},
	{401, 401, "APNS_AUTH_ERROR", thirdParty, 0},

	// This server. FCM looks up the rights of a service account. The access token does not contain
	// them, so it is not renewed after 403.
	{401, 401, anything, push.Misconfigured("fcm_unauthenticated"), 0},
	{403, 403, anything, push.Misconfigured("fcm_permission_denied"), 0},
	{404, 404, noCode, push.Misconfigured("fcm_wrong_project"), 0},

	// The message
	{400, 400, badArgument, push.Refused("fcm_invalid_argument"), 0},
	{413, 413, anything, tooLarge, 0},

	// The service: QUOTA_EXCEEDED, UNAVAILABLE, INTERNAL, and proxies in front of it
	{429, 429, anything, push.Retry("fcm_quota_exceeded"), quotaPause},
	{500, 599, anything, push.Retry(unavailable), 0},

	{100, 999, anything, push.Retry(unknown), 0},
}

var (
	thirdParty = push.Suspect("fcm_third_party_auth")
	tooLarge   = push.Refused("fcm_too_large")
)

// condition is what a row of the table requires of an answer beside its status: an errorCode of
// FcmError, or one of these.
type condition string

const (
	anything    condition = ""
	page        condition = "a page of a proxy"
	named       condition = "the message's name"
	noCode      condition = "no FcmError"
	badToken    condition = "INVALID_ARGUMENT, of the token"
	badArgument condition = "INVALID_ARGUMENT"
)

// reply is the decoded body of an answer. If the body is not FCM's, fields are empty.
type reply struct {
	page       bool   // push.IsPage
	name       string // of the message that was accepted
	message    string
	status     string   // google.rpc.Code
	code       string   // FcmError's errorCode; empty: the answer holds none
	violations []string // the fields that google.rpc.BadRequest names
}

func (e *exchange) reply() reply {
	var answer struct {
		Name  string
		Error struct {
			Message string
			Status  string
			Details []struct {
				Type            string `json:"@type"`
				ErrorCode       string
				FieldViolations []struct{ Field string }
			}
		}
	}
	// If the body cannot be decoded, the HTTP status decides.
	_ = json.Unmarshal(e.body, &answer)
	r := reply{page: push.IsPage(e.header, string(e.body)), name: answer.Name, message: answer.Error.Message, status: answer.Error.Status}
	for _, d := range answer.Error.Details {
		switch d.Type {
		case "type.googleapis.com/google.firebase.fcm.v1.FcmError":
			r.code = d.ErrorCode
		case "type.googleapis.com/google.rpc.BadRequest":
			for _, v := range d.FieldViolations {
				r.violations = append(r.violations, v.Field)
			}
		}
	}
	return r
}

// meets reports whether the answer meets the condition.
func (r reply) meets(c condition) bool {
	switch c {
	case anything:
		return true
	case page:
		return r.page
	case named:
		return r.name != ""
	case noCode:
		return r.code == ""
	case badToken:
		// A bad message is INVALID_ARGUMENT too. For a bad token, Google's documentation shows
		// FcmError alone. Other answers that were seen also have a BadRequest with the field
		// message.token.
		return r.code == "INVALID_ARGUMENT" && (slices.Contains(r.violations, "message.token") ||
			len(r.violations) == 0 && strings.Contains(strings.ToLower(r.message), "token"))
	case badArgument:
		return r.code == "INVALID_ARGUMENT" || r.status == "INVALID_ARGUMENT"
	}
	return r.code == string(c)
}

// outcome returns the outcome of FCM's answer at now.
func (e *exchange) outcome(now time.Time) registry.Outcome {
	r := e.reply()
	for _, row := range table {
		if e.status < row.from || e.status > row.to || !r.meets(row.says) {
			continue
		}
		o := row.outcome
		if o.Code == unavailable || o.Code == unknown {
			o = push.With(o, "status", strconv.Itoa(e.status))
		}
		if o.Result == registry.ResultRetry && !o.Suspect {
			if o.At = push.RetryAfter(e.header, now); o.At.IsZero() && row.wait > 0 {
				o.At = now.Add(row.wait)
			}
		}
		return o
	}
	return push.Retry("fcm_unreadable_answer")
}

// unreached returns the outcome of a send without an answer from FCM.
func unreached(ctx context.Context, err error) registry.Outcome {
	if o, ok := push.ClockWrong(err); ok {
		return o
	}
	grant, isGrant := errors.AsType[*grantError](err)
	switch {
	case ctx.Err() == context.Canceled:
		return push.Unanswered("fcm_interrupted")
	case isGrant:
		return ungranted(grant)
	case errors.Is(err, context.DeadlineExceeded):
		return push.Unanswered("fcm_timeout")
	}
	return push.Unanswered("fcm_unreachable")
}

// ungranted returns the outcome if Google refused an access token (RFC 6749 section 5.2).
func ungranted(err *grantError) registry.Outcome {
	if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		var answer struct{ Error string }
		_ = json.Unmarshal(refusal.Body, &answer)
		status := refusal.Response.StatusCode
		if answer.Error != "" && status >= 400 && status < 500 && status != http.StatusTooManyRequests {
			return push.Misconfigured("fcm_credentials")
		}
	}
	return push.Retry("fcm_token_unavailable")
}
