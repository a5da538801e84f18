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

	"idlepush/push"
	"idlepush/registry"
)

// quotaPause is how long to wait after 429 without Retry-After.
// https://firebase.google.com/docs/cloud-messaging/scale-fcm
const quotaPause = time.Minute

const invalidToken = "This device's token is not a valid FCM token. Open the app on the device, so that it registers again."

// table is what every answer means; the first row that holds it counts.
// https://firebase.google.com/docs/cloud-messaging/error-codes
var table = []struct {
	from, to int
	says     says
	outcome  registry.Outcome
	wait     time.Duration // so long where there is no Retry-After; 0: the dispatcher's backoff
}{
	{200, 200, named, registry.Outcome{Result: registry.ResultDelivered}, 0},
	{200, 200, anything, push.Retry("fcm_unreadable_answer", "Something answered that is not FCM. It is tried again by itself; check the "+
		"setting fcm-endpoint and any proxy if this stays."), 0},

	// The device
	{404, 404, "UNREGISTERED", registry.Outcome{Result: registry.ResultGone, Code: "fcm_unregistered",
		Reason: "FCM says that the app is no longer installed on this device, or that its token has expired. Open the app to register again."}, 0},
	{400, 400, badToken, push.Suspect("fcm_invalid_token", invalidToken), 0},
	{403, 403, "SENDER_ID_MISMATCH", push.Suspect("fcm_sender_id_mismatch", "This device's token belongs to another Firebase project than fcm-credentials. "+
		"Open the app on the device, so that it registers again; if every device says so, fcm-credentials is for the wrong project."), 0},
	// The lane is not paused: Android phones, which need no such key, are in it too.
	{401, 401, "THIRD_PARTY_AUTH_ERROR", thirdParty, 0},
	{401, 401, "APNS_AUTH_ERROR", thirdParty, 0},

	// This server. What a service account may do is looked up by FCM and does not travel in the
	// access token, so that is not renewed after 403.
	{401, 401, anything, push.Misconfigured("fcm_unauthenticated", "Google does not accept the access token of the service account in fcm-credentials. "+
		"Check that the account is enabled, or make a new key in the Firebase console."), 0},
	{403, 403, anything, push.Misconfigured("fcm_permission_denied", "The service account in fcm-credentials may not send messages. Give it the role "+
		"Firebase Cloud Messaging API Admin, and enable the Firebase Cloud Messaging API in the project."), 0},
	{404, 404, noCode, push.Misconfigured("fcm_wrong_project", "FCM does not know the Firebase project, or its address is wrong. Check fcm-credentials and fcm-endpoint."), 0},

	// The message
	{400, 400, badArgument, push.Refused("fcm_invalid_argument",
		"FCM does not take this message as it is, so it was dropped. This is a fault of idlepush; please report it."), 0},
	{413, 413, anything, tooLarge, 0},

	// The service: QUOTA_EXCEEDED, UNAVAILABLE, INTERNAL, and whatever stands before it
	{429, 429, anything, push.Retry("fcm_quota_exceeded", "FCM takes no more messages for the moment. It is tried again by itself."), quotaPause},
	{500, 599, anything, push.Retry("fcm_unavailable", "FCM has a problem of its own (HTTP status %d). It is tried again by itself."), 0},

	{100, 999, anything, push.Retry("fcm_unknown", "Google gave an answer that idlepush does not know (HTTP status %d). It is tried again by itself; "+
		"check the setting fcm-endpoint and any proxy if this stays."), 0},
}

var (
	thirdParty = push.Suspect("fcm_third_party_auth", "FCM cannot reach this kind of device, because the APNs or Web Push key stored in the "+
		"Firebase project is missing or wrong. Correct it in the Firebase console under Cloud Messaging, then send a test push.")
	tooLarge = push.Refused("fcm_too_large",
		"The message is larger than FCM takes, so it was dropped. A lower content level for this device makes messages smaller.")
)

// says is what a row of the table wants of an answer beside its status: an errorCode of FcmError,
// or one of these.
type says string

const (
	anything    says = ""
	named       says = "the message's name"
	noCode      says = "no FcmError"
	badToken    says = "INVALID_ARGUMENT, of the token"
	badArgument says = "INVALID_ARGUMENT"
)

// reply is FCM's answer, or the little of it that anybody else's holds.
type reply struct {
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
	// What cannot be read stays empty, and the HTTP status decides.
	_ = json.Unmarshal(e.body, &answer)
	r := reply{name: answer.Name, message: answer.Error.Message, status: answer.Error.Status}
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

func (r reply) holds(s says) bool {
	switch s {
	case anything:
		return true
	case named:
		return r.name != ""
	case noCode:
		return r.code == ""
	case badToken:
		// It is told from a bad message, which is INVALID_ARGUMENT too: the vendor's page shows it
		// with FcmError alone; in answers seen in the wild BadRequest names the field message.token
		// too.
		return r.code == "INVALID_ARGUMENT" && (slices.Contains(r.violations, "message.token") ||
			len(r.violations) == 0 && strings.Contains(strings.ToLower(r.message), "token"))
	case badArgument:
		return r.code == "INVALID_ARGUMENT" || r.status == "INVALID_ARGUMENT"
	}
	return r.code == string(s)
}

// outcome says what FCM's answer means.
func (e *exchange) outcome(now time.Time) registry.Outcome {
	r := e.reply()
	for _, row := range table {
		if e.status < row.from || e.status > row.to || !r.holds(row.says) {
			continue
		}
		o := row.outcome
		o.Reason = strings.Replace(o.Reason, "%d", strconv.Itoa(e.status), 1)
		if o.Result == registry.ResultRetry && !o.Suspect {
			if o.At = push.RetryAfter(e.header, now); o.At.IsZero() && row.wait > 0 {
				o.At = now.Add(row.wait)
			}
		}
		return o
	}
	return push.Retry("fcm_unreadable_answer", "Something answered that is not FCM. It is tried again by itself.")
}

// unreached says what it means that there was no answer from FCM.
func unreached(ctx context.Context, err error) registry.Outcome {
	grant, isGrant := errors.AsType[*grantError](err)
	switch {
	case ctx.Err() == context.Canceled:
		return push.Unanswered("fcm_interrupted", "Sending was interrupted. It is tried again by itself.")
	case isGrant:
		return ungranted(grant)
	case errors.Is(err, context.DeadlineExceeded):
		return push.Unanswered("fcm_timeout", "FCM did not answer in time. It is tried again by itself; check this server's connection if this stays.")
	}
	return push.Unanswered("fcm_unreachable", "FCM could not be reached. It is tried again by itself; check this server's connection, DNS and any proxy if this stays.")
}

// ungranted says what it means that Google gave no access token (RFC 6749 section 5.2).
func ungranted(err *grantError) registry.Outcome {
	if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		var answer struct{ Error string }
		_ = json.Unmarshal(refusal.Body, &answer)
		status := refusal.Response.StatusCode
		if answer.Error != "" && status >= 400 && status < 500 && status != http.StatusTooManyRequests {
			return push.Misconfigured("fcm_credentials", "Google does not accept the key in fcm-credentials. Check this server's clock, and that the service "+
				"account and its key still exist; otherwise make a new key in the Firebase console.")
		}
	}
	return push.Retry("fcm_token_unavailable", "Google gave no access token for FCM. It is tried again by itself; check this server's connection if this stays.")
}
